"""Just enough PNG to take a sample picture and to write one (8 bits per channel, grey/RGB/RGBA, not interlaced)."""

import os
import struct
import zlib

import numpy as np

from .errors import HelperError

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def read_png(path):
    """-> uint8 [H, W, 3]; grey is repeated, alpha dropped. Format: W3C PNG specification, sections 5, 9 and 11."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError as e:
        raise HelperError("file-not-found" if isinstance(e, FileNotFoundError) else "not-readable", f"{path}: {e.strerror}", "check the path")
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise HelperError("bad-input-data", f"{path} is no PNG file", "convert the picture to PNG, or give samples as .npz")
    try:
        return _decode(data, path)
    except (struct.error, zlib.error, IndexError, ValueError) as e:
        raise HelperError("bad-input-data", f"{path} is damaged: {e}", "")


def write_png(path, picture):
    """uint8 [H, W, 3] -> RGB PNG without filters."""
    h, w, _ = picture.shape
    rows = np.zeros((h, 1 + 3 * w), np.uint8)  # each row behind its filter type 0
    rows[:, 1:] = picture.reshape(h, 3 * w)

    def chunk(kind, body):
        return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))

    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    try:
        with open(path + ".tmp", "wb") as f:
            f.write(data)
        os.replace(path + ".tmp", path)
    except OSError as e:
        raise HelperError("not-writable", f"{path}: {e.strerror or e}", "check the directory and the free space")


def _decode(data, path):
    pos, packed, header = 8, b"", None
    while pos + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[pos:pos + 8])
        body = data[pos + 8:pos + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        elif kind == b"IEND":
            break
        pos += 12 + size
    if header is None:
        raise ValueError("no header")
    w, h, depth, colour, _, _, interlace = header
    if depth != 8 or colour not in _CHANNELS or interlace or not (0 < w * h <= 1 << 28):
        raise HelperError("bad-input-data", f"{path}: only 8-bit grey, RGB or RGBA pictures without interlacing are read",
                          "convert the picture, or give samples as .npz")
    c = _CHANNELS[colour]
    raw = zlib.decompressobj().decompress(packed, (w * c + 1) * h)
    rows = np.frombuffer(raw, np.uint8).reshape(h, w * c + 1)
    out = np.zeros((h, w * c), np.uint8)
    previous = np.zeros(w * c, np.uint8)
    for y in range(h):
        previous = out[y] = _unfilter(int(rows[y, 0]), rows[y, 1:], previous, c)
    out = out.reshape(h, w, c)
    return np.repeat(out[:, :, :1], 3, axis=2) if c < 3 else out[:, :, :3]


def _unfilter(kind, line, up, c):
    if kind == 0:
        return line
    if kind == 2:
        return line + up  # modulo 256 by the type
    line, up = line.tolist(), up.tolist()
    for i in range(len(line)):
        left = line[i - c] if i >= c else 0
        if kind == 1:
            predicted = left
        elif kind == 3:
            predicted = (left + up[i]) >> 1
        elif kind == 4:
            corner = up[i - c] if i >= c else 0
            p = left + up[i] - corner
            pa, pb, pc = abs(p - left), abs(p - up[i]), abs(p - corner)
            predicted = left if pa <= pb and pa <= pc else up[i] if pb <= pc else corner
        else:
            raise ValueError(f"unknown filter {kind}")
        line[i] = (line[i] + predicted) & 255
    return np.array(line, np.uint8)


def central_crop(picture, h, w, reduce=1):
    """The central h x w of uint8 [H, W, 3], reduced by `reduce` (mean, rounded) where large enough -> float32 [1, 3, h, w]."""
    H, W = picture.shape[:2]
    while reduce > 1 and (H < h * reduce or W < w * reduce):
        reduce -= 1
    if H < h or W < w:
        raise HelperError("bad-input-data", f"the picture is {H}x{W}, the input needs at least {h}x{w}", "use a larger picture")
    y, x = (H - h * reduce) // 2, (W - w * reduce) // 2
    crop = picture[y:y + h * reduce, x:x + w * reduce].astype(np.float64)
    crop = np.rint(crop.reshape(h, reduce, w, reduce, 3).mean(axis=(1, 3)))
    return np.ascontiguousarray(crop.transpose(2, 0, 1)[None]).astype(np.float32)
