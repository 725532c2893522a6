"""Coding a block of quantised coefficients: every decision mixed from six adaptive models (ours).

A block says how far its anti-diagonals reach (-1: nothing in it) and then the levels inside, row by row. What the
models look at: the place in the spectrum; the levels just coded around it; the same place in the neighbouring
blocks, in the frame coded before and in the plane coded before; how strong the *prediction* is at that frequency
(edges that moved leave residuals where edges are); and how much of the block is left.

One kernel encodes, decodes and prices (`learn` = 0: nothing is taught, for what-if questions).
"""

import numpy as np

from semjax.entropy import binary as eb
from semjax.entropy.logistic import SQUASH, STRETCH_MAX
from semjax.texture.tables import INPUTS, TABLE

MAX_LEVEL = 1 << 12
LIMIT = 400
RATE = 5


# What a bit costs whose prediction is x (stretched): COSTS[bit, x + STRETCH_MAX] in 1/65536 bit.
COSTS = np.rint(-65536 * np.log2(np.stack([1 - SQUASH / 65536.0, SQUASH / 65536.0]))).astype(np.int32)
NO_LIMIT = 1 << 60
# Planes, and settings of functions with many callers, as typed numbers: numba compiles a function anew for every
# plain literal that it is called with.
BRIGHT, COLOUR_A, COLOUR_B = np.int64(0), np.int64(1), np.int64(2)
NO, YES = np.int64(0), np.int64(1)


@eb.call
def mixed_bit(coder, buf, m, bit, s, learn):
    """Code one bit with weight set s over the models named in the context scratch, and teach them.

    With `learn` = 0 only its price is added to the coder, a pricer.
    """
    bits, weights, known, ctx = m
    total = np.int64(32768)
    for k in range(INPUTS):
        total += np.int64(weights[s, k]) * known[ctx[k]]
    x = min(max(total >> 16, -STRETCH_MAX), STRETCH_MAX)
    if not learn:
        coder[1] += COSTS[1 if bit else 0, x + STRETCH_MAX]
        return np.int64(1 if bit else 0)
    p = eb.squash(x)
    bit = eb.code_bit(coder, buf, bit, p)
    error = ((bit << 16) - p) * RATE
    for k in range(INPUTS):
        i = ctx[k]
        w = weights[s, k] + ((known[i] * error + (1 << 19)) >> 20)
        weights[s, k] = min(max(w, -(1 << 20)), 1 << 20)
        eb.bit_update(bits, i, bit, LIMIT)
        known[i] = eb.stretch(eb.bit_p(bits, i))
    return bit


@eb.leaf
def grade(v):
    """Coarse logarithm of a magnitude sum: 0, 1, 2, 3-4, 5-7, 8-14, more -> 0..6."""
    if v < 3:
        return v
    if v < 5:
        return np.int64(3)
    if v < 8:
        return np.int64(4)
    return np.int64(5) if v < 15 else np.int64(6)


@eb.call
def _reach_contexts(q, prev, other, y0, y1, x0, x1, plane):
    """What is around a block, graded: to the left, above, in the frame before, in the plane before."""
    bh, bw = y1 - y0, x1 - x0
    left, above, before, across = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for y in range(min(4, bh)):
        for x in range(min(4, bw)):
            if x0 >= bw:
                left += abs(q[y0 + y, x0 - bw + x])
            if y0 >= bh:
                above += abs(q[y0 - bh + y, x0 + x])
            before += abs(prev[y0 + y, x0 + x])
    if plane == 2:
        for y in range(min(4, bh)):
            for x in range(min(4, bw)):
                across += abs(other[y0 + y, x0 + x])
    elif plane == 1:
        for y in range(min(4, bh)):
            for x in range(min(4, bw)):
                if 2 * y0 + y < other.shape[0] and 2 * x0 + x < other.shape[1]:
                    across += abs(other[2 * y0 + y, 2 * x0 + x])
    return min(grade(left), 3), min(grade(above), 3), min(grade(before), 4), min(grade(across), 5)


@eb.call
def surroundings(around, q, prev, other, strength, y0, y1, x0, x1, plane, reach):
    """Fill around[y, x] for y + x <= reach: (levels beside, before and across, each 0..3) * 8 + strength.

    That part of a level's contexts does not depend on the block's own levels.
    """
    bh, bw = y1 - y0, x1 - x0
    for y in range(min(bh, reach + 1)):
        for x in range(min(bw, reach - y + 1)):
            side = np.int64(0)
            if x0 >= bw:
                side += abs(q[y0 + y, x0 + x - bw])
            if y0 >= bh:
                side += abs(q[y0 + y - bh, x0 + x])
            old, cross = abs(prev[y0 + y, x0 + x]), np.int64(0)
            if plane == 2:
                cross = np.int64(abs(other[y0 + y, x0 + x]))
            elif plane == 1 and 2 * y0 + y < other.shape[0] and 2 * x0 + x < other.shape[1]:
                cross = np.int64(abs(other[2 * y0 + y, 2 * x0 + x]))
            around[y, x] = ((min(side, 3) * 4 + min(old, 3)) * 4 + min(cross, 3)) * 8 + strength[y, x]


@eb.call
def reach_of(q, y0, y1, x0, x1):
    """Largest row + column within the block that has a level, -1 for an empty block."""
    reach = -1
    for y in range(y0, y1):
        for x in range(x1 - 1, x0 - 1, -1):
            if q[y, x]:
                reach = max(reach, y - y0 + x - x0)
                break
    return reach


