// Where the sources and the build are. Only main.cpp knows the paths: all other objects are the same in every checkout.
#pragma once

#include <string>

namespace npuport {

// Without a slash at the end.
const std::string& source_dir();
const std::string& binary_dir();

// Test doubles of closed tools and libraries, where CMake puts them: a program that keeps ncc-tflite's contract, a
// compiler that goes by a table of operators, and the folder of the vendors' runtime libraries.
inline std::string standin_ncc() { return binary_dir() + "/standin/host/bin/ncc-tflite"; }
inline std::string standin_op_table() { return binary_dir() + "/standin/op_table"; }
inline std::string standin_runtime() { return binary_dir() + "/standin/runtime"; }

}  // namespace npuport
