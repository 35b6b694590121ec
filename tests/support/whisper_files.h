// The bundled Whisper model's files and lists that several tests need.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/paths.h"

namespace npuport::whisper {

inline std::string demo_file(const std::string& name) { return source_dir() + "/demo/whisper-nano/" + name; }
inline std::string bundled_vocabulary() { return demo_file("vocab.txt"); }
inline std::string bundled_clip() { return demo_file("clip001.wav"); }

// OpenAI's non_speech_tokens (python/npuport_torch/whisper_decode.py has where they come from).
inline std::vector<int32_t> non_speech_list(const std::string& name) {
  std::ifstream f(source_dir() + "/python/npuport_torch/whisper_decode.py");
  std::stringstream all;
  all << f.rdbuf();
  const std::string text = all.str();
  const size_t open = text.find('(', text.find(name + " ="));
  std::vector<int32_t> out;
  for (const char* p = text.c_str() + open + 1; *p && *p != ')';) {
    char* end = nullptr;
    const long v = std::strtol(p, &end, 10);
    if (end == p) {
      ++p;
    } else {
      out.push_back(static_cast<int32_t>(v));
      p = end;
    }
  }
  return out;
}
inline std::vector<int32_t> multilingual_non_speech() { return non_speech_list("NON_SPEECH_MULTILINGUAL"); }
inline std::vector<int32_t> english_non_speech() { return non_speech_list("NON_SPEECH_ENGLISH"); }

// A rank file of 50256 byte strings, the English vocabulary's count, in the test's folder.
inline std::string cut_vocabulary() {
  const std::string path = binary_dir() + "/test-vocab-50256.txt";
  std::ifstream in(bundled_vocabulary());
  std::ofstream out(path);
  size_t kept = 0;
  for (std::string line; std::getline(in, line);)
    if (line.empty() || line[0] == '#' || kept++ < 50256) out << line << "\n";
  return path;
}

}  // namespace npuport::whisper
