import importlib.util
import json
import os
import struct
import subprocess
import sys
import unittest
import wave
import zlib

import numpy as np
import torch
from npuport_torch import image, samples, storage, template, trace, whisper_audio, whisper_decode, whisper_vocab
from npuport_torch.errors import HelperError
from support import ROOT, SHARED, TempCase, helper
from torch import nn

DIMS = dict(n_mels=80, n_audio_ctx=50, n_audio_state=32, n_audio_head=4, n_audio_layer=2,
            n_vocab=51865, n_text_ctx=24, n_text_state=32, n_text_head=4, n_text_layer=2)
DEMO = os.path.join(ROOT, "demo", "whisper-nano")


def whisper():
    return template.find_template("whisper").module


class Mel(unittest.TestCase):
    def test_filters(self):
        f = whisper_audio.mel_filters(80)
        self.assertEqual(f.shape, (80, 201))
        # Triangles of area 1 over Hz (Slaney's norm), away from the coarse low bands: sum * bin width = 1.
        self.assertTrue(np.allclose(f[60:].sum(axis=1) * 40.0, 1.0, atol=0.05))
        self.assertTrue((np.diff(f.argmax(axis=1)) >= 0).all())
        # Two values of the table that openai-whisper ships (mel_filters.npz, "mel_80").
        self.assertAlmostEqual(float(f[0, 1]), 0.02486259490251541, places=7)
        self.assertAlmostEqual(float(f[1, 2]), 0.022871771827340126, places=7)

    def test_against_a_direct_transform(self):
        rng = np.random.default_rng(1)
        audio = (0.1 * rng.standard_normal(4000)).astype(np.float32)
        mel = whisper_audio.log_mel(audio, 80, 30)[0].numpy()
        # The definition, in double precision: window, discrete Fourier transform, filters, logarithm, range.
        padded = np.pad(audio, (0, 30 * 160 - 4000)).astype(np.float64)
        padded = np.pad(padded, 200, mode="reflect")
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        power = np.stack([np.abs(np.fft.rfft(padded[k * 160:k * 160 + 400] * window)) ** 2 for k in range(30)], axis=1)
        log = np.log10(np.maximum(whisper_audio.mel_filters(80).astype(np.float64) @ power, 1e-10))
        want = (np.maximum(log, log.max() - 8) + 4) / 4
        self.assertLess(np.abs(mel - want).max(), 1e-5)

    def test_wav_files(self):
        path = os.path.join(ROOT, "build-test.wav")
        self.addCleanup(lambda: os.path.exists(path) and os.remove(path))

        def write(rate, channels, values):
            with wave.open(path, "wb") as w:
                w.setparams((channels, 2, rate, 0, "NONE", ""))
                w.writeframes(np.array(values, "<i2").tobytes())
            return path

        self.assertEqual(whisper_audio.read_wav(write(16000, 1, [0, 16384, -32768])).tolist(), [0.0, 0.5, -1.0])
        self.assertEqual(whisper_audio.read_wav(write(16000, 2, [0, 16384, 8192, 8192])).tolist(), [0.25, 0.25])
        with self.assertRaises(HelperError):
            whisper_audio.read_wav(write(44100, 1, [0]))
        with open(path, "wb") as f:
            f.write(b"RIFF")
        with self.assertRaises(HelperError):
            whisper_audio.read_wav(path)


