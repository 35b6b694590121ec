// Reads the decoding rules of a port (task.decode of its metadata): entries of one JSON object; the first fault stays.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace npuport {

// The rules of a text (`file` is named by errors) of version 1: a JSON object. syntax, corrupt, newer_version.
Result<Json> parse_rules(const std::string& text, const std::string& file);

class RuleReader {
 public:
  // `object` must be a JSON object and outlive the reader; `file` is named by errors.
  RuleReader(const Json& object, std::string file) : object_(object), file_(std::move(file)) {}

  const Json* find(const char* key) const;  // nullptr: no such entry
  // low … high; an entry may be missing where there is an `otherwise`.
  int64_t integer(const char* key, int64_t low, int64_t high, std::optional<int64_t> otherwise);
  bool boolean(const char* key, bool otherwise);
  std::string text(const char* key, std::string otherwise);
  // A name without folders; may be empty.
  std::string file_name(const char* key, std::string otherwise);
  // null switches the limit off.
  std::optional<double> number(const char* key, std::optional<double> otherwise);
  // A list of token ids from 0 to below `count`.
  std::vector<int32_t> ids(const char* key, int32_t count, bool required);
  void fail(std::string message);  // corrupt
  Status status() const { return status_; }

 private:
  const Json& object_;
  std::string file_;
  Status status_;
};

}  // namespace npuport
