// MediaTek's converter: the script npuport writes for it, and what it prints.
#pragma once

#include <span>

#include "drivers/tool_run.h"

namespace npuport {

// step2_torchscript_to_tflite.py: from_script_module_file with shapes and types, quantize off, convert_to_tflite.
// `shapes` like "1x3x64x64,1x10:int64"; options are attributes of the converter; `drop` leaves out what the script
// would set by itself ("quantize", "tflite_op_export_spec"). usage for an option the converter does not have, a shape
// that is none, and a `drop` that names anything else.
Result<std::string> mtk_converter_script(const std::string& shapes, const std::map<std::string, std::string>& options,
                                         std::span<const std::string> drop = {});
// "Unsupported op" lines as findings, the first error, a converter that is not installed. Accepts any text.
LogFacts parse_mtk_converter_log(std::string_view text);
// "7.14.1" from "7.14.1+release", "mtk_converter-7.14.1-cp39-cp39m-manylinux1_x86_64.whl" or a line that holds one;
// empty when there is none.
std::string parse_mtk_version(std::string_view text);
// What is wrong with an SDK or converter version ("5.0.6", "7.0.5-build20240205", "7.14.1") under a Python version
// ("3.8.10"); empty when they belong together or the version is not in the table.
std::string mtk_python_mismatch(std::string_view version, std::string_view python);
// Of lines "package version": those the converter needs in a newer version or at all ("protobuf 3.4 (3.5.1 needed)").
std::vector<std::string> mtk_package_deviations(std::string_view lines);

}  // namespace npuport
