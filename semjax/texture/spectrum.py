"""Coding the quantised 3-D spectrum of a unit: adaptive binary contexts over space, time and plane (ours).

One kernel serves encoder, decoder and pricer (see `semjax.entropy.binary`). Every temporal frequency of a plane
is cut into the transform's spatial blocks; a block says how far its anti-diagonals reach and then its coefficients.
A bit's probability is mixed from three adaptive models that look at different neighbours: the position in the
spectrum, the magnitudes around it in this block and one temporal frequency below, and the same frequency in the
blocks above, to the left and in the plane coded before.
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

MAX_LEVEL = 1 << 14
_MODELS = 16384
_GOLOMB = _MODELS - 64
_LIMIT = 250  # slowest adaptation of a model: 1/250
_RATE = 6  # of the mixer weights


def new_models() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fresh model states: bit models, mixer weights, scratch for one mix."""
    return eb.new_bits(_MODELS), eb.new_mixer(32, 3, 0.45), np.zeros(3, np.int64)


@njit(cache=True)
def _code(coder, buf, models, bit, a, b, c, s):
    """Code one bit with the mix (weight set s) of models a, b, c and teach all of them."""
    bits, weights, inputs = models
    inputs[0] = eb.stretch(eb.bit_p(bits, a))
    inputs[1] = eb.stretch(eb.bit_p(bits, b))
    inputs[2] = eb.stretch(eb.bit_p(bits, c))
    p = eb.squash(eb.mix(weights, s, inputs))
    bit = eb.code_bit(coder, buf, bit, p)
    eb.mix_update(weights, s, inputs, p, bit, _RATE)
    eb.bit_update(bits, a, bit, _LIMIT)
    eb.bit_update(bits, b, bit, _LIMIT)
    eb.bit_update(bits, c, bit, _LIMIT)
    return bit


@njit(cache=True)
def _log(v):
    """Coarse logarithm of a magnitude sum: 0, 1, 2, 3-4, 5-7, 8-14, more."""
    if v < 3:
        return v
    if v < 5:
        return 3
    if v < 8:
        return 4
    return 5 if v < 15 else 6


@njit(cache=True)
def _code_level(coder, buf, models, value, base, a, b, c, s):
    """Code one signed level; models base + a, base + b, base + c (blocks of 8) choose its probabilities."""
    size = abs(value)
    a, b, c = base + 8 * a, base + 1024 + 8 * b, base + 3072 + 8 * c
    if not _code(coder, buf, models, size > 0, a, b, c, s):
        return 0
    k = 1
    while k < 7:
        if not _code(coder, buf, models, size > k, a + k, b + k, c + k, s + k):
            break
        k += 1
    if k == 7:
        k += eb.code_golomb(coder, buf, size - 7, models[0], _GOLOMB, 0, _LIMIT)
    negative = eb.code_raw(coder, buf, value < 0, 1)
    return -k if negative else k


@njit(cache=True)
def _code_block(coder, buf, models, q, other, t, y0, y1, x0, x1, plane):
    """Code the block [y0:y1, x0:x1] of temporal frequency t of `q` in place; `other` is the plane before."""
    kind = 0 if plane == 0 else 1
    bh, bw = y1 - y0, x1 - x0
    reach = -1
    for y in range(bh):
        for x in range(bw):
            if q[t, y0 + y, x0 + x] and y + x > reach:
                reach = y + x
    # How many of the neighbouring blocks hold something: left, above, one frequency below, previous plane.
    left = x0 > 0 and q[t, y0, max(x0 - bw, 0)] != 0
    above = y0 > 0 and q[t, max(y0 - bh, 0), x0] != 0
    below = 0
    if t > 0:
        for y in range(min(3, bh)):
            for x in range(min(3, bw)):
                below += abs(q[t - 1, y0 + y, x0 + x])
    seen = 0
    if plane > 0:
        oy, ox = y0 * other.shape[1] // q.shape[1], x0 * other.shape[2] // q.shape[2]
        for y in range(2):
            for x in range(2):
                if oy + y < other.shape[1] and ox + x < other.shape[2]:
                    seen += abs(other[t, oy + y, ox + x])
    near = 2 * left + above
    head = 12288 + 2048 * kind
    limit = bh + bw - 2
    k = -1
    while k < limit:
        deep = min(k + 1, 15)
        a = head + deep * 16 + min(t, 15)
        b = head + 256 + (deep * 7 + _log(below)) * 4 + near
        c = head + 768 + (deep * 7 + _log(seen)) * 4 + near
        if not _code(coder, buf, models, reach > k, a, b, c, 16 + min(k + 1, 7) + 8 * kind):
            break
        k += 1
    reach = k
    base = 6144 * kind
    for y in range(min(bh, reach + 1)):
        for x in range(min(bw, reach - y + 1)):
            v = q[t, y0 + y, x0 + x]
            here = 0
            if x > 0:
                here += 2 * abs(q[t, y0 + y, x0 + x - 1])
            if y > 0:
                here += 2 * abs(q[t, y0 + y - 1, x0 + x])
            if x > 0 and y > 0:
                here += abs(q[t, y0 + y - 1, x0 + x - 1])
            before = 0
            if t > 0:
                before = 2 * abs(q[t - 1, y0 + y, x0 + x])
                if t > 1:
                    before += abs(q[t - 2, y0 + y, x0 + x])
            side = 0
            if x0 > 0:
                side += abs(q[t, y0 + y, max(x0 + x - bw, 0)])
            if y0 >= bh:
                side += abs(q[t, y0 + y - bh, x0 + x])
            a = min(y + x, 7) * 8 + min(t, 7)
            b = (_log(here) * 7 + _log(before)) * 4 + min(y + x, 3)
            c = (_log(side) * 7 + _log(here + before)) * 4 + min(reach - y - x, 3)
            q[t, y0 + y, x0 + x] = _code_level(coder, buf, models, v, base, a, b, c, 8 * kind)


@njit(cache=True)
def code_spectrum(coder, buf, models, q0, q1, q2, cuts):
    """Code the three planes of levels (int32 [n, h, w], in place when decoding).

    Args:
        coder, buf: from `semjax.entropy.binary`.
        models: from `new_models`.
        q0, q1, q2: levels.
        cuts: int64 [3, 2, segments + 1], block borders of each plane down and across, -1 beyond the last.
    """
    for t in range(q0.shape[0]):
        for plane in range(3):
            q = q0 if plane == 0 else (q1 if plane == 1 else q2)
            other = q0 if plane < 2 else q1
            for i in range(cuts.shape[2] - 1):
                if cuts[plane, 0, i + 1] < 0:
                    break
                for j in range(cuts.shape[2] - 1):
                    if cuts[plane, 1, j + 1] < 0:
                        break
                    y0, y1, x0, x1 = (
                        cuts[plane, 0, i],
                        cuts[plane, 0, i + 1],
                        cuts[plane, 1, j],
                        cuts[plane, 1, j + 1],
                    )
                    buf = eb.reserve(coder, buf, 64 + 40 * (y1 - y0) * (x1 - x0))
                    _code_block(coder, buf, models, q, other, t, y0, y1, x0, x1, plane)
    return buf
