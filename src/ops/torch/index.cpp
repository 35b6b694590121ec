// Reading from and writing to computed positions.
#include "ops/torch.h"

namespace npuport {
namespace {

void write_gather(TorchEmit& c) {
  const int64_t axis = c.axis();
  const auto at = static_cast<size_t>(axis);
  const std::string index = c.index_input(1, c.shape(0)[at]);
  if (c.constant_of(1) != nullptr && c.rank(1) == 1) {
    return c.ret("torch.index_select(" + c.in(0) + ", " + TorchEmit::text(axis) + ", " + index + ")");
  }
  std::vector<std::string> indices(at);
  indices.push_back(index);
  c.ret(c.indexed(c.in(0), indices));
}

void write_embedding(TorchEmit& c) {
  c.ret("torch.embedding(" + c.in(0) + ", " + c.index_input(1, c.shape(0)[0]) + ")");
}

void write_gather_elements(TorchEmit& c) {
  const int64_t axis = c.axis(), size = c.rank(0) == 0 ? 1 : c.shape(0)[static_cast<size_t>(axis)];
  c.ret("torch.gather(" + c.in(0) + ", " + TorchEmit::text(axis) + ", " + c.index_input(1, size) + ")");
}

// The columns of index tuples [..., depth] as one index tensor per axis.
std::vector<std::string> columns(TorchEmit& c) {
  std::vector<std::string> out;
  std::string all =
      c.dtype(1) == DType::i64 ? c.in(1) : c.let("aten.to(" + c.in(1) + ", " + c.text(DType::i64) + ")", "at");
  for (int64_t d = 0; d < c.shape(1).back(); ++d) {
    out.push_back(c.let("torch.select(" + all + ", -1, " + TorchEmit::text(d) + ")", "at"));
  }
  return out;
}

void write_gather_nd(TorchEmit& c) {
  if (c.shape(1).back() == 0) return c.refuse("index tuples of length 0");
  c.ret(c.indexed(c.in(0), columns(c)));
}

void write_scatter_elements(TorchEmit& c) {
  const std::string& how = c.attr().s("reduction");
  const int64_t axis = c.axis(), size = c.rank(0) == 0 ? 1 : c.shape(0)[static_cast<size_t>(axis)];
  const std::string rest = ", " + TorchEmit::text(axis) + ", " + c.index_input(1, size) + ", " + c.in(2);
  if (how == "none") return c.ret("torch.scatter(" + c.in(0) + rest + ")");
  if (how == "add") return c.ret("torch.scatter_add(" + c.in(0) + rest + ")");
  if (how == "mul") {
    return c.ret("aten.scatter_(torch.clone(" + c.in(0) + ")" + rest + ", reduce=\"multiply\")");
  }
  // torch.scatter_reduce came with 1.12.
  c.ret("torch.scatter_reduce(" + c.in(0) + rest + (how == "max" ? ", \"amax\")" : ", \"amin\")"));
}

void write_scatter_nd(TorchEmit& c) {
  const std::string& how = c.attr().s("reduction");
  if (how != "none" && how != "add") return c.refuse("index_put replaces or adds, it cannot " + how);
  if (c.shape(1).back() == 0) return c.refuse("index tuples of length 0");
  std::string list;
  for (const std::string& i : columns(c)) list += (list.empty() ? "" : ", ") + i;
  list = "[" + list + "]";
  if (c.dialect() == TorchDialect::script) list = "annotate(List[Optional[Tensor]], " + list + ")";
  c.ret("torch.index_put(" + c.in(0) + ", " + list + ", " + c.in(2) + ", " + TorchEmit::text(how == "add") + ")");
}

void write_one_hot(TorchEmit& c) {
  Tensor numbers = Tensor::zeros(c.dtype(0), {c.attr().i("depth")});
  for (int64_t i = 0; i < numbers.count(); ++i) {
    if (numbers.dtype == DType::i32) numbers.mut<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i);
    if (numbers.dtype == DType::i64) numbers.mut<int64_t>()[static_cast<size_t>(i)] = i;
  }
  const std::string classes = c.constant(std::move(numbers), "classes");
  const std::string hits = c.let("torch.eq(torch.unsqueeze(" + c.in(0) + ", -1), " + classes + ")", "hits");
  c.ret("aten.to(" + hits + ", " + c.text(c.out_dtype()) + ")");
}

void write_trilu(TorchEmit& c) {
  c.ret((c.attr().b("upper") ? "torch.triu(" : "torch.tril(") + c.in(0) + c.expand(", $diagonal)"));
}

constexpr TorchRow kRows[] = {
    {"gather", {}, write_gather},
    {"embedding", {}, write_embedding},
    {"gather_elements", {}, write_gather_elements},
    {"gather_nd", {}, write_gather_nd},
    {"scatter_elements", {}, write_scatter_elements},
    {"scatter_nd", {}, write_scatter_nd},
    {"one_hot", {}, write_one_hot},
    {"trilu", {}, write_trilu},
};

}  // namespace

std::span<const TorchRow> torch_index() { return kRows; }

}  // namespace npuport
