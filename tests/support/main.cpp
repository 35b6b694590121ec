#include <gtest/gtest.h>

#include "ops/manifest.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  npuport::ops::register_all();
  return RUN_ALL_TESTS();
}
