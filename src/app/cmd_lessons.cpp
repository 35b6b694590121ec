#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/plan_lessons.h"
#include "base/diag_codes.h"
#include "base/text.h"

namespace npuport::app {
namespace {

std::string details(const Lesson& l) {
  return fmt::format("{} {}\n  situation  {}\n  cause      {}\n  do         {}\n  source     {}\n", l.id, l.title,
                     l.situation, l.cause, l.cure, l.source);
}

std::string known_ids() {
  std::vector<std::string> ids;
  for (const Lesson& l : npuport::lessons()) ids.emplace_back(l.id);
  return join(ids, ", ");
}

}  // namespace

CommandResult lessons(const App&, const LessonsArgs& args) {
  Outcome o;
  if (!args.id.empty()) {
    const Lesson* l = find_lesson(args.id);
    if (!l) return Diag(diag::usage, "there is no lesson '" + args.id + "'", "one of " + known_ids());
    o.json = lesson_json(*l);
    o.text = details(*l);
    return o;
  }
  o.json = Json::array();
  for (const Lesson& l : npuport::lessons()) {
    o.json.push_back(lesson_json(l));
    o.text += fmt::format("{}  {}\n", l.id, l.title);
  }
  return o;
}

std::string lessons_markdown() {
  std::string out =
      "# Lessons\n\nWhat plans (`operator_analysis.md`), reports and messages cite by id; `npuport lessons [ID]` "
      "prints "
      "the same. The table is `src/base/lessons.h`; a test holds this page to it.\n";
  for (const Lesson& l : npuport::lessons())
    out += fmt::format("\n## {}: {}\n\n- Situation: {}\n- Cause: {}\n- Do: {}\n- Source: {}\n", l.id, l.title,
                       l.situation, l.cause, l.cure, l.source);
  return out;
}

}  // namespace npuport::app
