"""Turns float TFLite files into int8 ones by their types alone, and asks Vela where each runs.

    python vela_models.py FOLDER ACCELERATOR[/EVERY]...    (an interpreter with ethos-u-vela and ai-edge-litert)

Every FOLDER/NAME.tflite is rewritten in place: float tensors become int8 with one scale, filters per output channel,
biases int32. FOLDER/verdicts.json holds what Vela prints: {accelerator: {NAME: text}}. One process imports Vela and forks
for every model, because the import takes most of the time of a compile.
"""

import glob
import json
import multiprocessing
import os
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as fb
import flatbuffers

FLOAT, INT8, INT32 = fb.TensorType.FLOAT32, fb.TensorType.INT8, fb.TensorType.INT32
CODE = fb.BuiltinOperator
# Results the format fixes the scale of, by operator.
FIXED = {CODE.LOGISTIC: (1 / 256, -128), CODE.SOFTMAX: (1 / 256, -128), CODE.TANH: (1 / 128, 0)}
# Operators with a filter as input k, the axis of its output channels, and the bias as input k + 1.
FILTERS = {CODE.CONV_2D: (1, 0), CODE.DEPTHWISE_CONV_2D: (1, 3), CODE.TRANSPOSE_CONV: (1, 0), CODE.FULLY_CONNECTED: (1, 0)}
ACTIVATION_SCALE = 0.05


def parameters(scales, zero=0, axis=0):
    q = fb.QuantizationParametersT()
    q.scale = np.asarray(scales, np.float32)
    q.zeroPoint = np.full(len(scales), zero, np.int64)
    q.quantizedDimension = axis
    return q


def constant(model, tensor):
    data = model.buffers[tensor.buffer].data
    return None if data is None or len(data) == 0 else np.frombuffer(bytes(bytearray(data)), np.float32).reshape(tensor.shape)


def quantise(path):
    with open(path, "rb") as f:
        model = fb.ModelT.InitFromObj(fb.Model.GetRootAs(f.read(), 0))
    for graph in model.subgraphs:
        filters, biases, fixed = {}, {}, {}
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex].builtinCode
            if code in FILTERS:
                at, axis = FILTERS[code]
                filters[op.inputs[at]] = axis
                where = 3 if code == CODE.TRANSPOSE_CONV else 2
                if len(op.inputs) > where and op.inputs[where] >= 0:
                    biases[op.inputs[where]] = op.inputs[at]
            if code in FIXED:
                fixed[op.outputs[0]] = FIXED[code]
        for i, t in enumerate(graph.tensors):
            if t.type != FLOAT:
                continue
            data = constant(model, t)
            t.type = INT32 if i in biases else INT8
            if i in biases:
                t.quantization = None  # set below: it follows from the filter's
            elif i in filters and data is not None:
                axis = filters[i]
                others = tuple(d for d in range(data.ndim) if d != axis)
                scales = np.maximum(np.abs(data).max(axis=others), 1e-9) / 127
                shape = [-1 if d == axis else 1 for d in range(data.ndim)]
                if data.ndim == 2:  # a linear layer has one scale
                    scales = np.full(1, scales.max())
                    shape = [1, 1]
                t.quantization = parameters(scales, axis=axis)
                data = np.round(data / scales.reshape(shape)).astype(np.int8)
            else:
                scale, zero = fixed.get(i, (ACTIVATION_SCALE, 0))
                t.quantization = parameters([scale], zero)
                data = None if data is None else np.clip(np.round(data / scale) + zero, -128, 127).astype(np.int8)
            if data is not None and i not in biases:
                model.buffers[t.buffer] = buffer_of(data)
        for i, filter_index in biases.items():
            t, scales = graph.tensors[i], np.asarray(graph.tensors[filter_index].quantization.scale)
            data = constant(model, t)
            t.quantization = parameters(scales * ACTIVATION_SCALE)
            model.buffers[t.buffer] = buffer_of(np.round(data / (scales * ACTIVATION_SCALE)).astype(np.int32))
    b = flatbuffers.Builder(1024)
    b.Finish(model.Pack(b), b"TFL3")
    with open(path, "wb") as f:
        f.write(bytes(b.Output()))


def buffer_of(data):
    b = fb.BufferT()
    b.data = np.frombuffer(data.tobytes(), np.uint8)
    return b


def ask(job):
    """What Vela prints on one model, from a process of its own: it may die."""
    path, accelerator = job
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        out = f"{path}.{accelerator}"
        os.makedirs(out, exist_ok=True)
        os.chdir(out)
        try:
            from ethosu.vela import vela
            code = vela.main([path, "--accelerator-config", accelerator, "--output-dir", out])
        except BaseException as e:
            print(f"Error: {type(e).__name__}: {e}")
            code = 1
        sys.stdout.flush()
        os._exit(code or 0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        text = f.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    return accelerator, os.path.basename(path)[:-len(".tflite")], text + f"\n[status {status}]\n"


def main():
    folder = os.path.abspath(sys.argv[1])
    models = sorted(glob.glob(os.path.join(folder, "*.tflite")))
    for path in models:
        if not os.path.basename(path).startswith("float_"):
            quantise(path)
    from ethosu.vela import vela  # noqa: F401  before the workers fork
    jobs = []
    for accelerator in sys.argv[2:]:
        name, _, every = accelerator.partition("/")
        jobs += [(path, name) for path in models[::int(every or 1)]]
    verdicts = {}
    with multiprocessing.Pool(2) as pool:
        for accelerator, name, text in pool.imap_unordered(ask, jobs):
            verdicts.setdefault(accelerator, {})[name] = text
    with open(os.path.join(folder, "verdicts.json"), "w") as f:
        json.dump(verdicts, f, indent=1, sort_keys=True)


main()
