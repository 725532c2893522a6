"""What cells cost in bits, about: a static table of code lengths by context, for the encoder's choices.

The decoder never sees it, so floats are fine here.
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

_INTRA = 108
_ONE = 3 * 16 * 4
_TWO = 3 * 4
CONTEXTS = _INTRA * (1 + _ONE + _ONE * _TWO)
SYMBOLS = 5
_TRUST = 100  # cells that the static table counts for in each context, next to those of the unit


@njit(cache=True, inline="always")
def _trit(v, west, north):
    """0 west's label, 1 north's, 2 another: without a branch, which would be mispredicted half the time."""
    return np.int64(v != west) * (1 + np.int64(v != north))


@eb.call
def context(cells, g1, g2, nref, r, c):
    """Context of a cell for the table, and its west and north labels."""
    h, w = cells.shape
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
        m = g1[r, c]
        i = i * 3 + _trit(m, west, north)
        i = i * 2 + (1 if (c + 1 < w and g1[r, c + 1] != m) else 0)
        i = i * 2 + (1 if (r + 1 < h and g1[r + 1, c] != m) else 0)
        i = i * 2 + (1 if (c > 0 and g1[r, c - 1] != m) else 0)
        i = i * 2 + (1 if (r > 0 and g1[r - 1, c] != m) else 0)
        i = i * 2 + (1 if (c > 0 and g1[r, c - 1] != west) else 0)
        i = i * 2 + (1 if (r > 0 and g1[r - 1, c] != north) else 0)
        if nref > 1:
            m = g2[r, c]
            i = i * 3 + _trit(m, west, north)
            i = i * 2 + (1 if (c + 1 < w and g2[r, c + 1] != m) else 0)
            i = i * 2 + (1 if (r + 1 < h and g2[r + 1, c] != m) else 0)
            return i + _INTRA * (1 + _ONE), west, north
        return i + _INTRA, west, north
    return i, west, north


@eb.call
def symbol(v, west, north, m1, m2, nref):
    """How a label is said: 0 west, 1 north, 2 prediction 1, 3 prediction 2, 4 anything else."""
    if v == west:
        return 0
    if v == north:
        return 1
    if nref > 0 and v == m1:
        return 2
    if nref > 1 and v == m2:
        return 3
    return 4


@eb.call
def cell_bits(cells, g1, g2, nref, r, c, table):
    """Estimated bits of one cell."""
    i, west, north = context(cells, g1, g2, nref, r, c)
    return table[i, symbol(cells[r, c], west, north, g1[r, c], g2[r, c], nref)]


@njit(cache=True, inline="always")
def _alike(nref):
    """Context of a cell with nothing but its own label around, in all maps."""
    return (0, _INTRA, _INTRA * (1 + _ONE))[nref]


@njit(cache=True)
def quiet_cells(cells, g1, g2):
    """Where nothing changes within a cell's context and all maps agree: bool [h, w]."""
    h, w = cells.shape
    edge = np.zeros((h, w), np.bool_)  # unlike the cell west or north of it, or a prediction
    for r in range(h):
        for c in range(w):
            edge[r, c] = (cells[r, c] != g1[r, c]) | (cells[r, c] != g2[r, c])
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
def count(cells, g1, g2, nref, counts):
    """Add one map's symbols to counts float32 [CONTEXTS, SYMBOLS]."""
    quiet = quiet_cells(cells, g1, g2)
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            if quiet[r, c]:
                counts[_alike(nref), 0] += 1
                continue
            i, west, north = context(cells, g1, g2, nref, r, c)
            counts[i, symbol(cells[r, c], west, north, g1[r, c], g2[r, c], nref)] += 1


@njit(cache=True, nogil=True)
def bits_of_cells(cells, g1, g2, nref, table):
    """Estimated bits of every cell of a map: float64 [h, w]."""
    quiet = quiet_cells(cells, g1, g2)
    alike = table[_alike(nref), 0]
    out = np.empty(cells.shape)
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            out[r, c] = alike if quiet[r, c] else cell_bits(cells, g1, g2, nref, r, c, table)
    return out


# A cell, and the cells that have it in their context.
_TOUCHED = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, -1), (1, 1), (2, 0)])


@eb.call
def bits_around(cells, g1, g2, nref, r, c, table):
    """Bits of a cell and of the cells that have it in their context."""
    h, w = cells.shape
    total = 0.0
    for k in range(7):
        rr, cc = r + _TOUCHED[k, 0], c + _TOUCHED[k, 1]
        if rr < h and 0 <= cc < w:
            total += cell_bits(cells, g1, g2, nref, rr, cc, table)
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
def update_bits(bits, cells, g1, g2, nref, r, c, table):
    """Bring the bits of all cells up to date after cell (r, c) changed."""
    h, w = cells.shape
    for k in range(7):
        rr, cc = r + _TOUCHED[k, 0], c + _TOUCHED[k, 1]
        if rr < h and 0 <= cc < w:
            bits[rr, cc] = cell_bits(cells, g1, g2, nref, rr, cc, table)


@njit(cache=True)
def window_bits(cells, g1, g2, nref, r0, r1, c0, c1, table):
    """Estimated bits of the cells of a window, clipped to the map."""
    h, w = cells.shape
    total = 0.0
    for r in range(max(r0, 0), min(r1, h)):
        for c in range(max(c0, 0), min(c1, w)):
            total += cell_bits(cells, g1, g2, nref, r, c, table)
    return total


class Seen:
    """Code lengths that follow a unit: of cells with one prediction, from the static table and what was coded so far.

    For cells of one pixel. table: the static one, as from `bits_table`.
    """

    def __init__(self, table: np.ndarray):
        self.table = table.copy()
        self.rows = slice(_INTRA, _INTRA * (1 + _ONE))
        usual = np.exp2(-table[self.rows])
        self.usual = _TRUST * usual / usual.sum(1, keepdims=True)
        self.counts = np.zeros_like(table)

    def add(self, cells: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Note one map of cells, uint8 [h, w], and what was predicted; returns the new table."""
        count(cells, prediction, prediction, 1, self.counts)
        seen = self.counts[self.rows] + self.usual
        self.table = self.table.copy()
        self.table[self.rows] = -np.log2(np.clip(seen / seen.sum(1, keepdims=True), 1e-5, 1))
        return self.table


def bits_table(counts: np.ndarray) -> np.ndarray:
    """Code lengths float32 [CONTEXTS, SYMBOLS] from counts; contexts with little to go on lean on simpler ones."""
    k = _INTRA
    intra = counts[:k]
    one = counts[k : k * (1 + _ONE)].reshape(k, _ONE, SYMBOLS)
    two = counts[k * (1 + _ONE) :].reshape(k, _ONE, _TWO, SYMBOLS)
    one_all = one + two.sum(2)
    base = (intra.sum(0) + 1) / (intra.sum() + SYMBOLS)
    p0 = (intra + 2 * base) / (intra.sum(-1, keepdims=True) + 2)
    # what the prediction says, whatever the neighbourhood, and the other way round
    by_ref = one_all.sum(0) + 0.5
    by_ref = by_ref / by_ref.sum(-1, keepdims=True)
    p1 = (one_all + 3 * by_ref) / (one_all.sum(-1, keepdims=True) + 3)
    p2 = (two + 3 * p1[:, :, None]) / (two.sum(-1, keepdims=True) + 3)
    p = np.concatenate([p0, p1.reshape(-1, SYMBOLS), p2.reshape(-1, SYMBOLS)])
    return -np.log2(np.clip(p, 1e-5, 1)).astype(np.float32)
