"""Makes one-operator int8 TFLite files for the tests of Vela and of the Ethos-U rules.

    python vela_models.py FOLDER    (an interpreter with ethos-u-vela: its flatbuffer schema modules are used)

Every file NAME.tflite is one operator on one side of a limit; cases.json holds, per file, the operator as IR text for our
rule table.
"""

import json
import os
import sys

import flatbuffers
import numpy as np
from ethosu.vela.tflite import (ActivationFunctionType, ArgMaxOptions, Buffer, BuiltinOperator, BuiltinOptions, Conv2DOptions,
                                DepthwiseConv2DOptions, GatherOptions, Model, Operator, OperatorCode, Padding, Pool2DOptions,
                                QuantizationParameters, ReducerOptions, ResizeBilinearOptions, ResizeNearestNeighborOptions,
                                SoftmaxOptions, SubGraph, Tensor, TensorType, TransposeConvOptions)

INT8, INT32, FLOAT = TensorType.TensorType.INT8, TensorType.TensorType.INT32, TensorType.TensorType.FLOAT32
OP, OPT = BuiltinOperator.BuiltinOperator, BuiltinOptions.BuiltinOptions
SAME, VALID = Padding.Padding.SAME, Padding.Padding.VALID


def vector(b, start, values, add):
    start(b, len(values))
    for v in reversed(values):
        add(v)
    return b.EndVector()


def ints(b, start, values):
    return vector(b, start, values, b.PrependInt32)


class File:
    """A model of one operator; tensors are added in order."""

    def __init__(self):
        self.tensors = []
        self.buffers = [b""]

    def add(self, name, shape, dtype=INT8, data=None, scale=0.05, zero=0):
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(data.tobytes())
        self.tensors.append((name, shape, dtype, buffer, scale, zero))
        return len(self.tensors) - 1

    def tensor(self, b, t):
        name, shape, dtype, buffer, scale, zero = t
        n = b.CreateString(name)
        s = ints(b, Tensor.StartShapeVector, shape)
        q = None
        if scale is not None:
            sc = vector(b, QuantizationParameters.StartScaleVector, [scale], b.PrependFloat32)
            z = vector(b, QuantizationParameters.StartZeroPointVector, [zero], b.PrependInt64)
            QuantizationParameters.Start(b)
            QuantizationParameters.AddScale(b, sc)
            QuantizationParameters.AddZeroPoint(b, z)
            q = QuantizationParameters.End(b)
        Tensor.Start(b)
        Tensor.AddShape(b, s)
        Tensor.AddType(b, dtype)
        Tensor.AddBuffer(b, buffer)
        Tensor.AddName(b, n)
        if q is not None:
            Tensor.AddQuantization(b, q)
        return Tensor.End(b)

    def write(self, path, code, inputs, outputs, graph_inputs, options=None, option_type=0, version=1):
        b = flatbuffers.Builder(1024)
        opt = options(b) if options else None
        buffers = []
        for data in self.buffers:
            v = b.CreateByteVector(data) if data else None
            Buffer.Start(b)
            if v is not None:
                Buffer.AddData(b, v)
            buffers.append(Buffer.End(b))
        buffer_vector = vector(b, Model.StartBuffersVector, buffers, b.PrependUOffsetTRelative)
        tensors = [self.tensor(b, t) for t in self.tensors]
        tensor_vector = vector(b, SubGraph.StartTensorsVector, tensors, b.PrependUOffsetTRelative)
        op_in = ints(b, Operator.StartInputsVector, inputs)
        op_out = ints(b, Operator.StartOutputsVector, outputs)
        Operator.Start(b)
        Operator.AddOpcodeIndex(b, 0)
        Operator.AddInputs(b, op_in)
        Operator.AddOutputs(b, op_out)
        if opt is not None:
            Operator.AddBuiltinOptionsType(b, option_type)
            Operator.AddBuiltinOptions(b, opt)
        op_vector = vector(b, SubGraph.StartOperatorsVector, [Operator.End(b)], b.PrependUOffsetTRelative)
        g_in = ints(b, SubGraph.StartInputsVector, graph_inputs)
        g_out = ints(b, SubGraph.StartOutputsVector, outputs)
        SubGraph.Start(b)
        SubGraph.AddTensors(b, tensor_vector)
        SubGraph.AddInputs(b, g_in)
        SubGraph.AddOutputs(b, g_out)
        SubGraph.AddOperators(b, op_vector)
        graph_vector = vector(b, Model.StartSubgraphsVector, [SubGraph.End(b)], b.PrependUOffsetTRelative)
        OperatorCode.Start(b)
        OperatorCode.AddDeprecatedBuiltinCode(b, min(code, 127))
        OperatorCode.AddBuiltinCode(b, code)
        OperatorCode.AddVersion(b, version)
        code_vector = vector(b, Model.StartOperatorCodesVector, [OperatorCode.End(b)], b.PrependUOffsetTRelative)
        description = b.CreateString("one operator")
        Model.Start(b)
        Model.AddVersion(b, 3)
        Model.AddOperatorCodes(b, code_vector)
        Model.AddSubgraphs(b, graph_vector)
        Model.AddDescription(b, description)
        Model.AddBuffers(b, buffer_vector)
        b.Finish(Model.End(b), b"TFL3")
        with open(path, "wb") as f:
            f.write(bytes(b.Output()))


