// Builds nodes without checking every step: the first error sticks and later calls return invalid ids.
#pragma once

#include "ir/graph.h"

namespace npuport {

class Builder {
 public:
  // `fold`: nodes over constants only are evaluated at once by the reference kernels while the result has at most
  // `fold_limit` elements.
  explicit Builder(Graph& g, bool fold = false, int64_t fold_limit = 1 << 20)
      : g_(g), fold_(fold), fold_limit_(fold_limit) {}

  // First output of a new node.
  ValueId op(std::string_view op, std::vector<ValueId> in, std::vector<Attr> attrs = {});
  // All outputs.
  std::vector<ValueId> ops(std::string_view op, std::vector<ValueId> in, std::vector<Attr> attrs = {},
                           size_t opaque_outputs = 1);

  ValueId constant(Tensor t, std::string_view name = "");
  ValueId scalar(double v, DType dtype = DType::f32);  // rank 0
  ValueId ints(std::span<const int64_t> v);            // i64 vector
  // Shorthands; each returns its input when there is nothing to do.
  ValueId reshape(ValueId x, Shape shape);
  ValueId transpose(ValueId x, Ints perm);
  ValueId cast(ValueId x, DType to);
  ValueId expand(ValueId x, Shape shape);
  ValueId add(ValueId a, ValueId b) { return op("add", {a, b}); }
  ValueId sub(ValueId a, ValueId b) { return op("sub", {a, b}); }
  ValueId mul(ValueId a, ValueId b) { return op("mul", {a, b}); }
  ValueId div(ValueId a, ValueId b) { return op("div", {a, b}); }

  const Shape& shape(ValueId v) const;  // empty shape for an invalid id
  DType dtype(ValueId v) const;
  const Tensor* constant_of(ValueId v) const;  // nullptr when not constant

  // Origins put on every node made from now on.
  void set_origins(std::vector<Origin> origins) { origins_ = std::move(origins); }
  const std::vector<Origin>& origins() const { return origins_; }
  void fail(Diag d);
  bool failed() const { return error_.has_value(); }
  // The first error, or success; clears it.
  Status take_status();
  Graph& graph() { return g_; }

 private:
  Graph& g_;
  bool fold_;
  int64_t fold_limit_;
  std::vector<Origin> origins_;
  std::optional<Diag> error_;
};

// Replaces an operator by the nodes of its row's `body`; returns its outputs (empty, with b failed, when the body is
// bad). Numbers in the body take the dtype of the first input; `attrs` must be complete.
std::vector<ValueId> expand_body(Builder& b, const OpDef& op, std::span<const ValueId> in, std::span<const Attr> attrs);

// Evaluates one operator by its reference kernel, or by its body, on constants. The single place that runs rows.
Result<std::vector<Tensor>> evaluate(const OpDef& op, std::span<const Tensor* const> in, std::span<const Attr> attrs);

}  // namespace npuport
