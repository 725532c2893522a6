"""How much of a picture another one shows: a judge for choosing the size of tiny frames, in OpenCV for speed.

The contrast and structure of MS-SSIM (Wang et al. 2003) at four scales, the second of the paper's five being the
finest here and of luma alone, plus half of HaarPSI (Reisenhofer et al. 2018). The choice then follows the measures
of `semjax.metrics` on the whole picture (measured: docs/texture.md).
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_WEIGHTS = 0.2856, 0.3001, 0.2363, 0.1333  # MS-SSIM's from the second scale on
_STEADY = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # SSIM's constants
_HAAR_C, _HAAR_ALPHA, _HAAR_SHARE = 30.0, 4.2, 0.5
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)
_SMALLEST = 16  # pixels of a side that is still halved


class _Scale(NamedTuple):
    light: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


class Look(NamedTuple):
    """What `likeness` needs of one picture: its scales, Haar coefficients of luma by axis and size, and local means of
    I and Q."""

    scales: list[_Scale]
    haar: list[list[np.ndarray]]
    chroma: list[np.ndarray]


def look(picture: UInt8[np.ndarray, "H W 3"]) -> Look:
    """A picture, prepared for `likeness`."""
    light, *chroma = cv2.split(cv2.transform(picture.astype(np.float32), _TO_YIQ))
    haar = [[np.abs(cv2.filter2D(light, -1, k)) for k in kernels] for kernels in _HAAR]
    chroma = [np.abs(cv2.boxFilter(c, -1, (2, 2))) for c in chroma]
    scales = []
    for _ in _WEIGHTS:
        mean = _local(light)
        scales.append(_Scale(light, mean, _local(light * light) - mean * mean))
        if min(light.shape) < _SMALLEST:
            break
        light = cv2.resize(light, (light.shape[1] // 2, light.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return Look(scales, haar, chroma)


def likeness(a: Look, b: Look) -> float:
    """Of two pictures of one size: 1.5 for a copy, about 0 where nothing is alike."""
    total = sum(_WEIGHTS[: len(a.scales)])
    product = 1.0
    for i, (weight, x, y) in enumerate(zip(_WEIGHTS, a.scales, b.scales)):
        term = _similar(x, y, whole=i + 1 == len(a.scales))
        product *= max(term, 0.0) ** (weight / total)
    return product + _HAAR_SHARE * _haar_likeness(a, b)


def _kernel(size: int) -> Float[np.ndarray, "size size"]:
    """A square half of which counts against the other half."""
    kernel = np.full((size, size), 1 / size, np.float32)
    kernel[size // 2 :] *= -1
    return kernel


_HAAR = [[k if axis else k.T for k in map(_kernel, (2, 4, 8))] for axis in (0, 1)]


def _local(x: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(x, (0, 0), 1.5)


def _similar(x: _Scale, y: _Scale, whole: bool) -> float:
    """Mean of SSIM's contrast and structure, times its luminance if `whole`."""
    both = _local(x.light * y.light) - x.mean * y.mean
    term = (2 * both + _STEADY[1]) / (x.variance + y.variance + _STEADY[1])
    if whole:
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
