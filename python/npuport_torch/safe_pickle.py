"""Checkpoint files read without torch.load: nothing a file names is ever imported or called.

(torch.load(weights_only=True) would refuse whole modules and trainers' options; and torch.load(pickle_module=...) of
PyTorch 1.13 ignores that argument and unpickles with full powers.)

Known classes only build tensors and containers; every other class becomes an inert `Stub`. Formats: the zip archive of
PyTorch >= 1.6 and the pickle sequence before it, as torch/serialization.py writes them.
"""

import collections
import os
import pickle
import struct
import zipfile

import numpy as np
import torch

_STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool, "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128, "UntypedStorage": torch.uint8,
}
_MAGIC = 0x1950A86A20F9469CFC6C  # of the format before the zip archive


class Damaged(Exception):
    """The file breaks its format; the text says how."""


class Stub:
    """Stands for an object of a class that is not loaded; remembers its class name and state, does nothing."""

    _np_class = "?"

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], (dict, type(None))):
            state = {**(state[0] or {}), **(state[1] or {})}
        self.__dict__["_np_state"] = state

    def __setitem__(self, key, value):
        pass

    def append(self, _):
        pass

    def extend(self, _):
        pass

    add = append


class _StorageType:
    """What `torch.FloatStorage` in a pickle means here: a dtype."""

    def __init__(self, dtype):
        self.dtype = dtype


def _rebuild_tensor(storage, offset, size, stride, *_):
    """A view of a 1-D tensor, checked against its bounds (torch._utils._rebuild_tensor_v2)."""
    if not isinstance(storage, torch.Tensor):
        raise Damaged("a tensor without storage")
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and 0 <= n < 1 << 62 for n in numbers):
        raise Damaged(f"a tensor of shape {size}, strides {stride}, offset {offset}")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if 0 not in size and last >= storage.numel():
        raise Damaged(f"a tensor of shape {size} reaches beyond its storage of {storage.numel()} elements")
    return torch.as_strided(storage, size, stride, offset)


def _rebuild_tensor_v3(storage, offset, size, stride, _grad, _hooks, dtype, *_):
    if storage.numel() % torch.empty(0, dtype=dtype).element_size():
        raise Damaged(f"a storage of {storage.numel()} bytes is no whole number of {dtype}")
    return _rebuild_tensor(storage.view(dtype), offset, size, stride)


def _first(data=None, *_):
    return data


_KNOWN = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): lambda *_: collections.OrderedDict(),
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch", "Size"): lambda dims=(): tuple(dims),
    ("torch", "device"): lambda *names: ":".join(map(str, names)),
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storage_of, stubbed):
        super().__init__(file, encoding="utf-8")
        self.storage_of, self.stubbed = storage_of, stubbed

    def find_class(self, module, name):
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if name in _STORAGES and module in ("torch", "torch.cuda", "torch.storage"):
            return _StorageType(_STORAGES[name])
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        self.stubbed.add(f"{module}.{name}")
        return type("Stub", (Stub,), {"_np_class": f"{module}.{name}"})

    def persistent_load(self, pid):
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _StorageType)
                and isinstance(pid[4], int) and pid[4] >= 0):
            if isinstance(pid, tuple) and pid[:1] == ("module",):
                return pid[1]  # the old format's note of a module's source
            raise Damaged("a storage reference of unknown form")
        return self.storage_of(pid[1].dtype, str(pid[2]), pid[4], pid[5] if len(pid) > 5 else None)


def load(path):
    """-> (object, names of the classes that became stubs). Damaged, OSError or pickle's own errors otherwise."""
    stubbed = set()
    with open(path, "rb") as f:
        if f.read(2) == b"PK":
            return _load_zip(path, stubbed), stubbed
        f.seek(0)
        return _load_sequence(f, os.path.getsize(path), stubbed), stubbed


def _tensor(data, dtype, count, big_endian):
    size = torch.empty(0, dtype=dtype).element_size()
    if len(data) < count * size:
        raise Damaged(f"a storage has {len(data)} bytes instead of {count * size}")
    raw = np.frombuffer(data, np.uint8, count * size)
    word = size // 2 if dtype.is_complex else size
    if big_endian and word > 1:
        raw = raw.reshape(-1, word)[:, ::-1]
    t = torch.from_numpy(np.array(raw).reshape(-1))
    return t.view(dtype) if count else torch.empty(0, dtype=dtype)


def _load_zip(path, stubbed):
    with zipfile.ZipFile(path) as z:
        names = {n.split("/", 1)[1] if "/" in n else n: n for n in z.namelist()}
        limit = os.path.getsize(path)
        big_endian = "byteorder" in names and z.read(names["byteorder"]) == b"big"
        storages = {}

        def storage_of(dtype, key, count, _view):
            if key not in storages:
                if "data/" + key not in names:
                    raise Damaged(f"entry data/{key} is missing")
                info = z.getinfo(names["data/" + key])
                if info.file_size > 100 * limit:  # PyTorch stores without compression: a bomb, no checkpoint
                    raise Damaged(f"entry data/{key} claims {info.file_size} bytes")
                storages[key] = _tensor(z.read(info), dtype, count, big_endian)
            return storages[key] if storages[key].dtype == dtype else storages[key].view(dtype)

        with z.open(names["data.pkl"]) as f:
            return _Unpickler(f, storage_of, stubbed).load()


def _load_sequence(f, limit, stubbed):
    """magic, protocol, system facts, object, storage keys, then each storage as int64 count and data."""
    plain = lambda: _Unpickler(f, None, stubbed).load()
    if plain() != _MAGIC:
        raise Damaged("no PyTorch checkpoint (magic number)")
    plain()
    facts = plain()
    big_endian = isinstance(facts, dict) and facts.get("little_endian") is False
    storages = {}

    def storage_of(dtype, key, count, view):
        if key not in storages:
            if count * torch.empty(0, dtype=dtype).element_size() > limit:
                raise Damaged(f"a storage of {count} elements in a file of {limit} bytes")
            storages[key] = torch.zeros(count, dtype=dtype)
        if view is None:
            return storages[key]
        _, offset, size = view
        return _rebuild_tensor(storages[key], offset, (size,), (1,))

    obj = _Unpickler(f, storage_of, stubbed).load()
    for key in plain():
        head = f.read(8)
        if len(head) < 8 or key not in storages:
            raise Damaged("the storages are incomplete")
        count = struct.unpack(">q" if big_endian else "<q", head)[0]
        t = storages[key]
        if count != t.numel():
            raise Damaged(f"a storage has {count} elements instead of {t.numel()}")
        t.copy_(_tensor(f.read(count * t.element_size()), t.dtype, count, big_endian))
    return obj
