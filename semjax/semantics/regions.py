"""Label maps from pixels without any weights: regions that stay the same region over time.

The first picture of a scene is split by merging superpixels (`partition`). From then on a recursive Bayesian
filter (`belief`) carries label probabilities along the optical flow, weighs them by how well each region explains a
pixel's colour and motion, and smooths them along the picture's edges; regions are born, joined and dropped as
things appear, prove to be one, and vanish (`population`). Ours.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax._threads import in_order
from semjax.errors import InputError
from semjax.semantics import belief as filtering
from semjax.semantics import motion
from semjax.semantics.change import cut_step
from semjax.semantics.fused import largest
from semjax.semantics.outlines import snap
from semjax.semantics.partition import cells, colour_histograms, colour_index, merge_cells
from semjax.semantics.population import next_free, update_population
from semjax.semantics.region_state import RegionConfig, RegionState

_WORK_PIXELS = 40_000  # regions are found at about this many pixels and drawn at full size
_STILL = 1.0  # pixels a frame; outlines of what moves faster are drawn afresh in every frame
_EDGE_PIXELS = 300_000  # their outlines are brought to the picture's edges at no more than this many
_HOLD = 0.35  # advantage in probability of the label drawn before
_CELL = 8  # pixels between the seeds of superpixels


def regions_init(cfg: RegionConfig) -> RegionState:
    """The state before a clip's first frame."""
    if not isinstance(cfg, RegionConfig):
        raise InputError(f"A RegionConfig was expected, but a {type(cfg).__name__} came.")
    return RegionState()


def find_regions(
    frames: UInt8[np.ndarray, "n H W 3"], state: RegionState, cfg: RegionConfig
) -> tuple[UInt8[np.ndarray, "n H W"], RegionState]:
    """Label maps of the next `n` frames of a clip.

    Causal: a frame's labels depend on it and on earlier frames only, and not on how the clip was cut into calls.
    Memory does not depend on the clip's length. Deterministic.

    Args:
        frames: RGB pixels; the same size in every call.
        state: from `regions_init` or from the call before.
        cfg: settings.

    Returns:
        Labels, at most `cfg.max_regions` different ones in a frame, and the new state. Label 0 is the background:
        the largest, most peripheral region. Every other label belongs to one thing from when it appears to when
        it vanishes and is not given to another until all 255 have been used; a scene cut retires all but 0.

    Raises:
        InputError: frames of another type, shape or size.
    """
    _check_frames(frames, state.size)
    labels = np.empty(frames.shape[:3], np.uint8)
    line = _Line(state, cfg)
    for i, (_, drawn) in enumerate(line.run(frames)):
        labels[i] = drawn
    return labels, dataclasses.replace(line.state, outlined=line.pencil.outlined)


def find_each(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], cfg: RegionConfig
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], UInt8[np.ndarray, "H W"]]]:
    """A clip's frames one by one with their label maps, as `find_regions` finds them, and errors as there.

    A few frames are read ahead of the pair that is given out.
    """
    return _Line(regions_init(cfg), cfg).run(frames)


def segment(
    video: UInt8[np.ndarray, "T H W 3"], cfg: RegionConfig | None = None
) -> UInt8[np.ndarray, "T H W"]:
    """Label maps of a whole clip (see `find_regions`)."""
    cfg = cfg or RegionConfig()
    return find_regions(video, regions_init(cfg), cfg)[0]


def _check_frames(frames: np.ndarray, size: tuple[int, int] | None) -> None:
    shape = getattr(frames, "shape", ())
    if getattr(frames, "dtype", None) != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        kind = f"{getattr(frames, 'dtype', type(frames).__name__)} {list(shape)}"
        raise InputError(f"Frames must be uint8 [n, H, W, 3], but are {kind}.")
    if size is not None and shape[1:3] != size:
        raise InputError(f"Frames must keep the clip's size {size}, but are {shape[1:3]}.")


class _Sight(NamedTuple):
    """What is made of a frame without knowing any region: pictures, the filter along its edges, the flows."""

    frame: UInt8[np.ndarray, "H W 3"]
    lab: UInt8[np.ndarray, "h w 3"]
    grey: UInt8[np.ndarray, "h w"]
    along: Callable[[np.ndarray], np.ndarray]
    flow: Float[np.ndarray, "h w 2"] | None  # backward; None in a first frame
    ahead: Float[np.ndarray, "h w 2"] | None


