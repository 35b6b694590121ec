"""Samples: one `.npz` per sample, arrays `in.0`, `in.1`, ... and the baseline `out.0`, `out.1`, ...

An output too large to keep (Whisper's [1, 448, 51865] logits are 93 MB) is stored as a partial baseline:
`out.K` holds chosen elements, `out.K.index` (int64, ascending) their places in the flattened output, and `out.K.shape`
(int64) the whole shape.
"""

import io
import os
import zipfile

import numpy as np
import torch

from .errors import HelperError

PARTIAL_ELEMENTS = 1 << 16  # elements kept of a partial baseline


def save_npz(path, arrays):
    """A compressed .npz with fixed dates: same arrays, same bytes. Written aside and renamed."""
    tmp = path + ".tmp"
    try:
        with zipfile.ZipFile(tmp, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
            for name, a in arrays.items():
                buf = io.BytesIO()
                np.lib.format.write_array(buf, np.asanyarray(a), allow_pickle=False)  # keeps rank 0
                info = zipfile.ZipInfo(name + ".npy", date_time=(1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                z.writestr(info, buf.getvalue())
        os.replace(tmp, path)
    except OSError as e:
        if os.path.exists(tmp):
            os.remove(tmp)
        raise HelperError("not-writable", f"{path}: {e.strerror or e}", "check the directory and the free space")


def flatten(value):
    """The tensors of a module's result, in order: tensors, tuples, lists, dicts (by key order), None skipped."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif hasattr(value, "__dataclass_fields__"):
        value = [getattr(value, f) for f in value.__dataclass_fields__]
    elif not isinstance(value, (list, tuple)):
        return []
    return [t for v in value for t in flatten(v)]


def partial_index(shape, keep=PARTIAL_ELEMENTS):
    """Flat places of about `keep` elements, evenly spaced by a step coprime to the last dimension: every row and, over
    the rows, every column is met."""
    total = int(np.prod(shape))
    if total <= keep:
        return np.arange(total, dtype=np.int64)
    step = total // keep + 1
    while np.gcd(step, shape[-1]) != 1:
        step += 1
    return np.arange(0, total, step, dtype=np.int64)


def sample_arrays(inputs, outputs, partial=False):
    arrays = {f"in.{k}": t.numpy() if isinstance(t, torch.Tensor) else t for k, t in enumerate(inputs)}
    for k, t in enumerate(outputs):
        a = t.detach().contiguous().numpy()
        if partial and a.size > PARTIAL_ELEMENTS:
            index = partial_index(a.shape)
            arrays[f"out.{k}"] = a.reshape(-1)[index]
            arrays[f"out.{k}.index"] = index
            arrays[f"out.{k}.shape"] = np.array(a.shape, dtype=np.int64)
        else:
            arrays[f"out.{k}"] = a
    return arrays


def random_input(spec, generator):
    """Made-up data for one input: normal floats, integers within `range` (default 0..1), by the generator's state."""
    shape = [int(d) for d in spec["shape"]]
    dtype = getattr(torch, spec.get("dtype", "float32"))
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    if not dtype.is_floating_point:
        low, high = spec.get("range", (0, 1))
        return torch.randint(int(low), int(high) + 1, shape, generator=generator, dtype=dtype)
    if "range" in spec:
        low, high = spec["range"]
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)
    return torch.randn(shape, generator=generator).to(dtype)


def read_sample(path, specs):
    """The inputs of an existing .npz (named `in.K` or by input name) or .npy (one input), as tensors."""
    try:
        data = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as e:
        raise HelperError("bad-input-data", f"{path} is no readable .npz or .npy: {e}", "")
    if isinstance(data, np.ndarray):
        data = {"in.0": data}
    out = []
    for k, s in enumerate(specs):
        name = f"in.{k}" if f"in.{k}" in data else s["name"]
        if name not in data:
            raise HelperError("bad-input-data", f"{path} has neither in.{k} nor {s['name']}", "arrays there: " + ", ".join(data))
        a = np.ascontiguousarray(data[name])
        if list(a.shape) != list(s["shape"]):
            raise HelperError("shape-mismatch", f"{path}: {name} is {list(a.shape)}, input {s['name']} wants {list(s['shape'])}", "")
        out.append(torch.from_numpy(a).to(getattr(torch, s.get("dtype", "float32"))))
    return out
