"""What cells cost in bits, about: a static table of code lengths by context, for the encoder's choices.

The decoder never sees it, so floats are fine here.
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

_INTRA = 108
_ONE = 3 * 16 * 4
CONTEXTS = _INTRA * (1 + _ONE)
SYMBOLS = 5  # 3 stands for nothing: the shipped tables count it, never
_CORNERS = 16  # cases of the cells across the corners of a predicted one, in tables that tell them apart
CORNER_ROWS = CONTEXTS + _INTRA * _ONE * _CORNERS  # rows of such tables
_LEAN = 100  # cells that a context counts for in each of its cases, next to those that tables are made from
_TRUST = 100  # cells that the static table counts for in each context, next to those of the unit
_CORNER_TRUST = 30  # the same in each of its cases


@njit(cache=True, inline="always")
def _trit(v, west, north):
    """0 west's label, 1 north's, 2 another: without a branch, which would be mispredicted half the time."""
    return np.int64(v != west) * (1 + np.int64(v != north))


@njit(cache=True, nogil=True)
def surroundings(g1):
    """Which cells around a predicted one have another label than it: uint8 [h, w] of bits.

    From bit 0: north, west, south, east; then across the corners. Outside the map none has.
    """
    h, w = g1.shape
    out = np.zeros((h, w), np.uint8)
    for r in range(h):
        for c in range(w - 1):
            differs = g1[r, c] != g1[r, c + 1]
            out[r, c] |= differs << 3
            out[r, c + 1] |= differs << 1
    for r in range(h - 1):
        for c in range(w):
            differs = g1[r, c] != g1[r + 1, c]
            out[r, c] |= differs << 2
            out[r + 1, c] |= np.uint8(differs)
        for c in range(w - 1):
            falling, rising = g1[r, c] != g1[r + 1, c + 1], g1[r + 1, c] != g1[r, c + 1]
            out[r, c] |= falling << 7
            out[r + 1, c + 1] |= falling << 4
            out[r + 1, c] |= rising << 5
            out[r, c + 1] |= rising << 6
    return out


@eb.call
def context(cells, g1, near, nref, r, c):
    """Context of a cell for the table, and its west and north labels. near: of `surroundings`; nref: predictions."""
    w = cells.shape[1]
    west = cells[r, c - 1] if c > 0 else (cells[r - 1, c] if r > 0 else cells[0, 0])
    if c == 0 and r == 0 and nref > 0:
        west = g1[0, 0]
    north = cells[r - 1, c] if r > 0 else west
    i = 1 if north != west else 0
    i = i * 3 + _trit(cells[r - 1, c + 1] if (r > 0 and c + 1 < w) else north, west, north)
    i = i * 3 + _trit(cells[r - 1, c - 1] if (r > 0 and c > 0) else north, west, north)
    i = i * 3 + _trit(cells[r - 2, c] if r > 1 else north, west, north)
    i = i * 2 + (1 if (c > 1 and cells[r, c - 2] != west) else 0)
    if nref > 0:
        i = i * 3 + _trit(g1[r, c], west, north)
        i = i * 16 + (near[r, c] & 15)
        i = i * 2 + (1 if (c > 0 and g1[r, c - 1] != west) else 0)
        i = i * 2 + (1 if (r > 0 and g1[r - 1, c] != north) else 0)
        i += _INTRA
    return i, west, north


@eb.call
def symbol(v, west, north, m, nref):
    """How a label is said: 0 west, 1 north, 2 the prediction m, 4 anything else."""
    if v == west:
        return 0
    if v == north:
        return 1
    if nref > 0 and v == m:
        return 2
    return 4


@eb.call
def _row(i, near, nref, table):
    """Row of a context in a table, or in counts; more than one for each where corners are told apart."""
    if nref > 0 and table.shape[0] > CONTEXTS:
        return CONTEXTS + (i - _INTRA) * _CORNERS + (near >> 4)
    return i


@eb.call
def cell_bits(cells, g1, near, nref, r, c, table):
    """Estimated bits of one cell."""
    i, west, north = context(cells, g1, near, nref, r, c)
    return table[_row(i, near[r, c], nref, table), symbol(cells[r, c], west, north, g1[r, c], nref)]


@eb.call
def _alike(nref, table):
    """Row of a cell with nothing but its own label around, in all maps."""
    return _row(_INTRA if nref else 0, 0, nref, table)


@njit(cache=True)
def quiet_cells(cells, g1):
    """Where nothing changes within a cell's context and both maps agree: bool [h, w]."""
    h, w = cells.shape
    edge = np.zeros((h, w), np.bool_)  # unlike the cell west or north of it, or the prediction
    for r in range(h):
        for c in range(w):
            edge[r, c] = cells[r, c] != g1[r, c]
        for c in range(1, w):
            edge[r, c] |= cells[r, c] != cells[r, c - 1]
        if r > 0:
            for c in range(w):
                edge[r, c] |= cells[r, c] != cells[r - 1, c]
    column = edge.copy()
    for r in range(h):
        for rr in (r - 1, r + 1):
            if 0 <= rr < h:
                for c in range(w):
                    column[r, c] |= edge[rr, c]
    out = np.empty((h, w), np.bool_)
    for r in range(h):
        for c in range(w):
            out[r, c] = not (column[r, c] | column[r, max(c - 1, 0)] | column[r, min(c + 1, w - 1)])
    return out


