// What the operator cases of PyTorch cannot show: forms only rewritten graphs have, names, refusals, bytes.
#include "writers/torchscript_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "exec/executor.h"
#include "frontends/torchscript.h"
#include "ir/registry.h"
#include "ir/text.h"
#include "ops/manifest.h"
#include "ops/torch.h"
#include "passes/layout.h"
#include "support/torch_run.h"

namespace npuport::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr TorchScriptOptions kQuick{.sync = false};

Graph parsed(const std::string& text) {
  Result<Graph> g = parse_graph(text);
  EXPECT_TRUE(g) << to_text(g.error()) << "\n" << text;
  return g ? std::move(*g) : Graph();
}

Tensor random_tensor(const TensorType& type, uint32_t seed) {
  std::mt19937 random(seed);
  Tensor t = Tensor::zeros(type.dtype, type.shape);
  for (int64_t i = 0; i < t.count(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (type.dtype == DType::f32) t.mut<float>()[at] = std::uniform_real_distribution<float>(-2, 2)(random);
    if (type.dtype == DType::i64) t.mut<int64_t>()[at] = std::uniform_int_distribution<int64_t>(0, 1)(random);
    if (type.dtype == DType::i32) t.mut<int32_t>()[at] = std::uniform_int_distribution<int32_t>(0, 1)(random);
    if (type.dtype == DType::boolean) t.mut<bool>()[at] = (random() & 1U) != 0;
  }
  return t;
}

std::vector<Tensor> inputs_for(const Graph& g) {
  std::vector<Tensor> in;
  for (const ValueId v : g.inputs()) in.push_back(random_tensor(g.type(v), static_cast<uint32_t>(in.size() + 1)));
  return in;
}

void expect_near(const std::vector<Tensor>& got, const std::vector<Tensor>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t k = 0; k < want.size(); ++k) {
    ASSERT_EQ(got[k].shape, want[k].shape) << what;
    ASSERT_EQ(got[k].dtype, want[k].dtype) << what;
    for (int64_t i = 0; i < want[k].count(); ++i) {
      ASSERT_NEAR(get_double(got[k], i), get_double(want[k], i), 1e-5) << what << ", element " << i;
    }
  }
}

// One line of IR text with its inputs; %w and %b are constants where named.
struct Form {
  const char* inputs;
  const char* body;
};

