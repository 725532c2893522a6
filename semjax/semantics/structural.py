"""How likely two frames differ in meaning, by eight fitted numbers in place of a network: PSSS without weights (ours).

Two frames are compared by what their label maps and colours say: things that appeared or vanished, things that changed
colour or shape once their motion is taken out, a background that is another one once the camera's motion is taken out.
A logistic regression over these measures, fitted by scripts/fit_structural.py on procedural scenes with planted
events, gives the probability that the frames differ, and the score 2 p - 1 = P(No) - P(Yes) as PSSS would.
"""

import dataclasses
from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.errors import InputError
from semjax.semantics import motion
from semjax.semantics.change import change_score, thumbnail
from semjax.semantics.keyframes import Scorer, SkemConfig, select

MEASURES = ("appeared", "vanished", "recoloured", "reshaped", "background", "moved out", "scene")
_WIDTH = 160  # pixels at which label maps and pictures are compared
_LEAST = 0.0015  # share of the picture below which a region is noise
_SHAPE = 24  # side of the mask in which a region's shape is compared

# Bias, then a weight for each of MEASURES; written by scripts/fit_structural.py.
WEIGHTS = (-3.66, 6.27, 5.70, 9.46, 0.96, 2.62, 0.76, 6.55)


@dataclasses.dataclass(frozen=True)
class Region:
    """What is kept of a region: share of the picture, mean 8-bit Lab colour, mask in its own box, at the rim or not."""

    area: float
    colour: np.ndarray
    shape: np.ndarray
    rim: bool


@dataclasses.dataclass(frozen=True)
class View:
    """What is kept of a frame, in constant memory: small Lab picture and label map, regions, thumbnail."""

    lab: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    regions: dict[int, Region]
    thumb: UInt8[np.ndarray, "32 48 3"]


