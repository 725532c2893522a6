"""Frames from tokens without a network (ours): every token's region moves and changes shape from keyframe to keyframe.

A region's signed distance at any time is the mean of its distances in the keyframes on both sides, each moved along
with the region's middle; a token that only one of them has shrinks away. The picture blends the tokens' colours by
their distances, so that outlines are as soft as the layout is coarse.
"""

import dataclasses
import functools
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.tokens.code import Group
from semjax.tokens.regions import axes_of, restore

_FAR = 1e3
_SHARP = 2.5  # of the blend between tokens, for each cell
_VANISH = 6.0  # cells by which a token that is only in one keyframe is pushed under until the other


@dataclasses.dataclass(frozen=True)
class _Look:
    """A token in a keyframe: signed distance in cells (positive inside) [h, w], middle, reach (x, y), features [D]."""

    distance: Float[np.ndarray, "h w"]
    middle: np.ndarray
    reach: np.ndarray
    features: np.ndarray


def _look(layout: np.ndarray, token: int, codes: np.ndarray) -> _Look:
    inside = (layout == token).astype(np.uint8)
    if inside.all():
        distance = np.full(inside.shape, _FAR, np.float32)
    else:
        within, outside = (cv2.distanceTransform(m, cv2.DIST_L2, 5) for m in (inside, 1 - inside))
        distance = np.where(inside > 0, within - 0.5, 0.5 - outside).astype(np.float32)
    middle, reach = axes_of(inside > 0)
    return _Look(distance, middle, reach, restore(codes))


def paint_group(
    group: Group, times: Sequence[float], height: int, width: int
) -> tuple[UInt8[np.ndarray, "n H W 3"], UInt8[np.ndarray, "n H W"]]:
    """Pictures and label maps at `times`, in frames from the group's first keyframe; outside of it they stand still.

    The group is one of regions. Deterministic on one machine.
    """
    places = group.places
    looks = functools.lru_cache(maxsize=4)(functools.partial(_looks, group))
    table = np.array([group.labels.get(t, 0) for t in range(256)], np.uint8)
    pictures = np.empty((len(times), height, width, 3), np.uint8)
    labels = np.empty((len(times), height, width), np.uint8)
    for i, time in enumerate(times):
        after = min(int(np.searchsorted(places, time, side="right")), len(places) - 1)
        before = max(0, after - 1)
        gap = max(1, places[after] - places[before])
        share = float(np.clip((time - places[before]) / gap, 0, 1))
        pictures[i], tokens = _paint(looks(before), looks(after), share, height, width)
        labels[i] = table[tokens]
    return pictures, labels


def _looks(group: Group, k: int) -> dict[int, _Look]:
    layout = group.layouts[k]
    return {int(t): _look(layout, int(t), group.features[k, int(t)]) for t in np.unique(layout)}


def _paint(before: dict[int, _Look], after: dict[int, _Look], share: float, height: int, width: int):
    """(picture uint8 [H, W, 3], token numbers uint8 [H, W]) at `share` of the way between two keyframes.

    One token after the other, so that memory does not grow with their number.
    """
    cells = next(iter(before.values())).distance.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5) * cells[1] / width - 0.5, (y + 0.5) * cells[0] / height - 0.5
    nearest = np.full((height, width), -np.inf, np.float32)
    weights, sums = np.zeros((height, width, 1), np.float32), np.zeros((height, width, 3), np.float32)
    owner = np.zeros((height, width), np.uint8)
    for token in sorted(before.keys() | after.keys()):
        distance, middle, reach, features = _between(before.get(token), after.get(token), share)
        distance = cv2.resize(distance, (width, height), interpolation=cv2.INTER_CUBIC)
        across = np.clip((x - middle[0]) / reach[0], -1.5, 1.5)
        down = np.clip((y - middle[1]) / reach[1], -1.5, 1.5)
        colour = np.empty_like(sums)
        colour[...] = features[:3]
        colour[..., 0] += features[3] * across + features[4] * down
        owner[distance > nearest] = token
        # Softmax of the distances, kept in range by the largest so far.
        largest = np.maximum(nearest, distance)
        before_share, own = (np.exp(_SHARP * (d - largest))[..., None] for d in (nearest, distance))
        weights, sums = weights * before_share + own, sums * before_share + own * colour
        nearest = largest
    lab = np.clip(np.rint(sums / weights), 0, 255).astype(np.uint8)
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), owner


def _between(a: _Look | None, b: _Look | None, share: float):
    """(distance, middle, reach, features) of a token between two keyframes."""
    if a is None or b is None:
        one, gone = (a, share) if b is None else (b, 1 - share)
        return one.distance - _VANISH * gone, one.middle, one.reach, one.features
    mix = [(1 - share) * p + share * q for p, q in ((a.middle, b.middle), (a.reach, b.reach))]
    distance = (1 - share) * _moved(a.distance, mix[0] - a.middle) + share * _moved(
        b.distance, mix[0] - b.middle
    )
    return distance, *mix, (1 - share) * a.features + share * b.features


def _moved(distance: np.ndarray, by: np.ndarray) -> np.ndarray:
    height, width = distance.shape
    shift = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32)
    return cv2.warpAffine(distance, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
