#include "writers/ir_text.h"

#include <map>
#include <set>

#include "base/atomic_file.h"
#include "ir/npy.h"
#include "ir/text.h"

namespace npuport {

Status write_ir_text(const Graph& g, const std::string& path, std::vector<std::string>& files) {
  const std::string text = print(g, {.origins = true});
  std::set<std::string> printed;
  for (size_t at = text.find("= #"); at != std::string::npos; at = text.find("= #", at + 3))
    printed.insert(text.substr(at + 3, 16));
  std::map<std::string, Tensor> by_hash;  // sorted: the order of values in memory is no property of the graph
  for (uint32_t i = 0; i < g.value_slots(); ++i) {
    const Value& v = g.value(ValueId{i});
    if (!v.alive || !v.constant) continue;
    std::string hash = content_hash(*v.constant);
    if (printed.contains(hash)) by_hash.try_emplace(std::move(hash), *v.constant);
  }
  if (!by_hash.empty()) {
    const NamedTensors arrays(by_hash.begin(), by_hash.end());
    NPU_TRY(write_npz(path + ".npz", arrays));
    files.push_back(path + ".npz");
  }
  NPU_TRY(write_file(path, text));
  files.push_back(path);
  return {};
}

}  // namespace npuport
