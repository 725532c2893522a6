"""How much of a picture another one shows: a judge for choosing the size of tiny frames, in OpenCV for speed.

MS-SSIM (Wang et al. 2003) at four scales, of luma alone, plus HaarPSI (Reisenhofer et al. 2018). Pictures that are to
be enlarged are judged as the halves of whole ones: their finest scale is the second of MS-SSIM's five, and HaarPSI,
which halves first, takes them as they are. The choice then follows `semjax.metrics` on whole pictures (measured:
docs/texture.md).
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # MS-SSIM's
_SCALES = 4  # of its five that are looked at
_STEADY = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # SSIM's constants
_HAAR_C, _HAAR_ALPHA = 30.0, 4.2
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_SMALLEST = 16  # pixels of a side that is still halved


class _Scale(NamedTuple):
    light: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


class Look(NamedTuple):
    """What `likeness` needs of one picture: its scales and their weights, Haar coefficients of luma by axis and size,
    and local means of I and Q."""

    weights: tuple[float, ...]
    scales: list[_Scale]
    haar: list[list[np.ndarray]]
    chroma: list[np.ndarray]


def look(picture: UInt8[np.ndarray, "H W 3"], whole: bool = False) -> Look:
    """A picture, prepared for `likeness`. whole: it is a whole picture and not one that is to be enlarged."""
    planes = cv2.transform(picture.astype(np.float32), _TO_YIQ)
    luma, *chroma = cv2.split(_halved(planes) if whole and min(planes.shape[:2]) >= _SMALLEST else planes)
    haar = [[np.abs(cv2.filter2D(luma, -1, k)) for k in kernels] for kernels in _HAAR]
    chroma = [np.abs(cv2.boxFilter(c, -1, (2, 2))) for c in chroma]
    light, scales = cv2.extractChannel(planes, 0), []
    for _ in range(_SCALES):
        mean = _local(light)
        scales.append(_Scale(light, mean, _local(light * light) - mean * mean))
        if min(light.shape) < _SMALLEST:
            break
        light = _halved(light)
    weights = _WEIGHTS if whole else _WEIGHTS[1:]
    return Look(weights[: len(scales)], scales, haar, chroma)


def likeness(a: Look, b: Look) -> float:
    """Of two pictures of one size and kind: 2 for a copy, about 0 where nothing is alike."""
    product = 1.0
    for i, (weight, x, y) in enumerate(zip(a.weights, a.scales, b.scales)):
        term = _similar(x, y, last=i + 1 == len(a.scales))
        product *= max(term, 0.0) ** (weight / sum(a.weights))
    return product + _haar_likeness(a, b)


def _kernel(size: int) -> Float[np.ndarray, "size size"]:
    """A square half of which counts against the other half."""
    kernel = np.full((size, size), 1 / size, np.float32)
    kernel[size // 2 :] *= -1
    return kernel


_HAAR = [[k if axis else k.T for k in map(_kernel, (2, 4, 8))] for axis in (0, 1)]


def _halved(x: np.ndarray) -> np.ndarray:
    return cv2.resize(x, (x.shape[1] // 2, x.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _local(x: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), 1.5)


def _similar(x: _Scale, y: _Scale, last: bool) -> float:
    """Mean of SSIM's contrast and structure, times its luminance at the last scale."""
    both = _local(x.light * y.light) - x.mean * y.mean
    term = (2 * both + _STEADY[1]) / (x.variance + y.variance + _STEADY[1])
    if last:
        term *= (2 * x.mean * y.mean + _STEADY[0]) / (x.mean**2 + y.mean**2 + _STEADY[0])
    return float(term.mean())


def _haar_likeness(a: Look, b: Look) -> float:
    """HaarPSI, its equation 9."""
    maps = []
    for (fine, middle, coarse), (fine_b, middle_b, coarse_b) in zip(a.haar, b.haar):
        similar = 0.5 * (_ratio(fine, fine_b) + _ratio(middle, middle_b))
        maps.append((similar, np.maximum(coarse, coarse_b) + 1e-6))
    colour = 0.5 * sum(_ratio(x, y) for x, y in zip(a.chroma, b.chroma))
    maps.append((colour, 0.5 * (maps[0][1] + maps[1][1])))
    above = sum(float(np.sum(weight / (1 + np.exp(-_HAAR_ALPHA * similar)))) for similar, weight in maps)
    share = above / sum(float(np.sum(weight)) for _, weight in maps)
    return float(np.log(share / (1 - share)) / _HAAR_ALPHA) ** 2


def _ratio(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (2 * x * y + _HAAR_C) / (x * x + y * y + _HAAR_C)
