"""Which regions there are: born where nothing explains the picture, joined where they are one thing, dropped."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.semantics import motion
from semjax.semantics.belief import LEAST
from semjax.semantics.fused import largest
from semjax.semantics.partition import COLOUR_BINS, blur_histograms, border_pairs, overlap
from semjax.semantics.region_state import RegionConfig, RegionState

_PATIENCE = 4  # frames that something must stay unexplained before it becomes a region
_NEW_COLOUR = 0.5  # histogram overlap with its surroundings under which a thing is new by colour alone
_NEW_MOTION = 2.0  # pixels of drift against its surroundings that make a thing new
_ONE_THING = 5.0  # kinship, in frames, from which two neighbours are one thing
_FADE = 0.95  # what is left of old kinship after a frame
_NEIGHBOURS = 0.2  # share of the shorter outline that two regions have in common to be joined
_SAME_COLOUR = 0.85  # histogram overlap over which two neighbours look like one
_SEAM = 5.0  # mean Lab difference across a border under which there is no edge
_MAKE_ROOM = 0.6  # histogram overlap over which two neighbours may be joined to make room for a birth


def next_free(used: int, living: list[int]) -> int:
    """The id to give after `used`: ids count up and start again at 1 past 255, passing over the living."""
    following = used % 255 + 1
    while following in living:
        following = following % 255 + 1
    return following


def update_population(
    state: RegionState,
    lab: UInt8[np.ndarray, "h w 3"],
    index: Int[np.ndarray, "h w"],
    flow: Float[np.ndarray, "h w 2"],
    motions: Float[np.ndarray, "K 3 2"],
    cfg: RegionConfig,
) -> RegionState:
    """Joins, deaths and births of one frame `lab` (its `colour_index`) whose regions follow the affine `motions`."""
    border, edge = _borders(_owners(state), lab, len(state.ids))
    state = dataclasses.replace(state, kinship=_kinship(state, border, edge, flow, motions))
    state = _deaths(_joins(state, border), cfg)
    return _births(state, lab, index, cfg)


def _owners(state: RegionState) -> np.ndarray:
    return largest(state.belief[:-1])


def _borders(owner: np.ndarray, lab: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair of regions, the border as a share of the shorter outline, and the mean edge along it."""
    length, edge = np.zeros((2, count, count))
    for axis in (0, 1):
        near, far, step = border_pairs(owner, lab, axis)
        np.add.at(length, (near, far), 1)
        np.add.at(edge, (near, far), step)
    length, edge = length + length.T, edge + edge.T
    outline = length.sum(axis=1)
    shorter = np.maximum(np.minimum(outline[:, None], outline[None]), 1)
    return length / shorter, edge / np.maximum(length, 1)


def _kinship(
    state: RegionState, border: np.ndarray, edge: np.ndarray, flow: np.ndarray, motions: np.ndarray
) -> np.ndarray:
    """Count up the pairs that look like one thing in this frame, count down those that move apart."""
    alike = overlap(state.histogram[:, None], state.histogram[None])
    kinship = state.kinship * _FADE
    owner = _owners(state)[::2, ::2]
    flow = flow[::2, ::2]
    pixels = [owner == k for k in range(len(state.ids))]
    flows = [motion.affine_flow(m, *state.unexplained.shape)[::2, ::2] for m in motions]
    for a, b in zip(*np.nonzero(np.triu(border > _NEIGHBOURS, 1)), strict=True):
        large, small = (a, b) if pixels[a].sum() >= pixels[b].sum() else (b, a)
        where = pixels[small]
        if not where.any():
            continue
        apart = np.median(motion.length(flow[where] - flows[large][where]))
        away = np.median(motion.length(flow[where] - flows[0][where]))
        if apart > max(0.5, 0.5 * away):
            vote = -1.0
        else:
            moving = a != 0 and away > 0.5 and apart < 0.3 * away
            vote = float(moving or alike[a, b] > _SAME_COLOUR or edge[a, b] < _SEAM)
        kinship[a, b] = kinship[b, a] = max(-_ONE_THING, kinship[a, b] + vote)
    return kinship


def _joins(state: RegionState, border: np.ndarray) -> RegionState:
    """Join the pair, at most one a frame, that has proved to be one thing."""
    worth = np.triu(np.where(border > _NEIGHBOURS, state.kinship, 0), 1)
    a, b = np.unravel_index(np.argmax(worth), worth.shape)
    return _join(state, int(a), int(b)) if worth[a, b] >= _ONE_THING else state


