// Test double of MediaTek's ncc-tflite: takes the documented options, reads the TFLite file for real, answers in the
// documented form, and misbehaves on request. It compiles nothing: its ".dla" wraps the TFLite file.
//
// Environment:
//   STANDIN_MODE       ok (default) | error-exit0 | crash | hang | no-file | garbage | text-file | flood | fork |
//   stubborn |
//                      internal | old-help (no --dla-file, no reports) | no-version | misplaced
//   STANDIN_WHITELIST  operators that are accepted, separated by commas, or the path of a file with one a line; unset =
//   all STANDIN_MAX_OPS    models with more operators are refused without naming one STANDIN_DELAY_MS   time a compile
//   takes STANDIN_BYTES      what `flood` prints (default 64 MiB) STANDIN_LOG        a file that receives one line per
//   call: the arguments, tab-separated
//
// ".dla": 16 bytes "STANDIN-DLA" padded with zeros, 64-bit little-endian size, the TFLite file.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "frontends/tflite_file.h"

namespace {

std::string env(const char* name, const char* fallback = "") {
  const char* v = std::getenv(name);
  return v ? v : fallback;
}

struct Options {
  std::string model, dla, arch;
  bool check_only = false, exec_plan = false, memory = false, relax = false;
};

constexpr const char* kHelp =
    "Usage:\n  ncc-tflite [OPTION...] filename\n\n"
    "  -d, --dla-file FILE         Specify a filename for the output DLA file\n"
    "      --check-target-only     Check target support without compiling, then exit\n"
    "      --show-exec-plan        Show execution plan\n"
    "      --show-memory-summary   Show memory allocation summary\n"
    "      --show-io-info          Show input and output tensors\n"
    "      --show-builtin-ops      Show available built-in operations, then exit\n"
    "      --show-mtkext-ops       Show available MTKEXT operations, then exit\n"
    "      --show-l1-req           Show the required L1 memory\n"
    "      --gen-debug-info        Produce debug information\n"
    "  -e, --exec                  Enable execution (inference) mode\n"
    "  -i, --input FILE            Input of the execution mode\n"
    "  -o, --output FILE           Output of the execution mode\n"
    "  -O, --opt LEVEL             Optimisation level (default: 2)\n"
    "      --platform NAME         Platform preference as a hint\n";
constexpr const char* kCommonHelp =
    "      --arch NAME,...         Target architectures; --arch=? lists them\n"
    "      --l1-size-kb N  --l2-size-kb N  --num-mdla N  --mdla-bw N  --mdla-freq N\n"
    "      --relax-fp32  --opt-accuracy  --opt-aggressive  --opt-bw  --opt-footprint  --opt-size\n"
    "      --fc-to-conv  --reshape-to-4d  --suppress-input  --suppress-output  --int8-to-uint8\n"
    "      --stable-linearize  --disallow-bridge  --extract-static-data FILE  --req-per-ch-conv\n"
    "      --rewrite-pattern P  --verify  --no-verify  --verbose  --version  --help\n";

std::set<std::string> known_flags(bool old) {
  std::set<std::string> out;
  std::istringstream words(std::string(old ? "" : kHelp) + kCommonHelp);
  for (std::string w; words >> w;) {
    if (w.ends_with(',')) w.pop_back();
    if (w.starts_with("-")) out.insert(w);
  }
  if (old) out.insert("-o");
  return out;
}

[[noreturn]] void fail(const std::string& message) {
  std::printf("ERROR: %s\n", message.c_str());
  std::exit(1);
}

bool takes_value(const std::string& flag) {
  static const std::set<std::string> with = {"-d",
                                             "--dla-file",
                                             "-o",
                                             "--output",
                                             "-i",
                                             "--input",
                                             "-O",
                                             "--opt",
                                             "--arch",
                                             "--platform",
                                             "--l1-size-kb",
                                             "--l2-size-kb",
                                             "--num-mdla",
                                             "--mdla-bw",
                                             "--mdla-freq",
                                             "--extract-static-data",
                                             "--rewrite-pattern"};
  return with.contains(flag);
}

Options parse(int argc, char** argv, bool old) {
  Options o;
  const std::set<std::string> known = known_flags(old);
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i], value;
    if (!word.starts_with("-")) {
      if (!o.model.empty()) fail("more than one model: " + word);
      o.model = word;
      continue;
    }
    std::string flag = word.substr(0, word.find('='));
    if (word.size() > 2 && word[1] != '-' && !takes_value(word)) {  // -O3
      flag = word.substr(0, 2);
      value = word.substr(2);
    } else if (flag.size() < word.size()) {
      value = word.substr(flag.size() + 1);
    }
    if (!known.contains(flag)) fail("Option '" + flag + "' does not exist");
    if (takes_value(flag) && value.empty()) {
      if (++i == argc) fail("Option '" + flag + "' is missing an argument");
      value = argv[i];
    }
    if (flag == "-d" || flag == "--dla-file" || (old && flag == "-o")) o.dla = value;
    if (flag == "--arch") o.arch = value;
    if (flag == "--check-target-only") o.check_only = true;
    if (flag == "--show-exec-plan") o.exec_plan = true;
    if (flag == "--show-memory-summary") o.memory = true;
    if (flag == "--relax-fp32") o.relax = true;
  }
  return o;
}

