// Recurrent layers, unrolled over time.
#include "ops/rnn.h"
#include "passes/lower.h"

namespace npuport {
namespace {

std::vector<ValueId> build_unrolled(Builder& b, const Match& m) {
  const Node n = *b.graph().producer(m.roots()[0]);
  return expand_rnn(b, n.op->name, n.inputs, n.attrs);
}

constexpr std::string_view kDoc = "The layer's recurrence, written out step by step.";

constexpr Rewrite kRows[] = {
    {.name = "lstm_unrolled", .doc = kDoc, .match = "%y.all = lstm(%in.all, rest=$r)", .build = build_unrolled},
    {.name = "gru_unrolled", .doc = kDoc, .match = "%y.all = gru(%in.all, rest=$r)", .build = build_unrolled},
    {.name = "rnn_unrolled", .doc = kDoc, .match = "%y.all = rnn(%in.all, rest=$r)", .build = build_unrolled},
};

}  // namespace

std::span<const Rewrite> lower_sequence_rows() { return kRows; }

}  // namespace npuport
