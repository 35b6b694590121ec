#include "app/cmd_translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/latency.h"
#include "app/transcribe_baseline.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/npy.h"
#include "base/text.h"
#include "pipelines/marian/network.h"
#include "pipelines/marian/translate.h"
#include "runtime/npuport_runtime_host.h"

namespace npuport::app {
namespace {

constexpr uint64_t kLargestInput = uint64_t{64} << 20;

// Keeps what comes out of the network in the first sentence: the debug outputs of a port's engineer.
class Recorder : public marian::Network {
 public:
  explicit Recorder(marian::PartNetwork& network) : network_(network) {}

  Status encode(std::span<const int32_t> ids) override {
    NPU_TRY(network_.encode(ids));
    if (sentences_++ == 0) hidden_.assign(network_.hidden().begin(), network_.hidden().end());
    return {};
  }
  Result<std::span<const float>> step(size_t slot, int32_t token, size_t position) override {
    NPU_ASSIGN(const std::span<const float> out, network_.step(slot, token, position));
    if (sentences_ == 1) rows_.insert(rows_.end(), out.begin(), out.end());
    return out;
  }
  Status fork(size_t from, size_t to, size_t rows) override { return network_.fork(from, to, rows); }

  // encoder_output [1, S, d] and decoder_logits [1, steps, vocabulary].
  Status write(const std::string& folder, const marian::Rules& rules) const {
    if (rows_.empty()) return Diag(diag::bad_input_data, "no sentence was translated: no debug outputs");
    NPU_TRY(make_folders(folder));
    NPU_TRY(write_npy(folder + "/encoder_output.npy",
                      Tensor::of<float>({1, rules.source_tokens, rules.d_model}, std::span<const float>(hidden_))));
    const int64_t words = rules.target_vocabulary, steps = static_cast<int64_t>(rows_.size()) / words;
    return write_npy(folder + "/decoder_logits.npy",
                     Tensor::of<float>({1, steps, words}, std::span<const float>(rows_)));
  }

