// Node attributes: a named, schema-checked list.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ir/tensor.h"

namespace npuport {

using Ints = std::vector<int64_t>;
using Reals = std::vector<double>;
using AttrValue = std::variant<int64_t, double, bool, std::string, Ints, Reals, DType>;

// Order follows AttrValue's alternatives.
enum class AttrKind : uint8_t { integer, real, boolean, string, integers, reals, dtype };

struct Attr {
  std::string name;
  AttrValue value;

  Attr(std::string n, AttrValue v) : name(std::move(n)), value(std::move(v)) {}
  // Keep `{"axis", 1}`, `{"keepdims", true}`, `{"eps", 1e-5}` and `{"mode", "same"}` free of casts at call sites.
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Attr(std::string n, T v) : name(std::move(n)), value(static_cast<int64_t>(v)) {}
  template <std::same_as<bool> T>
  Attr(std::string n, T v) : name(std::move(n)), value(v) {}
  template <std::floating_point T>
  Attr(std::string n, T v) : name(std::move(n)), value(static_cast<double>(v)) {}
  Attr(std::string n, const char* v) : name(std::move(n)), value(std::string(v)) {}

  bool operator==(const Attr&) const = default;
};

struct AttrDef {
  std::string_view name;
  AttrKind kind;
  // IR text of the default ("1", "0.5", "[]", "\"none\"", "false", "f32"); empty = required.
  std::string_view default_text;
  std::string_view doc;
};

// Reads attributes of one node. Asking for a name or kind that is not in the schema is a bug (aborts with the name).
class AttrView {
 public:
  explicit AttrView(std::span<const Attr> attrs) : attrs_(attrs) {}
  bool has(std::string_view name) const;
  int64_t i(std::string_view name) const;
  double f(std::string_view name) const;
  bool b(std::string_view name) const;
  const std::string& s(std::string_view name) const;
  const Ints& ints(std::string_view name) const;
  const Reals& reals(std::string_view name) const;
  DType dtype(std::string_view name) const;
  std::span<const Attr> all() const { return attrs_; }

 private:
  template <class T>
  const T& get(std::string_view name) const;
  std::span<const Attr> attrs_;
};

// IR text of a value ("[1,2]", "0.5", "\"same\"", "true", "f32"). Reals print shortest round-trip form and always
// contain
// '.', 'e', "inf" or "nan".
std::string to_text(const AttrValue& v);
// Parses to_text's form as `kind`; `syntax` on failure.
Result<AttrValue> parse_attr(std::string_view text, AttrKind kind);

}  // namespace npuport
