"""The vocabulary file of a port: the byte strings of Whisper's tokens, taken from an installed openai-whisper package.

`vocab.txt` is a tiktoken rank file (lines "BASE64 RANK") behind remark lines with its origin and licence.
"""

import base64
import importlib.metadata
import importlib.util
import os

from .errors import HelperError

NAME = "vocab.txt"
NOTICE = """\
# Vocabulary of Whisper, {kind}: byte strings in base64 and their ranks.
# From the package openai-whisper {version}, file assets/{file}.
#
# MIT License
#
# Copyright (c) 2022 OpenAI
#
# Permission is hereby granted, free of charge, to any person obtaining a copy
# of this software and associated documentation files (the "Software"), to deal
# in the Software without restriction, including without limitation the rights
# to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
# copies of the Software, and to permit persons to whom the Software is
# furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all
# copies or substantial portions of the Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
# IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
# FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
# AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
# LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
# OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
# SOFTWARE.
"""


def package_file(name):
    """assets/NAME of the installed openai-whisper package and its version; (None, "") when it is not installed."""
    spec = importlib.util.find_spec("whisper")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = os.path.join(folder, "assets", name)
        if os.path.isfile(path):
            try:
                return path, importlib.metadata.version("openai-whisper")
            except importlib.metadata.PackageNotFoundError:
                return path, "of unknown version"
    return None, ""


def read_ranks(path):
    """The byte strings of a tiktoken rank file in the order of their ranks; remark lines are skipped."""
    rows = []
    try:
        with open(path, encoding="ascii") as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    token, rank = line.split()
                    # OpenAI's multilingual file ends in an empty string, written "=".
                    rows.append((int(rank), b"" if token == "=" else base64.b64decode(token, validate=True)))
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except (OSError, ValueError) as e:
        raise HelperError("bad-input-data", f"{path} is no tiktoken rank file: {e}", "expected lines \"BASE64 RANK\"")
    rows.sort()
    if [r for r, _ in rows] != list(range(len(rows))):
        raise HelperError("bad-input-data", f"{path}: the ranks are not 0, 1, 2, ...", "")
    return [token for _, token in rows]


def write(n_vocab, out, given=None):
    """Writes OUT/vocab.txt for a model of n_vocab tokens; -> its name, or None when no rank file is at hand.

    `given`: a rank file to take instead of the package's.
    """
    multilingual = n_vocab >= 51865
    file = "multilingual.tiktoken" if multilingual else "gpt2.tiktoken"
    path, version = (given, "") if given else package_file(file)
    if not path:
        return None
    tokens = read_ranks(path)
    wanted = 50257 if multilingual else 50256
    if len(tokens) != wanted:
        raise HelperError("bad-input-data", f"{path} holds {len(tokens)} byte strings, this model's vocabulary has {wanted}",
                          f"take {file}")
    notice = NOTICE.format(kind="multilingual" if multilingual else "English (GPT-2)", version=version, file=file)
    with open(path, encoding="ascii") as f:
        remarks = "".join(line for line in f if line.startswith("#")) if given else notice
    target = os.path.join(out, NAME)
    with open(target + ".tmp", "w", encoding="ascii") as f:
        f.write(remarks)
        f.writelines(f"{base64.b64encode(t).decode() or '='} {k}\n" for k, t in enumerate(tokens))
    os.replace(target + ".tmp", target)
    return NAME
