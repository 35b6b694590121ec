// Which element types each ONNX operator takes, and since when it exists (opsets 7 to 17 of ai.onnx).
#include <map>

#include "ops/onnx.h"

namespace npuport {
namespace {

constexpr uint32_t bit(DType t) { return uint32_t{1} << static_cast<unsigned>(t); }
constexpr uint32_t f = bit(DType::f32) | bit(DType::f16), d = bit(DType::f64), fd = f | d;
constexpr uint32_t i32 = bit(DType::i32), i64 = bit(DType::i64), ints = i32 | i64, num = fd | ints;
constexpr uint32_t i8 = bit(DType::i8), u8 = bit(DType::u8), bytes = i8 | u8, b1 = bit(DType::boolean);
constexpr uint32_t integers = bytes | ints | bit(DType::i16) | bit(DType::u16) | bit(DType::u32) | bit(DType::u64);
constexpr uint32_t words = ints | bit(DType::u32) | bit(DType::u64), all = ~uint32_t{0};

// `good`: both the standard and ONNX Runtime's CPU kernels. What is `standard` beyond that is written as it is when
// no wider type is good: other runtimes may take it.
struct Entry {
  std::string_view name;
  int since;  // the entry holds from here to the next one of the same name
  uint32_t good;
  uint32_t standard = 0;  // on top of good
  uint32_t operands = all;
  uint32_t results = all;
};

constexpr uint32_t first = 1, none = 0;

constexpr Entry kEntries[] = {
    {"Abs", 6, fd | integers},
    {"Acos", 7, f, fd},
    {"Acosh", 9, f, fd},
    {"Add", 7, num, words},
    {"And", 7, b1},
    {"ArgMax", 1, f | d | i32 | bytes, integers, first, none},
    {"ArgMin", 1, f | d | i32 | bytes, integers, first, none},
    {"Asin", 7, f, fd},
    {"Asinh", 9, f, fd},
    {"Atan", 7, f, fd},
    {"Atanh", 9, f, fd},
    {"AveragePool", 7, f, fd, first},
    {"BatchNormalization", 9, fd},
    {"Cast", 6, all},
    {"Ceil", 6, fd},
    {"Celu", 12, bit(DType::f32)},
    {"Clip", 11, f, fd},
    {"Clip", 12, fd | words | bytes, integers},
    {"Concat", 4, all},
    {"Conv", 1, f, fd},
    {"ConvTranspose", 1, f, fd},
    {"Cos", 7, fd},
    {"Cosh", 9, f, fd},
    {"CumSum", 11, fd | ints, words, first},
    {"DepthToSpace", 11, fd | u8, all},
    {"Div", 7, num, words},
    {"Elu", 6, f, fd},
    {"Equal", 11, num | b1, integers, all, none},
    {"Erf", 9, f, fd | integers},
    {"Exp", 6, fd},
    {"Expand", 8, all, all, first},
    {"Floor", 6, fd},
    {"Gather", 1, all, all, first},
    {"GatherElements", 11, all, all, first},
    {"GatherND", 11, all, all, first},
    {"Gemm", 7, fd, words},
    {"GlobalAveragePool", 1, f, fd},
    {"Greater", 9, num, integers, all, none},
    {"GreaterOrEqual", 12, num, integers, all, none},
    {"GridSample", 16, bit(DType::f32), all},
    {"GRU", 7, fd, 0, 0x2F},
    {"HardSigmoid", 6, f, fd},
    {"HardSwish", 14, f, fd},
    {"Identity", 1, all},
    {"InstanceNormalization", 6, f, fd},
    {"IsInf", 10, bit(DType::f32) | d, 0, all, none},
    {"IsNaN", 9, fd, 0, all, none},
    {"LayerNormalization", 17, fd, bit(DType::bf16), all, first},
    {"LeakyRelu", 6, f, fd},
    {"Less", 9, num, integers, all, none},
    {"LessOrEqual", 12, num, integers, all, none},
    {"Log", 6, fd},
    {"LogSoftmax", 1, fd},
    {"LSTM", 7, fd, 0, 0x6F},
    {"MatMul", 9, fd | words},
    {"Max", 8, fd},
    {"Max", 12, fd | words, integers},
    {"MaxPool", 8, fd, 0, first, first},
    {"MaxPool", 12, fd | bytes, 0, first, first},
    {"Min", 8, fd},
    {"Min", 12, fd | words, integers},
    {"Mod", 10, fd | integers},
    {"Mul", 7, num, words},
    {"Neg", 6, fd | i8 | ints, bit(DType::i16)},
    {"Not", 1, b1},
    {"Or", 7, b1},
    {"Pad", 11, fd | words | bytes, integers, 5},
    {"Pad", 13, fd | words | bytes | b1, all, 5},
    {"Pow", 7, fd},
    {"Pow", 12, num},
    {"PRelu", 9, f, fd | words},
    {"Reciprocal", 6, fd},
    {"ReduceMax", 11, num, words, first},
    {"ReduceMax", 12, num | bytes, words, first},
    {"ReduceMean", 11, fd | i32, words, first},
    {"ReduceMin", 11, num, words, first},
    {"ReduceMin", 12, num | bytes, words, first},
    {"ReduceProd", 11, f | ints, fd | words, first},
    {"ReduceSum", 11, num, words, first},
    {"Relu", 6, fd},
    {"Relu", 14, fd | i32 | i8, integers},
    {"Reshape", 5, all, all, first},
    {"Resize", 11, bit(DType::f32) | i32 | bytes, all, first},
    {"RNN", 7, fd, 0, 0x2F},
    {"RoiAlign", 10, fd, 0, 3},
    {"Round", 11, fd},
    {"ScatterElements", 11, all, all, 5},
    {"ScatterND", 11, all, all, 5},
    {"Selu", 6, f, fd},
    {"Shrink", 9, fd | integers},
    {"Sigmoid", 6, fd},
    {"Sign", 9, fd | integers},
    {"Sin", 7, fd},
    {"Sinh", 9, f, fd},
    {"Slice", 10, all, all, first},
    {"Softmax", 1, fd},
    {"Softplus", 1, f, fd},
    {"Softsign", 1, f, fd},
    {"SpaceToDepth", 1, fd, all},
    {"Split", 2, all, all, first},
    {"Sqrt", 6, fd},
    {"Sub", 7, num, words},
    {"Tan", 7, f, fd},
    {"Tanh", 6, fd},
    {"Tile", 6, all, all, first},
    {"TopK", 11, fd | ints, integers, first, first},
    {"Transpose", 1, all},
    {"Trilu", 14, fd | i64 | b1, all, first},
    {"Where", 9, bit(DType::f32) | d | ints | u8, all, 6},
    {"Xor", 7, b1},
};

}  // namespace

OnnxTypes onnx_types(std::string_view type, int opset) {
  static const auto* map = [] {
    auto* m = new std::map<std::string_view, std::vector<const Entry*>>;
    for (const Entry& e : kEntries) (*m)[e.name].push_back(&e);
    return m;
  }();
  OnnxTypes types;
  const auto it = map->find(type);
  if (it == map->end()) return types;
  for (const Entry* e : it->second) {
    if (e->since > opset) continue;
    types = {e->good, e->good | e->standard, e->operands, e->results, true};
  }
  return types;
}

}  // namespace npuport
