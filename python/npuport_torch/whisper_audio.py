"""Sound to log-mel as Whisper was trained on (Radford et al. 2022, section 2.2): 16 kHz, 25 ms windows, 10 ms steps.

mel filters: Slaney's formula (linear below 1 kHz, logarithmic above, triangles of unit area), as librosa's default.
"""

import wave

import numpy as np
import torch

from .errors import HelperError

SAMPLE_RATE, N_FFT, HOP = 16000, 400, 160


def read_wav(path):
    """A RIFF file of 16 kHz, 16 bits, mono or more channels (averaged) -> float32 in [-1, 1)."""
    try:
        with wave.open(path, "rb") as w:
            rate, width, channels = w.getframerate(), w.getsampwidth(), w.getnchannels()
            raw = w.readframes(w.getnframes())
    except FileNotFoundError:
        raise HelperError("file-not-found", f"{path}: no such file", "check the path")
    except (wave.Error, EOFError, OSError) as e:
        raise HelperError("bad-input-data", f"{path} is no readable WAV file: {e}", "convert it to 16 kHz, 16 bit PCM")
    if rate != SAMPLE_RATE or width != 2:
        raise HelperError("bad-input-data", f"{path}: {rate} Hz, {8 * width} bits; need {SAMPLE_RATE} Hz, 16 bits",
                          "convert it, e.g. `sox IN -r 16000 -b 16 -c 1 OUT.wav`")
    data = np.frombuffer(raw[:len(raw) - len(raw) % (2 * channels)], "<i2").reshape(-1, channels)
    return (data.astype(np.float32) / 32768.0).mean(axis=1, dtype=np.float32)


def _hz_to_mel(f):
    f = np.asarray(f, dtype=np.float64)
    return np.where(f < 1000.0, f * 3.0 / 200.0, 15.0 + np.log(np.maximum(f, 1e-9) / 1000.0) * 27.0 / np.log(6.4))


def _mel_to_hz(m):
    m = np.asarray(m, dtype=np.float64)
    return np.where(m < 15.0, m * 200.0 / 3.0, 1000.0 * np.exp((m - 15.0) * np.log(6.4) / 27.0))


def mel_filters(n_mels):
    """-> float32 [n_mels, N_FFT / 2 + 1]."""
    bins = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def log_mel(audio, n_mels=80, frames=3000):
    """float32 samples -> float32 [1, n_mels, frames]; padded with silence or cut to `frames` steps of 10 ms."""
    n = frames * HOP
    audio = torch.from_numpy(np.pad(audio[:n], (0, max(0, n - len(audio)))).astype(np.float32))
    spectrum = torch.stft(audio, N_FFT, HOP, window=torch.hann_window(N_FFT), center=True, pad_mode="reflect", return_complex=True)
    power = spectrum[..., :-1].abs() ** 2
    mel = torch.log10(torch.clamp(torch.from_numpy(mel_filters(n_mels)) @ power, min=1e-10))
    mel = torch.maximum(mel, mel.max() - 8.0)
    return ((mel + 4.0) / 4.0)[None].contiguous()
