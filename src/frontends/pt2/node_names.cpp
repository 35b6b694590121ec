#include "frontends/pt2/node_names.h"

namespace npuport {
namespace {

constexpr std::string_view kPrefix = "torch.ops.";

}  // namespace

bool is_export_assertion(std::string_view name) {
  return name.starts_with("aten::_assert") || name.starts_with("aten::sym_constrain_range") ||
         name.starts_with("aten::_functional_assert") || name == "aten::_functional_sym_constrain_range";
}

int64_t export_memory_format(int64_t number) {
  constexpr int64_t kFormats[] = {0, 0, 2, 3, 1};
  return number >= 1 && number <= 4 ? kFormats[number] : 0;
}

std::string export_operator(const std::string& target) {
  if (!target.starts_with(kPrefix)) return target;
  const std::string_view rest = std::string_view(target).substr(kPrefix.size());
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return target;
  const std::string_view name = rest.substr(dot + 1);
  return std::string(rest.substr(0, dot)) + "::" + std::string(name.substr(0, name.find('.')));
}

Origin export_origin(const Json& node, const std::string& target) {
  Origin o;
  o.foreign = export_operator(target);
  const auto meta = node.find("metadata");
  if (meta == node.end() || !meta->is_object()) return o;
  if (const auto it = meta->find("nn_module_stack"); it != meta->end() && it->is_string()) {
    // "L__self__,,…Net;L__self___conv,conv,torch.nn.modules.conv.Conv2d"
    const auto stack = it->get<std::string>();
    const std::string last = stack.substr(stack.rfind(';') + 1);
    if (const size_t a = last.find(','); a != std::string::npos) {
      o.scope = last.substr(a + 1, last.find(',', a + 1) - a - 1);
    }
    for (const std::string_view self : {"L['self'].", "L__self__."}) {
      if (o.scope.starts_with(self)) o.scope.erase(0, self.size());
    }
    if (o.scope == "L['self']" || o.scope == "L__self__") o.scope.clear();
  }
  if (const auto it = meta->find("stack_trace"); it != meta->end() && it->is_string()) {
    const auto trace = it->get<std::string>();
    const size_t file = trace.rfind("File \""), line = trace.find("\", line ", file);
    if (file != std::string::npos && line != std::string::npos) {
      const std::string path = trace.substr(file + 6, line - file - 6);
      const size_t digits = line + 8;
      const size_t end = trace.find_first_not_of("0123456789", digits);
      o.source = path.substr(path.rfind('/') + 1) + ":" + trace.substr(digits, end - digits);
    }
  }
  return o;
}

}  // namespace npuport
