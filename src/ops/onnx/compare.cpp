// Comparisons, logic and selection.
#include "ops/onnx.h"

namespace npuport {
namespace {

constexpr OnnxRow rows[] = {
    {.name = "Equal", .since = 7, .ours = {"equal"}},
    {.name = "Less", .since = 7, .ours = {"less"}},
    {.name = "LessOrEqual", .since = 12, .ours = {"less_equal"}},
    {.name = "Greater", .since = 7, .ours = {"greater"}},
    {.name = "GreaterOrEqual", .since = 12, .ours = {"greater_equal"}},
    {.name = "And", .since = 7, .ours = {"logical_and"}},
    {.name = "Or", .since = 7, .ours = {"logical_or"}},
    {.name = "Xor", .since = 7, .ours = {"logical_xor"}},
    {.name = "Not", .ours = {"logical_not"}},
    {.name = "Where", .since = 9, .ours = {"where"}},
};

}  // namespace

std::span<const OnnxRow> onnx_compare() { return rows; }

}  // namespace npuport
