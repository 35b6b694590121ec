import argparse
import os
import pickle
import zipfile
from collections import OrderedDict

import torch
from npuport_torch import checkpoint, keydiff
from npuport_torch.errors import HelperError
from support import TempCase, helper, tiny
from torch import nn


class Evil:
    """Pickles into a call that creates a file when it is loaded by a trusting reader."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


class Checkpoints(TempCase):
    def save(self, obj, name="c.pt", **kwargs):
        torch.save(obj, self.path(name), **kwargs)
        return self.path(name)

    def test_state_dict_message_and_values(self):
        net = tiny()
        ck = checkpoint.read_checkpoint(self.save(net.state_dict()))
        self.assertEqual(ck.message(), "Checkpoint: state_dict only (template required).")
        self.assertEqual(list(ck.state), list(net.state_dict()))
        for k, v in net.state_dict().items():
            self.assertTrue(torch.equal(ck.state[k], v), k)

    def test_full_module_message_without_running_it(self):
        path = self.save(tiny())
        ck = checkpoint.read_checkpoint(path)
        self.assertEqual(ck.message(), "Checkpoint: full module (no template required).")
        self.assertIn("torch.nn.modules.container.Sequential", ck.classes)
        # The weights are readable all the same.
        for k, v in tiny().state_dict().items():
            self.assertEqual(ck.state[k].shape, v.shape)
        code, out, _ = helper("inspect", path)
        self.assertEqual((code, out["kind"], out["message"]), (0, "full-module", "Checkpoint: full module (no template required)."))

    def test_wrapped_weights(self):
        state = tiny().state_dict()
        cases = {
            "model_state_dict": {"model_state_dict": state, "epoch": 3, "optimizer_state_dict": {"lr": 0.1}},
            "state_dict": {"state_dict": state, "arch": "tiny"},
            "model": {"model": state},
            "module.": OrderedDict(("module." + k, v) for k, v in state.items()),
            "state_dict module.": {"state_dict": {"module." + k: v for k, v in state.items()}},
            "_orig_mod.": {"_orig_mod." + k: v for k, v in state.items()},
        }
        for wrapper, obj in cases.items():
            ck = checkpoint.read_checkpoint(self.save(obj))
            self.assertEqual((ck.kind, list(ck.state)), ("state-dict", list(state)), wrapper)
            self.assertEqual(ck.nested, wrapper.split())

    def test_averaged_weights_are_preferred(self):
        raw, ema = tiny().state_dict(), {k: v * 0 + 1 for k, v in tiny().state_dict().items()}
        for raw_key, ema_key in (("params", "params_ema"), ("state_dict", "state_dict_ema"), ("model", "ema")):
            path = self.save({raw_key: raw, ema_key: ema})
            self.assertEqual(checkpoint.read_checkpoint(path).nested, [ema_key])
            self.assertEqual(checkpoint.read_checkpoint(path, use_ema=False).nested, [raw_key])
        self.assertEqual(float(checkpoint.read_checkpoint(path).state["0.bias"][0]), 1.0)

    def test_one_entry_of_any_name_is_taken_and_several_are_asked_about(self):
        one, two = tiny().state_dict(), {k: v + 1 for k, v in tiny().state_dict().items()}
        ck = checkpoint.read_checkpoint(self.save({"generator": one, "epoch": 4}))
        self.assertEqual((ck.kind, ck.nested, ck.extra), ("state-dict", ["generator"], {"epoch": 4}))
        path = self.save({"generator": one, "discriminator": two, "deep": {"er": two}})
        with self.assertRaisesRegex(HelperError, "several sets of weights: generator, discriminator") as caught:
            checkpoint.read_checkpoint(path)
        self.assertIn("--key generator", caught.exception.hint)
        for key in ("discriminator", "deep.er"):
            ck = checkpoint.read_checkpoint(path, key=key)
            self.assertEqual(ck.nested, [key])
            self.assertTrue(torch.equal(ck.state["0.bias"], two["0.bias"]))
        with self.assertRaisesRegex(HelperError, "no entry 'critic'; it holds generator, discriminator, deep"):
            checkpoint.read_checkpoint(path, key="critic")

    def test_prefix_stays_when_only_some_keys_have_it(self):
        ck = checkpoint.read_checkpoint(self.save({"module.a": torch.ones(1), "b": torch.ones(1)}))
        self.assertEqual(list(ck.state), ["module.a", "b"])

    def test_whole_module_inside_a_dict(self):
        ck = checkpoint.read_checkpoint(self.save({"model": tiny(), "epoch": 1}))
        self.assertEqual((ck.kind, ck.nested), ("full-module", ["model"]))

    def test_half_and_double_become_float32(self):
        state = {"h": torch.tensor([1.5, -2.25]).half(), "b": torch.ones(2).bfloat16(), "d": torch.ones(2).double(),
                 "i": torch.tensor([7]), "f": torch.ones(1)}
        ck = checkpoint.read_checkpoint(self.save(state))
        self.assertEqual({k: v.dtype for k, v in ck.state.items()}, {"h": torch.float32, "b": torch.float32, "d": torch.float32,
                                                                     "i": torch.int64, "f": torch.float32})
        self.assertEqual(ck.state["h"].tolist(), [1.5, -2.25])
        self.assertEqual(ck.upcast, 3)

    def test_tied_weights_stay_tied(self):
        w = torch.ones(3, 2).half()
        ck = checkpoint.read_checkpoint(self.save({"embed.weight": w, "head.weight": w}))
        self.assertEqual(ck.state["embed.weight"].data_ptr(), ck.state["head.weight"].data_ptr())
        self.assertEqual(ck.parameters(), 6)

    def test_foreign_objects_beside_the_weights_are_not_loaded(self):
        path = self.save({"state_dict": tiny().state_dict(), "args": argparse.Namespace(lr=1), "evil": Evil(self.path("made"))})
        ck = checkpoint.read_checkpoint(path)
        self.assertEqual(ck.kind, "state-dict")
        self.assertIn("argparse.Namespace", ck.classes)
        self.assertFalse(os.path.exists(self.path("made")))

    def test_no_code_runs_in_any_format(self):
        for kwargs in ({}, {"_use_new_zipfile_serialization": False}):
            path = self.save({"state_dict": {"w": torch.ones(1)}, "evil": Evil(self.path("made"))}, **kwargs)
            self.assertEqual(checkpoint.read_checkpoint(path).kind, "state-dict")
            self.assertFalse(os.path.exists(self.path("made")))
        with open(self.path("raw.pt"), "wb") as f:
            pickle.dump(Evil(self.path("made")), f)
        with self.assertRaises(HelperError):
            checkpoint.read_checkpoint(self.path("raw.pt"))
        self.assertFalse(os.path.exists(self.path("made")))

    def test_old_format(self):
        net = tiny()
        ck = checkpoint.read_checkpoint(self.save(net.state_dict(), _use_new_zipfile_serialization=False))
        self.assertTrue(torch.equal(ck.state["5.weight"], net.state_dict()["5.weight"]))

    def test_full_module_needs_trust(self):
        path = self.save(tiny())
        with self.assertRaises(HelperError) as e:
            checkpoint.load_full_module(path, trust=False)
        self.assertEqual((e.exception.slug, e.exception.exit_code), ("unsafe-pickle", 2))
        self.assertIn("--trust-pickle", e.exception.hint)
        self.assertIsInstance(checkpoint.load_full_module(path, trust=True), nn.Sequential)

    def test_bad_files(self):
        path = self.save(tiny().state_dict())
        with open(path, "rb") as f:
            data = f.read()
        cases = {"empty": (b"", "truncated-file"), "cut": (data[:len(data) // 2], "truncated-file"),
                 "text": (b"hello world, no model", "unknown-format"), "elf": (b"\x7fELF" + bytes(60), "unknown-format"),
                 "pickle cut": (b"\x80\x02}q\x00(X\x04", "corrupt-file")}
        for name, (content, slug) in cases.items():
            with open(self.path("bad.pt"), "wb") as f:
                f.write(content)
            with self.assertRaises(HelperError, msg=name) as e:
                checkpoint.read_checkpoint(self.path("bad.pt"))
            self.assertEqual(e.exception.slug, slug, name)
        for missing in (self.path("none.pt"), self.top):
            with self.assertRaises(HelperError):
                checkpoint.read_checkpoint(missing)
        with zipfile.ZipFile(self.path("z.zip"), "w") as z:
            z.writestr("a.txt", "x")
        with self.assertRaises(HelperError) as e:
            checkpoint.read_checkpoint(self.path("z.zip"))
        self.assertIn("no data.pkl", e.exception.message)

    def test_cut_data_at_every_length_is_an_error_value(self):
        path = self.save({"w": torch.arange(40.0)})
        with open(path, "rb") as f:
            data = f.read()
        for n in range(0, len(data) - 1, 37):
            with open(self.path("cut.pt"), "wb") as f:
                f.write(data[:n])
            with self.assertRaises(HelperError):
                checkpoint.read_checkpoint(self.path("cut.pt"))

    def test_torchscript_and_empty_dicts_are_named(self):
        torch.jit.save(torch.jit.trace(tiny(), torch.ones(1, 3, 6, 10)), self.path("ts.pt"))
        with self.assertRaises(HelperError) as e:
            checkpoint.read_checkpoint(self.path("ts.pt"))
        self.assertIn("TorchScript archive already", e.exception.message)
        with self.assertRaises(HelperError) as e:
            checkpoint.read_checkpoint(self.save({"epoch": 1, "lr": 0.5}))
        self.assertIn("epoch", e.exception.message)

    def test_tensors_outside_their_storage_are_refused(self):
        path = self.save({"w": torch.arange(6.0).reshape(2, 3)})
        with zipfile.ZipFile(path) as z:
            entries = {n: z.read(n) for n in z.namelist()}
        for change in ((b"K\x02K\x03\x86", b"K\x02K\x07\x86"), (b"K\x03K\x01\x86", b"K\x7fK\x01\x86")):
            with zipfile.ZipFile(self.path("bad.pt"), "w") as z:
                for n, data in entries.items():
                    self.assertTrue(not n.endswith("data.pkl") or change[0] in data)
                    z.writestr(n, data.replace(*change) if n.endswith("data.pkl") else data)
            with self.assertRaises(HelperError) as e:
                checkpoint.read_checkpoint(self.path("bad.pt"))
            self.assertEqual(e.exception.slug, "corrupt-file")

    def test_views_strides_and_dtypes_survive(self):
        base = torch.arange(12)
        state = {"t": torch.arange(6.0).reshape(2, 3).t(), "v": base[2:8], "w": base[4:], "z": torch.zeros(0, 3), "s": torch.tensor(2.5),
                 "u": torch.tensor([200], dtype=torch.uint8), "b": torch.tensor([True, False]), "n": torch.tensor([-3], dtype=torch.int16)}
        for kwargs in ({}, {"_use_new_zipfile_serialization": False}):
            ck = checkpoint.read_checkpoint(self.save(state, **kwargs))
            for k, v in state.items():
                self.assertEqual((ck.state[k].dtype, ck.state[k].tolist()), (v.dtype, v.tolist()), k)

    def test_big_endian_archives(self):
        path = self.save({"w": torch.tensor([1.0, 2.5]), "i": torch.tensor([3, 4])})
        with zipfile.ZipFile(path) as z, zipfile.ZipFile(self.path("be.pt"), "w") as out:
            for n in z.namelist():
                data = z.read(n)
                if "/data/" in n:
                    word = len(data) // 2
                    data = data[:word][::-1] + data[word:][::-1]
                if not n.endswith("byteorder"):
                    out.writestr(n, data)
            out.writestr(n.split("/")[0] + "/byteorder", "big")
        ck = checkpoint.read_checkpoint(self.path("be.pt"))
        self.assertEqual((ck.state["w"].tolist(), ck.state["i"].tolist()), ([1.0, 2.5], [3, 4]))

    def test_input_channels(self):
        for c in (1, 3, 4):
            state = {"norm.weight": torch.ones(3), "conv.weight": torch.ones(8, c, 3, 3)}
            self.assertEqual(checkpoint.input_channels(state), c)
        self.assertIsNone(checkpoint.input_channels({"fc.weight": torch.ones(2, 2)}))


class KeyDiff(TempCase):
    def test_lists_and_guesses(self):
        wanted = {"layer1.conv.weight": torch.ones(4, 3, 3, 3), "layer1.conv.bias": torch.ones(4), "fc.weight": torch.ones(10, 4),
                  "bn.num_batches_tracked": torch.tensor(0)}
        given = {"block1.conv.weight": torch.ones(4, 3, 3, 3), "fc.weight": torch.ones(7, 4), "other": torch.ones(2, 2)}
        d = keydiff.diff(wanted, given)
        self.assertEqual([r["key"] for r in d["missing"]], ["layer1.conv.weight", "layer1.conv.bias"])
        self.assertEqual(d["missing"][0]["guess"], "block1.conv.weight")
        self.assertEqual([r["key"] for r in d["unexpected"]], ["block1.conv.weight", "other"])
        self.assertEqual(d["shape_mismatch"], [{"key": "fc.weight", "model": [10, 4], "checkpoint": [7, 4]}])

    def test_guess_prefers_equal_shape(self):
        wanted = {"enc.a.weight": torch.ones(3, 2)}
        given = {"enc.b.weight": torch.ones(5, 5), "enc.c.weight": torch.ones(3, 2)}
        self.assertEqual(keydiff.diff(wanted, given)["missing"][0]["guess"], "enc.c.weight")

    def test_error_carries_everything(self):
        with self.assertRaises(HelperError) as e:
            keydiff.load_into(tiny(5), tiny(7).state_dict(), "tiny")
        self.assertEqual(e.exception.exit_code, 2)
        self.assertIn("--num-classes 7", e.exception.hint)
        self.assertEqual(len(e.exception.details["key_diff"]["shape_mismatch"]), 2)

    def test_equal_keys_load(self):
        a, b = tiny(), tiny()
        with torch.no_grad():
            a[0].weight.fill_(3.0)
        keydiff.load_into(b, a.state_dict(), "tiny")
        self.assertTrue(torch.equal(b[0].weight, a[0].weight))
