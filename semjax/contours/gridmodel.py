"""The label-grid coder: every cell's label as binary decisions over a short list of candidates.

Cells go row by row. Where all neighbours, past and predicted, agree, one flag says that the cell agrees too.
Elsewhere the candidates (labels of the neighbours, likeliest first) are asked in turn "is it this one?". Each
answer is predicted by a small shipped network and by adaptive contexts, mixed in the logistic domain. All integers;
the same kernel encodes, decodes and prices.

Source: ours; context mixing after PAQ (Mahoney 2005).
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

# Neighbours, nearest first: (row, column) offsets of cells already coded, and of cells of a predicted map.
SPATIAL = np.array(
    [(0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0), (-1, 2), (-2, 1), (-2, -1), (-1, -2),
     (0, -3), (-1, 3), (-2, 2), (-3, 0), (-2, -2), (-1, -3), (-3, 1), (-3, -1), (0, -4), (-4, 0),
     (-1, 4), (-1, -4), (-2, 3), (-2, -3), (-3, 2), (-3, -2), (-4, 1), (-4, -1), (0, -5), (-5, 0),
     (-1, 5), (-1, -5), (-2, 4), (-2, -4), (-3, 3), (-3, -3), (-4, 2), (-4, -2), (-5, 1), (-5, -1),
     (0, -6), (-6, 0), (-1, 6), (-1, -6)],
    np.int64,
)  # fmt: skip
PREDICTED = np.array(
    [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 2),
     (2, 0), (0, -2), (-2, 0), (1, 2), (2, 1), (2, -1), (1, -2), (-1, 2), (-2, 1), (-1, -2), (-2, -1),
     (2, 2), (2, -2), (0, 3), (3, 0), (1, 3), (1, -3), (3, 1), (3, -1), (0, -3), (-3, 0), (-1, 3), (-3, 1),
     (0, 4), (4, 0), (2, 3), (3, 2), (2, -3), (3, -2)],
    np.int64,
)  # fmt: skip
# Contexts: neighbours taken from this map, from the prediction, from each of the two maps behind it; cover seen.
CONTEXTS = np.array(
    [(4, 0, 0, 0), (7, 0, 0, 0), (12, 0, 0, 0), (20, 0, 0, 0), (3, 1, 0, 1), (2, 5, 0, 0), (4, 9, 0, 1),
     (6, 13, 0, 0), (12, 19, 0, 0), (2, 5, 5, 0), (4, 4, 1, 1)], np.int64
)  # fmt: skip
INTRA, FORWARD, MIDDLE = 0, 1, 2  # kinds of frames
SLOT_BITS = 16
N_CONTEXTS = len(CONTEXTS)
N_SPATIAL, N_PREDICTED = len(SPATIAL), len(PREDICTED)
N_FEATURES = N_SPATIAL + N_PREDICTED + 3 * 9 + 4 + 3 + 2
N_HIDDEN, N_MIDDLE = 64, 32
N_HIDDEN_FINE = 128  # in units of cells of one pixel
_KEYED = 20  # neighbours that contexts may use; the network sees all
_NEAR = 12  # neighbours that must agree for the short cut
_MOST = 32  # candidates at most
_LIMIT = 250
_FLAG_LIMIT = 1000
PAST_END = 64  # bytes a decoder may read behind a payload before it calls it damaged
N_SETS1 = 4 * 3 * 20
N_SETS2 = 3 * 4 * 8
N_APM = 4 * 1600


def new_state(prior):
    """Fresh tables of one unit: a tuple of arrays, adapted in place by `code_map`; prior from `priors.load`."""
    return (
        eb.new_bits(N_CONTEXTS << SLOT_BITS),
        prior["mix1"].copy(),
        prior["mix2"].copy(),
        prior["apm"].copy(),
        prior["flags"].copy(),
        eb.new_bits(256 + 64),
    )


@eb.call
def _cover(full, r, c, s, label):
    """Share of the s x s pixels of a cell that have `label`, 0 to 7 (0 none, 7 all)."""
    height, width = full.shape
    y1, x1 = min(r * s + s, height), min(c * s + s, width)
    n = 0
    for y in range(r * s, y1):
        for x in range(c * s, x1):
            n += full[y, x] == label
    area = (y1 - r * s) * (x1 - c * s)
    if n == area:
        return 7
    return 0 if n == 0 else 1 + (6 * n) // (area + 1)


@eb.call
def _alike(cur, g1, g2, g3, y, x, west, kind):
    """Whether all near neighbours, past and predicted, have the label of the cell to the west."""
    h, w = cur.shape
    if kind and (g1[y, x] != west or g2[y, x] != west or g3[y, x] != west):
        return False
    inside = 3 <= y < h - 2 and 3 <= x < w - 3  # where no neighbour has to be made up
    for i in range(_NEAR):
        yy, xx = y + SPATIAL[i, 0], x + SPATIAL[i, 1]
        if not inside:
            xx = min(max(xx, 0), w - 1)
            if yy < 0 or (yy == y and xx >= x):
                continue
        if cur[yy, xx] != west:
            return False
    if kind:
        for i in range(_NEAR):
            yy, xx = y + PREDICTED[i, 0], x + PREDICTED[i, 1]
            if not inside:
                yy, xx = min(max(yy, 0), h - 1), min(max(xx, 0), w - 1)
            if g1[yy, xx] != west:
                return False
    return True


@eb.call
def features(sv, a1, a2, a3, covers, c, d, kind, s, gap, out):
    """What the network sees of one question, int64 [N_FEATURES]: 0 or 1 each, covers 0 to 7."""
    for i in range(N_SPATIAL):
        out[i] = sv[i] == c
    at = N_SPATIAL
    for i in range(N_PREDICTED):
        out[at + i] = kind > 0 and a1[i] == c
    at += N_PREDICTED
    for i in range(9):
        out[at + i] = kind > 0 and a2[i] == c
        out[at + 9 + i] = kind > 0 and a3[i] == c
        out[at + 18 + i] = covers[i]
    at += 27
    for i in range(4):
        out[at + i] = min(d, 3) == i
    for i in range(3):
        out[at + 4 + i] = kind == i
    out[at + 7] = min(s, 16)
    out[at + 8] = min(gap, 16)


@eb.call
def network(x, net, scratch):
    """Two layers of rectified units and a sum: stretched probability. net: one of `priors.networks`."""
    hidden, middle, last = net
    first, second = scratch
    units = hidden.shape[1]
    for j in range(units):
        first[j] = hidden[N_FEATURES, j]
    for i in range(N_FEATURES):
        if x[i]:
            v = np.int32(x[i])
            for j in range(units):
                first[j] += v * hidden[i, j]
    for k in range(N_MIDDLE):
        second[k] = np.int64(middle[units, k]) << 10
    for j in range(units):
        if first[j] > 0:
            v = np.int64(first[j])
            for k in range(N_MIDDLE):
                second[k] += v * middle[j, k]
    total = np.int64(last[N_MIDDLE]) << 10
    for k in range(N_MIDDLE):
        if second[k] > 0:
            total += (second[k] >> 10) * last[k]
    return min(max(total >> 12, -2880), 2880)


@njit(cache=True, nogil=True)
def code_map(coder, buf, cur, g1, g2, g3, f1, s, kind, gap, state, net, log, logged):
    """Code one map of cells.

    Args:
        cur: uint8 [h, w], the cells; filled in when decoding.
        g1: uint8 [h, w], the predicted cells; g2, g3: cells of the decoded maps behind the prediction.
        f1: uint8 [H, W], the prediction in pixels, s pixels a cell.
        kind: INTRA (no predictions), FORWARD or MIDDLE; gap: frames from the nearest map behind it.
        state: the tuple of `new_state`; net: the network, one of `priors.networks`.
        log: int8 [n, N_FEATURES + 1], filled with questions and answers for training ([0, ...]: not wanted).

    Returns:
        (buf, rows of log filled).
    """
    slots, w1, w2, apm, flags, escape = state
    h, w = cur.shape
    ns, npd, nc = SPATIAL.shape[0], PREDICTED.shape[0], CONTEXTS.shape[0]
    sv = np.zeros(ns, np.int64)
    a1, a2, a3 = np.zeros(npd, np.int64), np.zeros(9, np.int64), np.zeros(9, np.int64)
    cand = np.zeros(_MOST + 1, np.int64)
    index = np.zeros(nc, np.int64)
    inputs = np.zeros(nc + 2, np.int64)
    ks = np.zeros(_KEYED + 1, np.uint64)
    k1 = np.zeros(_KEYED + 1, np.uint64)
    k2 = np.zeros(10, np.uint64)
    covers = np.zeros(9, np.int64)
    x_net = np.zeros(N_FEATURES, np.int64)
    scratch = (np.zeros(net[0].shape[1], np.int32), np.zeros(N_MIDDLE, np.int64))
    rows = logged
    for y in range(h):
        if eb.is_decoding(coder) and coder[3] > coder[5] + PAST_END:
            break  # damaged: the caller sees it too
        buf = eb.reserve(coder, buf, w * (_MOST + 10))
        for x in range(w):
            west = cur[y, x - 1] if x > 0 else (cur[y - 1, x] if y > 0 else (g1[0, 0] if kind else 0))
            same = _alike(cur, g1, g2, g3, y, x, west, kind)
            truth = np.int64(cur[y, x])
            found = False
            count = 0
            if same:
                if eb.code_adaptive(coder, buf, truth == west, flags, kind, _FLAG_LIMIT):
                    cur[y, x] = west
                    continue
                cand[0] = west
                count = 1
                # only the rest of the picture's labels can follow
            else:
                for i in range(ns):
                    yy, xx = y + SPATIAL[i, 0], min(max(x + SPATIAL[i, 1], 0), w - 1)
                    sv[i] = west if yy < 0 or (yy == y and xx >= x) else cur[yy, xx]
                if kind:
                    for i in range(npd):
                        yy, xx = y + PREDICTED[i, 0], x + PREDICTED[i, 1]
                        yy, xx = min(max(yy, 0), h - 1), min(max(xx, 0), w - 1)
                        a1[i] = g1[yy, xx]
                        if i < 9:
                            a2[i], a3[i] = g2[yy, xx], g3[yy, xx]
                for q in range(29 if kind else 6):
                    if kind == 0:
                        v = sv[q]
                    elif q < 1:
                        v = a1[0]
                    elif q < 5:
                        v = sv[q - 1]
                    elif q < 7:
                        v = a2[0] if q == 5 else a3[0]
                    elif q < 13:
                        v = a1[q - 6]
                    elif q < 21:
                        v = a2[q - 12]
                    else:
                        v = a3[q - 20]
                    known = False
                    for j in range(count):
                        if cand[j] == v:
                            known = True
                    if not known:
                        cand[count] = v
                        count += 1
                for d in range(count):
                    c = cand[d]
                    after = cand[d + 1] if d + 1 < count else -1
                    first = cand[0] if d > 0 else -1
                    dd = min(d, 3)
                    key = np.uint64(0)
                    for i in range(_KEYED):
                        v = sv[i]
                        u = 0 if v == c else (1 if v == after else (2 if v == first else 3))
                        key |= np.uint64(u) << np.uint64(2 * i)
                        ks[i + 1] = key
                    if kind:
                        key = np.uint64(0)
                        for i in range(_KEYED):
                            v = a1[i]
                            u = 0 if v == c else (1 if v == after else (2 if v == first else 3))
                            key |= np.uint64(u) << np.uint64(2 * i)
                            k1[i + 1] = key
                        key = np.uint64(0)
                        for i in range(9):
                            u = (0 if a2[i] == c else 1) + (0 if a3[i] == c else 2)
                            key |= np.uint64(u) << np.uint64(2 * i)
                            k2[i + 1] = key
                        for i in range(9):
                            yy, xx = y + PREDICTED[i, 0], x + PREDICTED[i, 1]
                            if s == 1 or yy < 0 or xx < 0 or yy >= h or xx >= w:
                                covers[i] = 7 * (a1[i] == c)
                            else:
                                covers[i] = _cover(f1, yy, xx, s, c)
                    e = (sv[0] == c) + (sv[1] == c) + (sv[2] == c) + (sv[3] == c)
                    if kind:
                        e += 5 * (a1[0] == c) + 10 * (a2[0] == c and a3[0] == c)
                    for i in range(nc):
                        z = np.uint64(dd + 4 * kind + 16 * i + 1)
                        z = (z + ks[CONTEXTS[i, 0]]) * np.uint64(0x9E3779B97F4A7C15)
                        z ^= z >> np.uint64(32)
                        if kind:
                            z = (z + k1[CONTEXTS[i, 1]]) * np.uint64(0xD6E8FEB86659FD93)
                            z ^= z >> np.uint64(32)
                            z = (z + k2[CONTEXTS[i, 2]]) * np.uint64(0xC2B2AE3D27D4EB4F)
                            z ^= z >> np.uint64(32)
                            if CONTEXTS[i, 3] > 0:
                                z += np.uint64(covers[0] + 1)
                        if i == 4:  # this one knows which labels meet
                            z += np.uint64(1024 * (c + 1 + 300 * (after + 1)))
                        z *= np.uint64(0x9E3779B97F4A7C15)
                        at = np.int64(z >> np.uint64(64 - SLOT_BITS)) + (i << SLOT_BITS)
                        index[i] = at
                        inputs[i] = eb.stretch(eb.bit_p(slots, at)) if eb.bit_count(slots, at) else 0
                    features(sv, a1, a2, a3, covers, c, d, kind, s, gap, x_net)
                    inputs[nc] = network(x_net, net, scratch)
                    inputs[nc + 1] = 256
                    set1 = (dd * 3 + kind) * 20 + e
                    near = (sv[0] == sv[1]) + 2 * (sv[1] == sv[2])
                    set2 = kind * 32 + near * 8 + (covers[0] if kind else 0)
                    x1, x2 = eb.mix(w1, set1, inputs), eb.mix(w2, set2, inputs)
                    p1, p2 = eb.squash(x1), eb.squash(x2)
                    st = (x1 + x2) >> 1
                    a = 0
                    for j in range(4):
                        a = 2 * a + (sv[j] == c)
                    if kind:
                        for j in range(5):
                            a = 2 * a + (a1[j] == c)
                        a += 16 if kind == 1 else 544
                    a += dd * 1600
                    p = (eb.squash(st) + eb.apm_p(apm, a, st)) >> 1
                    hit = eb.code_bit(coder, buf, truth == c, p)
                    if rows < log.shape[0]:
                        for j in range(N_FEATURES):
                            log[rows, j] = x_net[j]
                        log[rows, N_FEATURES] = hit
                        rows += 1
                    eb.mix_update(w1, set1, inputs, p1, hit, 16)
                    eb.mix_update(w2, set2, inputs, p2, hit, 16)
                    eb.apm_update(apm, a, st, hit, 6)
                    for i in range(nc):
                        at = index[i]
                        if eb.bit_count(slots, at) == 0:
                            slots[at] = (np.uint32(p) << 16) | 1
                        eb.bit_update(slots, at, hit, _LIMIT)
                    if hit:
                        cur[y, x] = c
                        found = True
                        break
            if not found:  # a label that no neighbour has: a tree of 8 bits
                cur[y, x] = eb.code_tree(coder, buf, truth, escape, 0, 8, 60)
    return buf, rows
