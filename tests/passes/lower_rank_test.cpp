// Tensors of rank 5 and more on a target that takes four dims of a limited extent.
#include <algorithm>

#include "lower_support.h"
#include "passes/lower.h"

namespace npuport::testing {
namespace {

// At most four dims, none longer than `longest`.
class Narrow : public Legality {
 public:
  explicit Narrow(int64_t longest) : longest_(longest) {}
  std::vector<Diag> check(const Graph& g, NodeId id) const override {
    std::vector<Diag> out = four_.check(g, id);
    for (const ValueId v : g.node(id).outputs)
      for (const int64_t d : g.shape(v))
        if (d > longest_) out.push_back(Diag(diag::illegal_for_target, "a dim is too long"));
    return out;
  }

 private:
  Refusing four_{{}, 4};
  int64_t longest_;
};

// One node with inputs of this type and shape; an error where the operator takes no such type.
Result<Graph> elementwise_graph(const OpDef& op, DType dtype, const Shape& shape) {
  Graph g;
  Builder b(g);
  std::vector<ValueId> in;
  for (size_t i = 0; i < op.in.size(); ++i)
    if (op.in[i].kind == Port::required) {
      const bool condition = op.name == "where" && i == 0;
      in.push_back(g.add_input("x" + std::to_string(i), {condition ? DType::boolean : dtype, shape, nullptr}));
    }
  std::vector<Attr> attrs;
  for (const AttrDef& a : op.attrs)
    if (a.kind == AttrKind::dtype && a.default_text.empty())
      attrs.push_back({std::string(a.name), DType::f32});
    else if (a.default_text.empty())
      attrs.push_back({std::string(a.name), 0.5});
  const std::vector<ValueId> out = b.ops(op.name, in, attrs);
  NPU_TRY(b.take_status());
  g.set_outputs(out);
  NPU_TRY(verify(g, Stage::imported));
  return g;
}

size_t apply_once(const Rewrite& row, Graph& g) {
  const RewriteSet rules(std::span(&row, 1));
  PassOptions options;
  Ledger ledger;
  PassContext c{options, ledger, nullptr, nullptr, nullptr, {}, "test", nullptr};
  const size_t applied = rules.apply_at(g, c, row, g.topological().front(), "test") ? 1 : 0;
  g.erase_dead();
  return applied;
}

struct RankCase {
  const char* name;
  const char* body;
};
const RankCase kRankCases[] = {
    {"windows",
     "input %x: f32[2,8,8,3]\n %r = reshape(%x) shape=[2,2,4,2,4,3]\n %t = transpose(%r) perm=[0,1,3,2,4,5]\n %w = "
     "reshape(%t) shape=[8,16,3]\n %y = relu(%w)\n output %y"},
    {"window reverse",
     "input %x: f32[8,16,3]\n %z = relu(%x)\n %r = reshape(%z) shape=[2,2,2,4,4,3]\n %t = transpose(%r) "
     "perm=[0,1,3,2,4,5]\n %y = reshape(%t) shape=[2,8,8,3]\n output %y"},
    {"packed heads",
     "input %x: f32[2,5,24]\n %a = relu(%x)\n %r = reshape(%a) shape=[2,5,3,2,4]\n %t = transpose(%r) "
     "perm=[2,0,3,1,4]\n "
     "%q0 = slice(%t) starts=[0] ends=[1] axes=[0] steps=[1]\n %k0 = slice(%t) starts=[1] ends=[2] axes=[0] "
     "steps=[1]\n "
     "%q = reshape(%q0) shape=[2,2,5,4]\n %k = reshape(%k0) shape=[2,2,5,4]\n %y = matmul(%q, %k) transpose_b=true\n "
     "output %y"},
    {"pixel shuffle",
     "input %x: f32[1,12,3,5]\n %a = relu(%x)\n %r = reshape(%a) shape=[1,3,2,2,3,5]\n %t = transpose(%r) "
     "perm=[0,1,4,2,5,3]\n %y = reshape(%t) shape=[1,3,6,10]\n output %y"},
    {"windowed attention with a mask",
     "input %x: f32[4,2,3,5]\n input %m: f32[2,3,3]\n %a = matmul(%x, %x) transpose_b=true\n %r = reshape(%a) "
     "shape=[2,2,2,3,3]\n %u = reshape(%m) shape=[1,2,1,3,3]\n %s = add(%r, %u)\n %f = reshape(%s) shape=[4,2,3,3]\n "
     "%y = "
     "softmax(%f)\n output %y"},
    {"zeros between pixels",
     "input %x: f32[2,3,3,2]\n %r = reshape(%x) shape=[2,3,1,3,1,2]\n %p = pad(%r) pads=[0,0,0,0,0,0,0,0,1,0,2,0]\n "
     "%t = reshape(%p) shape=[2,6,9,2]\n %y = relu(%t)\n output %y"},
    {"products and norms of rank five",
     "input %x: f32[2,3,20]\n const %w: f32[6,5] = #a\n %r = reshape(%x) shape=[1,2,3,4,5]\n %l = linear(%r, %w)\n %n "
     "= "
     "layer_norm(%l)\n %m = matmul(%n, %n) transpose_a=true\n %s = softmax(%m)\n %d = reduce_mean(%s) axes=[3,4] "
     "keepdims=true\n %c = concat(%d, %d) axis=1\n %y = reshape(%c) shape=[4,3]\n output %y"},
};

TEST(LowerRank, HighRanksBecomeFour) {
  for (const RankCase& k : kRankCases) {
    SCOPED_TRACE(k.name);
    const Graph before = graph_of(k.body);
    const Lowered l = lowered(before, Refusing({}, 4));
    EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
    EXPECT_LT(difference(before, l.ran.graph), 2e-5);
  }
}

// Merged dims stay as short as they can: a limit of the extent stands beside that of the rank.
const RankCase kExtentCases[] = {
    {"element by element",
     "input %x: f32[6,14,10]\n %r = reshape(%x) shape=[1,6,7,2,2,5]\n %s = mul(%r, %r)\n %y = reshape(%s) "
     "shape=[6,14,10]\n output %y"},
    {"along an axis",
     "input %x: f32[6,14,10]\n %r = reshape(%x) shape=[6,7,2,2,5]\n %s = softmax(%r) axis=1\n %y = reshape(%s) "
     "shape=[6,14,10]\n output %y"},
    {"a batch of products",
     "input %x: f32[12,14,10]\n %r = reshape(%x) shape=[1,12,14,2,5]\n %s = matmul(%r, %r) transpose_b=true\n %y = "
     "reshape(%s) shape=[12,14,4]\n output %y"},
    {"rows",
     "input %x: f32[6,14,10]\n %r = reshape(%x) shape=[6,7,2,2,5]\n %s = layer_norm(%r)\n %y = reshape(%s) "
     "shape=[6,14,10]\n output %y"},
};

TEST(LowerRank, MergedDimsStayShort) {
  for (const RankCase& k : kExtentCases) {
    SCOPED_TRACE(k.name);
    const Graph before = graph_of(k.body);
    const Lowered l = lowered(before, Narrow(14));
    EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
    EXPECT_LT(difference(before, l.ran.graph), 2e-5);
  }
}

// Query, key and value of a window are taken from the projection before heads and positions change places: the
// transpose of all three together, whose parts are too long, is needed no more.
TEST(LowerRank, HeadsAreTakenBeforeTheyAreMoved) {
  const Graph before = graph_of(kRankCases[2].body);
  const Lowered l = lowered(before, Narrow(24));
  EXPECT_EQ(l.left, 0U) << print(l.ran.graph);
  EXPECT_THAT(fired(l.ran.ledger), ::testing::IsSupersetOf({"selection_before_transpose", "slice_before_split_dim"}));
  EXPECT_EQ(op_counts(l.ran.graph)["transpose"], 2) << print(l.ran.graph);
  EXPECT_LT(difference(before, l.ran.graph), 2e-5);
}

// Every operator that works element by element does so under four dims, too.
TEST(LowerRank, ElementwiseRows) {
  size_t tried = 0;
  for (const Rewrite& row : lower_rewrites()) {
    const OpDef* op = row.name.starts_with("rank_of_") ? Registry::global().find(row.name.substr(8)) : nullptr;
    if (!op || op->axes.kind != AxisRule::elementwise) continue;
    SCOPED_TRACE(row.name);
    bool fired_once = false;
    for (const DType dtype : {DType::f32, DType::boolean, DType::i32}) {
      const Result<Graph> high = elementwise_graph(*op, dtype, {2, 1, 3, 2, 2}),
                          low = elementwise_graph(*op, dtype, {2, 3, 2, 2});
      if (!high || !low) continue;
      fired_once = true;
      Graph g = *high, near = *low;
      EXPECT_EQ(apply_once(row, g), 1U);
      for (const NodeId id : g.topological())
        if (g.node(id).op == op) {
          EXPECT_LE(g.shape(g.node(id).outputs[0]).size(), 4U);
        }
      std::vector<Tensor> in = random_inputs(g);  // out of some domains: NaN has to be NaN
      for (Tensor& t : in)
        if (t.dtype == DType::i32)
          for (int32_t& v : t.mut<int32_t>()) ++v;  // nothing is divided by zero
      const auto wanted = execute(*high, in), got = execute(g, in);
      ASSERT_TRUE(wanted && got);
      for (size_t i = 0; i < wanted->size(); ++i) EXPECT_TRUE(identical((*wanted)[i], (*got)[i])) << print(g);
      EXPECT_EQ(apply_once(row, near), 0U);
      EXPECT_EQ(print(near), print(*low));
    }
    EXPECT_TRUE(fired_once);
    ++tried;
  }
  EXPECT_GT(tried, 60U);
}

}  // namespace
}  // namespace npuport::testing
