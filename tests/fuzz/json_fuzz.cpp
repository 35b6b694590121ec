// Every JSON a port, a diagnosis or a user leaves behind and a later run reads back: the first byte chooses the reader.
#include "app/analysis.h"
#include "app/port_keys.h"
#include "app/task_gate.h"
#include "app/transcribe_baseline.h"
#include "base/io_contract.h"
#include "drivers/diagnose/whitelist.h"
#include "drivers/driver.h"
#include "fuzz.h"
#include "pipelines/whisper/rules.h"
#include "runtime/port.h"

namespace {

using namespace npuport;

// What was read must come out the same when it is written and read again.
void round_trips(const Json& j) {
  if (const auto c = io_contract_from_json(j)) {
    const auto again = io_contract_from_json(to_json(*c));
    if (!again || to_json(*again) != to_json(*c)) std::abort();
  }
  if (const auto w = diagnose::Whitelist::from_json(j, "fuzz")) {
    const auto again = diagnose::Whitelist::from_json(w->to_json(), "fuzz");
    if (!again || again->to_json() != w->to_json()) std::abort();
  }
  app::PortStep step;
  (void)app::step_from_json(j, step).ok();
  (void)outcome_from_json(j).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text = fuzz::text(data + 1, size - 1);
  const fuzz::MemoryFile file(data + 1, size - 1);
  switch (data[0]) {
    case 'm':
      if (const auto p = runtime::PortFolder::open(file.path())) (void)(*p)->metadata("/parts/0").ok();
      break;
    case 'd':
      (void)app::read_decode_rules(file.path()).ok();
      if (const auto r = whisper::read_rules(text, "fuzz")) (void)r->start_sequence();
      break;
    case 'b': {
      // Transcripts are told apart by the file's ending, which a file in memory has not: its folder decides.
      (void)app::read_baseline_texts(file.path()).ok();
      break;
    }
    case 'a':
      (void)app::read_decisions("", "", text, "").ok();
      break;
    case 'k':
      (void)app::read_decisions(text, "", "", "").ok();
      break;
    default:
      if (const auto j = parse_json(text)) round_trips(*j);
  }
  return 0;
}
