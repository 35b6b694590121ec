#include "frontends/pt2/archive.h"

#include <fmt/format.h>

#include "base/diag_codes.h"
#include "frontends/torch/storage.h"
#include "frontends/torch/weights.h"

namespace npuport {
namespace {

constexpr const char* kFlatProgram = "serialized_exported_program.json";
// Texts larger than this are no program: even models of thousands of nodes stay far below.
constexpr uint64_t kMaxText = uint64_t{512} << 20;
constexpr size_t kMaxRank = 64;

// The folder before models/ of a PT2 archive ("archive/"), nullopt when there is none.
std::optional<std::string> archive_root(const ZipReader& zip) {
  for (const ZipEntry& e : zip.entries()) {
    const size_t at = e.name.find("models/");
    if (at == std::string::npos || !e.name.ends_with(".json")) continue;
    const std::string root = e.name.substr(0, at);
    if (zip.find(root + "archive_format")) return root;
  }
  return std::nullopt;
}

Diag damaged(std::string what) {
  return Diag(diag::corrupt, std::move(what), "export the model again with torch.export.save");
}

}  // namespace

std::optional<DType> dtype_of_export_type(int64_t number) {
  constexpr DType kTypes[] = {DType::unknown, DType::u8,  DType::i8,  DType::i16, DType::i32,
                              DType::i64,     DType::f16, DType::f32, DType::f64};
  if (number >= 1 && number <= 8) return kTypes[number];
  if (number == 12) return DType::boolean;
  if (number == 13) return DType::bf16;
  if (number == 28) return DType::u16;
  return std::nullopt;
}

Result<const Json*> json_member(const Json& j, const char* key) {
  if (j.is_object()) {
    if (const auto it = j.find(key); it != j.end()) return &*it;
  }
  return damaged(fmt::format("the program's JSON lacks \"{}\"", key));
}

Result<std::string> json_string(const Json& j, const char* key) {
  NPU_ASSIGN(const Json* v, json_member(j, key));
  if (!v->is_string()) return damaged(fmt::format("\"{}\" of the program's JSON is no text", key));
  return v->get<std::string>();
}

Result<std::pair<std::string, const Json*>> json_union(const Json& j) {
  if (!j.is_object()) return damaged("an argument of the program's JSON is no object");
  const Json* found = nullptr;
  std::string tag;
  for (const auto& [key, value] : j.items()) {
    if (value.is_null()) continue;
    if (found != nullptr) return damaged("an argument of the program's JSON has two values");
    tag = key;
    found = &value;
  }
  if (found == nullptr) return damaged("an argument of the program's JSON has no value");
  return std::pair(std::move(tag), found);
}

Result<int64_t> json_size(const Json& j, bool& symbolic) {
  NPU_ASSIGN(const auto u, json_union(j));
  if (u.first == "as_int" && u.second->is_number_integer()) return u.second->get<int64_t>();
  if (u.first != "as_expr") return damaged("a size of the program's JSON is no number");
  symbolic = true;
  if (const auto hint = u.second->find("hint"); u.second->is_object() && hint != u.second->end() && hint->is_object()) {
    if (const auto n = hint->find("as_int"); n != hint->end() && n->is_number_integer()) return n->get<int64_t>();
  }
  return -1;
}

namespace {

Result<std::vector<int64_t>> sizes(const Json& meta, const char* key) {
  NPU_ASSIGN(const Json* list, json_member(meta, key));
  if (!list->is_array() || list->size() > kMaxRank) return damaged(fmt::format("\"{}\" is no list of sizes", key));
  std::vector<int64_t> out;
  for (const Json& item : *list) {
    bool symbolic = false;
    NPU_ASSIGN(const int64_t n, json_size(item, symbolic));
    if (symbolic || n < 0) return damaged("a weight has a symbolic or negative size");
    out.push_back(n);
  }
  return out;
}

// TensorMeta of a raw payload as the record of a storage that starts at the entry's first byte.
Result<TensorRecord> record_of(const Json& meta, uint64_t bytes) {
  TensorRecord r;
  NPU_ASSIGN(const Json* type, json_member(meta, "dtype"));
  const std::optional<DType> dtype =
      type->is_number_integer() ? dtype_of_export_type(type->get<int64_t>()) : std::nullopt;
  r.storage.dtype = dtype.value_or(DType::unknown);
  r.storage.dtype_name = dtype ? std::string(long_name(*dtype)) : "element type " + type->dump();
  r.storage.item_bytes = dtype ? bits(*dtype) / 8 : 0;
  NPU_ASSIGN(r.sizes, sizes(meta, "sizes"));
  NPU_TRY(check_shape(r.sizes));
  NPU_ASSIGN(r.strides, sizes(meta, "strides"));
  if (r.strides.size() != r.sizes.size()) return damaged("a weight has more sizes than strides");
  bool symbolic = false;
  NPU_ASSIGN(const Json* offset, json_member(meta, "storage_offset"));
  NPU_ASSIGN(r.offset, json_size(*offset, symbolic));
  if (symbolic || r.offset < 0) return damaged("a weight has no fixed place in its storage");
  r.storage.count = r.storage.item_bytes > 0 ? static_cast<int64_t>(bytes) / r.storage.item_bytes : 0;
  return r;
}

}  // namespace

bool Pt2Archive::looks_like(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!file || !ZipReader::looks_like_zip((*file)->bytes())) return false;
  const auto zip = ZipReader::open(*file);
  return zip && (zip->find(kFlatProgram) || archive_root(*zip));
}

