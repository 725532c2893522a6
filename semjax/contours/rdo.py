"""The encoder's choice of cells: least weighted wrong pixels plus lambda times bits, closed loop.

What a changed cell does to the picture is measured on the enlarged pixels around it, and what it does to the rate
is read from a static table of code lengths (the decoder never sees it, so floats are fine here).
"""

import numpy as np
from numba import njit

from semjax.contours.grid import new_scratch
from semjax.contours.prices import (
    bits_around,
    bits_of_cells,
    cell_bits,
    quiet_cells,
    sum_around,
    update_bits,
    window_bits,
)
from semjax.contours.wrong_pixels import cell_error, column_votes, held_error
from semjax.entropy import binary as eb

# The cells that a changed cell can change in the picture, nearest first: what a change breaks it breaks there.
_AROUND = np.array(
    sorted(((y, x) for y in range(-2, 3) for x in range(-2, 3)), key=lambda at: at[0] ** 2 + at[1] ** 2)
)
_LONGEST = 16  # run of cells that change together, see `_try_runs`


@njit(cache=True)
def undecided(cells, start, g1):
    """Cells that a neighbour, the truth or a prediction would label otherwise: bool [h, w]."""
    h, w = cells.shape
    out = np.zeros((h, w), np.bool_)
    for r in range(h):
        for c in range(w):
            v = cells[r, c]
            out[r, c] = (v != start[r, c]) | (v != g1[r, c])
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


@eb.call
def candidates(cells, start, g1, r, c, cand):
    """Labels that cell (r, c) might take instead of its own, written to cand; how many."""
    h, w = cells.shape
    now = cells[r, c]
    n = 0
    for q in range(11):
        if q < 9:
            rr, cc = r + q // 3 - 1, c + q % 3 - 1
            if rr < 0 or cc < 0 or rr >= h or cc >= w:
                continue
            v = cells[rr, cc]
        elif q == 9:
            v = start[r, c]
        else:
            v = g1[r, c]
        known = v == now
        for j in range(n):
            if cand[j] == v:
                known = True
        if not known:
            cand[n] = v
            n += 1
    return n


@eb.call
def _try_pairs(cells, bits, err, fresh, cand, n, maps, r, c):
    """Give (r, c) and the cell east or south of it one of n labels together, in place, if it pays; whether it did."""
    truth, far, g1, near, nref, s, weights, wt, lam, table, carry, held, columns, scratch, block = maps
    h, w = cells.shape
    now = cells[r, c]
    for j in range(n):
        for way in range(2):
            r2, c2 = r + way, c + 1 - way
            if r2 >= h or c2 >= w or cells[r2, c2] == cand[j]:
                continue
            was = cells[r2, c2]
            top, bottom, left, right = max(r - 2, 0), min(r2 + 3, h), max(c - 2, 0), min(c2 + 3, w)
            gain = 0.0
            for y in range(top, bottom):
                for x in range(left, right):
                    gain -= err[y, x]
                    if y >= r and x >= c - 1:
                        gain -= lam * bits[y, x]
            cells[r, c] = cells[r2, c2] = cand[j]
            gain += lam * window_bits(cells, g1, near, nref, r, bottom, c - 1, right, table)
            k = 0
            for y in range(top, bottom):
                for x in range(left, right):
                    if gain < -1e-9:
                        fresh[k] = cell_error(
                            cells, truth, far, y, x, s, weights, wt, carry, g1, held, columns, scratch, block
                        )
                        gain += fresh[k]
                        k += 1
            if gain < -1e-9:
                k = 0
                for y in range(top, bottom):
                    for x in range(left, right):
                        err[y, x] = fresh[k]
                        k += 1
                        if y >= r and x >= c - 1:
                            bits[y, x] = cell_bits(cells, g1, near, nref, y, x, table)
                return True
            cells[r, c], cells[r2, c2] = now, was
    return False


