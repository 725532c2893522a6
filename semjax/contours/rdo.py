"""The encoder's choice of cells: least weighted wrong pixels plus lambda times bits, closed loop.

What a changed cell does to the picture is measured on the enlarged pixels around it, and what it does to the rate
is read from a static table of code lengths (the decoder never sees it, so floats are fine here).
"""

import numpy as np
from numba import njit

from semjax.contours.grid import agrees, enlarged, new_scratch

_INTRA = 108
_ONE = 3 * 16 * 4
# The cells that a changed cell can change in the picture, nearest first: what a change breaks it breaks there.
_AROUND = np.array(
    sorted(((y, x) for y in range(-2, 3) for x in range(-2, 3)), key=lambda at: at[0] ** 2 + at[1] ** 2)
)
_TWO = 3 * 4
CONTEXTS = _INTRA * (1 + _ONE + _ONE * _TWO)
SYMBOLS = 5


@njit(cache=True, inline="always")
def _trit(v, west, north):
    if v == west:
        return 0
    return 1 if v == north else 2


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def cell_bits(cells, g1, g2, nref, r, c, table):
    """Estimated bits of one cell."""
    i, west, north = context(cells, g1, g2, nref, r, c)
    return table[i, symbol(cells[r, c], west, north, g1[r, c], g2[r, c], nref)]


@njit(cache=True)
def count(cells, g1, g2, nref, counts):
    """Add one map's symbols to counts float32 [CONTEXTS, SYMBOLS]."""
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            i, west, north = context(cells, g1, g2, nref, r, c)
            counts[i, symbol(cells[r, c], west, north, g1[r, c], g2[r, c], nref)] += 1


@njit(cache=True)
def _quiet(cells, g1, g2):
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
def map_bits(cells, g1, g2, nref, table):
    """Estimated bits of a whole map."""
    quiet = _quiet(cells, g1, g2)
    alike = table[(0, _INTRA, _INTRA * (1 + _ONE))[nref], 0]  # of a cell with nothing but its own label around
    total = 0.0
    for r in range(cells.shape[0]):
        for c in range(cells.shape[1]):
            total += alike if quiet[r, c] else cell_bits(cells, g1, g2, nref, r, c, table)
    return total


@njit(cache=True)
def _bits_around(cells, g1, g2, nref, r, c, table):
    """Bits of a cell and of the cells that have it in their context."""
    h, w = cells.shape
    total = cell_bits(cells, g1, g2, nref, r, c, table)
    if c + 1 < w:
        total += cell_bits(cells, g1, g2, nref, r, c + 1, table)
    if c + 2 < w:
        total += cell_bits(cells, g1, g2, nref, r, c + 2, table)
    if r + 1 < h:
        total += cell_bits(cells, g1, g2, nref, r + 1, c, table)
        if c > 0:
            total += cell_bits(cells, g1, g2, nref, r + 1, c - 1, table)
        if c + 1 < w:
            total += cell_bits(cells, g1, g2, nref, r + 1, c + 1, table)
    if r + 2 < h:
        total += cell_bits(cells, g1, g2, nref, r + 2, c, table)
    return total


