"""What wrong pixels of a label map cost the encoder: of a picture, and of one cell as the decoder will enlarge it.

Only the encoder counts this, so floats are fine here.
"""

import numpy as np
from numba import njit

from semjax.contours.grid import agrees, enlarged
from semjax.entropy import binary as eb


@njit(cache=True)
def held_error(truth, far, s, wt, pred, out):
    """Weighted wrong pixels of every cell where the prediction's pixels stand: out float64 [h, w]."""
    out[:] = 0.0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            a, b = truth[y, x], pred[y, x]
            if a != b:
                out[y // s, x // s] += (wt[a] + wt[b]) * far[y, x]


@njit(cache=True)
def column_votes(s, weights):
    """What 5 cells one above the other weigh at each of s pixels, for every set of those that count: int32 [32, s]."""
    out = np.zeros((32, s), np.int32)
    for chosen in range(32):
        for i in range(5):
            if chosen >> i & 1:
                for y in range(s):
                    out[chosen, y] += weights[s, i, y]
    return out


@eb.call
def _plain_error(cells, truth, far, r, c, s, taps, wt, columns):
    """`cell_error` of a cell with at most two labels around it, away from the border; -1 for all others.

    The same votes as `enlarged` counts, from a table of columns and without writing the pixels down.
    """
    h, w = cells.shape
    if r < 2 or c < 2 or r + 2 >= h or c + 2 >= w:
        return -1.0
    own = cells[r, c]
    other = own
    chosen = 0  # bit 5 k + i: the cell in row i, column k has the other label
    for i in range(5):
        for k in range(5):
            v = cells[r - 2 + i, c - 2 + k]
            if v != own:
                if other == own:
                    other = v
                elif v != other:
                    return -1.0
                chosen |= 1 << (5 * k + i)
    v0, v1, v2 = columns[chosen & 31], columns[chosen >> 5 & 31], columns[chosen >> 10 & 31]
    v3, v4 = columns[chosen >> 15 & 31], columns[chosen >> 20]
    total = 0.0
    for y in range(s):
        for x in range(s):
            vote = v0[y] * taps[0, x] + v1[y] * taps[1, x] + v2[y] * taps[2, x] + v3[y] * taps[3, x]
            vote += v4[y] * taps[4, x]
            a = truth[r * s + y, c * s + x]
            b = other if 2 * vote > taps[5, y] * taps[5, x] else own
            if a != b:
                total += (wt[a] + wt[b]) * far[r * s + y, c * s + x]
    return total


@eb.call
def cell_error(cells, truth, far, r, c, s, weights, wt, carry, g1, held, columns, scratch, block):
    """Weighted wrong pixels of one cell as the decoder will enlarge it; held: see `held_error`."""
    if s == 1:
        a, b = truth[r, c], cells[r, c]
        return (wt[a] + wt[b]) * far[r, c] if a != b else 0.0
    if carry and agrees(cells, g1, r, c):
        return held[r, c]
    plain = _plain_error(cells, truth, far, r, c, s, weights[s], wt, columns)
    if plain >= 0:
        return plain
    height, width = truth.shape
    enlarged(cells, r, c, s, weights, scratch, block)
    total = 0.0
    for y in range(min(s, height - r * s)):
        for x in range(min(s, width - c * s)):
            a, b = truth[r * s + y, c * s + x], block[y, x]
            if a != b:
                total += (wt[a] + wt[b]) * far[r * s + y, c * s + x]
    return total


@njit(cache=True, nogil=True)
def importance_of_place(truth, near, extra):
    """What a wrong pixel counts for by its distance to the nearest outline: float32 [H, W].

    1 within `near` pixels and beyond twice that, `extra` more between: an outline that is off by more than `near`
    is one that can be seen (and that the boundary measure counts as lost); how far beyond does not matter more.
    """
    height, width = truth.shape
    close = np.zeros((height, width), np.uint8)
    reach = 2 * near
    for y in range(height):
        for x in range(width):
            a = truth[y, x]
            if (x + 1 < width and truth[y, x + 1] != a) or (y + 1 < height and truth[y + 1, x] != a):
                for yy in range(max(y - reach, 0), min(y + reach + 2, height)):
                    for xx in range(max(x - reach, 0), min(x + reach + 2, width)):
                        d = (yy - y) ** 2 + (xx - x) ** 2
                        level = 2 if d <= near * near else (1 if d <= reach * reach else 0)
                        close[yy, xx] = max(close[yy, xx], level)
    out = np.ones((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if close[y, x] == 1:
                out[y, x] += extra
    return out


@njit(cache=True, nogil=True)
def wrong(out, truth, far, wt):
    """Weighted wrong pixels of a picture."""
    total = 0.0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            a, b = truth[y, x], out[y, x]
            if a != b:
                total += (wt[a] + wt[b]) * far[y, x]
    return total