@eb.call
def _try_runs(cells, bits, err, awake, cand, n, maps, r, c):
    """Give a run of cells from (r, c) east or south the label that all have on one side, if it pays; whether it did.

    For cells of one pixel: an outline moves by runs, each of its cells alone would be a corner more.
    """
    truth, far, g1, near, nref, wt, lam, table = maps
    h, w = cells.shape
    now = cells[r, c]
    for j in range(n):
        v = np.uint8(cand[j])
        for way in range(4):
            down, side = way // 2, 2 * (way % 2) - 1
            across = 1 - down
            most, saved = 0, 0.0
            y, x = r, c
            while most < _LONGEST and y < h and x < w and cells[y, x] == now:
                yy, xx = y + side * across, x + side * down
                if yy < 0 or xx < 0 or yy >= h or xx >= w or cells[yy, xx] != v:
                    break
                most += 1
                y, x = y + down, x + across
            length = most
            while length > 1:
                bottom, right = r + down * (length - 1), c + across * (length - 1)
                r1, c0, c1 = min(bottom + 3, h), max(c - 1, 0), min(right + 3, w)
                saved = 0.0
                for y in range(r, bottom + 1):
                    for x in range(c, right + 1):
                        a = truth[y, x]
                        saved += err[y, x] - ((wt[a] + wt[v]) * far[y, x] if a != v else 0.0)
                before = 0.0
                for y in range(r, r1):
                    for x in range(c0, c1):
                        before += bits[y, x]
                cells[r : bottom + 1, c : right + 1] = v
                after = 0.0
                limit = before + saved / lam - 1e-9
                for y in range(r, r1):
                    for x in range(c0, c1):
                        after += cell_bits(cells, g1, near, nref, y, x, table)
                    if after > limit:
                        break
                if after < limit:
                    for y in range(r, r1):
                        for x in range(c0, c1):
                            bits[y, x] = cell_bits(cells, g1, near, nref, y, x, table)
                    for y in range(r, bottom + 1):
                        for x in range(c, right + 1):
                            a = truth[y, x]
                            err[y, x] = (wt[a] + wt[v]) * far[y, x] if a != v else 0.0
                    awake[max(r - 2, 0) : bottom + 3, max(c - 2, 0) : right + 3] = True
                    return True
                cells[r : bottom + 1, c : right + 1] = now
                length = length // 2 if length > 3 else length - 1
    return False


