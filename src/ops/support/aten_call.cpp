#include "base/diag_codes.h"
#include "ops/aten.h"

namespace npuport {

int64_t AtenCall::axis(std::string_view arg, size_t rank) const {
  const Result<int64_t> axis = normalise_axis(i(arg), rank == 0 ? 1 : rank);
  if (axis) return *axis;
  b.fail(axis.error());
  return 0;
}

}  // namespace npuport
