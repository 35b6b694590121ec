"""What a checkpoint holds: a whole module or a state_dict, in which wrappers, stored how. Runs nothing in the file
(safe_pickle.py); only load_full_module does, and only when told to.
"""

import collections
import hashlib
import os
import zipfile

import torch

from . import safe_pickle
from .errors import HelperError

MESSAGES = {
    "full-module": {"en": "Checkpoint: full module (no template required).", "zh": "权重文件：完整模型（无需模板）。"},
    "state-dict": {"en": "Checkpoint: state_dict only (template required).", "zh": "权重文件：仅 state_dict（需要模板）。"},
}

# Where trainers keep the weights, best first: averaged weights before raw ones, as the trainers' own evaluation does.
EMA_KEYS = ("state_dict_ema", "model_state_dict_ema", "ema_state_dict", "model_ema", "params_ema", "ema_model", "ema")
RAW_KEYS = ("model_state_dict", "state_dict", "model", "params", "net", "network", "weights", "module")
PREFIXES = ("module.", "_orig_mod.", "ema_model.", "model.", "net.")


class Checkpoint:
    """kind: "full-module" or "state-dict"; state: name -> float32/integer tensor; extra: the other top-level entries."""

    def __init__(self):
        self.kind, self.state, self.extra = None, collections.OrderedDict(), {}
        self.nested = []       # keys and prefixes that were unwrapped, outermost first
        self.candidates = []   # entries that hold weights, where none has a usual name
        self.classes = []      # classes the file names that were not loaded
        self.stored_dtypes = {}  # dtype name -> number of tensors, as stored
        self.upcast = 0        # tensors turned into float32
        self.bytes = 0
        self.sha256 = ""
        self.module_class = ""

    def message(self, lang="en"):
        return MESSAGES[self.kind][lang]

    def parameters(self):
        """Elements of all tensors, shared storages counted once."""
        seen = {}
        for t in self.state.values():
            seen[(t.data_ptr(), tuple(t.shape))] = t.numel()
        return sum(seen.values())


def sha256_of(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


def _open_error(path, e):
    if isinstance(e, FileNotFoundError):
        return HelperError("file-not-found", f"{path}: no such file", "check the path")
    return HelperError("not-readable", f"{path}: {e.strerror or e}", "check the permissions")


def _check_file(path):
    try:
        if os.path.isdir(path):
            raise HelperError("unknown-format", f"{path} is a directory, not a checkpoint", "name the .pt or .pth file")
        with open(path, "rb") as f:
            head = f.read(16)
    except OSError as e:
        raise _open_error(path, e)
    if not head:
        raise HelperError("truncated-file", f"{path} is empty (0 bytes)", "copy or download the file again")
    if head[:2] == b"PK":
        try:
            with zipfile.ZipFile(path) as z:
                names = z.namelist()
        except zipfile.BadZipFile as e:
            raise HelperError("truncated-file", f"{path}: the archive is incomplete ({e})", "copy or download the file again")
        if any(n.endswith("/constants.pkl") for n in names) and any("/code/" in n for n in names):
            raise HelperError("unknown-format", f"{path} is a TorchScript archive already: nothing to trace",
                              "give it to `npuport port` or `npuport convert` directly")
        if not any(n.endswith("/data.pkl") or n == "data.pkl" for n in names):
            raise HelperError("unknown-format", f"{path} is a zip file but no PyTorch checkpoint (no data.pkl)", "give a .pt or .pth file")
    elif head[:1] != b"\x80" and b"\0" not in head[:1]:
        raise HelperError("unknown-format", f"{path} is no PyTorch checkpoint (first bytes {head[:8].hex(' ')})", "give a .pt or .pth file")


def _load_safely(path):
    """-> (object, set of class names that were replaced by stubs)."""
    try:
        return safe_pickle.load(path)
    except OSError as e:
        raise _open_error(path, e)
    except Exception as e:  # whatever a cut or hostile file provokes in the unpickler is damage of the file
        first = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise HelperError("corrupt-file", f"{path} cannot be read: {first}", "copy or download the file again")


def _module_state(stub, prefix="", out=None, depth=0):
    """The state_dict of a pickled nn.Module, collected from its pickled fields (nothing is run)."""
    out = collections.OrderedDict() if out is None else out
    state = stub.__dict__.get("_np_state")
    if not isinstance(state, dict) or depth > 200:
        return out
    skip = state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, t in (state.get(kind) or {}).items():
            if isinstance(t, torch.Tensor) and not (kind == "_buffers" and name in skip):
                out[prefix + name] = t
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, safe_pickle.Stub):
            _module_state(child, f"{prefix}{name}.", out, depth + 1)
    return out


def _is_module(obj):
    return isinstance(obj, safe_pickle.Stub) and isinstance(obj.__dict__.get("_np_state"), dict) and "_modules" in obj.__dict__["_np_state"]


def _is_state(obj):
    return isinstance(obj, dict) and bool(obj) and any(isinstance(v, torch.Tensor) for v in obj.values())


