"""Pictures that the metric tests are about."""

import numpy as np


def natural(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [T, H, W, 3] with smooth areas, edges and grain, moving a little."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    base = np.stack(
        [120 + 60 * np.sin((x + 2 * t) / (11 + c)) + 40 * np.cos(y / (7 + 2 * c)) for c in range(3)], -1
    )
    inside = (x - width / 2 - t) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 4) ** 2
    base = np.where(inside[..., None], 255 - base, base) + rng.normal(0, 6, base.shape)
    return np.clip(np.round(base), 0, 255).astype(np.uint8)


def damaged(clip: np.ndarray, sigma: float = 12, seed: int = 1) -> np.ndarray:
    """The clip, softened and with noise."""
    soft = (clip.astype(float) + np.roll(clip, 1, 1) + np.roll(clip, 1, 2)) / 3
    noise = np.random.default_rng(seed).normal(0, sigma, clip.shape)
    return np.clip(np.round(soft + noise), 0, 255).astype(np.uint8)
