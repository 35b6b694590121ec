// TensorProto → Tensor, external data included.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/proto_reader.h"
#include "frontends/onnx_file.h"

namespace npuport {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSparseLimit = int64_t{1} << 24;  // elements of a sparse tensor made dense

// The data fields of one TensorProto.
struct Payload {
  std::span<const std::byte> raw;
  bool has_raw = false, external = false, segment = false;
  std::vector<float> floats;
  std::vector<double> doubles;
  Ints int32s, int64s, uint64s;
  std::map<std::string, std::string> where;
};

Result<Payload> payload(std::span<const std::byte> message) {
  Payload p;
  ProtoReader r(message);
  while (r.next()) {
    switch (r.field()) {
      case 3:
        p.segment = true;
        break;
      case 4:
        r.append(p.floats);
        break;
      case 5:
        r.append(p.int32s);
        break;
      case 7:
        r.append(p.int64s);
        break;
      case 9:
        p.raw = r.bytes();
        p.has_raw = true;
        break;
      case 10:
        r.append(p.doubles);
        break;
      case 11:
        r.append(p.uint64s);
        break;
      case 13: {
        ProtoReader e(r.bytes());
        std::string key, value;
        while (e.next()) {
          if (e.field() == 1) key = e.text();
          if (e.field() == 2) value = e.text();
        }
        p.where[key] = std::move(value);
        break;
      }
      case 14:
        p.external = r.integer() == 1;
        break;
      default:
        break;
    }
  }
  if (r.failed()) return Diag(diag::corrupt, "its message is broken");
  return p;
}

template <class To, class From>
Tensor converted(DType dtype, const Shape& dims, const std::vector<From>& from) {
  Tensor t = Tensor::zeros(dtype, dims);
  auto* to = reinterpret_cast<To*>(t.mutable_data());
  for (size_t i = 0; i < from.size(); ++i) to[i] = static_cast<To>(from[i]);
  return t;
}

// Two to a byte, low half first.
Tensor unpacked(DType packed, const Shape& dims, std::span<const std::byte> bytes) {
  Tensor t = Tensor::zeros(packed == DType::i4 ? DType::i8 : DType::u8, dims);
  for (int64_t i = 0; i < t.count(); ++i) {
    const auto b = std::to_integer<uint8_t>(bytes[static_cast<size_t>(i / 2)]);
    int v = i % 2 == 0 ? b & 15 : b >> 4;
    if (packed == DType::i4 && v > 7) v -= 16;
    t.mutable_data()[i] = static_cast<std::byte>(v);
  }
  return t;
}

Result<Tensor> from_lists(const OnnxFileTensor& t, DType dtype, const Payload& p) {
  const auto count = static_cast<size_t>(element_count(t.dims));
  const auto holds = [&](size_t n, size_t wanted) -> Status {
    if (n == wanted) return {};
    return Diag(diag::corrupt, fmt::format("{} needs {} values, it holds {}",
                                           to_string(TensorType{dtype, t.dims, nullptr}), wanted, n));
  };
  switch (dtype) {
    case DType::f32:
      NPU_TRY(holds(p.floats.size(), count));
      return converted<float>(dtype, t.dims, p.floats);
    case DType::f64:
      NPU_TRY(holds(p.doubles.size(), count));
      return converted<double>(dtype, t.dims, p.doubles);
    case DType::i64:
      NPU_TRY(holds(p.int64s.size(), count));
      return converted<int64_t>(dtype, t.dims, p.int64s);
    case DType::u64:
      NPU_TRY(holds(p.uint64s.size(), count));
      return converted<uint64_t>(dtype, t.dims, p.uint64s);
    case DType::u32:
      NPU_TRY(holds(p.uint64s.size(), count));
      return converted<uint32_t>(dtype, t.dims, p.uint64s);
    case DType::i4:
    case DType::u4: {
      NPU_TRY(holds(p.int32s.size(), (count + 1) / 2));
      std::vector<std::byte> bytes;
      for (const int64_t v : p.int32s) bytes.push_back(static_cast<std::byte>(v & 255));
      return unpacked(dtype, t.dims, bytes);
    }
    default:
      break;
  }
  NPU_TRY(holds(p.int32s.size(), count));
  switch (dtype) {
    case DType::f16:
    case DType::bf16:
    case DType::u16:
      return converted<uint16_t>(dtype, t.dims, p.int32s);
    case DType::i32:
      return converted<int32_t>(dtype, t.dims, p.int32s);
    case DType::i16:
      return converted<int16_t>(dtype, t.dims, p.int32s);
    case DType::i8:
      return converted<int8_t>(dtype, t.dims, p.int32s);
    case DType::u8:
      return converted<uint8_t>(dtype, t.dims, p.int32s);
    case DType::boolean:
      return converted<bool>(dtype, t.dims, p.int32s);
    default:
      return Diag(diag::unsupported, fmt::format("constant of type {}", onnx_type_name(t.type)));
  }
}

Result<uint64_t> number(const std::map<std::string, std::string>& where, const std::string& key, uint64_t fallback) {
  const auto it = where.find(key);
  if (it == where.end()) return fallback;
  uint64_t v = 0;
  const auto [end, ec] = std::from_chars(it->second.data(), it->second.data() + it->second.size(), v);
  if (ec != std::errc() || end != it->second.data() + it->second.size()) {
    return Diag(diag::corrupt, fmt::format("external data: {} = '{}' is no number", key, it->second));
  }
  return v;
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> OnnxTensors::external(const std::string& location) {
  if (const auto it = files_.find(location); it != files_.end()) return it->second;
  const fs::path wanted(location);
  const bool climbs = std::any_of(wanted.begin(), wanted.end(), [](const fs::path& part) { return part == ".."; });
  if (location.empty() || location.find('\0') != std::string::npos || wanted.is_absolute() || climbs) {
    return Diag(diag::corrupt,
                fmt::format("external data at '{}': only files in the model's own folder are read", location));
  }
  std::error_code ec;
  const fs::path folder = fs::path(model_->path()).parent_path();
  const fs::path root = fs::canonical(folder.empty() ? fs::path(".") : folder, ec);
  const fs::path path = ec ? fs::path() : fs::canonical(root / wanted, ec);
  if (ec) {
    return Diag(diag::missing_entry, fmt::format("external data: there is no file '{}' beside the model", location),
                "put the data file where it was when the model was exported");
  }
  const auto inside = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  if (inside.first != root.end()) {
    return Diag(diag::corrupt,
                fmt::format("external data at '{}' is a link that leads out of the model's folder", location),
                "copy the file into the folder");
  }
  NPU_ASSIGN(auto file, MappedFile::open(path.string()));
  files_[location] = file;
  return file;
}

Result<Tensor> OnnxTensors::from_raw(const OnnxFileTensor& t, DType dtype, std::span<const std::byte> raw,
                                     const std::shared_ptr<const MappedFile>& owner) const {
  const int64_t count = element_count(t.dims);
  const bool half_bytes = dtype == DType::i4 || dtype == DType::u4;
  const int64_t wanted = half_bytes ? (count + 1) / 2 : byte_size(dtype, count);
  if (static_cast<uint64_t>(wanted) != raw.size()) {
    return Diag(diag::corrupt, fmt::format("{} needs {} bytes, it holds {}",
                                           to_string(TensorType{dtype, t.dims, nullptr}), wanted, raw.size()));
  }
  if (half_bytes) return unpacked(dtype, t.dims, raw);
  Tensor out{dtype, t.dims, owner, raw.data()};
  // Kernels read whole elements: what the file aligns badly is copied; so are booleans, which must be 0 or 1.
  const bool aligned = reinterpret_cast<uintptr_t>(raw.data()) % static_cast<uintptr_t>(byte_size(dtype, 1)) == 0;
  if (aligned && dtype != DType::boolean && !raw.empty()) return out;
  Tensor copy = Tensor::zeros(dtype, t.dims);
  if (raw.empty()) return copy;
  std::memcpy(copy.mutable_data(), raw.data(), raw.size());
  release_pages(raw);
  if (dtype == DType::boolean) {
    for (size_t i = 0; i < raw.size(); ++i) copy.mutable_data()[i] = std::byte{raw[i] != std::byte{0}};
  }
  return copy;
}

Result<Tensor> OnnxTensors::read(const OnnxFileTensor& t) {
  const auto run = [&]() -> Result<Tensor> {
    NPU_TRY(check_shape(t.dims));
    const DType dtype = onnx_dtype(t.type);
    if (dtype == DType::unknown) {
      return Diag(diag::unsupported, fmt::format("constant of type {}", onnx_type_name(t.type)));
    }
    NPU_ASSIGN(const Payload p, payload(t.message));
    if (p.segment) return Diag(diag::unsupported, "constant in segments");
    if (p.external) {
      const auto at = p.where.find("location");
      NPU_ASSIGN(const auto file, external(at == p.where.end() ? std::string() : at->second));
      const auto bytes = file->bytes();
      const auto count = static_cast<uint64_t>(element_count(t.dims));
      const uint64_t needed = dtype == DType::i4 || dtype == DType::u4
                                  ? (count + 1) / 2
                                  : static_cast<uint64_t>(byte_size(dtype, static_cast<int64_t>(count)));
      NPU_ASSIGN(const uint64_t offset, number(p.where, "offset", 0));
      NPU_ASSIGN(const uint64_t length, number(p.where, "length", needed));
      if (offset > bytes.size() || length > bytes.size() - offset) {
        return Diag(diag::truncated, fmt::format("external data '{}' has {} bytes; {} at offset {} are wanted",
                                                 at->second, bytes.size(), length, offset));
      }
      return from_raw(t, dtype, bytes.subspan(static_cast<size_t>(offset), static_cast<size_t>(length)), file);
    }
    if (p.has_raw) return from_raw(t, dtype, p.raw, model_);
    return from_lists(t, dtype, p);
  };
  Result<Tensor> made = run();
  if (!made) return std::move(made).error().at_tensor(t.name);
  return made;
}

Result<Tensor> OnnxTensors::read(const OnnxFileSparse& t) {
  NPU_ASSIGN(const Tensor values, read(t.values));
  NPU_ASSIGN(const Tensor indices, read(t.indices));
  NPU_TRY(check_shape(t.dims));
  if (element_count(t.dims) > kSparseLimit) {
    return Diag(diag::too_large, fmt::format("sparse tensor of shape {}", to_string(t.dims))).at_tensor(t.values.name);
  }
  const auto rank = static_cast<int64_t>(t.dims.size());
  const int64_t count = values.count();
  const bool linear = indices.shape.size() == 1;
  if (values.shape.size() != 1 || indices.dtype != DType::i64 || indices.shape.empty() || indices.shape[0] != count ||
      (!linear && (indices.shape.size() != 2 || indices.shape[1] != rank))) {
    return Diag(diag::corrupt, "the indices of a sparse tensor do not fit its values").at_tensor(t.values.name);
  }
  Tensor dense = Tensor::zeros(values.dtype, t.dims);
  const auto size = static_cast<size_t>(byte_size(values.dtype, 1));
  const auto strides = strides_of(t.dims);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0;
    bool inside = true;
    if (linear) {
      at = get_int(indices, i);
      inside = at >= 0 && at < dense.count();
    } else {
      for (int64_t d = 0; d < rank; ++d) {
        const int64_t k = get_int(indices, i * rank + d);
        inside &= k >= 0 && k < t.dims[static_cast<size_t>(d)];
        if (inside) at += k * strides[static_cast<size_t>(d)];
      }
    }
    if (!inside) return Diag(diag::corrupt, "an index of a sparse tensor lies outside").at_tensor(t.values.name);
    std::memcpy(dense.mutable_data() + static_cast<size_t>(at) * size, values.data + static_cast<size_t>(i) * size,
                size);
  }
  return dense;
}

bool OnnxTensors::mapped(const Tensor& t) const {
  if (t.owner == model_) return true;
  return std::any_of(files_.begin(), files_.end(), [&](const auto& f) { return f.second == t.owner; });
}

int64_t OnnxTensors::external_bytes() const {
  int64_t n = 0;
  for (const auto& [name, file] : files_) n += static_cast<int64_t>(file->bytes().size());
  return n;
}

}  // namespace npuport
