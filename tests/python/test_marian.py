"""The Marian template against the equations written out once more, and its way through `trace`."""

import importlib.util
import json
import math
import os
import random
import shutil
import unittest

import numpy as np
import torch
from npuport_torch import marian_text, template
from npuport_torch.errors import HelperError
from npuport_torch.samples import flatten
from support import ROOT, SHARED, TempCase, helper

CONFIG = {"d_model": 16, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4, "decoder_attention_heads": 2,
          "encoder_ffn_dim": 24, "decoder_ffn_dim": 20, "vocab_size": 40, "max_position_embeddings": 32, "max_length": 32,
          "activation_function": "swish", "scale_embedding": True, "eos_token_id": 0, "pad_token_id": 39,
          "decoder_start_token_id": 39, "bad_words_ids": [[39]]}
DEMO = os.path.join(ROOT, "demo", "marian-nano")


def marian():
    return template.find_template("marian").module


def network(config=CONFIG, options=None, state=None, seed=3):
    """A network of random weights, its logits' bias too."""
    torch.manual_seed(seed)
    net = marian().Marian(config, {"source_tokens": 12, "max_tokens": 10, **(options or {})}, state).eval()
    for p in [*net.parameters(), net.final_logits_bias]:
        torch.nn.init.normal_(p.data, std=0.4)
    return net