@njit(cache=True, nogil=True)
def refine(cells, start, truth, far, g1, near, nref, s, weights, wt, lam, table, sweeps, carry, pred, pairs):
    """Improve `cells` in place by changes of one cell, with `pairs` also of two, until none pays.

    Returns (error, bits).
    start: the majority cells of the truth, candidates like the neighbours' and the predictions'.
    """
    h, w = cells.shape
    reach = 2 if s > 1 else 0  # how far a cell has a say in the picture, in cells
    around = 25 if s > 1 else 1  # how many cells that are
    scratch = new_scratch(s)
    block, columns = np.zeros((s, s), np.uint8), column_votes(s, weights)
    err, held = np.zeros((h, w)), np.zeros((h, w))
    if carry:
        held_error(truth, far, s, wt, pred, held)
    quiet = quiet_cells(cells, g1)
    for r in range(h):
        for c in range(w):
            if s == 1 and cells[r, c] == truth[r, c]:
                continue
            if carry and quiet[r, c]:
                err[r, c] = held[r, c]
                continue
            err[r, c] = cell_error(
                cells, truth, far, r, c, s, weights, wt, carry, g1, held, columns, scratch, block
            )
    bits = bits_of_cells(cells, g1, near, nref, table)
    fresh, best_fresh = np.zeros(25), np.zeros(25)
    cand = np.zeros(16, np.int64)
    awake = undecided(cells, start, g1)
    maps = (truth, far, g1, near, nref, s, weights, wt, lam, table, carry, held, columns, scratch, block)
    plain = (truth, far, g1, near, nref, wt, lam, table)
    pair_fresh = np.zeros(30)
    for _ in range(sweeps):
        changes = 0
        for r in range(h):
            for c in range(w):
                if not awake[r, c]:
                    continue
                awake[r, c] = False
                now = cells[r, c]
                n = candidates(cells, start, g1, r, c, cand)
                if n == 0:
                    continue
                error0 = 0.0
                for rr in range(max(r - reach, 0), min(r + reach + 1, h)):
                    for cc in range(max(c - reach, 0), min(c + reach + 1, w)):
                        error0 += err[rr, cc]
                bits0 = sum_around(bits, r, c)
                best, chosen = -1e-9, now
                for j in range(n):
                    cells[r, c] = cand[j]
                    gain = lam * (bits_around(cells, g1, near, nref, r, c, table) - bits0) - error0
                    for k in range(around):
                        if gain >= best:
                            break
                        rr, cc = r + _AROUND[k, 0], c + _AROUND[k, 1]
                        if rr < 0 or cc < 0 or rr >= h or cc >= w:
                            continue
                        fresh[k] = cell_error(
                            cells,
                            truth,
                            far,
                            rr,
                            cc,
                            s,
                            weights,
                            wt,
                            carry,
                            g1,
                            held,
                            columns,
                            scratch,
                            block,
                        )
                        gain += fresh[k]
                    if gain < best:
                        best, chosen = gain, cand[j]
                        best_fresh[:] = fresh
                cells[r, c] = chosen
                if chosen != now:
                    changes += 1
                    update_bits(bits, cells, g1, near, nref, r, c, table)
                    for k in range(around):
                        rr, cc = r + _AROUND[k, 0], c + _AROUND[k, 1]
                        if rr >= 0 and cc >= 0 and rr < h and cc < w:
                            err[rr, cc] = best_fresh[k]
                    awake[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3] = True
                elif pairs and s == 1:
                    changes += _try_runs(cells, bits, err, awake, cand, n, plain, r, c)
                elif pairs and _try_pairs(cells, bits, err, pair_fresh, cand, n, maps, r, c):
                    changes += 1
                    awake[max(r - 2, 0) : r + 4, max(c - 2, 0) : c + 4] = True
        if changes == 0:
            break
    return err.sum(), bits.sum()


@njit(cache=True, nogil=True)
def revert(cells, other, truth, far, g1, near, nref, s, weights, wt, lam, table, carry, pred):
    """Take back connected differences from `other` (cells [h, w]) that do not pay, in place; how many were."""
    h, w = cells.shape
    scratch = new_scratch(s)
    block, columns = np.zeros((s, s), np.uint8), column_votes(s, weights)
    held = np.zeros((h, w))
    if carry:
        held_error(truth, far, s, wt, pred, held)
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
            gain = -lam * window_bits(cells, g1, near, nref, r0, r1 + 3, c0 - 1, c1 + 3, table)
            for turn in range(2):
                sign = -1.0 if turn == 0 else 1.0
                for y in range(max(r0 - 2, 0), min(r1 + 3, h)):
                    for x in range(max(c0 - 2, 0), min(c1 + 3, w)):
                        e = cell_error(
                            cells, truth, far, y, x, s, weights, wt, carry, g1, held, columns, scratch, block
                        )
                        gain += sign * e
                if turn == 0:
                    for k in range(n):
                        old[k] = cells[stack[k, 0], stack[k, 1]]
                    for k in range(n):
                        cells[stack[k, 0], stack[k, 1]] = other[stack[k, 0], stack[k, 1]]
            gain += lam * window_bits(cells, g1, near, nref, r0, r1 + 3, c0 - 1, c1 + 3, table)
            if gain < 0:
                done += 1
            else:
                for k in range(n):
                    cells[stack[k, 0], stack[k, 1]] = old[k]
    return done