def table(module, **fields):
    """Options table of a schema module: fields by the schema's names."""

    def build(b):
        module.Start(b)
        for name, value in fields.items():
            getattr(module, "Add" + name)(b, value)
        return module.End(b)

    return build


CASES = []


def case(name, written_as, ir, file, *args, **kwargs):
    file.write(os.path.join(sys.argv[1], name + ".tflite"), *args, **kwargs)
    CASES.append({"name": name, "operator": written_as, "ir": ir})


def unary(name, op, ours, shape=(1, 8, 8, 4), **attrs):
    f = File()
    x, y = f.add("x", shape), f.add("y", shape, scale=1 / 256 if op in ("LOGISTIC", "SOFTMAX") else 0.05, zero=-128 if op in ("LOGISTIC", "SOFTMAX") else 0)
    options, kind = None, 0
    if op == "SOFTMAX":
        options, kind = table(SoftmaxOptions, Beta=1.0), OPT.SoftmaxOptions
    text = " ".join(f"{k}={v}" for k, v in attrs.items())
    dims = ",".join(map(str, shape))
    case(name, op, f"input %x: f32[{dims}]\n%y = {ours}(%x) {text}\noutput %y", f, getattr(OP, op), [x], [y], [x], options, kind)


def resize(name, op, factor, half=False, align=False, size=8):
    f = File()
    out = (size - 1) * factor + 1 if align else size * factor
    x, s = f.add("x", (1, size, size, 4)), f.add("s", (2,), INT32, np.array([out, out], np.int32), scale=None)
    y = f.add("y", (1, out, out, 4))
    module, kind = (ResizeBilinearOptions, OPT.ResizeBilinearOptions) if op == "RESIZE_BILINEAR" else (ResizeNearestNeighborOptions, OPT.ResizeNearestNeighborOptions)
    mode = "linear" if op == "RESIZE_BILINEAR" else "nearest"
    ir = (f'input %x: f32[1,{size},{size},4]\n%y = resize2d(%x) size=[{out},{out}] mode="{mode}" align_corners={str(align).lower()} '
          f'layout="nhwc"\noutput %y')
    case(name, op, ir, f, getattr(OP, op), [x, s], [y], [x], table(module, AlignCorners=align, HalfPixelCenters=half), kind)


