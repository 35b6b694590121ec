#include "drivers/diagnose/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/diag_codes.h"

namespace npuport::diagnose {
namespace {

constexpr int kMostVotes = 9;       // per set, to settle a contradiction
constexpr int kRepeatsIfFlaky = 3;  // once a compiler was caught giving two answers

bool accepts(const CompileOutcome& o) { return o.verdict == CompileVerdict::accepted; }

// Crashes, hangs and missing files happen by accident, too: they have to happen twice.
bool erratic(CompileVerdict v) {
  return v == CompileVerdict::crashed || v == CompileVerdict::timed_out || v == CompileVerdict::no_output;
}

}  // namespace

Oracle::Oracle(const Order& order, GraphJudge judge, OracleOptions options)
    : order_(order), judge_(std::move(judge)), options_(options) {
  options_.jobs = std::max(1, options_.jobs);
  options_.repeats = std::clamp(options_.repeats, 1, kMostVotes);
}

bool Oracle::decided(const Entry& e) const {
  const int needed = std::max(options_.repeats, e.fail > 0 && erratic(e.failed.verdict) ? 2 : 1);
  return std::max(e.pass, e.fail) >= needed;
}

Status Oracle::again(std::span<const Set> sets) {
  NPU_TRY(vote(sets));
  for (const Set& s : sets) {
    std::vector<Set> one{s};
    while (!decided(entries_.at(s))) NPU_TRY(vote(one));
  }
  return settle_contradictions(sets);
}

Result<bool> Oracle::refused(const Set& s, bool infer) {
  NPU_ASSIGN(const std::vector<bool> r, refused(std::span(&s, 1), infer));
  return static_cast<bool>(r[0]);
}

std::optional<bool> Oracle::inferred(const Set& s) const {
  for (const auto& [known, e] : entries_) {
    if (!decided(e)) continue;
    if (!e.refused() && e.pass > 0 && is_subset(s, known)) return false;
    if (e.refused() && is_subset(known, s)) return true;
  }
  return std::nullopt;
}

Result<std::vector<bool>> Oracle::refused(std::span<const Set> sets, bool infer) {
  std::vector<std::optional<bool>> known(sets.size());
  std::vector<Set> open;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].empty()) {
      known[i] = false;
      continue;
    }
    if (const auto it = entries_.find(sets[i]); it != entries_.end() && decided(it->second)) continue;
    if (infer) known[i] = inferred(sets[i]);
    if (known[i]) {
      ++counts_.inferred;
      continue;
    }
    if (std::find(open.begin(), open.end(), sets[i]) == open.end()) open.push_back(sets[i]);
  }
  counts_.questions += open.size();
  const std::vector<Set> fresh = open;
  while (!open.empty()) {
    NPU_TRY(vote(open));
    std::erase_if(open, [&](const Set& s) { return decided(entries_.at(s)); });
  }
  NPU_TRY(settle_contradictions(fresh));
  std::vector<bool> out;
  for (size_t i = 0; i < sets.size(); ++i) out.push_back(known[i] ? *known[i] : entries_.at(sets[i]).refused());
  return out;
}

Result<bool> Oracle::refuses(const Graph& model) {
  NPU_ASSIGN(const CompileOutcome o, judge_(model, "probe", 0));
  ++(o.cached ? counts_.from_cache : counts_.compiles);
  return !accepts(o);
}

Result<CompileOutcome> Oracle::compile(const Set& s, size_t number) {
  NPU_ASSIGN(const Graph model, subgraph(order_, s));
  const auto it = entries_.find(s);
  const int attempt = it == entries_.end() ? 0 : it->second.pass + it->second.fail;
  return judge_(model, fmt::format("q{:05}", number), attempt);
}

