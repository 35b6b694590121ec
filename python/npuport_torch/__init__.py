"""npuport's PyTorch helper: checkpoint -> TorchScript archives, samples and baseline.

The only Python of the product, and the only place that imports torch. Works with PyTorch 1.13 and later; needs numpy
and nothing else. Run it as ``python3 -m npuport_torch --help``.
"""

import importlib.abc
import importlib.machinery
import os
import sys

__version__ = "0.1.0"


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return compile(self.get_data(path), source_name(path), "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Compiles this package's modules under names relative to its directory.

    PyTorch writes the Python stack into every traced archive; with absolute names the same checkpoint would give other
    bytes wherever the helper is installed. (linecache finds relative names through sys.path.)
    """

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if not fullname.startswith(__name__ + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def source_name(path):
    """ "npuport_torch/..." for files of this package, any other path unchanged."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    full = os.path.abspath(path)
    inside = full.startswith(os.path.join(home, __name__) + os.sep)
    return os.path.relpath(full, home).replace(os.sep, "/") if inside else path


sys.meta_path.insert(0, _Finder)
