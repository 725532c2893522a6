"""Colours in words: a small palette, chosen by distance in Lab."""

import functools

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

# several sRGB anchors may share a word; words are what most people would say
_ANCHORS = (
    ("black", (18, 18, 18)), ("black", (40, 40, 42)), ("dark grey", (78, 78, 80)), ("grey", (128, 128, 128)),
    ("light grey", (185, 185, 185)), ("white", (235, 235, 235)), ("white", (255, 255, 255)),
    ("red", (200, 30, 35)), ("red", (235, 60, 60)), ("dark red", (110, 25, 30)), ("pink", (240, 150, 180)),
    ("pink", (230, 80, 150)), ("orange", (240, 130, 30)), ("brown", (110, 70, 40)), ("brown", (140, 100, 70)),
    ("beige", (215, 195, 165)), ("beige", (190, 165, 135)), ("yellow", (240, 215, 50)),
    ("yellow", (225, 190, 20)), ("olive", (120, 115, 50)), ("green", (50, 150, 60)), ("green", (110, 180, 70)),
    ("light green", (165, 220, 130)), ("dark green", (35, 75, 40)), ("dark green", (60, 85, 45)),
    ("turquoise", (60, 190, 190)), ("dark blue", (25, 40, 100)), ("blue", (45, 85, 200)), ("blue", (70, 110, 160)),
    ("light blue", (140, 185, 230)), ("purple", (110, 50, 150)), ("purple", (150, 110, 190)),
)  # fmt: skip

_CLEARLY_APART = 75  # distance in 8-bit Lab
NAMES: tuple[str, ...] = tuple(dict.fromkeys(name for name, _ in _ANCHORS))


def _anchors() -> Float[np.ndarray, "anchors 3"]:
    rgb = np.array([[value for _, value in _ANCHORS]], np.uint8)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0].astype(np.float32)


def _means() -> Float[np.ndarray, "names 3"]:
    """The mean 8-bit Lab colour of every name."""
    words = np.array([NAMES.index(name) for name, _ in _ANCHORS])
    return np.stack([_anchors()[words == i].mean(axis=0) for i in range(len(NAMES))])


@functools.cache
def _table() -> Int[np.ndarray, "32768"]:
    """The index into `NAMES` of every RGB colour of 5 bits a channel."""
    level = np.arange(32, dtype=np.uint8) * 8 + 4
    rgb = np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(1, -1, 3)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    # lightness is worth half: a shadow does not change what a colour is called
    difference = (lab[:, None] - _anchors()[None]) * np.array([0.4, 1, 1], np.float32)
    nearest = (difference**2).sum(axis=-1).argmin(axis=1)
    return np.array([NAMES.index(_ANCHORS[i][0]) for i in nearest], np.int32)


def _names_of(rgb: UInt8[np.ndarray, "h w 3"]) -> Int[np.ndarray, "h w"]:
    r, g, b = np.moveaxis(rgb.astype(np.int32) >> 3, -1, 0)
    return _table()[(r << 10) | (g << 5) | b]


def colour_votes(
    rgb: UInt8[np.ndarray, "h w 3"], labels: UInt8[np.ndarray, "h w"]
) -> Float[np.ndarray, "256 names"]:
    """How many pixels of every label would be called by each of `NAMES`."""
    flat = labels.astype(np.int64).ravel() * len(NAMES) + _names_of(rgb).ravel()
    return np.bincount(flat, minlength=256 * len(NAMES)).reshape(256, -1).astype(np.float64)


def colour_words(votes: Float[np.ndarray, " names"]) -> str:
    """One colour, or two as in "red and white" when the second has more than 60 % of the first one's votes.

    Shades of one colour ("green", "dark green") count as one and the commonest shade speaks for them. Two colours
    that are hard to tell apart ("black and dark grey", "beige and brown") are not both named.
    """
    families: dict[str, list[tuple[float, str]]] = {}
    for name, count in zip(NAMES, votes, strict=True):
        families.setdefault(name.split()[-1], []).append((float(count), name))
    ranked = sorted(
        ((sum(count for count, _ in shades), max(shades)[1]) for shades in families.values()), reverse=True
    )
    (most, first), (next_most, second) = ranked[:2]
    means = _means()
    apart = np.linalg.norm(means[NAMES.index(first)] - means[NAMES.index(second)])
    return f"{first} and {second}" if next_most > 0.6 * most > 0 and apart > _CLEARLY_APART else first


def colour_name(rgb: tuple[int, int, int]) -> str:
    """The word for one sRGB colour, e.g. (200, 30, 35) -> "red"."""
    return NAMES[_names_of(np.array([[rgb]], np.uint8))[0, 0]]
