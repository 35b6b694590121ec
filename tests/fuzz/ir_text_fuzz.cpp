#include "fuzz.h"
#include "ir/text.h"
#include "ops/manifest.h"

// IR text: what parses must print, and its print must parse to the same print.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  ops::register_all();
  const std::string text = fuzz::text(data, size);
  if (const auto statements = parse_statements(text)) (void)statements->size();
  const Result<Graph> g = parse_graph(text);
  if (!g) return 0;
  const std::string once = print(*g, {.origins = true});
  const Result<Graph> again = parse_graph(once);
  if (!again || print(*again, {.origins = true}) != once) std::abort();
  return 0;
}
