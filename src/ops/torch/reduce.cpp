// Reductions, running reductions, sorting.
#include "ops/torch.h"

namespace npuport {
namespace {

// An empty list of axes means all of them to PyTorch; a rank-0 tensor is its own result.
bool nothing_to_do(TorchEmit& c) {
  if (!c.attr().ints("axes").empty() && c.rank(0) > 0) return false;
  c.ret("torch.clone(" + c.in(0) + ")");
  return true;
}

// Sums of small integers keep their type here, grow to int64 there.
std::string same_type(TorchEmit& c) {
  return is_float(c.dtype(0)) ? std::string() : ", dtype=" + c.text(c.out_dtype());
}

void write_sum(TorchEmit& c) {
  if (!nothing_to_do(c)) c.ret(c.expand("torch.sum(%x, $axes, $keepdims") + same_type(c) + ")");
}
void write_mean(TorchEmit& c) {
  if (!nothing_to_do(c)) c.ret(c.expand("torch.mean(%x, $axes, $keepdims)"));
}
void write_max(TorchEmit& c) {
  if (!nothing_to_do(c)) c.ret(c.expand("torch.amax(%x, $axes, $keepdims)"));
}
void write_min(TorchEmit& c) {
  if (!nothing_to_do(c)) c.ret(c.expand("torch.amin(%x, $axes, $keepdims)"));
}

// PyTorch reduces one axis a call here.
void one_by_one(TorchEmit& c, const std::string& function, const std::string& extra) {
  if (nothing_to_do(c)) return;
  const bool keep = c.attr().b("keepdims");
  const int64_t rank = static_cast<int64_t>(c.rank(0));
  std::set<int64_t, std::greater<>> axes;  // the last first: those before keep their numbers
  for (const int64_t a : c.attr().ints("axes")) axes.insert(a < 0 ? a + rank : a);
  std::string x = c.in(0);
  size_t left = axes.size();
  for (const int64_t a : axes) {
    const std::string y = function + "(" + x + ", " + TorchEmit::text(a) + ", " + TorchEmit::text(keep) + extra + ")";
    if (--left == 0) return c.ret(y);
    x = c.let(y, "part");
  }
}
void write_prod(TorchEmit& c) { one_by_one(c, "torch.prod", same_type(c)); }
void write_any(TorchEmit& c) { one_by_one(c, "torch.any", ""); }
void write_all(TorchEmit& c) { one_by_one(c, "torch.all", ""); }

void write_cumsum(TorchEmit& c) { c.ret(c.expand("torch.cumsum(%x, $axis") + same_type(c) + ")"); }
void write_cumprod(TorchEmit& c) { c.ret(c.expand("torch.cumprod(%x, $axis") + same_type(c) + ")"); }
void write_cummax(TorchEmit& c) { c.ret_all(c.expand("torch.cummax(%x, $axis)")); }
void write_cummin(TorchEmit& c) { c.ret_all(c.expand("torch.cummin(%x, $axis)")); }

// The stable form came with PyTorch 1.9. The plain one gives the same values and, among equal ones, positions in any
// order: run number * n + position are keys without ties, and sorting these puts each run's positions in order.
void stable_sort(TorchEmit& c, int64_t n) {
  const int64_t axis = c.axis();
  const std::string at = TorchEmit::text(axis), size = TorchEmit::text(n), less = TorchEmit::text(n - 1);
  const std::vector<std::string> plain = c.let_all(c.expand("torch.sort(%x, $axis, $descending)"), 2, "plain");
  const std::string before = c.let("torch.narrow(" + plain[0] + ", " + at + ", 0, " + less + ")", "before");
  const std::string after = c.let("torch.narrow(" + plain[0] + ", " + at + ", 1, " + less + ")", "after");
  std::string changes = "torch.ne(" + before + ", " + after + ")";
  if (is_float(c.dtype(0))) {
    const std::string both = c.let("torch.logical_and(torch.isnan(" + before + "), torch.isnan(" + after + "))", "nan");
    changes = "torch.logical_and(" + changes + ", torch.logical_not(" + both + "))";
  }
  Shape first = c.shape(0);
  first[static_cast<size_t>(axis)] = 1;
  const std::string start = c.constant(Tensor::zeros(DType::boolean, first), "first");
  const std::string begins = c.let("torch.cat([" + start + ", " + changes + "], " + at + ")", "begins");
  const std::string run = c.let("torch.mul(torch.cumsum(" + begins + ", " + at + "), " + size + ")", "run");
  const std::vector<std::string> keys =
      c.let_all("torch.sort(torch.add(" + run + ", " + plain[1] + "), " + at + ", False)", 2, "keys");
  const std::string positions = c.let("torch.sub(" + keys[0] + ", " + run + ")", "positions");
  c.ret(0, c.expand("torch.gather(%x, ") + at + ", " + positions + ")");
  c.ret(1, "torch.clone(" + positions + ")");
}

void write_sort(TorchEmit& c) {
  const bool ties_matter = c.attr().b("stable") && c.graph().use_count(c.node().outputs[1]) > 0;
  const int64_t n = c.rank(0) == 0 ? 1 : c.shape(0)[static_cast<size_t>(c.axis())];
  if (ties_matter && n > 1) return stable_sort(c, n);
  c.ret_all(c.expand("torch.sort(%x, $axis, $descending)"));
}
void write_topk(TorchEmit& c) { c.ret_all(c.expand("torch.topk(%x, $k, $axis, $largest, $sorted)")); }
void write_search(TorchEmit& c) {
  c.ret(c.expand("torch.searchsorted(%sorted, %values, out_int32=False, right=$right)"));
}

constexpr TorchRow kRows[] = {
    {"reduce_sum", {}, write_sum},
    {"reduce_mean", {}, write_mean},
    {"reduce_prod", {}, write_prod},
    {"reduce_max", {}, write_max},
    {"reduce_min", {}, write_min},
    {"reduce_any", {}, write_any},
    {"reduce_all", {}, write_all},
    {"arg_max", "torch.argmax(%x, $axis, $keepdims)"},
    {"arg_min", "torch.argmin(%x, $axis, $keepdims)"},
    {"cumsum", {}, write_cumsum},
    {"cumprod", {}, write_cumprod},
    {"cummax", {}, write_cummax},
    {"cummin", {}, write_cummin},
    {"sort", {}, write_sort},
    {"topk", {}, write_topk},
    {"searchsorted", {}, write_search},
};

}  // namespace

std::span<const TorchRow> torch_reduce() { return kRows; }

}  // namespace npuport
