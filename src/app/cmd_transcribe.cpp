#include "app/cmd_transcribe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <thread>

#include "app/latency.h"
#include "app/transcribe_baseline.h"
#include "app/transcribe_debug.h"
#include "base/atomic_file.h"
#include "base/diag_codes.h"
#include "base/npy.h"
#include "base/text.h"
#include "pipelines/whisper/format.h"
#include "pipelines/whisper/network.h"
#include "runtime/npuport_runtime_host.h"

namespace npuport::app {
namespace {

namespace fs = std::filesystem;

struct Speech {
  whisper::Model model;
  whisper::Vocabulary vocabulary;
  std::unique_ptr<whisper::PartNetwork> network;
  double open_ms = 0;
};

Status apply_options(const TranscribeArgs& args, whisper::Rules& rules) {
  if (args.language == "auto") {
    rules.language.clear();
  } else if (!args.language.empty()) {
    NPU_ASSIGN(rules.language, whisper::parse_language(args.language, rules));
  }
  if (args.task == "translate" && !rules.special.multilingual)
    return Diag(diag::usage, "this model knows English only: there is nothing to translate");
  rules.task = args.task;
  if (!args.timestamps.empty()) {
    rules.timestamps = args.timestamps == "on";
    rules.padding = rules.timestamps ? whisper::Padding::zero : whisper::Padding::silence;
  }
  for (const double t : args.temperatures)
    if (!(t >= 0 && t <= 100)) return Diag(diag::usage, "--temperature must be from 0 to 100");
  if (!args.temperatures.empty()) rules.temperatures = args.temperatures;
  return {};
}

Result<Speech> open_speech(const App& app, const TranscribeArgs& args) {
  const auto start = Clock::now();
  npuport_runtime_host_register();
  rt::Options options;
  if (app.threads > 0) options.push_back({"threads", std::to_string(app.threads)});
  NPU_ASSIGN(whisper::Model model, whisper::open_port(args.model, args.backend, options, args.vocabulary));
  NPU_TRY(apply_options(args, model.rules));
  NPU_ASSIGN(whisper::Vocabulary vocabulary, whisper::Vocabulary::read(model.vocabulary, model.rules.special));
  const whisper::Loop loop = args.decoder == "full" ? whisper::Loop::full
                             : args.decoder == "kv" ? whisper::Loop::kv
                                                    : whisper::Loop::automatic;
  NPU_ASSIGN(std::unique_ptr<whisper::PartNetwork> network, whisper::PartNetwork::open(model, loop));
  return Speech{std::move(model), std::move(vocabulary), std::move(network), millis_since(start)};
}

struct Timing {
  std::vector<double> total, mel, encoder, decoder;  // milliseconds
};

Json timing_json(const Timing& t, const Speech& s, double seconds) {
  const auto runs = static_cast<double>(std::max<size_t>(1, t.total.size()));
  return Json{{"machine", machine_name()},
              {"decoder_ms", std::accumulate(t.decoder.begin(), t.decoder.end(), 0.0) / runs},
              {"open_ms", s.open_ms},
              {"total_ms", latency_json(t.total)},
              {"mel_ms", latency_json(t.mel)},
              {"encoder_ms", latency_json(t.encoder)},
              {"decoder_step_ms", latency_json(t.decoder)},
              {"real_time_factor", seconds > 0 ? percentile(t.total, 0.5) / 1000 / seconds : 0},
              {"peak_memory_bytes", peak_memory_bytes()}};
}

std::string timing_text(const Json& j) {
  std::string out = fmt::format("  model opened in {:.1f} ms\n", j["open_ms"].get<double>());
  for (const char* what : {"total_ms", "mel_ms", "encoder_ms", "decoder_step_ms"})
    out += latency_line(what, j[what], 16);
  return out + fmt::format("  real-time factor {:.4f}, peak memory {}\n", j["real_time_factor"].get<double>(),
                           format_bytes(j["peak_memory_bytes"].get<uint64_t>()));
}

// Seconds of each sound: encoder, decoder, everything (S1-21).
std::string time_table(const Json& rows) {
  std::string out = fmt::format("{:<24} {:>9} {:>9} {:>9}\n", "seconds", "encoder", "decoder", "total"), machine;
  for (const Json& r : rows) {
    if (!r.contains("benchmark")) continue;
    const Json& b = r["benchmark"];
    machine = b["machine"].get<std::string>();
    const std::string stem = fs::path(r["file"].get<std::string>()).stem().string();
    out += fmt::format("{:<24} {:>9.3f} {:>9.3f} {:>9.3f}\n", escape_terminal(stem),
                       b["encoder_ms"]["p50"].get<double>() / 1000, b["decoder_ms"].get<double>() / 1000,
                       b["total_ms"]["p50"].get<double>() / 1000);
  }
  return out + "on " + machine + "\n";
}

// One sound, `repeat` times; the JSON object of the result.
Result<Json> transcribe_file(const App& app, const TranscribeArgs& args, Speech& s, const std::string& file,
                             whisper::Transcript& transcript) {
  Progress progress("transcribing", app.quiet);
  Timing timing;
  Json compared;
  const int threads =
      app.threads > 0 ? app.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  s.network->clear_times();
  for (int i = 0; i < std::max(1, args.benchmark); ++i) {
    const auto start = Clock::now();
    NPU_ASSIGN(whisper::MelWindows mel, whisper::MelWindows::open([&] { return whisper::open_sound(file); },
                                                                  static_cast<size_t>(s.model.rules.n_mels), threads));
    timing.mel.push_back(millis_since(start));
    Recorder recorder(*s.network);
    const bool record = !args.debug_outputs.empty() || !args.compare_debug.empty();
    whisper::Network& network = record ? recorder : static_cast<whisper::Network&>(*s.network);
    auto result = whisper::transcribe(network, mel, s.model.rules, s.vocabulary,
                                      [&](double share) { progress.update(share, file); });
    if (!result) return std::move(result.error().in_file(file));
    transcript = std::move(*result);
    timing.total.push_back(millis_since(start));
    if (i == 0 && !args.debug_outputs.empty()) {
      const std::string folder = args.audio.size() == 1
                                     ? args.debug_outputs
                                     : args.debug_outputs + "/" + safe_file_name(fs::path(file).stem().string());
      NPU_TRY(recorder.write(folder, s.model.rules));
    }
    if (i == 0 && !args.compare_debug.empty()) {
      NPU_ASSIGN(compared, recorder.compare(args.compare_debug, s.model.rules));
    }
  }
  timing.encoder = s.network->times().encoder_ms;
  timing.decoder = s.network->times().decoder_ms;
  Json j{{"file", file}};
  j.update(whisper::to_json(transcript));
  if (!compared.is_null()) j["debug"] = std::move(compared);
  j["real_time_factor"] = transcript.seconds > 0 ? percentile(timing.total, 0.5) / 1000 / transcript.seconds : 0;
  j["backend"] = s.network->backend();
  j["decoder"] = s.network->loop() == whisper::Loop::kv ? "kv" : "full";
  if (args.benchmark > 0) j["benchmark"] = timing_json(timing, s, transcript.seconds);
  return j;
}

std::string in_format(const TranscribeArgs& args, const whisper::Transcript& t, const Json& j) {
  if (args.format == "srt") return whisper::to_srt(t);
  if (args.format == "vtt") return whisper::to_vtt(t);
  if (args.format == "json") return dump_json(j);
  return t.text + "\n";
}

Status check_arguments(const TranscribeArgs& args) {
  if (!args.compare_debug.empty() && args.audio.size() > 1)
    return Diag(diag::usage, "--compare-debug takes the debug outputs of one sound", "give one sound");
  if (args.output.empty()) {
    if (args.audio.size() > 1 && (args.format == "srt" || args.format == "vtt"))
      return Diag(diag::usage, "several sounds give several subtitle files", "name a folder for them with -o");
    return {};
  }
  std::set<std::string> names;
  for (const std::string& file : args.audio)
    if (!names.insert(fs::path(file).stem().string()).second)
      return Diag(diag::usage, "two sounds are named '" + fs::path(file).stem().string() +
                                   "': one result would replace "
                                   "the other");
  return make_folders(args.output);
}

Status write_result(const TranscribeArgs& args, const std::string& text, const Json& j) {
  const std::string stem = safe_file_name(fs::path(j["file"].get<std::string>()).stem().string());
  const std::string extension = args.format == "text" ? "txt" : args.format;
  NPU_TRY(write_file(args.output + "/" + stem + "." + extension, text));
  if (args.baseline.empty()) return {};
  return write_file(args.output + "/port_" + stem + ".json", dump_json(j));
}

// What goes to stdout for people.
void say(const TranscribeArgs& args, const std::string& text, const Json& j, Outcome& out) {
  if (args.output.empty() && args.format != "json") {
    if (args.audio.size() > 1) out.text += escape_terminal(j["file"].get<std::string>()) + ": ";
    out.text += text;
  }
  if (j.contains("benchmark") && args.format != "json") out.text += timing_text(j["benchmark"]);
  if (j.contains("debug") && args.format != "json") out.text += debug_text(j["debug"]);
}

}  // namespace

CommandResult transcribe(const App& app, const TranscribeArgs& args) {
  NPU_TRY(check_arguments(args));
  std::map<std::string, BaselineText> baseline;
  if (!args.baseline.empty()) {
    NPU_ASSIGN(baseline, read_baseline_texts(args.baseline));
  }
  NPU_ASSIGN(Speech speech, open_speech(app, args));
  Outcome out;
  out.json = Json::array();
  size_t compared = 0, equal = 0;
  std::optional<Diag> only;
  for (const std::string& file : args.audio) {
    whisper::Transcript transcript;
    Result<Json> result = transcribe_file(app, args, speech, file, transcript);
    if (!result) {
      // The other sounds are transcribed all the same; the exit code tells the worst.
      only = result.error();
      if (args.audio.size() > 1) app.warn(result.error());
      out.exit_code = std::max(out.exit_code, result.error().code ? result.error().code->exit_code : 4);
      out.json.push_back(Json{{"file", file}, {"error", diag_json(result.error())}});
      continue;
    }
    if (const auto b = baseline.find(fs::path(file).stem().string()); b != baseline.end()) {
      (*result)["baseline"] = compare_with_baseline(b->second, transcript.text, transcript.tokens);
      ++compared;
      if ((*result)["baseline"]["verdict"] == "PASS") ++equal;
    }
    const std::string text = in_format(args, transcript, *result);
    if (!args.output.empty()) NPU_TRY(write_result(args, text, *result));
    say(args, text, *result, out);
    if (result->contains("debug") && (*result)["debug"]["verdict"] != "PASS")
      out.exit_code = std::max(out.exit_code, 1);
    out.json.push_back(std::move(*result));
  }
  if (args.audio.size() == 1 && only) return *only;
  if (args.benchmark > 0 && args.format != "json") out.text += time_table(out.json);
  if (args.format == "json" && args.output.empty()) out.text = dump_json(out.json);
  if (!args.baseline.empty()) {
    out.text += match_table(out.json) + fmt::format("{} of {} texts equal the baseline\n", equal, args.audio.size());
    if (!args.output.empty())
      NPU_TRY(write_file(args.output + "/port_summary.json", dump_json(Json{{"version", 1},
                                                                            {"model", speech.model.name},
                                                                            {"sounds", args.audio.size()},
                                                                            {"compared", compared},
                                                                            {"equal", equal},
                                                                            {"results", out.json}})));
    if (equal < args.audio.size()) out.exit_code = std::max(out.exit_code, 1);
  }
  return out;
}

}  // namespace npuport::app