class _Eye:
    """Frames one after the other, each with the one before."""

    def __init__(self, state: RegionState, cfg: RegionConfig):
        self.grey, self.size, self.cfg = state.grey, state.size, cfg

    def __call__(self, frame: np.ndarray) -> _Sight:
        frame = np.ascontiguousarray(frame)
        _check_frames(frame[None], self.size)
        self.size = frame.shape[:2]
        lab, grey = _working_picture(frame)
        before, self.grey = self.grey, grey
        along, flow, ahead = filtering.edges_of(lab, self.cfg.smoothness), None, None
        if before is not None:
            flow = motion.dense_flow(grey, before, quick=True)
            ahead = motion.dense_flow(before, grey, fine=False, quick=True)
        return _Sight(frame, lab, grey, along, flow, ahead)


class _Line:
    """Three stages side by side, each in the order of the frames: seeing, following, drawing."""

    def __init__(self, state: RegionState, cfg: RegionConfig):
        self.state, self.cfg = state, cfg
        self.eye, self.pencil = _Eye(state, cfg), _Pencil(state.outlined, cfg)

    def run(self, frames: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(frame, labels) of each frame; afterwards `state` is that of the last but for what is drawn."""
        return in_order(self.pencil, self._followed(in_order(self.eye, frames, workers=1)), workers=1)

    def _followed(self, seen: Iterable[_Sight]) -> Iterator["_Followed"]:
        for sight in seen:
            self.state, belief = _step(sight, self.state, self.cfg)
            yield _Followed(sight.frame, belief, self.state)


def _step(sight: _Sight, state: RegionState, cfg: RegionConfig) -> tuple[RegionState, np.ndarray]:
    """One frame further: the state, and the probabilities to draw from."""
    cut, cut_state = cut_step(sight.frame, state.cut, cfg.cut)
    step = _start if state.belief is None or cut else _follow
    state = step(sight, state, cfg)
    state = dataclasses.replace(
        state, cut=cut_state, size=sight.frame.shape[:2], grey=sight.grey, lab=sight.lab
    )
    belief = _settled(state, cfg)
    return dataclasses.replace(state, drawn=np.array(state.ids, np.int16)[largest(belief)]), belief


def _working_picture(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed 8-bit Lab and plain grey at the working size."""
    height, width = frame.shape[:2]
    scale = min(1.0, (_WORK_PIXELS / (height * width)) ** 0.5)
    if scale < 1:
        work = (max(1, round(width * scale)), max(1, round(height * scale)))
        frame = cv2.resize(frame, work, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.bilateralFilter(frame, 7, 30, 4), cv2.COLOR_RGB2LAB)
    return lab, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _start(sight: _Sight, state: RegionState, cfg: RegionConfig) -> RegionState:
    """Regions of a scene's first picture. A quarter of the places stays free for what comes later."""
    lab, grey = sight.lab, sight.grey
    least = max(1, round(cfg.min_area * grey.size))
    first = max(2, cfg.max_regions - cfg.max_regions // 4)
    region = merge_cells(lab, cells(lab, _CELL), most=first, least_area=least, contrast=cfg.contrast)
    region = _background_first(region)
    count = int(region.max()) + 1
    belief = np.full((count + 1, *grey.shape), filtering.LEAST, np.float32)
    np.put_along_axis(belief, region[None], 0.9, axis=0)
    belief[-1] = filtering.UNKNOWN
    ids, next_id = [0], state.next_id
    for _ in range(1, count):
        ids.append(next_id)
        next_id = next_free(next_id, ids)
    return dataclasses.replace(
        state,
        belief=filtering.smooth(belief / belief.sum(axis=0), sight.along),
        histogram=colour_histograms(colour_index(lab), region, count),
        ids=tuple(ids),
        next_id=next_id,
        unexplained=np.zeros(grey.shape, np.float32),
        drawn=None,
        flow=None,
        drift=np.zeros((*grey.shape, 2), np.float32),
        kinship=np.zeros((count, count), np.float32),
    )


def _background_first(region: np.ndarray) -> np.ndarray:
    """Renumber so that 0 is the region with the largest share of area and of picture border, the rest by area."""
    count = int(region.max()) + 1
    rim = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    area = np.bincount(region.ravel(), minlength=count) / region.size
    border = np.bincount(rim, minlength=count) / rim.size
    background = int(np.argmax(area + border))
    order = [background, *(r for r in np.argsort(-area, kind="stable") if r != background)]
    rank = np.empty(count, np.int32)
    rank[order] = np.arange(count)
    return rank[region]


def _follow(sight: _Sight, state: RegionState, cfg: RegionConfig) -> RegionState:
    """One step of the filter, then births, joins and deaths."""
    lab, grey, along, flow = sight.lab, sight.grey, sight.along, sight.flow
    matched = filtering.match(grey, state.grey, flow)
    trust = motion.returns(flow, sight.ahead)
    moved = filtering.carry_plainly(state.belief, flow)
    motions = filtering.region_motions(flow, moved, trust, matched)
    flow = filtering.settle(flow, motions, moved, matched, trust, along)
    still = motion.furthest(flow) < 0.1
    flow[still] = 0  # a still picture is not blurred by resampling it
    index = colour_index(lab)
    prior = filtering.carry(state.belief, flow)
    drift = filtering.drift_step(state.drift, flow, motions[0], trust)
    evidence = filtering.colour_evidence(index, state.histogram)
    evidence += filtering.motion_evidence(matched, motions)
    evidence += filtering.drift_evidence(drift, prior)
    belief = filtering.smooth(filtering.posterior(prior, evidence), along)
    unexplained = motion.warp(state.unexplained, flow, cv2.INTER_NEAREST)
    state = dataclasses.replace(
        state,
        belief=belief,
        drawn=np.where(still, state.drawn, np.int16(-1)),
        flow=flow,
        drift=drift,
        histogram=filtering.learn(index, belief, state.histogram),
        unexplained=np.where(belief[-1] > 0.5, unexplained + 1, 0).astype(np.float32),
    )
    return update_population(state, lab, index, flow, motions, cfg)


def _settled(state: RegionState, cfg: RegionConfig) -> Float[np.ndarray, "K h w"]:
    """The probabilities to draw from: the label drawn before has an advantage where the picture stands still.

    Outlines are paid for in bits whenever they move, so near-ties keep the old label; pieces too small to be worth
    an outline go to what surrounds them.
    """
    belief = state.belief[:-1].copy()
    if state.drawn is not None:
        for plane, name in zip(belief, state.ids, strict=True):
            plane[state.drawn == name] += _HOLD * cfg.smoothness
    return _without_specks(belief, state.drawn, state.ids, max(1, round(cfg.min_area * state.grey.size)))


class _Followed(NamedTuple):
    """A frame, the probabilities to draw its labels from, and the state after it."""

    frame: UInt8[np.ndarray, "H W 3"]
    belief: Float[np.ndarray, "K h w"]
    state: RegionState


class _Pencil:
    """Label maps one after the other; `outlined` is the latest at the size that outlines are drawn at."""

    def __init__(self, outlined: np.ndarray | None, cfg: RegionConfig):
        self.outlined, self.cfg = outlined, cfg

    def __call__(self, now: _Followed) -> tuple[np.ndarray, UInt8[np.ndarray, "H W"]]:
        self.outlined = _outlined(now, self.outlined, self.cfg)
        return now.frame, _enlarged(self.outlined, now.frame.shape[:2])


def _outlined(now: _Followed, last: np.ndarray | None, cfg: RegionConfig) -> np.ndarray:
    """Label map with smooth outlines along the picture's edges, which stay where they were unless something moves."""
    frame, belief, state = now
    height, width = frame.shape[:2]
    scale = min(1.0, (_EDGE_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale < 1:
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    sigma = 1.2 * cfg.smoothness
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) if sigma > 0 else plane for plane in belief]
    planes = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in planes])
    if not cfg.smoothness:
        return np.array(state.ids, np.uint8)[largest(planes)]
    before = None
    if last is not None and state.flow is not None:
        ratio = np.float32([size[0] / belief.shape[2], size[1] / belief.shape[1]])
        flow = cv2.resize(state.flow, size, interpolation=cv2.INTER_LINEAR) * ratio
        before = motion.warp(last, flow, cv2.INTER_NEAREST).astype(np.int16)
        before[motion.furthest(flow) > _STILL] = -1
    return snap(planes, state.ids, frame, before)


