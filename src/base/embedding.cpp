#include "base/embedding.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/npy.h"

namespace npuport {
namespace {

constexpr int64_t kInfoVersion = 1;
constexpr uint64_t kInfoLimit = uint64_t{1} << 20;

// embedding_info.json as read; missing fields are errors.
struct Info {
  int64_t rows = 0, width = 0;
  DType dtype = DType::unknown;
  std::string sha256;
};

Result<Info> read_info(const std::string& path) {
  NPU_ASSIGN(const std::string text, read_file(path, kInfoLimit));
  NPU_ASSIGN(const Json j, parse_json(text, path));
  const auto integer = [&](const char* key) -> int64_t {
    return j.is_object() && j.contains(key) && j[key].is_number_integer() ? j[key].get<int64_t>() : -1;
  };
  const auto string = [&](const char* key) -> std::string {
    return j.is_object() && j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : "";
  };
  if (integer("version") > kInfoVersion)
    return Diag(diag::newer_version, "the table's description was written by a newer npuport",
                "update npuport, or port again")
        .in_file(path);
  Info info{integer("vocab_size"), integer("width"), parse_dtype(string("dtype")).value_or(DType::unknown),
            string("sha256")};
  if (integer("version") < 1 || info.rows < 0 || info.width < 0 || info.dtype == DType::unknown ||
      info.sha256.size() != 64)
    return Diag(diag::corrupt, "not every one of version, vocab_size, width, dtype and sha256 is there", "port again")
        .in_file(path);
  return info;
}

Diag disagrees(const std::string& path, const std::string& what, const std::string& table, const std::string& info) {
  return Diag(diag::corrupt, what + " is " + table + ", its description says " + info,
              "port the model again, or restore the file")
      .in_file(path);
}

Status check(const Info& info, const NpyHeader& h, const std::string& path, bool hash) {
  const Shape wanted{info.rows, info.width};
  if (h.shape != wanted) return disagrees(path, "the table's shape", to_string(h.shape), to_string(wanted));
  if (h.dtype != info.dtype)
    return disagrees(path, "the table's type", std::string(long_name(h.dtype)), std::string(long_name(info.dtype)));
  if (!hash) return {};
  NPU_ASSIGN(const std::string sha256, sha256_file(path));
  if (sha256 != info.sha256) return disagrees(path, "the file's SHA-256", sha256, info.sha256);
  return {};
}

Diag outside(int64_t id, size_t position, int64_t rows) {
  return Diag(diag::index_range, "id " + std::to_string(id) + " at position " + std::to_string(position) +
                                     " is outside the embedding table of " + std::to_string(rows) + " rows");
}

}  // namespace

Result<Tensor> open_embedding(const std::string& npy_path, const EmbeddingOptions& options) {
  Info info;
  if (!options.info_path.empty()) {
    NPU_ASSIGN(info, read_info(options.info_path));
  }
  NPU_ASSIGN(auto file, MappedFile::open(npy_path));
  auto h = parse_npy_header(file->bytes(), info.dtype == DType::bf16 ? DType::bf16 : DType::unknown);
  if (!h) return std::move(h).error().in_file(npy_path);
  if (h->shape.size() != 2)
    return Diag(diag::corrupt, "an embedding table has two dimensions, this one has the shape " + to_string(h->shape))
        .in_file(npy_path);
  if (!is_float(h->dtype))
    return Diag(diag::dtype_mismatch, "an embedding table holds floats, this one " + std::string(long_name(h->dtype)))
        .in_file(npy_path);
  if (h->fortran)
    return Diag(diag::corrupt, "the table is stored column by column (Fortran order)",
                "save it with numpy.save(file, numpy.ascontiguousarray(table))")
        .in_file(npy_path);
  if (!options.info_path.empty()) {
    NPU_TRY(check(info, *h, npy_path, options.check_hash));
    if (!options.sha256.empty() && options.sha256 != info.sha256)
      return disagrees(npy_path, "the SHA-256 in the model's metadata", options.sha256, info.sha256);
  }
  return npy_tensor(*h, file);
}

Result<Tensor> look_up_rows(const Tensor& table, const Tensor& ids) {
  if (!is_integer(ids.dtype))
    return Diag(diag::dtype_mismatch, "ids are integers, not " + std::string(long_name(ids.dtype)));
  const int64_t rows = table.shape[0];
  const auto row_bytes = static_cast<size_t>(byte_size(table.dtype, table.shape[1]));
  Shape shape = ids.shape;
  shape.push_back(table.shape[1]);
  NPU_TRY(check_shape(shape));
  Tensor out = Tensor::zeros(table.dtype, std::move(shape));
  for (int64_t i = 0; i < ids.count(); ++i) {
    const int64_t id = get_int(ids, i);
    if (id < 0 || id >= rows) return outside(id, static_cast<size_t>(i), rows);
    if (row_bytes > 0)
      std::memcpy(out.mutable_data() + static_cast<size_t>(i) * row_bytes,
                  table.data + static_cast<size_t>(id) * row_bytes, row_bytes);
  }
  return out;
}

Status look_up_rows(const Tensor& table, std::span<const int64_t> ids, float* out) {
  const int64_t rows = table.shape[0], width = table.shape[1];
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= rows) return outside(ids[i], i, rows);
  dispatch_float(table.dtype, [&]<class T>() {
    const T* values = reinterpret_cast<const T*>(table.data);
    for (const int64_t id : ids)
      for (int64_t k = 0; k < width; ++k) *out++ = static_cast<float>(values[id * width + k]);
  });
  return {};
}

}  // namespace npuport
