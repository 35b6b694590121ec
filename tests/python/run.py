"""All tests of the PyTorch helper: /usr/bin/python3 tests/python/run.py"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
sys.dont_write_bytecode = True

import results  # noqa: E402

if __name__ == "__main__":
    try:
        import torch  # noqa: F401
    except ImportError as e:
        print(f"SKIPPED: {sys.executable} has no PyTorch ({e}); NPUPORT_TEST_TORCH_PYTHON names another interpreter")
        sys.exit(0)
    modules = sorted(f[:-3] for f in os.listdir(HERE) if f.startswith("test_") and f.endswith(".py"))
    sys.exit(results.main("python_helper", modules))