def _enlarged(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map at the clip's size, without steps in its outlines."""
    if labels.shape == size:
        return labels.copy()
    best, large = np.full(size, -1, np.float32), np.zeros(size, np.uint8)
    for name in np.unique(labels):
        plane = cv2.resize((labels == name).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
        large[plane > best] = name
        np.maximum(best, plane, out=best)
    return large


def _without_specks(
    belief: np.ndarray, before: np.ndarray | None, ids: tuple[int, ...], least: int
) -> np.ndarray:
    """Probabilities whose winner has no piece under `least` pixels, or half that if it was drawn `before`.

    Two rules of size, so that a piece at the limit does not blink; two passes, to catch what the first one makes.
    """
    belief = belief.copy()
    for _ in range(2):
        owner, changed = largest(belief), False
        for k, name in enumerate(ids):
            mine = (owner == k).astype(np.uint8)
            count, parts, stats, _ = cv2.connectedComponentsWithStats(mine, connectivity=4)
            area = stats[:, cv2.CC_STAT_AREA]
            old = np.zeros(count) if before is None else np.bincount(parts[before == name], minlength=count)
            small = area < np.where(old > 0.5 * area, least / 2, least)
            small[0] = False
            if small.any():
                belief[k][small[parts]] = 0
                changed = True
        if not changed:
            break
    return belief
