"""Vision networks written for the tests after their papers (no third-party code): random weights, small by default."""

import torch
import torch.nn.functional as F
from torch import nn


def conv_bn(i, o, k=3, s=1, g=1, act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), act(inplace=True) if act else nn.Identity())


# ---------------------------------------------------------------------------------------------- super-resolution
class RCAN(nn.Module):
    """Residual channel attention network (Zhang et al. 2018), x2."""

    class Block(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.ReLU(True), nn.Conv2d(n, n, 3, padding=1))
            self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(n, n // 4, 1), nn.ReLU(True), nn.Conv2d(n // 4, n, 1), nn.Sigmoid())

        def forward(self, x):
            y = self.body(x)
            return x + y * self.attention(y)

    def __init__(self, n=16, groups=2, blocks=2):
        super().__init__()
        self.head = nn.Conv2d(3, n, 3, padding=1)
        self.groups = nn.ModuleList(nn.Sequential(*[self.Block(n) for _ in range(blocks)], nn.Conv2d(n, n, 3, padding=1)) for _ in range(groups))
        self.tail = nn.Sequential(nn.Conv2d(n, 4 * n, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(n, 3, 3, padding=1))

    def forward(self, x):
        x = y = self.head(x)
        for g in self.groups:
            y = y + g(y)
        return self.tail(x + y)


class RRDB(nn.Module):
    """Residual-in-residual dense blocks (ESRGAN, Wang et al. 2018), x4 by nearest up-sampling."""

    class Dense(nn.Module):
        def __init__(self, n, g):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(n + k * g, g if k < 4 else n, 3, padding=1) for k in range(5))

        def forward(self, x):
            seen = [x]
            for k, conv in enumerate(self.convs):
                y = conv(torch.cat(seen, 1))
                if k < 4:
                    seen.append(F.leaky_relu(y, 0.2, inplace=True))
            return x + 0.2 * y

    def __init__(self, n=16, g=8, blocks=2):
        super().__init__()
        self.head = nn.Conv2d(3, n, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(*[self.Dense(n, g) for _ in range(3)]) for _ in range(blocks))
        self.body = nn.Conv2d(n, n, 3, padding=1)
        self.up = nn.ModuleList(nn.Conv2d(n, n, 3, padding=1) for _ in range(2))
        self.tail = nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.LeakyReLU(0.2, True), nn.Conv2d(n, 3, 3, padding=1))

    def forward(self, x):
        x = y = self.head(x)
        for b in self.blocks:
            y = y + 0.2 * b(y)
        x = x + self.body(y)
        for conv in self.up:
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
        return self.tail(x)


# ---------------------------------------------------------------------------------------------- segmentation, generation
class UNet(nn.Module):
    """Ronneberger et al. 2015, with padding; odd sizes are padded back before the concatenation."""

    def __init__(self, widths=(8, 16, 32), transposed=True):
        super().__init__()
        double = lambda i, o: nn.Sequential(conv_bn(i, o), conv_bn(o, o))
        self.down = nn.ModuleList(double(i, o) for i, o in zip((3, *widths[:-1]), widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) if transposed else
                                nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(i, o, 1))
                                for i, o in zip(widths[:0:-1], widths[-2::-1]))
        self.merge = nn.ModuleList(double(2 * o, o) for o in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x):
        skips = []
        for k, d in enumerate(self.down):
            x = d(F.max_pool2d(x, 2) if k else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1]):
            x = up(x)
            dy, dx = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = merge(torch.cat([skip, F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])], 1))
        return self.head(x)


