"""The encoder's motion search."""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb
from semjax.texture.motion import BLOCK, CANDIDATES, EDGE, PAD, candidates, code_motion, limit_vector

_BIT = 1.0 / 65536
MARGIN = 2  # samples around a block that count too, for the overlap
_WIDE = BLOCK + 2 * MARGIN
_CHEAP = 6.0  # bits below which a block's cost leaves nothing to win: a vector of its own costs about as much


@eb.call
def _error(org, up0, up1, way, a, b, c, d, rows, at_x):
    """Squared error of a block's prediction over rows[0] .. rows[1] - 1 and `_WIDE` columns.

    org: int32, padded by EDGE. up0, up1: `motion.quarters` of the references.
    """
    total = np.int64(0)
    x0 = EDGE + at_x - MARGIN
    ax, cx = PAD + at_x - MARGIN + (b >> 2), PAD + at_x - MARGIN + (d >> 2)
    one, two = up0[a & 3, b & 3], up1[c & 3, d & 3]
    for y in range(rows[0], rows[1]):
        line, first, second = org[EDGE + y], one[PAD + y + (a >> 2)], two[PAD + y + (c >> 2)]
        part = np.int32(0)  # errors are halved so that a row's sum fits
        if way == 0:
            for k in range(_WIDE):
                e = np.int32(np.int32(line[x0 + k] - first[ax + k]) >> 1)
                part = np.int32(part + e * e)
        elif way == 1:
            for k in range(_WIDE):
                e = np.int32(np.int32(line[x0 + k] - second[cx + k]) >> 1)
                part = np.int32(part + e * e)
        else:
            for k in range(_WIDE):
                e = np.int32(np.int32(2 * line[x0 + k] - first[ax + k] - second[cx + k]) >> 2)
                part = np.int32(part + e * e)
        total += part
    return 4.0 * total


@eb.call
def _error_of(org, up0, up1, v, rows, at_x):
    """`_error` of a field entry."""
    return _error(org, up0, up1, v[0], v[1], v[2], v[3], v[4], rows, at_x)


# Typed numbers: numba compiles a function anew for every plain literal that it is called with.
_FIRST, _SECOND, _BOTH = np.int64(0), np.int64(1), np.int64(2)  # references
_FINE, _HALF, _COARSE = np.int64(1), np.int64(2), np.int64(16)  # first steps of a search, in quarter samples


@eb.call
def _descend(org, up0, up1, v, way, start, at_y, at_x, h, w, rows):
    """Improve vector `way` of v (5 numbers, in place) by steps of `start`, start / 2 .. 1 quarter samples."""
    best = _error_of(org, up0, up1, v, rows, at_x)
    k = 1 if way == 0 else 3
    step = start
    while step:
        for _ in range(4):
            cy, cx = v[k], v[k + 1]
            by, bx = cy, cx
            for side in range(4):
                if side < 2:
                    dy, dx = 2 * side - 1, 0
                else:
                    dy, dx = 0, 2 * side - 5
                v[k] = limit_vector(cy + dy * step, at_y, h)
                v[k + 1] = limit_vector(cx + dx * step, at_x, w)
                e = _error_of(org, up0, up1, v, rows, at_x)
                if e < best:
                    best, by, bx = e, v[k], v[k + 1]
            v[k], v[k + 1] = by, bx
            if by == cy and bx == cx:
                break
        step >>= 1
    return best


@eb.call
def _one_way(out, v, way, d0, d1, at_y, at_x, h, w):
    """Candidate v as a prediction from reference `way` alone, its vector scaled if it has none there."""
    for k in range(5):
        out[k] = 0
    k = 1 + 2 * way
    vy, vx = v[k], v[k + 1]
    if v[0] == 1 - way:
        if way == 0:
            vy, vx = v[3] * d0 // d1, v[4] * d0 // d1
        else:
            vy, vx = v[1] * d1 // d0, v[2] * d1 // d0
    out[0], out[k], out[k + 1] = way, limit_vector(vy, at_y, h), limit_vector(vx, at_x, w)


