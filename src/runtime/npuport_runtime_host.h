// The host backend, a library of its own (npuport_runtime_host): runs models by npuport's executor, reads .tflite,
// .onnx, TorchScript archives and IR text. Device programs that only talk to an NPU need not link it.
#ifndef NPUPORT_RUNTIME_HOST_H
#define NPUPORT_RUNTIME_HOST_H

#include "npuport_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

// Adds backend "host". Call it once before the first npuport_session_open; calling it again does nothing.
NPUPORT_API void npuport_runtime_host_register(void);

#ifdef __cplusplus
}
#endif
#endif
