"""One `trace` run: checkpoint (+ template) -> a project directory that `npuport port` takes.

    OUT/port.toml              parts, shapes, gates, samples
    OUT/PART.pt                TorchScript archives
    OUT/samples/PART/*.npz     inputs and PyTorch's outputs (the baseline)
    OUT/layers/PART/*.npz      with --layers: outputs of every submodule by scope
    OUT/trace.json             provenance: hashes, versions, what was done; also the key of the cache
"""

import glob
import hashlib
import json
import os

import torch

from . import __version__, checkpoint, keydiff, samples, template, trace
from .errors import HelperError


def run(options, say):
    """-> the result as a dict (what --json prints). `options`: the parsed command line of `trace`."""
    ck = checkpoint.read_checkpoint(options.checkpoint, use_ema=not options.no_ema, key=options.key)
    say(ck.message(options.lang))
    model, chosen = _model(options, ck, say)
    key = _cache_key(options, ck, chosen)
    cached = _cached(options.out, key)
    if cached:
        say(f"{options.out} is up to date (same checkpoint, template and options)")
        return cached
    _make_dirs(options.out)
    with torch.no_grad():
        parts = _parts(options, model, chosen, ck)
        if options.half_storage:
            from .storage import to_half_storage
            to_half_storage(model)
        data = _samples(options, model, parts, chosen)
    result = {"ok": True, "checkpoint": _facts(ck, options), "template": chosen.id if chosen else None, "key": key,
              "torch": torch.__version__, "helper": __version__, "parts": [], "files": {}}
    for part in parts:
        result["parts"].append(_write_part(options, part, data[part.name], say))
    with torch.no_grad():
        finish = chosen.hook("finish") if chosen else None
        extra = finish(model, parts, options.data, options.out, say) if finish else {}
    result["clips"] = extra.get("clips", [])
    _write_toml(options, parts, extra)
    for path in sorted(glob.glob(os.path.join(glob.escape(options.out), "**", "*"), recursive=True)):
        rel = os.path.relpath(path, options.out)
        if os.path.isfile(path) and rel != "trace.json" and not rel.endswith(".tmp"):
            result["files"][rel] = {"bytes": os.path.getsize(path), "sha256": checkpoint.sha256_of(path)}
    _write_text(os.path.join(options.out, "trace.json"), json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _model(options, ck, say):
    if options.template:
        chosen = template.find_template(options.template, options.templates_dir)
        extra = {**ck.extra, **options.set, "checkpoint_path": options.checkpoint}
        model = template.build_model(chosen, ck.state, extra, options.num_classes)
        return keydiff.load_into(model, ck.state, chosen.id).eval(), chosen
    if ck.kind == "state-dict":
        known = ", ".join(t.id for t in template.list_templates(options.templates_dir)[0])
        raise HelperError("usage", ck.message(options.lang), f"add --template NAME, FILE.py or FILE.toml; known: {known}", kind=ck.kind)
    say("classes in the file: " + ", ".join(ck.classes[:12]) + (" ..." if len(ck.classes) > 12 else ""))
    return checkpoint.load_full_module(options.checkpoint, options.trust_pickle, ck.nested), None


def _parts(options, model, chosen, ck):
    hook = chosen.hook("parts") if chosen else None
    if hook:
        parts = hook(model)
    else:
        inputs = [dict(s) for s in (chosen.hook("INPUTS") or [])] if chosen else []
        if not inputs and not options.shape:
            channels = options.in_channels or checkpoint.input_channels(ck.state)
            if channels is None:
                raise HelperError("usage", "the input shape is not known", "add --shape NAME=1x3x224x224[:float32]")
            inputs = [{"name": "input", "shape": [1, channels, 224, 224], "dtype": "float32"}]
        gate = (chosen.hook("GATE") if chosen else None) or {"kind": "general"}
        given = [{"dtype": "float32", **s} for s in options.shape.values()]
        parts = [template.Part(options.name or "model", model, inputs or given, None, gate)]
        if not inputs:
            return parts
    _override_picture(options, parts)
    _override_shapes(options, parts)
    return parts


def _override_picture(options, parts):
    """--in-channels and --input-size change the only picture input there is."""
    if not options.in_channels and not options.input_size:
        return
    pictures = [(p, s) for p in parts for s in p.inputs if len(s["shape"]) == 4]
    if len(pictures) != 1:
        raise HelperError("usage", f"--in-channels and --input-size need exactly one picture input, there are {len(pictures)}",
                          "use --shape NAME=1x3x64x64")
    part, spec = pictures[0]
    n, c, h, w = spec["shape"]
    spec["shape"] = [n, options.in_channels or c, *(options.input_size or (h, w))]
    _retag(part, spec)


def _override_shapes(options, parts):
    known = {s["name"]: (p, s) for p in parts for s in p.inputs}
    for name, given in options.shape.items():
        if name not in known:
            raise HelperError("usage", f"--shape names input {name}, which is not there", "inputs: " + ", ".join(known))
        part, spec = known[name]
        spec.update(given)  # keeps the template's dtype unless one is given
        _retag(part, spec)


def _retag(part, spec):
    if part.inputs[0] is spec:
        part.shape_tag = "x".join(str(d) for d in spec["shape"][1:] or spec["shape"])


def _samples(options, model, parts, chosen):
    """{part name: [[tensor per input], ...]}"""
    generator = torch.Generator().manual_seed(options.seed)
    make = chosen.hook("make_samples") if chosen else None
    if make and not options.sample:
        return make(model, parts, options.data, options.count, generator)
    load = chosen.hook("load_sample") if chosen else None
    out = {}
    for part in parts:
        rows = [samples.read_sample(f, part.inputs) for f in options.sample]
        if load:
            for f in options.data[:max(0, options.count - len(rows))]:
                named = load(f, model, part.inputs)
                rows.append([torch.from_numpy(named[s["name"]]) for s in part.inputs])
        while len(rows) < options.count and not options.sample:
            rows.append([samples.random_input(s, generator) for s in part.inputs])
        out[part.name] = rows
    return out


def _write_part(options, part, rows, say):
    archive = os.path.join(options.out, part.name + ".pt")
    facts = trace.make_archive(part.module, rows[0], part.inputs, archive, options.script)
    folder = os.path.join(options.out, "samples", part.name)
    os.makedirs(folder, exist_ok=True)
    outputs = []
    for k, row in enumerate(rows):
        outputs = trace.run_module(part.module, row)
        bad = [i for i, t in enumerate(outputs) if t.is_floating_point() and not bool(torch.isfinite(t).all())]
        if bad:
            raise HelperError("bad-input-data", f"part {part.name}, sample {k}: output {bad[0]} holds NaN or Inf", "check the weights and the samples")
        samples.save_npz(os.path.join(folder, f"{k:03d}.npz"), samples.sample_arrays(row, outputs, part.partial_baseline))
        if options.layers:
            os.makedirs(os.path.join(options.out, "layers", part.name), exist_ok=True)
            samples.save_npz(os.path.join(options.out, "layers", part.name, f"{k:03d}.npz"), trace.layer_outputs(part.module, row))
    # Tied weights count once.
    count = sum({t.data_ptr(): t.numel() for t in part.module.parameters()}.values())
    say(f"part {part.name}: {part.name}.pt {facts['bytes']} bytes, {count} parameters, {len(rows)} samples, "
        f"archive = module within {facts['max_difference']:.1e}")
    for w in facts["warnings"]:
        say(f"note: {w['why']} at {w['place']} (fixed by the trace)")
    return {"name": part.name, "archive": part.name + ".pt", "bytes": facts["bytes"], "parameters": count, "inputs": part.inputs,
            "outputs": [{"shape": list(t.shape), "dtype": str(t.dtype)[6:]} for t in outputs], "samples": len(rows),
            "max_difference": facts["max_difference"], "warnings": facts["warnings"]}


def _facts(ck, options):
    return {"file": os.path.basename(options.checkpoint), "bytes": ck.bytes, "sha256": ck.sha256, "kind": ck.kind,
            "message": ck.message(options.lang), "nested": ck.nested, "stored_dtypes": ck.stored_dtypes, "upcast_tensors": ck.upcast,
            "parameters": ck.parameters(), "input_channels": checkpoint.input_channels(ck.state), "classes": ck.classes}


def _cache_key(options, ck, chosen):
    """Same key, same result: hash of checkpoint, template, data files, options and versions."""
    o = {k: v for k, v in vars(options).items() if k not in ("out", "json", "quiet", "verb", "lang", "checkpoint", "templates_dir", "force")}
    o["template"] = checkpoint.sha256_of(chosen.path) if chosen else None
    beside = [os.path.join(os.path.dirname(options.checkpoint), n) for n in (chosen and chosen.hook("BESIDE")) or ()]
    o["beside"] = [checkpoint.sha256_of(f) if os.path.isfile(f) else None for f in beside]
    o["data"] = [checkpoint.sha256_of(f) if os.path.isfile(f) else f for f in options.data]
    o["data_names"] = [os.path.basename(f) for f in options.data]
    o["sample"] = [checkpoint.sha256_of(f) if os.path.isfile(f) else f for f in options.sample]
    o["versions"] = [__version__, torch.__version__, ck.sha256]
    return hashlib.sha256(json.dumps(o, sort_keys=True, default=str).encode()).hexdigest()


def _cached(out, key):
    try:
        with open(os.path.join(out, "trace.json"), encoding="utf-8") as f:
            old = json.load(f)
        if old["key"] != key:
            return None
        for rel, facts in old["files"].items():
            path = os.path.join(out, rel)
            if os.path.getsize(path) != facts["bytes"] or checkpoint.sha256_of(path) != facts["sha256"]:
                return None
        return old
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make_dirs(out):
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as e:
        raise HelperError("not-writable", f"{out}: {e.strerror or e}", "choose another directory")


def _write_text(path, text):
    try:
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(path + ".tmp", path)
    except OSError as e:
        raise HelperError("not-writable", f"{path}: {e.strerror or e}", "check the directory and the free space")


def _toml(value):
    """A TOML value: inline tables, arrays, numbers, basic strings (JSON's escapes are TOML's)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _write_toml(options, parts, extra):
    lines = ["version = 1", f"name = {_toml(options.name or os.path.splitext(os.path.basename(options.checkpoint))[0].replace('-', '_'))}",
             f"target = {_toml(options.target)}"]
    for p in parts:
        inputs = ",\n  ".join(_toml({k: s[k] for k in ("name", "shape", "dtype", "range") if k in s and
                                    not (k == "range" and s["dtype"].startswith("float"))}) for s in p.inputs)
        lines += ["", "[[part]]", f"name = {_toml(p.name)}", f"model = {_toml(p.name + '.pt')}", f"shape_tag = {_toml(p.shape_tag)}",
                  f"inputs = [\n  {inputs},\n]", f"samples = [{_toml(f'samples/{p.name}/*.npz')}]", f"gate = {_toml(p.gate)}"]
    for link in extra.get("links", []):
        lines += ["", "[[link]]"] + [f"{k} = {_toml(v)}" for k, v in link.items()]
    if extra.get("task"):
        lines += ["", "[task]"] + [f"{k} = {_toml(v)}" for k, v in extra["task"].items()]
    _write_text(os.path.join(options.out, "port.toml"), "\n".join(lines) + "\n")
