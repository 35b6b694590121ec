#include "base/lessons.h"

#include "base/diag_codes.h"

namespace npuport {
namespace {

// What failures of a kind teach.
struct KindRow {
  const DiagCode* kind;
  const Lesson* lesson;
};
constexpr KindRow kKinds[] = {
    {&diag::tool_missing, &lesson("NPU-T01")},  {&diag::tool_failed, &lesson("NPU-T01")},
    {&diag::dynamic_shape, &lesson("NPU-S01")}, {&diag::data_dependent, &lesson("NPU-S01")},
    {&diag::gate_failed, &lesson("NPU-V01")},   {&diag::unverified, &lesson("NPU-V01")},
};

}  // namespace

const Lesson* lesson_of(const Diag& d) {
  constexpr std::string_view kStart = "NPU-";
  if (const size_t at = d.hint.find(kStart); at != std::string::npos)
    if (const Lesson* named = find_lesson(std::string_view(d.hint).substr(at, kLessons[0].id.size()))) return named;
  for (const KindRow& row : kKinds)
    if (d.code && d.code->id == row.kind->id) return row.lesson;
  return nullptr;
}

}  // namespace npuport
