"""Between pixels and cells: majority down, smooth up, both in integers.

A cell is s x s pixels and has one label. Going up, every label's cells are a 0/1 picture that a smooth kernel
enlarges; a pixel takes the label with the largest value, so outlines come out as curves instead of staircases.
"""

from fractions import Fraction

import numpy as np
from numba import njit

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
    """int32 [MAX_SCALE + 1, MAX_SCALE, 5]: of scale s, pixel phase p, the weights of 5 cells, in 1/1024."""
    table = np.zeros((MAX_SCALE + 1, MAX_SCALE, _TAPS), np.int32)
    for s in range(1, MAX_SCALE + 1):
        for p in range(s):
            at = Fraction(2 * p + 1 - s, 2 * s)
            for k in range(_TAPS):
                table[s, p, k] = round(1024 * _cubic(at - (k - 2)))
    return table


WEIGHTS = _weights()


@njit(cache=True)
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


@njit(cache=True)
def cell_pixels(cells, r, c, s, weights, carry, g1, pred, scratch, out):
    """Labels of the s x s pixels of cell (r, c), written to out[:s, :s].

    Where `carry` is set and the 3 x 3 cells around are what the prediction g1 says, the predicted pixels stand;
    otherwise the 5 x 5 cells around are enlarged. scratch: tuple of `new_scratch`.
    """
    h, w = cells.shape
    if carry:
        alike = True
        for rr in range(max(r - 1, 0), min(r + 2, h)):
            for cc in range(max(c - 1, 0), min(c + 2, w)):
                if cells[rr, cc] != g1[rr, cc]:
                    alike = False
        if alike:
            for y in range(min(s, pred.shape[0] - r * s)):
                for x in range(min(s, pred.shape[1] - c * s)):
                    out[y, x] = pred[r * s + y, c * s + x]
            return
    labels, part, votes = scratch
    own = cells[r, c]
    count = 1
    labels[0] = own
    for dr in range(-2, 3):
        rr = min(max(r + dr, 0), h - 1)
        for dc in range(-2, 3):
            v = cells[rr, min(max(c + dc, 0), w - 1)]
            if v != own:
                known = False
                for j in range(1, count):
                    if labels[j] == v:
                        known = True
                if not known:
                    labels[count] = v
                    count += 1
    for y in range(s):
        for x in range(s):
            out[y, x] = own
    if count == 1:
        return
    for j in range(count):
        label = labels[j]
        for y in range(s):
            for k in range(5):
                cc = min(max(c + k - 2, 0), w - 1)
                total = 0
                for i in range(5):
                    if cells[min(max(r + i - 2, 0), h - 1), cc] == label:
                        total += weights[s, y, i]
                part[y, k] = total
        for y in range(s):
            for x in range(s):
                vote = 0
                for k in range(5):
                    vote += part[y, k] * weights[s, x, k]
                if j == 0 or vote > votes[y, x]:
                    votes[y, x] = vote
                    out[y, x] = label


@njit(cache=True)
def new_scratch(s):
    """Working memory of `cell_pixels` at scale s."""
    return np.zeros(26, np.int64), np.zeros((s, 5), np.int64), np.zeros((s, s), np.int64)


@njit(cache=True)
def enlarge(cells, s, height, width, weights, carry, g1, pred):
    """The label map that a map of cells stands for: uint8 [h, w] -> [H, W].

    carry: keep the pixels of `pred` [H, W] wherever the cells agree with its cells g1 [h, w].
    """
    if s == 1:
        return cells.copy()
    out = np.empty((height, width), np.uint8)
    scratch = new_scratch(s)
    block = np.zeros((s, s), np.uint8)
    for r in range(cells.shape[0]):
        y1 = min(s, height - r * s)
        for c in range(cells.shape[1]):
            x1 = min(s, width - c * s)
            cell_pixels(cells, r, c, s, weights, carry, g1, pred, scratch, block)
            for y in range(y1):
                for x in range(x1):
                    out[r * s + y, c * s + x] = block[y, x]
    return out