@eb.call
def code_block(
    coder, buf, m, learn, q, prev, other, strength, energy, y0, y1, x0, x1, plane, kind, klass, small, around, most
):  # fmt: skip
    """Code the levels q[y0:y1, x0:x1] in place.

    q, prev, other: levels int32 [h, w] of this plane, of this plane in the frame coded before, of the plane coded
    before. strength: int [>=bh, >=bw], 0..7, of the prediction at each frequency; energy its summary (0..7)
    plus 8 times how far the references of the prediction disagree (0..5).
    kind: 0 intra, 1 inter; klass: frame class 0..3; small: 1 for a split block.
    around: scratch; with `learn` = 0 what `surroundings` has filled in. most: pricing stops above it.
    """
    bh, bw = y1 - y0, x1 - x0
    what = (kind * 2 + (1 if plane else 0)) * 2 + small  # 0..7
    reach = -1 if eb.is_decoding(coder) else reach_of(q, y0, y1, x0, x1)
    reach = _code_reach(
        coder, buf, m, learn, q, prev, other, reach, energy, y0, y1, x0, x1, plane, what, klass
    )
    if learn:
        surroundings(around, q, prev, other, strength, y0, y1, x0, x1, plane, reach)
    what, count = what >> 1, np.int64(0)
    for y in range(min(bh, reach + 1)):
        for x in range(min(bw, reach - y + 1)):
            if not learn and coder[1] > most:
                return
            here, far = np.int64(0), np.int64(0)
            if x > 0:
                here += 2 * abs(q[y0 + y, x0 + x - 1])
            if y > 0:
                here += 2 * abs(q[y0 + y - 1, x0 + x])
                if x > 0:
                    here += abs(q[y0 + y - 1, x0 + x - 1])
            if x > 1:
                far += abs(q[y0 + y, x0 + x - 2])
            if y > 1:
                far += abs(q[y0 + y - 2, x0 + x])
            near = np.int64(around[y, x])
            st, near = near & 7, near >> 3
            diag = min(y + x, 7)
            togo = min(reach - y - x, 5)
            a = ((what * 2 + small) * 8 + min(y, 7)) * 8 + min(x, 7)
            b = ((what * 7 + grade(here)) * 4 + min(far, 3)) * 8 + diag
            c = (what * 64 + near) * 4 + min(diag, 3)
            d = ((what * 8 + st) * 8 + diag) * 3 + min(grade(here), 2)
            e = (((what * 6 + togo) * 4 + min(count, 3)) * 4 + klass) * 2 + small
            f = ((what * 8 + st) * 6 + togo) * 3 + min(grade(here + (near >> 4)), 2)
            q[y0 + y, x0 + x] = _code_level(
                coder, buf, m, q[y0 + y, x0 + x], a, b, c, d, e, f, what, diag, learn
            )
            if q[y0 + y, x0 + x]:
                count += 1


@eb.call
def _code_reach(
    coder, buf, m, learn, q, prev, other, reach, energy, y0, y1, x0, x1, plane, what, klass
):  # fmt: skip
    """Code how far the anti-diagonals of a block reach, -1 for an empty one, as ones and a zero."""
    ctx = m[3]
    left, above, before, across = _reach_contexts(q, prev, other, y0, y1, x0, x1, plane)
    if plane == 0:  # nothing of this frame came before: ask the references instead
        across = energy >> 3
    energy &= 7
    limit = y1 - y0 + x1 - x0 - 2
    k = -1
    while k < limit:
        deep = min(k + 1, 15)
        ctx[0] = (what * 16 + deep) * 4 + klass
        ctx[1] = TABLE + ((what * 16 + deep) * 4 + left) * 4 + above
        ctx[2] = 2 * TABLE + ((what * 16 + deep) * 5 + before) * 4 + min(left + above, 3)
        ctx[3] = 3 * TABLE + ((what * 16 + deep) * 8 + energy) * 4 + klass
        ctx[4] = 4 * TABLE + ((what * 16 + deep) * 6 + across) * 3 + plane
        ctx[5] = 5 * TABLE + ((what * 16 + deep) * 4 + energy // 2) * 6 + across
        if not mixed_bit(coder, buf, m, reach > k, what * 4 + min(k + 1, 3), learn):
            break
        k += 1
    return k


@eb.call
def _code_level(coder, buf, m, value, a, b, c, d, e, f, what, diag, learn):
    """Code one signed level; a..f (each below 1024) choose its models."""
    ctx = m[3]
    size = abs(value)
    k = 0
    while k < 14:
        slot = 4096 + (0 if k == 0 else (1024 if k == 1 else 2048))
        if k < 3:
            ctx[0] = slot + a
            ctx[1] = TABLE + slot + b
            ctx[2] = 2 * TABLE + slot + c
            ctx[3] = 3 * TABLE + slot + d
            ctx[4] = 4 * TABLE + slot + e
            ctx[5] = 5 * TABLE + slot + f
        else:
            for j in range(INPUTS):
                ctx[j] = j * TABLE + 7168 + what * 16 + k
        if not mixed_bit(
            coder, buf, m, size > k, 64 + (what * 4 + min(k, 3)) * 2 + (1 if diag == 0 else 0), learn
        ):
            break
        k += 1
    if k == 0:
        return np.int32(0)
    if k == 14:
        if learn:
            k = min(k + eb.code_golomb(coder, buf, size - 14, m[0], 7168 + 512, 0, LIMIT), MAX_LEVEL)
        else:  # a fair guess of its price is enough, and code_golomb would teach its models
            eb.code_raw(coder, buf, 0, 6)
            k = size
    return np.int32(-k if eb.code_raw(coder, buf, value < 0, 1) else k)
