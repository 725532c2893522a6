"""One map out of two that were each improved on their own: the better part of both.

Changes of a cell or a run find the nearest map that none of them betters. From the truth that is a map with nearly
all of its detail, from the prediction one with nearly none; what a frame should be is often one here and the other
there. Source: fusion moves (Lempitsky, Rother, Roth and Blake 2010), by hill climbing instead of graph cuts.
"""

import numpy as np
from numba import njit

from semjax.contours.prices import bits_of_cells, cell_bits
from semjax.entropy import binary as eb

TILES = (64, 32, 16, 8)  # cells a side; differences are taken over tile by tile, larger ones first


@eb.call
def part_of(cells, other, seen, stack, box, r, c, tile, offset):
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


@eb.call
def _worse(other, stack, n, cells, truth, far, wt):
    """What n cells cost more in wrong pixels if they are as in `other`."""
    total = 0.0
    for k in range(n):
        y, x = stack[k]
        a, was, now = truth[y, x], cells[y, x], other[y, x]
        total += ((wt[a] + wt[now]) * (a != now) - (wt[a] + wt[was]) * (a != was)) * far[y, x]
    return total


@eb.call
def _swap(cells, other, stack, n):
    """Give n cells what they have in `other`, and that what they had."""
    for k in range(n):
        y, x = stack[k]
        cells[y, x], other[y, x] = other[y, x], cells[y, x]


@eb.call
def _priced(cells, bits, g1, near, nref, table, window, limit):
    """Whether a window's cells take fewer bits than `limit`; if so, `bits` is brought up to date."""
    top, bottom, left, right = window
    total = 0.0
    for y in range(top, bottom):
        for x in range(left, right):
            total += cell_bits(cells, g1, near, nref, y, x, table)
        if total >= limit:
            return False
    for y in range(top, bottom):
        for x in range(left, right):
            bits[y, x] = cell_bits(cells, g1, near, nref, y, x, table)
    return True


@njit(cache=True, nogil=True)
def _fuse_tiles(cells, other, places, bits, truth, far, g1, near, nref, wt, lam, table, tile, offset):
    """One round of `fuse` with tiles of one size, their grid shifted by `offset` cells both ways.

    places: int64 [n, 2], where the maps differ, from above. bits: of all cells, kept up to date.
    """
    h, w = cells.shape
    seen = np.zeros(cells.shape, np.bool_)
    stack, box = np.zeros((tile * tile, 2), np.int64), np.zeros(4, np.int64)
    for i in range(len(places)):
        r, c = places[i]
        if cells[r, c] == other[r, c] or seen[r, c]:
            continue
        n = part_of(cells, other, seen, stack, box, r, c, tile, offset)
        window = box[0], min(box[1] + 3, h), max(box[2] - 1, 0), min(box[3] + 3, w)
        before = 0.0
        for y in range(window[0], window[1]):
            for x in range(window[2], window[3]):
                before += bits[y, x]
        limit = before - (_worse(other, stack, n, cells, truth, far, wt) + 1e-9) / lam
        if limit <= 0:
            continue
        _swap(cells, other, stack, n)
        if not _priced(cells, bits, g1, near, nref, table, window, limit):
            _swap(cells, other, stack, n)


def fuse(cells, others, truth, far, g1, near, nref, wt, lam, table):
    """Take over into `cells` what pays of how other maps differ from it, in place. Cells of one pixel.

    others: pairs of a map and the sizes of tiles to take it over by; the maps get what `cells` had.
    cells, truth, g1, and each map: uint8 [H, W]; g1: the prediction; near: its `prices.surroundings`; nref, table: see
    `prices.context`. far: float32 [H, W] and wt: float64 [256], what wrong pixels cost; lam: what a bit does.
    """
    bits = bits_of_cells(cells, g1, near, nref, table)
    for other, tiles in others:
        places = np.argwhere(cells != other)
        for tile in tiles:
            for offset in (0, tile // 2):
                _fuse_tiles(
                    cells, other, places, bits, truth, far, g1, near, nref, wt, lam, table, tile, offset
                )
