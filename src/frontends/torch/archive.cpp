#include "frontends/torch/archive.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>

#include "base/byte_reader.h"
#include "base/diag_codes.h"
#include "base/text.h"
#include "base/zip.h"
#include "frontends/torch/legacy.h"
#include "frontends/torch/storage.h"

namespace npuport {
namespace {

using Kind = PickleValue::Kind;

// caffe2/serialize/versions.h: kMaxSupportedFileFormatVersion.
constexpr int64_t newest_known_version = 10;
constexpr std::string_view debug_suffix = ".debug_pkl";
// Code and small members; anything larger is no source text.
constexpr uint64_t max_text = uint64_t{256} << 20;
constexpr uint64_t most_padding = uint64_t{64} << 10;  // bytes of a deflated storage behind its declared elements

// The folder all members share. PyTorch names it after the file; it may be anything, even nothing.
std::optional<std::string> root_of(const ZipReader& zip) {
  if (zip.find("data.pkl")) return "";
  for (const ZipEntry& e : zip.entries()) {
    const size_t slash = e.name.find('/');
    if (slash != std::string::npos && std::string_view(e.name).substr(slash + 1) == "data.pkl")
      return e.name.substr(0, slash + 1);
  }
  return std::nullopt;
}

TorchFileKind kind_of(const ZipReader& zip, std::string_view root) {
  for (const ZipEntry& e : zip.entries()) {
    const std::string_view name = e.name;
    if (!name.starts_with(root)) continue;
    const auto leaf = name.substr(root.size());
    if (leaf.starts_with("code/") || leaf == "constants.pkl") return TorchFileKind::torchscript;
  }
  return TorchFileKind::checkpoint;
}

}  // namespace

struct TorchArchive::State {
  std::shared_ptr<const MappedFile> file;
  std::optional<ZipReader> zip;  // none for legacy files
  std::string root;              // "name/" or ""
  TorchFileKind kind = TorchFileKind::torchscript;
  int64_t version = 0;
  bool big_endian = false;
  Pickle data;
  Pickle constants;
  std::vector<Diag> warnings;
  std::map<std::string, LegacyStorage, std::less<>> legacy_storages;

  // Filled on demand.
  std::map<std::string, Pickle, std::less<>> debug;
  std::optional<Pickle> traced;
  std::unordered_map<std::string, std::shared_ptr<const Tensor>> tensors;
  struct Inflated {
    std::span<const std::byte> bytes;
    std::weak_ptr<const void> owner;
  };
  std::map<std::string, Inflated, std::less<>> inflated;

  const ZipEntry* entry(std::string_view name) const { return zip ? zip->find(root + std::string(name)) : nullptr; }
  Result<ZipBytes> bytes(std::string_view name) const;
  Result<ZipBytes> storage(const StorageRecord& s);
  Result<Pickle> pickle(std::string_view name, const PickleOptions& options) const;
  Status open_zip();
  Status read_version();
  Status read_byte_order();
  Diag in_file(Diag d) const { return d.in_file(file->path()); }
};

Result<ZipBytes> TorchArchive::State::bytes(std::string_view name) const {
  const ZipEntry* e = entry(name);
  if (!e)
    return in_file(Diag(diag::missing_entry, fmt::format("the archive has no entry {}", name),
                        "save the model again; was the archive re-packed by hand?"));
  return zip->read(*e);
}

Result<Pickle> TorchArchive::State::pickle(std::string_view name, const PickleOptions& options) const {
  NPU_ASSIGN(const ZipBytes contents, bytes(name));
  auto result = read_pickle(contents.bytes, options);
  if (!result) {
    Diag d = std::move(result).error();
    d.message = fmt::format("{}: {}", name, d.message);
    return in_file(std::move(d));
  }
  return result;
}

Status TorchArchive::State::read_version() {
  std::string_view name = ".data/version";
  if (!entry(name)) name = "version";
  if (!entry(name)) return {};
  NPU_ASSIGN(const ZipBytes contents, bytes(name));
  const std::string_view text = trim(as_text(contents.bytes));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1)
    return in_file(Diag(diag::corrupt, fmt::format("the archive's version is \"{}\"", text.substr(0, 40)),
                        "save or download the file again"));
  if (version > newest_known_version) {
    Diag warning(diag::newer_version,
                 fmt::format("archive format {} is newer than {}, the newest known one", version, newest_known_version),
                 "if the import fails, save the model with an older PyTorch");
    warning.severity = Severity::warning;
    warnings.push_back(in_file(std::move(warning)));
  }
  return {};
}

