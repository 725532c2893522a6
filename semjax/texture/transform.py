"""Integer cosine transforms of any length: the inverse is exact integer arithmetic on every machine."""

import functools
import itertools

import numpy as np

BASIS_BITS = 13


@functools.lru_cache(maxsize=256)
def basis(n: int) -> np.ndarray:
    """Orthonormal DCT-II basis of length `n` in units of 2^-13: int64 [n, n], row k is the k-th cosine.

    No entry lies close enough to a rounding tie for the cosines of two maths libraries to round differently
    (a test holds this for every length in use).
    """
    k, i = np.arange(n)[:, None], np.arange(n)[None, :]
    scale = np.where(k == 0, np.sqrt(1.0 / n), np.sqrt(2.0 / n))
    table = np.rint(scale * np.cos(np.pi * k * (2 * i + 1) / (2 * n)) * (1 << BASIS_BITS)).astype(np.int64)
    table.setflags(write=False)
    return table


def segments(n: int, about: int) -> list[tuple[int, int]]:
    """Cut `n` samples into pieces of nearly equal length close to `about`: (first, end) pairs."""
    count = max(1, (2 * n + about) // (2 * about))
    cuts = [i * n // count for i in range(count + 1)]
    return list(itertools.pairwise(cuts))


def forward(x: np.ndarray, axis: int, about: int) -> np.ndarray:
    """Orthonormal DCT of every segment along `axis`, in floats (the encoder's side)."""
    x = np.moveaxis(x, axis, -1).astype(np.float64)
    out = np.empty_like(x)
    for a, b in segments(x.shape[-1], about):
        out[..., a:b] = x[..., a:b] @ (basis(b - a).T / (1 << BASIS_BITS))
    return np.moveaxis(out, -1, axis)


def inverse(x: np.ndarray, axis: int, about: int) -> np.ndarray:
    """Inverse of `forward` in integers: int64 coefficients to int64 samples, rounded to nearest."""
    x = np.moveaxis(x, axis, -1)
    out = np.empty_like(x)
    for a, b in segments(x.shape[-1], about):
        out[..., a:b] = (x[..., a:b] @ basis(b - a) + (1 << BASIS_BITS - 1)) >> BASIS_BITS
    return np.moveaxis(out, -1, axis)
