"""Shared by the helper's tests."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import torch
from torch import nn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("NPUPORT_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))


def helper(*args, cwd=None, env=None):
    """Runs the helper as the C++ side does -> (exit code, parsed JSON, stderr)."""
    environment = {**os.environ, "PYTHONPATH": os.path.join(ROOT, "python"), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    done = subprocess.run([sys.executable, "-m", "npuport_torch", *map(str, args), "--json"], capture_output=True, text=True,
                          cwd=cwd, env=environment, timeout=300)
    return done.returncode, json.loads(done.stdout), done.stderr


class TempCase(unittest.TestCase):
    """A test with a directory of its own (with a space and a quote in its name: paths are data)."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="npuport test '")
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)
        torch.manual_seed(0)

    def path(self, *names):
        return os.path.join(self.top, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)


TINY_TEMPLATE = """
from torch import nn
TEMPLATE_NAME = "Tiny"
INPUTS = [{"name": "image", "shape": [1, 3, 6, 10], "dtype": "float32"}]
def build(num_classes, pretrained=False):
    assert pretrained is False
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, num_classes))
"""


def tiny(num_classes=5):
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, num_classes)).eval()


# The same network without Python.
TINY_TOML = """
version = 1
name = "Tiny without Python"
[[input]]
name = "image"
shape = [1, 3, 6, 10]
[[layer]]
type = "Conv2d"
args = [3, 4, 3]
padding = 1
[[layer]]
type = "BatchNorm2d"
args = [4]
[[layer]]
type = "ReLU"
[[layer]]
type = "AdaptiveAvgPool2d"
args = [1]
[[layer]]
type = "Flatten"
[[layer]]
type = "Linear"
args = [4, "$num_classes"]
"""
