"""Scrambling: every payload looks random on the air, so that rows of equal bits do not stay on one point of a QAM."""

import functools

import numpy as np

from semjax.channel import checks

_SKIPPED = 1600  # N_C of TS 38.211
_STEP = 28  # bits of a register that follow from the 31 before them without needing each other


def gold_sequence(count: int, start: int = 1) -> np.ndarray:
    """uint8 [count]: the pseudo-random sequence c of TS 38.211, section 5.2.1, for c_init = `start` (below 2^31).

    Raises InputError for a negative count or a start outside these limits.
    """
    checks.count(count, "the number of bits")
    checks.count(start, "start", high=(1 << 31) - 1)
    size = max(1 << 12, 1 << max(count - 1, 0).bit_length())  # a few lengths, each made once
    return _gold(size, start)[:count]


@functools.lru_cache(maxsize=32)
def _gold(count, start):
    first = _register(1, (0, 3), count)
    second = _register(start, (0, 1, 2, 3), count)
    bits = (first ^ second)[_SKIPPED : _SKIPPED + count]
    bits.setflags(write=False)
    return bits


def _register(state, taps, count):
    """Bits of x(n + 31) = sum of x(n + tap) mod 2 that begins with the 31 bits of `state`, lowest first."""
    bits = np.zeros(_SKIPPED + count + 31 + _STEP, np.uint8)
    bits[:31] = state >> np.arange(31) & 1
    for n in range(0, _SKIPPED + count, _STEP):
        bits[n + 31 : n + 31 + _STEP] = functools.reduce(
            np.bitwise_xor, (bits[n + tap : n + tap + _STEP] for tap in taps)
        )
    return bits
