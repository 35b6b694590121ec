"""Test double of rknn.api: the calls of python/npuport_rknn/build.py, messages as measured with 2.5.0.

STANDIN_MODE: ok | cpu | border | inner | no-lowering | minus-one | raises | crash
"""

import atexit
import os
import signal
import sys

TABLE = """D RKNN: [10:00:00.000]                  Network Layer Information Table
D RKNN: [10:00:00.000] -----------------------------------------------------
D RKNN: [10:00:00.000] ID   OpType           DataType Target InputShape    OutputShape   Cycles(DDR/NPU/Total)  RW(KB)  FullName
D RKNN: [10:00:00.000] -----------------------------------------------------
D RKNN: [10:00:00.000] 0    InputOperator    FLOAT16  CPU    \\            (1,3,16,16)   0/0/0      0      InputOperator:x
D RKNN: [10:00:00.000] 1    ConvRelu         FLOAT16  NPU    (1,3,16,16)   (1,4,16,16)   1/2/3      4      Conv:conv0
D RKNN: [10:00:00.000] 2    Sin              FLOAT16  {}    (1,4,16,16)   (1,4,16,16)   0/0/0      4      Sin:sin0
D RKNN: [10:00:00.000] 3    OutputOperator   FLOAT16  CPU    (1,4,16,16)   \\            0/0/0      0      OutputOperator:y
D RKNN: [10:00:00.000] -----------------------------------------------------
D RKNN: [10:00:00.000] Total Internal Memory Size: 12.5KB
"""

# Inputs and outputs of another rank than 4, as 2.5.0 prints them; "inner" has one more Reshape on the CPU.
BORDER = """D RKNN: [10:00:00.000] ID   OpType   DataType Target InputShape    OutputShape   Cycles(DDR/NPU/Total)  RW(KB)  FullName
D RKNN: [10:00:00.000] -----------------------------------------------------
D RKNN: [10:00:00.000] 0    InputOperator    FLOAT16  CPU    \\               (1,5,2)       0/0/0      0      InputOperator:x
D RKNN: [10:00:00.000] 1    Reshape          FLOAT16  CPU    (1,5,2),(4)     (1,5,1,2)     0/0/0      0      Reshape:x_rs
D RKNN: [10:00:00.000] 2    Add              FLOAT16  NPU    (1,5,1,2),(1)   (1,5,1,2)     0/0/0      0      Add:add0
{}D RKNN: [10:00:00.000] 3    Reshape          FLOAT16  CPU    (1,5,1,2),(3)   (1,10)        0/0/0      0      Reshape:y-rs
D RKNN: [10:00:00.000] 4    OutputOperator   FLOAT16  CPU    (1,10)          \\             0/0/0      0      OutputOperator:y
D RKNN: [10:00:00.000] -----------------------------------------------------
"""
INNER = "D RKNN: [10:00:00.000] 9    Reshape   FLOAT16  CPU    (1,5,2),(4)   (1,5,1,2)   0/0/0   0   Reshape:inner0\n"


class RKNN:
    def __init__(self, verbose=False):
        self.mode = os.environ.get("STANDIN_MODE", "ok")
        print("I rknn-toolkit2 version: 2.5.0", file=sys.stderr)

    def config(self, **kwargs):
        return 0

    def load_onnx(self, model):
        return 0

    def build(self, do_quantization, dataset=None):
        if self.mode == "minus-one":
            return -1
        if self.mode == "raises":
            raise ValueError("Traceback (most recent call last):\n  File \"x\"\nValueError: The input 0 of NonZero('y') need to be constant! "
                             "It will cause the graph to be a dynamic graph! Remove NonZero('y') manually and try again!")
        if self.mode == "crash":
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        print("E RKNN: [10:00:00.000] Unkown op target: 0")
        if self.mode in ("border", "inner"):
            print(BORDER.format(INNER if self.mode == "inner" else ""))
        else:
            print(TABLE.format("CPU" if self.mode == "cpu" else "NPU"))
        if self.mode == "no-lowering":
            atexit.register(lambda: print("No lowering found for: sign0, node type = Sign, use CustomOperatorLower instead."))
        return 0

    def export_rknn(self, path):
        with open(path, "wb") as f:
            f.write(b"RKNN\x00\x01" + bytes(200))
        return 0

    def release(self):
        pass
