"""Frames between two others for no bits: every block follows the motion along which both ends agree.

The field is searched for by encoder and decoder alike, from what both have decoded: each block takes over a
neighbour's motion or moves on from the best of them in shrinking steps, back and forth over the frame. Integers
only (normative text: docs/texture.md).

Source: recursive search of true motion (de Haan, Biezen, Huijgen and Ojo 1993), bilateral as in frame rate conversion.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from semjax.entropy import binary as eb
from semjax.texture import motion, pixels
from semjax.texture.motion import BLOCK, PAD, RAMP, limit_vector

_STEPS = np.array([16, 8, 4, 2, 1])  # quarter samples from first to second reference, one sweep each
_SMOOTH = 80  # what a quarter sample off a neighbour's motion costs, in 1/256 of a difference at every sample
_FAR = 64  # quarter samples beyond which a neighbour moves on its own


@eb.call
def _to_ends(out, move, part, gap, at_y, at_x, h, w):
    """Vectors into both references from the frame `part` of `gap` frames after the first, limited: out int64 [4]."""
    for k in range(2):
        at, size = (at_x, w) if k else (at_y, h)
        back = move[k] * part // gap
        out[k], out[2 + k] = limit_vector(-back, at, size), limit_vector(move[k] - back, at, size)


@eb.call
def _unlike(up0, up1, v, y0, y1, x0, x1, most):
    """Absolute difference of both references along v over a window; some number from `most` on if it is that."""
    one, two = up0[v[0] & 3, v[1] & 3], up1[v[2] & 3, v[3] & 3]
    ax, bx = PAD + (v[1] >> 2), PAD + (v[3] >> 2)
    total = np.int64(0)
    for y in range(y0, y1):
        first, second = one[PAD + y + (v[0] >> 2)], two[PAD + y + (v[2] >> 2)]
        part = np.int32(0)
        for x in range(x0, x1):
            part += abs(np.int32(first[ax + x]) - np.int32(second[bx + x]))
        total += part
        if total >= most:
            break
    return total


@eb.call
def _apart(found, i, j, y, x):
    """How far a motion is from those of the four neighbours, each counted up to `_FAR`."""
    total = 0
    for k in range(4):
        a, b = i + (k == 0) - (k == 1), j + (k == 2) - (k == 3)
        if 0 <= a < found.shape[0] and 0 <= b < found.shape[1]:
            total += min(abs(y - found[a, b, 0]) + abs(x - found[a, b, 1]), _FAR)
    return total


@njit(cache=True, nogil=True)
def find_motion(up0, up1, h, w):
    """Motion from the first to the second reference of every block of the frame half-way between.

    up0, up1: `motion.quarters` of the references. Returns int64 [rows, cols, 2], (y, x) in quarter samples.
    """
    rows, cols = -(-h // BLOCK), -(-w // BLOCK)
    found = np.zeros((rows, cols, 2), np.int64)
    v, move = np.zeros(4, np.int64), np.zeros(2, np.int64)
    centre, best_move = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for sweep in range(_STEPS.size):
        for at in range(rows * cols):
            i, j = divmod(at if sweep % 2 == 0 else rows * cols - 1 - at, cols)
            y0, y1 = max(i * BLOCK - RAMP, 0), min((i + 1) * BLOCK + RAMP, h)
            x0, x1 = max(j * BLOCK - RAMP, 0), min((j + 1) * BLOCK + RAMP, w)
            best = np.int64(1) << 60
            for k in range(10):
                if k < 5:  # its own so far, then the neighbours'
                    a, b = i + (k == 1) - (k == 2), j + (k == 3) - (k == 4)
                    if not (0 <= a < rows and 0 <= b < cols):
                        continue
                    move[:] = found[a, b]
                elif k == 5:
                    move[:] = 0
                else:
                    move[0] = centre[0] + _STEPS[sweep] * ((k == 6) - (k == 7))
                    move[1] = centre[1] + _STEPS[sweep] * ((k == 8) - (k == 9))
                _to_ends(v, move, 1, 2, i * BLOCK, j * BLOCK, h, w)
                cost = _SMOOTH * _apart(found, i, j, move[0], move[1]) * ((y1 - y0) * (x1 - x0)) // 256
                if cost < best:
                    cost += _unlike(up0, up1, v, y0, y1, x0, x1, best - cost)
                if cost < best:
                    best = cost
                    best_move[:] = move
                if k == 5:
                    centre[:] = best_move
            found[i, j] = best_move
    return found


@njit(cache=True, nogil=True)
def fields_at(found, part, gap, h, w):
    """Motion fields (see `motion`) of the frame `part` of `gap` frames after the first reference, from each alone."""
    first = np.zeros((*found.shape[:2], 5), np.int32)
    second = np.zeros((*found.shape[:2], 5), np.int32)
    second[:, :, 0] = 1
    v = np.zeros(4, np.int64)
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            _to_ends(v, found[i, j], part, gap, i * BLOCK, j * BLOCK, h, w)
            first[i, j, 1:3], second[i, j, 3:5] = v[:2], v[2:]
    return first, second


def hints_of(found: np.ndarray, gap: int) -> np.ndarray:
    """Motion as `motion.candidates` takes hints: int32 [rows, cols, 3]."""
    hint = np.ones((*found.shape[:2], 3), np.int32)
    hint[..., 1:] = 16 * found // gap
    return hint


def make_frames(first, second, found: np.ndarray, gap: int, size: tuple[int, int]) -> Iterator[tuple]:
    """The gap - 1 frames between two references, one after another.

    Args:
        first, second: their planes, padded as `motion.predict` takes them; or their brightness alone.
        found: what `find_motion` found for them. gap: frames from one to the other. size: (h, w).

    Yields:
        As many planes, int32 [h, w] each.
    """
    sizes = pixels.plane_sizes(*size)[: len(first)]
    one, two = (tuple(np.zeros((2, *s), np.int32) for s in sizes) for _ in range(2))
    for part in range(1, gap):
        for inter, field in zip((one, two), fields_at(found, part, gap, *size)):
            motion.predict(inter, field, first, second)
        # From one end to the other in even steps: halves of both throughout would flicker where frames are coded.
        yield tuple((a[0] * (gap - part) + b[0] * part + gap // 2) // gap for a, b in zip(one, two))
