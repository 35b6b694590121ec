// Identifiers of generated PyTorch programs.
#include <algorithm>
#include <array>
#include <cctype>

#include "ops/torch.h"

namespace npuport {
namespace {

// Keywords of Python and TorchScript, names the generated code uses itself, and attributes of torch.nn.Module.
constexpr auto kReserved = std::to_array<std::string_view>({
    "Any",
    "CONSTANTS",
    "Dict",
    "F",
    "False",
    "List",
    "Module",
    "None",
    "Optional",
    "T_destination",
    "Tensor",
    "True",
    "Tuple",
    "and",
    "annotate",
    "apply",
    "as",
    "assert",
    "async",
    "aten",
    "await",
    "bfloat16",
    "bool",
    "break",
    "buffers",
    "call_super_init",
    "case",
    "children",
    "class",
    "code",
    "code_with_constants",
    "compile",
    "complex",
    "continue",
    "copy",
    "cpu",
    "cuda",
    "def",
    "define",
    "del",
    "double",
    "dump_patches",
    "elif",
    "else",
    "eval",
    "except",
    "exec",
    "extra_repr",
    "fill",
    "finally",
    "float",
    "for",
    "forward",
    "forward_magic_method",
    "from",
    "get_buffer",
    "get_debug_state",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "global",
    "graph",
    "graph_for",
    "half",
    "hasattr",
    "if",
    "import",
    "in",
    "inf",
    "inlined_graph",
    "int",
    "ipu",
    "is",
    "isinstance",
    "lambda",
    "list",
    "load_state_dict",
    "match",
    "math",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "nan",
    "nn",
    "nonlocal",
    "not",
    "np",
    "number",
    "numpy",
    "ops",
    "or",
    "original_name",
    "parameters",
    "pass",
    "prim",
    "print",
    "raise",
    "range",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "return",
    "save",
    "save_to_buffer",
    "self",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "str",
    "super",
    "to",
    "to_empty",
    "torch",
    "torchvision",
    "train",
    "training",
    "try",
    "tuple",
    "type",
    "uninitialized",
    "while",
    "with",
    "xpu",
    "yield",
    "zero_grad",
});
static_assert(std::is_sorted(kReserved.begin(), kReserved.end()));

constexpr size_t kLongest = 64;

bool plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 128; }

}  // namespace

std::string torch_identifier(std::string_view wanted) {
  std::string out;
  for (const char c : wanted) {
    if (out.size() == kLongest) break;
    if (plain(c)) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out.front())) != 0) out.insert(0, "v");
  if (std::binary_search(kReserved.begin(), kReserved.end(), std::string_view(out))) out += "_";
  return out;
}

}  // namespace npuport
