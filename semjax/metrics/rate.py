"""What does it cost: rates of a clip, and the gap between two rate-quality curves."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from semjax.errors import InputError
from semjax.metrics._inputs import optional
from semjax.types import ClipInfo


def bpp(nbytes: int, clip: ClipInfo) -> float:
    """Bits per pixel: 8 bytes / (T H W). Lower is better."""
    return 8 * _amount(nbytes, "bytes") / (clip.frames * clip.width * clip.height)


def bits_per_second(nbytes: int, clip: ClipInfo) -> float:
    """Bits per second of playing time. Lower is better."""
    return float(8 * Fraction(_amount(nbytes, "bytes")) * Fraction(clip.fps) / clip.frames)


def ratio_to_raw(nbytes: int, clip: ClipInfo) -> float:
    """How many times smaller than 8-bit RGB: T H W 3 / bytes. Higher is better; infinite for 0 bytes."""
    return clip.raw_bytes / nbytes if _amount(nbytes, "bytes") else math.inf


def cbr(symbols: float, clip: ClipInfo) -> float:
    """Channel bandwidth ratio: complex channel symbols per source value, symbols / (T H W 3). Lower is better.

    The definition of LGVSC (arXiv 2606.12899), with B symbols for F frames: B / (C H W F).
    """
    return _amount(symbols, "symbols") / clip.raw_bytes


def bd_rate(
    reference: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]], *, method: str = "pchip"
) -> float:
    """Bjontegaard delta rate (VCEG-M33, 2001): by how many percent `other` needs more rate at equal quality.

    Curves are at least two (rate, quality) points each, in any order, rates above 0; at least 4 with "akima" or
    "cubic". Negative is better. Averaged over the qualities that both curves reach; `InputError` when there are
    none. The `bjontegaard` package (FAU Erlangen) does it; it comes with `pip install semjax[metrics]`.
    """
    return _bjontegaard("bd_rate", reference, other, method)


def bd_quality(
    reference: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]], *, method: str = "pchip"
) -> float:
    """Bjontegaard delta quality: by how much `other` is higher at equal rate, in the quality's own unit.

    As `bd_rate`, averaged over the logarithms of the rates that both curves have. The sign is that of the quality:
    positive is better when higher is.
    """
    return _bjontegaard("bd_psnr", reference, other, method)


def _bjontegaard(function: str, reference, other, method: str) -> float:
    bjontegaard = optional("bjontegaard")
    (first, falls), (second, falls_too) = _curve("reference", reference), _curve("other", other)
    if falls != falls_too:
        raise InputError(
            "One curve rises and the other falls with the rate; give both the same quality measure."
        )
    column = 1 if function == "bd_rate" else 0
    if min(first[:, column].max(), second[:, column].max()) <= max(
        first[:, column].min(), second[:, column].min()
    ):
        what = "qualities" if column else "rates"
        raise InputError(f"The two curves share no range of {what}; measure points that overlap.")
    delta = getattr(bjontegaard, function)
    value = float(delta(*first.T, *second.T, method=method, require_matching_points=False, min_overlap=0))
    if not math.isfinite(value):
        raise InputError(f"The Bjontegaard delta of these curves is {value}; check the points.")
    return -value if falls and function == "bd_psnr" else value


def _curve(name: str, points) -> tuple[np.ndarray, bool]:
    """(points [N, 2] by rising rate, does quality fall?); falling qualities change sign: the package wants that."""
    curve = np.asarray(sorted(tuple(map(float, p)) for p in points), np.float64)
    if curve.ndim != 2 or curve.shape[1:] != (2,) or len(curve) < 2:
        raise InputError(f"The {name} curve needs at least 2 (rate, quality) points, got {len(curve)}.")
    if not np.isfinite(curve).all() or curve[0, 0] <= 0:
        raise InputError(
            f"The {name} curve must have finite points with rates above 0, got {curve.tolist()}."
        )
    falls = bool(curve[-1, 1] < curve[0, 1])
    curve[:, 1] *= -1 if falls else 1
    if not (np.diff(curve, axis=0) > 0).all():
        raise InputError(
            f"The {name} curve must rise or fall steadily with the rate; leave out points that others beat."
        )
    return curve, falls


def _amount(value: float, unit: str) -> float:
    if not value >= 0 or math.isinf(value):
        raise InputError(f"The number of {unit} must be 0 or more, got {value}.")
    return value
