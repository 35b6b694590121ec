// ATen recurrent layers, cells and packed sequences.
#include <fmt/format.h>

#include <algorithm>

#include "base/diag_codes.h"
#include "ops/aten.h"
#include "ops/support/aten_nn.h"
#include "ops/support/rnn_cell.h"

namespace npuport {
namespace {

// Sequences of different lengths, sorted by falling length, whose steps stand together: step t holds batch_sizes[t]
// rows.
struct Packing {
  Ints batch_sizes;
  Ints lengths;  // per batch element

  int64_t steps() const { return static_cast<int64_t>(batch_sizes.size()); }
  int64_t batch() const { return static_cast<int64_t>(lengths.size()); }
  bool full() const { return lengths.empty() || lengths.back() == steps(); }
};

Packing packing_of(Ints batch_sizes) {
  Packing p{std::move(batch_sizes), {}};
  const int64_t batch = p.batch_sizes.empty() ? 0 : p.batch_sizes[0];
  for (int64_t n = 0; n < batch; ++n) {
    p.lengths.push_back(std::count_if(p.batch_sizes.begin(), p.batch_sizes.end(), [&](int64_t s) { return s > n; }));
  }
  return p;
}

// The values of a constant integer vector; fails (data_dependent) otherwise.
std::optional<Ints> constant_ints(AtenCall& c, std::string_view arg, std::string_view what) {
  const Tensor* t = c.b.constant_of(c.tensor(arg));
  if (!t) {
    c.fail(Diag(diag::data_dependent, fmt::format("{} depend on input values", what),
                "Pass fixed lengths, or run the layer on the padded tensor."));
    return std::nullopt;
  }
  Ints v(static_cast<size_t>(t->count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = get_int(*t, static_cast<int64_t>(i));
  return v;
}

std::optional<Packing> constant_packing(AtenCall& c) {
  std::optional<Ints> sizes = constant_ints(c, "batch_sizes", "the lengths of a packed sequence");
  if (!sizes) return std::nullopt;
  for (size_t i = 0; i < sizes->size(); ++i) {
    if ((*sizes)[i] >= 1 && (*sizes)[i] <= (i ? (*sizes)[i - 1] : (*sizes)[0])) continue;
    c.fail(Diag(diag::bad_attribute, "batch_sizes of a packed sequence must be positive and never grow"));
    return std::nullopt;
  }
  return packing_of(std::move(*sizes));
}

// Row of packed data for every element of the padded [steps, batch] grid; `outside` where there is none.
Ints packed_rows(const Packing& p, int64_t outside) {
  Ints rows;
  int64_t start = 0;
  for (const int64_t size : p.batch_sizes) {
    for (int64_t n = 0; n < p.batch(); ++n) rows.push_back(n < size ? start + n : outside);
    start += size;
  }
  return rows;
}

// Packed [total, width…] → padded [steps, batch, width…]; rows outside a sequence repeat row 0 (their values are not
// used: the layers stop at each length).
ValueId unpack(Builder& b, ValueId data, const Packing& p) {
  Shape s = b.shape(data);
  if (b.failed() || s.empty()) return data;
  if (!p.full()) data = b.op("gather", {data, b.ints(packed_rows(p, 0))}, {{"axis", 0}});
  s[0] = p.batch();
  s.insert(s.begin(), p.steps());
  return b.reshape(data, std::move(s));
}

// Padded [steps, batch, width…] → packed [total, width…].
ValueId pack(Builder& b, ValueId padded, const Packing& p) {
  Shape s = b.shape(padded);
  if (b.failed() || s.size() < 2) return padded;
  s.erase(s.begin());
  s[0] = p.steps() * p.batch();
  const ValueId flat = b.reshape(padded, std::move(s));
  if (p.full()) return flat;
  Ints rows;
  for (int64_t t = 0; t < p.steps(); ++t) {
    for (int64_t n = 0; n < p.batch_sizes[static_cast<size_t>(t)]; ++n) rows.push_back(t * p.batch() + n);
  }
  return b.op("gather", {flat, b.ints(rows)}, {{"axis", 0}});
}

struct Stack {
  std::string op, nonlinearity;
  std::vector<ValueId> params;
  bool biases = true, bidirectional = false;
  int64_t layers = 1;
  ValueId h0, c0;  // [layers * directions, batch, size]
  Ints lengths;
};

struct StackResult {
  ValueId y, h, c;
};

ValueId state_at(Builder& b, ValueId all, int64_t i) {
  return all.valid() ? aten_nn::squeeze(b, aten_nn::slice(b, all, 0, i, i + 1), 0) : ValueId{};
}

// Results of one layer in one direction.
std::vector<ValueId> one_layer(Builder& b, const Stack& s, ValueId x, int64_t index, bool reverse, bool projected) {
  const size_t each = (s.biases ? 4U : 2U) + (projected ? 1U : 0U);
  const ValueId* p = s.params.data() + static_cast<size_t>(index) * each;
  const ValueId b_ih = s.biases ? p[2] : ValueId{}, b_hh = s.biases ? p[3] : ValueId{};
  std::vector<ValueId> in = {x, p[0], p[1], b_ih, b_hh, state_at(b, s.h0, index)};
  std::vector<Attr> attrs = {{"reverse", reverse}, {"lengths", s.lengths}};
  if (s.op == "lstm") in.insert(in.end(), {state_at(b, s.c0, index), projected ? p[each - 1] : ValueId{}});
  if (s.op == "rnn") attrs.emplace_back("nonlinearity", s.nonlinearity);
  std::vector<ValueId> out = b.ops(s.op, std::move(in), std::move(attrs));
  out.resize(3);
  return out;
}

// Joins along `axis`; the only element stays as it is.
ValueId joined(Builder& b, std::vector<ValueId> v, int64_t axis) {
  return v.size() == 1 ? v[0] : b.op("concat", std::move(v), {{"axis", axis}});
}

// x is [steps, batch, inputs].
StackResult run_stack(AtenCall& c, const Stack& s, ValueId x) {
  Builder& b = c.b;
  const int64_t directions = s.bidirectional ? 2 : 1;
  const auto cells = static_cast<size_t>(s.layers * directions);
  const size_t plain = cells * (s.biases ? 4 : 2);
  const bool projected = s.params.size() == plain + cells;
  if (s.params.size() != plain && !projected) {
    c.fail(Diag(diag::shape_mismatch, fmt::format("{}: {} weights for {} layers in {} directions", s.op,
                                                  s.params.size(), s.layers, directions)));
    return {};
  }
  std::vector<ValueId> hs, cs;
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    std::vector<ValueId> ys;
    for (int64_t d = 0; d < directions; ++d) {
      const std::vector<ValueId> out = one_layer(b, s, x, layer * directions + d, d == 1, projected);
      ys.push_back(out[0]);
      hs.push_back(aten_nn::unsqueeze(b, out[1], 0));
      if (s.op == "lstm") cs.push_back(aten_nn::unsqueeze(b, out[2], 0));
    }
    x = joined(b, std::move(ys), 2);
  }
  StackResult r{x, joined(b, std::move(hs), 0), {}};
  if (s.op == "lstm") r.c = joined(b, std::move(cs), 0);
  return r;
}

// Initial states that are constant zeros are the row's default.
ValueId unless_zero(Builder& b, ValueId v) {
  const Tensor* t = b.constant_of(v);
  if (!t) return v;
  const auto* bytes = t->data;
  return std::all_of(bytes, bytes + t->bytes(), [](std::byte x) { return x == std::byte{0}; }) ? ValueId{} : v;
}

// kind: "lstm", "gru", "rnn_tanh" or "rnn_relu".
Stack stack_of(AtenCall& c, std::string_view kind) {
  Stack s;
  s.op = kind.starts_with("rnn") ? "rnn" : std::string(kind);
  s.nonlinearity = kind == "rnn_relu" ? "relu" : "tanh";
  s.params = c.tensors("params");
  s.biases = c.flag("has_biases");
  s.bidirectional = c.flag("bidirectional");
  s.layers = c.i("num_layers");
  if (kind == "lstm") {
    const std::vector<ValueId> hx = c.tensors("hx");
    if (hx.size() == 2) s.h0 = unless_zero(c.b, hx[0]), s.c0 = unless_zero(c.b, hx[1]);
  } else {
    s.h0 = unless_zero(c.b, c.tensor("hx"));
  }
  if (c.flag("train") && c.f("dropout") > 0) {
    c.fail(Diag(diag::unsupported, "dropout inside a recurrent layer in training mode is random",
                "Call model.eval() before exporting."));
  }
  return s;
}

void ret_stack(AtenCall& c, const Stack& s, const StackResult& r) {
  c.ret(r.y);
  c.ret(r.h);
  if (s.op == "lstm") c.ret(r.c);
}

void padded_layers(AtenCall& c, std::string_view kind) {
  const Stack s = stack_of(c, kind);
  const bool batch_first = c.flag("batch_first");
  ValueId x = c.tensor("input");
  if (batch_first) x = c.b.transpose(x, {1, 0, 2});
  StackResult r = run_stack(c, s, x);
  if (batch_first) r.y = c.b.transpose(r.y, {1, 0, 2});
  ret_stack(c, s, r);
}

void packed_layers(AtenCall& c, std::string_view kind) {
  Stack s = stack_of(c, kind);
  const std::optional<Packing> p = constant_packing(c);
  if (!p) return;
  if (!p->full()) s.lengths = p->lengths;
  StackResult r = run_stack(c, s, unpack(c.b, c.tensor("data"), *p));
  r.y = pack(c.b, r.y, *p);
  ret_stack(c, s, r);
}

void lstm(AtenCall& c) { padded_layers(c, "lstm"); }
void gru(AtenCall& c) { padded_layers(c, "gru"); }
void rnn_tanh(AtenCall& c) { padded_layers(c, "rnn_tanh"); }
void rnn_relu(AtenCall& c) { padded_layers(c, "rnn_relu"); }
void lstm_packed(AtenCall& c) { packed_layers(c, "lstm"); }
void gru_packed(AtenCall& c) { packed_layers(c, "gru"); }
void rnn_tanh_packed(AtenCall& c) { packed_layers(c, "rnn_tanh"); }
void rnn_relu_packed(AtenCall& c) { packed_layers(c, "rnn_relu"); }

RnnState cell(AtenCall& c, std::string_view op, ValueId h, ValueId state_c) {
  Builder& b = c.b;
  const ValueId x = c.tensor("input");
  const bool single = b.shape(x).size() == 1;
  if (single) h = aten_nn::unsqueeze(b, h, 0);
  if (single && state_c.valid()) state_c = aten_nn::unsqueeze(b, state_c, 0);
  const ValueId xi = b.op("linear", {single ? aten_nn::unsqueeze(b, x, 0) : x, c.tensor("w_ih"), c.tensor("b_ih")});
  const ValueId hi = b.op("linear", {h, c.tensor("w_hh"), c.tensor("b_hh")});
  RnnState out = rnn_step(b, op, xi, hi, {h, state_c});
  if (single) out.h = aten_nn::squeeze(b, out.h, 0);
  if (single && out.c.valid()) out.c = aten_nn::squeeze(b, out.c, 0);
  return out;
}

void lstm_cell(AtenCall& c) {
  const std::vector<ValueId> hx = c.tensors("hx");
  if (hx.size() != 2) return c.fail(Diag(diag::shape_mismatch, "lstm_cell: hx must hold h and c"));
  const RnnState s = cell(c, "lstm", hx[0], hx[1]);
  c.ret(s.h);
  c.ret(s.c);
}

void gru_cell(AtenCall& c) { c.ret(cell(c, "gru", c.tensor("hx"), {}).h); }
void rnn_tanh_cell(AtenCall& c) { c.ret(cell(c, "rnn", c.tensor("hx"), {}).h); }
void rnn_relu_cell(AtenCall& c) { c.ret(cell(c, "rnn_relu", c.tensor("hx"), {}).h); }

// (data, batch_sizes) of sequences that are already sorted by falling length.
void pack_padded(AtenCall& c) {
  Builder& b = c.b;
  const std::optional<Ints> lengths = constant_ints(c, "lengths", "the lengths of a packed sequence");
  ValueId x = c.tensor("input");
  if (!lengths || b.shape(x).size() < 2) return;
  if (c.flag("batch_first")) {
    Ints perm(b.shape(x).size());
    for (size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<int64_t>(i);
    std::swap(perm[0], perm[1]);
    x = b.transpose(x, std::move(perm));
  }
  const Shape s = b.shape(x);
  const bool sorted = std::is_sorted(lengths->begin(), lengths->end(), std::greater<>());
  if (lengths->empty() || !sorted || lengths->back() < 1 || lengths->front() > s[0] ||
      static_cast<int64_t>(lengths->size()) != s[1]) {
    return c.fail(
        Diag(diag::bad_attribute, "lengths of a packed sequence must be sorted, positive and fit the tensor"));
  }
  Ints sizes;
  for (int64_t t = 0; t < lengths->front(); ++t) {
    sizes.push_back(std::count_if(lengths->begin(), lengths->end(), [&](int64_t n) { return n > t; }));
  }
  x = aten_nn::slice(b, x, 0, 0, lengths->front());
  const ValueId batch_sizes = b.ints(sizes);
  c.ret(pack(b, x, packing_of(std::move(sizes))));
  c.ret(batch_sizes);
}

// (padded, lengths): the inverse; what lies behind a sequence gets padding_value.
void pad_packed(AtenCall& c) {
  Builder& b = c.b;
  const std::optional<Packing> p = constant_packing(c);
  if (!p) return;
  ValueId x = unpack(b, c.tensor("data"), *p);
  const double fill = c.scalar("padding_value").as_double();
  const size_t rank = b.shape(x).size();
  if (!p->full()) {
    Shape s(rank, 1);
    s[0] = p->steps(), s[1] = p->batch();
    Tensor live = Tensor::zeros(DType::boolean, s);
    const Ints rows = packed_rows(*p, -1);
    for (size_t i = 0; i < rows.size(); ++i) live.mut<bool>()[i] = rows[i] >= 0;
    x = b.op("where", {b.constant(std::move(live)), x, b.scalar(fill, b.dtype(x))});
  }
  if (const int64_t total = c.i("total_length"); total > p->steps()) {
    Ints pads(2 * rank, 0);
    pads[rank] = total - p->steps();
    x = b.op("pad", {x}, {{"pads", pads}, {"value", fill}});
  }
  if (c.flag("batch_first")) {
    Ints perm(rank);
    for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(i);
    std::swap(perm[0], perm[1]);
    x = b.transpose(x, std::move(perm));
  }
  c.ret(x);
  c.ret(b.ints(p->lengths));
}

constexpr AtenRow kRows[] = {
    {.schema = "lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
               "bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
     .fn = lstm},
    {.schema = "lstm.data(Tensor data, Tensor batch_sizes, Tensor[] hx, Tensor[] params, bool has_biases, int "
               "num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor, Tensor)",
     .fn = lstm_packed},
    {.schema = "gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
               "bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .fn = gru},
    {.schema = "gru.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, "
               "float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
     .fn = gru_packed},
    {.schema = "rnn_tanh.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float "
               "dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .fn = rnn_tanh},
    {.schema = "rnn_tanh.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int "
               "num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
     .fn = rnn_tanh_packed},
    {.schema = "rnn_relu.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float "
               "dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .fn = rnn_relu},
    {.schema = "rnn_relu.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int "
               "num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
     .fn = rnn_relu_packed},
    {.schema =
         "lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> "
         "(Tensor, Tensor)",
     .fn = lstm_cell},
    {.schema = "gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> "
               "Tensor",
     .fn = gru_cell},
    {.schema = "rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) "
               "-> Tensor",
     .fn = rnn_tanh_cell},
    {.schema = "rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) "
               "-> Tensor",
     .fn = rnn_relu_cell},
    {.schema = "_pack_padded_sequence(Tensor input, Tensor lengths, bool batch_first) -> (Tensor, Tensor)",
     .fn = pack_padded},
    {.schema = "_pad_packed_sequence(Tensor data, Tensor batch_sizes, bool batch_first, Scalar padding_value, int "
               "total_length) -> (Tensor, Tensor)",
     .fn = pad_packed},
};

}  // namespace

std::span<const AtenRow> aten_rnn() { return kRows; }

}  // namespace npuport
