"""Clips that are no film: the whole of a sender's understanding gives something sensible for each."""

import numpy as np
import pytest
from moving_shapes import clip

from semjax import semantics


def scenes(count):
    """Pictures that have nothing in common: blocks of other colours and sizes in each."""
    draw = np.random.default_rng(0)
    sizes = draw.integers(2, 6, (count, 2))
    pictures = [
        np.kron(draw.integers(0, 256, (r, c, 3)), np.ones((60 // r + 1, 60 // c + 1, 1))) for r, c in sizes
    ]
    return np.stack([p[:48, :60] for p in pictures]).astype(np.uint8)


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3), dtype=np.uint8)


SHAPES = (("disc", (200, 40, 40), 16, (30, 40), (2, 0.5)), ("box", (50, 70, 200), 12, (110, 60), (-1, 0)))
CLIPS = {
    "one frame": (clip(frames=1, shapes=SHAPES)[0], [0]),
    "identical frames": (np.repeat(clip(frames=1, shapes=SHAPES)[0], 8, axis=0), [0, 7]),
    "a cut in every frame": (scenes(8), list(range(8))),
    "pure noise": (noise(8), None),
}


@pytest.mark.parametrize("name", CLIPS)
def test_special_clips_are_understood(name):
    video, expected = CLIPS[name]
    labels = semantics.segment(video)
    assert labels.shape == video.shape[:3]
    cuts = list(semantics.scene_cuts(video))
    keys = semantics.skem(video, labels=labels, cuts=cuts).tolist()
    if expected is None:  # noise has no meaning that could change: no cut, few keyframes
        assert cuts == [] and keys[0] == 0 and keys[-1] == len(video) - 1
        assert len(keys) <= len(video) // 2
    else:
        assert keys == expected
        assert cuts == (list(range(1, len(video))) if "cut" in name else [])
    if name == "identical frames":
        assert (labels[2:] != labels[1:-1]).mean() < 0.005
    text = semantics.caption(video, labels)
    assert text.endswith(".") and 0 < len(text.encode()) <= 300
    if name != "pure noise":  # nothing moves from one scene to the next
        assert "camera" not in text
