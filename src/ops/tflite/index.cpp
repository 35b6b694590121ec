// Indexing: gather, scatter, one-hot, top-k.
#include <algorithm>
#include <limits>

#include "base/diag_codes.h"
#include "ops/tflite/options.h"

namespace npuport {
namespace {

using namespace tfl;

// Index operand k into `size` elements: a constant is stored as non-negative i32 (runtimes refuse negative ones, NPUs
// know no i64), of shape [1] when it is a single number.
int32_t indices(TfliteEmit& c, size_t k, int64_t size) {
  const Tensor* t = c.constant_of(k);
  if (t == nullptr) return c.in(k);
  Tensor out = Tensor::zeros(DType::i32, t->shape.empty() ? Shape{1} : t->shape);
  for (int64_t i = 0; i < t->count(); ++i) {
    const int64_t v = get_int(*t, i), at = v < 0 ? v + size : v;
    if (at < 0 || at > std::numeric_limits<int32_t>::max()) {
      c.refuse("an index lies outside its tensor");
      return -1;
    }
    out.mut<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(at);
  }
  return c.constant(std::move(out), c.name_of(k));
}

void write_gather(TfliteEmit& c) {
  const bool lookup = c.node().op->name == "embedding";
  const auto rank = static_cast<int64_t>(c.shape(0).size());
  const int64_t axis = lookup ? 0 : (c.attr().i("axis") + rank) % rank;
  const int32_t at = indices(c, 1, c.shape(0)[static_cast<size_t>(axis)]);
  if (c.refused()) return;
  const auto emit = [&](int32_t y) {
    c.op("GATHER", {c.in(0), at}, {y}, {{"axis", static_cast<double>(axis)}, {"batch_dims", 0}});
  };
  if (c.tensor(at).shape.size() == c.shape(1).size()) return emit(c.out());
  Shape s = c.out_shape();
  s.insert(s.begin() + axis, 1);
  const int32_t y = c.temporary(c.out_dtype(), std::move(s));
  emit(y);
  c.reshape_to(y);
}
void read_gather(TfliteRead& c) {
  const ValueId x = c.in(0), at = c.in(1);
  if (c.b.failed()) return;
  if (c.i("batch_dims") != 0) return c.fail(Diag(diag::unsupported, "batch_dims is not supported"));
  const auto axis = normalise_axis(c.i("axis"), c.b.shape(x).size());
  if (!axis) return c.fail(axis.error());
  c.ret(c.b.op("gather", {x, at}, {{"axis", *axis}}));
}
int v_gather(const TfliteSignature& s) {
  return s.op.option("batch_dims") != 0 ? 5 : s.type() == DType::i16 ? 4 : s.type() == DType::boolean ? 3 : 1;
}
void read_lookup(TfliteRead& c) { c.ret(c.b.op("embedding", {c.in(1), c.in(0)})); }

int v_gather_nd(const TfliteSignature& s) { return s.type() == DType::boolean ? 5 : 1; }

// SCATTER_ND adds into zeros.
bool all_zero(const Tensor& t) {
  return std::all_of(t.data, t.data + t.bytes(), [](std::byte b) { return b == std::byte{0}; });
}
void write_scatter(TfliteEmit& c) {
  const Tensor* base = c.constant_of(0);
  if (base == nullptr || !all_zero(*base) || c.attr().s("reduction") != "add") {
    return c.refuse("SCATTER_ND only adds into zeros");
  }
  if (c.dtype(1) != DType::i32 && c.constant_of(1) == nullptr) return c.refuse("SCATTER_ND takes i32 indices only");
  int32_t at = c.in(1);
  if (const Tensor* t = c.constant_of(1)) at = c.constant(cast_tensor(*t, DType::i32), c.name_of(1));
  c.op("SCATTER_ND", {at, c.in(2), c.i32(c.out_shape())}, {c.out()});
}
void read_scatter(TfliteRead& c) {
  const ValueId at = c.in(0), updates = c.in(1);
  const Ints shape = c.const_ints(2);
  if (c.b.failed()) return;
  if (const Status ok = check_shape(shape); !ok) return c.fail(ok.error());
  const ValueId base = c.b.expand(c.b.scalar(0, c.b.dtype(updates)), shape);
  c.ret(c.b.op("scatter_nd", {base, at, updates}, {{"reduction", "add"}}));
}

void write_one_hot(TfliteEmit& c) {
  const DType t = c.out_dtype();
  const auto number = [&](int64_t v) { return c.constant(cast_tensor(Tensor::of<int64_t>({1}, {v}), t)); };
  c.op("ONE_HOT", {c.in(0), c.i32(c.attr().i("depth")), number(1), number(0)}, {c.out()}, {{"axis", -1}});
}
void read_one_hot(TfliteRead& c) {
  const int64_t depth = c.const_int(1);
  const double on = c.const_real(2), off = c.const_real(3);
  const ValueId x = c.in(0);
  if (c.b.failed()) return;
  const DType t = c.dtype(2);
  ValueId y = c.b.op("one_hot", {x}, {{"depth", depth}, {"dtype", t}});
  if (c.b.failed()) return;
  if (on != 1 || off != 0) {
    const ValueId hit = c.b.op("cast", {y}, {{"to", DType::boolean}});
    y = c.b.op("where", {hit, c.b.scalar(on, t), c.b.scalar(off, t)});
  }
  const auto rank = static_cast<int64_t>(c.b.shape(y).size());
  const int64_t axis = c.i("axis") == -1 ? rank - 1 : c.i("axis");
  if (axis < 0 || axis >= rank) return c.fail(Diag(diag::index_range, "axis out of range"));
  Ints perm;
  for (int64_t i = 0; i < rank - 1; ++i) perm.push_back(i);
  perm.insert(perm.begin() + axis, rank - 1);
  c.ret(c.b.transpose(y, std::move(perm)));
}

// Positions come as i32; ours are i64.
void write_topk(TfliteEmit& c) {
  const AttrView a = c.attr();
  const auto rank = static_cast<int64_t>(c.shape(0).size());
  if (!a.b("largest")) return c.refuse("TOPK_V2 finds the largest only");
  if (rank == 0 || (a.i("axis") + rank) % rank != rank - 1) return c.refuse("TOPK_V2 searches the last axis only");
  const int32_t positions = c.temporary(DType::i32, c.out_shape(1));
  c.op("TOPK_V2", {c.in(0), c.i32(a.i("k"))}, {c.out(0), positions});
  if (c.graph().use_count(c.node().outputs[1]) == 0) return;
  c.op("CAST", {positions}, {c.out(1)},
       {{"in_data_type", static_cast<double>(tflite_type(DType::i32))},
        {"out_data_type", static_cast<double>(tflite_type(DType::i64))}});
}
void read_topk(TfliteRead& c) {
  const auto y = c.b.ops("topk", {c.in(0)}, {{"k", c.const_int(1)}});
  if (c.b.failed() || c.results() != 2) return c.fail(Diag(diag::corrupt, "two results are needed"));
  c.ret(0, y[0]);
  c.ret(1, c.b.cast(y[1], DType::i32));
}

constexpr uint32_t kMoved = f32 | i32 | i64 | b1 | u8 | i8 | i16;

constexpr TfliteRow kRows[] = {
    {.name = "GATHER",
     .code = 36,
     .options = &kGatherOptions,
     .ours = {"gather", "embedding"},
     .version = v_gather,
     .types = kMoved,
     .write = write_gather,
     .read = read_gather},
    {.name = "EMBEDDING_LOOKUP", .code = 7, .read = read_lookup},
    {.name = "GATHER_ND",
     .code = 107,
     .options = &kGatherNdOptions,
     .ours = {"gather_nd"},
     .version = v_gather_nd,
     .types = kMoved},
    {.name = "SCATTER_ND",
     .code = 122,
     .options = &kScatterNdOptions,
     .ours = {"scatter_nd"},
     .types = f32 | i32 | i64 | u8 | i8 | b1,
     .typed = 1,
     .write = write_scatter,
     .read = read_scatter,
     .runtime = "2.1.0"},
    {.name = "ONE_HOT",
     .code = 85,
     .options = &kOneHotOptions,
     .ours = {"one_hot"},
     .types = f32 | i32 | i64 | u8 | i8 | b1 | i16,
     .typed = 2,
     .write = write_one_hot,
     .read = read_one_hot},
    {.name = "TOPK_V2",
     .code = 48,
     .options = &kTopKV2Options,
     .ours = {"topk"},
     .types = f32 | i32 | i64 | u8 | i8,
     .write = write_topk,
     .read = read_topk},
};

}  // namespace

std::span<const TfliteRow> tflite_index() { return kRows; }

}  // namespace npuport
