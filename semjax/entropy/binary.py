"""Binary range coder and adaptive bit models: one modelling kernel encodes, decodes and prices.

A layer writes its model once, as a numba kernel that runs every decision through `code_bit` (or one of the
helpers on top of it) and uses the bit that comes back. What the kernel does depends only on the coder it
gets:

    from numba import njit
    from semjax.entropy import binary as eb

    @njit(cache=True)
    def rows(coder, buf, image, models):                  # image uint8 [H, W], filled in when decoding
        for y in range(image.shape[0]):
            buf = eb.reserve(coder, buf, image.shape[1])  # room for that many decisions
            for x in range(image.shape[1]):
                left = image[y, x - 1] if x else 0
                up = image[y - 1, x] if y else 0
                image[y, x] = eb.code_adaptive(coder, buf, image[y, x], models, 2 * up + left, 255)
        return buf

    coder, buf = eb.new_encoder()                          # write
    buf = rows(coder, buf, image, eb.new_bits(4))
    payload = eb.finish(coder, buf)                        # bytes
    coder, buf = eb.new_decoder(payload)                   # read: the same kernel fills `out`
    rows(coder, buf, out, eb.new_bits(4))
    coder, buf = eb.new_pricer()                           # what would it cost?
    rows(coder, buf, image, eb.new_bits(4))
    bits = eb.cost(coder) / 65536

Rules of the format (normative text in docs/entropy.md): the decoder reads zero bytes past the end of the
payload, so `finish` drops trailing zero bytes, and an empty payload is a valid one. Every payload decodes
to *something*; a kernel must bound what it reads by sizes checked beforehand. Nothing here writes or reads
outside `buf`. Model indices are not checked: they must be right.

numba's cache looks at the kernel's own file only: after a change in this file, delete the `__pycache__`
folders of the rooms whose kernels call it.

Source: ours; a 48-bit carry range coder after Martin (1979), mixing and APM after PAQ (Mahoney 2005).
"""

import math

import numpy as np
from numba import njit

from semjax.entropy.logistic import (
    PRICE,
    RECIPROCAL,
    SQUASH,
    STRETCH_BODY,
    STRETCH_MAX,
    STRETCH_TAIL,
)
from semjax.errors import InputError

# For small helpers that allocate nothing: otherwise numba counts references to every array at every call,
# which made `code_adaptive` 16 times slower. Good for a kernel's own helpers too; the kernel itself is a
# plain njit function.
leaf = njit(cache=True, forceinline=True, _nrt=False)

call = njit(cache=True, _nrt=False)  # the same, called instead of inlined

_ENCODE, _DECODE, _PRICE = 0, 1, 2
# Fields of the coder state (int64 [6]). VALUE is `low` when encoding, `code - low` when decoding, the cost
# so far when pricing.
_MODE, _VALUE, _RANGE, _POS, _FULL, _SIZE = 0, 1, 2, 3, 4, 5
_TOP, _BOTTOM = 1 << 48, 1 << 40
EVEN = 32768  # the probability of a fair coin


