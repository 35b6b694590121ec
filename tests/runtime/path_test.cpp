// The whole path: the demo's port, compiled by the stand-in of ncc-tflite, run by every backend that takes one of its
// files.
#include <cmath>

#include "base/subprocess.h"
#include "runtime/support.h"
#include "support/paths.h"

namespace npuport {
namespace {

rt::Result<std::vector<float>> upscale(const std::string& out, const std::string& backend, const rt::Options& options) {
  const auto port = rt::Port::open(out);
  if (!port) return port.error();
  auto s = port->open_part("", backend, options);
  if (!s) return s.error();
  auto in = s->input_values<float>(0);
  if (!in) return in.error();
  for (size_t i = 0; i < in->size(); ++i) (*in)[i] = static_cast<float>(i * 37 % 256);
  if (auto r = s->run(); !r) return r.error();
  auto y = s->output_values<float>(0);
  if (!y) return y.error();
  return std::vector<float>(y->begin(), y->end());
}

TEST(PortToDevice, EveryBackendGivesTheHostsNumbers) {
  npuport_runtime_host_register();
  const testing::TempFolder folder;
  const std::string out = folder.path("OUT");
  ProcessOptions p;
  p.argv = {binary_dir() + "/npuport",
            "port",
            source_dir() + "/demo/edsr-nano/port.toml",
            "--target",
            "mt8371",
            "--tool",
            "ncc-tflite=" + standin_ncc(),
            "-o",
            out,
            "--quiet"};
  p.timeout = std::chrono::seconds(300);
  const auto ran = run_process(p);
  ASSERT_TRUE(ran && ran->ok()) << (ran ? ran->err : to_text(ran.error()));

  const auto host = upscale(out, "host", {});
  ASSERT_TRUE(host) << npuport_last_error(nullptr);
  for (const char* library : {"libneuron_runtime.so", "libneuron_runtime.so.5", "libneuron_adapter.so"}) {
    const auto device = upscale(out, "neuron", {{"library", standin_runtime() + "/" + library}});
    ASSERT_TRUE(device) << library << npuport_last_error(nullptr);
    ASSERT_EQ(device->size(), host->size());
    for (size_t i = 0; i < host->size(); ++i) ASSERT_NEAR((*device)[i], (*host)[i], 1e-3F) << library << " " << i;
  }

  // A file of another port is refused by its hash.
  for (const auto& entry : std::filesystem::directory_iterator(out + "/models"))
    if (entry.path().extension() == ".tflite") std::ofstream(entry.path(), std::ios::app) << "x";
  const auto changed = upscale(out, "host", {});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().status, NPUPORT_BAD_FILE);
}

}  // namespace
}  // namespace npuport
