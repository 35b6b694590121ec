// The table of failure kinds. Adding a kind = adding a row here.
#pragma once

#include "base/diag.h"

namespace npuport::diag {

// clang-format off
inline constexpr DiagCode usage              {"NP0001", "usage", 2, "The command line is wrong"};
inline constexpr DiagCode file_not_found     {"NP0101", "file-not-found", 2, "A named file does not exist"};
inline constexpr DiagCode not_readable       {"NP0102", "not-readable", 3, "A file cannot be read (permission or I/O error)"};
inline constexpr DiagCode not_writable       {"NP0103", "not-writable", 3, "An output cannot be written (permission, disk full)"};
inline constexpr DiagCode locked             {"NP0104", "output-locked", 3, "Another run uses the output directory"};
inline constexpr DiagCode file_changed       {"NP0105", "file-changed", 2, "An input file changed while it was read"};
inline constexpr DiagCode tool_missing       {"NP0106", "tool-missing", 3, "An external tool is not there"};
inline constexpr DiagCode tool_failed        {"NP0107", "tool-failed", 1, "An external tool failed"};
inline constexpr DiagCode unknown_format     {"NP0201", "unknown-format", 2, "The file is of no type npuport reads"};
inline constexpr DiagCode truncated          {"NP0202", "truncated-file", 2, "The file ends too early"};
inline constexpr DiagCode corrupt            {"NP0203", "corrupt-file", 2, "The file breaks the rules of its format"};
inline constexpr DiagCode too_large          {"NP0204", "limit-exceeded", 2, "A count, size or depth in the file exceeds the safety limit"};
inline constexpr DiagCode unsafe_pickle      {"NP0205", "unsafe-pickle", 2, "The pickle wants to call or import something not on the closed list"};
inline constexpr DiagCode newer_version      {"NP0206", "newer-version", 2, "The file was written by a newer version"};
inline constexpr DiagCode syntax             {"NP0207", "syntax", 2, "A text file has a syntax error"};
inline constexpr DiagCode unknown_key        {"NP0208", "unknown-key", 2, "A configuration file holds an unknown key"};
inline constexpr DiagCode missing_entry      {"NP0209", "missing-entry", 2, "The archive lacks an entry it refers to"};
inline constexpr DiagCode shape_mismatch     {"NP0301", "shape-mismatch", 2, "Shapes do not fit"};
inline constexpr DiagCode dtype_mismatch     {"NP0302", "dtype-mismatch", 2, "Data types do not fit"};
inline constexpr DiagCode bad_input_data     {"NP0303", "bad-input-data", 2, "Samples or inputs do not fit the model"};
inline constexpr DiagCode dynamic_shape      {"NP0304", "dynamic-shape", 2, "A shape is not fixed"};
inline constexpr DiagCode bad_attribute      {"NP0305", "bad-attribute", 2, "An operator attribute has an impossible value"};
inline constexpr DiagCode index_range        {"NP0306", "index-out-of-range", 2, "An index lies outside its tensor"};
inline constexpr DiagCode unsupported_op     {"NP0401", "unsupported-operator", 1, "An operator has no mapping"};
inline constexpr DiagCode unsupported        {"NP0402", "unsupported-feature", 1, "A feature of the model is not supported"};
inline constexpr DiagCode data_dependent     {"NP0403", "data-dependent", 1, "Control flow or a shape depends on input values"};
inline constexpr DiagCode raised             {"NP0404", "model-raised", 2, "The model itself raised an exception for these inputs"};
inline constexpr DiagCode not_representable  {"NP0405", "not-representable", 1, "The output format cannot express an operator"};
inline constexpr DiagCode illegal_for_target {"NP0501", "illegal-for-target", 1, "The target cannot run an operator"};
inline constexpr DiagCode gate_failed        {"NP0601", "gate-failed", 1, "A proof failed"};
inline constexpr DiagCode unverified         {"NP0602", "unverified", 1, "A step could not be proven"};
inline constexpr DiagCode device_failed      {"NP0701", "device-failed", 1, "A device or its library refused to load or run a model"};
inline constexpr DiagCode timed_out          {"NP0702", "timed-out", 1, "A run took longer than allowed"};
inline constexpr DiagCode busy               {"NP0703", "busy", 1, "A session is in use by another call"};
inline constexpr DiagCode bad_handle         {"NP0704", "bad-handle", 2, "A handle is closed, null or foreign"};
inline constexpr DiagCode verify_graph       {"NP0901", "graph-invalid", 4, "A graph breaks an invariant (a bug)"};
inline constexpr DiagCode internal           {"NP0902", "internal", 4, "A bug in npuport"};
inline constexpr DiagCode interrupted        {"NP0903", "interrupted", 130, "The user interrupted the run"};
// clang-format on

}  // namespace npuport::diag
