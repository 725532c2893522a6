"""Motion: frames between samples, overlapped block prediction and the coding of motion fields.

A motion field has one entry for every 8 x 8 block: int32 [rows, cols, 5] with the direction (0: first reference,
1: second, 2: their mean) and two vectors (y, x) in quarter samples of the brightness plane. Predictions of
neighbouring blocks overlap and are blended linearly over 2 * RAMP samples, so that no block edge shows.
Everything here is integer arithmetic.
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

BLOCK = 8
RAMP = 4
PAD = 16  # samples of replicated border that vectors may reach into
EDGE = PAD + 8  # the same with room for filters
PADS = EDGE, EDGE // 2, EDGE // 2  # of the three planes

# Quarter-sample filters (8 taps, sum 64) and eighth-sample filters of the colour planes (4 taps, sum 64).
_TAPS = np.array(
    [[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -10, 58, 17, -5, 1, 0], [-1, 4, -11, 40, 40, -11, 4, -1],
     [0, 1, -5, 17, 58, -10, 4, -1]], np.int32,
)  # fmt: skip
_COLOUR_TAPS = np.array(
    [[0, 64, 0, 0], [-2, 58, 10, -2], [-4, 54, 16, -2], [-6, 46, 28, -4], [-4, 36, 36, -4], [-4, 28, 46, -6],
     [-2, 16, 54, -4], [-2, 10, 58, -2]], np.int32,
)  # fmt: skip


@njit(cache=True, nogil=True)
def pad_plane(plane, pad):
    """`plane` (int32 [h, w]) with its border repeated `pad` times on every side."""
    h, w = plane.shape
    out = np.empty((h + 2 * pad, w + 2 * pad), np.int32)
    for y in range(h + 2 * pad):
        line, row = out[y], plane[min(max(y - pad, 0), h - 1)]
        line[:pad] = row[0]
        line[pad : pad + w] = row
        line[pad + w :] = row[w - 1]
    return out


def pad_planes(planes):
    """Three planes int32 [h, w], padded as references are."""
    return tuple(pad_plane(p, edge) for p, edge in zip(planes, PADS))


@eb.call
def _filter_row(out, row, at, phase, taps):
    """out[x] = row between its samples at at + x + phase / phases, rounded."""
    if phase == 0:
        for x in range(out.size):
            out[x] = row[at + x]
        return
    t = taps[phase]
    if t.size == 4:
        for x in range(out.size):
            k = at + x - 1
            v = t[0] * row[k] + t[1] * row[k + 1] + t[2] * row[k + 2] + t[3] * row[k + 3]
            out[x] = np.int32(v + 32) >> 6
        return
    for x in range(out.size):
        k = at + x - 3
        v = t[0] * row[k] + t[1] * row[k + 1] + t[2] * row[k + 2] + t[3] * row[k + 3]
        v += t[4] * row[k + 4] + t[5] * row[k + 5] + t[6] * row[k + 6] + t[7] * row[k + 7]
        out[x] = np.int32(v + 32) >> 6


@eb.call
def _filter_column(out, rows, y, phase, taps):
    """out[x] = rows between its lines y and y + 1, rounded."""
    if phase == 0:
        for x in range(out.size):
            out[x] = rows[y, x]
        return
    t = taps[phase]
    if t.size == 4:
        a, b, c, d = rows[y - 1], rows[y], rows[y + 1], rows[y + 2]
        for x in range(out.size):
            v = t[0] * a[x] + t[1] * b[x] + t[2] * c[x] + t[3] * d[x]
            out[x] = np.int32(v + 32) >> 6
        return
    a, b, c, d = rows[y - 3], rows[y - 2], rows[y - 1], rows[y]
    e, f, g, h = rows[y + 1], rows[y + 2], rows[y + 3], rows[y + 4]
    for x in range(out.size):
        v = t[0] * a[x] + t[1] * b[x] + t[2] * c[x] + t[3] * d[x]
        v += t[4] * e[x] + t[5] * f[x] + t[6] * g[x] + t[7] * h[x]
        out[x] = np.int32(v + 32) >> 6


@njit(cache=True, nogil=True)
def quarters(padded):
    """All quarter-sample positions of a padded brightness plane, for the search.

    Returns int16 [4, 4, h + 2 PAD, w + 2 PAD]: [i, j, y + PAD, x + PAD] is the sample at (y + i / 4, x + j / 4).
    """
    h, w = padded.shape[0] - 2 * EDGE, padded.shape[1] - 2 * EDGE
    out = np.empty((4, 4, h + 2 * PAD, w + 2 * PAD), np.int16)
    rows = np.empty((h + 2 * EDGE, w + 2 * PAD), np.int32)
    for fx in range(4):
        for y in range(rows.shape[0]):
            _filter_row(rows[y], padded[y], EDGE - PAD, fx, _TAPS)
        for fy in range(4):
            for y in range(out.shape[2]):
                _filter_column(out[fy, fx, y], rows, y + EDGE - PAD, fy, _TAPS)
    return out


@eb.call
def _window(out, work, padded, top, left, height, width, fy, fx, taps):
    """Fill out[:height, :width] with samples of `padded` from (top + fy, left + fx) on, in phases of `taps`."""
    if fy == 0:
        for y in range(height):
            _filter_row(out[y, :width], padded[top + y], left, fx, taps)
        return
    before = taps.shape[1] // 2 - 1
    for y in range(height + taps.shape[1] - 1):
        _filter_row(work[y, :width], padded[top + y - before], left, fx, taps)
    for y in range(height):
        _filter_column(out[y, :width], work, y + before, fy, taps)


@eb.leaf
def limit_vector(v, at, size):
    """Clamp one component of a vector of the block at `at` so that its overlapped window stays in the border."""
    return min(max(v, 4 * (BLOCK - PAD - at)), 4 * (size - at + PAD - 2 * BLOCK + 2))


@eb.leaf
def _weight(x, first, last, size, ramp):
    """Blending weight (of 4 * ramp) of the block [first, last) at sample x."""
    w = 4 * ramp
    if first > 0 and x < first + ramp:
        w = 2 * (x - first) + 1 + 2 * ramp
    if last < size and x >= last - ramp:
        w = min(w, 2 * (last - x) - 1 + 2 * ramp)
    return w


@njit(cache=True)
def _predict_plane(both, field, first, second, block, ramp, edge, taps):
    """Overlapped prediction of one plane from padded references, in blocks of `block` samples.

    both[0] gets the prediction, both[1] how far the two references disagree where their mean is taken.
    """
    out, doubt = both[0], both[1]
    h, w = out.shape
    phases, full = taps.shape[0], 4 * ramp
    acc = np.zeros((h, w), np.int32)
    doubt[:] = 0
    wx = np.zeros(block + 2 * ramp, np.int32)
    a, b = np.zeros((2, block + 2 * ramp, block + 2 * ramp), np.int32)
    work = np.zeros((block + 2 * ramp + 8, block + 2 * ramp), np.int32)
    for i in range(field.shape[0]):
        from_y, to_y = max(i * block - ramp, 0), min(min((i + 1) * block, h) + ramp, h)
        for j in range(field.shape[1]):
            first_x, last_x = j * block, min((j + 1) * block, w)
            from_x, to_x = max(first_x - ramp, 0), min(last_x + ramp, w)
            if to_y <= from_y or to_x <= from_x:
                continue
            for x in range(from_x, to_x):
                wx[x - from_x] = max(_weight(x, first_x, last_x, w, ramp), 0)
            way, f = field[i, j, 0], field[i, j]
            height, width = to_y - from_y, to_x - from_x
            top, left = edge + from_y, edge + from_x
            if way != 1:
                at_y, at_x = top + f[1] // phases, left + f[2] // phases
                _window(a, work, first, at_y, at_x, height, width, f[1] % phases, f[2] % phases, taps)
            if way != 0:
                at_y, at_x = top + f[3] // phases, left + f[4] // phases
                _window(b, work, second, at_y, at_x, height, width, f[3] % phases, f[4] % phases, taps)
            for y in range(height):
                wy = np.int32(_weight(from_y + y, i * block, min((i + 1) * block, h), h, ramp))
                if wy <= 0:
                    continue
                one, two = (a[y], b[y]) if way == 2 else ((a[y], a[y]) if way == 0 else (b[y], b[y]))
                sums, doubts = acc[from_y + y], doubt[from_y + y]
                for x in range(width):
                    sums[from_x + x] += wy * wx[x] * (one[x] + two[x])
                if way == 2:
                    for x in range(width):
                        doubts[from_x + x] += wy * wx[x] * abs(one[x] - two[x])
    total = full * full * 2
    for y in range(h):
        for x in range(w):
            out[y, x] = (acc[y, x] + total // 2) // total
            doubt[y, x] = doubt[y, x] // (total // 2)


@njit(cache=True)
def predict(planes, field, first, second):
    """Fill int32 [2, h, w] for all planes with prediction by `field` and doubt from two padded references."""
    for p in range(len(planes)):
        part = 1 if p == 0 else 2  # colour planes have half the size
        taps = _TAPS if p == 0 else _COLOUR_TAPS
        _predict_plane(planes[p], field, first[p], second[p], BLOCK // part, RAMP // part, EDGE // part, taps)


# --- syntax ---------------------------------------------------------------------------------------------------

_LIMIT = 120
CANDIDATES = 4
# Model layout: merge flag, index, direction, "vector difference is zero", magnitude, sign.
_MERGE, _INDEX, _WAY, _VECTOR = 0, 64, 128, 256


@eb.call
def candidates(found, field, i, j, hint, d0, d1, h, w):
    """Motion that the block at (i, j) may take over: fills int32 [CANDIDATES, 5], returns how many differ.

    `hint` is int32 [rows, cols, 3]: (known, velocity y, x) in 1/16 quarter sample a frame; d0 and d1 are the frames
    back to the references (negative: forward; second reference absent: 0).
    """
    n = 0
    for k in range(5):
        way, a, b, c, d = 0, 0, 0, 0, 0
        if k == 0 or k == 1 or k == 2:
            y, x = i - (k != 0), j - (k == 0) + (k == 2)
            if y < 0 or x < 0 or x >= field.shape[1]:
                continue
            way, a, b, c, d = field[y, x, 0], field[y, x, 1], field[y, x, 2], field[y, x, 3], field[y, x, 4]
        else:
            vy, vx = 0, 0
            if k == 3:
                if not hint[i, j, 0]:
                    continue
                vy, vx = hint[i, j, 1], hint[i, j, 2]
            way = 2 if d1 else 0
            a, b = (-vy * d0 + 8) >> 4, (-vx * d0 + 8) >> 4
            c, d = (-vy * d1 + 8) >> 4, (-vx * d1 + 8) >> 4
        a, b = limit_vector(a, i * BLOCK, h), limit_vector(b, j * BLOCK, w)
        c, d = limit_vector(c, i * BLOCK, h), limit_vector(d, j * BLOCK, w)
        new = True
        for o in range(n):
            same = found[o, 0] == way
            if way != 1:
                same = same and found[o, 1] == a and found[o, 2] == b
            if way != 0:
                same = same and found[o, 3] == c and found[o, 4] == d
            if same:
                new = False
        if new and n < CANDIDATES:
            found[n, 0], found[n, 1], found[n, 2], found[n, 3], found[n, 4] = way, a, b, c, d
            n += 1
    return n


@eb.call
def _code_component(coder, buf, models, value, base, learn):
    """Code a signed vector difference; uses 64 models from `base`."""
    size = abs(value)
    n = 0
    while n < 12:  # exponent of size + 1
        if not _bit(coder, buf, models, (size + 1) >> (n + 1) > 0, base + n, learn):
            break
        n += 1
    out = 1
    for k in range(n - 1, -1, -1):
        bit = (size + 1) >> k & 1
        out = out << 1 | _bit(
            coder, buf, models, bit, base + 16 + min(n, 3) * 4 + (n - 1 - k if n - 1 - k < 2 else 3), learn
        )
    out -= 1
    if out and _bit(coder, buf, models, value < 0, base + 40, learn):
        return -out
    return out


@eb.call
def _bit(coder, buf, models, bit, i, learn):
    if learn:
        return eb.code_adaptive(coder, buf, bit, models, i, _LIMIT)
    return eb.code_bit(coder, buf, bit, eb.bit_p(models, i))


@eb.call
def code_motion(coder, buf, models, learn, field, choice, i, j, found, n, d0, d1, klass, h, w):
    """Code the motion of block (i, j) in place: field[i, j] and choice[i, j] (0: own, k: candidate k - 1)."""
    left = 2 if j == 0 else (1 if choice[i, j - 1] == 1 else 0)
    above = 2 if i == 0 else (1 if choice[i - 1, j] == 1 else 0)
    pick = choice[i, j]
    k = 0
    merged = _bit(coder, buf, models, pick > 0, _MERGE + (klass * 3 + left) * 3 + above, learn)
    if merged:
        while k < n - 1:
            if not _bit(coder, buf, models, pick - 1 > k, _INDEX + (klass * 4 + k) * 4 + min(n, 3), learn):
                break
            k += 1
        choice[i, j] = k + 1
        for c in range(5):
            field[i, j, c] = found[k, c]
        return
    choice[i, j] = 0
    way = field[i, j, 0]
    if d1:
        near = found[0, 0]
        both = _bit(coder, buf, models, way == 2, _WAY + klass * 8 + near, learn)
        way = 2 if both else _bit(coder, buf, models, way == 1, _WAY + 64 + klass * 8 + near, learn)
    else:
        way = 0
    # Predict the vector from the first candidate, scaled when that one points into the other reference.
    py0, px0, py1, px1 = found[0, 1], found[0, 2], found[0, 3], found[0, 4]
    if found[0, 0] == 1:
        py0, px0 = py1 * d0 // d1, px1 * d0 // d1
    elif found[0, 0] == 0 and d1:
        py1, px1 = py0 * d1 // d0, px0 * d1 // d0
    at_y, at_x = i * BLOCK, j * BLOCK
    base = _VECTOR + klass * 192
    if way != 1:
        y = py0 + _code_component(coder, buf, models, field[i, j, 1] - py0, base, learn)
        x = px0 + _code_component(coder, buf, models, field[i, j, 2] - px0, base + 48, learn)
        field[i, j, 1], field[i, j, 2] = limit_vector(y, at_y, h), limit_vector(x, at_x, w)
        if way == 2:  # straight motion through this frame is what to expect
            py1, px1 = field[i, j, 1] * d1 // d0, field[i, j, 2] * d1 // d0
    if way != 0:
        more = base if way == 1 else base + 96
        y = py1 + _code_component(coder, buf, models, field[i, j, 3] - py1, more, learn)
        x = px1 + _code_component(coder, buf, models, field[i, j, 4] - px1, more + 48, learn)
        field[i, j, 3], field[i, j, 4] = limit_vector(y, at_y, h), limit_vector(x, at_x, w)
    field[i, j, 0] = way
    if way == 0:
        field[i, j, 3], field[i, j, 4] = 0, 0
    elif way == 1:
        field[i, j, 1], field[i, j, 2] = 0, 0