def pool(name, op, shape, kernel, padding=VALID):
    f = File()
    h, w = (shape[1] - kernel[0] + 1, shape[2] - kernel[1] + 1) if padding == VALID else (shape[1], shape[2])
    x, y = f.add("x", shape), f.add("y", (1, h, w, shape[3]))
    pads = [0, 0, 0, 0] if padding == VALID else [(kernel[0] - 1) // 2, (kernel[1] - 1) // 2, kernel[0] // 2, kernel[1] // 2]
    ours = "avg_pool2d" if op.startswith("AVERAGE") else "max_pool2d"
    ir = (f'input %x: f32[{",".join(map(str, shape))}]\n%y = {ours}(%x) kernel=[{kernel[0]},{kernel[1]}] stride=[1,1] '
          f'pad_begin=[{pads[0]},{pads[1]}] pad_end=[{pads[2]},{pads[3]}] layout="nhwc"'
          + (" count_include_pad=false" if ours == "avg_pool2d" else "") + '\noutput %y')
    case(name, op, ir, f, getattr(OP, op), [x], [y], [x],
         table(Pool2DOptions, Padding=padding, StrideW=1, StrideH=1, FilterWidth=kernel[1], FilterHeight=kernel[0]), OPT.Pool2DOptions)


def mean(name, batch):
    f = File()
    x = f.add("x", (batch, 8, 8, 4))
    a = f.add("a", (2,), INT32, np.array([1, 2], np.int32), scale=None)
    y = f.add("y", (batch, 1, 1, 4))
    case(name, "MEAN", f"input %x: f32[{batch},8,8,4]\n%y = reduce_mean(%x) axes=[1,2] keepdims=true\noutput %y", f, OP.MEAN, [x, a], [y], [x],
         table(ReducerOptions, KeepDims=True), OPT.ReducerOptions)


def argmax(name, depth):
    f = File()
    x = f.add("x", (1, 4, 4, depth))
    a = f.add("a", (1,), INT32, np.array([3], np.int32), scale=None)
    y = f.add("y", (1, 4, 4), INT32, scale=None)
    case(name, "ARG_MAX", f"input %x: f32[1,4,4,{depth}]\n%y = arg_max(%x) axis=3\noutput %y", f, OP.ARG_MAX, [x, a], [y], [x],
         table(ArgMaxOptions, OutputType=INT32), OPT.ArgMaxOptions)


def transposed(name, stride):
    f = File()
    k, n = 4, 8
    out = n * stride
    s = f.add("s", (4,), INT32, np.array([1, out, out, 4], np.int32), scale=None)
    w = f.add("w", (4, k, k, 4), INT8, np.ones((4, k, k, 4), np.int8))
    x = f.add("x", (1, n, n, 4))
    bias = f.add("b", (4,), INT32, np.zeros(4, np.int32), scale=0.0025)
    y = f.add("y", (1, out, out, 4))
    # The rule looks at the stride alone; our own layout of the same operator needs no padding for that.
    ir = (f'input %x: f32[1,{n},{n},4]\nconst %w: f32[4,4,{k},{k}] = #0\n%y = conv_transpose2d(%x, %w) stride=[{stride},{stride}] '
          f'layout="nhwc"\noutput %y')
    case(name, "TRANSPOSE_CONV", ir, f, OP.TRANSPOSE_CONV, [s, w, x, bias], [y], [x],
         table(TransposeConvOptions, Padding=SAME, StrideW=stride, StrideH=stride), OPT.TransposeConvOptions, version=3)


def conv(name, dtype=INT8):
    f = File()
    quantised = dtype == INT8
    scale = 0.05 if quantised else None
    x, y = f.add("x", (1, 8, 8, 4), dtype, scale=scale), None
    w = f.add("w", (8, 3, 3, 4), dtype, np.ones((8, 3, 3, 4), np.int8 if quantised else np.float32), scale=scale)
    bias = f.add("b", (8,), INT32 if quantised else FLOAT, np.zeros(8, np.int32 if quantised else np.float32), scale=0.0025 if quantised else None)
    y = f.add("y", (1, 8, 8, 8), dtype, scale=scale)
    ir = 'input %x: f32[1,8,8,4]\nconst %w: f32[8,4,3,3] = #0\n%y = conv2d(%x, %w) pad_begin=[1,1] pad_end=[1,1] layout="nhwc"\noutput %y'
    case(name, "CONV_2D", ir, f, OP.CONV_2D, [x, w, bias], [y], [x], table(Conv2DOptions, Padding=SAME, StrideW=1, StrideH=1), OPT.Conv2DOptions)


def gather(name):
    f = File()
    x = f.add("x", (8, 4))
    i = f.add("i", (3,), INT32, np.array([0, 2, 5], np.int32), scale=None)
    y = f.add("y", (3, 4))
    case(name, "GATHER", "input %x: f32[8,4]\ninput %i: i32[3]\n%y = gather(%x, %i) axis=0\noutput %y", f, OP.GATHER, [x, i], [y], [x],
         table(GatherOptions, Axis=0, BatchDims=0), OPT.GatherOptions)


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    conv("conv")
    conv("conv_float", FLOAT)
    for op, ours in (("RELU", "relu"), ("LOGISTIC", "sigmoid"), ("TANH", "tanh"), ("EXP", "exp"), ("SIN", "sin"), ("FLOOR", "floor"),
                     ("SQRT", "sqrt"), ("ABS", "abs")):
        unary(ours, op, ours)
    unary("softmax_rows_65536", "SOFTMAX", "softmax", (1, 256, 256, 4), axis=3)
    unary("softmax_rows_65537", "SOFTMAX", "softmax", (1, 1, 65537, 4), axis=3)
    for op, tag in (("RESIZE_BILINEAR", "bilinear"), ("RESIZE_NEAREST_NEIGHBOR", "nearest")):
        for factor in (2, 3, 4):
            resize(f"{tag}_half_x{factor}", op, factor, half=True)
    resize("bilinear_corners_x4", "RESIZE_BILINEAR", 4, align=True)
    resize("bilinear_corners_x3", "RESIZE_BILINEAR", 3, align=True)
    pool("max_256", "MAX_POOL_2D", (1, 260, 4, 4), (256, 2))
    pool("max_257", "MAX_POOL_2D", (1, 260, 4, 4), (257, 2))
    pool("average_256", "AVERAGE_POOL_2D", (1, 260, 4, 4), (256, 2))
    pool("average_257", "AVERAGE_POOL_2D", (1, 260, 4, 4), (257, 2))
    pool("average_same_8", "AVERAGE_POOL_2D", (1, 16, 16, 4), (8, 8), SAME)
    pool("average_same_9", "AVERAGE_POOL_2D", (1, 16, 16, 4), (9, 9), SAME)
    mean("mean_batch_1", 1)
    mean("mean_batch_2", 2)
    argmax("argmax_127", 127)
    argmax("argmax_128", 128)
    transposed("transposed_2", 2)
    transposed("transposed_3", 3)
    gather("gather")
    with open(os.path.join(sys.argv[1], "cases.json"), "w") as f:
        json.dump(CASES, f, indent=1)


main()