uint64_t Pt2Archive::file_bytes() const { return zip_->file()->bytes().size(); }

Result<ZipBytes> Pt2Archive::read(const std::string& entry) const {
  const ZipEntry* e = zip_->find(entry);
  if (!e) return Diag(diag::missing_entry, "the archive has no entry " + entry, "export the model again");
  return zip_->read(*e);
}

Result<Pt2Archive> Pt2Archive::open(std::shared_ptr<const MappedFile> file) {
  Pt2Archive a;
  a.path_ = file->path();
  NPU_ASSIGN(ZipReader zip, ZipReader::open(std::move(file)));
  a.zip_ = std::make_shared<ZipReader>(std::move(zip));
  Status opened;
  if (a.zip_->find(kFlatProgram)) {
    opened = a.open_flat();
  } else if (const auto root = archive_root(*a.zip_)) {
    opened = a.open_archive(*root);
  } else {
    opened = Diag(diag::unknown_format, "the zip archive holds no exported program");
  }
  if (!opened) return std::move(opened).error().in_file(a.path_);
  return a;
}

// PyTorch 2.1 to 2.7: the weights are files of torch.save inside the zip.
Status Pt2Archive::open_flat() {
  container_ = "zip of PyTorch 2.1 to 2.7";
  NPU_ASSIGN(const ZipBytes text, read(kFlatProgram));
  if (text.bytes.size() > kMaxText) return Diag(diag::too_large, "the program's JSON is too large");
  NPU_ASSIGN(program_, parse_json({reinterpret_cast<const char*>(text.bytes.data()), text.bytes.size()}, kFlatProgram));
  for (const char* name : {"serialized_state_dict.pt", "serialized_state_dict.json", "serialized_constants.pt",
                           "serialized_constants.json", "serialized_tensor_constants.pt"}) {
    if (zip_->find(name)) NPU_TRY(add_pickled(name));
  }
  return {};
}

