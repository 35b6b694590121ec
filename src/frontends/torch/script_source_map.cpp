#include "frontends/torch/script_source_map.h"

#include <algorithm>
#include <charconv>

namespace npuport {
namespace {

constexpr size_t kMaxFrames = 64;

// "path/model.py(12): forward" → {path, 12}.
bool parse_stack_line(std::string_view line, UserFrame& out) {
  const size_t close = line.rfind("): ");
  if (close == line.npos) return false;
  const size_t open = line.rfind('(', close);
  if (open == line.npos || open == 0) return false;
  const std::string_view digits = line.substr(open + 1, close - open - 1);
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.line);
  if (ec != std::errc() || end != digits.data() + digits.size()) return false;
  out.path = line.substr(0, open);
  return true;
}

const std::vector<const PickleValue*>* items_of(const PickleValue* v) {
  if (!v || !(v->is(PickleValue::Kind::tuple) || v->is(PickleValue::Kind::list))) return nullptr;
  return &v->items;
}

}  // namespace

bool UserFrame::internal() const {
  for (const std::string_view part :
       {"/torch/nn/", "/torch/jit/", "-packages/torch/", "/torch/_", "/torch/functional.py"})
    if (path.find(part) != std::string::npos) return true;
  return false;
}

std::string UserFrame::text() const {
  const size_t slash = path.find_last_of("/\\");
  return path.substr(slash == std::string::npos ? 0 : slash + 1) + ":" + std::to_string(line);
}

SourceMap::SourceMap(const PickleValue& root) {
  const auto* top = items_of(&root);
  if (!top) return;
  const PickleValue* list = &root;
  if (top->size() >= 3 && (*top)[0]->is(PickleValue::Kind::string) && (*top)[0]->text == "FORMAT_WITH_STRING_TABLE") {
    strings_ = (*top)[1];
    list = (*top)[2];
  }
  const auto* entries = items_of(list);
  if (!entries) return;
  for (const PickleValue* entry : *entries) {
    const auto* e = items_of(entry);
    if (!e || e->size() < 2 || !(*e)[0]->is(PickleValue::Kind::integer)) continue;
    const auto* range = items_of((*e)[1]);
    if (!range || range->size() < 3 || !(*range)[1]->is(PickleValue::Kind::integer)) continue;
    ranges_.push_back({(*e)[0]->integer, (*range)[0], (*range)[1]->integer});
  }
  std::stable_sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.offset < b.offset; });
}

// A string, an index into the string table, or a list of indices to be joined.
std::string SourceMap::text_of(const PickleValue& v) const {
  if (v.is(PickleValue::Kind::string)) return v.text;
  const auto* table = items_of(strings_);
  const auto entry = [&](const PickleValue& index) -> std::string {
    if (!table || !index.is(PickleValue::Kind::integer)) return "";
    if (index.integer < 0 || static_cast<size_t>(index.integer) >= table->size()) return "";
    return (*table)[static_cast<size_t>(index.integer)]->text;
  };
  if (v.is(PickleValue::Kind::integer)) return entry(v);
  std::string out;
  if (const auto* list = items_of(&v))
    for (const PickleValue* index : *list) out += entry(*index);
  return out;
}

std::vector<UserFrame> SourceMap::resolve(const Range& r) const {
  std::vector<UserFrame> out;
  const auto* source = items_of(r.source);
  if (!source || source->size() < 3) return out;
  const std::string text = text_of(*(*source)[0]);
  UserFrame frame;
  for (size_t begin = 0; begin < text.size() && out.size() < kMaxFrames;) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (!parse_stack_line(std::string_view(text).substr(begin, end - begin), frame)) break;
    out.push_back(frame);
    begin = end + 1;
  }
  if (!out.empty()) return out;
  frame.path = text_of(*(*source)[1]);
  if (frame.path.empty() || !(*source)[2]->is(PickleValue::Kind::integer)) return out;
  const auto start = std::min<size_t>(static_cast<size_t>(std::max<int64_t>(0, r.start)), text.size());
  frame.line = (*source)[2]->integer + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(start), '\n');
  out.push_back(std::move(frame));
  return out;
}

const std::vector<UserFrame>& SourceMap::frames(size_t pos) const {
  static const std::vector<UserFrame> none;
  auto it = std::upper_bound(ranges_.begin(), ranges_.end(), static_cast<int64_t>(pos),
                             [](int64_t p, const Range& r) { return p < r.offset; });
  if (it == ranges_.begin()) return none;
  const auto index = static_cast<size_t>(it - ranges_.begin() - 1);
  const auto [cached, inserted] = cache_.try_emplace(index);
  if (inserted) cached->second = resolve(ranges_[index]);
  return cached->second;
}

}  // namespace npuport
