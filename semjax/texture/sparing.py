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
    steady: float = 0.0,
) -> frozenset[int]:
    """Choose what to make in place of coding, from the distortion and the bits of a pass that coded everything.

    Args:
        truth, coded: planes int32 [n, h, w], the frames of a unit before and after; the first, brightness, decides.
        plans: its coding order. bits, prices: of every frame there, see `unit.Ahead`.
        steady: what the squared change of the error from one frame to the next counts for over the squared error.

    Returns:
        The frames in whose place all between their references are to be made.
    """
    light, size = truth[0], coded[0].shape[1:]
    at = {(p.first, p.second): k for k, p in enumerate(plans) if p.klass > 1}

    def off(brightness, t) -> np.ndarray:
        return (brightness - light[t]).astype(np.float32)

    @functools.cache
    def coded_off(t) -> np.ndarray:
        return off(coded[0][t], t)

    def change(before, after) -> float:
        return steady * _energy(after - before) if steady else 0.0

    @functools.cache
    def end(t):
        padded = motion.pad_plane(np.ascontiguousarray(coded[0][t]), motion.EDGE)
        return (padded,), motion.quarters(padded)

    def made_error(a, b, most) -> float:
        """Error of making all between a and b; some number from `most` on if it is that."""
        (first, up0), (second, up1) = end(a), end(b)
        frames = between.make_frames(first, second, between.find_motion(up0, up1, *size), b - a, size)
        total, before = 0.0, coded_off(a)
        for t, (brightness,) in enumerate(frames, a + 1):
            now = off(brightness, t)
            total += _WORTH * _energy(now) + change(before, now)
            if total >= most:
                return total
            before = now
        return total + change(before, coded_off(b))

    def least(a, b) -> tuple[float, frozenset[int]]:
        """What the frames between a and b cost at least, and which of them to make for that."""
        if (a, b) not in at:
            return change(coded_off(a), coded_off(b)), frozenset()
        k = at[a, b]
        t = plans[k].frame
        left, right = least(a, t), least(t, b)
        cost = _energy(coded_off(t)) + prices[k] * bits[k] + left[0] + right[0]
        made = left[1] | right[1]
        if made or b - a == 2:  # else not even what is nearer can be made
            other = made_error(a, b, cost)
            if other < cost:
                return other, frozenset([t])
        return cost, made

    return frozenset().union(*(least(p.first, p.second)[1] for p in plans if p.klass > 1 and p.depth == 2))


def _energy(plane: np.ndarray) -> float:
    """Sum of squares."""
    return float(np.square(plane).sum(dtype=np.float64))


def left_over(plans: tuple[Plan, ...], bits: list[float], made: frozenset[int]) -> list[float]:
    """The bits of every frame, 0 for those that are made (see `frames_to_make`)."""
    spans = [(p.first, p.second) for p in plans if p.frame in made]
    return [0.0 if any(a < p.frame < b for a, b in spans) else n for p, n in zip(plans, bits)]