Status Oracle::vote(std::span<const Set> sets) {
  std::vector<std::optional<Result<CompileOutcome>>> answers(sets.size());
  std::mutex lock;
  size_t next = 0, started = 0, cached = 0;
  const auto work = [&] {
    for (;;) {
      size_t mine = 0;
      {
        const std::lock_guard guard(lock);
        const bool stop = options_.cancel && options_.cancel->load();
        const bool spent = options_.max_compiles > 0 && counts_.compiles + started - cached >= options_.max_compiles;
        if (next >= sets.size() || stop || spent) return;
        mine = next++;
        ++started;
      }
      Result<CompileOutcome> r = compile(sets[mine], counts_.compiles + counts_.from_cache + mine);
      const std::lock_guard guard(lock);
      if (r && r->cached) ++cached;
      answers[mine] = std::move(r);
    }
  };
  std::vector<std::thread> helpers;
  const size_t threads = std::min(static_cast<size_t>(options_.jobs), sets.size());
  for (size_t t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
  for (std::thread& t : helpers) t.join();
  std::optional<Diag> error;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (!answers[i]) {
      if (error) continue;
      if (options_.cancel && options_.cancel->load()) {
        error = Diag(diag::interrupted, "the diagnosis was interrupted", "the same command goes on where it stopped");
      } else {
        exhausted_ = true;
        error = Diag(diag::tool_failed, fmt::format("the budget of {} compiles is used up", options_.max_compiles),
                     "--max-compiles gives more; the same command goes on where it stopped");
      }
      continue;
    }
    if (!*answers[i]) {
      error = std::move(answers[i]->error());
      continue;
    }
    CompileOutcome& o = **answers[i];
    if (o.verdict == CompileVerdict::skipped) {
      error = Diag(diag::tool_missing, o.reason.empty() ? "the compiler is not here" : o.reason);
      continue;
    }
    enter(sets[i], std::move(o));
  }
  return error ? Status(std::move(*error)) : Status();
}

void Oracle::enter(const Set& s, CompileOutcome outcome) {
  ++(outcome.cached ? counts_.from_cache : counts_.compiles);
  if (!outcome.cached) counts_.compile_seconds += outcome.seconds;
  Entry& e = entries_[s];
  const bool was_mixed = e.mixed(), was_decided = decided(e), was_refused = e.refused();
  ++(accepts(outcome) ? e.pass : e.fail);
  (accepts(outcome) ? e.passed : e.failed) = std::move(outcome);
  if (was_decided && was_refused != e.refused()) ++revision_;
  if (!e.mixed() || was_mixed) return;
  // Caught giving two answers: from now on one is not enough.
  ++counts_.flaky;
  if (options_.repeats < kRepeatsIfFlaky) {
    options_.repeats = kRepeatsIfFlaky;
    ++revision_;
  }
}

Status Oracle::settle_contradictions(std::span<const Set> fresh) {
  for (const Set& s : fresh) {
    const Entry& mine = entries_.at(s);
    if (mine.only_cut_out) continue;
    std::vector<Set> against;
    for (const auto& [other, e] : entries_) {
      if (!decided(e) || e.refused() == mine.refused() || other == s) continue;
      if (e.only_cut_out) continue;
      if (mine.refused() ? is_subset(s, other) : is_subset(other, s)) against.push_back(other);
    }
    for (const Set& other : against) {
      const bool s_refused = entries_.at(s).refused();
      if (entries_.at(other).refused() == s_refused) continue;
      NPU_TRY(s_refused ? settle(s, other) : settle(other, s));
    }
  }
  return {};
}

Status Oracle::settle(const Set& inner, const Set& outer) {
  const auto contradict = [&] { return entries_.at(inner).refused() && !entries_.at(outer).refused(); };
  for (int asked = 0; contradict();) {
    const Entry &in = entries_.at(inner), &out = entries_.at(outer);
    const bool unanimous = !in.mixed() && !out.mixed();
    const int needed = unanimous ? 3 : kMostVotes;
    std::vector<Set> again;
    if (in.pass + in.fail < needed) again.push_back(inner);
    if (out.pass + out.fail < needed) again.push_back(outer);
    if (again.empty() || ++asked > 2 * kMostVotes) break;
    NPU_TRY(vote(again));
  }
  if (!contradict()) return {};
  // Both verdicts hold: the piece is refused only because it was cut out.
  entries_.at(inner).only_cut_out = true;
  ++counts_.only_cut_out;
  ++revision_;
  return {};
}

const CompileOutcome* Oracle::outcome(const Set& s) const {
  const auto it = entries_.find(s);
  if (it == entries_.end() || it->second.pass + it->second.fail == 0) return nullptr;
  return it->second.fail > it->second.pass ? &it->second.failed : &it->second.passed;
}

std::vector<Set> Oracle::passing() const {
  std::vector<Set> out;
  for (const auto& [s, e] : entries_)
    if (decided(e) && e.pass > e.fail) out.push_back(s);
  return out;
}

}  // namespace npuport::diagnose
