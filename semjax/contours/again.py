"""Cells of one pixel chosen again, once it is known what follows: also by the bits of the next frame's cells.

What a frame has where an outline moves, the next one is predicted from. A first pass cannot know what that will cost; a
second one takes the next frame's cells as the first had them. Every change that pays makes both frames together
cheaper, so pass after pass the unit becomes so. Source: iterated conditional modes (Besag 1986).
"""

import numpy as np
from numba import njit

from semjax.contours.blocks import shift
from semjax.contours.fusion import part_of
from semjax.contours.prices import bits_of_cells, cell_bits, surroundings
from semjax.contours.rdo import candidates, undecided
from semjax.contours.wrong_pixels import wrong
from semjax.entropy import binary as eb

_TILES = (32, 16)  # cells a side of the parts taken over from other maps
_LONGEST = 16  # run of cells that change together
_SWEEPS = 4


@njit(cache=True)
def followers(vectors, size, height, width):
    """Pixels of the next frame that a pixel predicts: (int32 [H, W] one of them, int32 [H, W] for each another).

    Pixels are numbered row by row, -1 is none.
    """
    first, more = np.full((height, width), -1, np.int32), np.full((height, width), -1, np.int32)
    for y in range(height):
        for x in range(width):
            yy = min(max(y + vectors[y // size, x // size, 0], 0), height - 1)
            xx = min(max(x + vectors[y // size, x // size, 1], 0), width - 1)
            more[y, x] = first[yy, xx]
            first[yy, xx] = y * width + x
    return first, more


@eb.call
def _around(g1, r, c):
    """`surroundings` of one cell."""
    h, w = g1.shape
    v = g1[r, c]
    out = 0
    for bit, (dy, dx) in enumerate(((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))):
        y, x = r + dy, c + dx
        if 0 <= y < h and 0 <= x < w and g1[y, x] != v:
            out |= 1 << bit
    return out


@eb.call
def _predict(part, n, cells, later, touched, mark):
    """Bring the next frame's prediction up to date where n cells changed; writes down whose bits that changes.

    touched: numbers of those cells; how many is returned. mark: int32 [H, W], all -1 before and after.
    """
    pred, near, first, more = later
    h, w = cells.shape
    m = 0
    for k in range(n):
        r, c = part[k]
        p = first[r, c]
        while p >= 0:
            y, x = p // w, p % w
            pred[y, x] = cells[r, c]
            for yy in range(max(y - 1, 0), min(y + 2, h)):
                for xx in range(max(x - 1, 0), min(x + 2, w)):
                    if mark[yy, xx] < 0:
                        mark[yy, xx] = m
                        touched[m] = yy * w + xx
                        m += 1
            p = more[y, x]
    for i in range(m):
        y, x = touched[i] // w, touched[i] % w
        mark[y, x] = -1
        near[y, x] = _around(pred, y, x)
    return m


@eb.call
def _swap(part, labels, n, cells):
    for k in range(n):
        r, c = part[k]
        cells[r, c], labels[k] = labels[k], cells[r, c]


@eb.call
def _changed(part, labels, n, window, frame, next_one, later, scratch):
    """Give n cells other labels, in place, if that makes this frame and the next cheaper; whether it did.

    part: int64 [n, 2]. labels: uint8 [n], get what the cells had if it pays. window: whose bits may change in this
    frame. next_one: the next frame's cells and their bits. later: what they are predicted from, its surroundings and
    `followers`. scratch: see `_predict`, and as many floats.
    """
    cells, bits, truth, far, g1, near, nref, wt, lam, table = frame
    cells2, bits2 = next_one
    pred, near2 = later[0], later[1]
    touched, mark, fresh = scratch
    width = cells.shape[1]
    worse = 0.0
    for k in range(n):
        r, c = part[k]
        a, was, now = truth[r, c], cells[r, c], labels[k]
        worse += ((wt[a] + wt[now]) * (a != now) - (wt[a] + wt[was]) * (a != was)) * far[r, c]
    _swap(part, labels, n, cells)
    more = 0.0
    for r in range(window[0], window[1]):
        for c in range(window[2], window[3]):
            more += cell_bits(cells, g1, near, nref, r, c, table) - bits[r, c]
    m = _predict(part, n, cells, later, touched, mark)
    for i in range(m):
        r, c = touched[i] // width, touched[i] % width
        fresh[i] = cell_bits(cells2, pred, near2, 1, r, c, table)
        more += fresh[i] - bits2[r, c]
    if worse + lam * more >= -1e-9:
        _swap(part, labels, n, cells)
        _predict(part, n, cells, later, touched, mark)
        return False
    for r in range(window[0], window[1]):
        for c in range(window[2], window[3]):
            bits[r, c] = cell_bits(cells, g1, near, nref, r, c, table)
    for i in range(m):
        bits2[touched[i] // width, touched[i] % width] = fresh[i]
    return True


@eb.call
def _run(cells, part, r, c, v, way):
    """Cells from (r, c) on that all have label v on one side, written to part; how many. way 0: only that cell."""
    h, w = cells.shape
    part[0, 0], part[0, 1] = r, c
    if way == 0:
        return 1
    down, side = (way - 1) // 2, 2 * ((way - 1) % 2) - 1
    across = 1 - down
    now = cells[r, c]
    n = 0
    y, x = r, c
    while n < _LONGEST and y < h and x < w and cells[y, x] == now:
        yy, xx = y + side * across, x + side * down
        if yy < 0 or xx < 0 or yy >= h or xx >= w or cells[yy, xx] != v:
            break
        part[n, 0], part[n, 1] = y, x
        n += 1
        y, x = y + down, x + across
    return n


@eb.call
def _try_runs(part, labels, v, r, c, frame, next_one, later, scratch):
    """Give (r, c), or a run from it, label v if it pays; how many cells that were."""
    h, w = frame[0].shape
    for way in range(5):
        n = _run(frame[0], part, r, c, v, way)
        while n > 1 or (n == 1 and way == 0):
            labels[:n] = v
            bottom, right = part[n - 1]
            window = r, min(bottom + 3, h), max(c - 1, 0), min(right + 3, w)
            if _changed(part, labels, n, window, frame, next_one, later, scratch):
                return n
            n = n // 2 if n > 3 else n - 1
    return 0


@njit(cache=True, nogil=True)
def _sweep(frame, next_one, later, scratch, awake):
    """Try other labels for cells, and runs of them, wherever awake bool [H, W]; how many changed."""
    cells, truth, g1 = frame[0], frame[2], frame[4]
    h, w = cells.shape
    part, labels = np.zeros((_LONGEST, 2), np.int64), np.zeros(_LONGEST, np.uint8)
    cand = np.zeros(16, np.int64)
    changes = 0
    for r in range(h):
        for c in range(w):
            if not awake[r, c]:
                continue
            awake[r, c] = False
            for j in range(candidates(cells, truth, g1, r, c, cand)):
                n = _try_runs(part, labels, np.uint8(cand[j]), r, c, frame, next_one, later, scratch)
                if n:
                    bottom, right = part[n - 1]
                    awake[max(r - 2, 0) : bottom + 3, max(c - 2, 0) : right + 3] = True
                    changes += 1
                    break
    return changes


@njit(cache=True, nogil=True)
def _take_over(other, frame, next_one, later, scratch, tile, offset):
    """Take over what pays of how `other` differs, by parts within tiles; their grid shifted by `offset` both ways."""
    cells = frame[0]
    h, w = cells.shape
    seen = np.zeros(cells.shape, np.bool_)
    part, box = np.zeros((tile * tile, 2), np.int64), np.zeros(4, np.int64)
    labels = np.zeros(tile * tile, np.uint8)
    for r in range(h):
        for c in range(w):
            if cells[r, c] == other[r, c] or seen[r, c]:
                continue
            n = part_of(cells, other, seen, part, box, r, c, tile, offset)
            for k in range(n):
                labels[k] = other[part[k, 0], part[k, 1]]
            window = box[0], min(box[1] + 3, h), max(box[2] - 1, 0), min(box[3] + 3, w)
            _changed(part, labels, n, window, frame, next_one, later, scratch)


def _next(cells, follow, vectors, size, table):
    """What the next frame has, and what it is predicted from: see `_changed`."""
    first, more = followers(vectors, size, *cells.shape)
    if follow is None:
        first[:], follow = -1, cells
    pred = shift(cells, vectors, size, 1)
    near = surroundings(pred)
    return (follow.copy(), bits_of_cells(follow, pred, near, 1, table)), (pred, near, first, more)


def improve(cells, truth, far, g1, nref, wt, lam, table, follow, vectors, size):
    """Cells of one pixel, uint8 [H, W], made better in place by what they and the next frame cost; (error, bits).

    truth, far, g1, nref, wt, lam, table: as in `rdo.refine`. follow: the next frame's cells, or None if it is not
    predicted from this one; vectors, size: the motion it is predicted with, `blocks.search`.
    """
    near = surroundings(g1)
    frame = cells, bits_of_cells(cells, g1, near, nref, table), truth, far, g1, near, nref, wt, lam, table
    next_one, later = _next(cells, follow, vectors, size, table)
    scratch = np.zeros(cells.size, np.int32), np.full(cells.shape, -1, np.int32), np.zeros(cells.size)
    # What changes with this frame may as well do so with the next, and the other way round.
    others = [g1] if nref else []
    others.append(np.where(later[2] >= 0, next_one[0].ravel()[later[2]], cells))
    for other in others:
        for tile in _TILES:
            for offset in (0, tile // 2):
                _take_over(other, frame, next_one, later, scratch, tile, offset)
    awake = undecided(cells, truth, g1)
    for _ in range(_SWEEPS):
        if not _sweep(frame, next_one, later, scratch, awake):
            break
    return wrong(cells, truth, far, wt), frame[1].sum()
