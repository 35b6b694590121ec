#include "target/toml_reader.h"

#include <algorithm>

#include "base/diag_codes.h"

namespace npuport {

Result<toml::table> TomlReader::parse(std::string_view text) const {
  try {
    return toml::parse(text, file_);
  } catch (const toml::parse_error& e) {
    return Diag(diag::syntax, "line " + std::to_string(e.source().begin.line) + ": " + std::string(e.description()))
        .in_file(file_);
  }
}

void TomlReader::check_version(const toml::table& root) {
  const auto v = root["version"].value<int64_t>();
  if (!v) return fail(&root, diag::syntax, "key 'version' is missing (write version = 1)");
  if (*v != 1)
    fail(root.get("version"), diag::newer_version,
         "version " + std::to_string(*v) + " is newer than this npuport reads (1)");
}

void TomlReader::fail(const toml::node* at, const DiagCode& code, const std::string& what) {
  if (error_) return;
  const auto line = at ? at->source().begin.line : 0;
  error_ = Diag(code, (line ? "line " + std::to_string(line) + ": " : "") + what).in_file(file_);
}

void TomlReader::allow(const toml::table& table, const std::string& where,
                       std::initializer_list<std::string_view> keys) {
  for (const auto& [key, node] : table)
    if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
      fail(&node, diag::unknown_key, "unknown key '" + std::string(key.str()) + "' in " + where);
}

std::string TomlReader::text(const toml::table& table, std::string_view key, bool required) {
  const toml::node* n = table.get(key);
  if (!n) {
    if (required) fail(&table, diag::syntax, "key '" + std::string(key) + "' is missing");
    return {};
  }
  if (!n->is_string()) fail(n, diag::syntax, "'" + std::string(key) + "' must be a string");
  return n->value<std::string>().value_or("");
}

std::vector<std::string> TomlReader::texts(const toml::table& table, std::string_view key) {
  std::vector<std::string> out;
  const toml::node* n = table.get(key);
  if (!n) return out;
  const toml::array* list = n->as_array();
  if (!list) {
    fail(n, diag::syntax, "'" + std::string(key) + "' must be a list of strings");
    return out;
  }
  for (const toml::node& item : *list) {
    if (!item.is_string()) fail(&item, diag::syntax, "'" + std::string(key) + "' must hold strings");
    out.push_back(item.value<std::string>().value_or(""));
  }
  return out;
}

std::vector<int64_t> TomlReader::integers(const toml::table& table, std::string_view key) {
  std::vector<int64_t> out;
  const toml::node* n = table.get(key);
  if (!n) return out;
  const toml::array* list = n->as_array();
  if (!list) {
    fail(n, diag::syntax, "'" + std::string(key) + "' must be a list of integers");
    return out;
  }
  for (const toml::node& item : *list) {
    if (!item.is_integer()) fail(&item, diag::syntax, "'" + std::string(key) + "' must hold integers");
    out.push_back(item.value<int64_t>().value_or(0));
  }
  return out;
}

std::optional<double> TomlReader::number(const toml::table& table, std::string_view key) {
  const toml::node* n = table.get(key);
  if (!n) return std::nullopt;
  if (!n->is_number()) {
    fail(n, diag::syntax, "'" + std::string(key) + "' must be a number");
    return std::nullopt;
  }
  return n->value<double>();
}

std::vector<const toml::table*> TomlReader::tables(const toml::table& table, std::string_view key) {
  std::vector<const toml::table*> out;
  const toml::node* n = table.get(key);
  if (!n) return out;
  const toml::array* list = n->as_array();
  if (!list || !list->is_homogeneous(toml::node_type::table)) {
    fail(n, diag::syntax,
         "'" + std::string(key) + "' must be written as [[" + std::string(key) + "]] or a list of tables");
    return out;
  }
  for (const toml::node& item : *list) out.push_back(item.as_table());
  return out;
}

}  // namespace npuport