class Decode(unittest.TestCase):
    def test_special_tokens(self):
        info = whisper_decode.decode_info(DIMS)
        self.assertEqual(info["initial_tokens"], [50258, 50259, 50359, 50363])
        self.assertEqual((info["eot"], info["suppress_first"]), (50257, [220, 50257]))
        self.assertEqual(len(info["suppress_tokens"]), 88)
        self.assertEqual(info["suppress_tokens"][-6:], [50258, 50358, 50359, 50360, 50361, 50362])
        english = whisper_decode.decode_info({**DIMS, "n_vocab": 51864})
        self.assertEqual((english["initial_tokens"], english["eot"]), ([50257, 50362], 50256))
        v3 = whisper_decode.decode_info({**DIMS, "n_vocab": 51866})
        self.assertEqual(v3["initial_tokens"], [50258, 50259, 50360, 50364])
        self.assertEqual(whisper_decode.decode_info(DIMS, "zh")["initial_tokens"][1], 50260)

    def test_greedy_rules(self):
        info = {"initial_tokens": [0], "eot": 9, "pad_token": 9, "suppress_tokens": [5], "suppress_first": [7, 9], "max_tokens": 6,
                "max_new_tokens": 4}

        def decoder(favourites):
            def f(tokens, audio):
                logits = torch.zeros(1, tokens.shape[1], 10)
                for token, score in favourites.items():
                    logits[..., token] = score
                return logits
            return f

        self.assertEqual(whisper_decode.greedy(decoder({5: 9.0, 3: 1.0}), None, info), [3, 3, 3, 3])  # 5 is suppressed
        self.assertEqual(whisper_decode.greedy(decoder({9: 9.0, 3: 1.0}), None, info), [3])  # the end only after one token
        self.assertEqual(whisper_decode.greedy(decoder({7: 9.0, 3: 1.0}), None, info), [3, 7, 7, 7])
        info["max_tokens"] = 3
        self.assertEqual(whisper_decode.greedy(decoder({3: 1.0}), None, info), [3, 3])

    def test_fixed_length_gives_the_same_ids(self):
        torch.manual_seed(3)
        net = whisper().Whisper({**DIMS}).eval()
        nn.init.normal_(net.decoder.positional_embedding)
        info = {**whisper_decode.decode_info(DIMS), "max_new_tokens": 4}
        audio = torch.randn(1, 50, 32)
        a, b = (whisper_decode.greedy(net.decoder, audio, info, fixed) for fixed in (False, True))
        self.assertEqual(a, b)
        self.assertEqual(len(a), 4)


class Vocabulary(TempCase):
    def test_a_given_rank_file(self):
        self.assertEqual(len(whisper_vocab.read_ranks(os.path.join(DEMO, "vocab.txt"))), 50257)
        self.assertEqual(whisper_vocab.write(51865, self.top, os.path.join(DEMO, "vocab.txt")), "vocab.txt")
        with open(os.path.join(DEMO, "vocab.txt"), "rb") as a, open(self.path("vocab.txt"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        with open(os.path.join(DEMO, "vocab.txt"), encoding="ascii") as f:
            self.assertIn("MIT License", f.read(400))
        with self.assertRaises(HelperError):
            whisper_vocab.write(51864, self.top, os.path.join(DEMO, "vocab.txt"))

    def test_bad_rank_files(self):
        for text in ("YQ== 0\nYg== 2\n", "YQ==\n", "?? 0\n", "YQ== x\n"):
            with open(self.path("v"), "w", encoding="ascii") as f:
                f.write(text)
            with self.assertRaises(HelperError):
                whisper_vocab.read_ranks(self.path("v"))

    def test_the_oracle_file_is_what_the_package_says(self):
        if importlib.util.find_spec("whisper") is None or importlib.util.find_spec("tiktoken") is None:
            self.skipTest("the packages openai-whisper and tiktoken are not installed")
        script = os.path.join(ROOT, "tests", "pipelines", "make_whisper_oracle.py")
        r = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stdout.strip()), (0, "equal"), r.stderr)


