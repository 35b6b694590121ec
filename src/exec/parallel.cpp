#include "exec/parallel.h"

#include <thread>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace npuport {

#ifdef _OPENMP

int available_threads() { return std::max(1, omp_get_num_procs()); }

ThreadCount::ThreadCount(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
ThreadCount::~ThreadCount() { omp_set_num_threads(before_); }

void detail::run_parallel(int threads, void (*fn)(void*, int), void* context) {
#pragma omp parallel num_threads(threads)
  {
    // A nested or limited region may get fewer threads than asked for: every part still runs once.
    for (int part = omp_get_thread_num(); part < threads; part += omp_get_num_threads()) fn(context, part);
  }
}

#else

int available_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

ThreadCount::ThreadCount(int threads) : before_(threads) {}
ThreadCount::~ThreadCount() = default;

void detail::run_parallel(int threads, void (*fn)(void*, int), void* context) {
  for (int part = 0; part < threads; ++part) fn(context, part);
}

#endif

}  // namespace npuport
