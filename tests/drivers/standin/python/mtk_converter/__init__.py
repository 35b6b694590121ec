"""Test double of MediaTek's mtk_converter: the calls of the documented path. "Converts" by copying STANDIN_TFLITE."""

import os
import shutil

__version__ = "7.14.1+release"


class PyTorchConverter:
    @classmethod
    def from_script_module_file(cls, path, input_shapes, input_types=None):
        c = cls()
        c.path, c.shapes, c.types = path, input_shapes, input_types
        print("INFO: loading", os.path.basename(path), input_shapes, input_types)
        return c

    def convert_to_tflite(self, output_file, tflite_op_export_spec="builtin_first"):
        mode = os.environ.get("STANDIN_MODE", "ok")
        print("INFO: options", sorted((k, v) for k, v in vars(self).items() if k not in ("path", "shapes", "types")), tflite_op_export_spec)
        print("WARNING: an operator was rewritten")
        if mode == "unsupported":
            print("ERROR: Unsupported op: aten::index (node 12)")
            print("ERROR: Unsupported op: aten::var")
            raise RuntimeError("Conversion failed")
        if mode == "no-file":
            return
        if mode == "error-exit0":
            print("ERROR: the graph is empty")
        shutil.copyfile(os.environ["STANDIN_TFLITE"], output_file)
