"""One map out of two that were each improved on their own: the better part of both.

Changes of a cell or a run find the nearest map that none of them betters. From the truth that is a map with nearly
all of its detail, from the prediction one with nearly none; what a frame should be is often one here and the other
there. Source: fusion moves (Lempitsky, Rother, Roth and Blake 2010), by hill climbing instead of graph cuts.
"""

import numpy as np
from numba import njit

from semjax.contours.prices import window_bits
from semjax.entropy import binary as eb

TILES = (64, 32, 16, 8)  # cells a side; differences are taken over tile by tile, larger ones first


@eb.call
def _part(cells, other, seen, stack, box, r, c, tile, offset):
    """Cells connected to (r, c) in its tile where two maps differ, written to stack; how many. Sets box."""
    h, w = cells.shape
    top, left = (r + offset) // tile * tile - offset, (c + offset) // tile * tile - offset
    stack[0, 0], stack[0, 1] = r, c
    seen[r, c] = True
    box[0], box[1], box[2], box[3] = r, r, c, c
    n, i = 1, 0
    while i < n:
        y, x = stack[i, 0], stack[i, 1]
        i += 1
        box[0], box[1] = min(box[0], y), max(box[1], y)
        box[2], box[3] = min(box[2], x), max(box[3], x)
        for yy in range(max(y - 1, 0, top), min(y + 2, h, top + tile)):
            for xx in range(max(x - 1, 0, left), min(x + 2, w, left + tile)):
                if not seen[yy, xx] and cells[yy, xx] != other[yy, xx]:
                    seen[yy, xx] = True
                    stack[n, 0], stack[n, 1] = yy, xx
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _fuse_tiles(cells, other, places, truth, far, g1, near, nref, wt, lam, table, tile, offset):
    """One round of `fuse` with tiles of one size, their grid shifted by `offset` cells both ways.

    places: int64 [n, 2], where the maps differ, from above.
    """
    seen = np.zeros(cells.shape, np.bool_)
    stack, old = np.zeros((tile * tile, 2), np.int64), np.zeros(tile * tile, np.uint8)
    box = np.zeros(4, np.int64)
    for i in range(len(places)):
        r, c = places[i]
        if cells[r, c] == other[r, c] or seen[r, c]:
            continue
        n = _part(cells, other, seen, stack, box, r, c, tile, offset)
        window = box[0], box[1] + 3, box[2] - 1, box[3] + 3
        gain = -lam * window_bits(cells, g1, near, nref, *window, table)
        for k in range(n):
            y, x = stack[k]
            a, was, now = truth[y, x], cells[y, x], other[y, x]
            gain += ((wt[a] + wt[now]) * (a != now) - (wt[a] + wt[was]) * (a != was)) * far[y, x]
            old[k], cells[y, x] = was, now
        gain += lam * window_bits(cells, g1, near, nref, *window, table)
        if gain >= -1e-9:
            for k in range(n):
                cells[stack[k, 0], stack[k, 1]] = old[k]


def fuse(cells, other, truth, far, g1, near, nref, wt, lam, table, tiles=TILES):
    """Take over into `cells` what pays of its differences from `other`, in place. Cells of one pixel.

    cells, other, truth, g1: uint8 [H, W], the last the prediction; near: its `prices.surroundings`; nref, table: see
    `prices.context`. far: float32 [H, W] and wt: float64 [256], what wrong pixels cost; lam: what a bit does.
    """
    places = np.argwhere(cells != other)
    for tile in tiles:
        for offset in (0, tile // 2):
            _fuse_tiles(cells, other, places, truth, far, g1, near, nref, wt, lam, table, tile, offset)
