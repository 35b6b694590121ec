// Runs on the device (or under qemu): device_smoke PORT NEURON_LIBRARY. Opens the port that run.py made, checks
// numbers, refusals, threads and a run that goes over its time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "runtime/npuport_runtime.hpp"

namespace rt = npuport::rt;

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n%s\n", what, npuport_last_error(nullptr));
  std::exit(1);
}

void run(rt::Session& s) {
  const std::array<int64_t, 2> ids = {2, 0};
  const std::array<float, 6> image = {100, 101, 102, 103, 104, 105}, wanted = {120, 122, 124, 103, 105, 107};
  expect(s.set_input<int64_t>(0, ids).ok() && s.set_input<float>(1, image).ok(), "set inputs");
  expect(s.run().ok(), "run");
  const auto y = s.output_values<float>(0);
  expect(y && std::equal(y->begin(), y->end(), wanted.begin(), wanted.end()), "numbers");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto port = rt::Port::open(argv[1]);
  expect(port.ok(), "open the port");
  expect(port->metadata("/task/kind") == "asr", "metadata");
  const rt::Options neuron = {{"library", argv[2]}};
  auto a = port->open_part("p", "neuron", neuron), b = port->open_part("p", "neuron", neuron);
  expect(a && b, "open the part, SHA-256 compared");
  expect(a->input(0).dtype == NPUPORT_I64, "the model's own interface");
  std::thread other([&] { run(*a); });
  run(*b);
  other.join();
  const std::array<int64_t, 2> outside = {0, 4};
  expect(a->set_input<int64_t>(0, outside).ok(), "set ids");
  expect(a->run().error().status == NPUPORT_BAD_INPUT, "an id outside the table");
  ::setenv("STANDIN_HANG_MS", "600", 1);
  expect(b->run(50).error().status == NPUPORT_TIMEOUT, "time limit");
  expect(port->open_part("p", "ascend").error().status == NPUPORT_NOT_FOUND, "the port has no .om");
  const std::string dla = port->folder() + "/p.dla";
  expect(rt::Session::open(dla, "ascend").error().status == NPUPORT_UNAVAILABLE, "no AscendCL here");
  expect(port->open_part("p", "host").error().status == NPUPORT_BAD_ARGUMENT, "no host backend linked in");
  std::printf("device ok: %s, %s\n", npuport_runtime_version(), npuport_backend_probe("neuron", nullptr, 0));
  std::this_thread::sleep_for(std::chrono::seconds(1));
}
