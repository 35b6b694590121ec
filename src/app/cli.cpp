#include "app/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/cmd_diagnose.h"
#include "app/cmd_transcribe.h"
#ifdef NPUPORT_TRANSLATE
#include "app/cmd_translate.h"
#endif
#include "app/commands.h"
#include "app/completion.h"
#include "base/diag_codes.h"
#include "base/mapped_file.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "ops/manifest.h"
#include "runtime/npuport_runtime_host.h"
#include "target/target.h"

namespace npuport::app {
namespace {

// Removes nothing and prints nothing itself: atomic outputs vanish with the process, and 130 is what shells expect.
extern "C" void on_interrupt(int) {
  kill_children();
  std::_Exit(130);
}

void add_model_options(CLI::App* c, ModelOptions& o) {
  c->add_option("--samples", o.samples, "sample .npz files, folders or patterns; the first gives the input shapes too");
  c->add_option("--shape", o.shapes, "NAME=1x3x64x64[:float32] for an input whose shape the file does not fix");
  c->add_option("--entry", o.entry, "TorchScript method or TFLite signature")->default_str("forward");
  c->add_option("--part", o.part, "part of a port's output folder");
  c->add_flag("--raw", o.raw, "ignore the npuport.io metadata: use the file's own inputs and outputs");
}

constexpr const char* kRewritesHelp = "TOML file with rewrites of your own, proven like the built-in ones";

struct Arguments {
  App app;
  std::vector<std::string> tool_options;
  InspectArgs inspect;
  RunArgs run;
  ConvertArgs convert;
  VerifyArgs verify;
  std::string gate = "general";
  double peak = 0;
  AnalyzeArgs analyze;
  TargetsArgs targets;
  LessonsArgs lessons;
  CompileArgs compile;
  TraceArgs trace;
  PortArgs port;
  UpscaleArgs upscale;
  int overlap = -1;
  TranscribeArgs transcribe;
#ifdef NPUPORT_TRANSLATE
  TranslateArgs translate;
#endif
  std::string shell;
  DiagnoseArgs diagnose;
};

void add_inspect(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("inspect", "what a file is: format, inputs, operators, parameters, size");
  c->add_option("FILE", a.inspect.files, "files to look at")->required();
  c->footer(
      "Executes nothing from a pickle.\nExamples:\n  npuport inspect model.pt\n  npuport --json inspect "
      "checkpoint.pth");
  c->callback([&] { action = [&] { return inspect(a.app, a.inspect); }; });
}

void add_run(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("run", "execute a model, a port's output folder or its metadata on samples");
  c->add_option("MODEL", a.run.model, "model file, output folder of `port`, or *_metadata.json")->required();
  c->add_option("-o,--output", a.run.output, "results as .npz (out.0, out.1, …)");
  c->add_option("--input", a.run.inputs, "NAME=FILE.npy, instead of --samples");
  c->add_flag("--profile", a.run.profile, "time per operator");
  c->add_flag("--reference", a.run.reference, "reference kernels only");
  c->add_option("--dump", a.run.dump, "inner values to add to the results by name, or 'all'");
  add_model_options(c, a.run.options);
  c->footer(
      "Examples:\n  npuport run model.pt --samples s.npz -o r.npz\n  npuport run out/ --part encoder --samples clips/ "
      "--profile");
  c->callback([&] { action = [&] { return run_model(a.app, a.run); }; });
}

void add_convert(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("convert", "one conversion, without the proofs of `port`");
  c->add_option("MODEL", a.convert.model, "model file")->required();
  c->add_option("-o,--output", a.convert.output,
                "output file: .tflite, .onnx, .pt (TorchScript for PyTorch >= 1.8), or .txt for IR text (constants in "
                "OUTPUT.npz)")
      ->required();
  c->add_option("--target", a.convert.target, "also rewrite for this target")
      ->default_str("generic-tflite, generic-onnx for .onnx");
  c->add_option("--opset", a.convert.opset, "ONNX opset to try first, 11 to 17 (default: the target's)");
  c->add_option("--io-layout", a.convert.io_layout,
                "nchw keeps the model's own borders, nhwc turns 4-D inputs and outputs")
      ->check(CLI::IsMember({"nchw", "nhwc"}))
      ->default_str("nchw");
  c->add_flag("--float16", a.convert.float16, "store weights as float16");
  c->add_flag("--split-host", a.convert.split_host, "move what the target cannot run to host steps beside the file");
  c->add_flag("--allow-approximate", a.convert.allow_approximate, "allow rewrites of class approximate");
  c->add_flag("--assume-int32", a.convert.assume_int32, "take int64 values of unknown range to fit int32");
  c->add_option("--rewrites", a.convert.rewrites, kRewritesHelp);
  add_model_options(c, a.convert.options);
  c->footer(
      "Examples:\n  npuport convert model.pt -o model.tflite --samples s.npz\n  npuport convert model.pt -o "
      "model.tflite --samples s.npz --target mt8371 --io-layout nhwc\n  npuport convert model.pt -o model.onnx "
      "--samples "
      "s.npz --opset 13");
  c->callback([&] { action = [&] { return convert(a.app, a.convert); }; });
}

void add_verify(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("verify", "compare two models, or a model and saved outputs");
  c->add_option("A", a.verify.a, "model under test")->required();
  c->add_option("B", a.verify.b, "reference: a model, or .npz with out.0, …; default: the baselines in the samples");
  c->add_option("--gate", a.gate, "general, image, mask or text")
      ->check(CLI::IsMember({"general", "image", "mask", "text"}))
      ->default_str("general");
  c->add_option("--max-diff", a.verify.gate.max_diff, "general gate: largest difference allowed (exclusive)")
      ->default_str("1e-3");
  c->add_option("--peak", a.peak, "image gate: peak value of both sides");
  c->add_option("--threshold", a.verify.gate.threshold, "mask gate: the model's threshold");
  c->add_flag("--bisect", a.verify.bisect, "on failure find the first deviating node");
  c->add_option("--layers", a.verify.layers,
                "saved inner values (`trace --layers`): each is compared, and the first that deviates is named");
  add_model_options(c, a.verify.options);
  c->footer(
      "Exit code 0 = PASS, 1 = FAIL or UNVERIFIED.\nExamples:\n  npuport verify model.tflite model.pt --samples "
      "s.npz\n  npuport verify model.pt --samples s.npz --bisect --layers layers.npz");
  c->callback([&] {
    action = [&]() -> CommandResult {
      NPU_ASSIGN(a.verify.gate.kind, parse_gate_kind(a.gate));
      if (a.peak > 0) a.verify.gate.peak = a.peak;
      return verify_models(a.app, a.verify);
    };
  });
}

void add_analyze(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c =
      root.add_subcommand("analyze", "each operator against a target: ok, rewritten how, or impossible and why");
  c->add_option("MODEL", a.analyze.model, "model file")->required();
  c->add_option("--target", a.analyze.target, "target name or TOML file")->required();
  c->add_option("-o,--output", a.analyze.output, "folder for operator_analysis.md and .json");
  c->add_option("--rewrites", a.analyze.rewrites, kRewritesHelp);
  add_model_options(c, a.analyze.options);
  c->footer(
      "Examples:\n  npuport analyze model.pt --target mt8371 --samples s.npz\n  npuport analyze model.tflite --target "
      "mt6991 -o out/");
  c->callback([&] { action = [&] { return analyze(a.app, a.analyze); }; });
}

void add_targets(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("targets", "known targets, or everything known about one");
  c->add_option("NAME", a.targets.name, "target name or TOML file");
  c->footer("Examples:\n  npuport targets\n  npuport targets mt8371\n  npuport --json targets my-board.toml");
  c->callback([&] { action = [&] { return targets(a.app, a.targets); }; });
}

void add_lessons(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("lessons", "what plans, reports and messages cite: situation, cause, what to do");
  c->add_option("ID", a.lessons.id, "one of them, as cited: NPU-E01");
  c->footer("Examples:\n  npuport lessons\n  npuport lessons NPU-E01\n  npuport --json lessons");
  c->callback([&] { action = [&] { return lessons(a.app, a.lessons); }; });
}

void add_upscale(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("upscale", "enlarge pictures with a ported super-resolution network");
  c->add_option("PICTURE", a.upscale.pictures, "PNG or JPEG files")->required();
  c->add_option("--model", a.upscale.model, "output folder of `port`, or its *_metadata.json")->required();
  c->add_option("-o,--output", a.upscale.output, "picture (.png, .jpg) or folder; default: PICTURE_x2.png beside it");
  c->add_option("--part", a.upscale.part, "part of a port with several");
  c->add_option("--backend", a.upscale.backend, "host, litert, neuron or ascend; default: by the file");
  c->add_option("--overlap", a.overlap, "pixels of context around each tile (default: what the network sees)")
      ->check(CLI::Range(0, 4096));
  c->add_option("--reference", a.upscale.reference, "picture to compare the result with: PSNR and SSIM");
  c->add_option("--border", a.upscale.border, "pixels left out of the comparison at each edge")
      ->check(CLI::Range(0, 4096));
  c->add_flag("--gate", a.upscale.gate, "exit code 1 unless PSNR against --reference is above 40 dB");
  c->add_option("--quality", a.upscale.quality, "of JPEG results")->check(CLI::Range(1, 100))->default_str("95");
  c->add_option("--benchmark", a.upscale.benchmark, "repeat N times and print latencies and peak memory")
      ->check(CLI::Range(1, 100000));
  c->footer(
      "Pictures larger than the network's input go in tiles without seams.\nExamples:\n  npuport upscale photo.png "
      "--model out/edsr-nano\n  npuport upscale small.png --model out/edsr-nano -o large.png --reference pytorch.png "
      "--gate");
  c->callback([&] {
    action = [&] {
      if (a.overlap >= 0) a.upscale.overlap = a.overlap;
      return upscale(a.app, a.upscale);
    };
  });
}

// Vendor operators (MTKEXT_*) would make smaller graphs; nobody outside knows how their options are stored.
void add_vendor_ops(CLI::App* c) {
  c->add_option_function<std::string>(
       "--vendor-ops",
       [](const std::string& value) {
         if (value == "off") return;
         throw CLI::ValidationError(
             value == "on" ? "--vendor-ops on: the option keys of MTKEXT_* operators are not public, so npuport "
                             "does not write them; builtin operators only"
                           : "--vendor-ops is on or off");
       },
       "off: builtin operators only (on is refused: the vendor's option keys are not public)")
      ->default_str("off");
}

void add_compile(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("compile", "one vendor compiler run, judged by artefact, log and exit code");
  c->add_option("FILE", a.compile.file, "model file in the format the compiler reads")->required();
  c->add_option("--target", a.compile.target, "target name or TOML file")->required();
  c->add_option("-o,--output", a.compile.output, "folder for artefact, log and cache (default: here)");
  c->add_flag("--dry-run", a.compile.dry_run, "print the exact commands, run nothing");
  c->add_option("--bundle", a.compile.bundle, "new folder with model, hashes and a script, to compile elsewhere");
  c->add_option("--profile", a.compile.profile, "named set of flags (`npuport targets NAME` explains them)");
  c->add_option("--compiler-arg", a.compile.extra,
                "arguments for the compiler, split like a shell does, run without one")
      ->take_all()
      ->allow_extra_args(false);
  c->add_option("--drop-arg", a.compile.drop, "a default argument not to give")->allow_extra_args(false);
  c->add_option("--set", a.compile.settings, "KEY=VALUE for the driver (precision_mode, accelerator …)")
      ->allow_extra_args(false);
  c->add_option("--driver", a.compile.driver, "driver instead of the target's");
  c->add_option("--timeout", a.compile.timeout, "seconds, then the compiler and its children are stopped")
      ->check(CLI::Range(0.1, 1e7))
      ->default_str("600");
  c->add_option("--memory-limit", a.compile.memory_mb, "address space of the compiler in MiB");
  c->add_option("--cache", a.compile.cache, "folder of known results (default: OUT/.npuport/cache)");
  c->add_flag("--no-cache", a.compile.no_cache, "compile again whatever is known");
  add_vendor_ops(c);
  c->footer(
      "Exit code 0 = accepted, 1 = refused, crashed, timed out, no output or misplaced, 3 = the tool is not "
      "here.\nExamples:\n"
      "  npuport --tool ncc-tflite=/sdk/host/bin/ncc-tflite compile model.tflite --target mt8371 -o out/\n  npuport "
      "compile "
      "model.tflite --target mt8371 --dry-run\n  npuport compile model_int8.tflite --target ethos-u55-128 -o out/\n  "
      "npuport "
      "compile model.tflite --target mt8371 --compiler-arg=--fc-to-conv --bundle take-away/");
  c->callback([&] { action = [&] { return compile_model(a.app, a.compile); }; });
}

void add_doctor(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("doctor", "which compilers and runtimes this machine has");
  c->footer("Examples:\n  npuport doctor\n  npuport --tool ncc-tflite=/sdk/host/bin/ncc-tflite doctor");
  c->callback([&] { action = [&] { return doctor(a.app); }; });
}

void add_trace(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("trace", "checkpoint → TorchScript, samples and baseline, by the Python helper");
  c->callback([&] { action = [&] { return trace(a.app, a.trace); }; });
}

void add_diagnose(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand(
      "diagnose", "divide and conquer on a model a compiler refuses: culprits, cures, a model it takes");
  DiagnoseArgs& d = a.diagnose;
  c->add_option("MODEL", d.model, "model file")->required();
  c->add_option("--target", d.target, "target name or TOML file")->required();
  c->add_option("-o,--output", d.output, "output folder; everything goes to OUTPUT/diagnose")->required();
  c->add_option("--compiler", d.compiler, "any command: 'mycc {input} -o {output}'; default: the target's compiler");
  c->add_option("--compiler-arg", d.extra, "one more argument for the compiler");
  c->add_option("--cut", d.cuts, "names of values after which to cut, beside the narrow points");
  c->add_option("--range", d.ranges,
                "NAME=LOW:HIGH, what an input can hold; without a point or exponent: whole numbers only");
  c->add_option("--max-compiles", d.max_compiles, "stop after so many compiler runs (0: no limit)")->default_str("0");
  c->add_option("--repeats", d.repeats, "equal verdicts before one is believed")
      ->check(CLI::Range(1, 9))
      ->default_str("1");
  c->add_option("--rounds", d.rounds, "hunts, each after the cures of the one before")
      ->check(CLI::Range(1, 50))
      ->default_str("6");
  c->add_option("--timeout", d.timeout, "seconds a compile may take")->check(CLI::PositiveNumber)->default_str("600");
  c->add_option("--whitelist", d.whitelist,
                "file of operators seen to pass, read and extended; default: in the output folder");
  c->add_flag("--allow-approximate", d.allow_approximate, "allow rewrites of class approximate");
  c->add_flag("--no-host", d.no_host, "nothing moves to the host");
  c->add_flag("--no-cure", d.no_cure, "find the culprits only");
  add_model_options(c, d.options);
  c->footer(
      "Runs -j compilers at a time. Exit code 0: the compiler takes the model, cured or as it is; 1: it does "
      "not.\nExamples:\n  "
      "npuport -j 4 diagnose decoder.pt --target mt8371 --samples s/ -o out/\n  npuport diagnose decoder.tflite "
      "--target "
      "generic-tflite --compiler './cc.sh {input} {output}' --range labels=-1:3 -o out/");
  c->callback([&] { action = [&] { return diagnose(a.app, a.diagnose); }; });
}

void add_port(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("port", "the whole pipeline: import, analyse, rewrite, prove, write, report");
  c->add_option("MODEL", a.port.models, "model file, PART=FILE for several parts, or a port.toml")->required();
  c->add_option("--target", a.port.target, "target name or TOML file (port.toml may name it)");
  c->add_option("-o,--output", a.port.output, "output folder")->required();
  c->add_option("--samples", a.port.samples, "FILE|DIR, or PART=FILE|DIR");
  c->add_option("--shape", a.port.shapes, "NAME=1x3x64x64[:float32]");
  c->add_option("--name", a.port.name, "name of the model in file names");
  c->add_option("--gate", a.port.gate, "general, image, mask or text")
      ->check(CLI::IsMember({"general", "image", "mask", "text"}));
  c->add_option("--io-layout", a.port.io_layout, "nchw or nhwc (default: the target's)")
      ->check(CLI::IsMember({"nchw", "nhwc"}));
  c->add_flag("--strict", a.port.strict, "UNVERIFIED and SKIP end with exit code 1 too");
  c->add_flag("--allow-approximate", a.port.allow_approximate, "allow rewrites of class approximate");
  c->add_flag("--assume-int32", a.port.assume_int32, "take int64 values of unknown range to fit int32");
  c->add_option("--rewrites", a.port.rewrites, kRewritesHelp);
  c->add_flag("--float16", a.port.float16, "store weights as float16");
  c->add_option("--opset", a.port.opset, "ONNX opset to try first, 11 to 17 (default: the target's)");
  c->add_flag("--init", a.port.init, "write a port.toml into the output folder and stop");
  c->add_flag("--force", a.port.force, "do every step again");
  c->add_option("--bundle", a.port.bundle,
                "new folder with the written models, hashes and a script, to compile elsewhere");
  c->add_flag("--no-diagnose", a.port.no_diagnose, "do not look for the culprits when the compiler refuses");
  c->add_option("--compile-timeout", a.port.compile_timeout, "seconds for one run of the compiler")
      ->check(CLI::Range(0.1, 1e7))
      ->default_str("600");
  add_vendor_ops(c);
  c->footer(
      "Examples:\n  npuport port model.pt --target mt8371 --samples s.npz -o out/\n  npuport port "
      "demo/whisper-nano/port.toml -o out/\n  npuport port encoder=enc.pt decoder=dec.pt --samples "
      "encoder=enc_samples/ decoder=dec_samples/ --target mt8371 -o out/");
  c->callback([&] { action = [&] { return port(a.app, a.port); }; });
}

void add_transcribe(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("transcribe", "speech to text with a ported Whisper model");
  TranscribeArgs& t = a.transcribe;
  c->add_option("AUDIO", t.audio, "sound files: WAV, FLAC, OGG, MP3, any rate and channel count")->required();
  c->add_option("--model", t.model, "output folder of `port`, or its *_metadata.json")->required();
  c->add_option("--backend", t.backend, "host, litert, neuron or ascend; default: by the file");
  c->add_option("--language", t.language, "code or English name; auto = detect; default: the model's metadata");
  c->add_option("--task", t.task, "transcribe, or translate to English")
      ->check(CLI::IsMember({"transcribe", "translate"}))
      ->default_str("transcribe");
  c->add_option("--decoder", t.decoder, "full: all positions at every step; kv: one, from cached keys and values")
      ->check(CLI::IsMember({"auto", "full", "kv"}))
      ->default_str("auto");
  c->add_option("--format", t.format, "text, json, srt or vtt")
      ->check(CLI::IsMember({"text", "json", "srt", "vtt"}))
      ->default_str("text");
  c->add_option("-o,--output", t.output, "folder for one file per sound, instead of stdout");
  c->add_option("--timestamps", t.timestamps, "on or off; default: the model's metadata")
      ->check(CLI::IsMember({"on", "off"}));
  c->add_option("--temperature", t.temperatures, "0 = greedy; several are tried in turn; default: the metadata's");
  c->add_option("--vocab", t.vocabulary, "tiktoken rank file, for a port that carries none");
  c->add_option("--baseline", t.baseline,
                "transcripts to compare with: .json as this command or `trace` writes it, .tsv, or a folder of "
                "baseline_NAME.json; exit code 1 unless all texts are equal");
  c->add_option("--debug-outputs", t.debug_outputs,
                "folder for preprocessed_mel.npy, encoder_output.npy and decoder_logits.npy of the first window");
  c->add_option("--compare-debug", t.compare_debug,
                "folder with such files of another run, or of `port` (test/outputs/debug): names the first that "
                "differs; exit code 1 unless all agree");
  c->add_option("--benchmark", t.benchmark, "repeat N times and print latencies, real-time factor and peak memory")
      ->check(CLI::Range(1, 10000));
  c->footer(
      "Sounds longer than 30 s go in windows of 30 s. `--json` prints one array with an object per file.\nExamples:\n"
      "  npuport transcribe demo/whisper-nano/clip001.wav --model out/whisper-nano\n"
      "  npuport transcribe talk.mp3 --model out/whisper --timestamps on --format srt -o subtitles/\n"
      "  npuport --json transcribe *.wav --model out/whisper-nano --baseline out/whisper-nano/baseline");
  c->callback([&] { action = [&] { return transcribe(a.app, a.transcribe); }; });
}

#ifdef NPUPORT_TRANSLATE
void add_translate(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("translate", "text to another language with a ported Marian model");
  TranslateArgs& t = a.translate;
  c->add_option("TEXT", t.texts, "sentences; one with line breaks is several");
  c->add_option("--input", t.input, "text file (UTF-8), a sentence per line; - is standard input");
  c->add_option("--model", t.model, "output folder of `port`, or its *_metadata.json")->required();
  c->add_option("--backend", t.backend, "host, litert, neuron or ascend; default: by the file");
  c->add_option("--beams", t.beams, "translations kept side by side; 1 = greedy")
      ->check(CLI::Range(1, 64))
      ->default_str("1");
  c->add_option("--reference", t.reference, "expected translations, one per line; exit code 1 unless all are equal");
  c->add_option("--debug-outputs,--debug", t.debug_outputs,
                "folder for encoder_output.npy and decoder_logits.npy of the first sentence");
  c->add_option("--benchmark", t.benchmark, "repeat N times and print latencies and peak memory")
      ->check(CLI::Range(1, 10000));
  c->footer(
      "A leading >>code<< chooses the language of models that know several. An empty line gives an empty line. "
      "`--json` "
      "prints one array with an object per sentence.\nExamples:\n  npuport translate \"a small house\" --model "
      "out/marian-nano\n  npuport translate --input letter.txt --model out/opus-mt --beams 4\n  npuport --json "
      "translate "
      "--input - --model out/opus-mt --backend litert <letter.txt");
  c->callback([&] { action = [&] { return translate(a.app, a.translate); }; });
}
#endif

// What CLI11 knows of an option; --help comes by itself.
std::vector<CompletionOption> completion_options(const CLI::App& app) {
  std::vector<CompletionOption> out;
  for (const CLI::Option* o : app.get_options()) {
    if (o->get_snames().empty() && o->get_lnames().empty()) continue;  // positional
    CompletionOption c;
    for (const std::string& n : o->get_snames()) c.names.push_back("-" + n);
    for (const std::string& n : o->get_lnames()) c.names.push_back("--" + n);
    c.description = o->get_description();
    c.takes_value = o->get_items_expected_max() > 0;  // flags expect none
    const std::string type = o->get_type_name();      // "TEXT:{nchw,nhwc}" where the choices are known
    if (const size_t open = type.find('{'), close = type.find('}', open); open < close && close != std::string::npos)
      for (const std::string_view choice : split(std::string_view(type).substr(open + 1, close - open - 1), ','))
        c.choices.emplace_back(trim(choice));
    if (o->check_lname("target")) c.choices = builtin_targets();
    out.push_back(std::move(c));
  }
  return out;
}

void add_completion(CLI::App& root, Arguments& a, std::function<CommandResult()>& action) {
  CLI::App* c = root.add_subcommand("completion", "shell completion for bash, zsh or fish");
  c->add_option("SHELL", a.shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  c->footer(
      "Examples:\n  source <(npuport completion bash)\n  npuport completion fish > "
      "~/.config/fish/completions/npuport.fish");
  c->callback([&] {
    action = [&]() -> CommandResult {
      std::vector<CompletionVerb> verbs;
      for (const CLI::App* v : root.get_subcommands({}))
        verbs.push_back({v->get_name(), v->get_description(), completion_options(*v)});
      Outcome o;
      NPU_ASSIGN(o.text, completion_script(a.shell, verbs, completion_options(root)));
      o.json = Json{{"shell", a.shell}, {"script", o.text}};
      return o;
    };
  });
}

Status set_tools(Arguments& a) {
  for (const std::string& t : a.tool_options) {
    const size_t eq = t.find('=');
    if (eq == std::string::npos || eq == 0 || eq + 1 == t.size())
      return Diag(diag::usage, "--tool " + t + " is not NAME=PATH", "for example --tool python=/usr/bin/python3");
    a.app.tools[t.substr(0, eq)] = t.substr(eq + 1);
  }
  return {};
}

// Index of the first plain argument (the verb): global options and their values are passed over. argc when there is
// none.
int verb_index(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with('-')) return i;
    if (word == "--threads" || word == "-j" || word == "--jobs" || word == "--tool") ++i;
  }
  return argc;
}

bool knows_verb(const CLI::App& root, std::string_view word) {
  return !root.get_subcommands([&](const CLI::App* c) { return c->get_name() == word; }).empty();
}

// `--json` counts even where the rest of the line cannot be parsed.
bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") return false;
    if (word == "--json") return true;
  }
  return false;
}