// Attributes and operators that only rewrites, TFLite or ONNX files make.
const Form kForms[] = {
    {"%x: f32[1,2,7,6]\n input %w: f32[3,2,3,3]\n input %b: f32[3]",
     "%y = conv2d(%x, %w, %b) pad_begin=[0,1] pad_end=[1,2] stride=[2,1] activation=\"relu\""},
    {"%x: f32[1,2,7,6]\n input %w: f32[3,2,3,3]",
     "%y = conv2d(%x, %w) pad_begin=[1,1] pad_end=[1,1] activation=\"relu6\""},
    {"%x: f32[1,2,9]\n input %w: f32[3,2,3]",
     "%y = conv1d(%x, %w) pad_begin=[2] pad_end=[0] activation=\"relu_n1_to_1\""},
    {"%x: f32[1,3,5,5]\n input %w: f32[3,2,3,3]",
     "%y = conv_transpose2d(%x, %w) stride=[2,2] pad_begin=[0,1] pad_end=[1,0] output_padding=[1,1]"},
    {"%x: f32[2,5]\n input %w: f32[3,5]\n input %b: f32[3]", "%y = linear(%x, %w, %b) activation=\"relu\""},
    {"%a: f32[2,4,3]\n input %b: f32[2,5,4]", "%y = matmul(%a, %b) transpose_a=true transpose_b=true"},
    {"%x: f32[1,2,7,7]", "%y = max_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[0,0] pad_end=[1,2]"},
    {"%x: f32[1,2,7,7]", "%y = max_pool2d(%x) kernel=[2,2] stride=[2,2] pad_begin=[0,1] pad_end=[1,1] ceil_mode=true"},
    {"%x: f32[1,2,7,7]",
     "%y = avg_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[0,1] pad_end=[1,1] count_include_pad=false"},
    {"%x: f32[1,2,7,7]", "%y = avg_pool2d(%x) kernel=[3,2] stride=[2,2] pad_begin=[0,1] pad_end=[1,0] ceil_mode=true"},
    {"%x: f32[1,2,9]", "%y = avg_pool1d(%x) kernel=[3] stride=[2] pad_begin=[1] pad_end=[1] divisor_override=2"},
    {"%x: f32[2,3,4]\n input %m: f32[4]\n input %v: f32[4]",
     "%p = mul(%v, %v)\n %y = batch_norm(%x, _, _, %m, %p) axis=2"},
    {"%x: f32[3,4]\n input %m: f32[3]\n input %v: f32[3]",
     "%p = mul(%v, %v)\n %y = batch_norm(%x, _, _, %m, %p) axis=0"},
    {"%x: f32[2,5,4]", "%y = group_norm(%x) groups=2 axis=2"},
    {"%x: f32[2,5,4]", "%y = instance_norm(%x) axis=2"},
    {"%x: f32[2,5,4]\n input %w: f32[5,4]", "%y = rms_norm(%x, %w) normalized_rank=2 eps=0.001"},
    {"%x: f32[1,8,2,3]", "%y = depth_to_space(%x) block=2 mode=\"dcr\""},
    {"%x: f32[1,2,4,6]", "%y = space_to_depth(%x) block=2 mode=\"dcr\""},
    {"%x: f32[2,3,4]", "%y = pad(%x) pads=[1,0,2,0,1,1] mode=\"constant\" value=3.5"},
    {"%x: f32[2,3,4]", "%y = pad(%x) pads=[1,0,2,1,1,1] mode=\"reflect\""},
    {"%x: f32[1,3,4,5]", "%y = pad(%x) pads=[0,0,2,1,0,0,1,3] mode=\"reflect\""},
    {"%x: f32[1,3,4,5]", "%y = pad(%x) pads=[0,1,2,1,0,0,1,3] mode=\"replicate\""},
    {"%x: f32[1,3,4,5]", "%y = pad(%x) pads=[0,0,2,1,0,0,1,3] mode=\"circular\""},
    {"%x: f32[1,2,4,5]", "%y = resize2d(%x) size=[7,3] mode=\"nearest_exact\""},
    {"%x: f32[1,2,8,9]", "%y = resize2d(%x) size=[3,4] mode=\"linear\" antialias=true"},
    {"%x: f32[1,2,8]", "%y = resize1d(%x) size=[5] mode=\"cubic\" antialias=true"},
    {"%x: i32[1,2,4,5]", "%y = resize2d(%x) size=[8,10]"},
    {"%x: f32[3,4]\n const %k: f32[3] = [0.5, -0.25, 2.0]", "%y = prelu(%x, %k) axis=0"},
    {"%x: f32[3,4]\n input %i: i32[2,2]", "%y = gather(%x, %i) axis=1"},
    {"%x: f32[3,4]\n input %i: i64[5,2]", "%y = gather_nd(%x, %i)"},
    {"%x: f32[3,4]\n input %i: i64[2,1]\n input %u: f32[2,4]", "%y = scatter_nd(%x, %i, %u) reduction=\"add\""},
    {"%x: f32[3,4]\n input %i: i64[2,4]\n input %u: f32[2,4]",
     "%y = scatter_elements(%x, %i, %u) axis=0 reduction=\"mul\""},
    {"%i: i32[2,3]", "%y = one_hot(%i) depth=4 dtype=f32"},
    {"%x: f32[5,2,3]\n input %w: f32[16,3]\n input %h: f32[16,4]",
     "%y, %s, %c = lstm(%x, %w, %h) reverse=true\n %t = add(%s, %c)"},
    {"%x: f32[5,2,3]\n input %w: f32[12,3]\n input %h: f32[12,4]", "%y, %s = gru(%x, %w, %h)"},
    {"%x: f32[5,2,3]\n input %w: f32[4,3]\n input %h: f32[4,4]", "%y, %s = rnn(%x, %w, %h) nonlinearity=\"relu\""},
    {"%x: f32[2,3,4]", "%y = reduce_prod(%x) axes=[0,2] keepdims=true"},
    {"%x: bool[2,3,4]", "%y = reduce_any(%x) axes=[0,1]"},
    {"%x: i32[2,3]", "%y = reduce_sum(%x) axes=[1]"},
    {"%x: f32[2,3]", "%y = gelu(%x) approximate=\"tanh\""},
    {"%x: f32[2,3]\n input %z: f32[2,3]", "%y = squared_difference(%x, %z)"},
    {"%x: f32[2,3]\n const %k: f32[] = [2.5]", "%y = sub(%k, %x)"},
    {"%x: f32[2,3]\n const %k: f32[] = [0.5]\n const %l: f32[1] = [-1.0]",
     "%p = less(%k, %x)\n %q = div(%l, %x)\n %y = where(%p, %q, %l)"},
    {"%x: f32[2,6]", "%y, %z = split(%x) axis=1 sizes=[2,4]"},
    {"%x: f32[2,6]", "%y = slice(%x) starts=[1,0] ends=[2,5] axes=[0,1] steps=[1,2]"},
    {"%x: f32[2,3]", "%y = clamp(%x) min=-1.0 max=1.0"},
    {"%x: i32[2,3]", "%y = clamp(%x) min=0.0"},
};

