// Test double of a compiler that knows a table of operators: reads a TFLite or ONNX file for real and refuses the first
// operator (in file order) that is not in the table, in the words of one of two vendors.
//
//   op_table [--style nodes|legalize|mute] [--delay-ms N] [--crash OP] [--max-ops N] [--lie OP] --table FILE MODEL
//   OUTPUT
//
// FILE: one operator a line. --crash OP: dies by a signal on models with OP; --lie OP: reports success for them and
// writes nothing. OUTPUT is not empty and no text.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "frontends/tflite.h"
#include "ops/manifest.h"

namespace {

// Protocol buffer wire format: calls `field` with number and bytes of each length-delimited field.
template <class F>
bool each_field(std::string_view bytes, F field) {
  size_t at = 0;
  const auto varint = [&](uint64_t& v) {
    v = 0;
    for (int shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      const auto b = static_cast<unsigned char>(bytes[at++]);
      v |= uint64_t{b & 0x7FU} << shift;
      if (b < 0x80) return true;
    }
    return false;
  };
  while (at < bytes.size()) {
    uint64_t key = 0, n = 0;
    if (!varint(key)) return false;
    switch (key & 7) {
      case 0:
        if (!varint(n)) return false;
        break;
      case 1:
        at += 8;
        break;
      case 2:
        if (!varint(n) || n > bytes.size() - at) return false;
        field(key >> 3, bytes.substr(at, n));
        at += n;
        break;
      case 5:
        at += 4;
        break;
      default:
        return false;
    }
  }
  return at == bytes.size();
}

// ModelProto.graph = 7, GraphProto.node = 1, NodeProto.op_type = 4.
std::vector<std::string> onnx_operators(const std::string& file) {
  std::vector<std::string> out;
  each_field(file, [&](uint64_t model_field, std::string_view graph) {
    if (model_field != 7) return;
    each_field(graph, [&](uint64_t graph_field, std::string_view node) {
      if (graph_field != 1) return;
      each_field(node, [&](uint64_t node_field, std::string_view text) {
        if (node_field == 4) out.emplace_back(text);
      });
    });
  });
  return out;
}

std::vector<std::string> operators_of(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(f), {}};
  if (bytes.size() < 8 || bytes.substr(4, 4) != "TFL3") return onnx_operators(bytes);
  std::vector<std::string> out;
  const auto facts = npuport::inspect_tflite(path);
  if (facts)
    for (const auto& [name, count] : facts->operators)
      for (int64_t i = 0; i < count; ++i) out.push_back(name);
  return out;
}

int refuse(const std::string& style, const std::string& op, int64_t count) {
  if (style == "legalize") std::printf("error: failed to legalize operation 'onnx.%s'\n", op.c_str());
  if (style == "nodes") std::printf("unsupported nodes: %s (%ld nodes)\n", op.c_str(), static_cast<long>(count));
  std::printf("ERROR: compilation failed\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  npuport::ops::register_all();
  std::map<std::string, std::string> options{{"--style", "nodes"}};
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--version") {
      std::printf("op_table 1.0\n");
      return 0;
    }
    if (word.starts_with("--") && i + 1 < argc)
      options[word] = argv[++i];
    else
      files.push_back(word);
  }
  if (files.size() != 2 || !options.contains("--table")) return 2;
  if (options.contains("--delay-ms"))
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(options["--delay-ms"])));
  std::set<std::string> table;
  std::ifstream lines(options["--table"]);
  if (!lines) {
    std::fprintf(stderr, "error: cannot read %s\n", options["--table"].c_str());
    return 2;
  }
  for (std::string line; std::getline(lines, line);) table.insert(line);
  const std::vector<std::string> ops = operators_of(files[0]);
  std::map<std::string, int64_t> counts;
  for (const std::string& op : ops) ++counts[op];
  if (options.contains("--max-ops") && ops.size() > std::stoul(options["--max-ops"])) {
    std::printf("ERROR: out of memory\n");
    return 1;
  }
  if (options.contains("--crash") && counts.contains(options["--crash"])) std::raise(SIGSEGV);
  if (options.contains("--lie") && counts.contains(options["--lie"])) {
    std::printf("compiled\n");
    return 0;
  }
  for (const std::string& op : ops)
    if (!table.contains(op)) return refuse(options["--style"], op, counts[op]);
  std::ofstream out(files[1], std::ios::binary);
  const char head[16] = "OP-TABLE\0\1\2\3";
  out.write(head, sizeof head);
  for (const std::string& op : ops) out << op << '\0';
  std::printf("%zu operators compiled\n", ops.size());
  return out.good() ? 0 : 3;
}