std::optional<std::set<std::string>> whitelist() {
  if (!std::getenv("STANDIN_WHITELIST")) return std::nullopt;
  std::string text = env("STANDIN_WHITELIST");
  if (std::ifstream f(text); f && text.find('/') != std::string::npos)
    text.assign(std::istreambuf_iterator<char>(f), {});
  std::set<std::string> out;
  std::string word;
  for (const char c : text + ",") {
    if (c != ',' && c != '\n' && c != ' ' && c != '\r') {
      word += c;
    } else if (!word.empty()) {
      out.insert(std::move(word));
      word.clear();
    }
  }
  return out;
}

// Prints what is refused; true when something is.
bool refuse(const npuport::TfliteFile& file, const Options& o) {
  const auto allowed = whitelist();
  bool any = false;
  const npuport::TfliteFileGraph& g = file.graphs.front();
  for (size_t i = 0; i < g.operators.size(); ++i) {
    const std::string name = file.code(g.operators[i]).text();
    std::vector<std::string> reasons;
    if (allowed && !allowed->contains(name)) reasons.push_back("Unsupported operation");
    for (const int32_t t : g.operators[i].out)
      if (t >= 0 && g.tensors[static_cast<size_t>(t)].shape.size() > 4)
        reasons.push_back("Output rank should be in [0,4]");
    for (const int32_t t : g.operators[i].in)
      if (!o.relax && t >= 0 && g.tensors[static_cast<size_t>(t)].type == 0) {
        reasons.push_back("Unsupported data type of operand: FLOAT32");
        break;
      }
    if (reasons.empty()) continue;
    any = true;
    std::printf("OP[%zu]: %s\n", i, name.c_str());
    for (const std::string& r : reasons)
      std::printf("    %s: %s\n", o.arch.substr(0, o.arch.find(',')).c_str(), r.c_str());
  }
  return any;
}

