"""Between pixels and cells: majority down, smooth up, both in integers.

A cell is s x s pixels and has one label. Going up, every label's cells are a 0/1 picture that a smooth kernel
enlarges; a pixel takes the label with the largest value, so outlines come out as curves instead of staircases.
"""

from fractions import Fraction

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

MAX_SCALE = 32
_TAPS = 5


def _cubic(d: Fraction) -> Fraction:
    """The enlarging kernel at distance d cells: the cubic B-spline."""
    d = abs(d)
    if d >= 2:
        return Fraction(0)
    if d < 1:
        return Fraction(2, 3) - d * d + d**3 / 2
    return (2 - d) ** 3 / 6


def _weights() -> np.ndarray:
    """int32 [MAX_SCALE + 1, 6, MAX_SCALE]: of scale s, at pixel phase p, the weights of 5 cells and their sum.

    In 1/1024.
    """
    table = np.zeros((MAX_SCALE + 1, _TAPS + 1, MAX_SCALE), np.int32)
    for s in range(1, MAX_SCALE + 1):
        for p in range(s):
            at = Fraction(2 * p + 1 - s, 2 * s)
            for k in range(_TAPS):
                table[s, k, p] = round(1024 * _cubic(at - (k - 2)))
    table[:, _TAPS] = table[:, :_TAPS].sum(1)
    return table


WEIGHTS = _weights()


@njit(cache=True, nogil=True)
def shrink(full, s):
    """Majority label of each cell: uint8 [H, W] -> [ceil(H/s), ceil(W/s)]; ties go to the middle pixel's label."""
    height, width = full.shape
    if s == 1:
        return full.copy()
    h, w = (height + s - 1) // s, (width + s - 1) // s
    out = np.empty((h, w), np.uint8)
    count = np.zeros(256, np.int64)
    for r in range(h):
        y0, y1 = r * s, min(r * s + s, height)
        for c in range(w):
            x0, x1 = c * s, min(c * s + s, width)
            best = full[(y0 + y1) // 2, (x0 + x1) // 2]
            mixed = False
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if full[y, x] != best:
                        mixed = True
                    count[full[y, x]] += 1
            if mixed:
                for y in range(y0, y1):
                    for x in range(x0, x1):
                        if count[full[y, x]] > count[best]:
                            best = full[y, x]
            for y in range(y0, y1):
                for x in range(x0, x1):
                    count[full[y, x]] = 0
            out[r, c] = best
    return out


@eb.call
def agrees(cells, g1, r, c):
    """Whether the 3 x 3 cells around (r, c) are what the prediction g1 says."""
    h, w = cells.shape
    for rr in range(max(r - 1, 0), min(r + 2, h)):
        for cc in range(max(c - 1, 0), min(c + 2, w)):
            if cells[rr, cc] != g1[rr, cc]:
                return False
    return True


@eb.call
def _vote(near, label, s, taps, part, votes):
    """What the cells `near` [5, 5] of one label weigh in each of s x s pixels, in 1/2^20: votes[:s, :s]."""
    for k in range(5):
        for y in range(s):
            part[k, y] = 0
        for i in range(5):
            if near[i, k] == label:
                for y in range(s):
                    part[k, y] += taps[i, y]
    for y in range(s):
        p0, p1, p2, p3, p4 = part[0, y], part[1, y], part[2, y], part[3, y], part[4, y]
        for x in range(s):
            votes[y, x] = (
                p0 * taps[0, x] + p1 * taps[1, x] + p2 * taps[2, x] + p3 * taps[3, x] + p4 * taps[4, x]
            )


@eb.call
def enlarged(cells, r, c, s, weights, scratch, out):
    """Labels of the s x s pixels of cell (r, c) from the 5 x 5 cells around, written to out[:s, :s].

    Each pixel takes the label of the largest vote, and the cell's own where votes are equal. scratch: tuple of
    `new_scratch`.
    """
    h, w = cells.shape
    labels, near, part, votes, most = scratch
    own = cells[r, c]
    count = 1
    labels[0] = own
    for dr in range(-2, 3):
        rr = min(max(r + dr, 0), h - 1)
        for dc in range(-2, 3):
            v = cells[rr, min(max(c + dc, 0), w - 1)]
            near[dr + 2, dc + 2] = v
            if v != own:
                known = False
                for j in range(1, count):
                    if labels[j] == v:
                        known = True
                if not known:
                    labels[count] = v
                    count += 1
    taps = weights[s]
    if count == 1:
        for y in range(s):
            for x in range(s):
                out[y, x] = own
    elif count == 2:  # the two votes of a pixel have a known sum
        other = np.uint8(labels[1])
        _vote(near, other, s, taps, part, votes)
        for y in range(s):
            for x in range(s):
                out[y, x] = other if 2 * votes[y, x] > taps[5, y] * taps[5, x] else own
    else:
        _vote(near, own, s, taps, part, most)
        for y in range(s):
            for x in range(s):
                out[y, x] = own
        for j in range(1, count):
            _vote(near, labels[j], s, taps, part, votes)
            for y in range(s):
                for x in range(s):
                    if votes[y, x] > most[y, x]:
                        most[y, x] = votes[y, x]
                        out[y, x] = labels[j]


@njit(cache=True)
def new_scratch(s):
    """Working memory of `enlarged` at scale s."""
    return (
        np.zeros(26, np.int64),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, s), np.int32),
        np.zeros((s, s), np.int32),
        np.zeros((s, s), np.int32),
    )


@njit(cache=True, nogil=True)
def enlarge(cells, s, height, width, weights, carry, g1, pred):
    """The label map that a map of cells stands for: uint8 [h, w] -> [H, W].

    carry: the pixels of `pred` [H, W] stand where the 3 x 3 cells around are what its cells g1 [h, w] say.
    """
    if s == 1:
        return cells.copy()
    out = pred.copy() if carry else np.empty((height, width), np.uint8)
    scratch = new_scratch(s)
    block = np.zeros((s, s), np.uint8)
    for r in range(cells.shape[0]):
        y1 = min(s, height - r * s)
        for c in range(cells.shape[1]):
            if carry and agrees(cells, g1, r, c):
                continue
            x1 = min(s, width - c * s)
            enlarged(cells, r, c, s, weights, scratch, block)
            for y in range(y1):
                for x in range(x1):
                    out[r * s + y, c * s + x] = block[y, x]
    return out