class Network(TempCase):
    def test_key_names_are_openais(self):
        keys = set(whisper().Whisper(DIMS).state_dict())
        self.assertEqual(len(keys), 7 + 2 * 15 + 4 + 2 * 24)
        self.assertLessEqual({"encoder.conv1.weight", "encoder.positional_embedding", "encoder.blocks.1.attn.query.bias",
                              "encoder.blocks.0.mlp.2.weight", "encoder.ln_post.bias", "decoder.token_embedding.weight",
                              "decoder.positional_embedding", "decoder.blocks.0.cross_attn.value.weight",
                              "decoder.blocks.1.cross_attn_ln.bias", "decoder.ln.weight"}, keys)
        self.assertNotIn("encoder.blocks.0.attn.key.bias", keys)
        self.assertNotIn("decoder.mask", keys)

    def test_attention_against_pytorch(self):
        a = whisper().MultiHeadAttention(32, 4)
        b = nn.MultiheadAttention(32, 4, batch_first=True)
        with torch.no_grad():
            b.in_proj_weight.copy_(torch.cat([a.query.weight, a.key.weight, a.value.weight]))
            b.in_proj_bias.copy_(torch.cat([a.query.bias, torch.zeros(32), a.value.bias]))
            b.out_proj.weight.copy_(a.out.weight)
            b.out_proj.bias.copy_(a.out.bias)
        x, m = torch.randn(1, 7, 32), torch.randn(1, 9, 32)
        self.assertLess(float((a(x, m, None) - b(x, m, m)[0]).abs().max()), 1e-5)
        causal = torch.full((7, 7), float("-inf")).triu(1)
        ours = whisper().Decoder(10, 7, 32, 4, 1).mask
        self.assertLess(float((a(x, x, ours) - b(x, x, x, attn_mask=causal)[0]).abs().max()), 1e-6)

    def test_the_future_does_not_matter(self):
        net = whisper().Whisper(DIMS).eval()
        nn.init.normal_(net.decoder.positional_embedding)
        audio, tokens = torch.randn(1, 50, 32), torch.randint(0, 51865, (1, 24))
        other = tokens.clone()
        other[0, 10:] = 5
        a, b = net.decoder(tokens, audio), net.decoder(other, audio)
        self.assertTrue(torch.equal(a[:, :10], b[:, :10]))
        self.assertFalse(torch.equal(a[:, 10:], b[:, 10:]))

    def test_trace_of_a_small_model(self):
        torch.manual_seed(0)
        net = whisper().Whisper(DIMS)
        nn.init.normal_(net.decoder.positional_embedding)
        torch.save({"dims": DIMS, "model_state_dict": {k: v.half() for k, v in net.state_dict().items()}}, self.path("w.pt"))
        code, out, log = helper("trace", self.path("w.pt"), "--template", "whisper", "--half-storage", "-o", self.path("out"), "--count", 1)
        self.assertEqual(code, 0, log)
        self.assertEqual([(p["name"], p["outputs"][0]["shape"]) for p in out["parts"]], [("encoder", [1, 50, 32]), ("decoder", [1, 24, 51865]), ("cross_kv", [1, 50, 32]), ("decoder_kv", [1, 1, 51865])])
        # The table is stored once, as float16.
        self.assertLess(out["parts"][1]["bytes"], 51865 * 32 * 2 * 1.1 + 300000)
        with open(self.path("out/whisper_decode.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["dims"], DIMS)
        s = np.load(self.path("out/samples/decoder/000.npz"))
        self.assertEqual(s["in.0"].dtype, np.int64)
        self.assertEqual(s["out.0.shape"].tolist(), [1, 24, 51865])

    def test_cached_decoder_equals_the_full_one(self):
        torch.manual_seed(4)
        net = whisper().build_from({}, {"dims": {**DIMS, "n_text_ctx": 16}}).eval()
        nn.init.normal_(net.decoder.positional_embedding)
        tokens, audio = torch.randint(0, 51865, (1, 16)), torch.randn(1, 50, 32)
        module = {p.name: p.module for p in whisper().parts(net)}
        with torch.no_grad():
            want = net.decoder(tokens, audio)
            cross = module["cross_kv"](audio)
            caches = [[torch.zeros(1, 16, 32), torch.zeros(1, 16, 32), *cross[2 * n:2 * n + 2]] for n in range(2)]
            for position in range(16):
                mask = torch.full((1, 1, 1, 17), whisper().MASKED)
                mask[..., :position], mask[..., 16] = 0, 0
                flat = [t for layer in caches for t in layer]
                logits, *new = module["decoder_kv"](tokens[:, position:position + 1], torch.tensor([[position]]), mask, *flat)
                self.assertLess(float((logits[0, 0] - want[0, position]).abs().max()), 1e-4)
                for n in range(2):
                    for c in range(2):
                        caches[n][c][:, position] = new[2 * n + c][:, 0]

    def test_options_of_the_template(self):
        t = whisper()
        net = t.build_from({}, {"dims": DIMS, "kv": "false", "timestamps": "true", "language": "zh"})
        self.assertEqual([p.name for p in t.parts(net)], ["encoder", "decoder"])
        info = t._decode_info(net)
        self.assertEqual((info["timestamps"], info["language"], info["initial_tokens"][1]), (True, "zh", 50260))
        with self.assertRaises(HelperError):
            t._decode_info(t.build_from({}, {"dims": DIMS, "language": "xx"}))

    def test_no_dims(self):
        torch.save({"model_state_dict": whisper().Whisper(DIMS).state_dict()}, self.path("w.pt"))
        code, out, _ = helper("trace", self.path("w.pt"), "--template", "whisper", "-o", self.path("out"))
        self.assertEqual((code, out["error"]["slug"]), (2, "bad-input-data"))


class Storage(TempCase):
    def test_half_storage_computes_in_float32(self):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 5), nn.LayerNorm(5)).eval()
        for p in net.parameters():
            p.data = p.data.half().float()  # so that storing loses nothing
        x = torch.randn(1, 3, 6, 6)
        want = net(x).detach()
        storage.to_half_storage(net)
        self.assertTrue(all(p.dtype == torch.float16 for p in net.parameters()))
        got = net(x)
        self.assertEqual(got.dtype, torch.float32)
        self.assertTrue(torch.equal(got, want))