@njit(cache=True)
def _held_error(truth, far, s, wt, pred, out):
    """Weighted wrong pixels of every cell where the prediction's pixels stand: out float64 [h, w]."""
    out[:] = 0.0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            a, b = truth[y, x], pred[y, x]
            if a != b:
                out[y // s, x // s] += (wt[a] + wt[b]) * far[y, x]


@njit(cache=True)
def _cell_error(cells, truth, far, r, c, s, weights, wt, carry, g1, held, scratch, block):
    """Weighted wrong pixels of one cell as the decoder will enlarge it; held: see `_held_error`."""
    if carry and agrees(cells, g1, r, c):
        return held[r, c]
    height, width = truth.shape
    enlarged(cells, r, c, s, weights, scratch, block)
    total = 0.0
    for y in range(min(s, height - r * s)):
        for x in range(min(s, width - c * s)):
            a, b = truth[r * s + y, c * s + x], block[y, x]
            if a != b:
                total += (wt[a] + wt[b]) * far[r * s + y, c * s + x]
    return total


@njit(cache=True)
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


@njit(cache=True)
def wrong(out, truth, far, wt):
    """Weighted wrong pixels of a picture."""
    total = 0.0
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            a, b = truth[y, x], out[y, x]
            if a != b:
                total += (wt[a] + wt[b]) * far[y, x]
    return total


@njit(cache=True)
def _undecided(cells, start, g1, g2):
    """Cells that a neighbour, the truth or a prediction would label otherwise: bool [h, w]."""
    h, w = cells.shape
    out = np.zeros((h, w), np.bool_)
    for r in range(h):
        for c in range(w):
            v = cells[r, c]
            out[r, c] = (v != start[r, c]) | (v != g1[r, c]) | (v != g2[r, c])
        for c in range(w - 1):
            differs = cells[r, c] != cells[r, c + 1]
            out[r, c] |= differs
            out[r, c + 1] |= differs
        if r == 0:
            continue
        for c in range(w):
            differs = cells[r, c] != cells[r - 1, c]
            out[r, c] |= differs
            out[r - 1, c] |= differs
        for c in range(w - 1):
            falling, rising = cells[r, c + 1] != cells[r - 1, c], cells[r, c] != cells[r - 1, c + 1]
            out[r, c + 1] |= falling
            out[r - 1, c] |= falling
            out[r, c] |= rising
            out[r - 1, c + 1] |= rising
    return out


@njit(cache=True)
def _candidates(cells, start, g1, g2, r, c, cand):
    """Labels that cell (r, c) might take instead of its own, written to cand; how many."""
    h, w = cells.shape
    now = cells[r, c]
    n = 0
    for q in range(12):
        if q < 9:
            rr, cc = r + q // 3 - 1, c + q % 3 - 1
            if rr < 0 or cc < 0 or rr >= h or cc >= w:
                continue
            v = cells[rr, cc]
        elif q == 9:
            v = start[r, c]
        elif q == 10:
            v = g1[r, c]
        else:
            v = g2[r, c]
        known = v == now
        for j in range(n):
            if cand[j] == v:
                known = True
        if not known:
            cand[n] = v
            n += 1
    return n


@njit(cache=True)
def refine(cells, start, truth, far, g1, g2, nref, s, weights, wt, lam, table, sweeps, carry, pred):
    """Improve `cells` in place by single-cell changes until none pays; returns (error, bits).

    start: the majority cells of the truth, candidates like the neighbours' and the predictions'.
    """
    h, w = cells.shape
    scratch = new_scratch(s)
    block = np.zeros((s, s), np.uint8)
    err, held = np.zeros((h, w)), np.zeros((h, w))
    if carry:
        _held_error(truth, far, s, wt, pred, held)
    quiet = _quiet(cells, g1, g2)
    for r in range(h):
        for c in range(w):
            if carry and quiet[r, c]:
                err[r, c] = held[r, c]
                continue
            err[r, c] = _cell_error(cells, truth, far, r, c, s, weights, wt, carry, g1, held, scratch, block)
    fresh, best_fresh = np.zeros(25), np.zeros(25)
    cand = np.zeros(16, np.int64)
    awake = _undecided(cells, start, g1, g2)
    for _ in range(sweeps):
        changes = 0
        for r in range(h):
            for c in range(w):
                if not awake[r, c]:
                    continue
                awake[r, c] = False
                now = cells[r, c]
                n = _candidates(cells, start, g1, g2, r, c, cand)
                if n == 0:
                    continue
                error0 = 0.0
                for rr in range(max(r - 2, 0), min(r + 3, h)):
                    for cc in range(max(c - 2, 0), min(c + 3, w)):
                        error0 += err[rr, cc]
                bits0 = _bits_around(cells, g1, g2, nref, r, c, table)
                best, chosen = -1e-9, now
                for j in range(n):
                    cells[r, c] = cand[j]
                    gain = lam * (_bits_around(cells, g1, g2, nref, r, c, table) - bits0) - error0
                    for k in range(25):
                        if gain >= best:
                            break
                        rr, cc = r + _AROUND[k, 0], c + _AROUND[k, 1]
                        if rr < 0 or cc < 0 or rr >= h or cc >= w:
                            continue
                        fresh[k] = _cell_error(
                            cells, truth, far, rr, cc, s, weights, wt, carry, g1, held, scratch, block
                        )
                        gain += fresh[k]
                    if gain < best:
                        best, chosen = gain, cand[j]
                        best_fresh[:] = fresh
                cells[r, c] = chosen
                if chosen != now:
                    changes += 1
                    for k in range(25):
                        rr, cc = r + _AROUND[k, 0], c + _AROUND[k, 1]
                        if rr >= 0 and cc >= 0 and rr < h and cc < w:
                            err[rr, cc] = best_fresh[k]
                    awake[max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4] = True
        if changes == 0:
            break
    return err.sum(), map_bits(cells, g1, g2, nref, table)


@njit(cache=True)
def _window_bits(cells, g1, g2, nref, r0, r1, c0, c1, table):
    h, w = cells.shape
    total = 0.0
    for r in range(max(r0, 0), min(r1, h)):
        for c in range(max(c0, 0), min(c1, w)):
            total += cell_bits(cells, g1, g2, nref, r, c, table)
    return total


@njit(cache=True)
def revert(cells, other, truth, far, g1, g2, nref, s, weights, wt, lam, table, carry, pred):
    """Take back connected differences from `other` (cells [h, w]) that do not pay, in place; how many were."""
    h, w = cells.shape
    scratch = new_scratch(s)
    block = np.zeros((s, s), np.uint8)
    held = np.zeros((h, w))
    if carry:
        _held_error(truth, far, s, wt, pred, held)
    seen = np.zeros((h, w), np.bool_)
    stack = np.zeros((h * w, 2), np.int64)
    old = np.zeros(h * w, np.uint8)
    done = 0
    for r in range(h):
        for c in range(w):
            if seen[r, c] or cells[r, c] == other[r, c]:
                continue
            n, i = 1, 0
            stack[0, 0], stack[0, 1] = r, c
            seen[r, c] = True
            r0, r1, c0, c1 = r, r, c, c
            while i < n:
                y, x = stack[i, 0], stack[i, 1]
                i += 1
                r0, r1, c0, c1 = min(r0, y), max(r1, y), min(c0, x), max(c1, x)
                for yy in range(max(y - 1, 0), min(y + 2, h)):
                    for xx in range(max(x - 1, 0), min(x + 2, w)):
                        if not seen[yy, xx] and cells[yy, xx] != other[yy, xx]:
                            seen[yy, xx] = True
                            stack[n, 0], stack[n, 1] = yy, xx
                            n += 1
            gain = -lam * _window_bits(cells, g1, g2, nref, r0, r1 + 3, c0 - 1, c1 + 3, table)
            for turn in range(2):
                sign = -1.0 if turn == 0 else 1.0
                for y in range(max(r0 - 2, 0), min(r1 + 3, h)):
                    for x in range(max(c0 - 2, 0), min(c1 + 3, w)):
                        e = _cell_error(
                            cells, truth, far, y, x, s, weights, wt, carry, g1, held, scratch, block
                        )
                        gain += sign * e
                if turn == 0:
                    for k in range(n):
                        old[k] = cells[stack[k, 0], stack[k, 1]]
                    for k in range(n):
                        cells[stack[k, 0], stack[k, 1]] = other[stack[k, 0], stack[k, 1]]
            gain += lam * _window_bits(cells, g1, g2, nref, r0, r1 + 3, c0 - 1, c1 + 3, table)
            if gain < 0:
                done += 1
            else:
                for k in range(n):
                    cells[stack[k, 0], stack[k, 1]] = old[k]
    return done


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
