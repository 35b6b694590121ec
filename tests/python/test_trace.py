import importlib.util
import json
import os
import unittest

import numpy as np
import torch
from npuport_torch import samples, template, trace
from npuport_torch.errors import HelperError
from support import ROOT, TINY_TEMPLATE, TINY_TOML, TempCase, helper, tiny
from torch import nn


HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None


class Branch(nn.Module):
    def forward(self, x):
        if x.sum() > 0:  # the line the message must name
            return x * 2
        return x - 3


class ByShape(nn.Module):
    def forward(self, x):
        if x.shape[1] > 2:
            return x * 2
        return x - 1


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x):
        return self.layer(x)


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()
        self.pair = Pair()

    def forward(self, x):
        return {"a": self.act(self.act(x) - 1), "b": self.pair(x)}


class Pair(nn.Module):
    def forward(self, x):
        return x + 1, x * 2


SPEC = [{"name": "x", "shape": [1, 4], "dtype": "float32"}]


class Tracing(TempCase):
    def test_archive_computes_the_same(self):
        net, x = tiny(), torch.randn(1, 3, 6, 10)
        trace.make_archive(net, [x], [{"name": "x", "shape": [1, 3, 6, 10]}], self.path("m.pt"))
        got = torch.jit.load(self.path("m.pt"))(x)
        self.assertTrue(torch.allclose(got, net(x)))
        self.assertFalse(any(p.requires_grad for p in torch.jit.load(self.path("m.pt")).parameters()))

    def test_control_flow_on_values_is_named(self):
        with self.assertRaises(HelperError) as e:
            trace.make_archive(Branch(), [torch.ones(1, 4)], SPEC, self.path("m.pt"))
        self.assertEqual((e.exception.slug, e.exception.exit_code), ("data-dependent", 1))
        notes = "\n".join(e.exception.notes)
        self.assertIn("prim::If at", notes)
        self.assertIn("test_trace.py", notes)
        self.assertIn("if x.sum() > 0:", notes)
        self.assertIn("--script", e.exception.hint)
        self.assertFalse(os.path.exists(self.path("m.pt")))

    def test_script_keeps_control_flow(self):
        trace.make_archive(Branch(), [torch.ones(1, 4)], SPEC, self.path("m.pt"), script=True)
        m = torch.jit.load(self.path("m.pt"))
        self.assertEqual(m(-torch.ones(1, 4)).tolist(), [[-4.0] * 4])
        self.assertEqual(m(torch.ones(1, 4)).tolist(), [[2.0] * 4])

    def test_control_flow_on_shapes_is_fine(self):
        trace.make_archive(ByShape(), [torch.ones(1, 4)], SPEC, self.path("m.pt"))

    def test_failing_forward_names_the_users_line(self):
        class Wrong(nn.Module):
            def forward(self, x):
                return x @ torch.ones(3, 3)  # does not fit

        with self.assertRaises(HelperError) as e:
            trace.run_module(Wrong(), [torch.ones(1, 4)])
        self.assertIn("test_trace.py", e.exception.message)
        self.assertIn("torch.ones(3, 3)", e.exception.message)

    def test_attention_is_traced_as_plain_operators(self):
        net = Attention().eval()
        trace.make_archive(net, [torch.randn(1, 5, 8)], [{"name": "x", "shape": [1, 5, 8]}], self.path("m.pt"))
        text = str(torch.jit.load(self.path("m.pt")).inlined_graph)
        self.assertNotIn("_native_multi_head_attention", text)
        self.assertNotIn("_transformer_encoder_layer_fwd", text)
        self.assertTrue("aten::softmax" in text or "aten::scaled_dot_product_attention" in text)

    def test_cut_archive_is_refused(self):
        net, x = tiny(), torch.randn(1, 3, 6, 10)
        trace.make_archive(net, [x], [{"name": "x", "shape": [1, 3, 6, 10]}], self.path("m.pt"))
        with open(self.path("m.pt"), "rb") as f:
            data = f.read()
        for cut in (0, len(data) // 2, len(data) - 10):
            with open(self.path("m.pt"), "wb") as f:
                f.write(data[:cut])
            with self.assertRaises(HelperError) as e:
                trace.check_archive(self.path("m.pt"), net, [x])
            self.assertEqual(e.exception.slug, "gate-failed")

    def test_layers_by_scope(self):
        x = torch.tensor([[-1.0, 2.0]])
        arrays = trace.layer_outputs(Several(), [x])
        self.assertEqual(list(arrays), ["act", "act#1", "pair:0", "pair:1"])
        self.assertEqual(arrays["act"].tolist(), [[0.0, 2.0]])
        self.assertEqual(arrays["act#1"].tolist(), [[0.0, 1.0]])
        self.assertEqual(arrays["pair:1"].tolist(), [[-2.0, 4.0]])

    def test_differences_are_seen(self):
        a = [torch.ones(2, 2)]
        self.assertEqual(trace.worst_difference(a, [torch.ones(2, 2)]), (0.0, ""))
        self.assertEqual(trace.worst_difference(a, [torch.ones(4)])[0], float("inf"))
        self.assertEqual(trace.worst_difference(a, a + a)[0], float("inf"))
        self.assertEqual(trace.worst_difference([torch.tensor([float("nan")])], [torch.ones(1)])[0], float("inf"))
        self.assertAlmostEqual(trace.worst_difference([torch.tensor([1.5])], [torch.tensor([1.0])])[0], 0.5)


class Samples(TempCase):
    def test_npz_is_deterministic_and_plain(self):
        arrays = {"in.0": np.arange(6, dtype=np.int64).reshape(2, 3), "out.0": np.float32(2.5)}
        for name in ("a.npz", "b.npz"):
            samples.save_npz(self.path(name), arrays)
        with open(self.path("a.npz"), "rb") as a, open(self.path("b.npz"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        back = np.load(self.path("a.npz"))
        self.assertEqual(back["out.0"].shape, ())
        self.assertEqual(back["in.0"].tolist(), [[0, 1, 2], [3, 4, 5]])

    def test_partial_baseline(self):
        out = torch.randn(1, 448, 1001)
        arrays = samples.sample_arrays([torch.zeros(1)], [out], partial=True)
        index, shape = arrays["out.0.index"], arrays["out.0.shape"].tolist()
        self.assertEqual(shape, [1, 448, 1001])
        self.assertTrue((np.diff(index) > 0).all() and index[-1] < out.numel())
        self.assertLessEqual(len(index), samples.PARTIAL_ELEMENTS)
        self.assertTrue((out.numpy().reshape(-1)[index] == arrays["out.0"]).all())
        rows, columns = np.unique(index // 1001), np.unique(index % 1001)
        self.assertEqual((len(rows), len(columns)), (448, 1001))
        small = samples.sample_arrays([torch.zeros(1)], [torch.ones(3)], partial=True)
        self.assertEqual(list(small), ["in.0", "out.0"])

    def test_flatten_keeps_order(self):
        t = [torch.full((1,), float(k)) for k in range(4)]
        got = samples.flatten({"x": (t[0], [t[1], None]), "y": {"z": t[2]}, "w": t[3]})
        self.assertEqual([float(v) for v in got], [0, 1, 2, 3])

    def test_reading_samples(self):
        spec = [{"name": "image", "shape": [1, 2], "dtype": "float32"}]
        np.savez(self.path("s.npz"), image=np.ones((1, 2)))
        self.assertEqual(samples.read_sample(self.path("s.npz"), spec)[0].dtype, torch.float32)
        for bad in ({"other": np.ones((1, 2))}, {"image": np.ones((2, 1))}):
            np.savez(self.path("s.npz"), **bad)
            with self.assertRaises(HelperError):
                samples.read_sample(self.path("s.npz"), spec)


class Templates(TempCase):
    def test_a_dropped_in_file_appears_and_a_bad_one_is_reported(self):
        os.mkdir(self.path("t"))
        self.write("t/tiny.py", TINY_TEMPLATE)
        self.write("t/broken.py", "TEMPLATE_NAME = 'x'\n1/0\n")
        self.write("t/unfinished.py", "def build(:\n")
        self.write("t/nameless.py", "def build(num_classes, pretrained=False): pass\n")
        self.write("t/quits.py", "import sys; sys.exit(3)\n")
        self.write("t/plain.toml", TINY_TOML)
        self.write("t/torn.toml", "version = 1\nname = \n")
        code, out, _ = helper("templates", "--templates-dir", self.path("t"))
        self.assertEqual(code, 0)
        names = {t["id"]: t["name"] for t in out["templates"]}
        self.assertEqual((names["tiny"], names["plain"]), ("Tiny", "Tiny without Python"))
        self.assertLessEqual({"whisper", "edsr"}, set(names))
        problems = {os.path.basename(b["file"]): b["problem"] for b in out["problems"]}
        if HAS_TORCHVISION:
            self.assertEqual(names["sobel_resnet50_4ch"], "SobelResNet50(4ch)")
            self.assertEqual(names["resnet18_1ch"], "ResNet18(1ch)")
        else:
            self.assertIn("torchvision", problems.pop("sobel_resnet50_4ch.py"))
        self.assertEqual(set(problems), {"broken.py", "unfinished.py", "nameless.py", "quits.py", "torn.toml"})
        self.assertIn("line 2", problems["broken.py"])
        self.assertIn("TEMPLATE_NAME", problems["nameless.py"])

    @unittest.skipUnless(HAS_TORCHVISION, "torchvision is not installed")
    def test_example_template_has_four_channels(self):
        t = template.find_template("SobelResNet50(4ch)")
        net = t.module.build(6, pretrained=False).eval()
        self.assertEqual(list(net.backbone.conv1.weight.shape), [64, 4, 7, 7])
        self.assertEqual(list(net(torch.randn(1, 3, 64, 96)).shape), [1, 6])

    def test_a_toml_file_is_the_network_it_lists(self):
        built = template.find_template(self.write("plain.toml", TINY_TOML)).module.build(5)
        state = tiny().state_dict()
        self.assertEqual({k: v.shape for k, v in built.state_dict().items()}, {k: v.shape for k, v in state.items()})
        nested = self.write("nested.toml", """version = 1
name = "n"
layer = [{name = "a.x", type = "Linear", args = [2, 3], bias = false}, {name = "a.y", type = "ReLU"}, {name = "b", type = "Softmax", dim = 1}]
""")
        net = template.find_template(nested).module.build(5)
        self.assertEqual(list(net.state_dict()), ["a.x.weight"])
        self.assertEqual([type(m).__name__ for m in net.modules()], ["Sequential", "Sequential", "Linear", "ReLU", "Softmax"])

    @unittest.skipUnless(HAS_TORCHVISION, "torchvision is not installed")
    def test_a_toml_file_changes_a_torchvision_network(self):
        net = template.find_template("resnet18_1ch").module.build(6).eval()
        self.assertEqual((list(net.conv1.weight.shape), list(net(torch.randn(1, 1, 64, 64)).shape)), ([64, 1, 7, 7], [1, 6]))

    def test_what_is_wrong_with_a_toml_file(self):
        head = "version = 1\nname = 'x'\n"
        for text, wanted in (("name = 'x'", "version is None"), ("version = 1", "has no name"), (head, "neither base nor"),
                             (head + "colour = 1\n[[layer]]\ntype = 'ReLU'", "unknown key colour"),
                             (head + "base = 'os.system'", "no name in torchvision.models"),
                             (head + "[[layer]]\nname = 'a'", "[[layer]] 0 has no type"),
                             (head + "[[input]]\nname = 'a'\n[[layer]]\ntype = 'ReLU'", "[[input]] 0 has no shape"),
                             (head + "[[layer]]\ntype = 'ReLU'\nname = 'a'\n[[layer]]\ntype = 'ReLU'\nname = 'a.b'", "is taken by 'a'")):
            with self.assertRaises(HelperError) as e:
                template.load_template(self.write("bad.toml", text))
            self.assertIn(wanted, e.exception.message)
        for text, wanted in (("type = 'functional'", "no layer of torch.nn"), ("type = 'Conv2d'\nargs = [1]", "layer Conv2d:"),
                             ("type = 'ReLU'\ncolour = 1", "layer ReLU:")):
            t = template.load_template(self.write("bad.toml", head + "[[layer]]\n" + text))
            with self.assertRaises(HelperError) as e:
                template.build_model(t, {}, {}, 5)
            self.assertIn(wanted, e.exception.message)

    def test_unknown_template(self):
        with self.assertRaises(HelperError) as e:
            template.find_template("nonsense")
        self.assertIn("whisper", e.exception.hint)


class CommandLine(TempCase):
    def setUp(self):
        super().setUp()
        self.template = self.write("tiny.py", TINY_TEMPLATE)
        self.net = tiny(5)
        torch.save({"state_dict": {"module." + k: v.half() for k, v in self.net.state_dict().items()}}, self.path("c.pt"))

    def trace(self, *more):
        return helper("trace", self.path("c.pt"), "--template", self.template, "-o", self.path("out"), *more)

    def test_project(self):
        code, out, log = self.trace("--num-classes", 5, "--layers")
        self.assertEqual((code, out["ok"]), (0, True), log)
        self.assertIn("Checkpoint: state_dict only (template required).", log)
        self.assertEqual(set(out["files"]), {"model.pt", "port.toml", "samples/model/000.npz", "samples/model/001.npz",
                                             "layers/model/000.npz", "layers/model/001.npz"})
        sample = np.load(self.path("out/samples/model/001.npz"))
        got = torch.jit.load(self.path("out/model.pt"))(torch.from_numpy(sample["in.0"]))
        self.assertLess(float((got - torch.from_numpy(sample["out.0"])).abs().max()), 1e-5)
        layers = np.load(self.path("out/layers/model/001.npz"))
        self.assertEqual(set(layers), set("012345"))
        self.assertTrue((layers["5"] == sample["out.0"]).all())
        self.assertEqual(out["checkpoint"]["upcast_tensors"], 9)
        with open(self.path("out/port.toml"), encoding="utf-8") as f:
            toml = f.read()
        self.assertIn('inputs = [\n  {name = "image", shape = [1, 3, 6, 10], dtype = "float32"},\n]', toml)

    def test_second_run_is_cached_until_something_changes(self):
        self.trace("--num-classes", 5)
        stamp = os.stat(self.path("out/model.pt")).st_mtime_ns
        code, _, log = self.trace("--num-classes", 5)
        self.assertEqual((code, os.stat(self.path("out/model.pt")).st_mtime_ns), (0, stamp))
        self.assertIn("up to date", log)
        with open(self.path("out/model.pt"), "ab") as f:
            f.write(b"x")
        _, _, log = self.trace("--num-classes", 5)
        self.assertNotIn("up to date", log)
        self.write("tiny.py", TINY_TEMPLATE + "\n# changed\n")
        self.assertNotIn("up to date", self.trace("--num-classes", 5)[2])

    def test_same_input_same_bytes(self):
        first = self.trace("--num-classes", 5)[1]["files"]
        second = helper("trace", self.path("c.pt"), "--template", self.template, "--num-classes", 5, "-o", self.path("elsewhere"))[1]
        self.assertEqual(first, second["files"])

    def test_a_template_without_python(self):
        net = tiny()
        torch.save(net.state_dict(), self.path("c.pt"))
        toml = self.write("plain.toml", TINY_TOML)
        code, _, log = helper("trace", self.path("c.pt"), "--template", toml, "--num-classes", 5, "-o", self.path("out"))
        self.assertEqual(code, 0, log)
        x = torch.randn(1, 3, 6, 10)
        self.assertLess(float((torch.jit.load(self.path("out/model.pt"))(x) - net(x)).abs().max()), 1e-6)

    def test_no_template(self):
        code, out, _ = helper("trace", self.path("c.pt"), "-o", self.path("out"))
        self.assertEqual((code, out["error"]["slug"]), (2, "usage"))
        self.assertEqual(out["error"]["message"], "Checkpoint: state_dict only (template required).")
        self.assertFalse(os.path.exists(self.path("out")))

    def test_wrong_template(self):
        code, out, _ = self.trace("--num-classes", 9)
        self.assertEqual((code, out["error"]["slug"]), (2, "shape-mismatch"))
        self.assertEqual([r["key"] for r in out["error"]["key_diff"]["shape_mismatch"]], ["5.weight", "5.bias"])

    def test_full_module(self):
        torch.save(self.net, self.path("c.pt"))
        args = ("trace", self.path("c.pt"), "-o", self.path("out"), "--shape", "pic=1x3x6x10")
        code, out, log = helper(*args)
        self.assertEqual((code, out["error"]["slug"]), (2, "unsafe-pickle"))
        self.assertIn("Checkpoint: full module (no template required).", log)
        code, out, _ = helper(*args, "--trust-pickle")
        self.assertEqual(code, 0)
        self.assertEqual(out["parts"][0]["inputs"], [{"name": "pic", "shape": [1, 3, 6, 10], "dtype": "float32"}])
        # With a template the weights are used and the pickle's code is not.
        code, out, _ = self.trace("--num-classes", 5)
        self.assertEqual(code, 0)

    def test_bad_usage_is_json_too(self):
        for args in (("trace",), ("trace", "x.pt"), ("nonsense",), (), ("trace", "x.pt", "-o", "o", "--shape", "a=3y4"),
                     ("trace", "x.pt", "-o", "o", "--num-classes", "-3")):
            code, out, _ = helper(*args)
            self.assertEqual((code, out["error"]["slug"]), (2, "usage"), args)
        code, out, _ = helper("inspect", self.path("missing.pt"))
        self.assertEqual((code, out["error"]["slug"]), (2, "file-not-found"))

    def test_output_that_cannot_be_written(self):
        self.write("file", "")
        code, out, _ = helper("trace", self.path("c.pt"), "--template", self.template, "--num-classes", 5, "-o", self.path("file"))
        self.assertEqual((code, out["error"]["slug"]), (3, "not-writable"))

    def test_wrong_channels_are_explained(self):
        code, out, _ = self.trace("--num-classes", 5, "--shape", "image=1x4x6x10")
        self.assertEqual((code, out["error"]["slug"]), (2, "model-raised"))
        self.assertIn("[1, 4, 6, 10]", out["error"]["message"])

    def test_picture_size_and_channels(self):
        code, out, _ = self.trace("--num-classes", 5, "--input-size", "8x14")
        self.assertEqual((code, out["parts"][0]["inputs"][0]["shape"]), (0, [1, 3, 8, 14]))
        with open(self.path("out/port.toml"), encoding="utf-8") as f:
            self.assertIn('shape_tag = "3x8x14"', f.read())
        code, out, _ = self.trace("--num-classes", 5, "--in-channels", 4)
        self.assertEqual((code, out["error"]["slug"]), (2, "model-raised"))
        self.assertIn("--in-channels", out["error"]["hint"])
        code, out, _ = self.trace("--num-classes", 5, "--shape", "picture=1x3x6x10")
        self.assertEqual((code, out["error"]["hint"]), (2, "inputs: image"))

    def test_shape_keeps_the_templates_dtype(self):
        self.write("tiny.py", TINY_TEMPLATE.replace('"dtype": "float32"', '"dtype": "float64"').replace("return nn", "return Cast(nn") + """
        )
class Cast(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
    def state_dict(self, *a, **k):
        return self.net.state_dict(*a, **k)
    def load_state_dict(self, *a, **k):
        return self.net.load_state_dict(*a, **k)
    def forward(self, x):
        return self.net(x.float())
""")
        code, out, log = self.trace("--num-classes", 5, "--shape", "image=1x3x8x8")
        self.assertEqual((code, out["parts"][0]["inputs"][0]["dtype"]), (0, "float64"), log)

    def test_names_with_control_characters_do_not_reach_the_terminal(self):
        torch.save({"a\x1b[31m": torch.ones(1)}, self.path("c.pt"))
        _, out, log = self.trace("--num-classes", 5)
        self.assertNotIn("\x1b", log)
        self.assertIn("a\x1b[31m", json.dumps(out, ensure_ascii=False).encode().decode("unicode_escape"))