@njit(cache=True)
def count(cells, g1, near, nref, counts):
    """Add one map's symbols to counts float32 [CONTEXTS, SYMBOLS]."""
    quiet = quiet_cells(cells, g1)
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            if quiet[r, c]:
                counts[_alike(nref, counts), 0] += 1
                continue
            i, west, north = context(cells, g1, near, nref, r, c)
            i = _row(i, near[r, c], nref, counts)
            counts[i, symbol(cells[r, c], west, north, g1[r, c], nref)] += 1


@njit(cache=True, nogil=True)
def bits_of_cells(cells, g1, near, nref, table):
    """Estimated bits of every cell of a map: float64 [h, w]."""
    quiet = quiet_cells(cells, g1)
    alike = table[_alike(nref, table), 0]
    out = np.empty(cells.shape)
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            out[r, c] = alike if quiet[r, c] else cell_bits(cells, g1, near, nref, r, c, table)
    return out


# A cell, and the cells that have it in their context.
_TOUCHED = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, -1), (1, 1), (2, 0)])


@eb.call
def bits_around(cells, g1, near, nref, r, c, table):
    """Bits of a cell and of the cells that have it in their context."""
    h, w = cells.shape
    total = 0.0
    for k in range(7):
        rr, cc = r + _TOUCHED[k, 0], c + _TOUCHED[k, 1]
        if rr < h and 0 <= cc < w:
            total += cell_bits(cells, g1, near, nref, rr, cc, table)
    return total


@eb.call
def sum_around(bits, r, c):
    """The same from the bits of all cells."""
    h, w = bits.shape
    total = 0.0
    for k in range(7):
        rr, cc = r + _TOUCHED[k, 0], c + _TOUCHED[k, 1]
        if rr < h and 0 <= cc < w:
            total += bits[rr, cc]
    return total


@eb.call
def update_bits(bits, cells, g1, near, nref, r, c, table):
    """Bring the bits of all cells up to date after cell (r, c) changed."""
    h, w = cells.shape
    for k in range(7):
        rr, cc = r + _TOUCHED[k, 0], c + _TOUCHED[k, 1]
        if rr < h and 0 <= cc < w:
            bits[rr, cc] = cell_bits(cells, g1, near, nref, rr, cc, table)


@njit(cache=True)
def window_bits(cells, g1, near, nref, r0, r1, c0, c1, table):
    """Estimated bits of the cells of a window, clipped to the map."""
    h, w = cells.shape
    total = 0.0
    for r in range(max(r0, 0), min(r1, h)):
        for c in range(max(c0, 0), min(c1, w)):
            total += cell_bits(cells, g1, near, nref, r, c, table)
    return total


class Seen:
    """Code lengths that follow a unit: of cells with a prediction, from the static table and what was coded so far.

    For cells of one pixel. table: the static one, float32 [CORNER_ROWS, SYMBOLS], as from `bits_table`.
    """

    def __init__(self, table: np.ndarray):
        usual = np.exp2(-table[_INTRA:CONTEXTS])
        self.usual = usual / usual.sum(1, keepdims=True)
        self.cases = np.exp2(-_by_case(table))
        self.table = table.copy()
        self.counts = np.zeros_like(table)
        self.totals = np.zeros(len(usual), np.float32)

    def add(self, cells: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Note one map of cells, uint8 [h, w], and what was predicted; returns the table, brought up to date."""
        count(cells, prediction, surroundings(prediction), 1, self.counts)
        counts = _by_case(self.counts)
        totals = counts.sum((1, 2))
        new = np.flatnonzero(totals != self.totals)
        self.totals, counts, usual = totals, counts[new], self.usual[new]
        here = counts.sum(1) + _TRUST * usual
        # what a context has come to be in this unit, times what its cases make of it elsewhere
        expected = self.cases[new] * (here / here.sum(1, keepdims=True) / usual)[:, None]
        seen = counts + _CORNER_TRUST * expected / expected.sum(2, keepdims=True)
        _by_case(self.table)[new] = _bits(seen / seen.sum(2, keepdims=True))
        return self.table


def bits_table(counts: np.ndarray) -> np.ndarray:
    """Code lengths float32 of `counts` ([CONTEXTS or CORNER_ROWS, SYMBOLS]); what is rare leans on what is simpler.

    Counts that tell corners apart may have what was counted without them besides.
    """
    k = _INTRA
    intra, one = counts[:k], counts[k:CONTEXTS].reshape(k, _ONE, SYMBOLS)
    corners = len(counts) > CONTEXTS
    if corners:
        one = one + _by_case(counts).sum(1).reshape(one.shape)
    base = (intra.sum(0) + 1) / (intra.sum() + SYMBOLS)
    p0 = (intra + 2 * base) / (intra.sum(-1, keepdims=True) + 2)
    # what the prediction says, whatever the neighbourhood, and the other way round
    by_ref = one.sum(0) + 0.5
    by_ref = by_ref / by_ref.sum(-1, keepdims=True)
    p1 = (one + 3 * by_ref) / (one.sum(-1, keepdims=True) + 3)
    p = [p0, p1.reshape(-1, SYMBOLS)]
    if corners:
        cases = _by_case(counts) + _LEAN * p[1][:, None]
        p.append((cases / cases.sum(2, keepdims=True)).reshape(-1, SYMBOLS))
    return _bits(np.concatenate(p)).astype(np.float32)


def _by_case(table):
    """The rows of a table that tell corners apart: [contexts, cases, SYMBOLS]."""
    return table[CONTEXTS:].reshape(-1, _CORNERS, SYMBOLS)


def _bits(p):
    """Code lengths of symbols of such probabilities."""
    return -np.log2(np.clip(p, 1e-5, 1))
