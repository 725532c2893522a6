"""The label-grid coder: every cell's label as binary decisions over a short list of candidates.

Cells go row by row. Where all neighbours, past and predicted, agree, one flag says that the cell agrees too.
Elsewhere the candidates (labels of the neighbours, likeliest first) are asked in turn "is it this one?". Each
answer is predicted by a small shipped network and by adaptive contexts, mixed in the logistic domain. All integers;
the same kernel encodes, decodes and prices.

Source: ours; context mixing after PAQ (Mahoney 2005).
"""

import numpy as np
from numba import njit

from semjax.contours import gridnet
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
N_SPATIAL, N_PREDICTED = gridnet.N_SPATIAL, gridnet.N_PREDICTED
N_FEATURES, N_MIDDLE = gridnet.N_FEATURES, gridnet.N_MIDDLE
N_HIDDEN = 64
N_HIDDEN_FINE = 128  # in units of cells of one pixel
_KEYED = (1 << 20) - 1  # neighbours that contexts may use; the network sees all
_REACH = 6  # how far neighbours lie, in cells
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
def _changes(row, out):
    """Mark where a row changes, besides what is marked: out[x + 2] between x and x + 1."""
    for x in range(row.size - 1):
        out[x + 2] |= row[x] != row[x + 1]


@eb.call
def _calm_row(cur, g1, g2, g3, y, kind, near, wide, calm):
    """Mark the cells of row y whose near neighbours in rows above and in all predictions have one label.

    Near neighbours: S_0..S_11, A_0..A_11, B_0, C_0 of docs/contours.md. near, wide: uint8 [w + 4], working
    memory: changes that count one and two cells away. calm: uint8 [w].
    """
    h, w = cur.shape
    near[:] = 0
    wide[:] = 0
    calm[:] = 0
    if y > 0:
        _changes(cur[y - 1], wide)
        for x in range(w - 1):  # above, one more cell to the east
            calm[x] = wide[x + 4]
    if y > 1:
        _changes(cur[y - 2], near)
        for x in range(w):
            calm[x] |= cur[y - 2, x] != cur[y - 1, x]
    if kind:
        here = g1[y]
        _changes(here, wide)
        for yy in (max(y - 1, 0), min(y + 1, h - 1)):
            _changes(g1[yy], near)
            for x in range(w):
                calm[x] |= g1[yy, x] != here[x]
        low = min(y + 2, h - 1)
        for x in range(w):
            calm[x] |= (g1[low, x] != here[x]) | (g2[y, x] != here[x]) | (g3[y, x] != here[x])
        if y > 0:
            for x in range(w):
                calm[x] |= cur[y - 1, x] != here[x]
    for x in range(w):
        calm[x] |= near[x + 1] | near[x + 2] | wide[x] | wide[x + 1] | wide[x + 2] | wide[x + 3]
        calm[x] = calm[x] == 0


@eb.call
def _look(cur, g1, g2, g3, y, x, west, kind, sv, a1, a2, a3):
    """Labels of all neighbours of a cell: sv in this map, a1 in the prediction, a2 and a3 in the maps behind it."""
    h, w = cur.shape
    if _REACH <= y < h - _REACH and _REACH <= x < w - _REACH:  # where no neighbour has to be made up
        for i in range(N_SPATIAL):
            sv[i] = cur[y + SPATIAL[i, 0], x + SPATIAL[i, 1]]
        if kind:
            for i in range(N_PREDICTED):
                a1[i] = g1[y + PREDICTED[i, 0], x + PREDICTED[i, 1]]
            for i in range(9):
                yy, xx = y + PREDICTED[i, 0], x + PREDICTED[i, 1]
                a2[i], a3[i] = g2[yy, xx], g3[yy, xx]
        return
    for i in range(N_SPATIAL):
        yy, xx = y + SPATIAL[i, 0], min(max(x + SPATIAL[i, 1], 0), w - 1)
        sv[i] = west if yy < 0 or (yy == y and xx >= x) else cur[yy, xx]
    if kind:
        for i in range(N_PREDICTED):
            yy, xx = min(max(y + PREDICTED[i, 0], 0), h - 1), min(max(x + PREDICTED[i, 1], 0), w - 1)
            a1[i] = g1[yy, xx]
            if i < 9:
                a2[i], a3[i] = g2[yy, xx], g3[yy, xx]


@eb.call
def _candidates(sv, a1, a2, a3, kind, cand):
    """Labels to ask for, likeliest first, written to cand; how many."""
    count = 0
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
    return count


