"""Times one model in one peer:  peers.py ENGINE MODEL SAMPLE.npz THREADS SECONDS

ENGINE is onnxruntime or openvino (MODEL.onnx), or litert (MODEL.tflite). Prints one JSON object like bench_exec.
"""

import json
import os
import resource
import sys
import time

import numpy as np


def onnxruntime(path, inputs, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {i.name: x for i, x in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)


def openvino(path, inputs, threads):
    import openvino as ov
    core = ov.Core()
    # Full precision: by default OpenVINO computes in bfloat16 where the processor can.
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(path, "CPU", config)
    request = compiled.create_infer_request()
    tensors = [ov.Tensor(np.ascontiguousarray(x), shared_memory=True) for x in inputs]

    def run():
        request.infer(dict(enumerate(tensors)), share_inputs=True)
        return [request.get_output_tensor(k).data for k in range(len(compiled.outputs))]
    return run


def litert(path, inputs, threads):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()
    feeds = []
    for d, x in zip(sorted(details, key=lambda d: d["index"]), inputs):
        if tuple(d["shape"]) != x.shape and x.ndim == 4:
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # written with --io-layout nhwc
        feeds.append((d["index"], x.astype(d["dtype"])))

    def run():
        for index, x in feeds:
            interpreter.set_tensor(index, x)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    return run


def main():
    engine, path, sample, threads, seconds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
    arrays = np.load(sample)
    inputs = [arrays[n] for n in sorted(n for n in arrays.files if n.startswith("in."))]
    run = {"onnxruntime": onnxruntime, "openvino": openvino, "litert": litert}[engine](path, inputs, threads)
    for _ in range(2):
        out = run()
    difference = max((float(np.abs(o - arrays[f"out.{k}"]).max()) for k, o in enumerate(out)
                      if f"out.{k}" in arrays.files and arrays[f"out.{k}"].shape == o.shape), default=0.0)
    wall, cpu = [], []
    start = time.perf_counter()
    while len(wall) < 3 or (time.perf_counter() - start < seconds and len(wall) < 1000):
        w, c = time.perf_counter(), time.process_time()
        run()
        wall.append((time.perf_counter() - w) * 1e3)
        cpu.append((time.process_time() - c) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_ms": float(np.median(wall)), "cpu_ms": float(np.median(cpu)), "runs": len(wall), "peak_mb": round(peak),
                      "max_diff": difference}))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", sys.argv[4] if len(sys.argv) > 4 else "1")
    sys.exit(main())