std::string message_name(const std::string& arch) {  // mdla5.3,edma3.6 → MDLA_5_3
  std::string out;
  for (const char c : arch.substr(0, arch.find(','))) {
    if (std::isdigit(static_cast<unsigned char>(c)) && !out.empty() &&
        std::isalpha(static_cast<unsigned char>(out.back())))
      out += '_';
    out += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

std::string bytes_of(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}

void write_dla(const std::string& path, const std::string& model) {
  std::ofstream f(path, std::ios::binary);
  char magic[16] = "STANDIN-DLA";
  f.write(magic, sizeof magic);
  const std::string payload = bytes_of(model);
  uint64_t size = payload.size();
  f.write(reinterpret_cast<const char*>(&size), sizeof size);
  f << payload;
}

void misbehave(const std::string& mode, const Options& o) {
  using namespace std::chrono_literals;
  if (mode == "crash") {
    std::printf("Compiling...\n");
    std::fflush(stdout);
    std::signal(SIGSEGV, SIG_DFL);
    std::raise(SIGSEGV);
    std::abort();
  }
  if (mode == "hang") std::this_thread::sleep_for(1h);
  if (mode == "stubborn") {
    std::signal(SIGTERM, SIG_IGN);
    std::signal(SIGINT, SIG_IGN);
    std::this_thread::sleep_for(1h);
  }
  if (mode == "fork") {  // a child that holds the pipes and does not end
    if (::fork() == 0) {
      std::ofstream(env("STANDIN_PIDFILE", "/dev/null")) << ::getpid();
      std::this_thread::sleep_for(1h);
      std::_Exit(0);
    }
  }
  if (mode == "flood") {
    const std::string line(1023, 'x');
    for (long long left = std::atoll(env("STANDIN_BYTES", "67108864").c_str()); left > 0; left -= 1024)
      std::printf("%s\n", line.c_str());
  }
  if (mode == "internal") {
    std::printf("ERROR: Internal error: BuildCmd failed\n");
    std::exit(1);
  }
  if (mode == "error-exit0") {
    std::printf("ERROR: Cannot prepare execution plan\n");
    std::exit(0);
  }
  if (mode == "garbage") std::ofstream(o.dla, std::ios::binary) << std::string(3, '\1');
  if (mode == "text-file")
    std::ofstream(o.dla) << "<html><body>license server unreachable, try again later</body></html>\n";
  if (mode == "no-file" || mode == "garbage" || mode == "text-file") std::exit(0);
}

void reports(const npuport::TfliteFile& file, const Options& o, const std::string& mode) {
  const npuport::TfliteFileGraph& g = file.graphs.front();
  if (o.exec_plan) {
    std::printf("ExecutionPlan\n");
    for (size_t i = 0; i < g.operators.size(); ++i)
      std::printf("OP[%zu]: %s  Target: %s\n", i, file.code(g.operators[i]).text().c_str(),
                  mode == "misplaced" && i == 0 ? "EDPA_1_2" : message_name(o.arch).c_str());
  }
  if (o.memory) {
    uint64_t bytes = 0;
    for (const auto& b : file.buffers) bytes += b.size();
    std::printf("Memory summary\nMDLA 0 DRAM: %llu bytes\nMDLA 0 L1: %llu bytes\n",
                static_cast<unsigned long long>(bytes / 2),
                static_cast<unsigned long long>(std::min<uint64_t>(bytes / 4, 262144)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = env("STANDIN_MODE", "ok");
  const bool old = mode == "old-help";
  if (const std::string path = env("STANDIN_LOG"); !path.empty()) {
    std::string line;
    for (int i = 1; i < argc; ++i) line += (i > 1 ? "\t" : "") + std::string(argv[i]);
    std::ofstream(path, std::ios::app) << line + "\n";
  }
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::printf("%s%s%s", old ? "Usage:\n  ncc-tflite [OPTION...] filename\n  -o FILE  output DLA\n" : kHelp, "\n",
                kCommonHelp);
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    if (mode == "no-version") return 1;
    std::printf("%s\n", env("STANDIN_VERSION", "ncc-tflite 6.3.3 (stand-in)").c_str());
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--arch=?") == 0) {
    std::printf("mdla5.0\nmdla5.1\nmdla5.3\nmdla5.5\nedma3.6\nedpa1.0\nmvpu2.5\n");
    return 0;
  }
  const Options o = parse(argc, argv, old);
  if (o.model.empty()) fail("No input file");
  if (!o.check_only) misbehave(mode, o);
  const auto file = npuport::open_tflite(o.model);
  if (!file || file->graphs.empty()) fail("Failed to load the model: not a valid TFLite flatbuffer");
  if (const long delay = std::atol(env("STANDIN_DELAY_MS", "0").c_str()); delay > 0 && !o.check_only)
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
  if (refuse(*file, o)) {
    std::printf("ERROR: Unsupported operations found\n");
    return 1;
  }
  if (const long most = std::atol(env("STANDIN_MAX_OPS", "0").c_str());
      most > 0 && static_cast<long>(file->graphs.front().operators.size()) > most)
    fail("Cannot allocate memory for the network");
  if (o.check_only) {
    std::printf("All operations can run on the targets\n");
    return 0;
  }
  if (o.dla.empty()) fail("No output file");
  reports(*file, o, mode);
  write_dla(o.dla, o.model);
  std::printf("Patch done!\n");
  return 0;
}
