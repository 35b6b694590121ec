#include "pipelines/runtime_error.h"

#include "base/diag_codes.h"

namespace npuport {
namespace {

const DiagCode& code_of(npuport_status s) {
  switch (s) {
    case NPUPORT_BAD_ARGUMENT:
      return diag::usage;
    case NPUPORT_NOT_FOUND:
      return diag::file_not_found;
    case NPUPORT_BAD_FILE:
      return diag::corrupt;
    case NPUPORT_BAD_INPUT:
      return diag::bad_input_data;
    case NPUPORT_UNAVAILABLE:
      return diag::tool_missing;
    case NPUPORT_UNSUPPORTED:
      return diag::unsupported;
    case NPUPORT_FAILED:
    case NPUPORT_TIMEOUT:
      return diag::tool_failed;
    default:
      return diag::internal;
  }
}

}  // namespace

Diag diag_of(const rt::Error& error) {
  Diag d(code_of(error.status), error.message, error.hint);
  if (!error.file.empty()) d.in_file(error.file);
  if (!error.tensor.empty()) d.at_tensor(error.tensor);
  return d;
}

}  // namespace npuport
