// Pickles and archives written by hand, opcode by opcode, so that tests decide every byte.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/subprocess.h"
#include "base/zip.h"
#include "support/temp_folder.h"

namespace npuport::testing {

// Python's pickle opcodes as text pieces.
namespace op {

inline std::string little(uint64_t v, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> (8 * i) & 0xFF);
  return out;
}
inline const std::string proto = "\x80\x02";
inline const std::string none = "N", yes = "\x88", no = "\x89", mark = "(", stop = ".";
inline const std::string tuple = "t", empty_tuple = ")", empty_list = "]", empty_dict = "}";
inline const std::string appends = "e", setitems = "u", reduce = "R", newobj = "\x81", build = "b", persid = "Q";
inline std::string i(int64_t v) {
  if (v >= 0 && v < 256) return "K" + little(static_cast<uint64_t>(v), 1);
  return "\x8a" + little(8, 1) + little(static_cast<uint64_t>(v), 8);
}
inline std::string s(const std::string& text) { return "X" + little(text.size(), 4) + text; }
inline std::string f(double v) {
  std::string out = "G";
  for (int k = 7; k >= 0; --k) out += static_cast<char>(std::bit_cast<uint64_t>(v) >> (8 * k) & 0xFF);
  return out;
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string put(int key) { return "q" + little(static_cast<uint64_t>(key), 1); }
inline std::string get(int key) { return "h" + little(static_cast<uint64_t>(key), 1); }
inline std::string tuple_of(const std::vector<std::string>& items) {
  std::string out = mark;
  for (const std::string& item : items) out += item;
  return out + tuple;
}
inline std::string list_of(const std::vector<std::string>& items) {
  std::string out = empty_list + mark;
  for (const std::string& item : items) out += item;
  return out + appends;
}
inline std::string dict_of(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = empty_dict + mark;
  for (const auto& [key, value] : entries) out += s(key) + value;
  return out + setitems;
}
inline std::string ints(const std::vector<int64_t>& v) {
  std::vector<std::string> items;
  for (const int64_t n : v) items.push_back(i(n));
  return tuple_of(items);
}
inline std::string storage(const std::string& type, const std::string& key, int64_t count) {
  return tuple_of({s("storage"), global("torch", type), s(key), s("cpu"), i(count)}) + persid;
}
inline std::string ordered_dict() { return global("collections", "OrderedDict") + empty_tuple + reduce; }
inline std::string call(const std::string& module, const std::string& name, const std::vector<std::string>& arguments) {
  return global(module, name) + tuple_of(arguments) + reduce;
}
inline std::string tensor(const std::string& type, const std::string& key, int64_t count, int64_t offset,
                          const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  return call("torch._utils", "_rebuild_tensor_v2",
              {storage(type, key, count), i(offset), ints(sizes), ints(strides), no, ordered_dict()});
}
inline std::string object(const std::string& module, const std::string& name, const std::string& state) {
  return global(module, name) + empty_tuple + newobj + state + build;
}

}  // namespace op

inline std::string pickle(const std::string& body) { return op::proto + body + op::stop; }

using Members = std::vector<std::pair<std::string, std::string>>;

inline std::string zip_bytes(const Members& members, bool deflate = false) {
  std::string out;
  ZipWriter writer([&](std::span<const std::byte> b) {
    out += as_text(b);
    return Status();
  });
  ZipWriter::EntryOptions options;
  options.align = deflate ? 1 : 64;
  options.deflate = deflate;
  for (const auto& [name, contents] : members) EXPECT_TRUE(writer.add(name, as_bytes(contents), options).ok());
  EXPECT_TRUE(writer.finish().ok());
  return out;
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

// Runs a Python program that needs PyTorch; nullopt when there is none, so that tests skip for that reason only.
inline std::optional<ProcessResult> run_torch(const std::string& folder, const std::string& program) {
  ProcessOptions run;
  run.cwd = folder;
  run.argv = {torch_python(), "-c", "try: import torch\nexcept ImportError: raise SystemExit(42)\n" + program};
  auto result = run_process(run);
  if (!result || result->exit_code == 42) return std::nullopt;
  return *result;
}

}  // namespace npuport::testing
