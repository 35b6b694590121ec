"""Makes the files the command line tests run on: python cli_models.py FOLDER.

Archives and checkpoints need PyTorch; broken archives and samples need NumPy only.
"""
import io
import os
import pickle
import struct
import sys
import zipfile

import numpy as np


def save(folder, name, **arrays):
    np.savez(os.path.join(folder, name), **arrays)


def torch_models(folder):
    import torch
    from torch import nn

    torch.manual_seed(7)

    class Net(nn.Module):
        """Small, with a name that a terminal, a Markdown table or a page would misread."""

        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.third = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = torch.relu(self.first(x))
            x = torch.relu(self.second(x))
            return self.third(x)

    net = Net().eval()
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        y = net(x)
        torch.jit.save(torch.jit.trace(net, x), os.path.join(folder, "net.pt"))
        torch.jit.save(torch.jit.script(net), os.path.join(folder, "scripted.pt"))
        save(folder, "net.npz", **{"in.0": x.numpy(), "out.0": y.numpy()})
        np.save(os.path.join(folder, "net_x.npy"), x.numpy())
        x2 = torch.randn(1, 3, 8, 8)
        save(folder, "net2.npz", **{"in.0": x2.numpy(), "out.0": net(x2).numpy()})
        wrong = y.numpy().copy()
        wrong[0, 0, 0, 0] += 0.5
        save(folder, "wrong_baseline.npz", **{"in.0": x.numpy(), "out.0": wrong})
        faulty = Net().eval()
        faulty.load_state_dict(net.state_dict())
        faulty.second.weight += 0.3 * torch.randn_like(faulty.second.weight)
        torch.jit.save(torch.jit.trace(faulty, x), os.path.join(folder, "faulty.pt"))
        nan = Net().eval()
        nan.load_state_dict(net.state_dict())
        nan.second.weight[0, 0, 0, 0] = float("nan")
        torch.jit.save(torch.jit.trace(nan, x), os.path.join(folder, "nan_weights.pt"))

    with torch.no_grad():
        loud = nn.Linear(64, 64).eval()
        loud.weight *= 300.0
        h = torch.randn(2, 64)
        torch.jit.save(torch.jit.trace(loud, h), os.path.join(folder, "loud.pt"))
        save(folder, "loud.npz", **{"in.0": h.numpy(), "out.0": loud(h).numpy()})

    class Logarithm(nn.Module):  # between two layers, where no host step can be cut off
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(400, 400), nn.Linear(400, 400)

        def forward(self, x):
            return self.b(torch.log1p(torch.abs(self.a(x))))

    logarithm, v = Logarithm().eval(), torch.randn(1, 400)
    torch.jit.save(torch.jit.trace(logarithm, v), os.path.join(folder, "logarithm.pt"))
    save(folder, "logarithm.npz", **{"in.0": v.numpy(), "out.0": logarithm(v).detach().numpy()})

    class Unsupported(nn.Module):
        def forward(self, x):
            a = torch.igamma(x, x)
            b = torch.digamma(x)
            c = torch.igamma(b, x)
            return a + b + c

    torch.jit.save(torch.jit.script(Unsupported().eval()), os.path.join(folder, "unsupported.pt"))

    class Hostile(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("a<script>alert(1)</script>|\x1b[31mred", nn.Linear(4, 4))

        def forward(self, x):
            for m in self.children():
                x = m(x)
            return x

    with torch.no_grad():
        hostile = Hostile().eval()
        h = torch.randn(2, 4)
        torch.jit.save(torch.jit.trace(hostile, h), os.path.join(folder, "hostile.pt"))
        save(folder, "hostile.npz", **{"in.0": h.numpy(), "out.0": hostile(h).numpy()})

    class Branch(nn.Module):
        def forward(self, x):
            if bool(x.sum() > 0):
                return x + 1
            return x - 1

    torch.jit.save(torch.jit.script(Branch().eval()), os.path.join(folder, "branch.pt"))

    class Embed(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embedding = nn.Embedding(50, 8)
            self.out = nn.Linear(8, 5)

        def forward(self, ids):
            return self.out(self.token_embedding(ids))

    with torch.no_grad():
        embed = Embed().eval()
        ids = torch.arange(6).view(1, 6) * 7
        torch.jit.save(torch.jit.trace(embed, ids), os.path.join(folder, "embed.pt"))
        save(folder, "embed.npz", **{"in.0": ids.numpy(), "out.0": embed(ids).numpy()})
    torch.save(net.state_dict(), os.path.join(folder, "state.pth"))


class Evil:
    def __reduce__(self):
        return (os.system, ("touch " + os.environ.get("NPUPORT_TEST_PWNED", "pwned"),))


def broken_files(folder):
    def path(name):
        return os.path.join(folder, name)

    with open(path("empty.pt"), "wb"):
        pass
    with open(path("noise.pt"), "wb") as f:
        f.write(np.random.default_rng(1).bytes(5000))
    net = path("net.pt")
    if os.path.exists(net):
        data = open(net, "rb").read()
        for share in (1, 5, 9):
            with open(path("truncated%d.pt" % share), "wb") as f:
                f.write(data[: len(data) * share // 10])
        bad = bytearray(data)
        for at in range(60, len(bad), 997):
            bad[at] ^= 0x5A
        with open(path("flipped.pt"), "wb") as f:
            f.write(bad)
        with zipfile.ZipFile(net) as z:
            names = z.namelist()
            for victim, out in (("data.pkl", "evil.pt"), ("data/0", "missing_weight.pt"), ("data.pkl", "no_data.pt")):
                with zipfile.ZipFile(path(out), "w", zipfile.ZIP_STORED) as w:
                    for n in names:
                        if n.endswith("/" + victim):
                            if out == "evil.pt":
                                w.writestr(n, pickle.dumps(Evil(), protocol=2))
                            continue
                        w.writestr(n, z.read(n))
    with zipfile.ZipFile(path("evil.pth"), "w") as w:
        w.writestr("archive/data.pkl", pickle.dumps(Evil(), protocol=2))
        w.writestr("archive/version", "3\n")
    with zipfile.ZipFile(path("bomb.pt"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as w:
        w.writestr("bomb/version", "3\n")
        with w.open("bomb/data.pkl", "w", force_zip64=True) as f:
            block = bytes(1 << 20)
            for _ in range(300):
                f.write(block)
        w.writestr("bomb/constants.pkl", b"\x80\x02).")
        w.writestr("bomb/code/__torch__.py", "class M(Module):\n  pass\n")
    with open(path("huge_shape.npy"), "wb") as f:
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    with open(path("short.tflite"), "wb") as f:
        f.write(b"\x1c\x00\x00\x00TFL3" + b"\xff" * 40)
    with open(path("bad.txt"), "w") as f:
        f.write('graph "x" {\n  input %x: f32[1,2]\n  %y: f32[1,2] = nonsense(%x)\n  output %y\n}\n')


def samples(folder):
    x = np.random.default_rng(3).standard_normal((1, 3, 8, 8)).astype(np.float32)
    save(folder, "no_baseline.npz", **{"in.0": x})
    save(folder, "wrong_name.npz", **{"picture": x, "other": x})
    save(folder, "wrong_shape.npz", **{"in.0": x[:, :, :4]})
    save(folder, "wrong_rank.npz", **{"in.0": x[0, 0]})
    save(folder, "wrong_channels.npz", **{"in.0": x[:, :2]})
    save(folder, "wrong_dtype.npz", **{"in.0": x.astype(np.int64)})
    save(folder, "float64.npz", **{"in.0": x.astype(np.float64) + 1e-12})
    save(folder, "too_many.npz", **{"in.0": x, "in.1": x})
    save(folder, "no_input.npz", **{"out.0": x})
    save(folder, "strings.npz", **{"in.0": np.array(["a", "b"])})
    save(folder, "complex.npz", **{"in.0": x.astype(np.complex64)})
    save(folder, "objects.npz", **{"in.0": np.array([{}, None], object)})
    save(folder, "dates.npz", **{"in.0": x, "out.0": np.array(["2020-01-01"], "datetime64[D]")})
    with_nan = x.copy()
    with_nan[0, 0, 0, 0] = np.nan
    save(folder, "nan.npz", **{"in.0": with_nan, "out.0": np.zeros((1, 2, 8, 8), np.float32)})
    data = io.BytesIO()
    np.savez(data, **{"in.0": x})
    with open(os.path.join(folder, "truncated.npz"), "wb") as f:
        f.write(data.getvalue()[:300])


if __name__ == "__main__":
    target = sys.argv[1]
    os.makedirs(target, exist_ok=True)
    torch_models(target)
    broken_files(target)
    samples(target)