// The standard library's exceptions (no memory left, a bug) become errors with an exit code like all others.
CommandResult run_action(const std::function<CommandResult()>& action) {
  try {
    return action();
  } catch (const std::bad_alloc&) {
    return Diag(diag::too_large, "not enough memory", "a smaller input shape or a machine with more memory");
  } catch (const std::exception& e) {
    return Diag(diag::internal, std::string("an exception nobody expected: ") + e.what(), "this is a bug: report it");
  }
}

int report(const App& app, const CommandResult& result) {
  if (!result) {
    if (app.json) fmt::print("{}", dump_json(Json{{"error", diag_json(result.error())}}));
    std::fputs(to_text(result.error()).c_str(), stderr);
    return result.error().code ? result.error().code->exit_code : 4;
  }
  const std::string text = app.json ? dump_json(result->json) : result->text;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (std::fflush(stdout) != 0 || !written) {
    std::fputs(to_text(Diag(diag::not_writable, "standard output cannot be written")).c_str(), stderr);
    return 3;
  }
  return result->exit_code;
}

}  // namespace

int run_cli(int argc, char** argv) {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGPIPE, SIG_IGN);
  install_sigbus_handler();
  ops::register_all();
  npuport_runtime_host_register();

  Arguments a;
  std::function<CommandResult()> action;
  CLI::App root{"npuport: PyTorch models to NPUs, with proof at every step"};
  root.set_version_flag("--version", "npuport " + version());
  root.add_flag("--json", a.app.json, "one JSON document on stdout, errors too");
  root.add_flag("-q,--quiet", a.app.quiet, "no log, no progress");
  root.add_flag("-v,--verbose", a.app.verbose, "more log; twice: even more");
  root.add_option("--threads", a.app.threads, "threads of the executor (default: all cores)")
      ->check(CLI::Range(0, 1024));
  root.add_option("-j,--jobs", a.app.jobs, "parallel processes")->check(CLI::Range(1, 1024));
  root.add_option("--tool", a.tool_options, "NAME=PATH of an external tool (`npuport doctor` lists them)");
  root.require_subcommand(1);
  root.fallthrough();
  root.footer(
      "Exit codes: 0 done, 1 an honest no, 2 bad input or usage, 3 environment, 4 a bug, 130 interrupted.\n`npuport "
      "VERB --help` shows examples.");
  add_inspect(root, a, action);
  add_trace(root, a, action);
  add_analyze(root, a, action);
  add_convert(root, a, action);
  add_verify(root, a, action);
  add_run(root, a, action);
  add_port(root, a, action);
  add_upscale(root, a, action);
  add_compile(root, a, action);
  add_transcribe(root, a, action);