class Pictures(TempCase):
    def png(self, pixels, filters, colour=2):
        h, w, c = pixels.shape
        rows = b""
        for y in range(h):
            kind, line = filters[y % len(filters)], pixels[y].reshape(-1).astype(int)
            up = pixels[y - 1].reshape(-1).astype(int) if y else np.zeros(w * c, int)
            left, corner = np.concatenate([np.zeros(c, int), line[:-c]]), np.concatenate([np.zeros(c, int), up[:-c]])
            p = left + up - corner
            pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
            paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
            guess = [0 * line, left, up, (left + up) // 2, paeth][kind]
            rows += bytes([kind]) + ((line - guess) % 256).astype(np.uint8).tobytes()
        chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, colour, 0, 0, 0)) + \
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        with open(self.path("p.png"), "wb") as f:
            f.write(data)
        return self.path("p.png")

    def test_all_filters(self):
        pixels = np.random.default_rng(0).integers(0, 256, (11, 7, 3)).astype(np.uint8)
        self.assertTrue((image.read_png(self.png(pixels, [0, 1, 2, 3, 4, 4, 3])) == pixels).all())

    def test_grey_and_alpha(self):
        grey = np.arange(6).reshape(2, 3, 1).astype(np.uint8)
        self.assertTrue((image.read_png(self.png(grey, [0], 0)) == np.repeat(grey, 3, axis=2)).all())
        rgba = np.random.default_rng(0).integers(0, 256, (4, 5, 4)).astype(np.uint8)
        self.assertTrue((image.read_png(self.png(rgba, [4], 6)) == rgba[:, :, :3]).all())

    def test_bad_pictures(self):
        path = self.png(np.zeros((3, 3, 3), np.uint8), [0])
        with open(path, "rb") as f:
            data = f.read()
        for n in (0, 5, 20, 40, 45):
            with open(path, "wb") as f:
                f.write(data[:n])
            with self.assertRaises(HelperError):
                image.read_png(path)

    def test_crop(self):
        picture = np.zeros((10, 12, 3), np.uint8)
        picture[3:5, 4:6] = 100
        got = image.central_crop(picture, 4, 4, reduce=2)
        self.assertEqual(got.shape, (1, 3, 4, 4))
        self.assertEqual(got[0, 0, 1, 1], 100.0)
        with self.assertRaises(HelperError):
            image.central_crop(picture, 11, 4)


