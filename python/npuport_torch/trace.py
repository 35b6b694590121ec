"""Module -> TorchScript archive, proven at once: saved, loaded again, run, compared with the module itself."""

import contextlib
import linecache
import os
import re
import traceback
import warnings

import numpy as np
import torch

from .errors import HelperError
from .samples import flatten

TOLERANCE = 1e-4  # of the archive against the module, relative to the largest output


@contextlib.contextmanager
def plain_attention(model):
    """Keeps nn.MultiheadAttention and nn.TransformerEncoderLayer off their fused path, which only this or that PyTorch
    has: newer ones have a switch, 1.13 takes the plain path while any parameter wants gradients."""
    switch = getattr(getattr(torch.backends, "mha", None), "set_fastpath_enabled", None)
    before = torch.backends.mha.get_fastpath_enabled() if switch else None
    wanted = [(p, p.requires_grad) for p in model.parameters()]
    if switch:
        switch(False)
    try:
        for p, _ in wanted:
            if p.is_floating_point():
                p.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for p, r in wanted:
            p.requires_grad_(r)
        if switch:
            switch(before)


def run_module(model, inputs):
    """The module's flattened outputs on `inputs`, detached."""
    try:
        with plain_attention(model):
            return [t.detach() for t in flatten(model(*[t.clone() for t in inputs]))]
    except HelperError:
        raise
    except Exception as e:
        place = user_line(e)
        shapes = ", ".join(str(list(t.shape)) for t in inputs)
        raise HelperError("model-raised", f"the model fails on inputs {shapes}: {_first_line(e)}{' at ' + place if place else ''}",
                          "check the input shapes (--shape NAME=1x3x224x224) and --in-channels")


def _first_line(e):
    text = str(e).strip().splitlines()
    return f"{type(e).__name__}: {text[0]}" if text else type(e).__name__


def _is_user_file(path):
    """Model code: neither PyTorch's nor this package's own, except its built-in templates."""
    if path.startswith(os.path.dirname(os.path.abspath(torch.__file__)) + os.sep) or path.startswith("<"):
        return False
    return not path.startswith("npuport_torch/") or path.startswith("npuport_torch/builtin/")


def user_line(error):
    """ "file.py:12: the source text" of the innermost frame outside PyTorch and this package, or ""."""
    for f in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_user_file(f.filename):
            return f"{f.filename}:{f.lineno}: {(f.line or '').strip()}"
    return ""


def _tracer_findings(caught):
    """TracerWarnings about values that became constants: [{"place", "why"}], places in user code, no duplicates."""
    out = []
    for w in caught:
        if "TracerWarning" not in w.category.__name__:
            continue
        text = str(w.message)
        kind = re.search(r"Converting a tensor to a (Python \w+|NumPy array)", text)
        if not kind and "Iterating over a tensor" not in text and "constant" not in text:
            continue
        line = linecache.getline(w.filename, w.lineno).strip()
        row = {"place": f"{w.filename}:{w.lineno}: {line}", "why": kind.group(0) if kind else text.split(".")[0]}
        if row not in out:
            out.append(row)
    return out


