"""Frames for zero bits: the label map between two decoded ones, from signed distances. Integers only."""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

_FAR = 1 << 20
_REACH = 96  # pixels a region may slide
_MARGIN = 24  # pixels around a region that its distances are taken in
_CLIP = 90  # distances count no more than this, 30 pixels, in the search for a turn
_POINTS = 1500  # pixels that search looks at, about


@njit(cache=True, nogil=True)
def signed_distance(labels, y0, x0, label, out):
    """Signed chamfer distance (3-4) of a label's region: positive inside, 3 a pixel, +-_FAR without any edge.

    out: int32 [h, w], for the pixels of `labels` from (y0, x0) on; what lies around them is not seen.
    """
    h, w = out.shape
    side = np.zeros((h, w), np.uint8)
    for y in range(h):
        for x in range(w):
            side[y, x] = labels[y0 + y, x0 + x] == label
    # Downwards, then upwards: first from the row before, all pixels at once, then along the row. A neighbour on the
    # other side is at distance 0, whatever its own.
    for y in range(h):
        here, mine = out[y], side[y]
        for x in range(w):
            here[x] = _FAR
        if y > 0:
            _from_row(mine, side[y - 1], out[y - 1], here)
        last, was = here[0], mine[0]
        for x in range(1, w):
            last = min(here[x], np.int32((last if mine[x] == was else 0) + 3))
            here[x], was = last, mine[x]
    for y in range(h - 1, -1, -1):
        here, mine = out[y], side[y]
        if y + 1 < h:
            _from_row(mine, side[y + 1], out[y + 1], here)
        last, was = here[w - 1], mine[w - 1]
        for x in range(w - 2, -1, -1):
            last = min(here[x], np.int32((last if mine[x] == was else 0) + 3))
            here[x], was = last, mine[x]
    for y in range(h):
        for x in range(w):
            if not side[y, x]:
                out[y, x] = -out[y, x]


@eb.call
def _from_row(side, beside, known, out):
    """Lower the distances `out` of a row to what the row beside it, with distances `known`, allows."""
    w = len(out)
    for x in range(w):
        out[x] = min(out[x], np.int32((known[x] if beside[x] == side[x] else 0) + 3))
    for x in range(1, w):
        out[x] = min(out[x], np.int32((known[x - 1] if beside[x - 1] == side[x] else 0) + 4))
    for x in range(w - 1):
        out[x] = min(out[x], np.int32((known[x + 1] if beside[x + 1] == side[x] else 0) + 4))


@njit(cache=True, nogil=True)
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


@eb.call
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


@njit(cache=True, nogil=True)
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
        self.shape, self.parts, self.ground = a.shape, [], 0
        stats = extents(a, b)
        labels = np.flatnonzero(stats[:, :, 0].sum(0))
        if len(labels) == 2 and not slide[labels].all():
            self._add_figure(a, b, stats, labels, slide, turn)
            return
        for label in labels:
            window = self._window(stats[:, label])
            fields = _fields(a, b, label, window)
            self._add(label, window, fields, stats[:, label], slide[label], turn)

    def _add_figure(self, a, b, stats, labels, slide, turn):
        """One figure on a ground that keeps still: the ground's distances are the figure's, negated."""
        ground, figure = labels if not slide[labels[0]] else labels[::-1]
        self.ground = int(ground)
        window = self._window(stats[:, figure])
        fields = _fields(a, b, figure, window)
        for label in labels:  # in order: of equal averages the first label's stands
            if label == figure:
                self._add(label, window, fields, stats[:, label], slide[label], turn)
            else:
                self._add(label, window, -fields, stats[:, label], False, turn)

    def _window(self, stats):
        (y0, x0), (y1, x1) = (
            (int(min(stats[:, i])) - _MARGIN for i in (1, 3)),
            (int(max(stats[:, i])) + _MARGIN + 1 for i in (2, 4)),
        )
        return slice(max(y0, 0), min(y1, self.shape[0])), slice(max(x0, 0), min(x1, self.shape[1]))

    def _add(self, label, window, fields, stats, slide, turn):
        one, two = stats
        y0, x0 = window[0].start, window[1].start
        centres, move = np.zeros((2, 2), np.int64), np.zeros(4, np.int64)
        if slide and one[0] and two[0]:
            centres = _centres(stats) - (y0, x0)
            if abs(centres[1] - centres[0]).max() > _REACH:
                centres[1] = centres[0]
            if turn:
                high, wide = fields.shape[1:]
                box = one[1:5] + np.array([-4 - y0, 5 - y0, -4 - x0, 5 - x0])
                box = np.clip(box, 0, (high, high, wide, wide))
                move = turned(fields[0], fields[1], centres[0], centres[1], box)
                centres[1] += move[2:]
        self.parts.append((int(label), window, fields, centres, move))

    def frame(self, k: int, g: int) -> np.ndarray:
        """The map k of g steps on the way, uint8 [H, W]."""
        out = np.full(self.shape, self.ground, np.uint8)
        # below all averages, which are sums of at most 16 distances up to _FAR
        best = np.full(self.shape, -(1 << 30), np.int32)
        for label, (rows, columns), fields, centres, move in self.parts:
            at = rows.start, columns.start
            _blend(fields[0], fields[1], centres[0], centres[1], move, k, g, label, at, best, out)
        return out


def _fields(a, b, label, window) -> np.ndarray:
    """Signed distances of a label's region in both maps within a window: int32 [2, h, w]."""
    rows, columns = window
    fields = np.empty((2, rows.stop - rows.start, columns.stop - columns.start), np.int32)
    signed_distance(a, rows.start, columns.start, label, fields[0])
    signed_distance(b, rows.start, columns.start, label, fields[1])
    return fields


def between(a, b, k, g, slide, turn) -> np.ndarray:
    """One frame of `Between`."""
    return Between(a, b, slide, turn).frame(k, g)


@njit(cache=True, nogil=True)
def _blend(sa, sb, ca, cb, move, k, g, label, at, best, out):
    """Weigh a label's fields into `best` and `out` from pixel `at` on, each pixel taken back to a and forward to b."""
    h, w = sa.shape
    my = ca[0] + (2 * (cb[0] - ca[0]) * k + g) // (2 * g)
    mx = ca[1] + (2 * (cb[1] - ca[1]) * k + g) // (2 * g)
    if not (move[0] or move[1]):  # the region only slides: rows keep together
        for y in range(h):
            ra, rb = sa[min(max(ca[0] + y - my, 0), h - 1)], sb[min(max(cb[0] + y - my, 0), h - 1)]
            most, names = best[at[0] + y, at[1] : at[1] + w], out[at[0] + y, at[1] : at[1] + w]
            for x in range(w):
                xa, xb = min(max(ca[1] + x - mx, 0), w - 1), min(max(cb[1] + x - mx, 0), w - 1)
                v = np.int32((g - k) * ra[xa] + k * rb[xb])
                if v > most[x]:
                    most[x] = v
                    names[x] = label
        return
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
            if v > best[at[0] + y, at[1] + x]:
                best[at[0] + y, at[1] + x] = v
                out[at[0] + y, at[1] + x] = label