class Demo(TempCase):
    """The committed demos: what they hold is what the helper makes."""

    def test_archives_equal_their_baseline(self):
        for project, part in (("whisper-nano", "encoder"), ("edsr-nano", "edsr")):
            folder = os.path.join(ROOT, "demo", project)
            m = torch.jit.load(os.path.join(folder, part + ".pt"))
            s = np.load(os.path.join(folder, "samples", part, "000.npz"))
            got = m(torch.from_numpy(s["in.0"])).detach().numpy()
            self.assertLess(np.abs(got - s["out.0"]).max(), 1e-3, part)
        m = torch.jit.load(os.path.join(DEMO, "decoder.pt"))
        s = np.load(os.path.join(DEMO, "samples", "decoder", "000.npz"))
        got = m(torch.from_numpy(s["in.0"]), torch.from_numpy(s["in.1"])).detach().numpy()
        self.assertEqual(list(got.shape), s["out.0.shape"].tolist())
        self.assertLess(np.abs(got.reshape(-1)[s["out.0.index"]] - s["out.0"]).max(), 1e-3)

    def test_traced_again_from_its_own_weights(self):
        # No checkpoint is needed: the archive's weights, under their names, are one.
        for project, chosen, parts, extra in (("edsr-nano", "edsr", {"edsr": ""}, ["--set", "res_scale=0.1"]),):
            folder = os.path.join(ROOT, "demo", project)
            state = {prefix + k: v for part, prefix in parts.items()
                     for k, v in torch.jit.load(os.path.join(folder, part + ".pt")).state_dict().items()}
            torch.save(state, self.path("c.pt"))
            code, out, log = helper("trace", self.path("c.pt"), "--template", chosen, "--half-storage", "-o", self.path("again"), *extra)
            self.assertEqual(code, 0, log)
            for part in parts:
                a, b = (torch.jit.load(os.path.join(d, part + ".pt")) for d in (folder, self.path("again")))
                s = np.load(os.path.join(folder, "samples", part, "000.npz"))
                x = [torch.from_numpy(s[k]) for k in s.files if k.startswith("in.")]
                self.assertTrue(torch.equal(a(*x), b(*x)))

    def test_whisper_demo_from_the_checkpoint(self):
        path = os.path.join(SHARED, "models", "whisper-nano", "whisper-nano.pt")
        if not os.path.exists(path):
            self.skipTest("the whisper-nano checkpoint is not here (NPUPORT_SHARED)")
        from npuport_torch import checkpoint, keydiff
        ck = checkpoint.read_checkpoint(path)
        self.assertEqual(ck.stored_dtypes, {"float16": len(ck.state)})
        net = keydiff.load_into(whisper().build_from(ck.state, ck.extra), ck.state, "whisper").eval()
        clip = np.load(os.path.join(DEMO, "clips", "clip003.npz"))
        mel = whisper_audio.log_mel(whisper_audio.read_wav(os.path.join(SHARED, "models", "whisper-nano", "clip003.wav")))
        self.assertLess(np.abs(mel.numpy() - clip["mel"]).max(), 1e-6)
        with torch.no_grad():
            audio = net.encoder(mel)
            archive = torch.jit.load(os.path.join(DEMO, "encoder.pt"))(mel)
            self.assertLess(float((audio - archive).abs().max()), 1e-4)
            ids = whisper_decode.greedy(net.decoder, audio, whisper_decode.decode_info(net.dims))
        self.assertEqual(ids, clip["ids"].tolist())

    def test_clip_ids_are_openais(self):
        # What openai-whisper 20250625 decodes from the same clips (language="en", without_timestamps=True, fp16=False).
        with open(os.path.join(ROOT, "tests", "python", "whisper_nano_ids.json"), encoding="utf-8") as f:
            want = json.load(f)
        for name, ids in want.items():
            self.assertEqual(np.load(os.path.join(DEMO, "clips", name + ".npz"))["ids"].tolist(), ids, name)

    def test_no_paths_of_the_machine_inside(self):
        for project, part in (("whisper-nano", "encoder"), ("whisper-nano", "decoder"), ("whisper-nano", "decoder_kv"), ("edsr-nano", "edsr"),
                              ("marian-nano", "encoder"), ("marian-nano", "cross_kv"), ("marian-nano", "decoder_kv")):
            with open(os.path.join(ROOT, "demo", project, part + ".pt"), "rb") as f:
                data = f.read()
            self.assertNotIn(os.path.join(ROOT, "python").encode(), data)
            self.assertIn(b"npuport_torch/", data)
