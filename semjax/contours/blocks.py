"""Motion of a predicted map: one vector for each square block of pixels, searched, coded and applied."""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

SIZES = (0, 4096, 128, 64, 32, 16)  # pixels a side; 0 is no motion at all, 4096 one vector for the picture
REACH = 127  # longest vector component, in steps
MODELS = 8 + 2 * 49
_LIMIT = 60


@njit(cache=True)
def _edge_sums(full):
    """Integral image of label changes (right and down): int32 [H + 1, W + 1]."""
    height, width = full.shape
    out = np.zeros((height + 1, width + 1), np.int32)
    for y in range(height):
        row = 0
        for x in range(width):
            v = full[y, x]
            row += (x + 1 < width and full[y, x + 1] != v) or (y + 1 < height and full[y + 1, x] != v)
            out[y + 1, x + 1] = out[y, x + 1] + row
    return out


@eb.call
def _busy(sums, y0, y1, x0, x1):
    """True if a label changes inside the window (clipped to the picture)."""
    h, w = sums.shape[0] - 1, sums.shape[1] - 1
    y0, y1, x0, x1 = max(y0, 0), min(y1, h), max(x0, 0), min(x1, w)
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0] > 0


@eb.call
def _mismatch(ref, truth, wt, y0, y1, x0, x1, dy, dx, stride, limit):
    """Weighted wrong pixels of a block under one vector, sampled every `stride`; gives up above `limit`."""
    height, width = ref.shape
    total = 0.0
    scale = stride * stride
    for y in range(y0 + stride // 2, y1, stride):
        yy = min(max(y + dy, 0), height - 1)
        for x in range(x0 + stride // 2, x1, stride):
            a, b = truth[y, x], ref[yy, min(max(x + dx, 0), width - 1)]
            if a != b:
                total += (wt[a] + wt[b]) * scale
        if total >= limit:
            break
    return total


@njit(cache=True)
def _vector_bits(dy, dx, py, px):
    """Rough cost of a vector next to its prediction, in bits."""
    if dy == py and dx == px:
        return 0.5
    return 4.0 + 2 * np.log2(1.0 + abs(dy - py)) + 2 * np.log2(1.0 + abs(dx - px))


@njit(cache=True, nogil=True)
def search(ref, truth, wt, size, step, lam, stride):
    """Vectors int64 [bh, bw, 2] (in steps) that carry `ref` to `truth`, block by block; and their total cost."""
    height, width = ref.shape
    bh, bw = (height + size - 1) // size, (width + size - 1) // size
    out = np.zeros((bh, bw, 2), np.int64)
    sums = _edge_sums(ref)
    cost = 0.0
    for by in range(bh):
        for bx in range(bw):
            y0, x0 = by * size, bx * size
            y1, x1 = min(y0 + size, height), min(x0 + size, width)
            py, px = predicted(out, by, bx)
            out[by, bx] = py, px
            if not active(sums, y0, y1, x0, x1, step):
                continue
            best, vy, vx = 1e30, py, px
            for start in range(3):
                if start == 0:
                    cy, cx = py, px
                elif start == 1:
                    cy, cx = np.int64(0), np.int64(0)
                else:
                    if by == 0:
                        break
                    cy, cx = out[by - 1, bx]
                c = lam * _vector_bits(cy, cx, py, px)
                c += _mismatch(ref, truth, wt, y0, y1, x0, x1, cy * step, cx * step, stride, best)
                if c < best:
                    best, vy, vx = c, cy, cx
            jump = 8
            while jump >= 1:
                cy, cx = vy, vx
                moved = False
                for k in range(9):
                    ty, tx = cy + (k // 3 - 1) * jump, cx + (k % 3 - 1) * jump
                    if k == 4 or abs(ty) > REACH or abs(tx) > REACH:
                        continue
                    c = lam * _vector_bits(ty, tx, py, px)
                    if c >= best:
                        continue
                    c += _mismatch(ref, truth, wt, y0, y1, x0, x1, ty * step, tx * step, stride, best - c)
                    if c < best - 1e-12:
                        best, vy, vx, moved = c, ty, tx, True
                if not moved:
                    jump //= 2
            out[by, bx] = vy, vx
            cost += best
    return out, cost


@eb.call
def predicted(vectors, by, bx):
    """The vector a block has unless it says otherwise: its west, else its north neighbour's."""
    if bx > 0:
        return vectors[by, bx - 1, 0], vectors[by, bx - 1, 1]
    if by > 0:
        return vectors[by - 1, bx, 0], vectors[by - 1, bx, 1]
    return np.int64(0), np.int64(0)


@eb.call
def active(sums, y0, y1, x0, x1, step):
    """Whether a block has anything in or near it that could move."""
    return _busy(sums, y0 - 8 * step, y1 + 8 * step, x0 - 8 * step, x1 + 8 * step)


@njit(cache=True, nogil=True)
def code_vectors(coder, buf, ref, vectors, size, step, models):
    """Code the vectors of all active blocks, in place; returns buf."""
    height, width = ref.shape
    sums = _edge_sums(ref)
    buf = eb.reserve(coder, buf, vectors.shape[0] * vectors.shape[1] * 120)
    for by in range(vectors.shape[0]):
        for bx in range(vectors.shape[1]):
            py, px = predicted(vectors, by, bx)
            y0, x0 = by * size, bx * size
            if not active(sums, y0, min(y0 + size, height), x0, min(x0 + size, width), step):
                vectors[by, bx] = py, px
                continue
            same = vectors[by, bx, 0] == py and vectors[by, bx, 1] == px
            if eb.code_adaptive(coder, buf, same, models, 0 if by + bx else 1, _LIMIT):
                vectors[by, bx] = py, px
                continue
            for k in range(2):
                expected = px if k else py
                change = vectors[by, bx, k] - expected
                v = expected + eb.code_signed(coder, buf, change, models, 8 + 49 * k, 0, _LIMIT)
                vectors[by, bx, k] = min(max(v, -REACH), REACH)
    return buf


@njit(cache=True, nogil=True)
def shift(ref, vectors, size, step):
    """The map that the vectors fetch from `ref`: uint8 [H, W]."""
    height, width = ref.shape
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for bx in range(vectors.shape[1]):
            x0, x1 = bx * size, min(bx * size + size, width)
            dy, dx = vectors[y // size, bx] * step
            row = ref[min(max(y + dy, 0), height - 1)]
            if x0 + dx >= 0 and x1 + dx <= width:
                out[y, x0:x1] = row[x0 + dx : x1 + dx]
                continue
            for x in range(x0, x1):
                out[y, x] = row[min(max(x + dx, 0), width - 1)]
    return out
