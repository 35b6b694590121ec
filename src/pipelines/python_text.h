// Text as Python's str methods treat it, for the pipelines whose reference is written in Python.
#pragma once

#include <string>
#include <string_view>

namespace npuport {

// Python's str.strip(): Unicode blanks off both ends. `text` is valid UTF-8.
std::string_view strip(std::string_view text);
// Python's bytes.decode("utf-8", errors="replace").
std::string decode_utf8(std::string_view bytes);

}  // namespace npuport
