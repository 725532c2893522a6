"""Motion of one object between two frames, as the paper's P-frames carry it."""

import numpy as np

from semjax.contours.polygons import UNIT, fill, predict

_SHIFT_STEPS = (16, 8, 4, 2, 1)  # half pixels
_TURN_STEPS = (16, 8, 4, 2)  # 1/256


def centre_of(contours: list[np.ndarray]) -> np.ndarray:
    """Middle of the bounding box in 1/UNIT pixels, int64 [2]: known to both ends, cheap and exact."""
    low = np.min([c.min(0) for c in contours], axis=0).astype(np.int64)
    high = np.max([c.max(0) for c in contours], axis=0).astype(np.int64)
    return (low + high) >> 1


def move(contours: list[np.ndarray], motion: np.ndarray) -> list[np.ndarray]:
    """All contours of one object under one motion (see `polygons.predict`)."""
    centre = centre_of(contours)
    return [predict(c, motion, centre) for c in contours]


def overlap(contours: list[np.ndarray], mask: np.ndarray) -> float:
    """Intersection over union of filled contours (1/UNIT pixels) and a mask; 1 if both are empty."""
    height, width = mask.shape
    if contours:
        low = np.min([c.min(0) for c in contours], axis=0) // UNIT
        high = -(-np.max([c.max(0) for c in contours], axis=0) // UNIT)
        x0, y0 = np.clip(low, 0, (width, height))
        x1, y1 = np.clip(high, 0, (width, height))
    total = int(np.count_nonzero(mask))
    if not contours or x1 <= x0 or y1 <= y0:
        return 1.0 if total == 0 else 0.0
    shift = np.array([x0, y0], np.int32) * UNIT
    inside = fill([c - shift for c in contours], int(y1 - y0), int(x1 - x0), UNIT)
    both = int(np.count_nonzero(inside & mask[y0:y1, x0:x1]))
    union = int(np.count_nonzero(inside)) + total - both
    return both / union if union else 1.0


def estimate(contours: list[np.ndarray], mask: np.ndarray, similarity: bool) -> tuple[np.ndarray, float]:
    """The motion that moves `contours` best onto `mask`, by hill climbing on the overlap.

    Args:
        contours: one object's contours in 1/UNIT pixels.
        mask: bool [H, W], where the object is now.
        similarity: also try turns and scales.

    Returns:
        (int64 (dx, dy, a, b) as `polygons.predict` takes it, the overlap reached).
    """
    ys, xs = np.nonzero(mask)
    best = np.zeros(4, np.int64)
    score = overlap(contours, mask)
    if len(xs) == 0 or score == 1.0:
        return best, score
    box = np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1], np.int64) * UNIT // 2
    trial = np.array([*((box - centre_of(contours)) * 2 // UNIT), 0, 0], np.int64)
    reached = overlap(move(contours, trial), mask)
    if reached > score:
        best, score = trial, reached
    for rank in range(len(_SHIFT_STEPS)):
        axes = [(0, _SHIFT_STEPS[rank]), (1, _SHIFT_STEPS[rank])]
        if similarity and rank > 0:
            axes += [(2, _TURN_STEPS[rank - 1]), (3, _TURN_STEPS[rank - 1])]
        for axis, step in axes:
            for sign in (-1, 1):
                while True:
                    trial = best.copy()
                    trial[axis] += sign * step
                    if abs(trial[axis]) > 4000 or (axis > 1 and abs(trial[axis]) > 96):
                        break
                    reached = overlap(move(contours, trial), mask)
                    if reached <= score:
                        break
                    best, score = trial, reached
    return best, score
