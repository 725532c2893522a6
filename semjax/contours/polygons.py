"""Closed contours of label maps: trace, simplify, quantise, fill. Integers throughout, exact inverses.

A contour runs along pixel edges ("cracks"), so its vertices are pixel corners: x in [0, W], y in [0, H].
A region is the even-odd inside of all its contours, outer ones and holes alike, sampled at pixel centres.
Traced contours fill back to the very mask they came from, whatever its topology.
"""

import itertools

import numpy as np
from numba import njit

from semjax.errors import InputError

UNIT = 16  # vertices that move live on a grid of 1/16 pixel


def trace(mask: np.ndarray) -> list[np.ndarray]:
    """Follow every boundary of a mask; the inverse of `fill`.

    Args:
        mask: bool or integer [H, W]; nonzero is inside.

    Returns:
        Closed contours, each int32 [P, 2] of (x, y) pixel corners, P >= 4, no repeated end point and no
        vertex on a straight run. Outer contours have the inside on their right, holes too, so both come
        out of one rule. Where four pixels meet in a checkerboard the contours keep the inside apart.

    Source: crack following, a standard method; the turn rule is ours.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise InputError(
            f"trace expects a mask of shape [H, W], got {mask.ndim} axes; pass one frame at a time"
        )
    points, starts = _trace(np.ascontiguousarray(mask != 0))
    return [points[a:b] for a, b in itertools.pairwise(starts)]


@njit(cache=True)
def _trace(mask):
    """All contours of a bool mask, end to end: (points int32 [N, 2], starts int64 [L + 1])."""
    height, width = mask.shape
    # Eastward cracks (inside just below, outside just above) start every contour exactly once each.
    todo = np.zeros((height, width), np.bool_)
    edges = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                if y == 0 or not mask[y - 1, x]:
                    todo[y, x] = True
                    edges += 1
                if y == height - 1 or not mask[y + 1, x]:
                    edges += 1
    points = np.empty((2 * edges, 2), np.int32)  # every vertex joins a horizontal to a vertical run
    starts = np.zeros(edges // 2 + 1, np.int64)
    count, loops = 0, 0
    for y0 in range(height):
        for x0 in range(width):
            if not todo[y0, x0]:
                continue
            x, y, dx, dy = x0, y0, 1, 0
            first = count
            while True:
                if dx == 1:
                    if not todo[y, x]:
                        break
                    todo[y, x] = False
                x, y = x + dx, y + dy
                # the two pixels ahead: to the left and to the right of the direction of travel
                lx, ly = x + (dx + dy - 1) // 2, y + (dy - dx - 1) // 2
                rx, ry = x + (dx - dy - 1) // 2, y + (dy + dx - 1) // 2
                right = 0 <= rx < width and 0 <= ry < height and mask[ry, rx]
                left = 0 <= lx < width and 0 <= ly < height and mask[ly, lx]
                if right and not left:
                    continue
                points[count, 0], points[count, 1] = x, y
                count += 1
                if not right:  # also at a checkerboard: turn right, staying with the pixel we follow
                    dx, dy = -dy, dx
                else:
                    dx, dy = dy, -dx
            if count > first:
                loops += 1
                starts[loops] = count
    return points[:count], starts[: loops + 1]


def fill(contours: list[np.ndarray], height: int, width: int, unit: int = 1) -> np.ndarray:
    """Even-odd inside of closed contours at pixel centres; the inverse of `trace`.

    Args:
        contours: integer [P, 2] arrays of (x, y) in 1/unit pixels; parts outside the frame are clipped.
        height, width: size of the mask.
        unit: grid steps per pixel, even or 1.

    Returns:
        bool [H, W].
    """
    out = np.zeros((height, width + 1), np.bool_)
    for contour in contours:
        _toggle(
            np.ascontiguousarray(contour, np.int64) * (2 if unit == 1 else 1), 2 if unit == 1 else unit, out
        )
    return np.logical_xor.accumulate(out, axis=1)[:, :width]


@njit(cache=True)
def _toggle(points, unit, out):
    """Flip out[y, x] at the first pixel centre right of (or on) each edge of one closed contour."""
    height, width = out.shape[0], out.shape[1] - 1
    half = unit // 2
    n = points.shape[0]
    for i in range(n):
        xa, ya = points[i - 1, 0], points[i - 1, 1]
        xb, yb = points[i, 0], points[i, 1]
        if ya == yb:
            continue
        if ya > yb:
            xa, ya, xb, yb = xb, yb, xa, ya
        # rows whose centre line y * unit + half lies in [ya, yb)
        low = max(0, -((half - ya) // unit))
        high = min(height, -((half - yb) // unit))
        for y in range(low, high):
            run = yb - ya
            # crossing at num / run; the first centre x * unit + half at or right of it
            num = xa * run + (y * unit + half - ya) * (xb - xa) - half * run
            x = -((-num) // (run * unit))
            x = min(max(x, 0), width)
            out[y, x] = not out[y, x]


def simplify(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """Drop vertices while no dropped vertex lies more than `tolerance` pixels from the new outline.

    Args:
        contour: integer [P, 2] closed contour.
        tolerance: pixels, >= 0; 0 keeps every vertex that is not on a straight line.

    Returns:
        int32 [P', 2], a subset of the vertices in the same order.

    Source: Douglas and Peucker 1973, on the two halves between the mutually farthest vertices.
    """
    if not tolerance >= 0:
        raise InputError(f"tolerance must be 0 or more pixels, got {tolerance}")
    points = np.ascontiguousarray(contour, np.int64)
    if len(points) <= 3:
        return points.astype(np.int32)
    return points[_douglas_peucker(points, float(tolerance) ** 2)].astype(np.int32)


@njit(cache=True)
def _douglas_peucker(points, limit):
    """Boolean mask of the vertices kept; `limit` is the squared tolerance."""
    n = points.shape[0]
    keep = np.zeros(n, np.bool_)
    anchor, far = 0, 0
    for _ in range(2):  # two passes find a nearly farthest pair
        best = -1
        for i in range(n):
            d = (points[i, 0] - points[anchor, 0]) ** 2 + (points[i, 1] - points[anchor, 1]) ** 2
            if d > best:
                best, far = d, i
        anchor, far = far, anchor
    low, high = min(anchor, far), max(anchor, far)
    keep[low] = keep[high] = True
    stack = np.empty((n + 2, 2), np.int64)
    stack[0, 0], stack[0, 1] = low, high
    stack[1, 0], stack[1, 1] = high, low + n
    top = 2
    while top:
        top -= 1
        a, b = stack[top, 0], stack[top, 1]
        xa, ya = points[a % n, 0], points[a % n, 1]
        ex, ey = points[b % n, 0] - xa, points[b % n, 1] - ya
        span = float(ex * ex + ey * ey)
        worst, where = limit, -1
        for i in range(a + 1, b):
            px, py = points[i % n, 0] - xa, points[i % n, 1] - ya
            along = px * ex + py * ey
            if span == 0 or along <= 0:
                d = float(px * px + py * py)
            elif along >= span:
                d = float((px - ex) ** 2 + (py - ey) ** 2)
            else:
                d = float(px * ey - py * ex) ** 2 / span
            if d > worst:
                worst, where = d, i
        if where >= 0:
            keep[where % n] = True
            stack[top, 0], stack[top, 1] = a, where
            stack[top + 1, 0], stack[top + 1, 1] = where, b
            top += 2
    return keep


def quantise(contour: np.ndarray, step: int) -> np.ndarray:
    """Vertices in whole multiples of `step` pixels, runs of equal vertices merged.

    Rounding is of the absolute position, so that no error builds up along the contour.

    Returns:
        int32 [P', 2] in units of `step`; multiply by `step` to reconstruct. Fewer than 3 vertices enclose
        nothing and come back as an empty contour.
    """
    if step < 1:
        raise InputError(f"step must be 1 pixel or more, got {step}")
    grid = (np.asarray(contour, np.int64) * 2 + step) // (2 * step)
    grid = grid[np.any(grid != np.roll(grid, 1, axis=0), axis=1)]
    return (grid if len(grid) > 2 else grid[:0]).astype(np.int32)


def predict(contour: np.ndarray, motion: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Move a contour by a quantised similarity, in integers.

    Args:
        contour: integer [P, 2] in 1/UNIT pixels.
        motion: int (dx, dy, a, b): shift in 1/2 pixels, and the turn-and-scale matrix
            [[256 + a, -b], [b, 256 + a]] / 256.
        centre: int [2], the fixed point of the turn, in 1/UNIT pixels.

    Returns:
        int32 [P, 2] in 1/UNIT pixels.

    Source: P-frames that carry motion only, arXiv 2602.13837 section on the semantic codec; the fixed
    point form is ours.
    """
    dx, dy, a, b = (int(v) for v in motion)
    rel = np.asarray(contour, np.int64) - centre
    x = (rel[:, 0] * (256 + a) - rel[:, 1] * b + 128) >> 8
    y = (rel[:, 1] * (256 + a) + rel[:, 0] * b + 128) >> 8
    shift = np.array([dx, dy], np.int64) * (UNIT // 2)
    moved = np.stack([x, y], 1) + centre + shift
    return np.clip(moved, -(1 << 20), 1 << 20).astype(np.int32)
