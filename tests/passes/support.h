// Helpers for pass tests: graphs from text, one pass, numeric comparison by the executor's reference kernels.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "exec/executor.h"
#include "ir/registry.h"
#include "ir/text.h"
#include "ops/manifest.h"
#include "passes/context.h"

namespace npuport::testing {

inline Graph graph_of(std::string_view body) {
  ops::register_all();
  const std::string text = "graph \"t\" {\n" + std::string(body) + "\n}\n";
  Result<Graph> g = parse_graph(text);
  if (!g) {
    ADD_FAILURE() << to_text(g.error());
    return Graph{};
  }
  // Hashed constants parse as zeros: fill all large constants with fixed random numbers instead.
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(0, 0.3F);
  for (uint32_t i = 0; i < g->value_slots(); ++i) {
    Value& v = g->value(ValueId{i});
    if (!v.constant || v.constant->count() <= 16 || v.type.dtype != DType::f32) continue;
    Tensor t = Tensor::zeros(DType::f32, v.constant->shape);
    for (float& x : t.mut<float>()) x = normal(rng);
    v.constant = std::make_shared<const Tensor>(std::move(t));
  }
  return std::move(*g);
}

// Random inputs of a graph: normal floats, integers and bools from a small range.
inline std::vector<Tensor> random_inputs(const Graph& g, uint32_t seed = 1, int64_t int_limit = 5) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<Tensor> out;
  for (const ValueId id : g.inputs()) {
    Tensor t = Tensor::zeros(g.type(id).dtype, g.shape(id));
    dispatch(t.dtype, [&]<class T>() {
      for (int64_t i = 0; i < t.count(); ++i) {
        if constexpr (std::is_same_v<T, bool>) {
          t.mut<T>()[i] = rng() % 2 == 0;
        } else if constexpr (std::is_integral_v<T>) {
          t.mut<T>()[i] = static_cast<T>(rng() % int_limit);
        } else {
          t.mut<T>()[i] = T(normal(rng));
        }
      }
    });
    out.push_back(std::move(t));
  }
  return out;
}

// Largest difference between two graphs on the same random inputs of `a`; `io` tells how `b`'s interface relates to
// that of `a`. Infinity on any failure or shape mismatch.
inline double difference(const Graph& a, const Graph& b, const IoContract& io, uint32_t seed = 1,
                         int64_t int_limit = 5) {
  const double bad = std::numeric_limits<double>::infinity();
  const std::vector<Tensor> in = random_inputs(a, seed, int_limit);
  ExecOptions options;
  options.overrides = false;
  options.threads = 1;
  const HostRunner runner =
      host_runner([&](std::span<const Tensor> file_inputs) { return execute(b, file_inputs, options); });
  Result<std::vector<Tensor>> ra = execute(a, in, options), rb = run_original_interface(io, in, runner);
  if (!ra || !rb) {
    ADD_FAILURE() << to_text(!ra ? ra.error() : rb.error());
    return bad;
  }
  if (ra->size() != rb->size()) return bad;
  double worst = 0;
  for (size_t k = 0; k < ra->size(); ++k) {
    const Tensor &x = (*ra)[k], &y = (*rb)[k];
    if (x.shape != y.shape || x.dtype != y.dtype) return bad;
    for (int64_t i = 0; i < x.count(); ++i) {
      const double d = std::abs(get_double(x, i) - get_double(y, i));
      if (!(d <= worst)) worst = std::isnan(d) ? bad : d;
    }
  }
  return worst;
}

inline IoContract identity_io(const Graph& g) {
  Graph plain = g;
  plain.metadata.clear();
  Result<IoContract> io = io_contract(plain);
  if (!io) ADD_FAILURE() << to_text(io.error());
  return io ? *io : IoContract{};
}

inline double difference(const Graph& a, const Graph& b, uint32_t seed = 1, int64_t int_limit = 5) {
  return difference(a, b, identity_io(a), seed, int_limit);
}

struct Ran {
  Graph graph;
  IoContract io;
  Ledger ledger;
  std::vector<std::string> log;
};

// Runs passes in order on a graph, verifying after each.
inline Ran run_passes_on(std::vector<const PassDef*> passes, Graph g, PassOptions options = {},
                         const Legality* legality = nullptr) {
  ops::register_all();
  IoContract io = identity_io(g);
  Ran r{std::move(g), std::move(io), {}, {}};
  options.verify = true;
  PassContext c{options, r.ledger, &r.io, legality, nullptr, [&](int, const std::string& s) { r.log.push_back(s); },
                {}};
  const Status s = run_passes(r.graph, passes, c);
  if (!s) ADD_FAILURE() << to_text(s.error());
  return r;
}

inline Ran run_pass(const PassDef& pass, Graph g, PassOptions options = {}, const Legality* legality = nullptr) {
  return run_passes_on({&pass}, std::move(g), std::move(options), legality);
}

inline std::map<std::string, int> op_counts(const Graph& g) {
  std::map<std::string, int> out;
  for (const NodeId id : g.topological()) ++out[std::string(g.node(id).op->name)];
  return out;
}

}  // namespace npuport::testing
