"""Tones, and how pure what came of them is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def tone(frequency: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> Array:
    """A sine of this frequency (Hz)."""
    return level * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def pcm(data: bytes) -> Array:
    """16-bit samples as numbers from -1 to 1."""
    return np.frombuffer(data, "<i2") / 32768


def middle(samples: npt.NDArray[np.floating]) -> Array:
    """Without the first and the last tenth, where filters settle."""
    edge = len(samples) // 10
    return np.asarray(samples[edge:-edge], np.float64)


def purity(samples: npt.NDArray[np.floating], frequency: float, rate: int) -> tuple[float, float]:
    """The level of the tone of this frequency, and how far all the rest lies below it (dB)."""
    inner = middle(samples)
    angle = 2 * np.pi * frequency * np.arange(len(inner)) / rate
    basis = np.stack([np.sin(angle), np.cos(angle), np.ones(len(inner))], axis=1)
    factors, *_ = np.linalg.lstsq(basis, inner, rcond=None)
    fit = basis[:, :2] @ factors[:2]
    rest = inner - fit
    return float(np.hypot(*factors[:2])), float(10 * np.log10(np.mean(fit**2) / np.mean(rest**2)))


def level_db(samples: npt.NDArray[np.floating]) -> float:
    """The level of all there is, against a full-scale sine (dB)."""
    return float(10 * np.log10(2 * np.mean(middle(samples) ** 2) + 1e-20))