class Plain:
    """Marian's equations for one sentence in double precision, loops instead of batches, from a state_dict alone."""

    def __init__(self, state, config):
        self.w = {k: v.double().numpy() for k, v in state.items()}
        self.c = config

    def linear(self, name, x):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, name, x):
        y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return y * self.w[name + ".weight"] + self.w[name + ".bias"]

    def attention(self, name, heads, x, memory, causal):
        q, k, v = (self.linear(f"{name}.{p}_proj", t) for p, t in (("q", x), ("k", memory), ("v", memory)))
        size = x.shape[1] // heads
        out = np.zeros_like(q)
        for row in range(len(x)):
            seen = row + 1 if causal else len(memory)
            for h in range(heads):
                part = slice(h * size, (h + 1) * size)
                score = k[:seen, part] @ q[row, part] / math.sqrt(size)
                weight = np.exp(score - score.max())
                out[row, part] = weight / weight.sum() @ v[:seen, part]
        return self.linear(f"{name}.out_proj", out)

    def embedded(self, ids):
        d = self.c["d_model"]
        x = self.w["model.shared.weight"][ids] * (math.sqrt(d) if self.c["scale_embedding"] else 1.0)
        for row in range(len(ids)):
            for i in range(d // 2):
                x[row, i] += math.sin(row / 10000 ** (2 * i / d))
                x[row, d // 2 + i] += math.cos(row / 10000 ** (2 * i / d))
        return x

    def feed_forward(self, name, x):
        y = self.linear(f"{name}.fc1", x)
        y = {"swish": y / (1 + np.exp(-y)), "relu": np.maximum(y, 0)}[self.c["activation_function"]]
        return self.norm(f"{name}.final_layer_norm", x + self.linear(f"{name}.fc2", y))

    def logits(self, source, target):
        x = self.embedded(source)
        for n in range(self.c["encoder_layers"]):
            name = f"model.encoder.layers.{n}"
            x = self.norm(f"{name}.self_attn_layer_norm",
                          x + self.attention(f"{name}.self_attn", self.c["encoder_attention_heads"], x, x, False))
            x = self.feed_forward(name, x)
        memory, x = x, self.embedded(target)
        for n in range(self.c["decoder_layers"]):
            name, heads = f"model.decoder.layers.{n}", self.c["decoder_attention_heads"]
            x = self.norm(f"{name}.self_attn_layer_norm", x + self.attention(f"{name}.self_attn", heads, x, x, True))
            x = self.norm(f"{name}.encoder_attn_layer_norm", x + self.attention(f"{name}.encoder_attn", heads, x, memory, False))
            x = self.feed_forward(name, x)
        return x @ self.w["model.shared.weight"].T + self.w["final_logits_bias"]


class Network(unittest.TestCase):
    def test_equals_the_equations(self):
        for change in ({}, {"activation_function": "relu", "scale_embedding": False}):
            config = {**CONFIG, **change}
            net = network(config)
            source, target = [5, 9, 2, 31, 0], [39, 4, 4, 17]
            tokens, mask = marian().padded(source, marian().decode_info(net))
            with torch.no_grad():
                got = net(tokens, mask, torch.tensor([target]))[0].numpy()
            want = Plain(net.state_dict(), config).logits(source, target)
            self.assertLess(np.abs(got - want).max(), 1e-4 * np.abs(want).max(), change)

    def test_parts_equal_the_network(self):
        net = network()
        m, info = marian(), marian().decode_info(net)
        encoder, cross_kv, step = (p.module for p in m.parts(net))
        source, target = [5, 9, 2, 31, 7, 0], [39, 4, 4, 17, 8, 1, 2, 3, 30, 6]
        tokens, mask = m.padded(source, info)
        with torch.no_grad():
            want = net(tokens, mask, torch.tensor([target]))[0]
            cross = cross_kv(encoder(tokens, mask))
            self.assertEqual([list(t.shape) for t in cross], [[3, 1, 12, 16]] * 2)
            caches = [torch.full((3, 1, 10, 16), 7.0) for _ in range(2)]  # what is masked may hold anything
            for position, token in enumerate(target):
                seen = torch.full((1, 1, 1, 11), m.MASKED)
                seen[..., :position], seen[..., 10] = 0, 0
                logits, *new = step(torch.tensor([[token]]), torch.tensor([[position]]), seen, mask, *caches, *cross)
                self.assertLess(float((logits[0, 0] - want[position]).abs().max()), 1e-4)
                for cache, row in zip(caches, new):
                    self.assertEqual(list(row.shape), [3, 1, 1, 16])
                    cache[:, :, position] = row[:, :, 0]

    def test_padding_does_not_matter(self):
        net, m = network(), marian()
        info = m.decode_info(net)
        tokens, mask = m.padded([5, 9, 2, 0], info)
        other = tokens.clone()
        other[:, 4:] = 17
        with torch.no_grad():
            a, b = net.encode(tokens, mask), net.encode(other, mask)
        self.assertTrue(torch.equal(a[:, :4], b[:, :4]))

    def test_what_a_checkpoint_stores_twice(self):
        m = marian()
        state = network().state_dict()
        shared = state["model.shared.weight"]
        tied = {**state, **{k: shared for k in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")},
                **{f"model.{side}.embed_positions.weight": m.sinusoids(32, 16) for side in ("encoder", "decoder")}}
        apart = {k: v + torch.randn_like(v) if "embed_tokens" in k or k == "lm_head.weight" else v for k, v in tied.items()}
        lone = {k: v for k, v in apart.items() if k != "model.shared.weight"}  # vocabularies of their own for both languages
        source, target = [5, 9, 2, 0], torch.tensor([[39, 4, 17]])
        answers = []
        for s in (state, tied, apart, lone):
            net = network(state=s)
            self.assertEqual(set(net.state_dict()), set(s))
            net.load_state_dict(s)
            with torch.no_grad():
                answers.append(net(*m.padded(source, m.decode_info(net)), target))
        self.assertTrue(torch.equal(answers[0], answers[1]))
        self.assertFalse(torch.allclose(answers[0], answers[2]))
        self.assertTrue(torch.equal(answers[2], answers[3]))
        tables = lambda s: len({p.data_ptr() for n, p in network(state=s).named_parameters() if p.shape == shared.shape})
        self.assertEqual([tables(s) for s in (state, tied, apart, lone)], [1, 1, 4, 3])

    def test_decoding_rules(self):
        info = marian().decode_info(network())
        self.assertEqual((info["source_tokens"], info["max_tokens"], info["max_new_tokens"]), (12, 10, 9))
        self.assertEqual((info["decoder_start_token"], info["eos"], info["pad_token"], info["suppress_tokens"]), (39, 0, 39, [39]))
        with self.assertRaises(HelperError):
            marian().decode_info(network(options={"max_tokens": 33}))
        with self.assertRaises(HelperError):
            marian().decode_info(network({**CONFIG, "bad_words_ids": [[1, 2]]}))

    def test_greedy(self):
        net, m = network(), marian()
        info = {**m.decode_info(net), "suppress_tokens": list(range(1, 40))}
        self.assertEqual(m.greedy(net, [5, 0], info), [])  # only the end token is left
        info = {**m.decode_info(net), "suppress_tokens": [0, *range(2, 40)], "max_new_tokens": 4}
        self.assertEqual(m.greedy(net, [5, 0], info), [1, 1, 1, 1])


class Trace(TempCase):
    def checkpoint(self, config=CONFIG, files=True):
        torch.save(network().state_dict(), self.path("pytorch_model.bin"))
        self.write("config.json", json.dumps(config))
        if files:
            for name in marian_text.FILES.values():
                shutil.copy(os.path.join(DEMO, name), self.path(name))
        return self.path("pytorch_model.bin")

    def trace(self, checkpoint, *more):
        return helper("trace", checkpoint, "--template", "marian", "--set", "source_tokens=12", "--set", "max_tokens=10", "-o",
                      self.path("out"), *more)

    def test_project(self):
        checkpoint = self.checkpoint()
        np.savez(self.path("one.npz"), source=np.array([5, 9, 0]))
        code, out, log = self.trace(checkpoint, "--data", self.path("one.npz"))
        self.assertEqual(code, 0, log)
        self.assertEqual([(p["name"], [o["shape"] for o in p["outputs"]]) for p in out["parts"]],
                         [("encoder", [[1, 12, 16]]), ("cross_kv", [[3, 1, 12, 16]] * 2),
                          ("decoder_kv", [[1, 1, 40], [3, 1, 1, 16], [3, 1, 1, 16]])])
        for name in ("marian_decode.json", "sentences/s001.npz", *marian_text.FILES.values()):
            self.assertIn(name, out["files"])
        self.assertTrue(self.trace(checkpoint, "--data", self.path("one.npz"))[2].endswith("(same checkpoint, template and options)\n"))
        # The configuration lies beside the checkpoint: a change of it is a change of the trace.
        self.write("config.json", json.dumps({**CONFIG, "scale_embedding": False}))
        code, changed, _ = self.trace(checkpoint, "--data", self.path("one.npz"))
        self.assertNotEqual(changed["files"]["encoder.pt"], out["files"]["encoder.pt"])

    def test_without_sentences(self):
        code, _, log = self.trace(self.checkpoint())
        self.assertEqual(code, 0, log)
        with open(self.path("out", "port.toml"), encoding="utf-8") as f:
            self.assertIn('[task]\nkind = "nmt"\nsamples = []\ndecode = "marian_decode.json"\n', f.read())

    def test_refusals(self):
        checkpoint = self.checkpoint()
        state, extra = torch.load(checkpoint), {"checkpoint_path": checkpoint, "source_tokens": 12, "max_tokens": 10}
        for change, slug in (({"normalize_before": True}, "unsupported-feature"), ({"activation_function": "softplus9"}, "unsupported-feature"),
                             ({"d_model": "16"}, "bad-input-data"), ({"encoder_attention_heads": 5}, "bad-input-data")):
            self.write("config.json", json.dumps({**CONFIG, **change}))
            with self.assertRaises(HelperError) as caught:
                marian().build_from(state, extra)
            self.assertEqual(caught.exception.slug, slug, change)
        self.write("config.json", json.dumps(CONFIG))
        net = marian().build_from(state, extra)
        np.savez(self.path("long.npz"), source=np.arange(13))
        np.savez(self.path("high.npz"), source=np.array([40]))
        self.write("cut.npz", "PK")
        for name in ("long.npz", "high.npz", "cut.npz"):
            with self.assertRaises(HelperError) as caught:
                marian_text.read_sentences([self.path(name)], self.top, CONFIG, marian().decode_info(net))
            self.assertIn(name, caught.exception.message)

    def test_refusals_of_the_whole_command(self):
        code, out, _ = self.trace(self.checkpoint(files=False))
        self.assertEqual((code, out["error"]["slug"]), (2, "file-not-found"))
        state = {k: v for k, v in network().state_dict().items() if k != "final_logits_bias"}
        torch.save(state, self.path("pytorch_model.bin"))  # never a silent zero
        self.assertEqual(self.trace(self.path("pytorch_model.bin"))[1]["error"]["slug"], "shape-mismatch")
        self.write("config.json", "{")
        self.assertEqual(self.trace(self.path("pytorch_model.bin"))[1]["error"]["slug"], "bad-input-data")


class Text(TempCase):
    """With the real tokeniser of opus-mt-en-mg."""

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(SHARED, "data", "marian_en_mg_vocab")
        if not os.path.isdir(self.folder):
            self.skipTest("marian_en_mg_vocab is not here (NPUPORT_SHARED)")
        self.tokenizer = marian_text.Tokenizer.or_none(self.folder, 0)
        if not self.tokenizer:
            self.skipTest("the Python package sentencepiece is not installed")

    def test_pieces_and_back(self):
        ids = self.tokenizer.encode("The house is small.")
        self.assertEqual(ids[-1], 0)
        self.assertNotIn(self.tokenizer.ids["<unk>"], ids)
        self.assertEqual(self.tokenizer.encode("\u1208\u1210")[-2], self.tokenizer.ids["<unk>"])
        words = [self.tokenizer.ids[p] for p in self.tokenizer.target.encode("Kely ny trano.", out_type=str)]
        self.assertEqual(self.tokenizer.decode([54687, *words, 0]), "Kely ny trano.")

    def test_language_in_front(self):
        self.tokenizer.ids[">>mlg<<"] = 7
        self.assertEqual(self.tokenizer.encode(">>mlg<< Hello")[0], 7)
        self.assertEqual(self.tokenizer.encode(">>mlg<< Hello")[1:], self.tokenizer.encode("Hello"))


def trainer():
    spec = importlib.util.spec_from_file_location("marian_nano_train", os.path.join(DEMO, "train.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Demo(TempCase):
    """demo/marian-nano: its grammar, and that it holds what the helper makes."""

    def rows(self):
        with open(os.path.join(DEMO, "sentences.tsv"), encoding="utf-8") as f:
            return [line.rstrip("\n").split("\t") for line in f][1:]

    def test_grammar(self):
        t = trainer()
        for n, en, de in ((0, "zero", "null"), (1, "one", "eins"), (21, "twenty-one", "einundzwanzig"), (101, "one hundred and one", "einhunderteins"),
                          (317, "three hundred and seventeen", "dreihundertsiebzehn"), (1066, "one thousand and sixty-six", "eintausendsechsundsechzig")):
            self.assertEqual((t.english(n), t.german(n)), (en, de))
        self.assertEqual([t.ordinal(n) for n in (1, 3, 7, 16, 21, 30)],
                         [("first", "ersten"), ("third", "dritten"), ("seventh", "siebten"), ("sixteenth", "sechzehnten"),
                          ("twenty-first", "einundzwanzigsten"), ("thirtieth", "dreißigsten")])
        rng, made = random.Random(5), {}
        for _ in range(3000):
            en, de = t.sentence(rng)
            self.assertEqual(made.setdefault(en, de), de)  # one translation for each sentence

    def test_sentences_were_held_out_and_are_right(self):
        t, rows = trainer(), self.rows()
        self.assertGreaterEqual(len(rows), 8)
        for name, source, text, reference in rows:
            self.assertTrue(t.held_out(source), source)
            self.assertEqual(text, reference)
        self.assertEqual([r[0] + ".npz" for r in rows], sorted(os.listdir(os.path.join(DEMO, "sentences"))))

    def test_traced_again_from_its_own_weights(self):
        # No checkpoint is needed: the archives' weights, under their names, are one.
        names = {"shared": "model.shared", "encoder": "model.encoder", "decoder": "model.decoder", "final_logits_bias": "final_logits_bias"}
        state = {}
        for part in ("encoder", "decoder_kv"):
            for key, value in torch.jit.load(os.path.join(DEMO, part + ".pt")).state_dict().items():
                first, dot, rest = key.partition(".")
                if first in names and rest != "positions":
                    state[names[first] + dot + rest] = value
        torch.save(state, self.path("pytorch_model.bin"))
        for name in marian_text.FILES.values():
            shutil.copy(os.path.join(DEMO, name), self.path(name))
        with open(self.path("vocab.json"), encoding="utf-8") as f:
            self.write("config.json", json.dumps(trainer().make_config(json.load(f))))
        given = [os.path.join(DEMO, "sentences", name) for name in sorted(os.listdir(os.path.join(DEMO, "sentences")))]
        data = given
        try:
            import sentencepiece  # noqa: F401
            data = [self.write("sentences.txt", "".join(f"{r[1]}\t{r[3]}\n" for r in self.rows()))]
        except ImportError:
            pass
        code, _, log = helper("trace", self.path("pytorch_model.bin"), "--template", "marian", "--half-storage", "--name", "marian_nano", "--set", "source_tokens=40",
                              "--set", "max_tokens=40",
                              "--data", *data, "-o", self.path("again"))
        self.assertEqual(code, 0, log)
        for path in given:
            a, b = np.load(path), np.load(self.path("again", "sentences", os.path.basename(path)))
            for key in ("source", "ids"):
                self.assertEqual(a[key].tolist(), b[key].tolist(), path)
        same = ["marian_decode.json", "port.toml", *marian_text.FILES.values()] + (["sentences.tsv"] if data is not given else [])
        for name in same:
            with open(os.path.join(DEMO, name), "rb") as x, open(self.path("again", name), "rb") as y:
                self.assertEqual(x.read(), y.read(), name)
        for part in ("encoder", "cross_kv", "decoder_kv"):
            a, b = (torch.jit.load(os.path.join(d, part + ".pt")) for d in (DEMO, self.path("again")))
            s = np.load(os.path.join(DEMO, "samples", part, "000.npz"))
            x = [torch.from_numpy(s[f"in.{k}"]) for k in range(sum(n.startswith("in.") for n in s.files))]
            for got, want, kept in zip(flatten(b(*x)), flatten(a(*x)), [s[n] for n in s.files if n.startswith("out.")]):
                self.assertTrue(torch.equal(got, want), part)
                self.assertLess(np.abs(want.detach().numpy() - kept).max(), 1e-4, part)


if __name__ == "__main__":
    unittest.main()
