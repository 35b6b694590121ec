"""Writes small models of opsets 7 to 12 with what ONNX Runtime computes, in the form of onnx_cases.py.

  onnx_old_opsets.py OUT

Forms whose meaning changed later: attributes that became inputs, softmax over a flattened matrix, old resizing.
"""

import os
import sys

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

RNG = np.random.default_rng(7)


def f(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def cases():
    """name, opset, op, attributes, inputs (first are fed, arrays named c* are initialisers), number of outputs"""
    x = f(2, 3, 4)
    image = f(1, 2, 5, 6)
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for opset in (7, 11, 12):
            for axis in (0, 1, 2):
                yield op, opset, dict(axis=axis), [x], {}, 1
        yield op, 9, {}, [x], {}, 1
    for opset in (7, 11):
        yield "Squeeze", opset, dict(axes=[0, 2]), [f(1, 3, 1, 2)], {}, 1
        yield "Squeeze", opset, {}, [f(1, 3, 1, 2)], {}, 1
        yield "Unsqueeze", opset, dict(axes=[0, 3]), [x], {}, 1
        yield "Split", opset, dict(axis=2, split=[1, 3]), [x], {}, 2
        yield "Split", opset, dict(axis=2), [x], {}, 2
        yield "Flatten", opset, dict(axis=2), [x], {}, 1
        for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"):
            yield op, opset, dict(axes=[1], keepdims=0), [x], {}, 1
            yield op, opset, dict(axes=[0, 2]), [x], {}, 1
            yield op, opset, {}, [x], {}, 1
        yield "ArgMax", opset, dict(axis=1, keepdims=0), [x], {}, 1
        yield "Gemm", opset, dict(transB=1, alpha=0.5, beta=2.0), [f(2, 3), f(4, 3), f(4)], {}, 1
        yield "Gemm", opset, dict(transA=1), [f(3, 2), f(3, 4), f(2, 1)], {}, 1
        yield "Dropout", opset, dict(ratio=0.4), [x], {}, 1
        yield "BatchNormalization", opset, dict(epsilon=1e-3), [image, f(2), f(2), f(2), np.abs(f(2))], {}, 1
        yield "Tile", opset, {}, [x], {"c1": np.array([1, 2, 3], np.int64)}, 1
        yield "Expand", 8, {}, [f(3, 1)], {"c1": np.array([2, 1, 4], np.int64)}, 1
        yield "MaxPool", opset, dict(kernel_shape=[3, 3], pads=[1, 0, 1, 2], strides=[2, 2]), [image], {}, 1
        yield "AveragePool", opset, dict(kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1), [image], {}, 1
        yield "AveragePool", opset, dict(kernel_shape=[3, 2], auto_pad="SAME_LOWER", strides=[2, 2]), [image], {}, 1
        yield "LRN", opset, dict(size=3), [f(1, 5, 2, 2)], {}, 1
        yield "PRelu", opset, {}, [image, f(2, 1, 1)], {}, 1
        yield "InstanceNormalization", opset, {}, [image, f(2), f(2)], {}, 1
        yield "DepthToSpace", opset, dict(blocksize=2), [f(1, 8, 2, 3)], {}, 1
        yield "Conv", opset, dict(pads=[1, 1, 1, 1], group=2, dilations=[1, 2]), [image, f(4, 1, 3, 3), f(4)], {}, 1
        yield "Conv", opset, dict(auto_pad="SAME_UPPER", strides=[2, 2]), [image, f(4, 2, 3, 2)], {}, 1
        yield "ConvTranspose", opset, dict(strides=[2, 2], output_padding=[1, 0], pads=[0, 1, 1, 0]), [image, f(2, 3, 3, 3)], {}, 1
        yield "ConvTranspose", opset, dict(strides=[2, 2], output_shape=[10, 12]), [image, f(2, 3, 3, 3)], {}, 1
        yield "LSTM", opset, dict(hidden_size=3, direction="bidirectional"), [f(4, 2, 3), f(2, 12, 3), f(2, 12, 3), f(2, 24)], {}, 3
        yield "GRU", opset, dict(hidden_size=3, linear_before_reset=1), [f(4, 2, 3), f(1, 9, 3), f(1, 9, 3), f(1, 18)], {}, 2
        yield "GRU", opset, dict(hidden_size=3, direction="reverse"), [f(4, 2, 3), f(1, 9, 3), f(1, 9, 3), f(1, 18)], {}, 2
        yield "RNN", opset, dict(hidden_size=3, activations=["Relu"]), [f(4, 2, 3), f(1, 3, 3), f(1, 3, 3), f(1, 6)], {}, 2
    yield "Clip", 7, dict(min=-0.5, max=0.25), [x], {}, 1
    yield "Clip", 10, {}, [x], {}, 1
    yield "Clip", 11, {}, [x], {"c1": np.float32(-0.5)}, 1
    yield "Clip", 12, {}, [x], {"c1": np.float32(-0.5), "c2": np.float32(0.1)}, 1
    for mode in ("constant", "reflect", "edge"):
        yield "Pad", 7, dict(mode=mode, pads=[0, 1, 2, 0, 1, 1]), [x], {}, 1
        yield "Pad", 11, dict(mode=mode), [x], {"c1": np.array([0, 1, 2, 0, 1, 1], np.int64)}, 1
    yield "Pad", 7, dict(pads=[0, -1, 2, 0, 0, -1], value=3.0), [x], {}, 1
    yield "Slice", 7, dict(starts=[1, -3], ends=[2, 100], axes=[0, 2]), [x], {}, 1
    yield "Slice", 10, {}, [x], {"c1": np.array([-1], np.int64), "c2": np.array([-100], np.int64), "c3": np.array([2], np.int64), "c4": np.array([-2], np.int64)}, 1
    yield "TopK", 7, dict(k=2, axis=1), [x], {}, 2
    yield "TopK", 10, dict(axis=1), [x], {"c1": np.array([2], np.int64)}, 2
    yield "TopK", 11, dict(axis=2, largest=0), [x], {"c1": np.array([3], np.int64)}, 2
    yield "Upsample", 7, dict(mode="nearest", scales=[1.0, 1.0, 2.0, 1.5]), [image], {}, 1
    yield "Upsample", 9, dict(mode="linear"), [image], {"c1": np.array([1, 1, 2, 2], np.float32)}, 1
    yield "Upsample", 9, dict(mode="nearest"), [image], {"c1": np.array([1, 1, 2, 3], np.float32)}, 1
    for mode in ("nearest", "linear"):
        yield "Resize", 10, dict(mode=mode), [image], {"c1": np.array([1, 1, 1.6 if mode == "nearest" else 0.6, 2.5], np.float32)}, 1
        for where in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
            yield "Resize", 11, dict(mode=mode, coordinate_transformation_mode=where), [image], {"c1": np.array([], np.float32), "c2": np.array([1, 1, 0.6, 2.5], np.float32)}, 1
    yield "Resize", 11, dict(mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1), [image], {"c1": np.array([], np.float32), "c2": np.array([1, 1, 2, 2], np.float32)}, 1
    yield "OneHot", 9, dict(axis=1), [np.array([[0, 2], [1, 7]], np.int64)], {"c1": np.array(4, np.int64), "c2": np.array([-1, 5], np.float32)}, 1
    yield "Scatter", 9, dict(axis=1), [x, np.zeros((2, 1, 4), np.int64), f(2, 1, 4)], {}, 1
    yield "ThresholdedRelu", 10, dict(alpha=0.3), [x], {}, 1
    yield "Gather", 7, dict(axis=1), [x, np.array([[0, 2], [1, 1]], np.int64)], {}, 1
    yield "Pow", 7, {}, [np.abs(x), f(4)], {}, 1
    yield "Mod", 10, dict(fmod=1), [x, f(4)], {}, 1
    yield "CumSum", 11, dict(exclusive=1, reverse=1), [x], {"c1": np.array(1, np.int32)}, 1
    yield "Selu", 7, dict(alpha=1.5, gamma=2.0), [x], {}, 1
    yield "HardSigmoid", 7, dict(alpha=0.3, beta=0.4), [x], {}, 1
    yield "MeanVarianceNormalization", 9, {}, [image], {}, 1


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    onnxruntime.set_default_logger_severity(4)
    lines = []
    for number, (op, opset, attrs, fed, constants, results) in enumerate(cases()):
        names = ["x%d" % i for i in range(len(fed))]
        operands = names + list(constants)
        if op in ("LSTM", "GRU", "RNN"):
            operands = names
        infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in zip(names, fed)]
        ys = ["y%d" % i for i in range(results)]
        node = helper.make_node(op, operands, ys, **attrs)
        graph = helper.make_graph([node], "g", infos, [helper.make_empty_tensor_value_info(y) for y in ys],
                                  [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            expected = session.run(None, dict(zip(names, fed)))
        except Exception as e:
            print("onnxruntime refuses", op, opset, str(e)[:200])
            continue
        tensors = [numpy_helper.from_array(a, "in.%d" % i) for i, a in enumerate(fed)]
        tensors += [numpy_helper.from_array(a, "out.%d" % i) for i, a in enumerate(expected)]
        data = helper.make_model(
            helper.make_graph([], "data", [], [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors], tensors),
            opset_imports=[helper.make_opsetid("", 13)])
        name = "%03d_%s_%d" % (number, op, opset)
        with open(os.path.join(out, name + ".onnx"), "wb") as file:
            file.write(model.SerializeToString())
        with open(os.path.join(out, name + ".0.data.onnx"), "wb") as file:
            file.write(data.SerializeToString())
        lines.append("\t".join([name, op, "1e-4", "1e-5", "1", ""]))
    with open(os.path.join(out, "cases.tsv"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
