// Reading our TOML files (targets, projects): every mistake names the line; unknown keys are mistakes.
#pragma once

#include <toml++/toml.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace npuport {

// The first error sticks; getters return empty values after it.
class TomlReader {
 public:
  explicit TomlReader(std::string file) : file_(std::move(file)) {}

  // `syntax` with the line when the text is no TOML.
  Result<toml::table> parse(std::string_view text) const;
  // Needs `version = 1`; a later one is newer_version.
  void check_version(const toml::table& root);

  void fail(const toml::node* at, const DiagCode& code, const std::string& what);
  // Fails with unknown_key for any other key.
  void allow(const toml::table& table, const std::string& where, std::initializer_list<std::string_view> keys);
  // A string; empty when absent and not required.
  std::string text(const toml::table& table, std::string_view key, bool required);
  std::vector<std::string> texts(const toml::table& table, std::string_view key);
  std::vector<int64_t> integers(const toml::table& table, std::string_view key);
  std::optional<double> number(const toml::table& table, std::string_view key);
  // [[key]]; empty when absent.
  std::vector<const toml::table*> tables(const toml::table& table, std::string_view key);

  bool failed() const { return error_.has_value(); }
  Diag take_error() { return std::move(*error_); }
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::optional<Diag> error_;
};

}  // namespace npuport
