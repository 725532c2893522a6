"""A frame's residual: prediction inside the frame, integer transforms, and the walk over its squares.

A frame is cut into squares of about 16 samples of brightness (`cuts`), each split into four when that pays. Every
leaf is predicted from motion (mode 0) or from the samples above and to the left (modes 1 to 4), the difference is
transformed, quantised and coded by `residual.code_block`. The colour planes' squares have half the size and are
never split.
"""

import numpy as np

from semjax.entropy import binary as eb
from semjax.texture.residual import BRIGHT, COLOUR_A, COLOUR_B, NO, code_block
from semjax.texture.transform import basis

MOST = 32  # longest transform

BASES = np.zeros((MOST + 1, MOST, MOST), np.int64)
for _n in range(1, MOST + 1):
    BASES[_n, :_n, :_n] = basis(_n)

_SPLIT, _INTRA, _MODE = 0, 64, 128
_LIMIT = 120


@eb.call
def _bit(coder, buf, models, bit, i, learn):
    if learn:
        return eb.code_adaptive(coder, buf, bit, models, i, _LIMIT)
    return eb.code_bit(coder, buf, bit, eb.bit_p(models, i))


@eb.call
def transform(x, out, work, bh, bw):
    """Orthonormal 2-D DCT of int64 x[:bh, :bw] into `out`, rounded."""
    for k in range(bh):
        for j in range(bw):
            work[k, j] = 0
        for i in range(bh):
            c = BASES[bh, k, i]
            for j in range(bw):
                work[k, j] += c * x[i, j]
    for k in range(bh):
        for f in range(bw):
            total = np.int64(1 << 25)
            for j in range(bw):
                total += BASES[bw, f, j] * work[k, j]
            out[k, f] = total >> 26


@eb.call
def untransform(c, out, work, bh, bw, rows):
    """Inverse of `transform`; only the first `rows` rows and columns of c are looked at."""
    rh, rw = min(rows, bh), min(rows, bw)
    for k in range(rh):
        for j in range(bw):
            total = np.int64(0)
            for f in range(rw):
                total += BASES[bw, f, j] * c[k, f]
            work[k, j] = total
    for i in range(bh):
        for j in range(bw):
            out[i, j] = 1 << 25
        for k in range(rh):
            b = BASES[bh, k, i]
            for j in range(bw):
                out[i, j] += b * work[k, j]
        for j in range(bw):
            out[i, j] >>= 26


