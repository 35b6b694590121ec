// The final message of a port (requirement S0-47): six sections, as JSON for machines and as one self-contained HTML
// page.
#pragma once

#include "app/port_run.h"

namespace npuport::app {

// Keys: version, header, verdict, steps, comparisons, files, problems, changes, debug, ready, and measurements (times,
// memory; left out when SOURCE_DATE_EPOCH is set, so that the bytes depend on the inputs alone).
Json report_json(const PortRun& run);
// Renders report_json's document and nothing else: what the page says, the JSON says.
std::string report_html(const Json& report);
// The output folder's only README: at most 60 lines.
std::string output_readme(const Json& report);

}  // namespace npuport::app