def new_encoder(capacity: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Start writing: returns (coder int64 [6], buf uint8 [capacity]); `reserve` makes a larger buf when
    needed."""
    coder = np.array([_ENCODE, 0, _TOP, 0, 0, 0], np.int64)
    return coder, np.zeros(max(int(capacity), 16), np.uint8)


def new_decoder(data) -> tuple[np.ndarray, np.ndarray]:
    """Start reading `data` (bytes or uint8 [n], any content, may be empty): returns (coder, buf)."""
    buf = np.frombuffer(data, np.uint8) if isinstance(data, bytes | bytearray | memoryview) else data
    buf = np.array(buf, np.uint8)  # a writable copy: kernels then compile once for all three modes
    head = int.from_bytes(buf[:6].tobytes().ljust(6, b"\0"), "big")
    if not buf.size:
        buf = np.zeros(1, np.uint8)
    return np.array([_DECODE, head, _TOP, 6, 0, buf.size], np.int64), buf


def new_pricer() -> tuple[np.ndarray, np.ndarray]:
    """Start counting what decisions would cost; read the sum with `cost`. Returns (coder, a dummy buf)."""
    return np.array([_PRICE, 0, _TOP, 0, 0, 0], np.int64), np.zeros(1, np.uint8)


def finish(coder: np.ndarray, buf: np.ndarray) -> bytes:
    """End of writing: the shortest payload inside the final interval, trailing zero bytes dropped.

    Raises InputError when `buf` was too small (a kernel without `reserve`) or the coder is no encoder.
    """
    if coder[_MODE] != _ENCODE:
        raise InputError("finish needs the coder of new_encoder; this one decodes or prices.")
    if coder[_FULL]:
        raise InputError(
            f"the range coder's buffer of {buf.size} bytes is full after {int(coder[_POS])} bytes; "
            "call reserve(coder, buf, decisions) in the kernel or start with a larger capacity."
        )
    low, width, pos = int(coder[_VALUE]), int(coder[_RANGE]), int(coder[_POS])
    for count in range(7):
        step = 1 << (48 - 8 * count)
        value = -(-low // step) * step
        if value < low + width:
            break
    head = int.from_bytes(buf[:pos].tobytes(), "big") + (value >> 48)
    tail = (value & (_TOP - 1)).to_bytes(6, "big")
    return (head.to_bytes(pos, "big") + tail).rstrip(b"\0")


def written_bits(coder: np.ndarray) -> float:
    """Return how many bits an encoder has committed so far, fractions included."""
    return 8.0 * int(coder[_POS]) + 48 - math.log2(int(coder[_RANGE]))


@leaf
def cost(coder):
    """Return the cost of everything a pricer has seen, in 1/65536 bit."""
    return coder[_VALUE]


@leaf
def is_decoding(coder):
    """Tell whether this coder reads; for the few places where a kernel must know."""
    return coder[_MODE] == _DECODE


@njit(cache=True)
def reserve(coder, buf, decisions):
    """Return a buf with room for that many more decisions (2 bytes each at worst); only encoders' buffers
    grow."""
    if coder[_MODE] != _ENCODE:
        return buf
    need = coder[_POS] + 2 * decisions + 8
    if need <= buf.size:
        return buf
    grown = np.zeros(max(need, 2 * buf.size), np.uint8)
    grown[: buf.size] = buf
    return grown


@leaf
def price(p):
    """Return -log2(p / 65536) in 1/65536 bit for integer p in 1..65536 (error below 1/4000 bit)."""
    shift = np.int64(0)
    while p < 32768:
        p <<= 1
        shift += 65536
    if p >= 65536:
        return np.int64(0)
    i = (p >> 7) - 256
    return shift + PRICE[i] + (((PRICE[i + 1] - PRICE[i]) * (p & 127)) >> 7)


@call
def _shift_out(coder, buf):
    """Move top bytes of `low` to the buffer until the interval is wide again; carries run back into it."""
    low, width, pos = coder[_VALUE], coder[_RANGE], coder[_POS]
    if low >= _TOP:
        low -= _TOP
        i = min(pos, buf.size) - 1
        while i >= 0 and buf[i] == 255:
            buf[i] = 0
            i -= 1
        if i >= 0:
            buf[i] += 1
    while width < _BOTTOM:
        if pos < buf.size:
            buf[pos] = low >> 40
        else:
            coder[_FULL] = 1
        pos += 1
        low = (low & (_BOTTOM - 1)) << 8
        width <<= 8
    coder[_VALUE], coder[_RANGE], coder[_POS] = low, width, pos


@call
def _shift_in(coder, buf):
    """Bring the next bytes into the code value; zeros past the end."""
    value, width, pos = coder[_VALUE], coder[_RANGE], coder[_POS]
    while width < _BOTTOM:
        value <<= 8
        if pos < coder[_SIZE]:
            value |= np.int64(buf[pos])
        pos += 1
        width <<= 8
    coder[_VALUE], coder[_RANGE], coder[_POS] = value, width, pos


@leaf
def code_bit(coder, buf, bit, p1):
    """Encode, decode or price one decision and return it (0 or 1).

    bit: the decision; ignored when decoding. p1: P(bit == 1) of 65536, an integer in 1..65535 (clamped to
    it).
    """
    p1 = min(max(np.int64(p1), 1), 65535)
    mode = coder[_MODE]
    if mode == _PRICE:
        coder[_VALUE] += price(p1 if bit else 65536 - p1)
        return np.int64(1 if bit else 0)
    width = coder[_RANGE]
    bound = (width >> 16) * p1
    if mode == _DECODE:
        if coder[_VALUE] < bound:
            out = np.int64(1)
            width = bound
        else:
            out = np.int64(0)
            coder[_VALUE] -= bound
            width -= bound
        coder[_RANGE] = width
        if width < _BOTTOM:
            _shift_in(coder, buf)
        return out
    if bit:
        width = bound
    else:
        coder[_VALUE] += bound
        width -= bound
    coder[_RANGE] = width
    if width < _BOTTOM:
        _shift_out(coder, buf)
    return np.int64(1 if bit else 0)


# --- adaptive bit models: probability (22 bits) and count (10 bits) in one uint32 -----------------


def new_bits(count: int) -> np.ndarray:
    """Return `count` fresh bit models (uint32 [count]), each at 1/2 with nothing seen."""
    return np.full(count, 1 << 31, np.uint32)


def new_pairs(count: int) -> np.ndarray:
    """Return `count` fresh dual-rate bit models (uint32 [count, 2])."""
    return np.full((count, 2), 1 << 31, np.uint32)


@leaf
def _seen(model, bit, limit):
    """Return the model after `bit`: rate 1 / (n + 1.5) for the n-th bit, n stops at `limit`."""
    p, n = np.int64(model) >> 10, np.int64(model) & 1023
    if bit:
        p = min(p + (((4194304 - p) * RECIPROCAL[n] + 65535) >> 16), 4194303)
    else:
        p -= (p * RECIPROCAL[n] + 65535) >> 16
    return (p << 10) | (n + 1 if n < limit else n)


@leaf
def bit_p(models, i):
    """Return P(1) of model i as an integer in 1..65535."""
    return min(max(np.int64(models[i]) >> 16, 1), 65535)


@leaf
def bit_count(models, i):
    """Return how many bits model i has seen (0..its limit): its confidence."""
    return np.int64(models[i]) & 1023


@leaf
def bit_update(models, i, bit, limit):
    """Teach model i a bit; limit (1..1023) sets the slowest rate, 1 / (limit + 1.5): 30 is fast, 1023
    slow."""
    models[i] = _seen(models[i], bit, limit)


@leaf
def pair_p(pairs, i):
    """Return P(1) of dual-rate model i: the mean of its fast and its slow half, in 1..65535."""
    return min(max((np.int64(pairs[i, 0]) + np.int64(pairs[i, 1])) >> 17, 1), 65535)


@leaf
def pair_update(pairs, i, bit, fast, slow):
    """Teach dual-rate model i a bit; fast and slow are limits as in `bit_update` (say 20 and 400)."""
    pairs[i, 0] = _seen(pairs[i, 0], bit, fast)
    pairs[i, 1] = _seen(pairs[i, 1], bit, slow)


@leaf
def code_adaptive(coder, buf, bit, models, i, limit):
    """Code one bit with model i of `new_bits` and teach it."""
    bit = code_bit(coder, buf, bit, bit_p(models, i))
    models[i] = _seen(models[i], bit, limit)
    return bit


@leaf
def code_pair(coder, buf, bit, pairs, i, fast, slow):
    """Code one bit with dual-rate model i of `new_pairs` and teach it."""
    bit = code_bit(coder, buf, bit, pair_p(pairs, i))
    pair_update(pairs, i, bit, fast, slow)
    return bit


# --- binarisations --------------------------------------------------------------------------------


@call
def code_raw(coder, buf, value, count):
    """Code the `count` (<= 32) low bits of value as fair coins, most significant first; returns the value."""
    out = np.int64(0)
    for k in range(count - 1, -1, -1):
        out = 2 * out + code_bit(coder, buf, (value >> k) & 1, EVEN)
    return out


@call
def code_tree(coder, buf, value, models, base, count, limit):
    """Code value in 0..2^count-1 as a binary tree; uses models base .. base + 2^count - 1."""
    node = np.int64(1)
    for k in range(count - 1, -1, -1):
        node = 2 * node + code_adaptive(coder, buf, (value >> k) & 1, models, base + node, limit)
    return node - (np.int64(1) << count)


@call
def code_unary(coder, buf, value, models, base, most, limit):
    """Code value in 0..most as ones and a zero (none after `most`); uses models base .. base + most - 1."""
    n = np.int64(0)
    while n < most and code_adaptive(coder, buf, value > n, models, base + n, limit):
        n += 1
    return n


@call
def code_golomb(coder, buf, value, models, base, order, limit):
    """Code value >= 0 by adaptive Exp-Golomb of the given order; uses models base .. base + 47.

    The exponent (at most 24) is unary through its own models; the bit below the leading one has a model for
    each exponent, the rest and the `order` low bits are fair coins. Needs value + 2^order < 2^(25 + order).
    """
    wanted = np.int64(value) + (np.int64(1) << order)
    exponent = np.int64(0)
    while exponent < 24 and code_adaptive(
        coder, buf, (wanted >> (order + exponent)) > 1, models, base + exponent, limit
    ):
        exponent += 1
    out = np.int64(1)
    left = order + exponent
    if exponent:
        left -= 1
        out = 2 + code_adaptive(coder, buf, (wanted >> left) & 1, models, base + 23 + exponent, limit)
    out = (out << left) + code_raw(coder, buf, wanted & ((np.int64(1) << left) - 1), left)
    return out - (np.int64(1) << order)


@call
def code_signed(coder, buf, value, models, base, order, limit):
    """Code a signed value: magnitude by `code_golomb`, then its sign by model base + 48; uses 49 models."""
    size = code_golomb(coder, buf, abs(value), models, base, order, limit)
    if size and code_adaptive(coder, buf, value < 0, models, base + 48, limit):
        return -size
    return size


# --- logistic mixing ------------------------------------------------------------------------------


@leaf
def stretch(p):
    """Return ln(p / (65536 - p)) in 1/256 nat, in -2880..2880, of an integer p in 1..65535."""
    q = 65536 - p if p > 32768 else p
    s = STRETCH_TAIL[q] if q < 2048 else STRETCH_BODY[q >> 4]
    return np.int64(-s if p > 32768 else s)


@leaf
def squash(x):
    """Return the probability (1..65535 of 65536) whose stretch is x; x is clamped to -2880..2880."""
    return np.int64(SQUASH[min(max(x, -STRETCH_MAX), STRETCH_MAX) + STRETCH_MAX])


def new_mixer(sets: int, inputs: int, weight: float | None = None) -> np.ndarray:
    """Return mixer weights (int32 [sets, inputs], 65536 = 1), all `weight`.

    The default is 1 / sqrt(inputs): independent evidence adds up in the logistic domain (weight 1), repeated
    evidence does not (weight 1 / inputs); this lies between.
    """
    start = 1 / max(inputs, 1) ** 0.5 if weight is None else weight
    return np.full((sets, inputs), round(start * 65536), np.int32)


@leaf
def mix(weights, s, inputs):
    """Return the mixed stretched probability (clamped) of weight set s; inputs int64 [n], stretched."""
    total = np.int64(0)
    for k in range(inputs.size):
        total += np.int64(weights[s, k]) * inputs[k]
    return min(max((total + 32768) >> 16, -STRETCH_MAX), STRETCH_MAX)


@leaf
def mix_update(weights, s, inputs, p, bit, rate):
    """Teach weight set s: gradient step on the coding cost.

    p: the probability predicted from the mix (squash of `mix`); rate: step size, 2 (slow) to 60 (fast).
    """
    error = ((bit << 16) - p) * rate
    for k in range(inputs.size):
        w = weights[s, k] + ((inputs[k] * error + (1 << 19)) >> 20)
        weights[s, k] = min(max(w, -(1 << 20)), 1 << 20)


# --- adaptive probability maps (secondary estimation) ---------------------------------------------


def new_apm(contexts: int) -> np.ndarray:
    """Return fresh maps (context, stretched probability) -> probability: int32 [contexts, 33], the
    identity."""
    knots = np.clip((np.arange(33) - 16) * 180, -STRETCH_MAX, STRETCH_MAX)
    return np.tile(SQUASH[knots + STRETCH_MAX].astype(np.int32), (contexts, 1))


@leaf
def apm_p(table, context, x):
    """Return the refined probability (1..65535) at stretched probability x, between two of the 33 knots."""
    x = x + STRETCH_MAX
    k = min(x // 180, 31)
    part = x - 180 * k
    return min(max((table[context, k] * (180 - part) + table[context, k + 1] * part) // 180, 1), 65535)


@leaf
def apm_update(table, context, x, bit, shift):
    """Move the knot nearest to x towards the bit by 1 / 2^shift (6 is usual)."""
    k = (x + STRETCH_MAX + 90) // 180
    target = (bit << 16) - (bit + bit - 1) * 16
    table[context, k] += (target - table[context, k]) >> shift