Status Pt2Archive::open_archive(const std::string& root) {
  container_ = "PT2 archive";
  std::vector<std::string> models;
  for (const ZipEntry& e : zip_->entries()) {
    if (e.name.starts_with(root + "models/") && e.name.ends_with(".json")) models.push_back(e.name);
  }
  if (models.size() != 1) {
    return Diag(diag::unsupported, fmt::format("the archive holds {} models", models.size()), "export one at a time");
  }
  if (zip_->find(root + "byteorder")) {
    NPU_ASSIGN(const ZipBytes order, read(root + "byteorder"));
    big_endian_ =
        std::string_view(reinterpret_cast<const char*>(order.bytes.data()), order.bytes.size()).starts_with("big");
  }
  NPU_ASSIGN(const ZipBytes text, read(models[0]));
  if (text.bytes.size() > kMaxText) return Diag(diag::too_large, "the program's JSON is too large");
  NPU_ASSIGN(program_, parse_json({reinterpret_cast<const char*>(text.bytes.data()), text.bytes.size()}, models[0]));
  const size_t from = root.size() + std::string_view("models/").size();
  const std::string name = models[0].substr(from, models[0].size() - from - std::string_view(".json").size());
  for (const auto& [folder, kind] :
       {std::pair("data/weights/", "weights"), std::pair("data/constants/", "constants")}) {
    const std::string config = root + folder + name + "_" + kind + "_config.json",
                      pickled = root + folder + name + ".pt";
    if (zip_->find(config)) {
      NPU_TRY(add_payload(root + folder, config));
    } else if (zip_->find(pickled)) {
      NPU_TRY(add_pickled(pickled));
    }
  }
  return {};
}

Status Pt2Archive::add_pickled(const std::string& entry) {
  NPU_ASSIGN(const ZipBytes contents, read(entry));
  if (contents.bytes.empty()) return {};  // nothing to save
  const std::string bytes(reinterpret_cast<const char*>(contents.bytes.data()), contents.bytes.size());
  NPU_ASSIGN(TorchArchive archive, TorchArchive::open(MappedFile::from_bytes(bytes, path_ + "/" + entry)));
  pickles_.push_back(std::make_unique<TorchArchive>(std::move(archive)));
  const TorchArchive* held = pickles_.back().get();
  for (const WeightEntry& w : collect_weights(held->data())) weights_[w.name] = {entry, *w.value->tensor, held};
  return {};
}

Status Pt2Archive::add_payload(const std::string& folder, const std::string& config) {
  NPU_ASSIGN(const ZipBytes text, read(config));
  if (text.bytes.size() > kMaxText) return Diag(diag::too_large, config + " is too large");
  NPU_ASSIGN(const Json json,
             parse_json({reinterpret_cast<const char*>(text.bytes.data()), text.bytes.size()}, config));
  NPU_ASSIGN(const Json* list, json_member(json, "config"));
  if (!list->is_object()) return damaged(config + " lists no payloads");
  for (const auto& [name, payload] : list->items()) {
    NPU_ASSIGN(const std::string path, json_string(payload, "path_name"));
    const auto pickled = payload.find("use_pickle");
    const auto meta = payload.find("tensor_meta");
    if ((pickled != payload.end() && pickled->is_boolean() && pickled->get<bool>()) || meta == payload.end() ||
        meta->is_null()) {
      continue;  // an object, not a tensor: an error only when something uses it
    }
    const std::string entry = folder + path;
    const ZipEntry* e = zip_->find(entry);
    if (!e) return Diag(diag::missing_entry, "the archive has no entry " + entry, "export the model again");
    NPU_ASSIGN(TensorRecord record, record_of(*meta, e->size));
    weights_[name] = {entry, std::move(record), nullptr};
  }
  return {};
}

std::vector<std::string> Pt2Archive::weights() const {
  std::vector<std::string> names;
  for (const auto& [name, payload] : weights_) names.push_back(name);
  return names;
}

Result<TensorType> Pt2Archive::weight_type(const std::string& name) const {
  const auto it = weights_.find(name);
  if (it == weights_.end()) return Diag(diag::missing_entry, "the archive holds no tensor " + name);
  return TensorType{it->second.record.storage.dtype, it->second.record.sizes, nullptr};
}

Result<std::shared_ptr<const Tensor>> Pt2Archive::weight(const std::string& name) {
  const auto it = weights_.find(name);
  if (it == weights_.end()) {
    return Diag(diag::missing_entry, "the archive holds no tensor " + name, "export the model again").at_tensor(name);
  }
  const Payload& p = it->second;
  if (p.pickled) return p.pickled->tensor(p.record);
  NPU_TRY(check_record(p.record));
  NPU_ASSIGN(ZipBytes bytes, read(p.entry));
  NPU_ASSIGN(Tensor t, make_tensor(p.record, bytes.bytes, std::move(bytes.owner), big_endian_));
  return std::make_shared<const Tensor>(std::move(t));
}

}  // namespace npuport
