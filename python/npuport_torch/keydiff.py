"""Why a state_dict does not fit a model: missing, unexpected and wrongly shaped keys, with the likeliest partner."""

import difflib

from .errors import HelperError

# Counters older trainers did not store; they play no part in inference.
OPTIONAL_SUFFIXES = ("num_batches_tracked",)


def _guess(name, shape, candidates):
    """The candidate that looks most like `name`: equal shape counts as much as half a name."""
    best, score = None, 0.6
    for other, other_shape in candidates.items():
        s = difflib.SequenceMatcher(None, name, other, autojunk=False).ratio() + (0.5 if shape == other_shape else 0)
        if name.rsplit(".", 1)[-1] == other.rsplit(".", 1)[-1]:
            s += 0.1
        if s > score:
            best, score = other, s
    return best


def diff(wanted, given, limit=400):
    """Compares two name -> tensor maps: {"missing", "unexpected", "shape_mismatch"}, each a list of rows with `guess`.

    Guessing is quadratic, so it stops after `limit` names; further rows have no guess.
    """
    w = {k: tuple(v.shape) for k, v in wanted.items()}
    g = {k: tuple(v.shape) for k, v in given.items()}
    missing = {k: s for k, s in w.items() if k not in g and not k.endswith(OPTIONAL_SUFFIXES)}
    unexpected = {k: s for k, s in g.items() if k not in w and not k.endswith(OPTIONAL_SUFFIXES)}
    few = len(missing) * len(unexpected) <= limit * limit
    row = lambda k, s, others: {"key": k, "shape": list(s), "guess": _guess(k, s, others) if few else None}
    return {
        "missing": [row(k, s, unexpected) for k, s in missing.items()],
        "unexpected": [row(k, s, missing) for k, s in unexpected.items()],
        "shape_mismatch": [{"key": k, "model": list(w[k]), "checkpoint": list(g[k])} for k in w if k in g and w[k] != g[k]],
    }


def is_empty(d):
    return not (d["missing"] or d["unexpected"] or d["shape_mismatch"])


def lines(d, limit=20):
    """The difference as text, at most `limit` rows per list."""
    out = []
    for title, key in (("missing in the checkpoint", "missing"), ("unexpected in the checkpoint", "unexpected")):
        if d[key]:
            out.append(f"{title} ({len(d[key])}):")
            for r in d[key][:limit]:
                guess = f"   nearest: {r['guess']}" if r["guess"] else ""
                out.append(f"  {r['key']} {r['shape']}{guess}")
            if len(d[key]) > limit:
                out.append(f"  ... and {len(d[key]) - limit} more")
    if d["shape_mismatch"]:
        out.append(f"shape mismatch ({len(d['shape_mismatch'])}):")
        for r in d["shape_mismatch"][:limit]:
            out.append(f"  {r['key']}: model {r['model']}, checkpoint {r['checkpoint']}")
        if len(d["shape_mismatch"]) > limit:
            out.append(f"  ... and {len(d['shape_mismatch']) - limit} more")
    return out


def load_into(model, state, template):
    """Loads `state` into `model`; a HelperError with the whole difference when they do not fit."""
    d = diff(model.state_dict(), state)
    if not is_empty(d):
        hint = "the checkpoint belongs to another model or another version of it: choose or adapt the template"
        pairs = [r for r in d["missing"] if r["guess"]]
        if d["missing"] and len(pairs) == len(d["missing"]) == len(d["unexpected"]):
            hint = f"the keys look renamed: e.g. rename {pairs[0]['guess']} to {pairs[0]['key']} in the template"
        elif not d["missing"] and not d["unexpected"] and d["shape_mismatch"]:
            m = d["shape_mismatch"][-1]
            hint = "same names, other sizes: check --num-classes and the template's widths"
            if len(m["model"]) and m["model"][1:] == m["checkpoint"][1:]:
                hint = f"same names, other sizes: try --num-classes {m['checkpoint'][0]}"
        raise HelperError("shape-mismatch", f"the checkpoint does not fit template {template}: {len(d['missing'])} keys missing, "
                          f"{len(d['unexpected'])} unexpected, {len(d['shape_mismatch'])} of another shape",
                          hint, notes=lines(d), key_diff=d)
    model.load_state_dict({k: v for k, v in state.items() if k in model.state_dict()}, strict=False)
    return model
