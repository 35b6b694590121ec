#include "ops/support/kernel.h"

#include <fmt/format.h>

namespace npuport {

Status no_kernel(const EvalCall& c) {
  const DType t = c.in.empty() ? DType::unknown : c.in[0].dtype;
  return eval_error(diag::dtype_mismatch, c, fmt::format("no kernel for {}", long_name(t)));
}

Diag eval_error(const DiagCode& code, const EvalCall& c, std::string message) {
  Diag d(code, fmt::format("{}: {}", c.op.name, message));
  d.at_node(c.op.name);
  return d;
}

}  // namespace npuport