@eb.call
def _copy(out, v, way):
    """out = v, the vectors of reference `way` alone (2: of both)."""
    out[0] = v[0]
    for k in range(1, 5):
        if way == 2 or (k - 1) // 2 == way:
            out[k] = v[k]


@eb.call
def _own_vectors(trial, guess, guessed, org, up0, up1, d1, at_y, at_x, h, w, rows):
    """Improve the starts in `trial`; returns how many of its rows are worth a price."""
    if guessed:
        _copy(trial[0], guess, _BOTH)
        for way in range(2):
            if trial[0, 0] == 2 or trial[0, 0] == way:
                _descend(org, up0, up1, trial[0], way, _FINE, at_y, at_x, h, w, rows)
        return 1
    _descend(org, up0, up1, trial[0], _FIRST, _COARSE, at_y, at_x, h, w, rows)
    if not d1:
        return 1
    _descend(org, up0, up1, trial[1], _SECOND, _COARSE, at_y, at_x, h, w, rows)
    _copy(trial[2], trial[0], _FIRST)
    _copy(trial[2], trial[1], _SECOND)
    trial[2, 0] = 2
    for _ in range(2):
        _descend(org, up0, up1, trial[2], _FIRST, _HALF, at_y, at_x, h, w, rows)
        _descend(org, up0, up1, trial[2], _SECOND, _HALF, at_y, at_x, h, w, rows)
    return 3


@njit(cache=True)
def search(pricer, buf, models, field, choice, hint, org, up0, up1, d0, d1, klass, lam, guess, size):
    """Choose the motion of every block of a frame: fills `field` and `choice`. Models are not taught.

    org: brightness padded by EDGE; up0, up1: `motion.quarters` of both references; size: (h, w).
    guess: a field found earlier for the same frame at another rate, only refined here; or one without rows.
    """
    h, w = size
    found = np.zeros((CANDIDATES, 5), np.int32)
    trial = np.zeros((3, 5), np.int32)
    one = np.zeros(5, np.int32)
    keep = np.zeros(5, np.int32)
    rows = np.zeros(2, np.int64)
    guessed = guess.shape[0] > 0
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            n = candidates(found, field, i, j, hint, d0, d1, h, w)
            at_y, at_x = i * BLOCK, j * BLOCK
            rows[0], rows[1] = max(at_y - MARGIN, 0), min(at_y + BLOCK + MARGIN, h)
            own = (min(at_y + BLOCK, h) - at_y) * (min(at_x + BLOCK, w) - at_x)
            scale = own / float((rows[1] - rows[0]) * _WIDE)
            best, pick = 1e300, -1
            trial[:] = 0
            start_cost = np.full(2, 1e300)
            for c in range(n):
                e = scale * _error_of(org, up0, up1, found[c], rows, at_x)
                choice[i, j] = c + 1
                pricer[1] = 0
                code_motion(pricer, buf, models, 0, field, choice, i, j, found, n, d0, d1, klass, h, w)
                cost = e + lam * pricer[1] * _BIT
                if cost < best:
                    best, pick = cost, c + 1
                    keep[:] = found[c]
                for way in range(0 if guessed else 2 if d1 else 1):
                    _one_way(one, found[c], way, d0, d1, at_y, at_x, h, w)
                    e = _error_of(org, up0, up1, one, rows, at_x)
                    if e < start_cost[way]:
                        start_cost[way] = e
                        trial[way] = one
            if best >= _CHEAP * lam:
                tries = _own_vectors(
                    trial, guess[min(i, guess.shape[0] - 1), j] if guessed else one, guessed, org, up0, up1, d1,
                    at_y, at_x, h, w, rows,
                )  # fmt: skip
                for t in range(tries):
                    choice[i, j] = 0
                    field[i, j] = trial[t]
                    e = scale * _error_of(org, up0, up1, trial[t], rows, at_x)
                    pricer[1] = 0
                    code_motion(pricer, buf, models, 0, field, choice, i, j, found, n, d0, d1, klass, h, w)
                    cost = e + lam * pricer[1] * _BIT
                    if cost < best:
                        best, pick = cost, 0
                        keep[:] = trial[t]
            field[i, j] = keep
            choice[i, j] = pick
