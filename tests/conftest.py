"""Small clips that tests of the whole chain share."""

import numpy as np
import pytest


def moving_disc(frames=12, height=48, width=64, seed=0):
    """A textured disc that crosses a textured ground: frames uint8 [T, H, W, 3] and labels uint8 [T, H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    ground = (
        90 + 40 * np.sin(x / 7)[..., None] * [1, 0.5, 0.2] + 30 * np.cos(y / 5)[..., None] * [0.2, 1, 0.4]
    )
    ground = ground + rng.normal(0, 3, (height, width, 1))
    clip, labels = [], []
    for t in range(frames):
        cx, cy = width * (0.25 + 0.5 * t / max(frames - 1, 1)), height * 0.5
        inside = (x - cx) ** 2 + (y - cy) ** 2 < (height / 4) ** 2
        stripes = 60 * (np.sin((x - cx) / 3) > 0)[..., None] + [150, 60, 40]
        clip.append(np.where(inside[..., None], stripes, ground))
        labels.append(inside)
    return np.clip(np.stack(clip), 0, 255).astype(np.uint8), np.stack(labels).astype(np.uint8)


@pytest.fixture(scope="session")
def disc():
    """(frames, labels) of 12 frames of 64x48."""
    return moving_disc()