class DCGANGenerator(nn.Module):
    """Radford et al. 2015: transposed convolutions from a noise vector to a picture."""

    def __init__(self, noise=32, n=8):
        super().__init__()
        up = lambda i, o, s, p: [nn.ConvTranspose2d(i, o, 4, s, p, bias=False), nn.BatchNorm2d(o), nn.ReLU(True)]
        self.main = nn.Sequential(*up(noise, 8 * n, 1, 0), *up(8 * n, 4 * n, 2, 1), *up(4 * n, 2 * n, 2, 1),
                                  nn.ConvTranspose2d(2 * n, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.main(z)


# ---------------------------------------------------------------------------------------------- windows
class Attention(nn.Module):
    """Self- or cross-attention written out: split heads, softmax(q k / sqrt(d) + bias) v."""

    def __init__(self, width, heads, inner=None):
        super().__init__()
        self.heads, inner = heads, inner or width
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q, k, v, bias=None):
        split = lambda t: t.reshape(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)
        q, k, v = split(self.q_proj(q)), split(self.k_proj(k)), split(self.v_proj(v))
        a = q @ k.transpose(-2, -1) / (q.shape[-1] ** 0.5)
        if bias is not None:
            a = a + bias
        y = (a.softmax(dim=-1) @ v).transpose(1, 2)
        return self.out_proj(y.reshape(y.shape[0], y.shape[1], -1))


class SwinStage(nn.Module):
    """Shifted windows (Liu et al. 2021): 6-D reshapes, roll, relative position bias, a mask for the shifted windows."""

    def __init__(self, width=16, heads=2, window=4, size=16):
        super().__init__()
        self.window, self.size = window, size
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.attn = nn.ModuleList(Attention(width, heads) for _ in range(2))
        self.mlp = nn.ModuleList(nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(2))
        self.bias = nn.Parameter(torch.randn(2, (2 * window - 1) ** 2, heads) * 0.1)
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = at[:, :, None] - at[:, None, :] + window - 1
        self.register_buffer("index", relative[0] * (2 * window - 1) + relative[1])
        region = torch.zeros(1, size, size, 1)
        edges = (slice(0, -window), slice(-window, -window // 2), slice(-window // 2, None))
        for n, (a, b) in enumerate((a, b) for a in edges for b in edges):
            region[:, a, b] = n
        ids = self.split(region).squeeze(-1)
        self.register_buffer("mask", (ids[:, None] != ids[:, :, None]).float() * -100.0)
        self.merge = nn.Linear(4 * width, 2 * width, bias=False)

    def split(self, x):
        b, h, w, c = x.shape
        k = self.window
        return x.view(b, h // k, k, w // k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, k * k, c)

    def join(self, x):
        k, s = self.window, self.size
        return x.view(-1, s // k, s // k, k, k, x.shape[-1]).permute(0, 1, 3, 2, 4, 5).reshape(-1, s, s, x.shape[-1])

    def forward(self, picture):
        x = self.patch(picture).permute(0, 2, 3, 1)
        for n in range(2):
            shift = n * self.window // 2
            y = self.norms[2 * n](x)
            if shift:
                y = torch.roll(y, (-shift, -shift), (1, 2))
            y = self.split(y)
            bias = self.bias[n][self.index.view(-1)].view(*self.index.shape, -1).permute(2, 0, 1)[None]
            if shift:
                bias = bias + self.mask[:, None]
            y = self.join(self.attn[n](y, y, y, bias))
            if shift:
                y = torch.roll(y, (shift, shift), (1, 2))
            x = x + y
            x = x + self.mlp[n](self.norms[2 * n + 1](x))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.merge(x)


class MobileViT(nn.Module):
    """A MobileViT block (Mehta & Rastegari 2022): unfold into 2x2 patches, attend across patches, fold back."""

    def __init__(self, n=16, width=24, heads=4):
        super().__init__()
        self.stem = conv_bn(3, n, s=2, act=nn.SiLU)
        self.local = nn.Sequential(conv_bn(n, n, act=nn.SiLU), nn.Conv2d(n, width, 1, bias=False))
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.project = conv_bn(width, n, 1, act=nn.SiLU)
        self.fuse = conv_bn(2 * n, n, act=nn.SiLU)

    def forward(self, picture):
        x = self.stem(picture)
        y = self.local(x)
        b, c, h, w = y.shape
        y = y.reshape(b * c * (h // 2), 2, w // 2, 2).transpose(1, 2).reshape(b, c, (h // 2) * (w // 2), 4)
        y = y.transpose(1, 3).reshape(b * 4, (h // 2) * (w // 2), c)
        z = self.norm1(y)
        y = y + self.attn(z, z, z)
        y = self.norm3(y + self.mlp(self.norm2(y)))
        y = y.reshape(b, 4, (h // 2) * (w // 2), c).transpose(1, 3)
        y = y.reshape(b * c * (h // 2), w // 2, 2, 2).transpose(1, 2).reshape(b, c, h, w)
        return self.fuse(torch.cat([x, self.project(y)], 1))


# ---------------------------------------------------------------------------------------------- segment anything
class TwoWayBlock(nn.Module):
    def __init__(self, width, heads, skip_pe):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.cross_token, self.cross_image = Attention(width, heads, width // 2), Attention(width, heads, width // 2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.skip_pe = skip_pe

    def forward(self, tokens, image, token_pe, image_pe):
        if self.skip_pe:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norms[0](tokens)
        tokens = self.norms[1](tokens + self.cross_token(tokens + token_pe, image + image_pe, image))
        tokens = self.norms[2](tokens + self.mlp(tokens))
        image = self.norms[3](image + self.cross_image(image + image_pe, tokens + token_pe, tokens))
        return tokens, image


class Channels2dNorm(nn.Module):
    """Layer norm over the channels of NCHW, as in SAM's up-scaling."""

    def __init__(self, n):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(n)), nn.Parameter(torch.zeros(n))

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        return self.weight[:, None, None] * ((x - u) / torch.sqrt(s + 1e-6)) + self.bias[:, None, None]


class SamDecoder(nn.Module):
    """Mask decoder with prompts (Kirillov et al. 2023): points and labels -> sparse tokens -> two-way attention -> masks.

    image [1, C, s, s], points [1, N, 2] in pixels of a 16 s picture, labels [1, N] in {-1, 0, 1, 2, 3}.
    """

    def __init__(self, width=256, heads=8, size=64):
        super().__init__()
        self.size, self.width = size, width
        self.register_buffer("gauss", torch.randn(2, width // 2))
        self.point_kinds = nn.Parameter(torch.randn(4, width) * 0.1)
        self.no_point = nn.Parameter(torch.randn(width) * 0.1)
        self.no_mask = nn.Parameter(torch.randn(width) * 0.1)
        self.out_tokens = nn.Parameter(torch.randn(5, width))
        self.blocks = nn.ModuleList(TwoWayBlock(width, heads, n == 0) for n in range(2))
        self.last, self.last_norm = Attention(width, heads, width // 2), nn.LayerNorm(width)
        self.up = nn.Sequential(nn.ConvTranspose2d(width, width // 4, 2, 2), Channels2dNorm(width // 4), nn.GELU(),
                                nn.ConvTranspose2d(width // 4, width // 8, 2, 2), nn.GELU())
        mlp = lambda o: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, o))
        self.hyper, self.score = nn.ModuleList(mlp(width // 8) for _ in range(4)), mlp(4)

    def encode(self, xy):
        t = 2 * torch.pi * ((2 * xy - 1) @ self.gauss)
        return torch.cat([t.sin(), t.cos()], -1)

    def forward(self, image, points, labels):
        s = self.size
        grid = (torch.arange(s) + 0.5) / s
        image_pe = self.encode(torch.stack([grid[None].expand(s, s), grid[:, None].expand(s, s)], -1)).reshape(1, s * s, -1)
        sparse = self.encode((points + 0.5) / (16.0 * s))
        kinds = labels[..., None]
        sparse = torch.where(kinds == -1, self.no_point, sparse)
        for k in range(4):
            sparse = sparse + (kinds == k).to(sparse.dtype) * self.point_kinds[k]
        token_pe = torch.cat([self.out_tokens[None].expand(image.shape[0], -1, -1), sparse], 1)
        tokens, x = token_pe, (image + self.no_mask[:, None, None]).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens, x = block(tokens, x, token_pe, image_pe)
        tokens = self.last_norm(tokens + self.last(tokens + token_pe, x + image_pe, x))
        up = self.up(x.transpose(1, 2).reshape(1, self.width, s, s))
        weights = torch.stack([h(tokens[:, 1 + n]) for n, h in enumerate(self.hyper)], 1)
        masks = (weights @ up.flatten(2)).reshape(1, 4, 4 * s, 4 * s)
        return masks[:, 1:], self.score(tokens[:, 0])[:, 1:]


class Operators(nn.Module):
    """Less common operators in one graph of several outputs."""

    def __init__(self):
        super().__init__()
        self.conv3d = nn.Conv3d(2, 3, (1, 3, 3), padding=(0, 1, 1))
        self.group, self.instance = nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)
        self.prelu = nn.PReLU(4)
        self.register_buffer("rows", torch.tensor([2, 0, 1, 2]))

    def forward(self, x):  # [1, 4, 8, 12]
        y, a, b = self.prelu(self.instance(self.group(x))), x[:, :2], x[:, 2:]
        theta = torch.tensor([[[0.9, 0.1, 0.05], [-0.1, 0.8, -0.1]]])
        values, _ = torch.topk(x.flatten(2), 5, dim=-1)
        order = torch.sort(x[:, 0], dim=-1, descending=True)[0]
        return (
            self.conv3d(torch.stack([a, b], 2)),
            F.grid_sample(x, F.affine_grid(theta, [1, 4, 6, 6], align_corners=False), align_corners=False),
            torch.einsum("bchw,bdhw->bcd", a, b),
            values, order, torch.cumsum(x, dim=2),
            F.pixel_unshuffle(x, 2), F.pad(x, (1, 2, 3, 1), mode="reflect"), F.pad(y, (2, 1, 1, 0), mode="replicate"),
            F.interpolate(x, size=(11, 7), mode="bicubic", align_corners=False), F.interpolate(x, size=(5, 17), mode="bilinear", align_corners=True),
            F.adaptive_max_pool2d(x, (3, 5)), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            x.index_select(1, self.rows), x.gather(3, torch.arange(12).flip(0).view(1, 1, 1, 12).expand(1, 4, 8, 12)),
            torch.where(x > 0, x.log1p(), x.expm1()), x.amax((2, 3)) - x.std((2, 3)), torch.logsumexp(x, 1),
            F.unfold(x, (2, 3), stride=2), F.normalize(x, dim=1),
        )
