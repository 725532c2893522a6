"""The grid coder's network: which label a cell has, from all its neighbours at once, in integers.

Nearly all inputs are yes or no, so the first layer is a sum of rows of a table. Rows of four neighbours are summed
beforehand for each of their 16 cases: half as many rows to add, and none of it guesses a branch.
"""

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

N_SPATIAL, N_PREDICTED, N_BEHIND = 44, 39, 18  # neighbours in this map, predicted, in the two maps behind
N_COVERS = 9
_PLAIN = N_SPATIAL + N_PREDICTED + N_BEHIND + N_COVERS  # inputs before those that say which question it is
N_FEATURES = _PLAIN + 4 + 3 + 2
N_MIDDLE = 32
_SOLID = 7  # cover of a cell that has the label in all its pixels
_GROUPS_SPATIAL, _GROUPS_PREDICTED, _GROUPS_BEHIND = 11, 10, 5
_GROUPS = _GROUPS_SPATIAL + _GROUPS_PREDICTED + _GROUPS_BEHIND


def grouped(layers, single: bool) -> tuple[np.ndarray, ...]:
    """A network as `answer` takes it, from int32 (hidden [N_FEATURES + 1, units], middle, out), biases last.

    single: for cells of one pixel, whose cover says no more than their label does.

    Returns:
        int32 (groups [_GROUPS, 16, units], covers [N_COVERS, units], hidden, middle, out). Groups are of the bits of
        `masks`, four by four.
    """
    hidden, middle, out = layers
    units = hidden.shape[1]
    rows = np.zeros((4 * _GROUPS, units), np.int32)
    covers = hidden[_PLAIN - N_COVERS : _PLAIN].copy()
    rows[:N_SPATIAL] = hidden[:N_SPATIAL]
    start = 4 * _GROUPS_SPATIAL
    rows[start : start + N_PREDICTED] = hidden[N_SPATIAL : N_SPATIAL + N_PREDICTED]
    if single:
        rows[start : start + N_COVERS] += _SOLID * covers
    start += 4 * _GROUPS_PREDICTED
    for k in range(2):  # the two maps behind take turns
        first = N_SPATIAL + N_PREDICTED + k * N_BEHIND // 2
        rows[start + k : start + N_BEHIND : 2] = hidden[first : first + N_BEHIND // 2]
    cases = (np.arange(16)[:, None] >> np.arange(4) & 1).astype(np.int32)
    groups = np.einsum("ck,gku->gcu", cases, rows.reshape(_GROUPS, 4, units))
    short = np.abs(groups).max() < 1 << 15  # half as much to fetch
    return np.ascontiguousarray(groups, np.int16 if short else np.int32), covers, hidden, middle, out


@eb.call
def masks(sv, a1, a2, a3, label, kind, out):
    """Which neighbours have `label`, as bits: out[0] in this map, out[1] predicted, out[2] behind (a2, a3 in turn)."""
    m = np.uint64(0)
    for i in range(N_SPATIAL):
        m |= np.uint64(sv[i] == label) << np.uint64(i)
    out[0] = m
    if kind:
        m = np.uint64(0)
        for i in range(N_PREDICTED):
            m |= np.uint64(a1[i] == label) << np.uint64(i)
        out[1] = m
        m = np.uint64(0)
        for i in range(N_BEHIND // 2):
            m |= np.uint64(a2[i] == label) << np.uint64(2 * i)
            m |= np.uint64(a3[i] == label) << np.uint64(2 * i + 1)
        out[2] = m


@eb.call
def features(mask, covers, d, kind, s, gap, out):
    """What the network sees of one question, for training: int8 [N_FEATURES], 0 or 1 each, covers 0 to 7."""
    one = np.uint64(1)
    for i in range(N_SPATIAL):
        out[i] = mask[0] >> np.uint64(i) & one
    at = N_SPATIAL
    for i in range(N_PREDICTED):
        out[at + i] = mask[1] >> np.uint64(i) & one
    at += N_PREDICTED
    for i in range(N_BEHIND):
        out[at + i % 2 * N_COVERS + i // 2] = mask[2] >> np.uint64(i) & one
    at += N_BEHIND
    for i in range(N_COVERS):
        out[at + i] = covers[i]
    for i in range(4):
        out[_PLAIN + i] = min(d, 3) == i
    for i in range(3):
        out[_PLAIN + 4 + i] = kind == i
    out[_PLAIN + 7] = min(s, 16)
    out[_PLAIN + 8] = min(gap, 16)


@njit(cache=True)
def new_scratch(net) -> tuple[np.ndarray, ...]:
    """Working memory of `prepare` and `answer` for one of `grouped`."""
    units = net[2].shape[1]
    return (
        np.zeros((4, units), np.int32),
        np.zeros(_GROUPS, np.int64),
        np.zeros(units, np.int32),
        np.zeros(units + 4, np.int64),
        np.zeros(units + 4, np.int32),
        np.zeros(N_MIDDLE, np.int64),
    )


@eb.call
def prepare(net, kind, s, gap, scratch):
    """Sum what is the same in all of one map's questions, for each number of the question up to 3."""
    hidden, base = net[2], scratch[0]
    for d in range(4):
        for j in range(hidden.shape[1]):
            base[d, j] = hidden[N_FEATURES, j] + hidden[_PLAIN + d, j] + hidden[_PLAIN + 4 + kind, j]
            base[d, j] += min(s, 16) * hidden[_PLAIN + 7, j] + min(gap, 16) * hidden[_PLAIN + 8, j]


@eb.call
def _first_layer(mask, covers, d, kind, s, net, scratch):
    """Sums of the first layer: scratch[2]."""
    groups = net[0]
    base, at, first = scratch[0], scratch[1], scratch[2]
    units = first.size
    low = np.uint64(15)
    for g in range(_GROUPS_SPATIAL):
        at[g] = np.int64(mask[0] >> np.uint64(4 * g) & low)
    for j in range(units):
        first[j] = base[d, j] + groups[0, at[0], j]
    count = _GROUPS_SPATIAL
    if kind:
        for g in range(_GROUPS_PREDICTED):
            at[_GROUPS_SPATIAL + g] = np.int64(mask[1] >> np.uint64(4 * g) & low)
        for g in range(_GROUPS_BEHIND):
            at[_GROUPS_SPATIAL + _GROUPS_PREDICTED + g] = np.int64(mask[2] >> np.uint64(4 * g) & low)
        count = _GROUPS
    for g in range(1, count - 4, 5):  # five at a time: 10 of this map's groups, then 15 others
        r0, r1, r2 = groups[g, at[g]], groups[g + 1, at[g + 1]], groups[g + 2, at[g + 2]]
        r3, r4 = groups[g + 3, at[g + 3]], groups[g + 4, at[g + 4]]
        for j in range(units):
            first[j] += r0[j] + r1[j] + r2[j] + r3[j] + r4[j]
    if kind and s > 1:
        for i in range(N_COVERS):
            v, row = np.int32(covers[i]), net[1][i]
            for j in range(units):
                first[j] += v * row[j]


@eb.call
def answer(mask, covers, d, kind, s, net, scratch):
    """Two layers of rectified units and a sum: the stretched probability that the cell has the label.

    mask: of `masks`; covers: int64 [9], 0 to 7; d: number of the question, 0 to 3; net: of `grouped`.
    """
    _first_layer(mask, covers, d, kind, s, net, scratch)
    first, active, values, second = scratch[2], scratch[3], scratch[4], scratch[5]
    middle, last = net[3], net[4]
    units = first.size
    n = 0
    for j in range(units):
        active[n], values[n] = j, first[j]
        n += first[j] > 0
    for j in range(n, n + 4):
        active[j] = values[j] = 0
    for k in range(N_MIDDLE):
        second[k] = np.int64(middle[units, k]) << 10
    for i in range(0, n, 4):
        r0, r1 = middle[active[i]], middle[active[i + 1]]
        r2, r3 = middle[active[i + 2]], middle[active[i + 3]]
        v0, v1 = np.int64(values[i]), np.int64(values[i + 1])
        v2, v3 = np.int64(values[i + 2]), np.int64(values[i + 3])
        for k in range(N_MIDDLE):
            second[k] += v0 * r0[k] + v1 * r1[k] + v2 * r2[k] + v3 * r3[k]
    total = np.int64(last[N_MIDDLE]) << 10
    for k in range(N_MIDDLE):
        total += (max(second[k], 0) >> 10) * last[k]
    return min(max(total >> 12, -2880), 2880)
