"""Smoothing of a decoded frame across the edges of its leaves, before it is shown and referred to.

Where a leaf has levels of its own or was predicted inside the frame, the step between the two samples at its left
and at its upper edge is often the quantiser's work. A small step is taken for that and halved; a large one is kept.
All corrections are computed from the unfiltered samples and then added, so that their order does not matter.
Source: ours, the simplest of the kind (List et al. 2003, "Adaptive deblocking filter").
"""

from numba import njit

from semjax.entropy import binary as eb

REACH = 40  # steps below REACH / 64 of the quantiser's step are smoothed


@eb.call
def _is_active(q, mode, y0, y1, x0, x1):
    if mode:
        return True
    for y in range(y0, y1):
        for x in range(x0, x1):
            if q[y, x]:
                return True
    return False


@eb.call
def _smooth_leaf(out, rec, limit, y0, y1, x0, x1):
    """Add the corrections at the left and the upper edge of rec[y0:y1, x0:x1] to `out`."""
    if x0 > 0:
        for y in range(y0, y1):
            d = rec[y, x0] - rec[y, x0 - 1]
            if abs(d) < limit:
                out[y, x0 - 1] += d >> 2
                out[y, x0] -= d >> 2
    if y0 > 0:
        for x in range(x0, x1):
            d = rec[y0, x] - rec[y0 - 1, x]
            if abs(d) < limit:
                out[y0 - 1, x] += d >> 2
                out[y0, x] -= d >> 2


@njit(cache=True)
def _smooth_plane(rec, q, cuts_y, cuts_x, split, modes, step, colour):
    """A smoothed copy of the plane `rec` (int32 [h, w]) with levels q."""
    out = rec.copy()
    limit = step * REACH >> 6
    for i in range(cuts_y.size - 1):
        for j in range(cuts_x.size - 1):
            y0, y1, x0, x1 = cuts_y[i], cuts_y[i + 1], cuts_x[j], cuts_x[j + 1]
            parts = 2 if split[i, j] and not colour else 1
            if colour:
                y0, y1, x0, x1 = (y0 + 1) // 2, (y1 + 1) // 2, (x0 + 1) // 2, (x1 + 1) // 2
            for a in range(parts):
                for b in range(parts):
                    ya, yb = y0 + (y1 - y0) * a // parts, y0 + (y1 - y0) * (a + 1) // parts
                    xa, xb = x0 + (x1 - x0) * b // parts, x0 + (x1 - x0) * (b + 1) // parts
                    if _is_active(q, modes[2 * i + a, 2 * j + b], ya, yb, xa, xb):
                        _smooth_leaf(out, rec, limit, ya, yb, xa, xb)
    return out


@njit(cache=True, nogil=True)
def deblock(planes, q, cuts_y, cuts_x, split, modes, step):
    """Smoothed copies of the three planes int32 [h, w] of a frame, given its levels, splits and modes."""
    return (
        _smooth_plane(planes[0], q[0], cuts_y, cuts_x, split, modes, step, False),
        _smooth_plane(planes[1], q[1], cuts_y, cuts_x, split, modes, step, True),
        _smooth_plane(planes[2], q[2], cuts_y, cuts_x, split, modes, step, True),
    )
