"""The inner loop of `partition.merge_cells`: greedy merging over a graph of neighbours, compiled. Ours."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _reprice(r, cheap, partner, price, area, colour, root, length, edge, inside):
    """Prices of joining region r with each of its neighbours, and everybody's cheapest partner again."""
    count = len(area)
    total = area.sum()
    for k in range(count):
        price[r, k] = price[k, r] = np.inf
        if k == r or length[r, k] == 0:
            continue
        alike = 0.0
        for i in range(root.shape[1]):
            alike += root[r, i] * root[k, i]
        alike /= np.sqrt(area[r] * area[k])
        apart = 0.0
        for i in range(3):
            apart += (colour[k, i] / area[k] - colour[r, i] / area[r]) ** 2
        apart = min(np.sqrt(apart) / 40, 1.0)
        # an edge counts as far as it is stronger than those inside the smoother of the two
        texture = min(inside[0, k] / max(inside[1, k], 1.0), inside[0, r] / max(inside[1, r], 1.0))
        across = min(max((edge[r, k] / length[r, k] - 0.7 * texture) / 25, 0.0), 1.0)
        smaller = min(area[k], area[r]) / total
        price[r, k] = price[k, r] = (0.4 * (1 - alike) + 0.7 * apart + 0.4 * across) * smaller**0.25
    for k in range(count):
        if k == r or partner[k] == r or price[k, r] < cheap[k]:
            partner[k] = np.argmin(price[k])
        elif price[k, r] == cheap[k]:
            partner[k] = min(partner[k], r)
        cheap[k] = price[k, partner[k]]


@numba.njit(cache=True, nogil=True)
def merged(area, colour, histogram, length, edge, most, least_area, contrast):
    """Into which region each cell goes: int64 [n], a cell of that region.

    Args:
        area: pixels of each cell, float64 [n]. colour: sums of Lab [n, 3]. histogram: pixels by colour [n, bins].
        length, edge: of each pair, pixels of common border and sum of the edge along it, float64 [n, n].
        most, least_area, contrast: see `partition.merge_cells`.

    All arrays are used up.
    """
    count = len(area)
    parent = np.arange(count)
    alive, left = np.ones(count, np.bool_), count
    inside = np.zeros((2, count))  # edges within a region, and their length
    root = np.sqrt(histogram)
    price = np.full((count, count), np.inf)
    cheap, partner = np.full(count, np.inf), np.zeros(count, np.int64)
    for r in range(count):
        _reprice(r, cheap, partner, price, area, colour, root, length, edge, inside)
    while left > 1:
        keep = np.argmin(cheap)
        gone = partner[keep]
        if left <= most and cheap[keep] >= contrast and min(area[keep], area[gone]) >= least_area:
            gone = np.argmin(np.where(alive, area, np.inf))
            if area[gone] >= least_area:
                break
            keep = partner[gone]
        inside[0, keep] += inside[0, gone] + edge[keep, gone]
        inside[1, keep] += inside[1, gone] + length[keep, gone]
        for sums in (length, edge):
            sums[keep] += sums[gone]
            sums[:, keep] += sums[:, gone]
            sums[keep, keep] = 0
            sums[gone] = 0
            sums[:, gone] = 0
        area[keep] += area[gone]
        colour[keep] += colour[gone]
        histogram[keep] += histogram[gone]
        root[keep] = np.sqrt(histogram[keep])
        parent[gone], alive[gone] = keep, False
        left -= 1
        area[gone] = 0
        for r in (gone, keep):
            _reprice(r, cheap, partner, price, area, colour, root, length, edge, inside)
    for k in range(count):
        while parent[k] != parent[parent[k]]:
            parent[k] = parent[parent[k]]
    return parent
