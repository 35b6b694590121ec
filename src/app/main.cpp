#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "app/cli.h"

namespace {

// Threads of libgomp spin for milliseconds wherever they wait, unless the environment said otherwise before the program
// started. On a machine that has other work as well, a thread that spins keeps its core from the one it waits for: a
// port took four times the CPU time and twice as long. About 0.1 ms still spares a sleep between neighbouring
// operators.
constexpr const char* kVariable = "GOMP_SPINCOUNT";
constexpr const char* kSpins = "2000";

// Starts the program over with the variable set; the second time takes it out again, so that child processes do not
// inherit it. Whoever set a policy keeps it, and where the program cannot be started again it goes on as it is.
void limit_spinning(char** argv) {
  if (const char* set = std::getenv(kVariable)) {
    if (std::string_view(set) == kSpins) ::unsetenv(kVariable);
    return;
  }
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  ::setenv(kVariable, kSpins, 0);
  ::execv("/proc/self/exe", argv);
  ::unsetenv(kVariable);
}

}  // namespace

int main(int argc, char** argv) {
  limit_spinning(argv);
  return npuport::app::run_cli(argc, argv);
}
