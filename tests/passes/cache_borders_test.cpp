// Caches [layers, batch, heads, rows, width] at the borders of a decoder: four dims in the file, the model's own in the
// samples.
#include "passes/cache_borders.h"

#include "lower_support.h"

namespace npuport::testing {
namespace {

constexpr int kWidth = 8;

std::string text_of(int n) { return std::to_string(n); }

// Two layers of attention over a cache of six rows and the new one, as PyTorch's slices, joins and stack.
struct Decoder {
  int batch = 1;
  int new_rows = 1;
  std::string new_first = {};  // "1": the new row stands before the cache
  std::string gives = "all";   // "all" rows, only the "new" ones, or "none"

  std::string text() const {
    const std::string b = text_of(batch), t = text_of(new_rows), all = text_of(6 + new_rows);
    std::string body = "input %x: f32[" + b + "," + t + ",32]\ninput %past: f32[2," + b +
                       ",4,6,8]\nconst %w: f32[32,32] = #a\n%h0 = linear(%x, %w)\n";
    for (const std::string i : {"0", "1"}) {
      const std::string end = i == "0" ? "1" : "2";
      const std::string join = new_first.empty() ? "%p" + i + ", %k" + i : "%k" + i + ", %p" + i;
      body += "%a" + i + " = slice(%past) starts=[" + i + "] ends=[" + end + "] axes=[0] steps=[1]\n%p" + i +
              " = reshape(%a" + i + ") shape=[" + b + ",4,6,8]\n%r" + i + " = reshape(%h" + i + ") shape=[" + b + "," +
              t + ",4,8]\n%k" + i + " = transpose(%r" + i + ") perm=[0,2,1,3]\n%c" + i + " = concat(" + join +
              ") axis=2\n%s" + i + " = matmul(%k" + i + ", %c" + i + ") transpose_b=true\n%m" + i + " = softmax(%s" +
              i + ") axis=-1\n%o" + i + " = matmul(%m" + i + ", %c" + i + ")\n%t" + i + " = transpose(%o" + i +
              ") perm=[0,2,1,3]\n%u" + i + " = reshape(%t" + i + ") shape=[" + b + "," + t + ",32]\n%h" + end +
              " = add(%h" + i + ", %u" + i + ")\n";
      if (gives == "all") body += "%n" + i + " = reshape(%c" + i + ") shape=[1," + b + ",4," + all + ",8]\n";
      if (gives == "new") body += "%n" + i + " = reshape(%k" + i + ") shape=[1," + b + ",4," + t + ",8]\n";
    }
    return body + (gives == "none" ? "output %h2" : "%new = concat(%n0, %n1) axis=0\noutput %h2, %new");
  }
};

const IoBinding& binding(const std::vector<IoBinding>& bindings, const std::string& name) {
  for (const IoBinding& b : bindings)
    if (b.name == name) return b;
  static const IoBinding none;
  ADD_FAILURE() << "no binding " << name;
  return none;
}

TEST(CacheBorders, FourDimsInTheFileAndNothingOnTheHost) {
  for (const int batch : {1, 3}) {
    const Graph before = graph_of(Decoder{.batch = batch}.text());
    const Prepared p = prepared(before, Refusing({}, 4));
    EXPECT_TRUE(p.left.empty()) << print(p.graph);
    EXPECT_TRUE(p.io.host_steps.empty());
    const IoBinding& in = binding(p.io.file_inputs, "past");
    EXPECT_EQ(in.permutation, (Shape{0, 1, 3, 2, 4}));
    EXPECT_EQ(in.shape, (Shape{2, batch, 6, 4 * kWidth}));
    const IoBinding& out = binding(p.io.file_outputs, "new");
    EXPECT_EQ(out.permutation, (Shape{0, 1, 3, 2, 4}));
    EXPECT_EQ(out.shape, (Shape{2, batch, 7, 4 * kWidth}));
    EXPECT_EQ(p.graph.shape(p.graph.inputs()[1]), in.shape);
    EXPECT_EQ(p.graph.shape(p.graph.outputs()[1]), out.shape);
    EXPECT_EQ(p.graph.value(p.graph.inputs()[1]).name, "past");
    EXPECT_EQ(p.graph.value(p.graph.outputs()[1]).name, "new");
    EXPECT_LT(difference(before, p.graph, p.io), 1e-5);
    // One transpose of the cache; its new rows go behind it in the file's order, which moves nothing but them.
    if (batch == 1) {
      EXPECT_EQ(op_counts(p.graph)["transpose"], 1) << print(p.graph);
    }
    const Node* made = p.graph.producer(p.graph.outputs()[1]);
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->op->name, "concat");
    EXPECT_EQ(made->inputs[0], p.graph.inputs()[1]);
  }
}

TEST(CacheBorders, OtherWaysToGiveRowsBack) {
  for (const Decoder& d : {Decoder{.new_rows = 2}, Decoder{.new_first = "1"}, Decoder{.gives = "new"},
                           Decoder{.gives = "none"}, Decoder{.batch = 2, .new_rows = 3, .gives = "new"}}) {
    const Graph before = graph_of(d.text());
    const Prepared p = prepared(before, Refusing({}, 4));
    EXPECT_TRUE(p.left.empty()) << print(p.graph);
    EXPECT_TRUE(p.io.host_steps.empty());
    for (const auto* border : {&p.graph.inputs(), &p.graph.outputs()})
      for (const ValueId v : *border) EXPECT_LE(p.graph.shape(v).size(), 4U);
    EXPECT_LT(difference(before, p.graph, p.io), 1e-5) << print(p.graph);
  }
}

TEST(CacheBorders, TheLedgerSaysBothShapes) {
  const Refusing legality({}, 4);
  const Ran r = run_pass(cache_borders_pass, graph_of(Decoder{}.text()), {}, &legality);
  ASSERT_EQ(r.ledger.size(), 2U);
  EXPECT_EQ(r.ledger.entries()[0].rewrite, "kv_cache_4d");
  EXPECT_THAT(r.ledger.entries()[0].before, ::testing::HasSubstr("2x1x4x6x8"));
  EXPECT_THAT(r.ledger.entries()[0].after, ::testing::HasSubstr("2x1x6x32"));
}

// The interface stays where one thing is off.
TEST(CacheBorders, NearMisses) {
  const Graph cache = graph_of(Decoder{}.text());
  struct Case {
    const char* why;
    Graph graph;
    size_t most_rank;
    bool split;
  };
  const std::string head = "input %past: f32[2,1,4,6,8]\n%a = slice(%past) starts=[0] ends=[1] axes=[";
  const std::string rest = "] steps=[1]\n%y = matmul(%a, %a) transpose_b=true\noutput %y";
  Case cases[] = {
      {"the target takes five dims", cache, 5, true},
      {"the interface has to stay", cache, 4, false},
      {"heads are taken, not layers", graph_of(head + "2" + rest), 4, true},
      {"two layers are taken at once",
       graph_of("input %past: f32[3,1,4,6,8]\n%a = slice(%past) starts=[0] ends=[2] axes=[0] steps=[1]\n%y = "
                "matmul(%a, %a) transpose_b=true\noutput %y"),
       4, true},
      {"no product: a video, perhaps",
       graph_of("input %past: f32[2,1,4,6,8]\n%a = slice(%past) starts=[0] ends=[1] axes=[0] steps=[1]\n%y = "
                "relu(%a)\noutput %y"),
       4, true},
      {"something else reads the whole",
       graph_of("input %past: f32[2,1,4,6,8]\n%a = slice(%past) starts=[0] ends=[1] axes=[0] steps=[1]\n%b = "
                "reshape(%a) shape=[1,4,6,8]\n%y = matmul(%b, %b) transpose_b=true\n%z = exp(%past)\noutput %y, %z"),
       4, true},
  };
  for (Case& k : cases) {
    SCOPED_TRACE(k.why);
    PassOptions options;
    options.split_host = k.split;
    const Refusing legality({}, k.most_rank);
    const std::string untouched = print(k.graph);
    const Ran r = run_pass(cache_borders_pass, k.graph, options, &legality);
    EXPECT_EQ(print(r.graph), untouched);
    EXPECT_TRUE(r.io.identity());
  }
}

}  // namespace
}  // namespace npuport::testing
