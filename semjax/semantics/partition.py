"""One picture into few regions: watershed cells, merged by colour, texture and boundary strength.

Cells: watershed from a grid of seeds, as in Machairas et al., "Waterpixels", IEEE TIP 2015. Merging: greedy
over the region adjacency graph; the price of a merge is ours.
"""

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.semantics.merging import merged

COLOUR_BINS = 16  # per channel of the colour histograms
_LIGHT_BINS = np.arange(256, dtype=np.int32) >> 4
_CHROMA_EDGES = (-60, -36, -24, -18, -12, -6, 0, 6, 12, 18, 24, 30, 36, 48, 64)  # warm colours are commoner
_CHROMA_BINS = np.digitize(np.arange(256) - 128, _CHROMA_EDGES).astype(np.int32)
_BINS = _LIGHT_BINS, _CHROMA_BINS, _CHROMA_BINS


def colour_index(lab: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    """The histogram bin, 0..4095, of every pixel of an 8-bit Lab picture.

    Lightness in steps of 16; a and b in steps that widen away from grey, because real pictures hold few strong
    colours.
    """
    light, a, b = (np.take(bins, lab[..., c]) for c, bins in enumerate(_BINS))
    return (light * COLOUR_BINS + a) * COLOUR_BINS + b


def colour_histograms(
    index: Int[np.ndarray, "..."], group: Int[np.ndarray, "..."], groups: int
) -> Float[np.ndarray, "groups 4096"]:
    """Blurred, normalised colour histogram of every group of pixels (zeros for an empty group)."""
    bins = COLOUR_BINS**3
    flat = group.ravel().astype(np.int64) * bins + index.ravel()
    histograms = np.bincount(flat, minlength=groups * bins).reshape(groups, bins)
    return blur_histograms(histograms)


def blur_histograms(histograms: np.ndarray) -> Float[np.ndarray, "groups 4096"]:
    """[1 2 1] blur along each colour axis, then rows that sum to one."""
    cube = histograms.reshape(-1, COLOUR_BINS, COLOUR_BINS, COLOUR_BINS).astype(np.float32)
    for axis in (1, 2, 3):
        line = np.moveaxis(cube, axis, 0)  # the ends are their own neighbours
        beside = np.concatenate([line[:1], line[:-1]]) + np.concatenate([line[1:], line[-1:]])
        cube = 0.5 * cube + 0.25 * np.moveaxis(beside, 0, axis)
    flat = cube.reshape(len(cube), -1)
    return flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bhattacharyya coefficient of normalised histograms along the last axis, 0 (disjoint) to 1 (equal)."""
    return np.sqrt(a * b).sum(axis=-1)


def border_pairs(
    region: Int[np.ndarray, "h w"], lab: UInt8[np.ndarray, "h w 3"], axis: int
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """The pixel pairs along `axis` that lie in two regions: both regions, and the edge between them.

    The edge is the Lab difference over two pixels either side of the border, so that soft edges count too.
    """
    n = region.shape[axis]
    near, far = (np.take(region, range(s, n - 1 + s), axis=axis) for s in (0, 1))
    seen = near != far
    blurred = cv2.blur(lab.astype(np.float32), (3, 3))
    low = np.take(blurred, np.maximum(np.arange(n - 1) - 1, 0), axis=axis)[seen]
    high = np.take(blurred, np.minimum(np.arange(n - 1) + 2, n - 1), axis=axis)[seen]
    return near[seen], far[seen], np.sqrt(((high - low) ** 2).sum(axis=-1))


def cells(lab: UInt8[np.ndarray, "h w 3"], pitch: int) -> Int[np.ndarray, "h w"]:
    """Superpixels 0..n-1 that follow edges, grown from seeds `pitch` pixels apart."""
    height, width = lab.shape[:2]
    rows = np.arange(min(pitch // 2, height - 1), height, pitch)
    columns = np.arange(min(pitch // 2, width - 1), width, pitch)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = 1 + np.arange(len(rows) * len(columns)).reshape(len(rows), len(columns))
    padded = cv2.copyMakeBorder(markers, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    picture = cv2.copyMakeBorder(lab, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    flooded = cv2.watershed(picture, padded)[1:-1, 1:-1].astype(np.float32)
    while (flooded <= 0).any():  # the lines between cells, one pixel wide, go to a neighbour
        flooded = np.where(flooded > 0, flooded, cv2.dilate(flooded, np.ones((3, 3), np.uint8)))
    return np.unique(flooded.astype(np.int32), return_inverse=True)[1].reshape(height, width).astype(np.int32)


def merge_cells(
    lab: UInt8[np.ndarray, "h w 3"],
    cell: Int[np.ndarray, "h w"],
    *,
    most: int,
    least_area: int,
    contrast: float,
) -> Int[np.ndarray, "h w"]:
    """Merge adjacent cells until at most `most` are left and no cheap merge remains.

    The price of joining two neighbours is how much their colours differ (histogram and mean) plus how strong
    the edge between them is, times the fourth root of the smaller one's share: specks go first, whole objects last.

    Args:
        lab: the picture, 8-bit Lab, lightly smoothed.
        cell: superpixels 0..n-1.
        most: number of regions never exceeded.
        least_area: regions of fewer pixels are always joined to a neighbour.
        contrast: price under which two regions are one even when there is room for both.

    Returns:
        Regions 0..k-1, k <= most.
    """
    count, flat = int(cell.max()) + 1, cell.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    colour = np.stack(
        [np.bincount(flat, c.ravel(), minlength=count) for c in np.moveaxis(lab, -1, 0)], axis=-1
    )
    histogram = colour_histograms(colour_index(lab), cell, count) * area[:, None]
    length, edge = np.zeros((2, count, count))
    for axis in (0, 1):
        near, far, step = border_pairs(cell, lab, axis)
        for pair in ((near, far), (far, near)):
            np.add.at(length, pair, 1)
            np.add.at(edge, pair, step)
    owner = merged(area, colour, histogram, length, edge, most, least_area, contrast)
    return np.unique(owner[cell], return_inverse=True)[1].reshape(cell.shape).astype(np.int32)
