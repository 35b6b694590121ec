// The parts of an opened port as text pipelines run them: which are there, sessions checked against what the pipeline
// expects, timed runs, and the caches of a decoder that takes one token at a time.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/npuport_runtime.hpp"

namespace npuport {

// Where a model's parts come from; opened when first needed.
struct PartSource {
  std::string name;    // of the port, for messages
  std::string family;  // "Whisper", "Marian": whose parts are looked for
  std::vector<std::string> parts;
  std::function<Result<rt::Session>(const std::string& part)> open;

  bool has_part(const std::string& part) const;
  // missing_entry naming the port's parts when it lacks this one; `role`: what it is to the model. Errors of `open`.
  Result<rt::Session> open_part(const std::string& part, const std::string& role) const;
  // shape_mismatch or dtype_mismatch, `what` in the message, unless the tensor is this.
  Status expect(const rt::TensorInfo& got, npuport_dtype dtype, const std::vector<int64_t>& shape,
                const std::string& what) const;
};

// Name, parts and `open` of a port that stays open as long as they are used.
PartSource parts_of(rt::Port port, std::string family, const std::string& backend, const rt::Options& options);

// The path of a file the port carries beside its metadata, held to the SHA-256 at `pointer`/sha256 where that is
// recorded. Its name is the entry `pointer`/file, else `otherwise`; empty when there is neither. Errors: those of
// reading, corrupt when the hash differs.
Result<std::string> carried_file(const rt::Port& port, const std::string& pointer, const std::string& otherwise = {});

// shape_mismatch unless `part` has so many inputs and outputs.
Status expect_counts(const rt::Session& session, size_t inputs, size_t outputs, const std::string& part);

// The runtime's result as ours.
Status checked(const rt::Status& s);
// Runs and adds the milliseconds to `times`.
Status run_timed(rt::Session& session, std::vector<double>& times);

// float32 values at a multiple of 64 bytes, as backends like it; all zero at first.
class FloatBuffer {
 public:
  FloatBuffer() = default;
  explicit FloatBuffer(size_t count);  // aborts when there is no memory
  float* data() { return data_.get(); }
  size_t size() const { return count_; }
  std::span<const float> values() const { return {data_.get(), count_}; }
  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span<float>(data_.get(), count_)); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> data_;
  size_t count_ = 0;
};

// Rows [layers][rows][width] of a decoder's own keys or values.
struct CacheShape {
  size_t layers = 1, rows = 0, width = 0;
  size_t count() const { return layers * rows * width; }
};
// Writes `row` [layers][1][width], the newest keys or values, to row `position`. position < shape.rows.
void write_row(FloatBuffer& cache, const CacheShape& shape, size_t position, std::span<const float> row);
// The first `rows` rows of every layer.
void copy_rows(const FloatBuffer& from, FloatBuffer& to, const CacheShape& shape, size_t rows);
// The mask [rows + 1] for the token at `position`: 0 for the rows before it and for the last entry (the token itself),
// `masked` elsewhere.
void set_step_mask(std::vector<float>& mask, size_t position, float masked);

}  // namespace npuport
