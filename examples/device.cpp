// Runs one part of a port: device OUT PART [BACKEND]. See docs/device.md.
#include <algorithm>
#include <cstdio>

#include "npuport_runtime.hpp"
#include "npuport_runtime_host.h"

namespace rt = npuport::rt;

static int fail(const rt::Error& e) {
  std::fprintf(stderr, "%s: %s\n%s\n", npuport_status_name(e.status), e.message.c_str(), e.hint.c_str());
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: device OUT PART [BACKEND]\n"), 2;
  npuport_runtime_host_register();  // only when the host backend is linked in
  auto port = rt::Port::open(argv[1]);
  if (!port) return fail(port.error());
  auto model = port->open_part(argv[2], argc > 3 ? argv[3] : "");
  if (!model) return fail(model.error());
  auto in = model->input_values<float>(0);  // the model's own layout, whatever the compiled file has
  if (!in) return fail(in.error());
  std::fill(in->begin(), in->end(), 100.0f);
  if (auto ran = model->run(/*timeout_ms=*/5000); !ran) return fail(ran.error());
  auto out = model->output_values<float>(0);
  if (!out) return fail(out.error());
  auto times = model->profile();
  std::printf("%s on %s: %zu values, first %.3f, %.1f ms\n", argv[2], model->backend().c_str(), out->size(),
              static_cast<double>(out->front()), times ? times->last_ms : 0.0);
}
