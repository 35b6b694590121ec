#include "app/rewrites_file.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "target/toml_reader.h"

namespace npuport::app {

Result<std::shared_ptr<const UserRewrites>> read_rewrites(const std::string& path) {
  if (path.empty()) return std::shared_ptr<const UserRewrites>();
  NPU_ASSIGN(const std::string text, read_file(path, uint64_t{1} << 20));
  TomlReader r(path);
  NPU_ASSIGN(const toml::table root, r.parse(text));
  r.check_version(root);
  r.allow(root, "the file", {"version", "rewrite"});
  std::vector<UserRewrite> rows;
  for (const toml::table* t : r.tables(root, "rewrite")) {
    r.allow(*t, "[[rewrite]]", {"name", "doc", "match", "replace", "numerics"});
    UserRewrite row{r.text(*t, "name", true), r.text(*t, "doc", false), r.text(*t, "match", true),
                    r.text(*t, "replace", true), Numerics::exact};
    const std::string numerics = r.text(*t, "numerics", false);
    constexpr Numerics kAll[] = {Numerics::exact, Numerics::exact_on_domain, Numerics::approximate};
    const auto known = std::find_if(std::begin(kAll), std::end(kAll), [&](Numerics n) { return name(n) == numerics; });
    if (known != std::end(kAll)) {
      row.numerics = *known;
    } else if (!numerics.empty()) {
      r.fail(t->get("numerics"), diag::syntax, "numerics must be \"exact\", \"exact-on-domain\" or \"approximate\"");
    }
    rows.push_back(std::move(row));
  }
  if (r.failed()) return r.take_error();
  if (rows.empty()) return Diag(diag::syntax, "there is no [[rewrite]]", "give name, match and replace").in_file(path);
  auto made = UserRewrites::make(std::move(rows));
  if (!made) return std::move(made).error().in_file(path);
  return made;
}

}  // namespace npuport::app