Graph form_graph(const Form& f) {
  std::string text = "graph \"form\" {\n input " + std::string(f.inputs) + "\n " + f.body + "\n output %y\n}";
  return parsed(text);
}

TEST(TorchScriptWriterTest, FormsThatPyTorchDoesNotMakeItself) {
  const std::string python = torch_python();
  const TempFolder folder;
  std::vector<OracleCase> cases;
  std::vector<std::vector<Tensor>> expected;
  for (const Form& f : kForms) {
    const Graph g = form_graph(f);
    ASSERT_FALSE(g.outputs().empty()) << f.body;
    const std::string stem = folder.path(std::to_string(cases.size()));
    const Status s = write_torchscript(g, stem + ".pt", kQuick);
    ASSERT_TRUE(s) << f.body << "\n" << to_text(s.error());
    const auto source = torch_model_source("form", {{&g, "form", std::to_string(cases.size()) + ".pt"}});
    ASSERT_TRUE(source);
    ASSERT_TRUE(write_file(stem + ".py", *source));
    cases.push_back({stem + ".pt", inputs_for(g), stem + ".py", "Form"});
    const auto want = execute(g, cases.back().inputs, {.overrides = false});
    ASSERT_TRUE(want) << f.body << "\n" << to_text(want.error());
    expected.push_back(*want);
    const Result<ImportedModel> back = import_torchscript(stem + ".pt", {});
    ASSERT_TRUE(back) << f.body << "\n" << to_text(back.error());
    ASSERT_TRUE(back->opaque.empty()) << f.body << ": " << back->opaque.front().foreign;
    const auto got = execute(back->graph, cases.back().inputs, {.overrides = false});
    ASSERT_TRUE(got) << f.body << "\n" << to_text(got.error());
    expect_near(*got, *want, std::string("read back: ") + f.body);
  }
  if (!torch_there()) GTEST_SKIP() << "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
  for (const std::string& interpreter : {python, old_torch_python()}) {
    if (interpreter.empty()) continue;
    const auto results = run_torch(interpreter, folder.path(), cases);
    ASSERT_TRUE(results) << to_text(results.error());
    for (size_t i = 0; i < cases.size(); ++i) {
      const OracleResult& r = (*results)[i];
      EXPECT_EQ(r.error, "") << kForms[i].body;
      EXPECT_EQ(r.source, "") << kForms[i].body;
      if (r.error.empty()) expect_near(r.outputs, expected[i], interpreter + ": " + kForms[i].body);
    }
  }
}

const char* kNhwc =
    "graph \"net\" {\n input %x: f32[1,6,8,3]\n input %w: f32[4,3,3,3]\n"
    " const %k: f32[4] = [0.5, 1.5, -1.0, 2.0]\n"
    " %a = conv2d(%x, %w) pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n"
    " %b = relu(%a)\n %c = add(%b, %k)\n"
    " %d = max_pool2d(%c) kernel=[2,2] stride=[2,2] layout=\"nhwc\"\n"
    " %e = concat(%d, %d) axis=3\n %m = reduce_mean(%e) axes=[1,2]\n"
    " output %e, %m\n}";

