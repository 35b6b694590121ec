#include "pipelines/rule_reader.h"

#include <fmt/format.h>

#include <cmath>

#include "base/diag_codes.h"

namespace npuport {

Result<Json> parse_rules(const std::string& text, const std::string& file) {
  NPU_ASSIGN(Json j, parse_json(text, file));
  if (!j.is_object()) return Diag(diag::corrupt, "decoding rules must be a JSON object").in_file(file);
  RuleReader in(j, file);
  const int64_t version = in.integer("version", 1, INT32_MAX, 1);
  NPU_TRY(in.status());
  if (version > 1) return Diag(diag::newer_version, "the decoding rules were written by a newer version").in_file(file);
  return j;
}

const Json* RuleReader::find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() ? nullptr : &*it;
}

int64_t RuleReader::integer(const char* key, int64_t low, int64_t high, std::optional<int64_t> otherwise) {
  const Json* j = find(key);
  if (!j && otherwise) return *otherwise;
  if (!j || !j->is_number_integer() || j->get<int64_t>() < low || j->get<int64_t>() > high) {
    fail(fmt::format("'{}' must be an integer from {} to {}", key, low, high));
    return low;
  }
  return j->get<int64_t>();
}

bool RuleReader::boolean(const char* key, bool otherwise) {
  const Json* j = find(key);
  if (!j) return otherwise;
  if (!j->is_boolean()) fail(fmt::format("'{}' must be true or false", key));
  return j->is_boolean() && j->get<bool>();
}

std::string RuleReader::text(const char* key, std::string otherwise) {
  const Json* j = find(key);
  if (!j || j->is_null()) return otherwise;
  if (!j->is_string()) fail(fmt::format("'{}' must be a string", key));
  return j->is_string() ? j->get<std::string>() : otherwise;
}

std::string RuleReader::file_name(const char* key, std::string otherwise) {
  std::string name = text(key, std::move(otherwise));
  if (name.find_first_of(std::string_view("/\0", 2)) != std::string::npos || name == "." || name == "..")
    fail(fmt::format("'{}' must be a file name without folders", key));
  return name;
}

std::optional<double> RuleReader::number(const char* key, std::optional<double> otherwise) {
  const Json* j = find(key);
  if (!j) return otherwise;
  if (j->is_null()) return std::nullopt;
  if (!j->is_number() || !std::isfinite(j->get<double>())) {
    fail(fmt::format("'{}' must be a number or null", key));
    return otherwise;
  }
  return j->get<double>();
}

std::vector<int32_t> RuleReader::ids(const char* key, int32_t count, bool required) {
  std::vector<int32_t> out;
  const Json* j = find(key);
  if (!j && !required) return out;
  if (!j || !j->is_array()) {
    fail(fmt::format("no list '{}'", key));
    return out;
  }
  for (const Json& v : *j) {
    if (!v.is_number_integer() || v.get<int64_t>() < 0 || v.get<int64_t>() >= count) {
      fail(fmt::format("'{}' holds something else than token ids below {}", key, count));
      return out;
    }
    out.push_back(v.get<int32_t>());
  }
  return out;
}

void RuleReader::fail(std::string message) {
  if (status_) status_ = Diag(diag::corrupt, std::move(message)).in_file(file_);
}

}  // namespace npuport
