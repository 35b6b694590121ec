#include "exec/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/diag_codes.h"

namespace npuport {
namespace {

const Tensor* find(const NamedTensors& arrays, const std::string& name) {
  const auto it = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.first == name; });
  return it == arrays.end() ? nullptr : &it->second;
}

Result<Baseline> partial(const std::string& name, const Tensor& values, const Tensor& index, const Tensor* shape) {
  const auto bad = [&](const std::string& what) {
    return Diag(diag::bad_input_data, fmt::format("the partial baseline {} is inconsistent: {}", name, what),
                "make the samples again with `npuport trace`")
        .at_tensor(name);
  };
  if (!shape || shape->dtype != DType::i64 || shape->shape.size() != 1) {
    return bad(fmt::format("{}.shape must be a list of int64", name));
  }
  if (values.shape.size() != 1 || index.dtype != DType::i64 || index.shape != values.shape) {
    return bad(fmt::format("{0} and {0}.index must be lists of one length, the index int64", name));
  }
  Baseline b{values, index, Shape(shape->as<int64_t>().begin(), shape->as<int64_t>().end())};
  if (const Status s = check_shape(b.shape); !s) return bad(s.error().message);
  int64_t previous = -1;
  const int64_t count = element_count(b.shape);
  for (const int64_t at : index.as<int64_t>()) {
    if (at <= previous || at >= count) {
      return bad(fmt::format("index {} after {} in an output of {} elements", at, previous, count));
    }
    previous = at;
  }
  return b;
}

// The flat place of the first NaN or Inf, or -1.
int64_t first_not_finite(const Tensor& t) {
  if (!is_float(t.dtype)) return -1;
  for (int64_t i = 0; i < t.count(); ++i) {
    if (!std::isfinite(get_double(t, i))) return i;
  }
  return -1;
}

Tensor chosen(const Tensor& t, std::span<const int64_t> index) {
  Tensor out = Tensor::zeros(t.dtype, {static_cast<int64_t>(index.size())});
  const auto size = static_cast<size_t>(byte_size(t.dtype, 1));
  for (size_t k = 0; k < index.size(); ++k) {
    std::memcpy(out.mutable_data() + k * size, t.data + static_cast<size_t>(index[k]) * size, size);
  }
  return out;
}

Comparison failed(std::string reason) {
  Comparison c;
  c.verdict = Verdict::fail;
  c.reason = std::move(reason);
  return c;
}

}  // namespace

Result<std::vector<Baseline>> read_baselines(const NamedTensors& arrays) {
  std::vector<Baseline> out;
  while (true) {
    const std::string name = fmt::format("out.{}", out.size());
    const Tensor* values = find(arrays, name);
    if (!values) return out;
    if (const Tensor* index = find(arrays, name + ".index")) {
      NPU_ASSIGN(Baseline b, partial(name, *values, *index, find(arrays, name + ".shape")));
      out.push_back(std::move(b));
    } else {
      out.push_back({*values, std::nullopt, values->shape});
    }
  }
}

Comparison compare(const Tensor& got, const Baseline& baseline, const Gate& gate) {
  if (!baseline.index) return compare(got, baseline.values, gate);
  if (got.shape != baseline.shape) {
    return failed(fmt::format("shape {}, the baseline has {}", to_string(got.shape), to_string(baseline.shape)));
  }
  if (const int64_t at = first_not_finite(got); at >= 0) {
    Comparison c = failed(fmt::format("NaN or Inf at element {}", at));
    c.worst_index = at;
    return c;
  }
  const std::span<const int64_t> index = baseline.index->as<int64_t>();
  Comparison c = compare(chosen(got, index), baseline.values, gate);
  if (c.worst_index >= 0) c.worst_index = index[static_cast<size_t>(c.worst_index)];
  return c;
}

Comparison compare_all(std::span<const Tensor> got, std::span<const Baseline> baseline, const Gate& gate) {
  return worst_of(got.size(), baseline.size(), [&](size_t i) { return compare(got[i], baseline[i], gate); });
}

}  // namespace npuport