TEST(TorchScriptWriterTest, ChannelsLastGraphsAreComputedInNchwWithTransposesAtTheBordersOnly) {
  const Graph g = parsed(kNhwc);
  const Result<Graph> first = channels_first(g);
  ASSERT_TRUE(first) << to_text(first.error());
  EXPECT_TRUE(verify(*first, Stage::canonical));
  size_t transposes = 0;
  for (const NodeId id : first->topological()) {
    const Node& n = first->node(id);
    transposes += n.op->name == "transpose" ? 1 : 0;
    if (n.attr().has("layout")) {
      EXPECT_EQ(n.attr().s("layout"), "nchw");
    }
  }
  EXPECT_EQ(transposes, 2u);
  EXPECT_EQ(first->value(first->inputs()[0]).name, "x");
  EXPECT_EQ(first->shape(first->outputs()[0]), g.shape(g.outputs()[0]));
  const std::vector<Tensor> in = inputs_for(g);
  expect_near(*execute(*first, in), *execute(g, in), "channels_first");
  // A graph without such operators is not touched.
  const Graph plain = parsed("graph \"p\" {\n input %x: f32[1,3,4,4]\n %y = relu(%x)\n output %y\n}");
  EXPECT_EQ(print(*channels_first(plain)), print(plain));
}

Graph hostile_graph() {
  Graph g;
  g.name = "class x:\n  import os";
  Builder b(g);
  const ValueId x = g.add_input("x\"); import os; os.abort(#", {DType::f32, {2, 2}, nullptr});
  const ValueId self = g.add_input("self", {DType::f32, {2, 2}, nullptr});
  const ValueId word = g.add_input("日本語", {DType::f32, {2, 2}, nullptr});
  const ValueId w = g.add_constant("forward", Tensor::of<float>({2}, {1, 2}));
  const ValueId u = g.add_constant("training", Tensor::of<float>({2}, {3, 4}));
  const ValueId longest = g.add_constant(std::string(5000, 'w'), Tensor::of<float>({2}, {5, 6}));
  b.set_origins({{"blocks\n    import os\n\"\"\"", "", ""}});
  const ValueId sum = b.add(b.add(b.add(x, w), b.add(self, u)), b.add(word, longest));
  g.rename(sum, "None");
  g.set_outputs({sum, w});
  return g;
}

TEST(TorchScriptWriterTest, HostileNamesBecomeIdentifiers) {
  const Graph g = hostile_graph();
  const TempFolder folder;
  ASSERT_TRUE(write_torchscript(g, folder.path("a.pt"), kQuick));
  const auto source = torch_model_source("a\"\"\"\nimport os\n", {{&g, "b\nimport os", "a.pt"}});
  ASSERT_TRUE(source);
  EXPECT_THAT(*source, Not(HasSubstr("\nimport os")));
  EXPECT_THAT(*source, HasSubstr("        # blocks?    import os?"));
  ASSERT_TRUE(write_file(folder.path("a.py"), *source));
  const std::vector<Tensor> in = inputs_for(g);
  const auto want = execute(g, in);
  const Result<ImportedModel> back = import_torchscript(folder.path("a.pt"), {});
  ASSERT_TRUE(back) << to_text(back.error());
  expect_near(*execute(back->graph, in), *want, "read back");
  if (!torch_there()) GTEST_SKIP() << "no Python with PyTorch (NPUPORT_TEST_TORCH_PYTHON)";
  const auto results =
      run_torch(torch_python(), folder.path(), {{folder.path("a.pt"), in, folder.path("a.py"), "BImportOs"}});
  ASSERT_TRUE(results) << to_text(results.error());
  EXPECT_EQ((*results)[0].error, "");
  EXPECT_EQ((*results)[0].source, "");
  expect_near((*results)[0].outputs, *want, "PyTorch");
}

TEST(TorchScriptWriterTest, EveryOperatorHasARow) {
  // A nested tensor leaves no trace in the results PyTorch's readers of archives give; an opaque operator has no
  // meaning.
  const std::set<std::string_view> without = {"nested_rows", "opaque"};
  for (const OpDef* op : Registry::global().all()) {
    EXPECT_EQ(torch_row(op->name) == nullptr, without.contains(op->name)) << op->name;
  }
  for (const auto& rows : ops::torch_rows()) {
    for (const TorchRow& row : rows) {
      EXPECT_NE(Registry::global().find(row.op), nullptr) << row.op;
      EXPECT_NE(row.call.empty(), row.write == nullptr) << row.op << " needs either form";
    }
  }
}

TEST(TorchScriptWriterTest, IdentifiersAreSafe) {
  EXPECT_EQ(torch_identifier("encoder.blocks.0.weight"), "encoder_blocks_0_weight");
  EXPECT_EQ(torch_identifier("0.x"), "v0_x");
  EXPECT_EQ(torch_identifier("__class__"), "class_");
  EXPECT_EQ(torch_identifier(""), "v");
  EXPECT_EQ(torch_identifier("training"), "training_");
  EXPECT_EQ(torch_identifier(std::string(1000, 'a')).size(), 64u);
  EXPECT_EQ(TorchEmit::quoted("a\"b\\c\n\xff"), "\"a\\\"b\\\\c\\x0a\\xff\"");
  EXPECT_EQ(TorchEmit::text(1.0), "1.0");
  EXPECT_EQ(TorchEmit::text(INT64_MIN), "(-9223372036854775807 - 1)");
}

