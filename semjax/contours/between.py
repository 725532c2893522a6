"""Frames for zero bits: the label map between two decoded ones, from signed distances. Integers only."""

import numpy as np
from numba import njit

_FAR = 1 << 20
_REACH = 96  # pixels a region may slide
_MARGIN = 24  # pixels around a region that its distances are taken in
_CLIP = 90  # distances count no more than this, 30 pixels, in the search for a turn
_POINTS = 1500  # pixels that search looks at, about


@njit(cache=True)
def signed_distance(labels, label, out):
    """Signed chamfer distance (3-4) of a label's region: positive inside, 3 a pixel, +-_FAR without any edge."""
    h, w = labels.shape
    for y in range(h):
        for x in range(w):
            inside = labels[y, x] == label
            d = _FAR
            if x > 0:
                d = min(d, (out[y, x - 1] if (labels[y, x - 1] == label) == inside else 0) + 3)
            if y > 0:
                d = min(d, (out[y - 1, x] if (labels[y - 1, x] == label) == inside else 0) + 3)
                if x > 0:
                    d = min(d, (out[y - 1, x - 1] if (labels[y - 1, x - 1] == label) == inside else 0) + 4)
                if x + 1 < w:
                    d = min(d, (out[y - 1, x + 1] if (labels[y - 1, x + 1] == label) == inside else 0) + 4)
            out[y, x] = d
    for y in range(h - 1, -1, -1):
        for x in range(w - 1, -1, -1):
            inside = labels[y, x] == label
            d = out[y, x]
            if d > 3:
                if x + 1 < w:
                    d = min(d, (abs(out[y, x + 1]) if (labels[y, x + 1] == label) == inside else 0) + 3)
                if y + 1 < h:
                    d = min(d, (abs(out[y + 1, x]) if (labels[y + 1, x] == label) == inside else 0) + 3)
                    if x > 0:
                        d = min(
                            d,
                            (abs(out[y + 1, x - 1]) if (labels[y + 1, x - 1] == label) == inside else 0) + 4,
                        )
                    if x + 1 < w:
                        d = min(
                            d,
                            (abs(out[y + 1, x + 1]) if (labels[y + 1, x + 1] == label) == inside else 0) + 4,
                        )
            out[y, x] = d if inside else -d


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


def _centres(stats) -> np.ndarray:
    """Middles (row, column) of a label's region in both maps, rounded to whole pixels: int64 [2, 2]."""
    n = stats[:, :1]
    return (2 * stats[:, 5:] + n) // (2 * n)


@njit(cache=True)
def _mismatch(sa, sb, ca, cb, move, stride, box):
    """How far apart two fields are after `move` (a, b, dy, dx), summed over every `stride`-th pixel of `box`."""
    h, w = sa.shape
    total = 0
    for y in range(box[0], box[1], stride):
        for x in range(box[2], box[3], stride):
            dy, dx = y - ca[0], x - ca[1]
            ty = cb[0] + move[2] + (((256 + move[0]) * dy + move[1] * dx + 128) >> 8)
            tx = cb[1] + move[3] + (((256 + move[0]) * dx - move[1] * dy + 128) >> 8)
            u = sa[y, x]
            v = sb[min(max(ty, 0), h - 1), min(max(tx, 0), w - 1)]
            total += abs(min(max(u, -_CLIP), _CLIP) - min(max(v, -_CLIP), _CLIP))
    return total


@njit(cache=True)
def turned(sa, sb, ca, cb, box):
    """The turn and scale (a, b: the matrix [[256 + a, -b], [b, 256 + a]] / 256) and the shift (dy, dx) besides that
    of the centres that carry field sa to field sb best; all 0 where that does not help much. int64 [4].

    Both ends of a stream search alike, so nothing is sent: integers only. Hill climbing, coarse to fine.
    """
    stride = 1
    while (box[1] - box[0]) * (box[3] - box[2]) > _POINTS * stride * stride:
        stride += 1
    move = np.zeros(4, np.int64)
    start = best = _mismatch(sa, sb, ca, cb, move, stride, box)
    for fine in range(4):
        for _ in range(8):
            moved = False
            for axis in range(4):
                step = (32 if axis < 2 else 8) >> fine
                for sign in (-1, 1):
                    trial = move.copy()
                    trial[axis] += sign * step
                    if abs(trial[axis]) > (96, 160, 24, 24)[axis]:
                        continue
                    reached = _mismatch(sa, sb, ca, cb, trial, stride, box)
                    if reached < best:
                        best, move, moved = reached, trial, True
            if not moved:
                break
    if 100 * best >= 85 * start:
        move[:] = 0
    return move


