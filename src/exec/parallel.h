// Splits loops over OpenMP threads. Every element is computed the same way whatever the number of threads, so results
// do not depend on it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace npuport {

// Cores this process may use.
int available_threads();
// The count OpenMP (and with it oneDNN) uses on the calling thread; restores the former one at the end of the scope.
class ThreadCount {
 public:
  explicit ThreadCount(int threads);
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

namespace detail {
void run_parallel(int threads, void (*fn)(void* context, int part), void* context);
}

// fn(begin, end) over [0, n) cut into at most `threads` contiguous pieces whose starts are multiples of `grain`.
template <class Fn>
void parallel_for(int threads, int64_t n, int64_t grain, Fn&& fn) {
  const int64_t blocks = (n + grain - 1) / grain;
  const int parts = static_cast<int>(std::min<int64_t>(threads, blocks));
  if (parts <= 1) {
    if (n > 0) fn(int64_t{0}, n);
    return;
  }
  struct Context {
    Fn& fn;
    int64_t n, grain, blocks;
    int parts;
  } context{fn, n, grain, blocks, parts};
  detail::run_parallel(
      parts,
      [](void* raw, int part) {
        auto& c = *static_cast<Context*>(raw);
        const int64_t begin = c.blocks * part / c.parts * c.grain;
        const int64_t end = std::min(c.n, c.blocks * (part + 1) / c.parts * c.grain);
        if (begin < end) c.fn(begin, end);
      },
      &context);
}

}  // namespace npuport
