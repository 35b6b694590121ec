// IR text as a file: the graph for people to read, its larger constants beside it for npuport to read back.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace npuport {

// Writes PATH (the printed graph with origins) and, when it prints constants by hash, PATH.npz with one array per hash,
// so that the text can be imported and run. Both are atomic and the same bytes for the same graph; the arrays go first.
// `files`: what was written. Errors: not_writable; dtype_mismatch for constants of types NumPy has none for.
Status write_ir_text(const Graph& g, const std::string& path, std::vector<std::string>& files);

}  // namespace npuport