Status TorchArchive::State::read_byte_order() {
  if (!entry("byteorder")) return {};
  NPU_ASSIGN(const ZipBytes contents, bytes("byteorder"));
  const std::string_view text = trim(as_text(contents.bytes));
  if (text != "little" && text != "big")
    return in_file(Diag(diag::corrupt, fmt::format("the archive's byte order is \"{}\"", text.substr(0, 40)),
                        "save or download the file again"));
  big_endian = text == "big";
  return {};
}

Status TorchArchive::State::open_zip() {
  NPU_ASSIGN(zip, ZipReader::open(file));
  const auto found = root_of(*zip);
  if (!found)
    return in_file(Diag(diag::unknown_format, "the zip archive has no data.pkl: PyTorch did not write it",
                        "name a file made by torch.jit.save or torch.save"));
  root = *found;
  kind = kind_of(*zip, root);
  NPU_TRY(read_version());
  NPU_TRY(read_byte_order());
  PickleOptions options;
  options.record_unknown = kind == TorchFileKind::checkpoint;
  NPU_ASSIGN(data, pickle("data.pkl", options));
  if (!entry("constants.pkl")) return {};
  options.pool = "constants";
  NPU_ASSIGN(constants, pickle("constants.pkl", options));
  if (constants.root->is(Kind::tuple) || constants.root->is(Kind::list)) return {};
  return in_file(Diag(diag::corrupt, "constants.pkl holds no tuple", "save or download the file again"));
}

Result<TorchArchive> TorchArchive::open(const std::string& path) {
  NPU_ASSIGN(auto file, MappedFile::open(path));
  return open(std::move(file));
}

Result<TorchArchive> TorchArchive::open(std::shared_ptr<const MappedFile> file) {
  auto state = std::make_shared<State>();
  state->file = std::move(file);
  if (ZipReader::looks_like_zip(state->file->bytes())) {
    NPU_TRY(state->open_zip());
    return TorchArchive(std::move(state));
  }
  NPU_ASSIGN(LegacyCheckpoint legacy, read_legacy_checkpoint(*state->file));
  state->kind = TorchFileKind::legacy_checkpoint;
  state->big_endian = legacy.big_endian;
  state->data = std::move(legacy.data);
  state->legacy_storages = std::move(legacy.storages);
  return TorchArchive(std::move(state));
}

std::optional<TorchFileKind> sniff_torch_file(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file) return std::nullopt;
  if (looks_like_legacy_checkpoint((*file)->bytes())) return TorchFileKind::legacy_checkpoint;
  if (!ZipReader::looks_like_zip((*file)->bytes())) return std::nullopt;
  const auto zip = ZipReader::open(*file);
  if (!zip) return std::nullopt;
  const auto root = root_of(*zip);
  if (!root) return std::nullopt;
  return kind_of(*zip, *root);
}

const std::string& TorchArchive::path() const { return state_->file->path(); }
uint64_t TorchArchive::file_bytes() const { return state_->file->bytes().size(); }
TorchFileKind TorchArchive::kind() const { return state_->kind; }
int64_t TorchArchive::version() const { return state_->version; }
bool TorchArchive::big_endian() const { return state_->big_endian; }
const std::vector<Diag>& TorchArchive::warnings() const { return state_->warnings; }
const PickleValue& TorchArchive::data() const { return *state_->data.root; }
const Pickle& TorchArchive::data_pickle() const { return state_->data; }
Status TorchArchive::check_unchanged() const { return state_->file->check_unchanged(); }

std::span<const PickleValue* const> TorchArchive::constants() const {
  if (!state_->constants.root) return {};
  return state_->constants.root->items;
}

std::vector<std::string> TorchArchive::entries() const {
  std::vector<std::string> names;
  if (!state_->zip) return names;
  for (const ZipEntry& e : state_->zip->entries())
    if (e.name.starts_with(state_->root)) names.push_back(e.name.substr(state_->root.size()));
  return names;
}

bool TorchArchive::has(std::string_view entry) const { return state_->entry(entry) != nullptr; }

Result<std::string> TorchArchive::read(std::string_view entry) const {
  NPU_ASSIGN(const ZipBytes contents, state_->bytes(entry));
  return std::string(as_text(contents.bytes));
}

std::vector<std::string> TorchArchive::code_files() const {
  constexpr std::string_view folder = "code/";
  std::vector<std::string> names;
  for (const std::string& name : entries())
    if (name.starts_with(folder) && !name.ends_with(debug_suffix) && !name.ends_with('/'))
      names.push_back(name.substr(folder.size()));
  std::ranges::sort(names);
  return names;
}

