"""Frames for zero bits: the label map between two decoded ones, from signed distances. Integers only."""

import numpy as np
from numba import njit

_FAR = 1 << 20
_REACH = 96  # pixels a region may slide


@njit(cache=True)
def _distance(inside, value, out):
    """Chamfer distance (3-4) of every element to the nearest one where `inside` == value, into out."""
    h, w = inside.shape
    for y in range(h):
        for x in range(w):
            if inside[y, x] == value:
                out[y, x] = 0
                continue
            d = _FAR
            if x > 0:
                d = min(d, out[y, x - 1] + 3)
            if y > 0:
                d = min(d, out[y - 1, x] + 3)
                if x > 0:
                    d = min(d, out[y - 1, x - 1] + 4)
                if x + 1 < w:
                    d = min(d, out[y - 1, x + 1] + 4)
            out[y, x] = d
    for y in range(h - 1, -1, -1):
        for x in range(w - 1, -1, -1):
            d = out[y, x]
            if d == 0:
                continue
            if x + 1 < w:
                d = min(d, out[y, x + 1] + 3)
            if y + 1 < h:
                d = min(d, out[y + 1, x] + 3)
                if x > 0:
                    d = min(d, out[y + 1, x - 1] + 4)
                if x + 1 < w:
                    d = min(d, out[y + 1, x + 1] + 4)
            out[y, x] = d


@njit(cache=True)
def signed_distance(mask, scratch, out):
    """Signed chamfer distance of a bool mask: positive inside, 3 a pixel, +-_FAR without any edge."""
    _distance(mask, False, out)
    _distance(mask, True, scratch)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            out[y, x] -= scratch[y, x]


@njit(cache=True)
def extents(a, b):
    """Of each label: pixels, bounding box and coordinate sums in both maps. int64 [2, 256, 7]."""
    stats = np.zeros((2, 256, 7), np.int64)
    stats[:, :, 1] = _FAR
    stats[:, :, 3] = _FAR
    for k in range(2):
        m = a if k == 0 else b
        for y in range(m.shape[0]):
            for x in range(m.shape[1]):
                s = stats[k, m[y, x]]
                s[0] += 1
                s[1] = min(s[1], y)
                s[2] = max(s[2], y)
                s[3] = min(s[3], x)
                s[4] = max(s[4], x)
                s[5] += y
                s[6] += x
    return stats


def sliding(a: np.ndarray, wanted: bool) -> np.ndarray:
    """Which labels slide: all but the one that fills most of map a, or none. bool [256]."""
    out = np.full(256, wanted)
    out[np.bincount(a.ravel(), minlength=256).argmax()] = False
    return out


@njit(cache=True)
def _slide(stats, label, k, g):
    """How far a label's region in map k has slid between the two, whole pixels (dy, dx); 0 if unknown."""
    if stats[0, label, 0] == 0 or stats[1, label, 0] == 0:
        return 0, 0
    na, nb = stats[0, label, 0], stats[1, label, 0]
    ya, xa = (2 * stats[0, label, 5] + na) // (2 * na), (2 * stats[0, label, 6] + na) // (2 * na)
    yb, xb = (2 * stats[1, label, 5] + nb) // (2 * nb), (2 * stats[1, label, 6] + nb) // (2 * nb)
    dy, dx = yb - ya, xb - xa
    if abs(dy) > _REACH or abs(dx) > _REACH:
        return 0, 0
    return (2 * dy * k + g) // (2 * g), (2 * dx * k + g) // (2 * g)


@njit(cache=True)
def between(a, b, k, g, slide):
    """The label map k of g steps on the way from map a to map b.

    Each label's signed distances in a and in b, slid along the way its centre moved (where `slide`, bool [256]),
    are averaged with weights g - k and k; every pixel takes the label with the largest average.

    Source: shape interpolation by distance fields (Raya and Udupa 1990); sliding and label maps are ours.
    """
    height, width = a.shape
    stats = extents(a, b)
    out = np.zeros((height, width), np.uint8)
    best = np.full((height, width), -(1 << 60), np.int64)
    for label in range(256):
        if stats[0, label, 0] + stats[1, label, 0] == 0:
            continue
        dy, dx = (0, 0)
        ey, ex = (0, 0)
        if slide[label]:
            dy, dx = _slide(stats, label, k, g)
            ty, tx = _slide(stats, label, g, g)
            ey, ex = ty - dy, tx - dx
        margin = 24
        y0 = max(min(stats[0, label, 1], stats[1, label, 1]) - margin, 0)
        y1 = min(max(stats[0, label, 2], stats[1, label, 2]) + margin + 1, height)
        x0 = max(min(stats[0, label, 3], stats[1, label, 3]) - margin, 0)
        x1 = min(max(stats[0, label, 4], stats[1, label, 4]) + margin + 1, width)
        h, w = y1 - y0, x1 - x0
        scratch = np.empty((h, w), np.int32)
        sa = np.empty((h, w), np.int32)
        sb = np.empty((h, w), np.int32)
        signed_distance(a[y0:y1, x0:x1] == label, scratch, sa)
        signed_distance(b[y0:y1, x0:x1] == label, scratch, sb)
        for y in range(h):
            ya, yb = min(max(y - dy, 0), h - 1), min(max(y + ey, 0), h - 1)
            for x in range(w):
                xa, xb = min(max(x - dx, 0), w - 1), min(max(x + ex, 0), w - 1)
                v = (g - k) * np.int64(sa[ya, xa]) + k * np.int64(sb[yb, xb])
                if v > best[y0 + y, x0 + x]:
                    best[y0 + y, x0 + x] = v
                    out[y0 + y, x0 + x] = label
    return out