#ifdef NPUPORT_TRANSLATE
  add_translate(root, a, action);
#endif
  add_diagnose(root, a, action);
  add_targets(root, a, action);
  add_lessons(root, a, action);
  add_doctor(root, a, action);
  add_completion(root, a, action);
  // `trace` hands its arguments to the helper unread.
  const int verb = verb_index(argc, argv);
  if (verb < argc && std::string_view(argv[verb]) == "trace") {
    a.trace.helper_args.assign(argv + verb + 1, argv + argc);
    argc = verb + 1;
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    a.app.json = wants_json(argc, argv);
    if (e.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text, none;
      const int code = root.exit(e, text, none);
      const char* key = e.get_name() == "CallForVersion" ? "version" : "help";
      fmt::print("{}", a.app.json ? dump_json(Json{{key, std::string(trim(text.str()))}}) : text.str());
      return code;
    }
    if (verb < argc && !knows_verb(root, argv[verb]))
      return report(a.app, Diag(diag::usage, "there is no verb '" + std::string(argv[verb]) + "'",
                                "`npuport --help` lists them"));
    return report(a.app, Diag(diag::usage, e.what(), "`npuport --help` or `npuport VERB --help`"));
  }
  if (Status s = set_tools(a); !s) return report(a.app, std::move(s).error());
  return report(a.app, run_action(action));
}

}  // namespace npuport::app
