// Logs and reports of compilers: the first byte chooses the parser.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "drivers/atc.h"
#include "drivers/mtk_converter.h"
#include "drivers/ncc_tflite.h"
#include "drivers/rknn.h"
#include "drivers/vela.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace npuport;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'n':
      parse_ncc_log(text);
      break;
    case 'a':
      parse_atc_log(text);
      break;
    case 'c':
      parse_atc_check(text);
      break;
    case 'v':
      parse_vela_log(text);
      break;
    case 's':
      parse_vela_summary(text);
      parse_vela_layers(text);
      break;
    case 'r':
      parse_rknn_log(text);
      break;
    case 'm':
      parse_mtk_converter_log(text);
      parse_mtk_version(text);
      break;
    case 'w':
      (void)split_words(text);
      parse_atc_version(text);
      break;
    default:
      if (const Result<Json> j = parse_json(text)) (void)outcome_from_json(*j);
  }
  return 0;
}
