#include <gtest/gtest.h>

#include "ops/manifest.h"
#include "support/paths.h"

namespace npuport {

const std::string& source_dir() {
  static const std::string path = NPUPORT_SOURCE_DIR;
  return path;
}

const std::string& binary_dir() {
  static const std::string path = NPUPORT_BINARY_DIR;
  return path;
}

}  // namespace npuport

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  npuport::ops::register_all();
  return RUN_ALL_TESTS();
}
