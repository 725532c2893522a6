"""Which frames the encoder leaves out: those that `between` makes well enough for no bits."""

import functools

import numpy as np

from semjax.texture import between, motion
from semjax.texture.frames import Plan

_WORTH = 0.8  # what squared error of a made frame counts for over that of a coded one


def frames_to_make(
    truth: list[np.ndarray],
    coded: list[np.ndarray],
    plans: tuple[Plan, ...],
    bits: list[float],
    prices: list[float],
) -> frozenset[int]:
    """Choose what to make in place of coding, from the distortion and the bits of a pass that coded everything.

    Args:
        truth, coded: three planes int32 [n, h, w], the frames of a unit before and after.
        plans: its coding order. bits, prices: of every frame there, see `unit.Ahead`.

    Returns:
        The frames in whose place all between their references are to be made.
    """
    between_refs = {(p.first, p.second): k for k, p in enumerate(plans) if p.klass > 1}

    def error(planes, t) -> float:
        pairs = ((p, whole[t]) for p, whole in zip(planes, truth))
        return sum(float(np.square((p - q).astype(np.float32)).sum(dtype=np.float64)) for p, q in pairs)

    @functools.cache
    def end(t):
        padded = motion.pad_planes([np.ascontiguousarray(p[t]) for p in coded])
        return padded, motion.quarters(padded[0])

    def least(a, b) -> tuple[float, frozenset[int]]:
        """What the frames between a and b cost at least, and which of them to make for that."""
        if (a, b) not in between_refs:
            return 0.0, frozenset()
        k = between_refs[a, b]
        t = plans[k].frame
        left, right = least(a, t), least(t, b)
        cost = error([p[t] for p in coded], t) + prices[k] * bits[k] + left[0] + right[0]
        made = left[1] | right[1]
        if made or b - a == 2:  # else not even what is nearer can be made
            (first, up0), (second, up1) = end(a), end(b)
            found = between.find_motion(up0, up1, *coded[0].shape[1:])
            frames = between.make_frames(first, second, found, b - a)
            other = _WORTH * sum(error(planes, a + 1 + i) for i, planes in enumerate(frames))
            if other < cost:
                return other, frozenset([t])
        return cost, made

    return frozenset().union(*(least(p.first, p.second)[1] for p in plans if p.klass > 1 and p.depth == 2))


def left_over(plans: tuple[Plan, ...], bits: list[float], made: frozenset[int]) -> list[float]:
    """The bits of every frame, 0 for those that are made (see `frames_to_make`)."""
    spans = [(p.first, p.second) for p in plans if p.frame in made]
    return [0.0 if any(a < p.frame < b for a, b in spans) else n for p, n in zip(plans, bits)]
