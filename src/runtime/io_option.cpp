#include "runtime/io_option.h"

#include <nlohmann/json.hpp>

#include "base/diag_codes.h"

namespace npuport::runtime {
namespace {

Diag wrong(const std::string& what) {
  return Diag(diag::usage, "option io: " + what,
              R"(write {"inputs": [{"name": "x", "dtype": "float32", "shape": [1, 3]}], "outputs": […]})");
}

Result<std::vector<IoInfo>> read_list(const Json& j, const char* key) {
  std::vector<IoInfo> out;
  if (!j.is_object() || !j.contains(key) || !j[key].is_array()) return wrong(std::string("no list ") + key);
  for (const Json& e : j[key]) {
    const auto text = [&](const char* k) {
      return e.is_object() && e.contains(k) && e[k].is_string() ? e[k].get<std::string>() : std::string();
    };
    IoInfo info;
    info.name = text("name");
    info.type.dtype = parse_dtype(text("dtype")).value_or(DType::unknown);
    if (info.name.empty() || info.type.dtype == DType::unknown || !e.contains("shape") || !e["shape"].is_array())
      return wrong(std::string(key) + ": name, dtype or shape is missing");
    for (const Json& d : e["shape"]) {
      if (!d.is_number_integer()) return wrong(std::string(key) + ": a size is no integer");
      info.type.shape.push_back(d.get<int64_t>());
    }
    if (const Status s = check_shape(info.type.shape); !s) return wrong(s.error().message);
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace

Status read_io_option(const Options& options, ModelSource& source) {
  const std::string text = options.get("io");
  if (text.empty()) return {};
  NPU_ASSIGN(const Json j, parse_json(text, "option io"));
  NPU_ASSIGN(source.inputs, read_list(j, "inputs"));
  NPU_ASSIGN(source.outputs, read_list(j, "outputs"));
  return {};
}

}  // namespace npuport::runtime
