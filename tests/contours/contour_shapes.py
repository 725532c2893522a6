"""Label maps that the contour tests share."""

import numpy as np


def moving(frames=12, height=72, width=96, seed=0, objects=4):
    """Discs that drift, turn up and leave, over a background: uint8 [T, H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0, 1, (objects, 2)) * (height, width)
    speed = rng.uniform(-2, 2, (objects, 2))
    radius = rng.uniform(6, 16, objects)
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        for k in range(objects):
            if (t + k) % 9 == 8:
                continue
            cy, cx = centre[k] + t * speed[k]
            wave = 1 + 0.2 * np.sin(3 * np.arctan2(y - cy, x - cx) + 0.2 * t)
            out[t][np.hypot(y - cy, x - cx) < radius[k] * wave] = 10 * (k + 1)
    return out


def thin(frames=6, height=120, width=160, seed=0):
    """A disc that hangs on lines of one or two pixels, and swings; frayed: uint8 [T, H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        cy, cx = 0.8 * height, width * (0.5 + 0.2 * np.sin(0.3 * t))
        out[t][np.hypot(y - cy, x - cx) < 9 + rng.normal(0, 0.3)] = 1
        for k in range(6):
            top = width * (k + 1) / 7 + rng.normal(0, 0.5)
            along = top + (cx - top) * y / cy
            out[t][(abs(x - along) < 0.9) & (y < cy)] = 1
        out[t][rng.random((height, width)) < 0.02] = 0
    return out


def oddities():
    """Single frames that codecs get wrong: uint8 [H, W] each."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:33, :47]
    one = np.zeros((33, 47), np.uint8)
    one[13, 20] = 255
    rings = (np.maximum(abs(y - 16), abs(x - 23)) // 3 % 3).astype(np.uint8)
    return {
        "flat": np.full((8, 8), 7, np.uint8),
        "checkerboard": ((x + y) % 2).astype(np.uint8),
        "one pixel": one,
        "nested": rings,
        "noise": rng.integers(0, 256, (33, 47)).astype(np.uint8),
        "all labels": np.arange(256, dtype=np.uint8).reshape(16, 16),
        "stripes": (x % 2 * 200).astype(np.uint8),
        "a row": rng.integers(0, 3, (1, 50)).astype(np.uint8),
        "a column": rng.integers(0, 3, (50, 1)).astype(np.uint8),
        "a pixel": np.full((1, 1), 9, np.uint8),
    }


def miou(a, b):
    """Mean IoU over the labels of `a`, pooled over the clip."""
    return float(np.mean([np.sum((a == v) & (b == v)) / np.sum((a == v) | (b == v)) for v in np.unique(a)]))