Result<std::string> TorchArchive::code(std::string_view name) const {
  const std::string entry = "code/" + std::string(name);
  const ZipEntry* e = state_->entry(entry);
  if (e && e->size > max_text)
    return state_->in_file(Diag(diag::too_large, fmt::format("{} is larger than any source text", entry)));
  return read(entry);
}

Result<const Pickle*> TorchArchive::debug(std::string_view name) const {
  const std::string entry = fmt::format("code/{}{}", name, debug_suffix);
  if (!has(entry)) return nullptr;
  const auto found = state_->debug.find(entry);
  if (found != state_->debug.end()) return &found->second;
  NPU_ASSIGN(Pickle pickle, state_->pickle(entry, {}));
  return &state_->debug.emplace(entry, std::move(pickle)).first->second;
}

Result<const PickleValue*> TorchArchive::traced_inputs() const {
  constexpr std::string_view name = "traced_inputs.pkl";
  if (!has(name)) return nullptr;
  if (!state_->traced) {
    PickleOptions options;
    options.pool = "traced_inputs";
    NPU_ASSIGN(state_->traced, state_->pickle(name, options));
  }
  return state_->traced->root;
}

Result<ZipBytes> TorchArchive::State::storage(const StorageRecord& s) {
  if (!zip) {
    const auto found = legacy_storages.find(s.key);
    if (found == legacy_storages.end())
      return in_file(Diag(diag::missing_entry, fmt::format("the checkpoint has no storage {}", s.key),
                          "save the checkpoint again"));
    return ZipBytes{file->bytes().subspan(found->second.offset, found->second.size), file};
  }
  // PyTorch up to 1.4 kept all storages in tensors/.
  std::string name = fmt::format("{}/{}", s.pool, s.key);
  if (!entry(name) && entry("tensors/" + s.key)) name = "tensors/" + s.key;
  const ZipEntry* e = entry(name);
  if (!e || e->method == 0) return bytes(name);
  const uint64_t declared = static_cast<uint64_t>(s.count) * static_cast<uint64_t>(std::max<int64_t>(s.item_bytes, 1));
  if (e->size > declared + most_padding)
    return in_file(Diag(diag::too_large,
                        fmt::format("{} inflates to {} bytes, the model declares {}", name, e->size, declared),
                        "save the model again; the file may be made to exhaust memory"));
  Inflated& known = inflated[name];
  if (auto owner = known.owner.lock()) return ZipBytes{known.bytes, std::move(owner)};
  NPU_ASSIGN(ZipBytes fresh, bytes(name));
  known = {fresh.bytes, fresh.owner};
  return fresh;
}

Status TorchArchive::check_tensor(const TensorRecord& r) const {
  const auto fail = [&](Diag d) { return state_->in_file(std::move(d)); };
  if (auto checked = check_record(r); !checked) return fail(std::move(checked).error());
  const std::string name = fmt::format("{}/{}", r.storage.pool, r.storage.key);
  if (!state_->zip) {
    NPU_ASSIGN(const ZipBytes bytes, state_->storage(r.storage));
    return check_storage(r, bytes.bytes.size());
  }
  const ZipEntry* e = state_->entry(name);
  if (!e) e = state_->entry("tensors/" + r.storage.key);
  if (!e)
    return fail(Diag(diag::missing_entry, fmt::format("the archive has no entry {}", name), "save the model again"));
  if (auto checked = check_storage(r, e->size); !checked) return fail(std::move(checked).error());
  return {};
}

Result<std::shared_ptr<const Tensor>> TorchArchive::tensor(const PickleValue& v) const {
  if (!v.is(Kind::tensor))
    return state_->in_file(
        Diag(diag::corrupt, fmt::format("expected a tensor, found {}", describe(v)), "save the model again"));
  return tensor(*v.tensor);
}

Result<std::shared_ptr<const Tensor>> TorchArchive::tensor(const TensorRecord& r) const {
  if (auto checked = check_record(r); !checked) return state_->in_file(std::move(checked).error());
  const std::string key = tensor_identity(r);
  if (const auto found = state_->tensors.find(key); found != state_->tensors.end()) return found->second;
  NPU_ASSIGN(ZipBytes bytes, state_->storage(r.storage));
  auto made = make_tensor(r, bytes.bytes, std::move(bytes.owner), state_->big_endian);
  if (!made) return state_->in_file(std::move(made).error());
  auto shared = std::make_shared<const Tensor>(std::move(*made));
  state_->tensors.emplace(key, shared);
  return shared;
}

Status TorchArchive::verify_checksums() const {
  if (!state_->zip) return {};
  for (const ZipEntry& e : state_->zip->entries()) NPU_TRY(state_->zip->check_crc(e));
  return {};
}

}  // namespace npuport
