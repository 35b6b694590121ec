// NAME.debug_pkl: which user source line each byte range of a code file came from.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "frontends/torch/pickle.h"

namespace npuport {

// A line of the user's code, as "model.py" and 12.
struct UserFrame {
  std::string path;
  int64_t line = 0;
  // Inside PyTorch itself (torch/nn, torch/jit …).
  bool internal() const;
  // "model.py:12"
  std::string text() const;
};

class SourceMap {
 public:
  SourceMap() = default;
  // Both formats: a tuple of (offset, (source, start, end), tag) where source is (text, file, first line), or
  // ("FORMAT_WITH_STRING_TABLE", strings, ranges) with text and file as indices. Malformed entries are left out: source
  // lines are a convenience.
  explicit SourceMap(const PickleValue& root);

  // Frames of the expression at byte `pos`, innermost first; empty when unknown. Traces hold a whole call stack,
  // scripted code one frame.
  const std::vector<UserFrame>& frames(size_t pos) const;

 private:
  struct Range {
    int64_t offset = 0;
    const PickleValue* source = nullptr;  // (text, file, line)
    int64_t start = 0;
  };
  std::vector<UserFrame> resolve(const Range& r) const;
  std::string text_of(const PickleValue& v) const;

  std::vector<Range> ranges_;  // by offset
  const PickleValue* strings_ = nullptr;
  mutable std::unordered_map<size_t, std::vector<UserFrame>> cache_;
};

}  // namespace npuport
