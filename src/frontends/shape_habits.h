// What a model asks of shapes. Importing fixes the answers, other exporters write operators for the questions; so the
// questions are remembered for whoever warns about them, in Graph::metadata under keys that begin with "import.": those
// are neither printed nor written to files.
#pragma once

#include "ir/graph.h"

namespace npuport {

// A place that asks a tensor for its shape. Kept once each, the first 256.
void note_shape_read(Graph& g, const Origin& place);
// An input whose shape the file leaves open: "x [b,3,h,w]".
void note_open_input(Graph& g, const std::string& input);

std::vector<Origin> shape_reads(const Graph& g);
std::vector<std::string> open_inputs(const Graph& g);

}  // namespace npuport
