"""What smoothing, evidence and drawing compute pixel by pixel, compiled: one pass in place of a dozen."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def products(guide, plane):
    """Each channel of `guide` [3, h, w] times `plane` [h, w]: float32 [3, h, w]."""
    out = np.empty_like(guide)
    for c in range(3):
        for y in range(plane.shape[0]):
            for x in range(plane.shape[1]):
                out[c, y, x] = guide[c, y, x] * plane[y, x]
    return out


@numba.njit(cache=True, nogil=True)
def slopes(inverse, means, average, r, g, b):
    """He et al., equations 19 and 20: of the plane with local means `average`, a for each channel and b.

    inverse: rr, rg, rb, gg, gb, bb of the inverse covariance of the guide [6, h, w]; means: of the guide [3, h, w];
    r, g, b: local means of the channels times the plane. float32 [4, h, w].
    """
    height, width = average.shape
    out = np.empty((4, height, width), np.float32)
    for y in range(height):
        for x in range(width):
            mr, mg, mb, mp = means[0, y, x], means[1, y, x], means[2, y, x], average[y, x]
            cr, cg, cb = r[y, x] - mr * mp, g[y, x] - mg * mp, b[y, x] - mb * mp
            ar = inverse[0, y, x] * cr + inverse[1, y, x] * cg + inverse[2, y, x] * cb
            ag = inverse[1, y, x] * cr + inverse[3, y, x] * cg + inverse[4, y, x] * cb
            ab = inverse[2, y, x] * cr + inverse[4, y, x] * cg + inverse[5, y, x] * cb
            out[0, y, x], out[1, y, x], out[2, y, x] = ar, ag, ab
            out[3, y, x] = mp - ar * mr - ag * mg - ab * mb
    return out


@numba.njit(cache=True, nogil=True)
def line(guide, r, g, b, rest):
    """Equation 21: r, g, b and `rest` are local means of what `slopes` gives. float32 [h, w]."""
    out = np.empty_like(rest)
    for y in range(rest.shape[0]):
        for x in range(rest.shape[1]):
            out[y, x] = (
                r[y, x] * guide[0, y, x] + g[y, x] * guide[1, y, x] + b[y, x] * guide[2, y, x] + rest[y, x]
            )
    return out


@numba.njit(cache=True, nogil=True)
def largest(planes):
    """The number of the largest plane [K, h, w] at each pixel, the first of equals: uint8 [h, w]."""
    count, height, width = planes.shape
    out = np.zeros((height, width), np.uint8)
    for y in range(height):
        most = planes[0, y].copy()
        for k in range(1, count):
            for x in range(width):
                if planes[k, y, x] > most[x]:
                    most[x] = planes[k, y, x]
                    out[y, x] = k
    return out


@numba.njit(cache=True, nogil=True)
def off_course(drift, own, cap):
    """-1/2 of the squared distance of two fields [h, w, 2], in units of 0.8 + 0.15 |own| and at most `cap`."""
    out = np.empty(drift.shape[:2], np.float32)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            u, v = own[y, x, 0], own[y, x, 1]
            off = np.hypot(drift[y, x, 0] - u, drift[y, x, 1] - v)
            off = off / (np.float32(0.8) + np.float32(0.15) * np.hypot(u, v))
            off = min(off, np.float32(cap))
            out[y, x] = np.float32(-0.5) * (off * off)
    return out
