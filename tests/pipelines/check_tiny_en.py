"""Real Whisper weights end to end: trace, port, transcribe, against PyTorch's texts of the same clips.

    python check_tiny_en.py --npuport PROGRAM --shared DIR --work DIR

DIR/data/whisper_tiny_en_digits holds tiny.en with a token table fitted for spoken digits (its README says how). The
Python that runs this needs PyTorch and the package openai-whisper (for the English vocabulary and as a third opinion).
Exit code 0 also when something is missing: the reason is printed behind "SKIPPED".
"""

import argparse
import csv
import glob
import importlib.util
import json
import os
import subprocess
import sys


def run(argv):
    print("+", " ".join(argv), flush=True)
    return subprocess.run(argv, check=True)


def openai_texts(checkpoint, clips):
    """whisper.decode's greedy text of each clip, whole 30 s window, without timestamps."""
    import whisper
    model = whisper.load_model(checkpoint, device="cpu")
    options = whisper.DecodingOptions(language="en", without_timestamps=True, fp16=False)
    out = {}
    for path in clips:
        import numpy as np
        import wave
        with wave.open(path, "rb") as w:
            audio = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768.0
        out[os.path.basename(path)] = whisper.decode(model, whisper.log_mel_spectrogram(whisper.pad_or_trim(audio)), options).text
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("npuport", "shared", "work"):
        parser.add_argument("--" + name, required=True)
    a = parser.parse_args()
    data = os.path.join(a.shared, "data", "whisper_tiny_en_digits")
    checkpoint = os.path.join(data, "tiny_en_digits.pt")
    if not os.path.exists(checkpoint):
        print(f"SKIPPED: {checkpoint} is not here")
        return 0
    for module in ("torch", "whisper", "tiktoken"):
        if importlib.util.find_spec(module) is None:
            print(f"SKIPPED: {sys.executable} has no package {module}")
            return 0
    clips = sorted(glob.glob(os.path.join(data, "clips", "*.wav"))) + sorted(glob.glob(os.path.join(a.shared, "data", "speech", "*.wav")))
    traced, out = os.path.join(a.work, "traced"), os.path.join(a.work, "out")
    run([a.npuport, "--tool", "python=" + sys.executable, "trace", checkpoint, "--template", "whisper", "--half-storage", "--name", "tiny_en",
         "-o", traced, "--data", *clips])
    # Without samples: the port's own proofs are other tests' business, this one is about the text.
    with open(os.path.join(traced, "port.toml"), encoding="utf-8") as f:
        toml = [line if not line.startswith("samples") else "samples = []\n" for line in f]
    with open(os.path.join(traced, "plain.toml"), "w", encoding="utf-8") as f:
        f.writelines(toml)
    run([a.npuport, "port", os.path.join(traced, "plain.toml"), "--target", "mt8371", "-o", out])
    done = subprocess.run([a.npuport, "--json", "transcribe", *clips, "--model", out, "--temperature", "0", "--baseline",
                           os.path.join(traced, "baseline")], capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    rows = json.loads(done.stdout)
    wanted = openai_texts(checkpoint, clips)
    with open(os.path.join(data, "transcripts.csv"), encoding="utf-8", newline="") as f:
        spoken = {r[0]: r[1:] for r in csv.reader(f)}
    bad = 0
    for r in rows:
        name = os.path.basename(r["file"])
        said, same = r["text"], r["text"] == wanted[name]
        bad += 0 if same else 1
        print(f"{name:24} {'equal' if same else 'DIFFERENT'}: {said!r} openai {wanted[name]!r} spoken {spoken.get(name, ['?'])[-1]!r}")
    print(f"{len(rows) - bad} of {len(rows)} texts equal openai-whisper's")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
