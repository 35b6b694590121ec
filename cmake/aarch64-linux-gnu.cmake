# Toolchain file for 64-bit ARM Linux with Debian's cross compiler (package g++-aarch64-linux-gnu).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Programs of this build run here by qemu where it is installed (package qemu-user).
find_program(NPUPORT_QEMU qemu-aarch64)
if(NPUPORT_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${NPUPORT_QEMU} -L /usr/aarch64-linux-gnu)
endif()