def control_flow(model):
    """prim::If and prim::Loop of the scripted module with the user's lines: (rows, why scripting failed or "")."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch.jit.script(model).inlined_graph
    except Exception as e:
        return [], _first_line(e)
    rows = []
    for kind in ("prim::If", "prim::Loop"):
        for node in graph.findAllNodes(kind, recurse=True):
            if kind == "prim::If" and not list(node.outputs()) and _only_raises(node):
                continue
            m = re.search(r'File "([^"]+)", line (\d+)', node.sourceRange())
            place = f"{m.group(1)}:{m.group(2)}: {linecache.getline(m.group(1), int(m.group(2))).strip()}" if m else "unknown place"
            if m and not _is_user_file(m.group(1)):
                continue
            row = {"node": kind, "place": place}
            if row not in rows:
                rows.append(row)
    return rows, ""


def _only_raises(node):
    kinds = {n.kind() for b in node.blocks() for n in b.nodes()}
    return "prim::RaiseException" in kinds


def _dynamic_error(model, message, findings):
    """S0-23: the failed trace explained by the control flow that a trace cannot hold."""
    rows, why = control_flow(model)
    notes = [f"{r['node']} at {r['place']}" for r in rows]
    notes += [f"{f['why']} at {f['place']}" for f in findings if not any(f["place"] in n for n in notes)]
    if why and not rows:
        notes.append(f"torch.jit.script does not accept the module either: {why}")
    hint = "remove the dependence on input values, or keep it: trace with --script" if not why else \
        "remove the dependence on input values at the lines named (torch.where instead of if, fixed loop counts)"
    return HelperError("data-dependent", message, hint, notes=notes, control_flow=rows + findings)


def _variants(inputs, specs):
    """Other inputs of the same kind, to catch branches the trace froze: negated; reversed and halved."""
    for k in range(2):
        changed = []
        for t, s in zip(inputs, specs):
            if not t.is_floating_point():
                changed.append(t.flip(-1) if t.dim() else t)
                continue
            low, high = s.get("range", (None, None))
            v = (-t, t.flip(-1) * 0.5 if t.dim() else t * 0.5)[k]
            changed.append(v if low is None else v.clamp(low, high))
        yield changed


def worst_difference(got, want):
    """(largest |difference| / max(1, largest |want|), reason or ""); shapes, counts, NaN positions must agree."""
    if len(got) != len(want):
        return float("inf"), f"{len(got)} outputs instead of {len(want)}"
    worst = 0.0
    for k, (a, b) in enumerate(zip(got, want)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf"), f"output {k} is {a.dtype} {list(a.shape)} instead of {b.dtype} {list(b.shape)}"
        a, b = a.double(), b.double()
        bad = torch.isfinite(a) != torch.isfinite(b)
        if bool(bad.any()):
            return float("inf"), f"output {k}: not finite at {int(bad.sum())} places where the module is (or the reverse)"
        fine = torch.isfinite(b)
        if bool(fine.any()):
            worst = max(worst, float((a - b)[fine].abs().max() / b[fine].abs().max().clamp_min(1.0)))
    return worst, ""


def make_archive(model, inputs, specs, path, script=False):
    """Writes the archive of `model` to `path`; returns {"warnings", "max_difference", "bytes"}."""
    findings = []
    run_module(model, inputs)  # a model that fails by itself is reported as such, not as a failed trace
    if script:
        try:
            with _no_deprecation():
                traced = torch.jit.script(model)
        except Exception as e:
            raise HelperError("unsupported-feature", f"torch.jit.script refuses the module: {_first_line(e)}",
                              "leave --script out to trace it, or change the lines PyTorch names", notes=str(e).splitlines()[1:12])
    else:
        traced, findings = _trace(model, inputs)
    for p in traced.parameters():
        p.requires_grad_(False)
    worst = 0.0
    for k, sample in enumerate([inputs, *_variants(inputs, specs)]):
        want = _try(lambda: run_module(model, sample)) if k else run_module(model, sample)
        if want is None:
            continue  # the model itself does not take such values
        got = _try(lambda: [t.detach() for t in flatten(traced(*[t.clone() for t in sample]))])
        diff, why = worst_difference(got, want) if got is not None else (float("inf"), "the traced graph fails")
        if not diff <= TOLERANCE:
            raise _dynamic_error(model, "the trace does not equal the module on other inputs" + (f": {why}" if why else f" (difference {diff:.3g})"), findings)
        worst = max(worst, diff)
    save_archive(traced, path)
    worst = max(worst, check_archive(path, model, inputs))
    return {"warnings": findings, "max_difference": worst, "bytes": os.path.getsize(path)}


def _try(f):
    try:
        return f()
    except Exception:
        return None


def _trace(model, inputs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            try:
                with plain_attention(model):
                    traced = torch.jit.trace(model, tuple(inputs), check_trace=False)
            except RuntimeError as e:
                if "requires grad as a constant" not in str(e):
                    raise
                # A tensor made from parameters outside forward: only tracing without gradients can hold it.
                with torch.no_grad():
                    traced = torch.jit.trace(model, tuple(inputs), check_trace=False)
        except HelperError:
            raise
        except Exception as e:
            place = user_line(e)
            raise _dynamic_error(model, f"tracing failed: {_first_line(e)}{' at ' + place if place else ''}", _tracer_findings(caught))
    return traced, _tracer_findings(caught)


@contextlib.contextmanager
def _no_deprecation():
    """TorchScript is what npuport reads; newer PyTorch recommends torch.export at every call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def save_archive(traced, path):
    """torch.jit.save, written aside and renamed."""
    tmp = path + ".tmp"
    try:
        with open(tmp, "wb") as f, _no_deprecation():  # a file object: the archive's inner name does not depend on the path
            torch.jit.save(traced, f)
        os.replace(tmp, path)
    except (OSError, RuntimeError) as e:
        if os.path.exists(tmp):
            os.remove(tmp)
        raise HelperError("not-writable", f"{path}: {_first_line(e)}", "check the directory and the free space")


def check_archive(path, model, inputs):
    """S0-22: the archive exists, is at least as large as its weights, loads, and computes the same; -> worst difference."""
    size = os.path.getsize(path) if os.path.exists(path) else 0
    weights = {t.data_ptr(): t.numel() * t.element_size() for t in model.parameters()}
    if size < sum(weights.values()):
        raise HelperError("gate-failed", f"{path} has {size} bytes, its parameters alone have {sum(weights.values())}", "free space? run again")
    try:
        with _no_deprecation():
            loaded = torch.jit.load(path, map_location="cpu")
        with torch.no_grad():
            got = flatten(loaded(*[t.clone() for t in inputs]))
    except Exception as e:
        raise HelperError("gate-failed", f"{path} cannot be loaded and run: {_first_line(e)}", "")
    diff, why = worst_difference(got, run_module(model, inputs))
    if not diff <= TOLERANCE:
        raise HelperError("gate-failed", f"{path} computes other numbers than the module: {why or diff}", "")
    return diff


def layer_outputs(model, inputs):
    """Outputs of every submodule by scope, in the order they finish: {"encoder.blocks.0.attn": array}.

    The second and later calls of one module get "#1", "#2" ...; several outputs get ":0", ":1" ...
    """
    arrays, calls, hooks = {}, {}, []

    def hook_for(scope):
        def hook(_module, _args, result):
            n = calls.get(scope, 0)
            calls[scope] = n + 1
            tensors = flatten(result)
            for k, t in enumerate(tensors):
                name = scope + (f"#{n}" if n else "") + (f":{k}" if len(tensors) > 1 else "")
                arrays[name] = t.detach().clone().numpy()
        return hook

    try:
        for scope, m in model.named_modules():
            if scope:
                hooks.append(m.register_forward_hook(hook_for(scope)))
        run_module(model, inputs)
    finally:
        for h in hooks:
            h.remove()
    return arrays
