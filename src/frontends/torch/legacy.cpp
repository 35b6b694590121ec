#include "frontends/torch/legacy.h"

#include <fmt/core.h>

#include "base/byte_reader.h"
#include "base/diag_codes.h"

namespace npuport {
namespace {

using Kind = PickleValue::Kind;

// torch/serialization.py: MAGIC_NUMBER = 0x1950a86a20f9469cfc6c, PROTOCOL_VERSION = 1001.
constexpr std::string_view magic_decimal = "119547037146038801333356";
constexpr std::string_view magic_bytes = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
constexpr int64_t protocol = 1001;

bool is_old_tar(std::span<const std::byte> bytes) {
  if (bytes.size() < 512 || as_text(bytes.subspan(257, 5)) != "ustar") return false;
  const auto name = as_text(bytes.first(100));
  for (const std::string_view member : {"storages", "tensors", "pickle", "sys_info"})
    if (name.substr(0, name.find('\0')) == member) return true;
  return false;
}

bool is_little_endian(const PickleValue& sys_info) {
  const PickleValue* little = sys_info.find("little_endian");
  return !little || little->integer != 0;
}

// Element sizes by storage key, from the persistent ids.
std::map<std::string, int64_t, std::less<>> item_sizes(const Pickle& pickle) {
  std::map<std::string, int64_t, std::less<>> sizes;
  for (const PickleValue& v : pickle.values)
    if (v.is(Kind::storage)) sizes[v.tensor->storage.key] = v.tensor->storage.item_bytes;
  return sizes;
}

// Behind the pickles, in the order of `keys`: the element count as int64, then the elements.
Status find_storages(const PickleValue& keys, std::span<const std::byte> bytes, size_t from, LegacyCheckpoint& out) {
  const auto sizes = item_sizes(out.data);
  ByteReader r(bytes, out.big_endian ? std::endian::big : std::endian::little);
  r.seek(from);
  for (const PickleValue* key : keys.items) {
    const auto known = sizes.find(key->text);
    if (known == sizes.end() || known->second <= 0)
      return Diag(diag::corrupt, fmt::format("storage {} has an unknown element type", key->text),
                  "save the checkpoint again with a newer PyTorch");
    const auto count = r.get<int64_t>();
    const size_t left = r.remaining();
    if (count < 0 || static_cast<uint64_t>(count) > left / static_cast<uint64_t>(known->second))
      return Diag(diag::truncated, fmt::format("the file ends inside storage {}", key->text),
                  "copy or download the file again");
    const size_t size = static_cast<size_t>(count * known->second);
    out.storages[key->text] = {r.position(), size};
    r.skip(size);
  }
  return r.status("the checkpoint");
}

Result<LegacyCheckpoint> read_pickles(std::span<const std::byte> bytes) {
  size_t at = 0;
  PickleOptions options;
  options.record_unknown = true;
  const auto next = [&]() -> Result<Pickle> {
    auto pickle = read_pickle(bytes.subspan(at), options);
    if (pickle) at += pickle->consumed;
    return pickle;
  };
  NPU_ASSIGN(const Pickle magic, next());
  NPU_ASSIGN(const Pickle version, next());
  NPU_ASSIGN(const Pickle sys_info, next());
  if (magic.root->text != magic_decimal || version.root->integer != protocol)
    return Diag(diag::newer_version, fmt::format("the checkpoint has protocol {}", version.root->integer),
                "save it again with torch.save");
  LegacyCheckpoint result;
  result.big_endian = !is_little_endian(*sys_info.root);
  NPU_ASSIGN(result.data, next());
  NPU_ASSIGN(const Pickle keys, next());
  NPU_TRY(find_storages(*keys.root, bytes, at, result));
  return result;
}

}  // namespace

bool looks_like_legacy_checkpoint(std::span<const std::byte> bytes) {
  if (is_old_tar(bytes)) return true;
  ByteReader r(bytes);
  return r.u8() == 0x80 && r.u8() <= 5 && r.text(magic_bytes.size()) == magic_bytes;
}

Result<LegacyCheckpoint> read_legacy_checkpoint(const MappedFile& file) {
  const auto bytes = file.bytes();
  if (is_old_tar(bytes))
    return Diag(diag::unsupported, "checkpoints of PyTorch 0.1 (tar) are not read",
                "load it in PyTorch and save it again with torch.save")
        .in_file(file.path());
  if (!looks_like_legacy_checkpoint(bytes))
    return Diag(diag::unknown_format, "PyTorch did not write this file",
                "name a file made by torch.jit.save or torch.save")
        .in_file(file.path());
  auto result = read_pickles(bytes);
  if (!result) return std::move(result).error().in_file(file.path());
  return result;
}

}  // namespace npuport
