#include "ops/support/einsum.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/diag_codes.h"
#include "ops/support/aten_nn.h"

namespace npuport {
namespace {

bool contains(const Ints& v, int64_t x) { return std::find(v.begin(), v.end(), x) != v.end(); }
size_t index_of(const Ints& v, int64_t x) { return static_cast<size_t>(std::find(v.begin(), v.end(), x) - v.begin()); }

// Dims of `t` moved into the order of `order` (a permutation of its labels).
Labelled reorder(Builder& b, const Labelled& t, const Ints& order) {
  Ints perm;
  for (const int64_t label : order) perm.push_back(static_cast<int64_t>(index_of(t.labels, label)));
  return {b.transpose(t.value, std::move(perm)), order};
}

// Replaces a pair of equal labels by one: moves the pair to the end, flattens it and takes every (n+1)-th element.
Labelled take_diagonal(Builder& b, const Labelled& t, size_t first, size_t second) {
  Ints perm, labels;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (i == first || i == second) continue;
    perm.push_back(static_cast<int64_t>(i));
    labels.push_back(t.labels[i]);
  }
  perm.insert(perm.end(), {static_cast<int64_t>(first), static_cast<int64_t>(second)});
  labels.push_back(t.labels[first]);
  const ValueId moved = b.transpose(t.value, std::move(perm));
  Shape s = b.shape(moved);
  if (b.failed()) return t;
  const int64_t n = s.back();
  if (s[s.size() - 2] != n) {
    b.fail(Diag(diag::shape_mismatch, fmt::format("a repeated index has sizes {} and {}", s[s.size() - 2], n)));
    return t;
  }
  s.pop_back();
  s.back() = n * n;
  const auto axis = static_cast<int64_t>(s.size()) - 1;
  const ValueId flat = b.reshape(moved, s);
  return {
      b.op("slice", {flat}, {{"starts", Ints{0}}, {"ends", Ints{n * n}}, {"axes", Ints{axis}}, {"steps", Ints{n + 1}}}),
      labels};
}

Labelled without_repeats(Builder& b, Labelled t) {
  for (size_t i = 0; i < t.labels.size(); ++i) {
    for (size_t j = i + 1; j < t.labels.size() && !b.failed(); ++j) {
      if (t.labels[i] != t.labels[j]) continue;
      t = take_diagonal(b, t, i, j);
      return without_repeats(b, std::move(t));
    }
  }
  return t;
}

// Sums out every label of `t` for which keep() is false.
template <class Keep>
Labelled sum_out(Builder& b, const Labelled& t, Keep keep) {
  Ints axes, labels;
  for (size_t i = 0; i < t.labels.size(); ++i) {
    if (keep(t.labels[i])) {
      labels.push_back(t.labels[i]);
    } else {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  if (axes.empty()) return t;
  return {aten_nn::reduce(b, "reduce_sum", t.value, std::move(axes), false), labels};
}

int64_t size_of(const Builder& b, const Labelled& t, int64_t label) {
  return b.shape(t.value)[index_of(t.labels, label)];
}

// The labels of a pair of operands by their role in the product.
struct Roles {
  Ints batch, left, right, summed;
};

Roles roles_of(Builder& b, const Labelled& x, const Labelled& y, const Ints& wanted) {
  Roles r;
  for (const int64_t label : x.labels) {
    if (!contains(y.labels, label)) {
      r.left.push_back(label);
      continue;
    }
    // A size of 1 on one side only is broadcast like a batch dim; the caller sums it afterwards.
    const bool equal = size_of(b, x, label) == size_of(b, y, label);
    (contains(wanted, label) || !equal ? r.batch : r.summed).push_back(label);
  }
  for (const int64_t label : y.labels) {
    if (!contains(x.labels, label)) r.right.push_back(label);
  }
  return r;
}

int64_t product(const Builder& b, const Labelled& t, const Ints& labels) {
  int64_t n = 1;
  for (const int64_t label : labels) n *= size_of(b, t, label);
  return n;
}

Ints joined(const Ints& a, const Ints& b, const Ints& c) {
  Ints out = a;
  out.insert(out.end(), b.begin(), b.end());
  out.insert(out.end(), c.begin(), c.end());
  return out;
}

struct Factor {
  ValueId value;
  bool transposed;
};

// t as matrices [batch…, rows, columns], or [batch…, columns, rows] where its dims already lie so.
Factor as_matrix(Builder& b, const Labelled& t, const Ints& batch, const Ints& rows, const Ints& columns) {
  const bool transposed = t.labels == joined(batch, columns, rows) && !rows.empty() && !columns.empty();
  const Labelled m = transposed ? t : reorder(b, t, joined(batch, rows, columns));
  Shape s;
  for (const int64_t label : batch) s.push_back(size_of(b, t, label));
  const int64_t r = product(b, t, rows), c = product(b, t, columns);
  s.push_back(transposed ? c : r);
  s.push_back(transposed ? r : c);
  return {b.reshape(m.value, std::move(s)), transposed};
}

Labelled multiply_matrices(Builder& b, const Labelled& x, const Labelled& y, const Roles& r) {
  Shape out;
  for (const int64_t label : r.batch) out.push_back(std::max(size_of(b, x, label), size_of(b, y, label)));
  for (const int64_t label : r.left) out.push_back(size_of(b, x, label));
  for (const int64_t label : r.right) out.push_back(size_of(b, y, label));
  const Factor left = as_matrix(b, x, r.batch, r.left, r.summed), right = as_matrix(b, y, r.batch, r.summed, r.right);
  const ValueId z =
      b.op("matmul", {left.value, right.value}, {{"transpose_a", left.transposed}, {"transpose_b", right.transposed}});
  return {b.reshape(z, std::move(out)), joined(r.batch, r.left, r.right)};
}

// t with its dims in the order of `labels`, size 1 where it has none.
ValueId aligned(Builder& b, const Labelled& t, const Ints& labels) {
  Ints own;
  for (const int64_t label : labels) {
    if (contains(t.labels, label)) own.push_back(label);
  }
  const Labelled m = reorder(b, t, own);
  Shape s;
  for (const int64_t label : labels) s.push_back(contains(own, label) ? size_of(b, m, label) : 1);
  return b.reshape(m.value, std::move(s));
}

Labelled multiply(Builder& b, const Labelled& x, const Labelled& y, const Ints& wanted) {
  const Roles r = roles_of(b, x, y, wanted);
  if (!r.summed.empty()) return multiply_matrices(b, x, y, r);
  const Ints labels = joined(r.batch, r.left, r.right);
  return {b.mul(aligned(b, x, labels), aligned(b, y, labels)), labels};
}

Status check_sizes(const Builder& b, const std::vector<Labelled>& operands, const Ints& out) {
  std::map<int64_t, int64_t> sizes;
  for (const Labelled& t : operands) {
    const Shape& s = b.shape(t.value);
    if (s.size() != t.labels.size()) {
      return Diag(diag::shape_mismatch,
                  fmt::format("an operand of shape {} got {} indices", to_string(s), t.labels.size()));
    }
    for (size_t i = 0; i < s.size(); ++i) {
      int64_t& known = sizes.emplace(t.labels[i], s[i]).first->second;
      if (known != s[i] && known != 1 && s[i] != 1) {
        return Diag(diag::shape_mismatch, fmt::format("an index has sizes {} and {}", known, s[i]));
      }
      known = known == 1 ? s[i] : known;
    }
  }
  for (size_t i = 0; i < out.size(); ++i) {
    if (!sizes.contains(out[i]) || index_of(out, out[i]) != i) {
      return Diag(diag::bad_attribute, "an output index repeats or is in no operand");
    }
  }
  return {};
}

}  // namespace

ValueId contract(Builder& b, std::vector<Labelled> operands, const Ints& out) {
  if (b.failed() || operands.empty()) return {};
  if (Status s = check_sizes(b, operands, out); !s) {
    b.fail(std::move(s).error());
    return {};
  }
  for (Labelled& t : operands) t = without_repeats(b, std::move(t));
  // Folds the first two operands into one until one is left, summing what nothing else needs as early as possible.
  while (!b.failed()) {
    Ints needed = out;
    for (size_t i = 2; i < operands.size(); ++i) {
      needed.insert(needed.end(), operands[i].labels.begin(), operands[i].labels.end());
    }
    const auto elsewhere = [&](size_t other) {
      return [&, other](int64_t label) {
        return contains(needed, label) || (other < operands.size() && contains(operands[other].labels, label));
      };
    };
    operands[0] = sum_out(b, operands[0], elsewhere(1));
    if (operands.size() == 1 || b.failed()) break;
    operands[1] = sum_out(b, operands[1], elsewhere(0));
    if (b.failed()) break;
    operands[0] = multiply(b, operands[0], operands[1], needed);
    operands.erase(operands.begin() + 1);
  }
  return b.failed() ? ValueId{} : reorder(b, operands[0], out).value;
}

namespace {

constexpr int64_t kEllipsis = 1000;  // labels of dims under "...", counted from the last one

struct Equation {
  std::vector<std::string> in;
  std::string out;
  bool explicit_out = false;
};

Equation parse(std::string_view text) {
  Equation e;
  std::string current;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text[i] == ',' && !e.explicit_out) {
      e.in.push_back(std::move(current));
      current.clear();
    } else if (text.substr(i, 2) == "->" && !e.explicit_out) {
      e.in.push_back(std::move(current));
      current.clear();
      e.explicit_out = true;
      ++i;
    } else {
      current += text[i];
    }
  }
  (e.explicit_out ? e.out : e.in.emplace_back()) = std::move(current);
  return e;
}

// Labels of one term whose "..." covers `covered` dims; nullopt for any other character than letters.
std::optional<Ints> labels_of(std::string_view term, int64_t covered) {
  Ints labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.substr(i, 3) == "...") {
      for (int64_t k = covered; k-- > 0;) labels.push_back(kEllipsis + k);
      i += 2;
    } else if ((term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z')) {
      labels.push_back(term[i]);
    } else {
      return std::nullopt;
    }
  }
  return labels;
}

