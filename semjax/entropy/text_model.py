"""The byte model behind the caption coder: many contexts, logistic mixing, one kernel for all directions.

Every byte is eight binary decisions from the most significant bit on. Each of the CONTEXTS contexts (the last
1 to 5 bytes, the word so far alone and with the word before it, two of punctuation) owns, for every value it
takes, two *lines* of 15 bit models, one for each half of the byte. A bit model tells a probability and how
often it was asked; what such a pair is worth is learned for each context. The contexts are mixed by two sets
of weights, chosen by which contexts are known and by the place in the word; a second mixer joins the two, and
an adaptive map corrects the result. Text ends with the byte END, which UTF-8 never contains.

The model learns while it reads. What it learned from the shipped text (`Store` of lines, weights, maps) is
never written to by a message: a message keeps its own lines in a small store of its own, which copies from
the shipped one on first use, so that coding a caption costs what the caption costs and threads may share
the primed model.

Source: ours, after the PAQ family (Mahoney 2005, "Adaptive weighing of context models for lossless data
compression").
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from semjax.entropy.binary import (
    apm_p,
    apm_update,
    bit_update,
    code_bit,
    leaf,
    mix,
    mix_update,
    new_apm,
    new_bits,
    new_mixer,
    reserve,
    squash,
    stretch,
)

END = 0xFF
CONTEXTS = 9
_INPUTS = CONTEXTS + 2
_FRESH = 1 << 31
_FINAL_RATE = 4
_COUNTS, _LEVELS = 12, 25  # how finely a (count, probability) pair is told apart by the confidence maps


class Store(NamedTuple):
    """Bit models by context value: `keys` int64 [N] tells whose the line of `lines` uint32 [N, 16] is; N =
    2^k."""

    keys: np.ndarray
    lines: np.ndarray


class Shared(NamedTuple):
    """The small part of the model's state, copied for every message.

    order0 uint32 [256]; maps uint32 [CONTEXTS * 12 * 25]: what a (count, probability) of a context is
    really worth; by_match, by_place int32 [sets, inputs]; final int32 [256, 2]; apm int32 [4096, 33].
    """

    order0: np.ndarray
    maps: np.ndarray
    by_match: np.ndarray
    by_place: np.ndarray
    final: np.ndarray
    apm: np.ndarray


def new_store(bits: int) -> Store:
    """Return an empty store of 2^bits lines."""
    return Store(np.zeros(1 << bits, np.int64), np.zeros((1 << bits, 16), np.uint32))


def new_shared() -> Shared:
    """Return the untrained small state."""
    weight = 0.3
    return Shared(
        new_bits(256),
        _fresh_maps(),
        new_mixer(24 * 8, _INPUTS, weight),
        new_mixer(16 * 64, _INPUTS, weight),
        new_mixer(256, 2, 1 / 2),
        new_apm(4096),
    )


def _fresh_maps() -> np.ndarray:
    """Confidence maps that start as the identity on the probability axis."""
    levels = [squash((k - _LEVELS // 2) * 240) << 16 for k in range(_LEVELS)]
    return np.tile(np.array(levels, np.uint32), CONTEXTS * _COUNTS)


@leaf
def _find(keys, lines, key):
    """Return where the line of `key` is, or else the less used of the two places it may have."""
    slot = key & (keys.size - 1)
    if keys[slot] == key or keys[slot ^ 1] == key:
        return slot if keys[slot] == key else slot ^ 1
    return slot if (lines[slot, 1] & 1023) <= (lines[slot ^ 1, 1] & 1023) else slot ^ 1


@leaf
def _line(keys, lines, base_keys, base_lines, key):
    """Return the index of the line of `key`, taking it over from the base store (or fresh) if it is not
    there."""
    slot = _find(keys, lines, key)
    if keys[slot] != key:
        keys[slot] = key
        other = _find(base_keys, base_lines, key)
        if base_keys[other] == key and other != slot:
            for k in range(16):
                lines[slot, k] = base_lines[other, k]
        else:
            for k in range(16):
                lines[slot, k] = _FRESH
    return slot


@leaf
def _hash(a, b):
    """Mix two integers into one of 62 bits (multiply and fold)."""
    x = (a * 0x2545F4914F6CDD1D + b + 1) * 0x9E3779B97F4A7C1
    return (x ^ (x >> 29)) & 0x3FFFFFFFFFFFFFFF


@leaf
def _letter(c):
    """Return the lower-case letter (or any byte of a multi-byte character) that c is, or 0."""
    if 65 <= c <= 90:
        return c + 32
    return c if 97 <= c <= 122 or c >= 128 else 0


@leaf
def _bucket(n):
    """Return a count 0..1023 in 12 steps: 0 to 5 exactly, then coarser."""
    if n < 6:
        return n
    if n < 12:
        return 6 + (n >= 8)
    if n < 48:
        return 8 + (n >= 24)
    return 10 + (n >= 200)


@leaf
def _contexts(h, past, words, first):
    """Fill h [CONTEXTS] with what the next byte may depend on. past: the last 7 bytes as an integer.

    words [4]: hash of the letters of the word so far and of the word before; length so far; hash of the
    bytes between words since the last space. first: 1 within the first word of a text.
    """
    gap = (past & 0xFF) if words[2] == 0 else 0  # between words: what was the last byte
    for k in range(5):
        h[k] = _hash(k + 1, past & ((1 << (8 * k + 8)) - 1))
    h[5] = _hash(_hash(6, words[0]), gap)
    h[6] = _hash(_hash(7, words[0]), words[1] + gap)
    h[7] = _hash(_hash(8, words[3]), (past & 0xFF) + 256 * first)
    h[8] = _hash(_hash(9, words[0]), words[3])


@njit(cache=True)
def code_text(coder, buf, text, size, base, own, shared, rate, limit):
    """Code one text and its END with the model, teaching `own` and `shared`; returns (buf, length) or
    length -1.

    text uint8 [N]: read up to `size` when encoding or pricing; when decoding filled, and -1 is returned if
    no END comes within N bytes. base, own: Store (equal when the base itself is being taught).
    """
    keys, lines = own.keys, own.lines
    h = np.zeros(CONTEXTS, np.int64)
    at = np.zeros(CONTEXTS, np.int64)
    inputs = np.zeros(_INPUTS, np.int64)
    spots = np.zeros(CONTEXTS, np.int64)
    outs = np.zeros(2, np.int64)
    words = np.zeros(4, np.int64)
    past = np.int64(END)
    first = 1
    for i in range(text.size + 1):
        buf = reserve(coder, buf, 8)
        byte = np.int64(text[i]) if i < size else END
        _contexts(h, past, words, first)
        node = 1  # the bits of this byte so far under a leading one
        for b in range(8):
            if b == 0 or b == 4:
                for k in range(CONTEXTS):
                    at[k] = _line(keys, lines, base.keys, base.lines, _hash(h[k], node if b else 0))
            inner = node if b < 4 else (node & ((1 << (b - 4)) - 1)) | (1 << (b - 4))
            known = 0
            for k in range(CONTEXTS):
                v = np.int64(lines[at[k], inner])
                n = v & 1023
                if n:
                    x = stretch(min(max(v >> 16, 1), 65535))
                    spot = (k * _COUNTS + _bucket(n)) * _LEVELS + (x + 3000) // 240
                    spots[k] = spot
                    inputs[k] = stretch(min(max(np.int64(shared.maps[spot]) >> 16, 1), 65535))
                    if k < 5:
                        known = k + 1
                else:
                    inputs[k] = 0
                    spots[k] = -1
            seen = known + 6 * (spots[5] >= 0) + 12 * (spots[6] >= 0)
            inputs[CONTEXTS] = stretch(min(max(np.int64(shared.order0[node]) >> 16, 1), 65535))
            inputs[CONTEXTS + 1] = 256
            by_match = seen * 8 + b
            by_place = min(words[2], 15) * 64 + b * 8 + (((past >> 5) & 7) if words[2] == 0 else 0)
            outs[0] = mix(shared.by_match, by_match, inputs)
            outs[1] = mix(shared.by_place, by_place, inputs)
            x = mix(shared.final, node, outs)
            p = squash(x)
            context = ((past & 0xFF) * 0x9E5 + node * 0x3D) & 4095
            refined = apm_p(shared.apm, context, x)
            bit = code_bit(coder, buf, (byte >> (7 - b)) & 1, (p + refined) >> 1)
            mix_update(shared.by_match, by_match, inputs, squash(outs[0]), bit, rate)
            mix_update(shared.by_place, by_place, inputs, squash(outs[1]), bit, rate)
            mix_update(shared.final, node, outs, p, bit, _FINAL_RATE)
            apm_update(shared.apm, context, x, bit, 6)
            bit_update(shared.order0, node, bit, 1023)
            for k in range(CONTEXTS):
                bit_update(lines[at[k]], inner, bit, limit)
                if spots[k] >= 0:
                    bit_update(shared.maps, spots[k], bit, 1023)
            node = 2 * node + bit
        byte = node & 255
        if byte == END:
            return buf, i
        if i == text.size:
            break
        text[i] = byte
        past = ((past << 8) | byte) & 0xFFFFFFFFFFFFFF
        letter = _letter(byte)
        if letter:
            words[0] = _hash(words[0] + 1, letter)
            words[2] += 1
        else:
            if words[2]:
                words[1] = words[0]
                first = 0
            words[0], words[2] = 0, 0
            words[3] = _hash(words[3] if byte != 32 else 0, byte)
    return buf, -1
