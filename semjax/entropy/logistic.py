"""Integer tables of the logistic domain: stretch, squash and the price of a probability.

Probabilities are integers of 65536; a *stretched* probability is ln(p / (1 - p)) in 1/256 nat, clamped to
[-STRETCH_MAX, STRETCH_MAX]. Every table is computed with Python integers only, so that it is the same on
every machine and no floating-point unit has a say in what a decoder reads. Source: ours; the domain is
PAQ's (Mahoney 2005).
"""

import numpy as np

STRETCH_MAX = 2880  # 11.25 nat: squash of it is 1/65536, the smallest probability the coder takes
_ONE = 1 << 96  # fixed point of the exponentials below


def _exponentials(count: int, denominator: int) -> list[int]:
    """exp(i / denominator) for i in 0..count-1 with 96 fractional bits."""
    term, step, i = _ONE, _ONE, 1
    while term:
        term //= i * denominator
        step += term
        i += 1
    values = [_ONE]
    for _ in range(count - 1):
        values.append((values[-1] * step) >> 96)
    return values


def _squash_and_stretch():
    """Return squash int32 [2*STRETCH_MAX+1] and stretch int32 [65536], from half steps of the exponential."""
    odds = _exponentials(2 * STRETCH_MAX + 2, 512)
    upper = [(65536 * e * 2 // (_ONE + e) + 1) // 2 for e in odds[0::2]]  # rounded squash(x) for x >= 0
    upper = [min(max(p, 1), 65535) for p in upper[: STRETCH_MAX + 1]]
    squash = np.array([65536 - p for p in upper[:0:-1]] + upper, np.int32)
    # stretch(p) is the number of half-step thresholds below p, for p >= 1/2; the rest is odd symmetry.
    threshold = np.array([(e << 36) // (_ONE + e) for e in odds[1::2]], np.int64)
    half = np.searchsorted(threshold, np.arange(32768, 65536, dtype=np.int64) << 20, side="right")
    half = np.minimum(half, STRETCH_MAX).astype(np.int32)
    stretch = np.concatenate([[-STRETCH_MAX], -half[:0:-1], half]).astype(np.int32)
    return squash, stretch


def _prices() -> np.ndarray:
    """-log2((256 + i) / 512) in 1/65536 bit for i in 0..256, by repeated squaring (int32 [257])."""
    out = []
    for i in range(257):
        x, bits = (256 + i) << 54, 0  # 1.0 is 1 << 62
        for _ in range(17):
            x = (x * x) >> 62
            bits = 2 * bits + (x >= 1 << 63)
            x >>= x >= 1 << 63
        out.append(65536 - (bits + 1) // 2 if i < 256 else 0)
    return np.array(out, np.int32)


SQUASH, _STRETCH = _squash_and_stretch()
PRICE = _prices()
# Two small tables instead of 65536 entries: exact where the curve is steep, every 16th value elsewhere.
STRETCH_TAIL = _STRETCH[:2048].copy()
STRETCH_BODY = np.append(_STRETCH[8:32768:16], 0).astype(np.int32)  # the last is p = 1/2
# 65536 / (n + 1.5): the rate of a model that has seen n bits.
RECIPROCAL = np.array([2 * 65536 // (2 * n + 3) for n in range(1024)], np.int32)