def _join(state: RegionState, a: int, b: int) -> RegionState:
    """One region in place of two; the larger one's id lives on, the background's always."""
    area = state.belief[[a, b]].sum(axis=(1, 2))
    keep, gone = (a, b) if a == 0 or (b != 0 and area[0] >= area[1]) else (b, a)
    belief, histogram = state.belief.copy(), state.histogram.copy()
    belief[keep] += belief[gone]
    share = area[[a, b].index(keep)] / area.sum()
    histogram[keep] = share * histogram[keep] + (1 - share) * histogram[gone]
    rest = [k for k in range(len(state.ids)) if k != gone]
    return _select(dataclasses.replace(state, belief=belief, histogram=histogram), rest)


def _deaths(state: RegionState, cfg: RegionConfig) -> RegionState:
    """Drop regions (never the background) that cover less than half the least area."""
    count = len(state.ids)
    area = np.bincount(_owners(state).ravel(), minlength=count) / state.unexplained.size
    return _select(state, [k for k in range(count) if k == 0 or area[k] >= cfg.min_area / 2])


def _select(state: RegionState, keep: list[int]) -> RegionState:
    if len(keep) == len(state.ids):
        return state
    belief = state.belief[[*keep, -1]]
    return dataclasses.replace(
        state,
        belief=belief / belief.sum(axis=0),
        histogram=state.histogram[keep],
        ids=tuple(state.ids[k] for k in keep),
        kinship=state.kinship[np.ix_(keep, keep)],
    )


def _births(state: RegionState, lab: np.ndarray, index: np.ndarray, cfg: RegionConfig) -> RegionState:
    """Make regions of what has stayed unexplained and is coherent, the largest first."""
    old = (state.unexplained >= _PATIENCE).astype(np.uint8)
    least = cfg.min_area * old.size
    count, parts, stats, _ = cv2.connectedComponentsWithStats(old, connectivity=4)
    for part in sorted(range(1, count), key=lambda c: -stats[c, cv2.CC_STAT_AREA]):
        if stats[part, cv2.CC_STAT_AREA] < least:
            break
        where = parts == part
        if not _is_new(state, where, index, lab):
            continue
        if len(state.ids) == cfg.max_regions:
            state = _make_room(state, lab)
        if len(state.ids) < cfg.max_regions:
            state = _birth(state, index, where)
    return state


def _is_new(state: RegionState, where: np.ndarray, index: np.ndarray, lab: np.ndarray) -> bool:
    """Whether a patch differs, in colour or in motion, from the region that would own it otherwise.

    It must also have an edge of its own: flow that is wrong on flat ground makes patches without one.
    """
    owner = _owners(state)
    host = int(np.bincount(owner[where]).argmax())
    around_it = cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    split = np.where(where, 1, np.where(around_it & (owner == host), 0, 2))
    _, edge = _borders(split, lab, 3)
    if edge[0, 1] < 2 * _SEAM:
        return False
    colours = blur_histograms(np.bincount(index[where], minlength=COLOUR_BINS**3)[None])[0]
    if overlap(colours, state.histogram[host]) < _NEW_COLOUR:
        return True
    height, width = where.shape
    around = motion.fit_affine(state.drift, np.where(where, 0, state.belief[host]).astype(np.float32))
    own = motion.fit_affine(state.drift, where.astype(np.float32), step=2)
    around, own = (motion.affine_flow(m, height, width)[where] for m in (around, own))
    away = motion.length(own - around).mean()
    scatter = np.median(motion.length(state.drift[where] - own))
    return bool(away > _NEW_MOTION and scatter < 0.5 * away)


def _make_room(state: RegionState, lab: np.ndarray) -> RegionState:
    """Join the two most alike neighbours if they are alike enough and do not move apart."""
    border, _ = _borders(_owners(state), lab, len(state.ids))
    alike = overlap(state.histogram[:, None], state.histogram[None])
    alike = np.triu(np.where((border > 0) & (state.kinship > -1), alike, 0), 1)
    a, b = np.unravel_index(np.argmax(alike), alike.shape)
    return _join(state, int(a), int(b)) if alike[a, b] > _MAKE_ROOM else state


def _birth(state: RegionState, index: np.ndarray, where: np.ndarray) -> RegionState:
    plane = np.where(where, state.belief[-1], LEAST).astype(np.float32)
    unknown = np.where(where, LEAST, state.belief[-1]).astype(np.float32)
    counts = np.bincount(index[where], minlength=COLOUR_BINS**3)[None]
    return dataclasses.replace(
        state,
        belief=np.stack([*state.belief[:-1], plane, unknown]),
        histogram=np.vstack([state.histogram, blur_histograms(counts)]).astype(np.float32),
        ids=(*state.ids, state.next_id),
        next_id=next_free(state.next_id, [*state.ids, state.next_id]),
        unexplained=np.where(where, 0, state.unexplained).astype(np.float32),
        kinship=np.pad(state.kinship, (0, 1)),
    )
