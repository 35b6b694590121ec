import os
import subprocess
import sys

import numpy as np
import torch
from support import ROOT, TempCase


class MakeModels(TempCase):
    def test_a_few_models(self):
        script = os.path.join(ROOT, "tests", "models", "make_models.py")
        names = ["script_writes", "transformer_fastpath", "cell_loop"]
        run = lambda *more: subprocess.run([sys.executable, "-W", "ignore", script, "--out", self.top, "--only", *names, *more], capture_output=True, text=True)
        done = run()
        self.assertEqual(done.returncode, 0, done.stderr)
        first = {}
        for n in names:
            s = np.load(self.path(n + ".npz"))
            inputs = [torch.from_numpy(s[k]) for k in s.files if k.startswith("in.")]
            got = torch.jit.load(self.path(n + ".pt"))(*inputs)
            got = got[0] if isinstance(got, tuple) else got
            self.assertLess(np.abs(got.detach().numpy() - s["out.0"]).max(), 1e-5)
            with open(self.path(n + ".pt"), "rb") as f:
                first[n] = f.read()
        self.assertIn("_transformer_encoder_layer_fwd", str(torch.jit.load(self.path("transformer_fastpath.pt")).inlined_graph))
        self.assertEqual(run().stdout, "")  # nothing is made twice
        self.assertEqual(run("--force").returncode, 0)
        for n in names:
            with open(self.path(n + ".pt"), "rb") as f:
                self.assertEqual(f.read(), first[n], n)