TEST(TorchScriptWriterTest, ConstantsKeepNamesOrGetThatOfTheirModule) {
  Graph g;
  g.name = "net";
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {1, 2}, nullptr});
  const ValueId named = g.add_constant("head.bias", Tensor::of<float>({2}, {1, 2}));
  const ValueId unnamed = g.add_constant("", Tensor::of<float>({2, 2}, {1, 2, 3, 4}));
  b.set_origins({{"head", "", ""}});
  g.set_outputs({b.op("linear", {x, unnamed, named})});
  const auto p = torch_program(g, TorchDialect::script);
  ASSERT_TRUE(p);
  ASSERT_EQ(p->constants.size(), 2u);
  EXPECT_EQ(p->constants[0].attribute, "head_weight");
  EXPECT_EQ(p->constants[1].attribute, "head_bias");
  EXPECT_EQ(p->lines[0].text, "linear = torch.linear(x, self.head_weight, self.head_bias)");
}

TEST(TorchScriptWriterTest, SameGraphSameBytesAndSharedConstantsOnce) {
  const std::string text =
      "graph \"n\" {\n input %x: f32[1,3,8,8]\n input %w: f32[4,3,3,3]\n %y = conv2d(%x, %w)\n output %y\n}";
  const TempFolder folder;
  ASSERT_TRUE(write_torchscript(parsed(text), folder.path("a"), kQuick));
  ASSERT_TRUE(write_torchscript(parsed(text).compacted(), folder.path("b"), kQuick));
  EXPECT_EQ(*read_file(folder.path("a")), *read_file(folder.path("b")));

  Graph g;
  Builder b(g);
  const auto big = std::make_shared<const Tensor>(Tensor::zeros(DType::f32, {100, 100}));
  const ValueId x = g.add_input("x", {DType::f32, {100, 100}, nullptr});
  const ValueId one = g.add_constant("one", big), two = g.add_constant("two", std::make_shared<const Tensor>(*big));
  g.set_outputs({b.add(b.add(x, one), two)});
  ASSERT_TRUE(write_torchscript(g, folder.path("tied"), kQuick));
  EXPECT_LT(read_file(folder.path("tied"))->size(), 50000u);
}

TEST(TorchScriptWriterTest, DivisionAsksForAFormatWhereItMeansDivision) {
  const TempFolder folder;
  const auto version_of = [&](const char* body) {
    const Graph g = parsed("graph \"n\" {\n input %x: f32[2]\n const %k: f32[] = [2.0]\n %y = " + std::string(body) +
                           "\n output %y\n}");
    return torch_program(g, TorchDialect::script)->archive_version;
  };
  EXPECT_EQ(version_of("add(%x, %k)"), 3);
  EXPECT_EQ(version_of("div(%x, %k)"), 4);
}

TEST(TorchScriptWriterTest, RefusalsNameEveryOperatorAndLeaveNoFile) {
  Graph g;
  Builder b(g);
  const ValueId x = g.add_input("x", {DType::f32, {2, 3}, nullptr});
  const ValueId keep = g.add_input("keep", {DType::boolean, {2, 3}, nullptr});
  const ValueId rows = b.op("nested_rows", {x, keep});
  const ValueId u = b.op("cast", {x}, {{"to", DType::u16}});
  g.set_outputs({rows, u});
  const TempFolder folder;
  const Status s = write_torchscript(g, folder.path("a.pt"), kQuick);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, &diag::not_representable);
  ASSERT_EQ(s.error().notes.size(), 2u);
  EXPECT_THAT(to_text(s.error()), HasSubstr("nested_rows: PyTorch has no such operator"));
  EXPECT_THAT(to_text(s.error()), HasSubstr("cast: PyTorch 1.8 has no element type u16"));
  EXPECT_EQ(folder.count(), 0u);
  EXPECT_FALSE(write_torchscript(parsed(kNhwc), folder.path("no/such/folder/a.pt"), kQuick));
}

}  // namespace
}  // namespace npuport::testing
