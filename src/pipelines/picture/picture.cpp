#include "pipelines/picture/picture.h"

#include <algorithm>
#include <cctype>

#include "base/atomic_file.h"
#include "base/diag_codes.h"

namespace npuport {

std::string picture_suffix(const std::string& path) {
  const size_t dot = path.rfind('.');
  std::string s = dot == std::string::npos ? "" : path.substr(dot + 1);
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

Result<Picture> parse_picture(const std::string& bytes, const std::string& name) {
  if (bytes.empty())
    return Diag(diag::truncated, "'" + name + "' is empty", "give a PNG or JPEG picture").in_file(name);
  if (bytes.starts_with("\x89PNG")) return parse_png(bytes, name);
  if (bytes.starts_with("\xff\xd8")) return parse_jpeg(bytes, name);
  return Diag(diag::unknown_format, "'" + name + "' is neither PNG nor JPEG",
              "turn it into one of them first (for example with ImageMagick's convert)")
      .in_file(name);
}

Result<Picture> read_picture(const std::string& path) {
  NPU_ASSIGN(const std::string bytes, read_file(path));
  return parse_picture(bytes, path);
}

Status write_picture(const Picture& picture, const std::string& path, int quality) {
  const std::string suffix = picture_suffix(path);
  if (suffix == "png") {
    NPU_ASSIGN(const std::string bytes, encode_png(picture));
    return write_file(path, bytes);
  }
  if (suffix == "jpg" || suffix == "jpeg") {
    if (!picture.alpha.empty())
      return Diag(diag::usage, "'" + path + "': JPEG cannot hold the picture's alpha channel", "write a .png");
    NPU_ASSIGN(const std::string bytes, encode_jpeg(picture, quality));
    return write_file(path, bytes);
  }
  return Diag(diag::usage, "'" + path + "': no picture format of that name", "use .png, .jpg or .jpeg");
}

}  // namespace npuport