@eb.call
def predict_leaf(out, rec, inter, mode, y0, y1, x0, x1):
    """Prediction of rec[y0:y1, x0:x1] (int32 plane) in `mode` into out[:bh, :bw] (int64)."""
    bh, bw = y1 - y0, x1 - x0
    if mode == 0:
        for y in range(bh):
            for x in range(bw):
                out[y, x] = inter[0, y0 + y, x0 + x]
        return
    above, left = y0 > 0, x0 > 0
    if (mode == 3 and not above) or (mode == 4 and not left) or (mode == 2 and not (above and left)):
        mode = 1
    if mode == 3:
        for y in range(bh):
            for x in range(bw):
                out[y, x] = rec[y0 - 1, x0 + x]
    elif mode == 4:
        for y in range(bh):
            for x in range(bw):
                out[y, x] = rec[y0 + y, x0 - 1]
    elif mode == 2:
        right, low = rec[y0 - 1, x1 - 1], rec[y1 - 1, x0 - 1]
        for y in range(bh):
            for x in range(bw):
                v = (rec[y0 + y, x0 - 1] * (bw - 1 - x) + right * (x + 1)) * bh
                v += (rec[y0 - 1, x0 + x] * (bh - 1 - y) + low * (y + 1)) * bw
                out[y, x] = (v + bh * bw) // (2 * bh * bw)
    else:
        total, count = np.int64(0), np.int64(0)
        if above:
            for x in range(bw):
                total += rec[y0 - 1, x0 + x]
            count += bw
        if left:
            for y in range(bh):
                total += rec[y0 + y, x0 - 1]
            count += bh
        mean = (total + count // 2) // count if count else 0
        for y in range(bh):
            for x in range(bw):
                out[y, x] = mean


@eb.leaf
def _strong(v, step):
    """Grade of a magnitude against the step: 0 below 1/2, then one more for every doubling, to 7."""
    v, n = 2 * v, np.int64(0)
    while v >= step and n < 7:
        v >>= 1
        n += 1
    return n


@eb.call
def grade_prediction(pred, strength, work, spectrum, inter, mode, step, y0, y1, x0, x1):
    """Fill `spectrum` with the transform of the prediction and `strength` with its grades.

    Returns the grade (0..7) of all of it but the mean, plus 8 times the grade (0..5) of the doubt.
    """
    bh, bw = y1 - y0, x1 - x0
    transform(pred, spectrum, work, bh, bw)
    total = np.int64(0)
    for y in range(bh):
        for x in range(bw):
            v = abs(spectrum[y, x])
            strength[y, x] = _strong(v, step)
            if y + x:
                total += v
    strength[0, 0] = 0
    doubt = np.int64(0)
    if mode == 0:
        for y in range(y0, y1):
            for x in range(x0, x1):
                doubt += inter[1, y, x]
    return _strong(total >> 1, step) + 8 * min(_strong(doubt // max(bh, bw), step), 5)


@eb.call
def rebuild(q, pred, rec, coef, work, diff, step, y0, y1, x0, x1):
    """rec = prediction + inverse transform of the levels."""
    bh, bw = y1 - y0, x1 - x0
    rows = 0
    for y in range(bh):
        for x in range(bw):
            v = np.int64(q[y0 + y, x0 + x])
            coef[y, x] = v * step
            if v:
                rows = max(rows, y + 1, x + 1)
    if rows == 0:
        for y in range(bh):
            for x in range(bw):
                rec[y0 + y, x0 + x] = pred[y, x]
        return
    untransform(coef, diff, work, bh, bw, rows)
    for y in range(bh):
        for x in range(bw):
            rec[y0 + y, x0 + x] = min(max(pred[y, x] + diff[y, x], -8191), 8191)


@eb.call
def code_leaf(
    coder, buf, m, learn, plane, q, prev, other, rec, inter, mode, y0, y1, x0, x1, klass, small, step, scratch
):
    """Predict, code and rebuild one leaf of one plane (its mode is known)."""
    pred, strength, work, work2, diff = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    predict_leaf(pred, rec, inter, mode, y0, y1, x0, x1)
    energy = grade_prediction(pred, strength, work, work2, inter, mode, step, y0, y1, x0, x1)
    code_block(
        coder, buf, m, learn, q, prev, other, strength, energy, y0, y1, x0, x1, plane,
        1 if mode == 0 else 0, klass, small, scratch[6], NO,
    )  # fmt: skip
    rebuild(q, pred, rec, work2, work, diff, step, y0, y1, x0, x1)


@eb.call
def code_mode(coder, buf, models, learn, modes, i, j, klass, intra_only):
    """Code the prediction mode of leaf (i, j) in place."""
    left = modes[i, j - 1] if j > 0 else 1
    above = modes[i - 1, j] if i > 0 else 1
    mode = modes[i, j]
    if not intra_only:
        near = (1 if left > 0 and j > 0 else 0) + (1 if above > 0 and i > 0 else 0)
        if not _bit(coder, buf, models, mode > 0, _INTRA + klass * 3 + near, learn):
            modes[i, j] = 0
            return
    base = _MODE + (max(left, 1) * 5 + max(above, 1)) * 4
    if _bit(coder, buf, models, mode > 2, base, learn):
        mode = 3 + _bit(coder, buf, models, mode == 4, base + 1, learn)
    else:
        mode = 1 + _bit(coder, buf, models, mode == 2, base + 2, learn)
    modes[i, j] = mode


@eb.call
def code_split(coder, buf, models, learn, split, i, j, klass):
    """Code whether square (i, j) is split, in place."""
    left = split[i, j - 1] if j > 0 else 0
    above = split[i - 1, j] if i > 0 else 0
    split[i, j] = _bit(coder, buf, models, split[i, j], _SPLIT + klass * 4 + left * 2 + above, learn)


@eb.call
def code_square(
    coder,
    buf,
    m,
    models,
    learn,
    i,
    j,
    cuts_y,
    cuts_x,
    split,
    modes,
    q,
    prev,
    rec,
    inter,
    klass,
    step,
    scratch,
):
    """Code square (i, j) of all three planes: split, modes, levels; rec is rebuilt."""
    y0, y1, x0, x1 = cuts_y[i], cuts_y[i + 1], cuts_x[j], cuts_x[j + 1]
    code_split(coder, buf, models, learn, split, i, j, klass)
    intra_only = klass == 0
    parts = 2 if split[i, j] else 1
    for a in range(parts):
        for b in range(parts):
            code_mode(coder, buf, models, learn, modes, 2 * i + a, 2 * j + b, klass, intra_only)
            ya, yb = y0 + (y1 - y0) * a // parts, y0 + (y1 - y0) * (a + 1) // parts
            xa, xb = x0 + (x1 - x0) * b // parts, x0 + (x1 - x0) * (b + 1) // parts
            mode = modes[2 * i + a, 2 * j + b]
            if parts == 1:
                modes[2 * i, 2 * j + 1] = mode
                modes[2 * i + 1, 2 * j] = mode
                modes[2 * i + 1, 2 * j + 1] = mode
            if yb > ya and xb > xa:
                code_leaf(
                    coder, buf, m, learn, BRIGHT, q[0], prev[0], q[0], rec[0], inter[0], mode, ya, yb, xa, xb, klass,
                    parts - 1, step, scratch,
                )  # fmt: skip
    mode = modes[2 * i, 2 * j]
    y0, y1, x0, x1 = (y0 + 1) // 2, (y1 + 1) // 2, (x0 + 1) // 2, (x1 + 1) // 2
    if y1 > y0 and x1 > x0:
        code_leaf(
            coder,
            buf,
            m,
            learn,
            COLOUR_A,
            q[1],
            prev[1],
            q[0],
            rec[1],
            inter[1],
            mode,
            y0,
            y1,
            x0,
            x1,
            klass,
            NO,
            step,
            scratch,
        )
        code_leaf(
            coder,
            buf,
            m,
            learn,
            COLOUR_B,
            q[2],
            prev[2],
            q[1],
            rec[2],
            inter[2],
            mode,
            y0,
            y1,
            x0,
            x1,
            klass,
            NO,
            step,
            scratch,
        )
