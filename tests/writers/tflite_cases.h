// Graphs of one operator for the writer's tests, as IR text. Inputs whose name starts with "c" become constants.
#pragma once

#include <string_view>

namespace npuport::testing {

struct TfliteCase {
  std::string_view name;
  std::string_view body;            // what stands between the braces of a graph
  std::string_view operators = {};  // what it becomes, "PAD CONV_2D"; empty = not checked
  double lowest = -2, highest = 2;  // of the inputs and constants
  double tolerance = 1e-5;          // relative to the largest value (or 1)
};

// clang-format off
inline constexpr TfliteCase kTfliteCases[] = {
    // -- convolutions --
    {"conv2d valid", "input %x: f32[1,8,9,3]\n input %cw: f32[4,3,3,2]\n input %cb: f32[4]\n"
     "%y = conv2d(%x, %cw, %cb) layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d no bias", "input %x: f32[1,8,8,3]\n input %cw: f32[4,3,1,1]\n"
     "%y = conv2d(%x, %cw) layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d same", "input %x: f32[1,8,7,3]\n input %cw: f32[4,3,3,3]\n input %cb: f32[4]\n"
     "%y = conv2d(%x, %cw, %cb) pad_begin=[1,1] pad_end=[1,1] activation=\"relu\" layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d stride 2 even", "input %x: f32[2,8,8,3]\n input %cw: f32[4,3,3,3]\n"
     "%y = conv2d(%x, %cw) stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "PAD CONV_2D"},
    {"conv2d stride 2 odd", "input %x: f32[1,9,9,3]\n input %cw: f32[4,3,3,3]\n"
     "%y = conv2d(%x, %cw) stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d same with unused end", "input %x: f32[1,8,8,3]\n input %cw: f32[4,3,3,3]\n"
     "%y = conv2d(%x, %cw) stride=[2,2] pad_begin=[0,0] pad_end=[1,1] layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d asymmetric", "input %x: f32[1,8,8,3]\n input %cw: f32[4,3,2,2]\n"
     "%y = conv2d(%x, %cw) pad_begin=[1,0] pad_end=[0,2] activation=\"relu6\" layout=\"nhwc\"\n output %y", "PAD CONV_2D"},
    {"conv2d dilated", "input %x: f32[1,10,10,3]\n input %cw: f32[4,3,3,3]\n"
     "%y = conv2d(%x, %cw) pad_begin=[2,2] pad_end=[2,2] dilation=[2,2] activation=\"relu_n1_to_1\" layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d grouped", "input %x: f32[1,6,6,8]\n input %cw: f32[8,4,3,3]\n"
     "%y = conv2d(%x, %cw) groups=2 layout=\"nhwc\"\n output %y", "CONV_2D"},
    {"conv2d depthwise", "input %x: f32[1,7,7,6]\n input %cw: f32[6,1,3,3]\n input %cb: f32[6]\n"
     "%y = conv2d(%x, %cw, %cb) pad_begin=[1,1] pad_end=[1,1] groups=6 activation=\"relu6\" layout=\"nhwc\"\n output %y",
     "DEPTHWISE_CONV_2D"},
    {"conv2d depthwise multiplier", "input %x: f32[1,7,7,3]\n input %cw: f32[6,1,3,3]\n"
     "%y = conv2d(%x, %cw) stride=[2,2] pad_begin=[1,1] pad_end=[1,1] groups=3 layout=\"nhwc\"\n output %y",
     "DEPTHWISE_CONV_2D"},
    {"conv2d depthwise dilated", "input %x: f32[1,9,9,4]\n input %cw: f32[4,1,3,3]\n"
     "%y = conv2d(%x, %cw) dilation=[2,2] groups=4 layout=\"nhwc\"\n output %y", "DEPTHWISE_CONV_2D"},
    {"conv2d weight from input", "input %x: f32[1,6,6,3]\n input %w: f32[4,3,3,3]\n"
     "%y = conv2d(%x, %w) layout=\"nhwc\"\n output %y", "TRANSPOSE CONV_2D"},
    {"conv_transpose2d valid", "input %x: f32[1,4,5,3]\n input %cw: f32[3,4,2,2]\n input %cb: f32[4]\n"
     "%y = conv_transpose2d(%x, %cw, %cb) stride=[2,2] layout=\"nhwc\"\n output %y", "TRANSPOSE_CONV"},
    {"conv_transpose2d same", "input %x: f32[1,4,4,3]\n input %cw: f32[3,4,4,4]\n"
     "%y = conv_transpose2d(%x, %cw) stride=[2,2] pad_begin=[1,1] pad_end=[1,1] activation=\"relu\" layout=\"nhwc\"\n output %y",
     "TRANSPOSE_CONV RELU"},
    {"conv_transpose2d output padding", "input %x: f32[1,4,4,3]\n input %cw: f32[3,4,3,3]\n"
     "%y = conv_transpose2d(%x, %cw) stride=[2,2] pad_begin=[1,1] pad_end=[1,1] output_padding=[1,1] layout=\"nhwc\"\n output %y"},
    {"conv_transpose2d cropped", "input %x: f32[1,4,4,3]\n input %cw: f32[3,4,3,3]\n"
     "%y = conv_transpose2d(%x, %cw) stride=[1,1] pad_begin=[2,2] pad_end=[0,0] activation=\"relu6\" layout=\"nhwc\"\n output %y",
     "TRANSPOSE_CONV SLICE RELU6"},
    {"conv_transpose3d plain",
     "input %x: f32[1,3,2,3,4]\n input %cw: f32[3,4,2,2,2]\n input %cb: f32[4]\n"
     "%y = conv_transpose3d(%x, %cw, %cb) stride=[2,2,2]\n output %y"},
    {"conv_transpose3d cropped and extended",
     "input %x: f32[1,3,2,3,4]\n input %cw: f32[3,4,3,3,3]\n input %cb: f32[4]\n"
     "%y = conv_transpose3d(%x, %cw, %cb) stride=[2,1,3] pad_begin=[1,1,0] pad_end=[1,0,0] output_padding=[1,0,0]\n "
     "output %y"},
    {"conv3d", "input %x: f32[1,3,5,6,7]\n input %cw: f32[4,3,3,3,3]\n input %cb: f32[4]\n"
     "%y = conv3d(%x, %cw, %cb) stride=[1,2,1] pad_begin=[1,1,1] pad_end=[1,1,1] activation=\"relu\"\n output %y"},
    // -- pools --
    {"max_pool2d valid", "input %x: f32[1,8,8,3]\n %y = max_pool2d(%x) kernel=[2,2] stride=[2,2] layout=\"nhwc\"\n output %y", "MAX_POOL_2D"},
    {"max_pool2d same", "input %x: f32[1,7,7,3]\n %y = max_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "MAX_POOL_2D"},
    {"max_pool2d padded", "input %x: f32[1,8,8,3]\n %y = max_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "PADV2 MAX_POOL_2D", -2, -1},
    {"max_pool2d after relu", "input %x: f32[1,8,8,3]\n %r = relu(%x)\n %y = max_pool2d(%r) kernel=[3,3] stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "RELU PAD MAX_POOL_2D"},
    {"max_pool2d ceil", "input %x: f32[1,8,8,3]\n %y = max_pool2d(%x) kernel=[3,3] stride=[2,2] ceil_mode=true layout=\"nhwc\"\n output %y"},
    {"avg_pool2d valid", "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[2,2] stride=[2,2] layout=\"nhwc\"\n output %y", "AVERAGE_POOL_2D"},
    {"avg_pool2d padded", "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "PAD AVERAGE_POOL_2D"},
    {"avg_pool2d padding not counted", "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[3,3] stride=[2,2] pad_begin=[1,1] pad_end=[1,1] count_include_pad=false layout=\"nhwc\"\n output %y", "PAD AVERAGE_POOL_2D MUL"},
    {"avg_pool2d same not counted", "input %x: f32[1,7,7,3]\n %y = avg_pool2d(%x) kernel=[3,3] stride=[1,1] pad_begin=[1,1] pad_end=[1,1] count_include_pad=false layout=\"nhwc\"\n output %y", "AVERAGE_POOL_2D"},
    {"avg_pool2d same counted", "input %x: f32[1,7,7,3]\n %y = avg_pool2d(%x) kernel=[3,3] stride=[1,1] pad_begin=[1,1] pad_end=[1,1] layout=\"nhwc\"\n output %y", "PAD AVERAGE_POOL_2D"},
    {"avg_pool2d ceil", "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[3,3] stride=[2,2] ceil_mode=true layout=\"nhwc\"\n output %y"},
    {"avg_pool2d divisor", "input %x: f32[1,8,8,3]\n %y = avg_pool2d(%x) kernel=[2,2] stride=[2,2] divisor_override=3 layout=\"nhwc\"\n output %y", "AVERAGE_POOL_2D MUL"},
    // -- resizing --
    {"resize2d linear", "input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[8,9] mode=\"linear\" layout=\"nhwc\"\n output %y", "RESIZE_BILINEAR"},
    {"resize2d linear down", "input %x: f32[1,9,8,3]\n %y = resize2d(%x) size=[4,3] mode=\"linear\" layout=\"nhwc\"\n output %y", "RESIZE_BILINEAR"},
    {"resize2d linear aligned", "input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[8,9] mode=\"linear\" align_corners=true layout=\"nhwc\"\n output %y", "RESIZE_BILINEAR"},
    {"resize2d nearest", "input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[8,11] layout=\"nhwc\"\n output %y", "RESIZE_NEAREST_NEIGHBOR"},
    {"resize2d nearest down", "input %x: f32[1,9,7,3]\n %y = resize2d(%x) size=[4,3] layout=\"nhwc\"\n output %y", "RESIZE_NEAREST_NEIGHBOR"},
    {"resize2d nearest exact", "input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[9,7] mode=\"nearest_exact\" layout=\"nhwc\"\n output %y", "RESIZE_NEAREST_NEIGHBOR"},
    // -- matrix products --
    {"linear", "input %x: f32[4,8]\n input %cw: f32[5,8]\n input %cb: f32[5]\n %y = linear(%x, %cw, %cb) activation=\"relu\"\n output %y", "FULLY_CONNECTED"},
    {"linear rank 3", "input %x: f32[2,4,8]\n input %cw: f32[5,8]\n %y = linear(%x, %cw)\n output %y", "FULLY_CONNECTED"},
    {"linear rank 1", "input %x: f32[8]\n input %cw: f32[5,8]\n %y = linear(%x, %cw)\n output %y", "RESHAPE FULLY_CONNECTED RESHAPE"},
    {"matmul", "input %a: f32[2,3,4]\n input %b: f32[2,4,5]\n %y = matmul(%a, %b)\n output %y", "BATCH_MATMUL"},
    {"matmul transposed", "input %a: f32[2,4,3]\n input %cb: f32[5,4]\n %y = matmul(%a, %cb) transpose_a=true transpose_b=true\n output %y", "BATCH_MATMUL"},
    {"matmul broadcast", "input %a: f32[2,1,3,4]\n input %b: f32[6,4,5]\n %y = matmul(%a, %b)\n output %y", "BATCH_MATMUL"},
    {"matmul rank 2", "input %a: f32[3,4]\n input %b: f32[4,5]\n %y = matmul(%a, %b)\n output %y", "BATCH_MATMUL"},
    // -- one input --
    {"abs", "input %x: f32[2,3]\n %y = abs(%x)\n output %y", "ABS"},
    {"abs i32", "input %x: i32[2,3]\n %y = abs(%x)\n output %y", "ABS", -9, 9},
    {"neg", "input %x: f32[2,3]\n %y = neg(%x)\n output %y", "NEG"},
    {"neg i64", "input %x: i64[2,3]\n %y = neg(%x)\n output %y", "NEG", -9, 9},
    {"exp log sqrt", "input %x: f32[2,3]\n %a = exp(%x)\n %b = log(%a)\n %c = sqrt(%a)\n %d = rsqrt(%a)\n output %b, %c, %d", "EXP LOG SQRT RSQRT"},
    {"sin cos", "input %x: f32[2,3]\n %a = sin(%x)\n %b = cos(%x)\n output %a, %b", "SIN COS"},
    {"rounding", "input %x: f32[4,5]\n %a = floor(%x)\n %b = ceil(%x)\n %c = round(%x)\n %d = sign(%x)\n output %a, %b, %c, %d", "FLOOR CEIL ROUND SIGN"},
    {"sign i32", "input %x: i32[2,3]\n %y = sign(%x)\n output %y", "SIGN", -3, 3},
    {"square", "input %x: f32[2,3]\n %y = square(%x)\n output %y", "SQUARE"},
    {"sigmoid tanh", "input %x: f32[2,3]\n %a = sigmoid(%x)\n %b = tanh(%x)\n output %a, %b", "LOGISTIC TANH"},
    {"logical_not", "input %x: bool[2,3]\n %y = logical_not(%x)\n output %y", "LOGICAL_NOT"},
    {"hard_swish", "input %x: f32[2,30]\n %y = hard_swish(%x)\n output %y", "HARD_SWISH", -4, 4},
    {"relu", "input %x: f32[2,3]\n %y = relu(%x)\n output %y", "RELU"},
    {"clamp 0 inf", "input %x: f32[2,3]\n %y = clamp(%x) min=0.0\n output %y", "RELU"},
    {"clamp 0 6", "input %x: f32[2,30]\n %y = clamp(%x) min=0.0 max=6.0\n output %y", "RELU6", -8, 8},
    {"clamp -1 1", "input %x: f32[2,30]\n %y = clamp(%x) min=-1.0 max=1.0\n output %y", "RELU_N1_TO_1"},
    {"clamp 0 1", "input %x: f32[2,30]\n %y = clamp(%x) min=0.0 max=1.0\n output %y", "RELU MINIMUM"},
    {"clamp -0.5 1.5", "input %x: f32[2,30]\n %y = clamp(%x) min=-0.5 max=1.5\n output %y", "MAXIMUM MINIMUM"},
    {"clamp below", "input %x: f32[2,30]\n %y = clamp(%x) min=-0.5\n output %y", "MAXIMUM"},
    {"clamp above", "input %x: f32[2,30]\n %y = clamp(%x) max=0.5\n output %y", "MINIMUM"},
    {"clamp i32", "input %x: i32[2,30]\n %y = clamp(%x) min=-2.0 max=3.0\n output %y", "MAXIMUM MINIMUM", -8, 8},
    {"elu", "input %x: f32[2,30]\n %y = elu(%x)\n output %y", "ELU"},
    {"leaky_relu", "input %x: f32[2,30]\n %y = leaky_relu(%x) alpha=0.25\n output %y", "LEAKY_RELU"},
    {"prelu last", "input %x: f32[1,5,6,3]\n input %cs: f32[3]\n %y = prelu(%x, %cs) axis=3\n output %y", "PRELU"},
    {"prelu dim 1", "input %x: f32[1,3,5,6]\n input %cs: f32[3]\n %y = prelu(%x, %cs)\n output %y", "PRELU"},
    {"prelu single", "input %x: f32[1,3,5,6]\n input %cs: f32[1]\n %y = prelu(%x, %cs)\n output %y", "PRELU"},
    {"prelu computed slope", "input %x: f32[1,3,5,6]\n input %s: f32[3]\n %y = prelu(%x, %s)\n output %y", "RESHAPE PRELU"},
    {"gelu erf", "input %x: f32[2,30]\n %y = gelu(%x)\n output %y", "GELU"},
    {"gelu tanh", "input %x: f32[2,30]\n %y = gelu(%x) approximate=\"tanh\"\n output %y", "GELU"},
    {"softmax", "input %x: f32[2,3,4]\n %y = softmax(%x)\n output %y", "SOFTMAX"},
    {"softmax axis 1", "input %x: f32[2,3,4]\n %y = softmax(%x) axis=1\n output %y", "TRANSPOSE SOFTMAX TRANSPOSE"},
    {"log_softmax", "input %x: f32[2,8]\n %y = log_softmax(%x)\n output %y", "LOG_SOFTMAX"},
    {"cast", "input %x: f32[2,8]\n %a = cast(%x) to=i32\n %b = cast(%a) to=i64\n %c = cast(%b) to=f32\n %d = cast(%x) to=bool\n %e = cast(%d) to=f32\n output %a, %b, %c, %d, %e", "CAST CAST CAST CAST CAST", -9, 9},
    // -- two inputs --
    {"add", "input %a: f32[2,3,4]\n input %b: f32[3,1]\n %y = add(%a, %b)\n output %y", "ADD"},
    {"add scalar constant", "input %a: f32[2,3]\n const %k: f32[] = [0.5]\n %y = add(%a, %k)\n output %y", "ADD"},
    {"add rank 0", "input %a: f32[]\n const %k: f32[] = [0.5]\n %y = add(%a, %k)\n output %y", "ADD"},
    {"add i64", "input %a: i64[2,3]\n input %b: i64[3]\n %y = add(%a, %b)\n output %y", "ADD", -9, 9},
    {"add rank 5", "input %a: f32[2,1,3,1,4]\n input %b: f32[1,5,3,2,1]\n %y = add(%a, %b)\n output %y", "ADD"},
    {"add rank 6", "input %a: f32[2,1,3,1,4,2]\n input %b: f32[1,5,3,2,1,2]\n %y = add(%a, %b)\n output %y", "ADD"},
    {"sub", "input %a: f32[2,3]\n input %b: f32[3]\n %y = sub(%a, %b)\n output %y", "SUB"},
    {"sub rank 5", "input %a: f32[2,1,3,1,4]\n input %b: f32[1,5,3,2,1]\n %y = sub(%a, %b)\n output %y", "SUB"},
    {"sub i64", "input %a: i64[2,3]\n input %b: i64[3]\n %y = sub(%a, %b)\n output %y", "SUB", -9, 9},
    {"mul", "input %a: f32[2,3]\n input %cb: f32[3]\n %y = mul(%a, %cb)\n output %y", "MUL"},
    {"mul rank 5", "input %a: f32[2,1,3,1,4]\n input %b: f32[1,5,3,2,1]\n %y = mul(%a, %b)\n output %y", "MUL"},
    {"mul i32", "input %a: i32[2,3]\n input %b: i32[3]\n %y = mul(%a, %b)\n output %y", "MUL", -9, 9},
    {"mul i64", "input %a: i64[2,3]\n input %b: i64[3]\n %y = mul(%a, %b)\n output %y", "MUL", -9, 9},
    {"div", "input %a: f32[2,3]\n input %b: f32[3]\n %y = div(%a, %b)\n output %y", "DIV", 1, 2},
    {"div rank 5", "input %a: f32[2,1,3,1,4]\n input %b: f32[1,5,3,2,1]\n %y = div(%a, %b)\n output %y", "DIV", 1, 2},
    {"trunc_div i32", "input %a: i32[2,3]\n input %b: i32[3]\n %y = trunc_div(%a, %b)\n output %y", "DIV", 1, 30},
    {"pow", "input %a: f32[2,3]\n input %b: f32[3]\n %y = pow(%a, %b)\n output %y", "POW", 0.5, 2},
    {"maximum minimum", "input %a: f32[2,3]\n input %b: f32[3]\n %x = maximum(%a, %b)\n %y = minimum(%a, %b)\n output %x, %y", "MAXIMUM MINIMUM"},
    {"maximum rank 5", "input %a: f32[2,1,3,1,4]\n input %b: f32[1,5,3,2,1]\n %y = maximum(%a, %b)\n output %y", "MAXIMUM"},
    {"minimum i64", "input %a: i64[2,3]\n input %b: i64[3]\n %y = minimum(%a, %b)\n output %y", "MINIMUM", -9, 9},
    {"mod", "input %a: f32[2,3]\n input %b: f32[3]\n %y = mod(%a, %b)\n output %y", "FLOOR_MOD"},
    {"mod i32", "input %a: i32[4,3]\n const %k: i32[] = [3]\n %y = mod(%a, %k)\n output %y", "FLOOR_MOD", -9, 9},
    {"floor_div", "input %a: f32[2,3]\n const %k: f32[] = [0.75]\n %y = floor_div(%a, %k)\n output %y", "FLOOR_DIV"},
    {"floor_div i32", "input %a: i32[4,3]\n const %k: i32[] = [3]\n %y = floor_div(%a, %k)\n output %y", "FLOOR_DIV", -9, 9},
    {"squared_difference", "input %a: f32[2,3]\n input %b: f32[3]\n %y = squared_difference(%a, %b)\n output %y", "SQUARED_DIFFERENCE"},
    {"comparisons", "input %a: i32[4,6]\n input %b: i32[6]\n %p = equal(%a, %b)\n %q = not_equal(%a, %b)\n %r = less(%a, %b)\n %s = less_equal(%a, %b)\n %t = greater(%a, %b)\n %u = greater_equal(%a, %b)\n output %p, %q, %r, %s, %t, %u", "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL", -2, 2},
    {"comparisons f32", "input %a: f32[4,6]\n const %k: f32[] = [0.0]\n %p = equal(%a, %k)\n %r = less(%a, %k)\n %t = greater_equal(%a, %k)\n output %p, %r, %t", "EQUAL LESS GREATER_EQUAL"},
    {"equal i64", "input %a: i64[4,6]\n const %k: i64[] = [1]\n %p = equal(%a, %k)\n output %p", "EQUAL", -2, 2},
    {"equal bool", "input %a: bool[4,6]\n input %b: bool[6]\n %p = equal(%a, %b)\n output %p", "EQUAL"},
    {"logical", "input %a: bool[4,6]\n input %b: bool[6]\n %p = logical_and(%a, %b)\n %q = logical_or(%a, %b)\n output %p, %q", "LOGICAL_AND LOGICAL_OR"},
    {"atan2", "input %a: f32[4,6]\n input %b: f32[4,6]\n %p = atan2(%a, %b)\n output %p", "ATAN2"},
    {"bitwise_xor", "input %a: i32[4,6]\n input %b: i32[4,6]\n %p = bitwise_xor(%a, %b)\n output %p", "BITWISE_XOR", -99, 99},
    {"shift_right", "input %a: i32[4,6]\n const %k: i32[] = [2]\n %p = shift_right(%a, %k)\n output %p", "RIGHT_SHIFT", -99, 99},
    {"where", "input %p: bool[4,6]\n input %a: f32[4,6]\n input %b: f32[6]\n %y = where(%p, %a, %b)\n output %y", "SELECT_V2"},
    {"where scalar", "input %p: bool[2,1,6]\n input %a: f32[2,4,6]\n const %k: f32[] = [-10000.0]\n %y = where(%p, %a, %k)\n output %y", "SELECT_V2"},
    {"where i64", "input %p: bool[4,6]\n input %a: i64[4,6]\n input %b: i64[6]\n %y = where(%p, %a, %b)\n output %y", "SELECT_V2", -9, 9},
    {"where rank 5", "input %p: bool[2,1,3,1,4]\n input %a: f32[1,5,3,2,1]\n const %k: f32[] = [2.0]\n %y = where(%p, %a, %k)\n output %y", "SELECT_V2"},
    // -- reductions --
    {"reduce_sum", "input %x: f32[2,3,4]\n %y = reduce_sum(%x) axes=[1]\n output %y", "SUM"},
    {"reduce_sum all", "input %x: f32[2,3,4]\n %y = reduce_sum(%x) axes=[0,1,2]\n output %y", "SUM"},
    {"reduce_sum i64", "input %x: i64[2,3,4]\n %y = reduce_sum(%x) axes=[1]\n output %y", "SUM", -9, 9},
    {"reduce_mean keepdims", "input %x: f32[2,3,4]\n %y = reduce_mean(%x) axes=[-1] keepdims=true\n output %y", "MEAN"},
    {"reduce_mean spatial", "input %x: f32[1,5,6,4]\n %y = reduce_mean(%x) axes=[1,2]\n output %y", "MEAN"},
    {"reduce_max min", "input %x: f32[2,3,4]\n %y = reduce_max(%x) axes=[0,2]\n %z = reduce_min(%x) axes=[1] keepdims=true\n output %y, %z", "REDUCE_MAX REDUCE_MIN"},
    {"reduce_prod", "input %x: f32[2,3,4]\n %y = reduce_prod(%x) axes=[1]\n output %y", "REDUCE_PROD"},
    {"reduce any all", "input %x: bool[2,3,4]\n %y = reduce_any(%x) axes=[1]\n %z = reduce_all(%x) axes=[2]\n output %y, %z", "REDUCE_ANY REDUCE_ALL"},
    {"arg_max", "input %x: f32[2,3,14]\n %y = arg_max(%x) axis=-1\n %z = arg_min(%x) axis=1 keepdims=true\n output %y, %z", "ARG_MAX ARG_MIN RESHAPE"},
    {"cumsum", "input %x: f32[2,3,4]\n %y = cumsum(%x) axis=1\n output %y", "CUMSUM"},
    // -- movement --
    {"reshape", "input %x: f32[2,3,4]\n %y = reshape(%x) shape=[6,4]\n output %y", "RESHAPE"},
    {"reshape to scalar", "input %x: f32[1,1]\n %y = reshape(%x) shape=[]\n output %y", "RESHAPE"},
    {"reshape bool", "input %x: bool[2,3]\n %y = reshape(%x) shape=[3,2]\n output %y", "RESHAPE"},
    {"transpose", "input %x: f32[2,3,4]\n %y = transpose(%x) perm=[2,0,1]\n output %y", "TRANSPOSE"},
    {"transpose rank 5", "input %x: f32[2,3,4,2,3]\n %y = transpose(%x) perm=[2,0,1,4,3]\n output %y", "TRANSPOSE"},
    {"transpose rank 6", "input %x: f32[2,3,4,2,3,2]\n %y = transpose(%x) perm=[5,2,0,1,4,3]\n output %y", "TRANSPOSE"},
    {"transpose bool", "input %x: bool[2,3]\n %y = transpose(%x) perm=[1,0]\n output %y", "TRANSPOSE"},
    {"transpose i64", "input %x: i64[2,3]\n %y = transpose(%x) perm=[1,0]\n output %y", "TRANSPOSE", -9, 9},
    {"expand", "input %x: f32[3,1]\n %y = expand(%x) shape=[2,3,4]\n output %y", "BROADCAST_TO"},
    {"expand bool", "input %x: bool[3,1]\n %y = expand(%x) shape=[2,3,4]\n output %y", "BROADCAST_TO"},
    {"concat", "input %a: f32[2,3]\n input %b: f32[2,1]\n input %c0: f32[2,4]\n %y = concat(%a, %b, %c0) axis=1\n output %y", "CONCATENATION"},
    {"concat negative axis", "input %a: i64[2,3]\n input %b: i64[2,1]\n %y = concat(%a, %b) axis=-1\n output %y", "CONCATENATION", -9, 9},
    {"concat bool", "input %a: bool[2,3]\n input %b: bool[2,1]\n %y = concat(%a, %b) axis=1\n output %y", "CONCATENATION"},
    {"split even", "input %x: f32[2,6]\n %a, %b = split(%x) axis=1 sizes=[3,3]\n output %a, %b", "SPLIT"},
    {"split uneven", "input %x: f32[2,6]\n %a, %b = split(%x) axis=-1 sizes=[2,4]\n output %a, %b", "SPLIT_V"},
    {"slice", "input %x: f32[4,6,3]\n %y = slice(%x) starts=[1,2] ends=[3,6] axes=[0,1] steps=[1,1]\n output %y", "SLICE"},
    {"slice bool", "input %x: bool[4,6]\n %y = slice(%x) starts=[1] ends=[3] axes=[0] steps=[1]\n output %y", "SLICE"},
    {"slice rank 5", "input %x: f32[4,6,3,2,2]\n %y = slice(%x) starts=[1,2] ends=[3,6] axes=[0,1] steps=[1,1]\n output %y", "SLICE"},
    {"slice steps", "input %x: f32[4,7,3]\n %y = slice(%x) starts=[1] ends=[7] axes=[1] steps=[2]\n output %y", "STRIDED_SLICE"},
    {"slice steps rank 5", "input %x: f32[4,7,3,2,2]\n %y = slice(%x) starts=[1] ends=[7] axes=[1] steps=[2]\n output %y", "STRIDED_SLICE"},
    {"flip", "input %x: f32[2,3,4]\n %y = flip(%x) axes=[1]\n output %y", "REVERSE_V2"},
    {"flip two", "input %x: f32[2,3,4]\n %y = flip(%x) axes=[0,2]\n output %y", "REVERSE_V2 REVERSE_V2"},
    {"pad", "input %x: f32[2,3]\n %y = pad(%x) pads=[1,0,2,3]\n output %y", "PAD"},
    {"pad value", "input %x: f32[2,3]\n %y = pad(%x) pads=[1,0,2,3] value=1.5\n output %y", "PADV2"},
    {"pad i64", "input %x: i64[2,3]\n %y = pad(%x) pads=[1,0,2,3] value=7.0\n output %y", "PADV2", -9, 9},
    {"pad rank 5", "input %x: f32[2,3,2,2,2]\n %y = pad(%x) pads=[1,0,0,0,1,0,2,0,0,0]\n output %y", "PAD"},
    {"pad reflect", "input %x: f32[4,5]\n %y = pad(%x) pads=[1,2,2,3] mode=\"reflect\"\n output %y", "MIRROR_PAD"},
    {"tile", "input %x: f32[2,3]\n %y = tile(%x) repeats=[2,3]\n output %y", "TILE"},
    {"depth_to_space", "input %x: f32[1,3,4,8]\n %y = depth_to_space(%x) block=2 mode=\"dcr\" layout=\"nhwc\"\n output %y", "DEPTH_TO_SPACE"},
    {"depth_to_space crd of one channel", "input %x: f32[1,3,4,4]\n %y = depth_to_space(%x) block=2 layout=\"nhwc\"\n output %y", "DEPTH_TO_SPACE"},
    {"space_to_depth", "input %x: f32[1,4,6,3]\n %y = space_to_depth(%x) block=2 mode=\"dcr\" layout=\"nhwc\"\n output %y", "SPACE_TO_DEPTH"},
    // -- indexing --
    {"gather", "input %x: f32[5,3]\n input %i: i32[2,2]\n %y = gather(%x, %i) axis=0\n output %y", "GATHER", 0, 3},
    {"gather i64", "input %x: f32[5,3]\n input %i: i64[4]\n %y = gather(%x, %i) axis=1\n output %y", "GATHER", 0, 3},
    {"gather constant", "input %x: f32[5,3]\n const %i: i64[2] = [-1, 1]\n %y = gather(%x, %i) axis=0\n output %y", "GATHER"},
    {"gather scalar", "input %x: f32[5,3]\n const %i: i64[] = [2]\n %y = gather(%x, %i) axis=0\n output %y", "GATHER RESHAPE"},
    {"gather bool", "input %x: bool[5,3]\n const %i: i64[2] = [2, 0]\n %y = gather(%x, %i) axis=0\n output %y", "GATHER"},
    {"embedding", "input %ct: f32[5,3]\n input %i: i64[1,4]\n %y = embedding(%ct, %i)\n output %y", "GATHER", 0, 5},
    {"gather_nd", "input %x: f32[5,3,2]\n input %i: i32[4,2]\n %y = gather_nd(%x, %i)\n output %y", "GATHER_ND", 0, 3},
    {"scatter_nd", "const %z: f32[4,2] = [0,0,0,0,0,0,0,0]\n input %i: i32[3,1]\n input %u: f32[3,2]\n %y = scatter_nd(%z, %i, %u) reduction=\"add\"\n output %y", "SCATTER_ND", 0, 4},
    {"one_hot", "input %i: i32[3,2]\n %y = one_hot(%i) depth=4 dtype=f32\n output %y", "ONE_HOT", 0, 4},
    {"one_hot i64", "input %i: i64[3]\n %y = one_hot(%i) depth=4\n output %y", "ONE_HOT", 0, 4},
    {"topk", "input %x: f32[3,10]\n %v, %i = topk(%x) k=4\n output %v, %i", "TOPK_V2 CAST"},
};

// Nodes that TFLite cannot express, with a part of the reason.
struct TfliteRefusal {
  std::string_view body;
  std::string_view reason;
};
inline constexpr TfliteRefusal kTfliteRefusals[] = {
    {"input %x: f32[1,3,8,8]\n input %cw: f32[4,3,3,3]\n %y = conv2d(%x, %cw)\n output %y", "layout nhwc"},
    {"input %x: f32[1,3,8,8]\n %y = max_pool2d(%x) kernel=[2,2] stride=[2,2]\n output %y", "layout nhwc"},
    {"input %x: f32[1,8,8,3]\n %y = max_pool2d(%x) kernel=[2,2] stride=[2,2] dilation=[2,2] layout=\"nhwc\"\n output %y", "dilation"},
    {"input %x: f32[1,4,4,3]\n input %cw: f32[3,4,2,2]\n %y = conv_transpose2d(%x, %cw) dilation=[2,2] layout=\"nhwc\"\n output %y", "dilation"},
    {"input %x: f32[1,4,4,8]\n %y = depth_to_space(%x) block=2 layout=\"nhwc\"\n output %y", "crd"},
    {"input %x: f32[1,8,4,4]\n %y = depth_to_space(%x) block=2 mode=\"dcr\"\n output %y", "layout nhwc"},
    {"input %x: f32[4,5]\n %y = pad(%x) pads=[1,2,2,3] mode=\"replicate\"\n output %y", "replicate"},
    {"input %x: f32[4,5]\n %y = elu(%x) alpha=0.5\n output %y", "alpha"},
    {"input %x: f32[4,5]\n %v, %i = topk(%x) k=2 largest=false\n output %v, %i", "largest"},
    {"input %x: f32[2,2,2,2,2,2,2]\n %y = transpose(%x) perm=[1,0,2,3,4,5,6]\n output %y", "rank 6"},
    {"input %x: f64[4,5]\n %y = sqrt(%x)\n output %y", "not f64"},
    {"input %x: i32[4,5]\n %y = square(%x)\n output %y", "not i32"},
    {"input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[8,9] mode=\"cubic\" layout=\"nhwc\"\n output %y", "mode cubic"},
    {"input %x: f32[1,4,5,3]\n %y = resize2d(%x) size=[8,9] mode=\"linear\" scales=[2.1,1.9] layout=\"nhwc\"\n output %y", "scales"},
    {"input %x: f32[4,5]\n %y = erf(%x)\n output %y", "no operator for erf"},
    {"input %x: f32[4,0]\n %y = relu(%x)\n output %y", "empty"},
    {"input %x: f32[2,1,3,1,4,2,2]\n input %b: f32[1,5,3,2,1,2,2]\n %y = add(%x, %b)\n output %y", "rank 6"},
};
// clang-format on

}  // namespace npuport::testing