class Between:
    """The frames on the way from map a to map b.

    Each label's signed distances in a and in b are averaged, read where its region is on its way: moving with its
    centre (where `slide`, bool [256]) and turning and growing (with `turn`, see `turned`). Every pixel takes the
    label with the largest average.

    Source: shape interpolation by distance fields (Raya and Udupa 1990); motion and label maps are ours.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray, slide: np.ndarray, turn: bool):
        self.shape, self.parts = a.shape, []
        stats = extents(a, b)
        for label in np.flatnonzero(stats[:, :, 0].sum(0)):
            one, two = stats[:, label]
            y0, x0 = (max(int(min(one[i], two[i])) - _MARGIN, 0) for i in (1, 3))
            y1, x1 = (
                min(int(max(one[i], two[i])) + _MARGIN + 1, n) for i, n in ((2, a.shape[0]), (4, a.shape[1]))
            )
            fields = np.empty((2, y1 - y0, x1 - x0), np.int32)
            signed_distance(a[y0:y1, x0:x1], label, fields[0])
            signed_distance(b[y0:y1, x0:x1], label, fields[1])
            centres, move = np.zeros((2, 2), np.int64), np.zeros(4, np.int64)
            if slide[label] and one[0] and two[0]:
                centres = _centres(stats[:, label]) - (y0, x0)
                if abs(centres[1] - centres[0]).max() > _REACH:
                    centres[1] = centres[0]
                if turn:
                    high, wide = fields.shape[1:]
                    box = one[1:5] + np.array([-4 - y0, 5 - y0, -4 - x0, 5 - x0])
                    box = np.clip(box, 0, (high, high, wide, wide))
                    move = turned(fields[0], fields[1], centres[0], centres[1], box)
                    centres[1] += move[2:]
            self.parts.append((int(label), (slice(y0, y1), slice(x0, x1)), fields, centres, move))

    def frame(self, k: int, g: int) -> np.ndarray:
        """The map k of g steps on the way, uint8 [H, W]."""
        out = np.zeros(self.shape, np.uint8)
        best = np.full(self.shape, -(1 << 60), np.int64)
        for label, window, fields, centres, move in self.parts:
            _blend(fields[0], fields[1], centres[0], centres[1], move, k, g, label, best[window], out[window])
        return out


def between(a, b, k, g, slide, turn) -> np.ndarray:
    """One frame of `Between`."""
    return Between(a, b, slide, turn).frame(k, g)


@njit(cache=True)
def _blend(sa, sb, ca, cb, move, k, g, label, best, out):
    """Weigh a label's fields into `best` and `out`, each pixel taken back to a and forward to b."""
    h, w = sa.shape
    my = ca[0] + (2 * (cb[0] - ca[0]) * k + g) // (2 * g)
    mx = ca[1] + (2 * (cb[1] - ca[1]) * k + g) // (2 * g)
    # the matrix so far is [[m, -n], [n, m]] / 256 g; its inverse, and the whole way's times that, in 1/2^14
    m, n = 256 * g + k * move[0], k * move[1]
    size = m * m + n * n
    back_m, back_n = ((256 * g * m) << 14) // size, ((256 * g * n) << 14) // size
    on_m = ((256 + move[0]) * back_m + move[1] * back_n) >> 8
    on_n = ((256 + move[0]) * back_n - move[1] * back_m) >> 8
    for y in range(h):
        for x in range(w):
            dy, dx = y - my, x - mx
            ya, xa = (
                ca[0] + ((back_m * dy - back_n * dx + 8192) >> 14),
                ca[1] + ((back_m * dx + back_n * dy + 8192) >> 14),
            )
            yb, xb = (
                cb[0] + ((on_m * dy - on_n * dx + 8192) >> 14),
                cb[1] + ((on_m * dx + on_n * dy + 8192) >> 14),
            )
            ya, xa = min(max(ya, 0), h - 1), min(max(xa, 0), w - 1)
            yb, xb = min(max(yb, 0), h - 1), min(max(xb, 0), w - 1)
            v = (g - k) * np.int64(sa[ya, xa]) + k * np.int64(sb[yb, xb])
            if v > best[y, x]:
                best[y, x] = v
                out[y, x] = label
