"""Generates operator conformance cases with PyTorch as oracle.

    make_cases.py OUT_DIR

Writes OUT_DIR/cases.json (index) and OUT_DIR/cases.bin (all array bytes). Every module cases_*.py beside this file is
a table: its function `fill(cases)` adds cases. One process, deterministic by seed: the same PyTorch gives the same
bytes. A case that this PyTorch refuses (dtype not implemented on the CPU, operator missing) is left out; an operator
all of whose cases are refused is listed on stderr.

A value in the index is {"t": [dtype, shape, offset]} for a tensor, {"i": n}, {"f": x or "inf"/"-inf"/"nan"},
{"b": true}, {"s": text}, {"none": 1}, or {"l": [values]}. Dtype arguments are PyTorch's ScalarType numbers ("i").
"""

import importlib
import json
import pathlib
import sys
import zlib

import torch

DTYPE_NAMES = {
    torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64", torch.int8: "i8",
    torch.uint8: "u8", torch.int16: "i16", torch.int32: "i32", torch.int64: "i64", torch.bool: "bool",
}
SCALAR_TYPES = {
    torch.uint8: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.int64: 4, torch.float16: 5, torch.float32: 6,
    torch.float64: 7, torch.bool: 11, torch.bfloat16: 15,
}
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTS = (torch.int64, torch.int32, torch.uint8, torch.int8, torch.int16)


class Cases:
    def __init__(self, folder):
        self.bin = open(folder / "cases.bin", "wb")
        self.offset = 0
        self.index = []
        self.tried, self.kept, self.reasons = {}, {}, {}
        self.generator = torch.Generator()

    # Values -----------------------------------------------------------------------------------------------------------

    def seed(self, text):
        """Makes what follows independent of the cases before it."""
        self.generator.manual_seed(zlib.crc32(text.encode()))

    def tensor(self, shape, dtype=torch.float32, low=-3.0, high=3.0, special=False):
        """Uniform values; integers in [low, high], never negative for uint8. `special` plants NaN, infinities and -0."""
        shape = tuple(shape)
        if dtype == torch.bool:
            return torch.randint(0, 2, shape, generator=self.generator).bool()
        if dtype in INTS:
            lowest = max(int(low), 0) if dtype == torch.uint8 else int(low)
            return torch.randint(lowest, max(int(high), lowest) + 1, shape, generator=self.generator).to(dtype)
        values = torch.rand(shape, generator=self.generator, dtype=torch.float64) * (high - low) + low
        values = values.to(dtype)
        if special and values.numel() >= 4:
            flat = values.reshape(-1)
            order = torch.randperm(flat.numel(), generator=self.generator)
            for place, value in zip(order, (float("nan"), float("inf"), float("-inf"), -0.0)):
                flat[place] = value
        return values

    def integers(self, shape, low, high, dtype=torch.int64):
        """Uniform integers in [low, high)."""
        return torch.randint(low, high, tuple(shape), generator=self.generator).to(dtype)

    # Cases ------------------------------------------------------------------------------------------------------------

    def add(self, op, *args, rtol=None, atol=None, oracle=None, **kwargs):
        """One case of "name.overload" (default overload: "name"). Records args, keyword args and PyTorch's results.

        `oracle` stands in for operators that this PyTorch lacks: a function of the same arguments over plain operators.
        """
        name, _, overload = op.partition(".")
        self.tried[op] = self.tried.get(op, 0) + 1
        try:
            function = oracle or getattr(getattr(torch.ops.aten, name), overload or "default")
            # The oracle gets copies: the recorded inputs stay what they were.
            results = function(*[clone(a) for a in args], **{k: clone(v) for k, v in kwargs.items()})
            case = {
                "op": "aten::" + op,
                "args": [self.encode(a) for a in args],
                "kwargs": {k: self.encode(v) for k, v in kwargs.items()},
                "out": [self.encode(r) for r in (results if isinstance(results, tuple) else (results,))],
            }
        except (RuntimeError, AttributeError, IndexError, TypeError, NotImplementedError) as e:
            self.reasons[op] = str(e).splitlines()[0]
            return
        if rtol is not None:
            case["rtol"] = rtol
        if atol is not None:
            case["atol"] = atol
        self.index.append(case)
        self.kept[op] = self.kept.get(op, 0) + 1

    def encode(self, value):
        if value is None:
            return {"none": 1}
        if isinstance(value, torch.Tensor):
            return {"t": self.write(value)}
        if isinstance(value, torch.dtype):
            return {"i": SCALAR_TYPES[value]}
        if isinstance(value, bool):
            return {"b": value}
        if isinstance(value, int):
            return {"i": value}
        if isinstance(value, float):
            return {"f": value if value - value == 0 else repr(value)}
        if isinstance(value, str):
            return {"s": value}
        if isinstance(value, (list, tuple)):
            return {"l": [self.encode(v) for v in value]}
        raise TypeError(f"no encoding of {type(value)}")

    def write(self, tensor):
        tensor = tensor.detach().contiguous()
        dtype = DTYPE_NAMES.get(tensor.dtype)
        if dtype is None:
            raise TypeError(f"no dtype name for {tensor.dtype}")
        raw = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
        data = raw.numpy().tobytes()
        place = self.offset
        padding = -len(data) % 8
        self.bin.write(data + b"\0" * padding)
        self.offset += len(data) + padding
        return [dtype, list(tensor.shape), place]

    def close(self, folder):
        self.bin.close()
        (folder / "cases.json").write_text(json.dumps({"version": 1, "cases": self.index}))
        for op in sorted(self.tried):
            if op not in self.kept:
                print(f"no case of {op}: {self.reasons[op]}", file=sys.stderr)
        print(f"{len(self.index)} cases of {len(self.kept)} operators, {self.offset >> 10} KiB")


def clone(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return [clone(v) for v in value]
    return value


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    torch.set_num_threads(1)
    cases = Cases(folder)
    for path in sorted(here.glob("cases_*.py")):
        module = importlib.import_module(path.stem)
        cases.seed(path.stem)
        module.fill(cases)
    cases.close(folder)


if __name__ == "__main__":
    main()
