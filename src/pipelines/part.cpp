#include "pipelines/part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/diag_codes.h"
#include "base/hash.h"
#include "pipelines/runtime_error.h"

namespace npuport {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

}  // namespace

bool PartSource::has_part(const std::string& part) const {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

Result<rt::Session> PartSource::open_part(const std::string& part, const std::string& role) const {
  if (!has_part(part))
    return Diag(diag::missing_entry,
                fmt::format("{} has no part '{}' (the {} of a {} model)", name, part, role, family),
                fmt::format("its parts: {}", fmt::join(parts, ", ")));
  return open(part);
}

Status PartSource::expect(const rt::TensorInfo& got, npuport_dtype dtype, const std::vector<int64_t>& shape,
                          const std::string& what) const {
  if (got.shape != shape) {
    std::string templ = family;
    for (char& c : templ) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return Diag(diag::shape_mismatch,
                fmt::format("{} is {}, this model's {}", what, shape_text(got.shape), shape_text(shape)),
                "was the port made by `npuport trace --template " + templ + "`?");
  }
  if (got.dtype != dtype)
    return Diag(diag::dtype_mismatch,
                fmt::format("{} is {}, not {}", what, npuport_dtype_name(got.dtype), npuport_dtype_name(dtype)));
  return {};
}

PartSource parts_of(rt::Port port, std::string family, const std::string& backend, const rt::Options& options) {
  const auto shared = std::make_shared<rt::Port>(std::move(port));
  PartSource out;
  out.name = shared->metadata("/name").value_or(shared->folder());
  out.family = std::move(family);
  out.parts = shared->parts();
  out.open = [shared, backend, options](const std::string& part) -> Result<rt::Session> {
    auto session = shared->open_part(part, backend, options);
    if (!session) return diag_of(session.error());
    return std::move(*session);
  };
  return out;
}

Result<std::string> carried_file(const rt::Port& port, const std::string& pointer, const std::string& otherwise) {
  const std::string name = port.metadata(pointer + "/file").value_or(otherwise);
  if (name.empty()) return std::string();
  const std::string path = (std::filesystem::path(port.folder()) / std::filesystem::path(name).filename()).string();
  if (const auto wanted = port.metadata(pointer + "/sha256")) {
    NPU_ASSIGN(const std::string sha256, sha256_file(path));
    if (sha256 != *wanted)
      return Diag(diag::corrupt, "the vocabulary is not the one the port carried (SHA-256 differs)",
                  "port the model again, or restore the file")
          .in_file(path);
  }
  return path;
}

Status expect_counts(const rt::Session& s, size_t inputs, size_t outputs, const std::string& part) {
  if (s.input_count() == inputs && s.output_count() == outputs) return {};
  return Diag(diag::shape_mismatch, fmt::format("part '{}' has {} inputs and {} outputs, expected {} and {}", part,
                                                s.input_count(), s.output_count(), inputs, outputs));
}

Status checked(const rt::Status& s) {
  if (s) return {};
  return diag_of(s.error());
}

Status run_timed(rt::Session& session, std::vector<double>& times) {
  const auto start = std::chrono::steady_clock::now();
  NPU_TRY(checked(session.run()));
  times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  return {};
}

FloatBuffer::FloatBuffer(size_t count) : count_(count) {
  const size_t bytes = std::max<size_t>(1, (count * sizeof(float) + 63) / 64) * 64;
  data_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (!data_) std::abort();
  std::memset(data_.get(), 0, bytes);
}

void write_row(FloatBuffer& cache, const CacheShape& shape, size_t position, std::span<const float> row) {
  assert(position < shape.rows && row.size() == shape.layers * shape.width && cache.size() == shape.count());
  for (size_t layer = 0; layer < shape.layers; ++layer)
    std::memcpy(cache.data() + (layer * shape.rows + position) * shape.width, row.data() + layer * shape.width,
                shape.width * sizeof(float));
}

void copy_rows(const FloatBuffer& from, FloatBuffer& to, const CacheShape& shape, size_t rows) {
  assert(rows <= shape.rows && from.size() == shape.count() && to.size() == shape.count());
  const size_t stride = shape.rows * shape.width;
  for (size_t layer = 0; layer < shape.layers; ++layer)
    std::memcpy(to.data() + layer * stride, from.values().data() + layer * stride, rows * shape.width * sizeof(float));
}

void set_step_mask(std::vector<float>& mask, size_t position, float masked) {
  for (size_t i = 0; i + 1 < mask.size(); ++i) mask[i] = i < position ? 0.0f : masked;
  mask.back() = 0;
}

}  // namespace npuport
