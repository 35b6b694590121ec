// What the test doubles of vendor libraries share: the worker process that runs the model, and faults on request.
// Nothing of npuport is linked in: a double stands on the vendor's side of the fence.
//
// Environment:
//   STANDIN_FAIL     FUNCTION:CODE,… – these functions return CODE
//   STANDIN_HANG_MS  a run takes that long
//   STANDIN_SHORT    buffers are reported that many bytes too small
//   STANDIN_FP16     with suppressed conversion, f32 buffers hold half floats
//   STANDIN_VERSION  8.0.10
//   STANDIN_ONCE     Adapter: an execution computes once, then says BAD_STATE
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace standin {

inline std::string env(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}
inline long number(const char* name) { return std::atol(env(name).c_str()); }

// The code STANDIN_FAIL gives this function; 0 = none.
inline int fault(const std::string& function) {
  const std::string list = "," + env("STANDIN_FAIL") + ",";
  const size_t at = list.find("," + function + ":");
  return at == std::string::npos ? 0 : std::atoi(list.c_str() + at + function.size() + 2);
}

struct Io {
  std::string name;
  uint32_t dtype = 0;  // npuport's number: 1 f16, 3 f32, 11 i32, 13 i64 …
  std::vector<int64_t> shape;
  size_t item = 0, bytes = 0;
};

class Worker {
 public:
  ~Worker() {
    if (in_) std::fclose(in_);
    if (out_) std::fclose(out_);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }

  // False when the model is none; `error` has the worker's words.
  bool start(const std::string& path, std::string* error) {
    int to[2], from[2];
    if (::pipe2(to, O_CLOEXEC) || ::pipe2(from, O_CLOEXEC)) return false;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      ::execl(STANDIN_WORKER, "standin_worker", path.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    out_ = ::fdopen(to[1], "wb");
    in_ = ::fdopen(from[0], "rb");
    const uint32_t inputs_count = u32();
    if (inputs_count == UINT32_MAX || broken_) {
      *error = broken_ ? "the worker did not start" : text();
      return false;
    }
    const uint32_t outputs_count = u32();
    for (uint32_t i = 0; i < inputs_count; ++i) inputs.push_back(io());
    for (uint32_t i = 0; i < outputs_count; ++i) outputs.push_back(io());
    return !broken_;
  }
  // The model from memory.
  bool start(const void* data, size_t bytes, std::string* error) {
    const int fd = ::memfd_create("standin-network", 0);  // inherited by the worker
    if (fd < 0 || ::write(fd, data, bytes) != static_cast<ssize_t>(bytes)) return false;
    const bool ok = start("/proc/self/fd/" + std::to_string(fd), error);
    ::close(fd);
    return ok;
  }

  // Dense buffers of the sizes in inputs and outputs.
  bool run(const std::vector<const void*>& in, const std::vector<void*>& out) {
    if (const long ms = number("STANDIN_HANG_MS")) std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    const char go = 1;
    bool ok = std::fwrite(&go, 1, 1, out_) == 1;
    for (size_t i = 0; i < inputs.size(); ++i)
      ok = ok && std::fwrite(in[i], 1, inputs[i].bytes, out_) == inputs[i].bytes;
    ok = ok && std::fflush(out_) == 0 && u32() == 0 && !broken_;
    for (size_t i = 0; i < outputs.size(); ++i)
      ok = ok && std::fread(out[i], 1, outputs[i].bytes, in_) == outputs[i].bytes;
    return ok;
  }

  std::vector<Io> inputs, outputs;

 private:
  uint32_t u32() {
    uint32_t v = 0;
    if (std::fread(&v, sizeof v, 1, in_) != 1) broken_ = true;
    return v;
  }
  std::string text() {
    std::string s(u32() & 0xFFFFF, ' ');
    if (std::fread(s.data(), 1, s.size(), in_) != s.size()) broken_ = true;
    return s;
  }
  Io io() {
    static constexpr size_t sizes[] = {0, 2, 2, 4, 8, 0, 0, 1, 1, 2, 2, 4, 4, 8, 8, 1};
    Io out;
    out.name = text();
    out.dtype = u32();
    out.item = sizes[out.dtype % 16];
    out.bytes = out.item;
    const uint32_t rank = u32() % 64;
    for (uint32_t d = 0; d < rank && !broken_; ++d) {
      out.shape.push_back(u32());
      out.bytes *= static_cast<size_t>(out.shape.back());
    }
    return out;
  }

  pid_t pid_ = -1;
  FILE *in_ = nullptr, *out_ = nullptr;
  bool broken_ = false;
};

// A native buffer: what the device sees when conversion is suppressed. Width (third of four sizes) padded to 16.
struct Native {
  uint32_t sizes[4] = {1, 1, 1, 1};
  uint32_t dense[4] = {1, 1, 1, 1};
  bool half = false;
  size_t bytes = 0;
};

inline Native native(const Io& io) {
  Native n;
  const size_t rank = io.shape.size();
  for (size_t d = 0; d < rank && d < 4; ++d) n.dense[4 - rank + d] = static_cast<uint32_t>(io.shape[d]);
  for (int d = 0; d < 4; ++d) n.sizes[d] = d == 2 ? (n.dense[d] + 15) / 16 * 16 : n.dense[d];
  n.half = io.dtype == 3 && !env("STANDIN_FP16").empty();
  n.bytes = n.half ? 2 : io.item;
  for (const uint32_t s : n.sizes) n.bytes *= s;
  return n;
}

// IEEE half to float and back, for normal numbers and zero: test data holds no others.
inline float from_half(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000U) << 16, rest = h & 0x7FFFU;
  const uint32_t word = sign | (rest == 0 ? 0 : (rest << 13) + 0x38000000U);
  float f;
  std::memcpy(&f, &word, sizeof f);
  return f;
}
inline uint16_t to_half(float f) {
  uint32_t word;
  std::memcpy(&word, &f, sizeof word);
  const uint32_t rest = word & 0x7FFFFFFFU;
  const uint16_t sign = static_cast<uint16_t>((word >> 16) & 0x8000U);
  return rest < 0x38800000U ? sign : static_cast<uint16_t>(sign | ((rest - 0x38000000U + 0x1000U) >> 13));
}

// Between a dense tensor and a native buffer. Padding of native outputs is filled with 0xFF: nobody may read it.
inline void move(const Io& io, bool to_native, std::byte* dense, std::byte* buffer) {
  const Native n = native(io);
  if (to_native) std::memset(buffer, 0xFF, n.bytes);
  size_t at = 0;
  for (uint32_t a = 0; a < n.dense[0]; ++a)
    for (uint32_t b = 0; b < n.dense[1]; ++b)
      for (uint32_t c = 0; c < n.dense[2]; ++c)
        for (uint32_t d = 0; d < n.dense[3]; ++d, ++at) {
          const size_t place = ((a * n.sizes[1] + b) * size_t{n.sizes[2]} + c) * n.sizes[3] + d;
          std::byte* x = dense + at * io.item;
          if (!n.half) {
            std::byte* y = buffer + place * io.item;
            std::memcpy(to_native ? y : x, to_native ? x : y, io.item);
            continue;
          }
          std::byte* y = buffer + place * 2;
          float f;
          uint16_t h;
          if (to_native) {
            std::memcpy(&f, x, sizeof f);
            h = to_half(f);
            std::memcpy(y, &h, sizeof h);
          } else {
            std::memcpy(&h, y, sizeof h);
            f = from_half(h);
            std::memcpy(x, &f, sizeof f);
          }
        }
}

// Runs on buffers that are native where `suppress` says so, else dense.
inline bool run(Worker& w, const std::vector<const void*>& in, const std::vector<void*>& out, bool suppress_in,
                bool suppress_out) {
  std::vector<std::vector<std::byte>> hold;
  std::vector<const void*> dense_in = in;
  std::vector<void*> dense_out = out;
  hold.reserve(in.size() + out.size());
  for (size_t i = 0; i < in.size() && suppress_in; ++i) {
    hold.emplace_back(w.inputs[i].bytes);
    move(w.inputs[i], false, hold.back().data(), static_cast<std::byte*>(const_cast<void*>(in[i])));
    dense_in[i] = hold.back().data();
  }
  const size_t first = hold.size();
  for (size_t i = 0; i < out.size() && suppress_out; ++i) {
    hold.emplace_back(w.outputs[i].bytes);
    dense_out[i] = hold.back().data();
  }
  if (!w.run(dense_in, dense_out)) return false;
  for (size_t i = 0; i < out.size() && suppress_out; ++i)
    move(w.outputs[i], true, hold[first + i].data(), static_cast<std::byte*>(out[i]));
  return true;
}

inline void version(uint8_t* major, uint8_t* minor, uint8_t* patch) {
  int a = 8, b = 0, c = 10;
  const std::string v = env("STANDIN_VERSION");
  if (!v.empty()) std::sscanf(v.c_str(), "%d.%d.%d", &a, &b, &c);
  *major = static_cast<uint8_t>(a);
  *minor = static_cast<uint8_t>(b);
  *patch = static_cast<uint8_t>(c);
}

}  // namespace standin