 private:
  marian::PartNetwork& network_;
  std::vector<float> hidden_, rows_;
  int sentences_ = 0;
};

Result<std::string> read_stdin() {
  std::string text(1 << 16, '\0');
  size_t size = 0;
  while (const size_t n = std::fread(text.data() + size, 1, text.size() - size, stdin)) {
    size += n;
    if (size > kLargestInput)
      return Diag(diag::too_large, fmt::format("the text is larger than {}", format_bytes(kLargestInput)),
                  "translate it in pieces");
    if (size == text.size()) text.resize(2 * size);
  }
  if (std::ferror(stdin)) return Diag(diag::not_readable, "standard input cannot be read");
  text.resize(size);
  return text;
}

// Lines without their ends (\n or \r\n); a line break at the very end begins no further line.
void add_lines(std::string_view text, std::vector<std::string>& out) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (const std::string_view line : split(text, '\n'))
    out.emplace_back(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
}

Result<std::vector<std::string>> read_lines(const std::string& path) {
  std::string text;
  if (path == "-") {
    NPU_ASSIGN(text, read_stdin());
  } else {
    NPU_ASSIGN(text, read_file(path, kLargestInput));
  }
  std::vector<std::string> out;
  if (!text.empty()) add_lines(text, out);
  return out;
}

Result<std::vector<std::string>> sentences_of(const TranslateArgs& args) {
  if (args.texts.empty() == args.input.empty())
    return Diag(diag::usage, args.input.empty() ? "nothing to translate" : "sentences and --input: give one of them",
                "npuport translate TEXT… --model OUT, or --input FILE (- is standard input)");
  if (!args.input.empty()) return read_lines(args.input);
  std::vector<std::string> out;
  for (const std::string& text : args.texts) add_lines(text, out);
  return out;
}

struct Translator {
  marian::Model model;
  marian::Tokenizer tokenizer;
  std::unique_ptr<marian::PartNetwork> network;
  double open_ms = 0;
};

Result<Translator> open_translator(const App& app, const TranslateArgs& args) {
  const auto start = Clock::now();
  npuport_runtime_host_register();
  rt::Options options;
  if (app.threads > 0) options.push_back({"threads", std::to_string(app.threads)});
  NPU_ASSIGN(marian::Model model, marian::open_port(args.model, args.backend, options));
  NPU_ASSIGN(marian::Tokenizer tokenizer,
             marian::Tokenizer::read(model.source_spm, model.target_spm, model.vocab, model.rules));
  NPU_ASSIGN(std::unique_ptr<marian::PartNetwork> network,
             marian::PartNetwork::open(model, static_cast<size_t>(args.beams)));
  return Translator{std::move(model), std::move(tokenizer), std::move(network), millis_since(start)};
}

struct Timing {
  std::vector<double> total, encoder, decoder;  // milliseconds
};

Json timing_json(const Timing& t, double open_ms) {
  return Json{{"open_ms", open_ms},
              {"sentence_ms", latency_json(t.total)},
              {"encoder_ms", latency_json(t.encoder)},
              {"decoder_step_ms", latency_json(t.decoder)},
              {"peak_memory_bytes", peak_memory_bytes()}};
}

std::string timing_text(const Json& j) {
  std::string out = fmt::format("  model opened in {:.1f} ms\n", j["open_ms"].get<double>());
  for (const char* what : {"sentence_ms", "encoder_ms", "decoder_step_ms"}) out += latency_line(what, j[what], 16);
  return out + "  peak memory " + format_bytes(j["peak_memory_bytes"].get<uint64_t>()) + "\n";
}

// One sentence, `repeat` times; adds its times to `all`.
Result<Json> translate_line(const TranslateArgs& args, Translator& t, marian::Network& network,
                            const std::string& sentence, Timing& all) {
  Timing own;
  marian::Translation result;
  t.network->clear_times();
  for (int i = 0; i < std::max(1, args.benchmark); ++i) {
    const auto start = Clock::now();
    NPU_ASSIGN(result,
               marian::translate(network, t.tokenizer, t.model.rules, sentence, static_cast<size_t>(args.beams)));
    own.total.push_back(millis_since(start));
  }
  own.encoder = t.network->times().encoder_ms;
  own.decoder = t.network->times().decoder_ms;
  const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(all.total, own.total);
  append(all.encoder, own.encoder);
  append(all.decoder, own.decoder);
  Json j{{"source", sentence},
         {"text", result.text},
         {"tokens", result.best.tokens},
         {"source_tokens", result.source_tokens.size()},
         {"score", result.best.score},
         {"truncated", result.best.truncated},
         {"seconds", percentile(own.total, 0.5) / 1000},
         {"beams", args.beams},
         {"backend", t.network->backend()}};
  if (args.benchmark > 0) j["benchmark"] = timing_json(own, t.open_ms);
  return j;
}

// "sentence 3 (The house is …)".
std::string place_of(size_t number, const std::string& sentence) {
  constexpr size_t shown = 40;
  std::string start = sentence.substr(0, shown);
  while (sentence.size() > shown && !start.empty() && (sentence[start.size()] & 0xc0) == 0x80) start.pop_back();
  return fmt::format("sentence {} ({}{})", number, escape_terminal(start), sentence.size() > shown ? "…" : "");
}

void warn_truncated(const App& app, const std::string& place, size_t tokens) {
  Diag d(diag::unverified,
         fmt::format("{}: the translation was cut after {} tokens, the most this port writes", place, tokens),
         "break the sentence into shorter ones, or trace the model with a larger --set max_tokens=N");
  d.severity = Severity::warning;
  app.warn(d);
}

// All sentences: out.json, out.text and the worst exit code; the error itself when there was only one sentence.
Status translate_all(const App& app, const TranslateArgs& args, const std::vector<std::string>& sentences,
                     const std::vector<std::string>& expected, Translator& t, marian::Network& network, Timing& timing,
                     Outcome& out) {
  Progress progress("translating", app.quiet);
  for (size_t i = 0; i < sentences.size(); ++i) {
    progress.update(static_cast<double>(i) / static_cast<double>(sentences.size()), {});
    const std::string place = place_of(i + 1, sentences[i]);
    Result<Json> result = translate_line(args, t, network, sentences[i], timing);
    if (!result) {
      Diag d = std::move(result.error());
      d.message = place + ": " + d.message;
      if (sentences.size() == 1) return d;
      // The other sentences are translated all the same; the exit code tells the worst.
      progress.clear();
      app.warn(d);
      out.exit_code = std::max(out.exit_code, d.code ? d.code->exit_code : 4);
      out.json.push_back(Json{{"sentence", i + 1}, {"source", sentences[i]}, {"error", diag_json(d)}});
      out.text += "\n";
      continue;
    }
    Json row{{"sentence", i + 1}};
    row.update(*result);
    const auto tokens = row["tokens"].get<std::vector<int32_t>>();
    if (row["truncated"].get<bool>()) {
      progress.clear();
      warn_truncated(app, place, tokens.size());
    }
    if (!args.reference.empty())
      row["baseline"] = compare_with_baseline({expected[i], std::nullopt}, row["text"].get<std::string>(), tokens);
    out.text += row["text"].get<std::string>() + "\n";
    out.json.push_back(std::move(row));
  }
  return {};
}

void compare_all(Outcome& out) {
  const auto equal = static_cast<size_t>(std::count_if(out.json.begin(), out.json.end(), [](const Json& r) {
    return r.contains("baseline") && r["baseline"]["verdict"] == "PASS";
  }));
  out.text +=
      match_table(out.json, "sentence") + fmt::format("{} of {} texts equal the reference\n", equal, out.json.size());
  if (equal < out.json.size()) out.exit_code = std::max(out.exit_code, 1);
}

}  // namespace

CommandResult translate(const App& app, const TranslateArgs& args) {
  if (!args.debug_outputs.empty() && args.beams > 1)
    return Diag(diag::usage, "--debug-outputs records greedy decoding", "leave --beams out");
  NPU_ASSIGN(const std::vector<std::string> sentences, sentences_of(args));
  std::vector<std::string> expected;
  if (!args.reference.empty()) {
    NPU_ASSIGN(expected, read_lines(args.reference));
    if (expected.size() != sentences.size())
      return std::move(Diag(diag::bad_input_data, fmt::format("holds {} lines, there are {} sentences to translate",
                                                              expected.size(), sentences.size()))
                           .in_file(args.reference));
  }
  NPU_ASSIGN(Translator t, open_translator(app, args));
  Recorder recorder(*t.network);
  marian::Network& network = args.debug_outputs.empty() ? static_cast<marian::Network&>(*t.network) : recorder;
  Outcome out;
  out.json = Json::array();
  Timing timing;
  NPU_TRY(translate_all(app, args, sentences, expected, t, network, timing, out));
  if (!args.debug_outputs.empty()) NPU_TRY(recorder.write(args.debug_outputs, t.model.rules));
  if (args.benchmark > 0) out.text += timing_text(timing_json(timing, t.open_ms));
  if (!args.reference.empty()) compare_all(out);
  return out;
}

}  // namespace npuport::app