def view(frame: UInt8[np.ndarray, "H W 3"], labels: UInt8[np.ndarray, "H W"]) -> View:
    """The summary of a frame that pairs are compared by. Raises InputError for arrays that do not fit."""
    frame, labels = np.asarray(frame), np.asarray(labels)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(f"a frame is uint8 [H, W, 3], not {frame.dtype} {list(frame.shape)}")
    if labels.dtype != np.uint8 or labels.shape != frame.shape[:2]:
        raise InputError(
            f"a label map is uint8 {list(frame.shape[:2])} like its frame, not {labels.dtype} {list(labels.shape)}"
        )
    height, width = labels.shape
    scale = min(1.0, _WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    maps = cv2.resize(np.ascontiguousarray(labels), size, interpolation=cv2.INTER_NEAREST)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    regions = {int(k): _region(lab, maps == k) for k in np.unique(maps) if k}
    return View(lab, maps, {k: r for k, r in regions.items() if r.area >= _LEAST / 2}, thumbnail(frame))


def _region(lab: np.ndarray, inside: np.ndarray) -> Region:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = cv2.resize(box.astype(np.float32), (_SHAPE, _SHAPE), interpolation=cv2.INTER_AREA)
    height, width = inside.shape
    rim = rows[0] == 0 or columns[0] == 0 or rows[-1] == height - 1 or columns[-1] == width - 1
    return Region(float(inside.mean()), lab[inside].mean(0), shape, bool(rim))


def measures(a: View, b: View) -> Float[np.ndarray, "7"]:
    """How two frames of a clip differ, one number for each of MEASURES, each about 0 (not at all) to 1 (entirely).

    appeared, vanished: regions that are in one frame only, by area; those at the rim of the picture count by the half,
    since they come gradually. recoloured: the largest change of a region's colour (lightness counts little).
    reshaped: the largest change of a region's outline in its own box. background: difference of what lies behind the
    regions after the camera's affine motion. moved out: share of the view that was not in the other one. scene: the
    change score of semjax.semantics.change. Raises InputError for frames of different sizes.
    """
    if a.labels.shape != b.labels.shape:
        raise InputError(f"frames of one clip have one size, not {a.labels.shape} and {b.labels.shape}")
    shared = [(a.regions[k], b.regions[k]) for k in a.regions.keys() & b.regions.keys()]
    background, out = _behind(a, b)
    return np.array(
        [
            _only(b.regions, a.regions),
            _only(a.regions, b.regions),
            max((_recoloured(r, s) for r, s in shared), default=0.0),
            max((_reshaped(r, s) for r, s in shared), default=0.0),
            background,
            out,
            change_score(a.thumb, b.thumb),
        ]
    )


def _only(regions: dict[int, Region], others: dict[int, Region]) -> float:
    """Weight of the regions that are not among the others: 0 for noise, 1 for a hundredth of the picture and more."""
    found = [_weight(r.area) * (0.5 if r.rim else 1.0) for k, r in regions.items() if k not in others]
    return min(1.0, sum(found))


def _weight(area: float) -> float:
    """0 at the least area that counts, 1 at a hundredth of the picture, logarithmic between."""
    return float(np.clip(np.log(max(area, 1e-9) / _LEAST) / np.log(0.01 / _LEAST), 0, 1))


def _recoloured(a: Region, b: Region) -> float:
    apart = np.abs(a.colour - b.colour) * [0.3, 1, 1]
    return _weight(min(a.area, b.area)) * float(np.clip(np.linalg.norm(apart) / 40, 0, 1))


def _reshaped(a: Region, b: Region) -> float:
    if a.rim or b.rim:  # cut off by the picture's edge: the outline says nothing
        return 0.0
    union = np.maximum(a.shape, b.shape).sum()
    return _weight(min(a.area, b.area)) * float(1 - np.minimum(a.shape, b.shape).sum() / union)


def _behind(a: View, b: View) -> tuple[float, float]:
    """(background, moved out) of `measures`."""
    height, width = a.labels.shape
    light = [np.ascontiguousarray(v.lab[..., 0]) for v in (a, b)]
    flow = motion.dense_flow(light[1], light[0])
    weight = np.where((a.labels == 0) & (b.labels == 0), 1.0, 0.05).astype(np.float32)
    affine = motion.fit_affine(flow, weight, step=4, ridge=1e-3)
    camera = motion.affine_flow(affine, height, width)
    at = motion.pixel_grid(height, width) + camera
    inside = (at >= 0).all(-1) & (at[..., 0] <= width - 1) & (at[..., 1] <= height - 1)
    there = motion.warp(a.lab, camera)
    ground = (motion.warp(a.labels, camera, cv2.INTER_NEAREST) == 0) & (b.labels == 0) & inside
    out = 1 - float(inside.mean())
    if ground.mean() < 0.02:
        return 0.0, out
    x, y = (cv2.GaussianBlur(p.astype(np.float32), (0, 0), 1.5)[ground] for p in (there, b.lab))
    colour = np.abs(x.mean(0) - y.mean(0)) @ [0.15, 0.5, 0.5] / 30
    x, y = x[:, 0] - x[:, 0].mean(), y[:, 0] - y[:, 0].mean()
    # Structure that neither picture has (an even wall) must not count: a floor of two levels of noise.
    alike = (x @ y / len(x) + 4) / (np.sqrt((x @ x) * (y @ y)) / len(x) + 4)
    return float(np.clip(max(1 - alike, colour), 0, 1)), out


def probability(a: View, b: View) -> float:
    """The probability that two frames of a clip differ in meaning."""
    return float(1 / (1 + np.exp(-(WEIGHTS[0] + measures(a, b) @ WEIGHTS[1:]))))


def scorer(
    video: UInt8[np.ndarray, "T H W 3"] | Iterable[UInt8[np.ndarray, "n H W 3"]],
    labels: UInt8[np.ndarray, "T H W"] | Iterable[UInt8[np.ndarray, "n H W"]],
) -> Scorer:
    """A scorer of pairs (i, j) of a clip's frames for `select` and `skem_step`: 2 p - 1, in (-1, 1).

    Frames and label maps are arrays or equally long stretches of them; what is kept of a frame is about 80 kB.
    Raises InputError when they do not fit.
    """
    views: list[View] = []
    for frames, maps in zip(_stretches(video), _stretches(labels), strict=True):
        if len(frames) != len(maps):
            raise InputError(f"{len(frames)} frames came with {len(maps)} label maps; give one for each")
        views += [view(frame, label) for frame, label in zip(frames, maps)]
    return lambda i, j: 2 * probability(views[i], views[j]) - 1


def _stretches(clip):
    return [clip] if isinstance(clip, np.ndarray) else clip


def skem(
    video: UInt8[np.ndarray, "T H W 3"],
    *,
    labels: UInt8[np.ndarray, "T H W"],
    cfg: SkemConfig = SkemConfig(),
    cuts: Iterable[int] = (),
):
    """Keyframe numbers int [K] of a clip by SKEM with the structural scorer; for other scorers `select`.

    Raises InputError as `select` and `scorer`.
    """
    return select(len(video), scorer(video, labels), cfg, cuts=cuts)
