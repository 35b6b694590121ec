"""Writes the ONNX backend node tests of the installed onnx package, and its stored PyTorch cases, as files.

  onnx_cases.py OUT

OUT/NAME.onnx is the model, OUT/NAME.K.data.onnx its Kth data set: a model without nodes whose outputs are the
initialisers in.0, in.1, ..., out.0, ... OUT/cases.tsv has a line per case: name, operator, rtol, atol, number of data
sets, problem (values that are no tensors).
"""

import glob
import os
import sys
import warnings

import onnx
from onnx import helper, numpy_helper, version_converter

warnings.filterwarnings("ignore")


def as_tensor(value, name):
    if isinstance(value, onnx.TensorProto):
        t = onnx.TensorProto()
        t.CopyFrom(value)
        t.name = name
        return t
    return numpy_helper.from_array(value, name)


def pack(inputs, outputs):
    tensors = [as_tensor(v, "in.%d" % i) for i, v in enumerate(inputs)]
    tensors += [as_tensor(v, "out.%d" % i) for i, v in enumerate(outputs)]
    infos = [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    graph = helper.make_graph([], "data", [], infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def stored(folder):
    """The cases kept as files: model.onnx, test_data_set_K/input_I.pb."""
    for path in sorted(glob.glob(os.path.join(folder, "pytorch-*", "test_*")) + glob.glob(os.path.join(folder, "simple", "test_*"))):
        sets = []
        for data in sorted(glob.glob(os.path.join(path, "test_data_set_*"))):
            both = []
            for kind in ("input", "output"):
                values = []
                for i in range(len(glob.glob(os.path.join(data, kind + "_*.pb")))):
                    t = onnx.TensorProto()
                    with open(os.path.join(data, "%s_%d.pb" % (kind, i)), "rb") as f:
                        t.ParseFromString(f.read())
                    values.append(t)
                both.append(values)
            sets.append(both)
        name = "%s_%s" % (os.path.basename(os.path.dirname(path)).replace("-", "_"), os.path.basename(path))
        model = onnx.load(os.path.join(path, "model.onnx"))
        if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < 7:
            try:
                model = version_converter.convert_version(model, 8)
            except Exception:  # no adapter: the reader will say what it reads
                pass
        yield name, model, sets, 1e-3, 1e-5


def made():
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        if case.model is not None:
            yield case.name, case.model, case.data_sets, case.rtol, case.atol


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    lines = []
    folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    seen = set()
    for source in (made(), stored(folder)):
        for name, model, sets, rtol, atol in source:
            if name in seen:
                continue
            seen.add(name)
            problem = ""
            for k, (inputs, outputs) in enumerate(sets):
                try:
                    data = pack(inputs, outputs)
                except Exception as e:  # lists, strings, optionals
                    problem = type(e).__name__
                    break
                with open(os.path.join(out, "%s.%d.data.onnx" % (name, k)), "wb") as f:
                    f.write(data.SerializeToString())
            with open(os.path.join(out, name + ".onnx"), "wb") as f:
                f.write(model.SerializeToString())
            nodes = model.graph.node
            op = nodes[0].op_type if len(nodes) == 1 else ""
            if nodes and nodes[0].domain not in ("", "ai.onnx"):
                op = nodes[0].domain + "::" + nodes[0].op_type
            if not op:
                # An expanded function or a small network: the operator its name starts with.
                op = "(composed)"
            lines.append("\t".join([name, op, repr(rtol), repr(atol), str(len(sets)), problem]))
    with open(os.path.join(out, "cases.tsv"), "w") as f:
        f.write("\n".join(lines) + "\n")


main()