// Every label that appears once, alphabetically (capitals first), after the dims of "...".
Ints implicit_output(const std::vector<Labelled>& operands, int64_t covered) {
  std::map<int64_t, int> count;
  for (const Labelled& t : operands) {
    for (const int64_t label : t.labels) ++count[label];
  }
  Ints out;
  for (int64_t k = covered; k-- > 0;) out.push_back(kEllipsis + k);
  for (const auto& [label, n] : count) {
    if (n == 1 && label < kEllipsis) out.push_back(label);
  }
  return out;
}

}  // namespace

ValueId einsum(Builder& b, std::string_view equation, const std::vector<ValueId>& operands) {
  const auto bad = [&](std::string_view why) {
    b.fail(Diag(diag::bad_attribute, fmt::format("einsum(\"{}\"): {}", equation, why)));
    return ValueId{};
  };
  const Equation e = parse(equation);
  if (e.in.size() != operands.size()) return bad(fmt::format("{} operands are given", operands.size()));
  std::vector<Labelled> terms;
  int64_t widest = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::string& term = e.in[i];
    const bool dots = term.find("...") != std::string::npos;
    const int64_t named = static_cast<int64_t>(term.size()) - (dots ? 3 : 0);
    const int64_t covered = dots ? static_cast<int64_t>(b.shape(operands[i]).size()) - named : 0;
    if (covered < 0) return bad(fmt::format("operand {} has too few dims", i));
    widest = std::max(widest, covered);
    std::optional<Ints> labels = labels_of(term, covered);
    if (!labels) return bad("indices are letters");
    terms.push_back({operands[i], std::move(*labels)});
  }
  if (!e.explicit_out) {
    const Ints out = implicit_output(terms, widest);
    return contract(b, std::move(terms), out);
  }
  const std::optional<Ints> out = labels_of(e.out, widest);
  return out ? contract(b, std::move(terms), *out) : bad("indices are letters");
}

}  // namespace npuport
