"""Tokens of regions: every label's cells fall into a few clusters of colour and place, each with quantised features.

The clusters are the same for all keyframes of a stretch, with places taken relative to the label's own, so that a
token follows the part of the thing that it stands for. Ours; the quantiser is FSQ (Mentzer et al., "Finite Scalar
Quantization", 2023).
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Feature:
    """One quantised number of a token: `levels` values, `step` apart, the middle one (or 0) standing for `origin`."""

    name: str
    levels: int
    step: float
    origin: float


# 8-bit Lab of a region's mean, and how much lighter it gets from its middle to its right and lower end.
FEATURES = (
    Feature("lightness", 32, 8.0, 128.0),
    Feature("green-red", 32, 5.0, 128.0),
    Feature("blue-yellow", 32, 5.0, 128.0),
    Feature("lighter to the right", 9, 14.0, 0.0),
    Feature("lighter below", 9, 14.0, 0.0),
)
_PLACE = 60.0  # 8-bit Lab distance that counts as much as half a picture of place
_ROUNDS = 6
_THING = 3.0  # how much more the colours of things count than those of the background (label 0)


def quantise(values: Float[np.ndarray, "... D"]) -> Int[np.ndarray, "... D"]:
    """Features as integers 0 to levels - 1, the nearest ones."""
    out = [
        np.clip(np.rint((values[..., i] - f.origin) / f.step) + f.levels // 2, 0, f.levels - 1)
        for i, f in enumerate(FEATURES)
    ]
    return np.stack(out, -1).astype(np.int64)


def restore(codes: Int[np.ndarray, "... D"]) -> Float[np.ndarray, "... D"]:
    """The features that codes stand for, float32."""
    out = [(codes[..., i] - f.levels // 2) * f.step + f.origin for i, f in enumerate(FEATURES)]
    return np.stack(out, -1).astype(np.float32)


def cluster(
    pictures: UInt8[np.ndarray, "K h w 3"], labels: UInt8[np.ndarray, "K h w"], count: int
) -> tuple[UInt8[np.ndarray, "K h w"], tuple[int, ...]]:
    """Divide small pictures into at most `count` tokens that keep to the labels: (layouts, each token's label).

    Greedy: the token whose colours spread most is split in two (2-means over colour and place) until there are
    enough; every label has at least one while `count` lasts. Token numbers are those of the layouts, from 0.
    Deterministic. Raises InputError for pictures and label maps that do not fit, and for no tokens.
    """
    if pictures.shape[:3] != labels.shape or pictures.shape[-1:] != (3,) or not 1 <= count <= 255:
        raise InputError(
            f"tokens are made of pictures [K, h, w, 3] with label maps [K, h, w], 1 to 255 of them; got "
            f"{list(pictures.shape)}, {list(labels.shape)} and {count}"
        )
    colour, place = _cells(pictures, labels)
    flat = labels.ravel()
    values, areas = np.unique(flat, return_counts=True)
    kept = values[np.argsort(-areas, kind="stable")][:count]
    # The smallest labels beyond `count` go to the largest one.
    owner = np.where(np.isin(flat, kept), flat, kept[0])
    members = [np.flatnonzero(owner == k) for k in sorted(kept)]
    owners = [int(k) for k in sorted(kept)]
    weigh = {label: _THING if label else 1.0 for label in owners}
    spread = [weigh[label] * _spread(colour[m]) for label, m in zip(owners, members)]
    while len(members) < count:
        widest = int(np.argmax(spread))
        if spread[widest] <= 0:
            break
        parts = _halves(np.hstack([colour[members[widest]], place[members[widest]]]))
        if parts is None:
            break
        here, label = members[widest], owners[widest]
        members[widest : widest + 1] = [here[~parts], here[parts]]
        owners[widest : widest + 1] = [label, label]
        spread[widest : widest + 1] = [weigh[label] * _spread(colour[m]) for m in (here[~parts], here[parts])]
    layouts = np.zeros(flat.size, np.uint8)
    for number, cells in enumerate(members):
        layouts[cells] = number
    return layouts.reshape(labels.shape), tuple(owners)


def _cells(pictures, labels):
    """(colour [cells, 3], place [cells, 2]) in comparable units; places of things are relative to their middle."""
    lab = np.stack([cv2.cvtColor(p, cv2.COLOR_RGB2LAB) for p in pictures]).astype(np.float32)
    height, width = labels.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    place = np.broadcast_to(np.stack([x, y], -1), (*labels.shape, 2)).copy()
    for k, label_map in enumerate(labels):
        for label in np.unique(label_map):
            if label:
                inside = label_map == label
                place[k, inside] -= place[k, inside].mean(0)
    place = place * (2 * _PLACE / max(height, width))
    return lab.reshape(-1, 3).astype(np.float64), place.reshape(-1, 2).astype(np.float64)


def _spread(colour: np.ndarray) -> float:
    return float(((colour - colour.mean(0)) ** 2).sum()) if len(colour) > 1 else 0.0


def _halves(points: np.ndarray) -> np.ndarray | None:
    """Which points belong to the second of two clusters; None when they cannot be told apart."""
    middle = points.mean(0)
    _, axes = np.linalg.eigh((points - middle).T @ (points - middle))
    second = (points - middle) @ axes[:, -1] > 0
    for _ in range(_ROUNDS):
        if second.all() or not second.any():
            return None
        centres = [points[~second].mean(0), points[second].mean(0)]
        near = [((points - c) ** 2).sum(1) for c in centres]
        second = near[1] < near[0]
    return None if second.all() or not second.any() else second


def axes_of(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(middle, reach) of a region as (x, y) in cells: its mean place, and twice its standard deviation, at least 1."""
    y, x = np.nonzero(inside)
    places = np.stack([x, y], 1).astype(np.float32)
    return places.mean(0), np.maximum(2 * places.std(0), 1.0)


def describe_regions(
    pictures: UInt8[np.ndarray, "K h w 3"], layouts: UInt8[np.ndarray, "K h w"]
) -> dict[tuple[int, int], Int[np.ndarray, " D"]]:
    """Quantised features of every token in every keyframe that it is in: (keyframe, token) -> codes."""
    found = {}
    for k, (picture, layout) in enumerate(zip(pictures, layouts, strict=True)):
        lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
        for token in map(int, np.unique(layout)):
            inside = layout == token
            middle, reach = axes_of(inside)
            y, x = np.nonzero(inside)
            terms = np.stack([np.ones(len(x)), (x - middle[0]) / reach[0], (y - middle[1]) / reach[1]], 1)
            pull = np.diag([1e-6, 2.0, 2.0])  # small regions have no slope
            fit = np.linalg.solve(terms.T @ terms + pull, terms.T @ lab[inside][:, 0])
            found[k, token] = quantise(np.array([fit[0], *lab[inside][:, 1:].mean(0), fit[1], fit[2]]))
    return found
