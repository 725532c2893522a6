"""Synthetic tiny clips for the texture tests."""

import numpy as np


def moving(frames, h, w, seed=0):
    """A smooth pattern with a disc that moves over it: uint8 [frames, h, w, 3]."""
    rng = np.random.default_rng(seed)
    phase, pace = rng.uniform(0, 6, 3), rng.uniform(0.05, 0.3, 3)
    t, y, x = np.mgrid[:frames, :h, :w].astype(np.float64)
    out = 120 + 60 * np.sin(pace * x[..., None] + 0.15 * y[..., None] + phase + 0.1 * t[..., None])
    disc = (y - h / 2) ** 2 + (x - w / 4 - t * w / 100) ** 2 < (h / 5) ** 2
    out[disc] = rng.uniform(0, 255, 3)
    return np.clip(out + rng.normal(0, 2, out.shape), 0, 255).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255.0**2 / np.mean((a.astype(float) - b) ** 2))
