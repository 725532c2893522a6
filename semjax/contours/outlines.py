"""How many outlines are where they belong: what the search for a target mIoU looks at besides."""

from collections.abc import Iterable

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

TOLERANCE = 2  # pixels
_PASSES = 6  # with one size of cells
_CLOSE = 0.02  # share of the allowed bytes that may stay unused
_SLOPE = 0.6  # payloads grow about with this power of 1 / lambda


@eb.call
def _on_outline(m, y, x):
    """Whether one of a pixel's four neighbours has another label."""
    h, w = m.shape
    v = m[y, x]
    return (
        (y > 0 and m[y - 1, x] != v)
        or (y + 1 < h and m[y + 1, x] != v)
        or (x > 0 and m[y, x - 1] != v)
        or (x + 1 < w and m[y, x + 1] != v)
    )


@njit(cache=True, nogil=True)
def _found(here, there, tolerance):
    """Outline pixels of map `here` by label, and how many of them `there` has within `tolerance`: int64 [256, 2]."""
    h, w = here.shape
    out = np.zeros((256, 2), np.int64)
    marked = np.zeros((h, w), np.bool_)
    for y in range(h):
        for x in range(w):
            marked[y, x] = _on_outline(there, y, x)
    for y in range(h):
        for x in range(w):
            if not _on_outline(here, y, x):
                continue
            v = here[y, x]
            hit = False
            for yy in range(max(y - tolerance, 0), min(y + tolerance + 1, h)):
                for xx in range(max(x - tolerance, 0), min(x + tolerance + 1, w)):
                    near = (yy - y) ** 2 + (xx - x) ** 2 <= tolerance**2
                    hit = hit or (near and marked[yy, xx] and there[yy, xx] == v)
            out[v, 0] += 1
            out[v, 1] += hit
    return out


def boundary_f(truth: np.ndarray, decoded: Iterable[np.ndarray]) -> float:
    """F-measure of outlines within 2 pixels, as `metrics.boundary_f` has it: mean over frames, then over labels.

    truth: uint8 [T, H, W]; decoded: as many maps uint8 [H, W], or an iterator of them.
    """
    total, frames = np.zeros(256), np.zeros(256)
    for x, y in zip(truth, decoded):
        recall, precision = _found(x, y, TOLERANCE), _found(y, x, TOLERANCE)
        one, two = (np.bincount(m.ravel(), minlength=256) > 0 for m in (x, y))
        both, either = one & two, one | two
        r, p = (np.where(n[:, 0] > 0, n[:, 1] / np.maximum(n[:, 0], 1), 0.0) for n in (recall, precision))
        bare = (recall[:, 0] == 0) & (precision[:, 0] == 0)  # a label that fills its picture has no outline
        total += np.where(bare, both, 2 * r * p / np.maximum(r + p, 1e-9)) * either
        frames += either
    return float((total[frames > 0] / frames[frames > 0]).mean())


def cleaner(passes, payload: bytes, scale: int, lam: float, aim: float, spend: float) -> bytes:
    """A payload of at most 1 + `spend` times the size whose outlines are cleaner, if there is one.

    passes: `rate.Passes` whose pixels far from an outline count for more; payload: what meets its target mIoU, made
    with cells of `scale` pixels and `lam`.
    Returns the smallest payload found whose boundary F is at least `aim`, else the one of greatest F.
    """
    found = [(passes.outlines(payload), payload)]
    if found[0][0] >= aim or spend <= 0:
        return payload
    budget = (1 + spend) * len(payload)
    last = max(scale - 3, 2 if scale > 2 else 1)  # cells of one pixel are another matter, unless nearly there
    for size in range(scale, last - 1, -1):
        more = _spend(passes, size, lam, budget)
        if not more:
            break
        found += more
    clean = [p for f, p in found if f >= aim]
    return min(clean, key=len) if clean else max(found, key=lambda one: one[0])[1]


def _spend(passes, scale, lam, budget):
    """Passes with cells of one size and payloads near the budget: (boundary F, payload) of those that will do."""
    found, sizes = [], {}
    for _ in range(_PASSES):
        payload, quality = passes.at(scale, lam)
        sizes[lam] = size = len(payload) / budget
        if size <= 1 and quality >= passes.cfg.target_miou:
            found.append((passes.outlines(payload), payload))
        if 1 - _CLOSE <= size <= 1:
            break
        if 0.9 < size <= 1 and quality < passes.cfg.target_miou - (1 - passes.cfg.target_miou) / 5:
            break  # so far off that what is left of the budget will not do
        low = max((v for v in sizes if sizes[v] > 1), default=0)
        high = min((v for v in sizes if sizes[v] <= 1), default=0)
        if low and high and low < high:
            part = np.log(sizes[low]) / np.log(sizes[low] / sizes[high])
            lam = low * (high / low) ** min(max(part, 0.2), 0.8)
        else:
            lam *= min(max(size ** (1 / _SLOPE), 0.5), 2.0) * (1.03 if size > 1 else 0.97)
    return found
