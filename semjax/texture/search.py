"""The encoder's motion search."""

import numpy as np
from numba import njit

from semjax.texture.motion import BLOCK, CANDIDATES, PAD, candidates, code_motion, limit_vector

_call = njit(cache=True, _nrt=False)
_BIT = 1.0 / 65536
MARGIN = 2  # samples around a block that count too, for the overlap


@_call
def _error(org, up0, up1, way, a, b, c, d, y0, y1, x0, x1):
    """Squared error of a block's prediction over org[y0:y1, x0:x1]."""
    total = np.int64(0)
    oy0, ox0, oy1, ox1 = 4 * PAD + a, 4 * PAD + b, 4 * PAD + c, 4 * PAD + d
    for y in range(y0, y1):
        if way == 0:
            for x in range(x0, x1):
                e = org[y, x] - up0[4 * y + oy0, 4 * x + ox0]
                total += e * e
        elif way == 1:
            for x in range(x0, x1):
                e = org[y, x] - up1[4 * y + oy1, 4 * x + ox1]
                total += e * e
        else:
            for x in range(x0, x1):
                e = org[y, x] - ((up0[4 * y + oy0, 4 * x + ox0] + up1[4 * y + oy1, 4 * x + ox1]) >> 1)
                total += e * e
    return float(total)


@_call
def _descend(org, up0, up1, v, way, start, at_y, at_x, h, w, y0, y1, x0, x1, scale):
    """Improve vector `way` of v (5 numbers, in place) by steps of `start`, start / 2 .. 1 quarter samples."""
    best = scale * _error(org, up0, up1, v[0], v[1], v[2], v[3], v[4], y0, y1, x0, x1)
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
                e = scale * _error(org, up0, up1, v[0], v[1], v[2], v[3], v[4], y0, y1, x0, x1)
                if e < best:
                    best, by, bx = e, v[k], v[k + 1]
            v[k], v[k + 1] = by, bx
            if by == cy and bx == cx:
                break
        step >>= 1
    return best


@njit(cache=True)
def search(pricer, buf, models, field, choice, hint, org, up0, up1, d0, d1, klass, lam, guess):
    """Choose the motion of every block of a frame: fills `field` and `choice`. Models are not taught.

    guess: a field found earlier for the same frame at another rate, only refined here; or one without rows.
    """
    h, w = org.shape
    found = np.zeros((CANDIDATES, 5), np.int32)
    trial = np.zeros((3, 5), np.int32)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            n = candidates(found, field, i, j, hint, d0, d1, h, w)
            at_y, at_x = i * BLOCK, j * BLOCK
            y0, y1 = max(at_y - MARGIN, 0), min(at_y + BLOCK + MARGIN, h)
            x0, x1 = max(at_x - MARGIN, 0), min(at_x + BLOCK + MARGIN, w)
            own = (min(at_y + BLOCK, h) - at_y) * (min(at_x + BLOCK, w) - at_x)
            scale = own / float((y1 - y0) * (x1 - x0))
            best, pick = 1e300, -1
            keep = np.zeros(5, np.int32)
            trial[:] = 0
            ways = 2 if d1 else 1
            start_cost = np.full(2, 1e300)
            for c in range(n):
                e = scale * _error(
                    org,
                    up0,
                    up1,
                    found[c, 0],
                    found[c, 1],
                    found[c, 2],
                    found[c, 3],
                    found[c, 4],
                    y0,
                    y1,
                    x0,
                    x1,
                )
                choice[i, j] = c + 1
                pricer[1] = 0
                code_motion(pricer, buf, models, 0, field, choice, i, j, found, n, d0, d1, klass, h, w)
                cost = e + lam * pricer[1] * _BIT
                if cost < best:
                    best, pick = cost, c + 1
                    keep[:] = found[c]
                for way in range(ways):
                    k = 1 + 2 * way
                    vy, vx = found[c, k], found[c, k + 1]
                    if found[c, 0] == 1 - way:
                        if way == 0:
                            vy, vx = found[c, 3] * d0 // d1, found[c, 4] * d0 // d1
                        else:
                            vy, vx = found[c, 1] * d1 // d0, found[c, 2] * d1 // d0
                        vy, vx = limit_vector(vy, at_y, h), limit_vector(vx, at_x, w)
                    e = scale * _error(org, up0, up1, way, vy, vx, vy, vx, y0, y1, x0, x1)
                    if e < start_cost[way]:
                        start_cost[way] = e
                        trial[way, 0], trial[way, k], trial[way, k + 1] = way, vy, vx
            if best < 6 * lam:  # nothing to win: a vector of its own costs about as much
                field[i, j] = keep
                choice[i, j] = pick
                continue
            guessed = guess.shape[0] > 0
            if guessed:
                trial[0] = guess[i, j]
                for way in range(ways):
                    if trial[0, 0] == 2 or trial[0, 0] == way:
                        _descend(org, up0, up1, trial[0], way, 1, at_y, at_x, h, w, y0, y1, x0, x1, scale)
            for way in range(0 if guessed else ways):
                _descend(org, up0, up1, trial[way], way, 16, at_y, at_x, h, w, y0, y1, x0, x1, scale)
            if d1 and not guessed:
                trial[2, 0] = 2
                trial[2, 1:3] = trial[0, 1:3]
                trial[2, 3:5] = trial[1, 3:5]
                for _ in range(2):
                    _descend(org, up0, up1, trial[2], 0, 2, at_y, at_x, h, w, y0, y1, x0, x1, scale)
                    _descend(org, up0, up1, trial[2], 1, 2, at_y, at_x, h, w, y0, y1, x0, x1, scale)
            for t in range(3 if d1 and not guessed else 1):
                choice[i, j] = 0
                field[i, j] = trial[t]
                e = scale * _error(
                    org,
                    up0,
                    up1,
                    trial[t, 0],
                    trial[t, 1],
                    trial[t, 2],
                    trial[t, 3],
                    trial[t, 4],
                    y0,
                    y1,
                    x0,
                    x1,
                )
                pricer[1] = 0
                code_motion(pricer, buf, models, 0, field, choice, i, j, found, n, d0, d1, klass, h, w)
                cost = e + lam * pricer[1] * _BIT
                if cost < best:
                    best, pick = cost, 0
                    keep[:] = trial[t]
            field[i, j] = keep
            choice[i, j] = pick
