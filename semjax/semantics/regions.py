"""Label maps from pixels without any weights: regions that stay the same region over time.

A recursive Bayesian filter over label maps (ours). Each region has a colour histogram and an affine motion;
one more class, "unknown", explains every colour and every motion equally badly. Frame by frame the label
probabilities are carried along by optical flow, multiplied by how well each region explains a pixel's colour
and motion, and smoothed along the picture's edges. Where "unknown" keeps winning, a region is born; a region that
fades away is dropped. The first picture of a scene is split by merging superpixels (`partition`).
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.errors import InputError
from semjax.semantics import motion
from semjax.semantics.change import CutConfig, CutState, cut_step
from semjax.semantics.partition import (
    COLOUR_BINS,
    blur_histograms,
    cells,
    colour_histograms,
    colour_index,
    merge_cells,
)
from semjax.semantics.smoothing import edge_aware

_WORK_PIXELS = 40_000  # regions are found at about this many pixels and drawn at full size
_FLOOR = 1e-3  # least probability of a region anywhere
_UNKNOWN = 0.02  # least probability of "unknown" anywhere
_COLOUR_TRUST = 0.5  # pixels of a region are not independent draws, so their evidence is tempered
_MOTION_TRUST = 0.5
_MOTION_CAP = 3.0  # residual, in sigmas, past which a motion is simply "not mine"
_PATIENCE = 3  # frames that something must stay unexplained before it becomes a region
_LEARN = 0.1  # share of a region's colours renewed with every frame


@dataclasses.dataclass(frozen=True)
class RegionConfig:
    """How label maps are found.

    max_regions: most labels in a frame, background included, 2..32.
    min_area: least share of the picture that a region, or a separate piece of one, covers.
    smoothness: how strongly outlines are smoothed and held over time; 1 is the usual, 0 none.
    contrast: least difference (about 0..1) that keeps two neighbouring areas of a first picture apart.
    cut: when a scene counts as new, so that all regions are new.
    """

    max_regions: int = 8
    min_area: float = 0.003
    smoothness: float = 1.0
    contrast: float = 0.25
    cut: CutConfig = dataclasses.field(default_factory=CutConfig)

    def __post_init__(self):
        if not 2 <= self.max_regions <= 32:
            raise InputError(f"max_regions must lie in 2..32, but is {self.max_regions}.")
        if not 0 < self.min_area < 0.5:
            raise InputError(f"min_area is a share of the picture in (0, 0.5), but is {self.min_area}.")
        if not 0 <= self.smoothness <= 4:
            raise InputError(f"smoothness must lie in 0..4, but is {self.smoothness}.")
        if not 0 <= self.contrast <= 1:
            raise InputError(f"contrast must lie in 0..1, but is {self.contrast}.")


@dataclasses.dataclass(frozen=True)
class RegionState:
    """All that is remembered between frames; its size does not grow with the clip.

    Before the first frame everything is empty. `belief` holds one probability plane per region and, last, the one
    of "unknown"; `ids[k]` is the label that region k is drawn with, `ids[0] == 0`.
    """

    cut: CutState = dataclasses.field(default_factory=CutState)
    size: tuple[int, int] | None = None
    grey: UInt8[np.ndarray, "h w"] | None = None
    lab: UInt8[np.ndarray, "h w 3"] | None = None
    belief: Float[np.ndarray, "K+1 h w"] | None = None
    histogram: Float[np.ndarray, "K 4096"] | None = None
    ids: tuple[int, ...] = ()
    next_id: int = 1
    unexplained: Float[np.ndarray, "h w"] | None = None


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
    _check_frames(frames, state)
    labels = np.empty(frames.shape[:3], np.uint8)
    for i, frame in enumerate(frames):
        labels[i], state = _step(np.ascontiguousarray(frame), state, cfg)
    return labels, state


def segment(
    video: UInt8[np.ndarray, "T H W 3"], cfg: RegionConfig | None = None
) -> UInt8[np.ndarray, "T H W"]:
    """Label maps of a whole clip (see `find_regions`)."""
    cfg = cfg or RegionConfig()
    return find_regions(video, regions_init(cfg), cfg)[0]


def _check_frames(frames: np.ndarray, state: RegionState) -> None:
    shape = getattr(frames, "shape", None)
    if getattr(frames, "dtype", None) != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        raise InputError(
            f"Frames must be uint8 [n, H, W, 3], but are {getattr(frames, 'dtype', type(frames).__name__)} {shape}."
        )
    if state.size is not None and shape[1:3] != state.size:
        raise InputError(f"Frames must keep the clip's size {state.size}, but are {shape[1:3]}.")


def _step(frame: np.ndarray, state: RegionState, cfg: RegionConfig) -> tuple[np.ndarray, RegionState]:
    size = frame.shape[:2]
    lab, grey = _working_picture(frame)
    cut, cut_state = cut_step(frame, state.cut, cfg.cut)
    step = _start if state.belief is None or cut else _follow
    state = step(lab, grey, state, cfg)
    state = dataclasses.replace(state, cut=cut_state, size=size, grey=grey, lab=lab)
    return _draw(state, size, cfg), state


def _working_picture(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed 8-bit Lab and plain grey at the working size."""
    height, width = frame.shape[:2]
    scale = min(1.0, (_WORK_PIXELS / (height * width)) ** 0.5)
    if scale < 1:
        work = (max(1, round(width * scale)), max(1, round(height * scale)))
        frame = cv2.resize(frame, work, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.bilateralFilter(frame, 7, 30, 4), cv2.COLOR_RGB2LAB)
    return lab, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _start(lab: np.ndarray, grey: np.ndarray, state: RegionState, cfg: RegionConfig) -> RegionState:
    """Regions of a scene's first picture. A quarter of the places stays free for what comes later."""
    least = max(1, round(cfg.min_area * grey.size))
    first = max(2, cfg.max_regions - cfg.max_regions // 4)
    region = merge_cells(lab, cells(lab, 8), most=first, least_area=least, contrast=cfg.contrast)
    region = _background_first(region)
    count = int(region.max()) + 1
    belief = np.full((count + 1, *grey.shape), _FLOOR, np.float32)
    np.put_along_axis(belief, region[None], 0.9, axis=0)
    belief[-1] = _UNKNOWN
    ids, next_id = [0], state.next_id
    for _ in range(1, count):
        ids.append(next_id)
        next_id = _after(next_id, ids)
    return dataclasses.replace(
        state,
        belief=_smooth(belief / belief.sum(axis=0), lab, cfg),
        histogram=colour_histograms(colour_index(lab), region, count),
        ids=tuple(ids),
        next_id=next_id,
        unexplained=np.zeros(grey.shape, np.float32),
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


def _after(used: int, living: list[int]) -> int:
    """The id to give next: ids count up and start again at 1 past 255, passing over the living."""
    following = used % 255 + 1
    while following in living:
        following = following % 255 + 1
    return following


def _follow(lab: np.ndarray, grey: np.ndarray, state: RegionState, cfg: RegionConfig) -> RegionState:
    """One step of the filter: carry, weigh, smooth, learn; then births and deaths."""
    flow = motion.dense_flow(grey, state.grey)
    flow[np.abs(flow).max(axis=-1) < 0.1] = 0  # a still picture is not blurred by resampling it
    trust = _flow_trust(lab, state.lab, flow)
    prior = _carry(state.belief, flow)
    index = colour_index(lab)
    evidence = _colour_evidence(index, state.histogram) + _motion_evidence(flow, prior, trust)
    belief = prior * np.exp(evidence - evidence.max(axis=0))
    belief /= belief.sum(axis=0)
    belief = _smooth(belief, lab, cfg)
    owner = belief[:-1].argmax(axis=0)
    sure = np.where(belief.max(axis=0) > 0.6, owner, len(state.ids))
    sure[belief[-1] > 0.3] = len(state.ids)
    histogram = _learn(index, sure, state.histogram)
    unexplained = motion.warp(state.unexplained, flow, cv2.INTER_NEAREST)
    unexplained = np.where(belief[-1] > 0.5, unexplained + 1, 0).astype(np.float32)
    state = dataclasses.replace(state, belief=belief, histogram=histogram, unexplained=unexplained)
    return _births(_deaths(state, cfg), index, cfg)


def _flow_trust(lab: np.ndarray, before: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """0..1: how well the flow explains a pixel's colour by the previous picture."""
    error = np.abs(lab.astype(np.float32) - motion.warp(before, flow)).max(axis=-1)
    return np.exp(-((cv2.blur(error, (3, 3)) / 12) ** 2)).astype(np.float32)


def _carry(belief: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The probabilities before looking at the new picture."""
    prior = np.stack([cv2.GaussianBlur(motion.warp(plane, flow), (0, 0), 0.7) for plane in belief])
    np.maximum(prior[:-1], _FLOOR, out=prior[:-1])
    np.maximum(prior[-1], _UNKNOWN, out=prior[-1])
    return prior / prior.sum(axis=0)


def _colour_evidence(index: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """[K+1, h, w] tempered log-likelihood of every pixel's colour."""
    bins = COLOUR_BINS**3
    table = np.log(np.vstack([histogram, np.full(bins, 1 / bins, np.float32)]) + 1e-6)
    return _COLOUR_TRUST * np.stack([cv2.blur(row[index], (3, 3)) for row in table.astype(np.float32)])


def _motion_evidence(flow: np.ndarray, prior: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """[K+1, h, w] tempered log-likelihood of every pixel's motion under each region's affine motion."""
    height, width = trust.shape
    evidence = np.empty_like(prior)
    for k, plane in enumerate(prior[:-1]):
        own = motion.affine_flow(motion.fit_affine(flow, plane * (plane > 0.5) * trust), height, width)
        sigma2 = 0.5**2 + (0.1**2) * (own**2).sum(axis=-1)
        off = ((flow - own) ** 2).sum(axis=-1) / sigma2
        evidence[k] = -0.5 * np.minimum(off, _MOTION_CAP**2)
    evidence[-1] = -0.5 * (_MOTION_CAP - 1) ** 2
    return _MOTION_TRUST * trust * evidence


def _smooth(belief: np.ndarray, lab: np.ndarray, cfg: RegionConfig) -> np.ndarray:
    """Follow the picture's edges, stay positive, sum to one."""
    if cfg.smoothness > 0:
        along = edge_aware(lab.astype(np.float32) / 255, max(1, round(4 * cfg.smoothness)), 2e-3)
        belief = np.stack([along(plane) for plane in belief])
    belief = np.maximum(belief, 1e-4)
    return belief / belief.sum(axis=0)


def _learn(index: np.ndarray, sure: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """Histograms that follow their regions' colours slowly; a region that nobody is sure of keeps its own."""
    seen = colour_histograms(index, sure, len(histogram) + 1)[:-1]
    known = seen.sum(axis=1, keepdims=True) > 0
    return np.where(known, (1 - _LEARN) * histogram + _LEARN * seen, histogram).astype(np.float32)


def _deaths(state: RegionState, cfg: RegionConfig) -> RegionState:
    """Drop regions (never the background) that cover less than half the least area."""
    count = len(state.ids)
    area = np.bincount(state.belief[:-1].argmax(axis=0).ravel(), minlength=count) / state.unexplained.size
    keep = [k for k in range(count) if k == 0 or area[k] >= cfg.min_area / 2]
    if len(keep) == count:
        return state
    return _select(state, keep)


def _select(state: RegionState, keep: list[int]) -> RegionState:
    belief = state.belief[[*keep, -1]]
    return dataclasses.replace(
        state,
        belief=belief / belief.sum(axis=0),
        histogram=state.histogram[keep],
        ids=tuple(state.ids[k] for k in keep),
    )


def _births(state: RegionState, index: np.ndarray, cfg: RegionConfig) -> RegionState:
    """Make regions of what has stayed unexplained, the largest first, while there are places."""
    old = (state.unexplained >= _PATIENCE).astype(np.uint8)
    least = cfg.min_area * old.size
    count, parts, stats, _ = cv2.connectedComponentsWithStats(old, connectivity=4)
    order = sorted(range(1, count), key=lambda c: -stats[c, cv2.CC_STAT_AREA])
    for part in order:
        if stats[part, cv2.CC_STAT_AREA] < least or len(state.ids) >= cfg.max_regions:
            break
        state = _birth(state, index, parts == part)
    return state


def _birth(state: RegionState, index: np.ndarray, where: np.ndarray) -> RegionState:
    plane = np.where(where, state.belief[-1], 1e-4).astype(np.float32)
    unknown = np.where(where, 1e-4, state.belief[-1]).astype(np.float32)
    counts = np.bincount(index[where], minlength=COLOUR_BINS**3)[None]
    return dataclasses.replace(
        state,
        belief=np.stack([*state.belief[:-1], plane, unknown]),
        histogram=np.vstack([state.histogram, blur_histograms(counts)]).astype(np.float32),
        ids=(*state.ids, state.next_id),
        next_id=_after(state.next_id, [*state.ids, state.next_id]),
        unexplained=np.where(where, 0, state.unexplained).astype(np.float32),
    )


def _draw(state: RegionState, size: tuple[int, int], cfg: RegionConfig) -> np.ndarray:
    """Label map at full size: specks given to their surroundings, outlines smooth."""
    planes = _without_specks(state.belief[:-1], max(1, round(cfg.min_area * state.grey.size)))
    sigma = 1.2 * cfg.smoothness
    if sigma > 0:
        planes = [cv2.GaussianBlur(p, (0, 0), sigma) for p in planes]
    planes = [cv2.resize(p, size[::-1], interpolation=cv2.INTER_LINEAR) for p in planes]
    best, label = planes[0].copy(), np.zeros(size, np.uint8)
    for plane, name in zip(planes[1:], state.ids[1:], strict=True):
        wins = plane > best
        label[wins] = name
        np.maximum(best, plane, out=best)
    return label


def _without_specks(belief: np.ndarray, least: int) -> np.ndarray:
    """Probabilities whose winner has no piece under `least` pixels (two passes catch what the first one makes)."""
    belief = belief.copy()
    for _ in range(2):
        owner = belief.argmax(axis=0)
        for k in range(len(belief)):
            _, parts, stats, _ = cv2.connectedComponentsWithStats(
                (owner == k).astype(np.uint8), connectivity=4
            )
            small = stats[:, cv2.CC_STAT_AREA] < least
            small[0] = False
            if small.any():
                belief[k][small[parts]] = 0
    return belief
