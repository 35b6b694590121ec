"""Templates: Python files that build the network a state_dict belongs to.

The contract (any file in a templates directory, or a path given to --template):

    TEMPLATE_NAME = "MyNet"                       # shown in lists
    def build(num_classes, pretrained=False):     # -> nn.Module; `pretrained` is always False here
        ...

Optional, for networks with several parts, other inputs than one picture, or samples from real data:

    INPUTS = [{"name": "image", "shape": [1, 3, 224, 224], "dtype": "float32"}]
    GATE = {"kind": "general"}
    def build_from(state, extra):                 # sizes taken from the checkpoint; `extra` = its other entries, --set KEY=VALUE,
                                                  # and its path as "checkpoint_path"
    BESIDE = ("config.json",)                     # files in the checkpoint's folder that the template reads: when they change,
                                                  # the trace is made anew
    def parts(model):                             # -> [Part, ...]; default: one part "model" with INPUTS
    def load_sample(path, model, inputs):         # a file of --data -> {input name: array}, for one part
    def make_samples(model, parts, data_files, count, generator):  # -> {part name: [[tensor per input], ...]}
    def finish(model, parts, data_files, out, say):   # extra files of the project; -> {"task": ..., "links": ...}

A network of torchvision, or a list of torch.nn layers, needs no Python: see declarative.py for the .toml form.
"""

import os
import re
import sys
import traceback
import types

from . import declarative, source_name
from .errors import HelperError

BUILTIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "builtin")


class Part:
    """One graph of a port: `inputs` are dicts with name, shape, dtype and optionally range [low, high] for integers."""

    def __init__(self, name, module, inputs, shape_tag=None, gate=None, partial_baseline=False):
        self.name, self.module, self.inputs = name, module, inputs
        self.shape_tag = shape_tag or "x".join(str(d) for d in inputs[0]["shape"][1:])
        self.gate = gate or {"kind": "general"}
        self.partial_baseline = partial_baseline  # outputs too large to keep: store chosen elements (samples.py)


class Template:
    def __init__(self, path, module):
        self.path, self.module = path, module
        self.name = module.TEMPLATE_NAME
        self.id = os.path.splitext(os.path.basename(path))[0]

    def hook(self, name):
        return getattr(self.module, name, None)


def directories(extra=()):
    """Where templates are looked for: --templates-dir, NPUPORT_TEMPLATES, the repository's templates/, built-in ones."""
    here = os.path.dirname(os.path.abspath(__file__))
    dirs = list(extra) + [d for d in os.environ.get("NPUPORT_TEMPLATES", "").split(os.pathsep) if d]
    dirs += [os.path.join(here, "..", "..", "templates"), BUILTIN]
    seen, out = set(), []
    for d in dirs:
        real = os.path.realpath(d)
        if real not in seen and os.path.isdir(real):
            seen.add(real)
            out.append(real)
    return out


def load_template(path):
    """Imports one template file (its code runs: templates are the user's own); HelperError when it breaks the contract."""
    name = "npuport_template_" + re.sub(r"\W", "_", os.path.splitext(os.path.basename(path))[0])
    if not os.path.isfile(path):
        raise HelperError("file-not-found", f"{path}: no such template file", "`npuport_torch templates` lists the known ones")
    if path.endswith(".toml"):
        return Template(path, declarative.load(path))
    try:
        module = types.ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module
        with open(path, "rb") as f:
            exec(compile(f.read(), source_name(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as e:
        raise HelperError("usage", f"template {path} cannot be loaded: {type(e).__name__}: {e}{_line_in(e, path)}", "repair the file")
    if not isinstance(getattr(module, "TEMPLATE_NAME", None), str) or not module.TEMPLATE_NAME.strip():
        raise HelperError("usage", f"template {path} has no TEMPLATE_NAME (a string)", "add TEMPLATE_NAME = \"...\"")
    if not callable(getattr(module, "build", None)):
        raise HelperError("usage", f"template {path} has no function build(num_classes, pretrained=False)", "add it")
    return Template(path, module)


def _line_in(error, path):
    if isinstance(error, SyntaxError) and error.lineno:
        return f" (line {error.lineno})"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == source_name(path)]
    return f" (line {lines[-1]})" if lines else ""


def list_templates(extra=()):
    """-> (templates, problems): a bad file is reported and does not disturb the others."""
    good, bad, taken = [], [], set()
    for d in directories(extra):
        for file in sorted(os.listdir(d)):
            if not file.endswith((".py", ".toml")) or file.startswith(("_", ".")):
                continue
            path = os.path.join(d, file)
            try:
                t = load_template(path)
            except HelperError as e:
                bad.append({"file": path, "problem": e.message, "hint": e.hint})
                continue
            if t.id not in taken:
                taken.add(t.id)
                good.append(t)
    return good, bad


def find_template(wanted, extra=()):
    """A path, a file's stem, or a TEMPLATE_NAME."""
    if wanted.endswith((".py", ".toml")) or os.sep in wanted:
        return load_template(wanted)
    good, bad = list_templates(extra)
    for t in good:
        if wanted in (t.id, t.name):
            return t
    for t in good:
        if wanted.lower() in (t.id.lower(), t.name.lower()):
            return t
    broken = [b for b in bad if os.path.splitext(os.path.basename(b["file"]))[0] == wanted]
    if broken:
        raise HelperError("usage", broken[0]["problem"], broken[0]["hint"])
    raise HelperError("usage", f"no template named {wanted}", "known: " + ", ".join(t.id for t in good))


def build_model(template, state, extra, num_classes, in_channels=None):
    """The network of `template`, sized for this checkpoint where the template can do that."""
    try:
        if template.hook("build_from"):
            model = template.hook("build_from")(state, extra)
        else:
            model = template.hook("build")(num_classes, pretrained=False)
    except HelperError:
        raise
    except Exception as e:
        raise HelperError("usage", f"template {template.id}: build failed: {type(e).__name__}: {e}{_line_in(e, template.path)}",
                          "repair the template")
    if not hasattr(model, "state_dict"):
        raise HelperError("usage", f"template {template.id}: build returned a {type(model).__name__}, no nn.Module", "repair the template")
    return model.float().eval()