def _unwrap(obj, ck, use_ema, depth=0):
    """Finds the weights inside trainers' wrappers; sets ck.kind, ck.nested, ck.extra."""
    if _is_module(obj):
        ck.kind, ck.module_class = "full-module", obj._np_class
        return _module_state(obj)
    if isinstance(obj, torch.nn.Module):
        ck.kind, ck.module_class = "full-module", type(obj).__name__
        return obj.state_dict()
    if isinstance(obj, dict) and depth < 4:
        keys = ((EMA_KEYS + RAW_KEYS) if use_ema else (RAW_KEYS + EMA_KEYS))
        for key in keys:
            inner = obj.get(key)
            if _is_module(inner) or _is_state(inner) or (isinstance(inner, dict) and any(k in inner for k in keys)):
                found = _unwrap(inner, ck, use_ema, depth + 1)
                if found:
                    ck.nested.insert(0, key)
                    ck.extra.update({str(k): v for k, v in obj.items() if k != key and not _is_state(v)})
                    return found
        if _is_state(obj):
            ck.kind = "state-dict"
            return obj
        ck.candidates = [str(k) for k, v in obj.items() if _is_module(v) or _is_state(v)]
        if len(ck.candidates) == 1:
            key = next(k for k in obj if str(k) == ck.candidates[0])
            ck.nested.insert(0, str(key))
            ck.extra.update({str(k): v for k, v in obj.items() if k != key})
            return _unwrap(obj[key], ck, use_ema, depth + 1)
    return None


def _entry(obj, key, path):
    """obj[key]; `key` may go deeper with dots."""
    for part in [key] if isinstance(obj, dict) and key in obj else key.split("."):
        if not isinstance(obj, dict) or part not in obj:
            keys = ", ".join(map(str, list(obj)[:8])) if isinstance(obj, dict) else type(obj).__name__
            raise HelperError("usage", f"{path} has no entry '{key}'; it holds {keys}", "name one of these with --key")
        obj = obj[part]
    return obj


def strip_prefix(state, nested):
    """Removes `module.` (DataParallel), `_orig_mod.` (torch.compile) ... while *every* key has them."""
    changed = True
    while changed:
        changed = False
        for p in PREFIXES:
            if state and all(k.startswith(p) and len(k) > len(p) for k in state):
                state = collections.OrderedDict((k[len(p):], v) for k, v in state.items())
                nested.append(p)
                changed = True
    return state


def to_working_dtype(t):
    """float16, bfloat16 and float64 become float32; integers and booleans stay."""
    return t.float() if t.is_floating_point() and t.dtype != torch.float32 else t


def read_checkpoint(path, use_ema=True, lang="en", key=None):
    """Reads `path` without running code; HelperError for anything that is no checkpoint. `key`: the entry with the weights."""
    _check_file(path)
    ck = Checkpoint()
    ck.bytes, ck.sha256 = os.path.getsize(path), sha256_of(path)
    obj, stubbed = _load_safely(path)
    state = _unwrap(_entry(obj, key, path) if key else obj, ck, use_ema)
    if key:
        ck.nested.insert(0, key)
    ck.classes = sorted(stubbed)
    if not state and len(ck.candidates) > 1:
        raise HelperError("unknown-format", f"{path} holds several sets of weights: {', '.join(ck.candidates)}",
                          f"choose one: --key {ck.candidates[0]}")
    if not state:
        what = obj._np_class if isinstance(obj, safe_pickle.Stub) else type(obj).__name__
        keys = ", ".join(map(str, list(obj)[:8])) if isinstance(obj, dict) else ""
        raise HelperError("unknown-format", f"{path} holds a {what}{' with keys ' + keys if keys else ''}, but no weights",
                          "expected a state_dict, a dict with one under "
                          f"{', '.join(RAW_KEYS[:3])} ..., or a whole nn.Module")
    weights, casts = collections.OrderedDict(), {}
    for k, t in state.items():
        if not isinstance(t, torch.Tensor):
            continue
        ck.stored_dtypes[str(t.dtype)[6:]] = ck.stored_dtypes.get(str(t.dtype)[6:], 0) + 1
        # Tied weights stay tied: one cast per storage and view.
        view = (t.data_ptr(), t.dtype, tuple(t.shape), tuple(t.stride())) if t.layout == torch.strided and t.numel() else (id(t),)
        if view not in casts:
            casts[view] = to_working_dtype(t.detach())
            ck.upcast += casts[view].dtype != t.dtype
        weights[str(k)] = casts[view]
    ck.state = strip_prefix(weights, ck.nested) if ck.kind == "state-dict" else weights
    return ck


def load_full_module(path, trust, nested=()):
    """The pickled nn.Module itself, below the keys `nested`. This runs code named by the file, hence only with `trust`."""
    if not trust:
        raise HelperError("unsafe-pickle", f"{path} is a full module: loading it runs Python code stored in the file",
                          "if you trust its origin, add --trust-pickle; or give --template to use only its weights")
    try:
        try:
            obj = torch.load(path, map_location="cpu", weights_only=False)
        except TypeError:
            obj = torch.load(path, map_location="cpu")
    except (ImportError, AttributeError) as e:
        raise HelperError("unsupported-feature", f"{path}: the module's class cannot be imported: {e}",
                          "put the directory of the model's source on PYTHONPATH, or write a template")
    for key in nested:
        obj = _entry(obj, key, path)
    if not isinstance(obj, torch.nn.Module):
        raise HelperError("unknown-format", f"{path} holds a {type(obj).__name__}, no nn.Module", "")
    return obj.float().eval()


def input_channels(state):
    """Channels of the model's input as far as the first convolution tells, else None."""
    for name, t in state.items():
        if t.dim() in (3, 4, 5) and name.endswith("weight") and all(k >= 1 for k in t.shape):
            return int(t.shape[1])
    return None
