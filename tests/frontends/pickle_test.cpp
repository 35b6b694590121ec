#include "frontends/torch/pickle.h"

#include <gtest/gtest.h>

#include "base/diag_codes.h"
#include "torch_fixture.h"

namespace npuport {
namespace {

using namespace testing;
using Kind = PickleValue::Kind;

Result<Pickle> read(const std::string& bytes, bool record = false) {
  PickleOptions options;
  options.record_unknown = record;
  return read_pickle(as_bytes(bytes), options);
}

const DiagCode* code_of(const std::string& bytes, bool record = false) {
  const auto p = read(bytes, record);
  return p.ok() ? nullptr : p.error().code;
}

Pickle good(const std::string& bytes, bool record = false) {
  auto p = read(bytes, record);
  EXPECT_TRUE(p.ok()) << to_text(p.error());
  return p ? std::move(*p) : Pickle{};
}

TEST(Pickle, Scalars) {
  EXPECT_TRUE(good(pickle(op::none)).root->is(Kind::none));
  EXPECT_EQ(good(pickle(op::yes)).root->integer, 1);
  EXPECT_EQ(good(pickle(op::i(200))).root->integer, 200);
  EXPECT_EQ(good(pickle(op::i(-5))).root->integer, -5);
  EXPECT_EQ(good(pickle("J" + op::little(0xFFFFFFFF, 4))).root->integer, -1);
  EXPECT_EQ(good(pickle("M" + op::little(65535, 2))).root->integer, 65535);
  EXPECT_EQ(good(pickle(op::f(-0.5))).root->real, -0.5);
  EXPECT_EQ(good(pickle(op::s("ü"))).root->text, "ü");
  EXPECT_EQ(good(pickle(op::none)).consumed, 4U);
}

TEST(Pickle, LongIntegers) {
  EXPECT_EQ(good(pickle(std::string("\x8a\x00", 2))).root->integer, 0);
  EXPECT_EQ(good(pickle("\x8a\x01\xff")).root->integer, -1);
  EXPECT_EQ(good(pickle(std::string("\x8a\x02\xff\x00", 4))).root->integer, 255);
  const auto big = good(pickle(std::string("\x8a\x09\0\0\0\0\0\0\0\0\1", 11)));
  EXPECT_TRUE(big.root->is(Kind::big_integer));
  EXPECT_EQ(big.root->text, "18446744073709551616");
  EXPECT_EQ(good(pickle(std::string("\x8a\x09\0\0\0\0\0\0\0\0\xff", 11))).root->text, "-18446744073709551616");
  EXPECT_EQ(code_of(pickle("\x8b" + op::little(0x7FFFFFFF, 4))), &diag::too_large);
}

TEST(Pickle, TextProtocol) {
  EXPECT_EQ(good("I42\n.").root->integer, 42);
  EXPECT_TRUE(good("I01\n.").root->is(Kind::boolean));
  EXPECT_EQ(good("L-7L\n.").root->integer, -7);
  EXPECT_EQ(good("L99999999999999999999L\n.").root->text, "99999999999999999999");
  EXPECT_EQ(good("F-1.5e3\n.").root->real, -1500.0);
  EXPECT_EQ(good("S'a\\n\\x41\\'b'\n.").root->text, "a\nA'b");
  EXPECT_EQ(good("V\\u00fc\\u6c49\\U0001f600\xe9\n.").root->text, "ü汉😀é");
  EXPECT_EQ(good("(lp0\nI1\naI2\na.").root->items.size(), 2U);
  EXPECT_EQ(good("(dp0\nS'k'\nI1\ns.").root->find("k")->integer, 1);
  for (const char* bad : {"Ix\n.", "L\n.", "Fx\n.", "S'a\n.", "Sa\n.", "V\\u12\n.", "gx\n.", "g7\n.", "I1"})
    EXPECT_FALSE(read(bad).ok()) << bad;
}

TEST(Pickle, ContainersAndIdentity) {
  const auto p = good(pickle(
      op::tuple_of({op::list_of({op::i(1)}) + op::put(0), op::get(0), op::empty_dict, op::i(1) + op::i(2) + "\x86"})));
  ASSERT_EQ(p.root->items.size(), 4U);
  EXPECT_EQ(p.root->items[0], p.root->items[1]);  // the same list, not an equal one
  EXPECT_TRUE(p.root->items[2]->is(Kind::dict));
  EXPECT_EQ(p.root->items[3]->items.size(), 2U);
}

TEST(Pickle, LaterKeysReplaceAndKeepOrder) {
  const auto p = good(pickle(op::dict_of({{"a", op::i(1)}, {"b", op::i(2)}, {"a", op::i(3)}})));
  ASSERT_EQ(p.root->entries.size(), 2U);
  EXPECT_EQ(p.root->find("a")->integer, 3);
  EXPECT_EQ(p.root->entries[0].first->text, "a");
  EXPECT_EQ(p.root->find("c"), nullptr);
}

TEST(Pickle, ScriptObjects) {
  const auto p = good(pickle(op::object("__torch__.net", "Net", op::dict_of({{"training", op::no}}))));
  EXPECT_TRUE(p.root->is(Kind::object));
  EXPECT_EQ(p.root->text, "__torch__.net.Net");
  EXPECT_EQ(p.root->find("training")->integer, 0);
  // An enum: REDUCE of the class with the bare value.
  const auto e = good(pickle(op::global("__torch__.net", "Mode") + op::i(1) + op::reduce));
  EXPECT_EQ(e.root->text, "__torch__.net.Mode");
  ASSERT_EQ(e.root->items.size(), 1U);
  EXPECT_EQ(e.root->items[0]->integer, 1);
}

TEST(Pickle, TypedListsAndTags) {
  const auto ints = good(pickle(op::call("torch.jit._pickle", "build_intlist", {op::list_of({op::i(1)})})));
  EXPECT_TRUE(ints.root->is(Kind::list));
  EXPECT_EQ(ints.root->text, "List[int]");
  const auto tagged = good(pickle(
      op::call("torch.jit._pickle", "restore_type_tag", {op::dict_of({{"a", op::i(1)}}), op::s("Dict[str, int]")})));
  EXPECT_EQ(tagged.root->text, "Dict[str, int]");
  EXPECT_EQ(good(pickle(op::call("torch.jit._pickle", "build_doublelist", {op::list_of({})}))).root->text,
            "List[float]");
  EXPECT_EQ(good(pickle(op::call("torch.jit._pickle", "build_boollist", {op::list_of({})}))).root->text, "List[bool]");
  EXPECT_EQ(code_of(pickle(op::call("torch.jit._pickle", "build_intlist", {op::i(1)}))), &diag::corrupt);
}

TEST(Pickle, ConstantsOfTorch) {
  EXPECT_EQ(good(pickle(op::global("torch", "float32"))).root->text, "torch.float32");
  EXPECT_EQ(good(pickle(op::call("torch", "device", {op::s("cuda"), op::i(1)}))).root->text, "cuda:1");
  const auto size = good(pickle(op::call("torch", "Size", {op::ints({2, 3})})));
  EXPECT_TRUE(size.root->is(Kind::tuple));
  EXPECT_EQ(size.root->items[1]->integer, 3);
  EXPECT_EQ(good(pickle(op::call("_codecs", "encode", {op::s("a\xC3\xBF"), op::s("latin1")}))).root->text, "a\xff");
  EXPECT_EQ(good(pickle(op::call("builtins", "complex", {op::f(1), op::f(2)}))).root->items[1]->real, 2.0);
}

TEST(Pickle, Tensors) {
  const auto p = good(pickle(op::tensor("HalfStorage", "7", 100, 4, {2, 3}, {3, 1})));
  ASSERT_TRUE(p.root->is(Kind::tensor));
  const TensorRecord& t = *p.root->tensor;
  EXPECT_EQ(t.storage.key, "7");
  EXPECT_EQ(t.storage.dtype, DType::f16);
  EXPECT_EQ(t.storage.count, 100);
  EXPECT_EQ(t.offset, 4);
  EXPECT_EQ(t.sizes, (Shape{2, 3}));
  EXPECT_EQ(t.strides, (std::vector<int64_t>{3, 1}));
}

TEST(Pickle, TensorsOfUntypedStorage) {
  const std::string v3 =
      op::call("torch._utils", "_rebuild_tensor_v3",
               {op::tuple_of({op::s("storage"), op::global("torch.storage", "UntypedStorage"), op::s("0"), op::s("cpu"),
                              op::i(12)}) +
                    op::persid,
                op::i(0), op::ints({3}), op::ints({1}), op::no, op::ordered_dict(), op::global("torch", "uint32")});
  const auto p = good(pickle(v3));
  EXPECT_EQ(p.root->tensor->storage.dtype, DType::u32);
  EXPECT_EQ(p.root->tensor->storage.count, 3);
}

TEST(Pickle, ParametersAndSubclasses) {
  const std::string t = op::tensor("FloatStorage", "0", 4, 0, {4}, {1});
  const auto p = good(pickle(op::call("torch._utils", "_rebuild_parameter", {t, op::yes, op::ordered_dict()})));
  EXPECT_TRUE(p.root->tensor->parameter);
  EXPECT_TRUE(p.root->tensor->requires_grad);
  const std::string inner = op::tuple_of({op::storage("FloatStorage", "0", 4), op::i(0), op::ints({4}), op::ints({1})});
  EXPECT_TRUE(good(pickle(op::call("torch._tensor", "_rebuild_from_type_v2",
                                   {op::global("torch._utils", "_rebuild_tensor"), op::global("torch", "Tensor"), inner,
                                    op::empty_dict})))
                  .root->is(Kind::tensor));
}

TEST(Pickle, QuantisedTensors) {
  const auto quantised = [](const std::string& scheme) {
    return op::call("torch._utils", "_rebuild_qtensor",
                    {op::storage("QInt8Storage", "0", 4), op::i(0), op::ints({4}), op::ints({1}), scheme, op::no,
                     op::ordered_dict()});
  };
  const auto p =
      good(pickle(quantised(op::tuple_of({op::global("torch", "per_tensor_affine"), op::f(0.25), op::i(3)}))));
  EXPECT_EQ(p.root->tensor->scale, 0.25);
  EXPECT_EQ(p.root->tensor->zero_point, 3);
  EXPECT_EQ(p.root->tensor->storage.dtype, DType::i8);
  const std::string d = op::tensor("DoubleStorage", "1", 4, 0, {4}, {1});
  const std::string z = op::tensor("LongStorage", "2", 4, 0, {4}, {1});
  const auto c = good(pickle(quantised(op::tuple_of({op::global("torch", "per_channel_affine"), d, z, op::i(0)}))));
  EXPECT_TRUE(c.root->tensor->scales->is(Kind::tensor));
  EXPECT_EQ(code_of(pickle(quantised(op::tuple_of({op::global("torch", "per_channel_affine"), d, z, op::i(1)})))),
            &diag::corrupt);
  EXPECT_EQ(code_of(pickle(
                quantised(op::tuple_of({op::global("torch", "per_channel_affine_float_qparams"), d, d, op::i(0)})))),
            &diag::unsupported);
}

TEST(Pickle, BadTensors) {
  EXPECT_EQ(code_of(pickle(op::tensor("FloatStorage", "0", 4, -1, {4}, {1}))), &diag::corrupt);
  EXPECT_EQ(code_of(pickle(op::tensor("FloatStorage", "0", -4, 0, {4}, {1}))), &diag::corrupt);
  EXPECT_EQ(code_of(pickle(op::tensor("FloatStorage", "0", 4, 0, {-4}, {1}))), &diag::corrupt);
  EXPECT_EQ(code_of(pickle(op::tensor("FloatStorage", "0", 4, 0, {4, 1}, {1}))), &diag::corrupt);
  EXPECT_EQ(code_of(pickle(op::tensor("FloatStorage", "0", 4, 0, {int64_t{1} << 60, int64_t{1} << 60}, {1, 1}))),
            &diag::too_large);
  EXPECT_EQ(code_of(pickle(op::call("torch._utils", "_rebuild_tensor_v2", {op::i(1)}))), &diag::corrupt);
  EXPECT_EQ(code_of(pickle(op::call("torch._utils", "_rebuild_sparse_tensor", {op::i(1)}))), &diag::unsupported);
}

// What an attacker would write. Nothing may run, and the name must be in the message.
TEST(Pickle, EvilPicklesAreRefused) {
  const std::string argument = op::tuple_of({op::s("touch evil")});
  const std::pair<const char*, const char*> evil[] = {{"os", "system"},
                                                      {"posix", "system"},
                                                      {"builtins", "eval"},
                                                      {"builtins", "exec"},
                                                      {"__builtin__", "eval"},
                                                      {"builtins", "getattr"},
                                                      {"subprocess", "Popen"},
                                                      {"torch.hub", "load"},
                                                      {"torch", "load"},
                                                      {"torch.storage", "_load_from_bytes"},
                                                      {"numpy", "load"},
                                                      {"functools", "partial"},
                                                      {"torch._utils", "_rebuild"},

                                                      {"torch.jit._pickle", "evil"}};
  for (const auto& [module, name] : evil) {
    const auto p = read(pickle(op::global(module, name) + argument + op::reduce));
    ASSERT_FALSE(p.ok()) << module << "." << name;
    EXPECT_EQ(p.error().code, &diag::unsafe_pickle);
    EXPECT_NE(p.error().message.find(std::string(module) + "." + name), std::string::npos);
  }
  EXPECT_EQ(code_of(pickle(op::s("os") + op::s("system") + "\x93" + argument + op::reduce)), &diag::unsafe_pickle);
  EXPECT_EQ(code_of("(S'ls'\nios\nsystem\n."), &diag::unsafe_pickle);
  EXPECT_EQ(code_of(pickle("(" + op::global("os", "system") + op::s("ls") + "o")), &diag::unsafe_pickle);
  EXPECT_EQ(code_of(pickle("\x82\x01")), &diag::unsafe_pickle);
  // Calling a value that is no function, and making objects of functions.
  EXPECT_EQ(code_of(pickle(op::s("x") + op::empty_tuple + op::reduce)), &diag::unsafe_pickle);
  EXPECT_EQ(code_of(pickle(op::global("torch", "Tensor") + op::empty_tuple + op::reduce)), &diag::unsafe_pickle);
  EXPECT_EQ(code_of(pickle(op::global("torch", "device") + op::empty_tuple + op::newobj)), &diag::unsafe_pickle);
}

TEST(Pickle, RecordingNamesWhatWouldBeCalled) {
  const auto p = good(pickle(op::call("os", "system", {op::s("ls")})), true);
  EXPECT_TRUE(p.root->is(Kind::object));
  EXPECT_EQ(p.root->text, "os.system");
  EXPECT_EQ(p.called, std::vector<std::string>{"os.system"});
  EXPECT_EQ(p.unknown_globals, std::vector<std::string>{"os.system"});
  const auto chain =
      good(pickle(op::call("builtins", "getattr", {op::s("a"), op::s("b")}) + op::empty_tuple + op::reduce), true);
  EXPECT_EQ(chain.called.size(), 2U);
  const auto made = good("ccopy_reg\n_reconstructor\n(cmy\nNet\nc__builtin__\nobject\nNtR(dS'a'\nI1\nsb.", true);
  EXPECT_EQ(made.root->text, "my.Net");
  EXPECT_EQ(made.root->find("a")->integer, 1);
}

TEST(Pickle, BrokenStacks) {
  for (const std::string& body :
       {std::string("0"),
        std::string("1"),
        std::string("2"),
        std::string("t"),
        std::string("e"),
        std::string("u"),
        std::string("R"),
        std::string("b"),
        std::string("Q"),
        std::string("\x85"),
        std::string("\x87"),
        op::i(1) + "\x87",
        op::get(3),
        op::put(0),
        op::i(1) + op::i(2) + "a",
        op::empty_dict + "(" + op::i(1) + "u",
        op::i(1) + op::i(2) + "b",
        op::mark + op::i(1),
        std::string("\xff"),
        op::mark + op::put(0),
        op::empty_list + op::mark + "a",
        op::i(1) + op::persid,
        op::tuple_of({op::s("x")}) + op::persid,
        op::tuple_of({op::s("storage"), op::i(1), op::i(1), op::i(1), op::i(1)}) + op::persid})
    EXPECT_FALSE(read(pickle(body)).ok()) << body;
  EXPECT_EQ(code_of("\x80\x06N."), &diag::newer_version);
  EXPECT_FALSE(read(pickle("")).ok());
}

TEST(Pickle, Bombs) {
  // Depth.
  std::string deep(200000, ']');
  for (int k = 0; k < 199999; ++k) deep += 'a';
  EXPECT_EQ(code_of(pickle(deep)), &diag::too_large);
  EXPECT_EQ(code_of(pickle(std::string(200000, '('))), &diag::too_large);
  std::string nested = ")";
  for (int k = 0; k < 200000; ++k) nested += "\x85";
  EXPECT_EQ(code_of(pickle(nested)), &diag::too_large);
  // Deep through the memo, so that no single walk is long: item k holds item k-1.
  std::string chain = op::empty_list + op::put(0) + "0";
  for (int k = 0; k < 5000; ++k) chain += op::empty_list + op::get(0) + "a" + op::put(0) + "0";
  EXPECT_EQ(code_of(pickle(chain + op::get(0))), &diag::too_large);
  // Billion laughs: shared, so small; must stay quick.
  std::string laughs = op::list_of({op::i(1)}) + op::put(0) + "0";
  for (int k = 0; k < 500; ++k) laughs += op::list_of({op::get(0), op::get(0)}) + op::put(0) + "0";
  EXPECT_TRUE(read(pickle(laughs + op::get(0))).ok());
  // Cycle.
  const std::string cycle = op::empty_list + op::put(0) + op::get(0) + "a";
  EXPECT_EQ(code_of(pickle(cycle)), &diag::unsupported);
  EXPECT_TRUE(read(pickle(cycle), true).ok());
  // Values.
  PickleOptions few;
  few.max_values = 100;
  const std::string many = pickle(op::list_of(std::vector<std::string>(200, op::i(1))));
  EXPECT_EQ(read_pickle(as_bytes(many), few).error().code, &diag::too_large);
  // A string that claims to be huge.
  EXPECT_EQ(code_of(pickle("\x8d" + op::little(uint64_t{1} << 60, 8))), &diag::too_large);
  EXPECT_EQ(code_of(pickle("X" + op::little(1 << 29, 4) + "x")), &diag::truncated);
}

TEST(Pickle, EveryTruncationAndFlipIsSafe) {
  const std::string whole = pickle(op::object(
      "__torch__.net", "Net",
      op::dict_of({{"w", op::tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})},
                   {"l", op::call("torch.jit._pickle", "build_intlist", {op::list_of({op::i(1), op::i(-2)})})},
                   {"f", op::f(0.5)}})));
  ASSERT_TRUE(read(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(read(whole.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < whole.size(); ++n) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[n] = static_cast<char>(flipped[n] ^ (1 << bit));
      (void)read(flipped).ok();  // must return
      (void)read(flipped, true).ok();
    }
  }
}

}  // namespace
}  // namespace npuport
