"""Templates without Python: a .toml file that names a torchvision network or lists torch.nn layers.

    version = 1
    name = "Small classifier"                     # shown in lists
    base = "torchvision.models.resnet18"          # optional; `args` are its keyword arguments
    args = { num_classes = "$num_classes" }       # this is the default
    gate = { kind = "general" }                   # optional

    [[input]]                                     # optional; as INPUTS of a Python template
    name = "image"
    shape = [1, 3, 224, 224]
    dtype = "float32"

    [[layer]]                                     # with `base`: replaces the submodule of that name; without: the
    name = "conv1"                                # network, layer after layer ("features.0" nests)
    type = "Conv2d"                               # a class of torch.nn
    args = [4, 64, 7]                             # positional arguments; every other key is a keyword argument
    stride = 2

"$num_classes" anywhere stands for --num-classes. Nothing in the file is run.
"""

import collections
import types

from .errors import HelperError

_KEYS = {"version", "name", "base", "args", "gate", "input", "layer"}
_INPUT_KEYS = {"name", "shape", "dtype", "range"}


def _bad(path, what, hint="see docs/samples.md, Templates"):
    return HelperError("usage", f"template {path}: {what}", hint)


def _parse(path):
    try:
        import tomllib
    except ImportError:
        raise _bad(path, "reading .toml needs Python 3.11 or later", "write the template in Python: TEMPLATE_NAME and build()")
    try:
        with open(path, "rb") as f:
            return tomllib.load(f)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise _bad(path, f"no valid TOML: {e}", "repair the file")


def _check(path, d):
    if d.get("version") != 1:
        raise _bad(path, f"version is {d.get('version')!r}, this program knows 1", "write version = 1")
    if not isinstance(d.get("name"), str) or not d["name"].strip():
        raise _bad(path, "it has no name (a string)", 'add name = "..."')
    unknown = sorted(set(d) - _KEYS)
    if unknown:
        raise _bad(path, f"unknown key {unknown[0]}", "known: " + ", ".join(sorted(_KEYS)))
    for key, keys in (("input", _INPUT_KEYS), ("layer", None)):
        rows = d.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            raise _bad(path, f"{key} is no list of tables", f"write [[{key}]]")
        for k, row in enumerate(rows):
            extra = sorted(set(row) - keys) if keys else []
            if extra:
                raise _bad(path, f"[[{key}]] {k}: unknown key {extra[0]}", "known: " + ", ".join(sorted(keys)))
            needed = ("name", "shape") if key == "input" else ("type",)
            missing = [n for n in needed if n not in row]
            if missing:
                raise _bad(path, f"[[{key}]] {k} has no {missing[0]}")
    if "base" not in d and not d.get("layer"):
        raise _bad(path, "it has neither base nor [[layer]]")
    base = d.get("base", "torchvision.models.")
    if not isinstance(base, str) or not base.startswith("torchvision.models."):
        raise _bad(path, f"base {base!r} is no name in torchvision.models", "other networks need a Python template")
    if not isinstance(d.get("args", {}), dict):
        raise _bad(path, "args is no table", 'write args = { num_classes = "$num_classes" }')


def _filled(value, num_classes):
    if value == "$num_classes":
        return num_classes
    if isinstance(value, list):
        return [_filled(v, num_classes) for v in value]
    if isinstance(value, dict):
        return {k: _filled(v, num_classes) for k, v in value.items()}
    return value


def _layer(path, row, num_classes):
    from torch import nn
    row = _filled(row, num_classes)
    kind = getattr(nn, str(row["type"]), None)
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise _bad(path, f"{row['type']!r} is no layer of torch.nn", "see https://pytorch.org/docs/stable/nn.html; other layers need a Python template")
    named = {k: v for k, v in row.items() if k not in ("name", "type", "args")}
    try:
        return kind(*row.get("args", []), **named)
    except (TypeError, ValueError, RuntimeError) as e:
        raise _bad(path, f"layer {row.get('name', row['type'])}: {e}", "these are the arguments of torch.nn." + row["type"])


def _base(path, d, num_classes):
    import importlib
    import inspect
    module, _, function = d["base"].rpartition(".")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as e:
        raise _bad(path, f"base {d['base']}: {e}", "is torchvision installed, and does this version have the network?")
    args = _filled(d.get("args", {"num_classes": "$num_classes"}), num_classes)
    # No weights are fetched: the checkpoint brings them.
    for fetched in ("weights", "weights_backbone"):
        if fetched in inspect.signature(make).parameters:
            args.setdefault(fetched, None)
    try:
        return make(**args)
    except (TypeError, ValueError, RuntimeError) as e:
        raise _bad(path, f"base {d['base']}: {e}", "args are its keyword arguments")


def _replace(path, model, name, layer):
    parent, _, leaf = name.rpartition(".")
    try:
        holder = model.get_submodule(parent)
        holder.get_submodule(leaf)
    except AttributeError as e:
        raise _bad(path, f"layer {name}: {e}", "with a base, every [[layer]] replaces a submodule it has")
    setattr(holder, leaf, layer)


def _sequential(layers):
    """[("features.0", layer), ...] as nested nn.Sequential in the order given."""
    from torch import nn
    groups = collections.OrderedDict()
    for name, layer in layers:
        head, _, rest = name.partition(".")
        groups.setdefault(head, []).append((rest, layer))
    return nn.Sequential(collections.OrderedDict(
        (head, rows[0][1] if len(rows) == 1 and not rows[0][0] else _sequential(rows)) for head, rows in groups.items()))


def load(path):
    """-> an object with the names a Python template has; HelperError when the file breaks the rules above."""
    d = _parse(path)
    _check(path, d)
    rows = d.get("layer", [])
    names = [str(row.get("name", k)) for k, row in enumerate(rows)]
    for k, name in enumerate(names):
        inside = [n for n in names[:k] if n == name or n.startswith(name + ".") or name.startswith(n + ".")]
        if inside or not all(name.split(".")):
            raise _bad(path, f"layer name {name!r} is " + (f"taken by {inside[0]!r}" if inside else "not a name"))

    def build(num_classes, pretrained=False):
        layers = [(n, _layer(path, row, num_classes)) for n, row in zip(names, rows)]
        if "base" not in d:
            return _sequential(layers)
        model = _base(path, d, num_classes)
        for name, layer in layers:
            _replace(path, model, name, layer)
        return model

    module = types.SimpleNamespace(TEMPLATE_NAME=d["name"], build=build)
    if "input" in d:
        module.INPUTS = [{"dtype": "float32", **row} for row in d["input"]]
    if "gate" in d:
        module.GATE = d["gate"]
    return module