@eb.call
def _spread(mask):
    """The 20 lowest bits of a mask, two bits apart."""
    m = mask & np.uint64(_KEYED)
    m = (m | m << np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    m = (m | m << np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    m = (m | m << np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    m = (m | m << np.uint64(2)) & np.uint64(0x3333333333333333)
    return (m | m << np.uint64(1)) & np.uint64(0x5555555555555555)


@eb.call
def _letters(c, after, first):
    """Letters of 20 neighbours, two bits each, from who has the label, the next and the first: 0, 1, 2, else 3."""
    return (
        np.uint64(0xFFFFFFFFFF) - np.uint64(3) * _spread(c) - np.uint64(2) * _spread(after) - _spread(first)
    )


@eb.call
def _contexts(own, following, first, c, after, d, kind, covers, slots, index, inputs):
    """Look the contexts of a question up: index of each one's model, and its answer as an input of the mixers.

    own, following, first: uint64 [3], `gridnet.masks` of the label c, the next and the first one.
    """
    s = _letters(own[0], following[0], first[0])
    a = _letters(own[1], following[1], first[1])
    r = ~own[2]
    for i in range(N_CONTEXTS):
        z = np.uint64(d + 4 * kind + 16 * i + 1)
        z = (z + (s & _first_letters(CONTEXTS[i, 0]))) * np.uint64(0x9E3779B97F4A7C15)
        z ^= z >> np.uint64(32)
        if kind:
            z = (z + (a & _first_letters(CONTEXTS[i, 1]))) * np.uint64(0xD6E8FEB86659FD93)
            z ^= z >> np.uint64(32)
            z = (z + (r & _first_letters(CONTEXTS[i, 2]))) * np.uint64(0xC2B2AE3D27D4EB4F)
            z ^= z >> np.uint64(32)
            if CONTEXTS[i, 3] > 0:
                z += np.uint64(covers[0] + 1)
        if i == 4:  # this one knows which labels meet
            z += np.uint64(1024 * (c + 1 + 300 * (after + 1)))
        z *= np.uint64(0x9E3779B97F4A7C15)
        at = np.int64(z >> np.uint64(64 - SLOT_BITS)) + (i << SLOT_BITS)
        index[i] = at
        inputs[i] = eb.stretch(eb.bit_p(slots, at)) if eb.bit_count(slots, at) else 0


@eb.call
def _first_letters(n):
    return (np.uint64(1) << np.uint64(2 * n)) - np.uint64(1)


@eb.call
def _settings(mask, sv, d, kind, cover):
    """Which weights and which refining map a question uses: sets of both mixers, context of the map."""
    own, pred, behind = np.int64(mask[0]), np.int64(mask[1]), np.int64(mask[2])
    e, a = 0, 0
    for i in range(4):
        e += own >> i & 1
        a = 2 * a + (own >> i & 1)
    near = (sv[0] == sv[1]) + 2 * (sv[1] == sv[2])
    set2 = kind * 32 + near * 8
    if kind:
        e += 5 * (pred & 1) + 10 * (behind & 3 == 3)
        for i in range(5):
            a = 2 * a + (pred >> i & 1)
        a += 16 if kind == 1 else 544
        set2 += cover
    return (d * 3 + kind) * 20 + e, set2, a + 1600 * d


@eb.call
def _decide(coder, buf, truth, sets, index, inputs, state):
    """Code one answer and learn from it: 0 or 1. sets: of `_settings`; index, inputs: what goes into the mixers."""
    slots, w1, w2, apm = state[:4]
    set1, set2, a = sets
    x1, x2 = eb.mix(w1, set1, inputs), eb.mix(w2, set2, inputs)
    st = (x1 + x2) >> 1
    p = (eb.squash(st) + eb.apm_p(apm, a, st)) >> 1
    hit = eb.code_bit(coder, buf, truth, p)
    eb.mix_update(w1, set1, inputs, eb.squash(x1), hit, 16)
    eb.mix_update(w2, set2, inputs, eb.squash(x2), hit, 16)
    eb.apm_update(apm, a, st, hit, 6)
    for i in range(N_CONTEXTS):
        at = index[i]
        if eb.bit_count(slots, at) == 0:
            slots[at] = (np.uint32(p) << 16) | 1
        eb.bit_update(slots, at, hit, _LIMIT)
    return hit


@eb.call
def _cover_cells(f1, y, x, s, label, mask, h, w, covers):
    """Covers of a cell and its 8 neighbours by a label, predicted; of cells of one pixel, or outside: all or none."""
    for i in range(9):
        yy, xx = y + PREDICTED[i, 0], x + PREDICTED[i, 1]
        if s == 1 or yy < 0 or xx < 0 or yy >= h or xx >= w:
            covers[i] = 7 * np.int64(mask >> np.uint64(i) & np.uint64(1))
        else:
            covers[i] = _cover(f1, yy, xx, s, label)


@eb.call
def _ask(coder, buf, truth, maps, y, x, west, s, kind, gap, state, net, room, log, rows):
    """Code a cell by questions: (its label, or -1 if none of the candidates is it; rows of the log filled)."""
    cur, g1, g2, g3, f1 = maps
    sv, a1, a2, a3, cand, index, inputs, covers, masks, scratch = room
    h, w = cur.shape
    _look(cur, g1, g2, g3, y, x, west, kind, sv, a1, a2, a3)
    count = _candidates(sv, a1, a2, a3, kind, cand)
    cand[count] = -1
    gridnet.masks(sv, a1, a2, a3, cand[0], kind, masks[0])
    for d in range(count):
        c, after, dd = cand[d], cand[d + 1], min(d, 3)
        gridnet.masks(sv, a1, a2, a3, after, kind, masks[d + 1])
        mask, first = masks[d], masks[0 if d else _MOST + 1]
        if kind:
            _cover_cells(f1, y, x, s, c, mask[1], h, w, covers)
        _contexts(mask, masks[d + 1], first, c, after, dd, kind, covers, state[0], index, inputs)
        inputs[N_CONTEXTS] = gridnet.answer(mask, covers, dd, kind, s, net, scratch)
        inputs[N_CONTEXTS + 1] = 256
        sets = _settings(mask, sv, dd, kind, covers[0])
        hit = _decide(coder, buf, truth == c, sets, index, inputs, state)
        if rows < log.shape[0]:
            gridnet.features(mask, covers, d, kind, s, gap, log[rows])
            log[rows, N_FEATURES] = hit
            rows += 1
        if hit:
            return c, rows
    return np.int64(-1), rows


@njit(cache=True)
def _new_room(net):
    """Working memory of `_ask`."""
    return (
        np.zeros(N_SPATIAL, np.int64),
        np.zeros(N_PREDICTED, np.int64),
        np.zeros(9, np.int64),
        np.zeros(9, np.int64),
        np.zeros(_MOST + 1, np.int64),
        np.zeros(N_CONTEXTS, np.int64),
        np.zeros(N_CONTEXTS + 2, np.int64),
        np.zeros(9, np.int64),
        np.zeros((_MOST + 2, 3), np.uint64),  # the last stays 0: no label
        gridnet.new_scratch(net),
    )


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
    flags, escape = state[4], state[5]
    h, w = cur.shape
    maps, room = (cur, g1, g2, g3, f1), _new_room(net)
    gridnet.prepare(net, kind, s, gap, room[9])
    near, wide = np.zeros(w + 4, np.uint8), np.zeros(w + 4, np.uint8)
    calm = np.zeros(w, np.uint8)
    rows = logged
    for y in range(h):
        if eb.is_decoding(coder) and coder[3] > coder[5] + PAST_END:
            break  # damaged: the caller sees it too
        buf = eb.reserve(coder, buf, w * (_MOST + 10))
        _calm_row(cur, g1, g2, g3, y, kind, near, wide, calm)
        west = cur[y - 1, 0] if y > 0 else (g1[0, 0] if kind else np.uint8(0))
        run = 0  # cells in a row, up to the last one, that have one label
        for x in range(w):
            truth, label = np.int64(cur[y, x]), np.int64(-1)
            around = cur[y - 1, x] if y > 0 else (g1[y, x] if kind else west)
            if calm[x] and around == west and run >= min(x, 3):
                if eb.code_adaptive(coder, buf, truth == west, flags, kind, _FLAG_LIMIT):
                    label = np.int64(west)
            else:
                label, rows = _ask(
                    coder, buf, truth, maps, y, x, west, s, kind, gap, state, net, room, log, rows
                )
            if label < 0:  # one that no neighbour has: a tree of 8 bits
                label = eb.code_tree(coder, buf, truth, escape, 0, 8, 60)
            cur[y, x] = label
            run = run + 1 if x and label == west else 1
            west = cur[y, x]
    return buf, rows
