"""Frames of a unit in coding order, each predicted from one or two others: the loop of encoder and decoder."""

import copy
import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from semjax.entropy import binary as eb
from semjax.texture import between, blocks, motion
from semjax.texture.blocks import code_square
from semjax.texture.choose import choose_square
from semjax.texture.deblock import deblock
from semjax.texture.motion import BLOCK, CANDIDATES, candidates, code_motion
from semjax.texture.pixels import plane_sizes
from semjax.texture.search import search
from semjax.texture.tables import Models
from semjax.texture.transform import segments

SQUARE = 16  # a frame is cut into squares of about this many samples
_CALM = 4096.0  # variance in (1/16 grey level)^2 that counts as none
_UNEVEN = 1.2  # log of the most and the least that a bit may be worth in a square
_NO_GUESS = np.zeros((0, 0, 5), np.int32)
KEY = 4  # low latency: every fourth frame is a better one that the next three refer to


@dataclasses.dataclass(frozen=True)
class Plan:
    """One frame's place in the coding order: its number, its references (-1: none), class and depth.

    Classes choose models: 0 intra, 1 anchor, 2 in between, 3 in between and never a reference. The depth chooses
    the step: frames that many others rest on are coded finer.
    """

    frame: int
    first: int
    second: int
    klass: int
    depth: int


@functools.lru_cache(maxsize=64)
def plan_unit(count: int, group: int, lookahead: bool) -> tuple[Plan, ...]:
    """Coding order of the `count` frames of a unit.

    With look-ahead the unit is cut into equal groups of at most `group` frames. The border of groups nearest to the
    middle is intra; from there the groups are coded outwards, each far border first and then halving what is
    between. Without look-ahead, frames come in order.
    """
    if not lookahead:
        out = [Plan(0, -1, -1, 0, 0)]
        for t in range(1, count):
            key = (t - 1) // KEY * KEY
            second = key if key < t - 1 else t - 2
            depth = 1 if t % KEY == 0 else 3 - (t % KEY == KEY // 2)
            out.append(Plan(t, t - 1, max(second, -1), 1 if depth == 1 else 2, depth))
        return tuple(out)
    groups = -(-(count - 1) // group)
    ends = [(count - 1) * k // groups for k in range(groups + 1)] if groups else [0]
    middle = len(ends) // 2 if groups > 1 else 0
    out = [Plan(ends[middle], -1, -1, 0, 0)]

    def between(a: int, b: int, depth: int):
        if b - a < 2:
            return
        t = (a + b) // 2
        out.append(Plan(t, a, b, 2 if b - a > 2 else 3, min(depth, 6)))
        between(a, t, depth + 1)
        between(t, b, depth + 1)

    for k in range(middle + 1, len(ends)):
        out.append(Plan(ends[k], ends[k - 1], -1, 1, 1))
        between(ends[k - 1], ends[k], 2)
    for k in range(middle - 1, -1, -1):
        out.append(Plan(ends[k], ends[k + 1], -1, 1, 1))
        between(ends[k], ends[k + 1], 2)
    return tuple(out)


@dataclasses.dataclass(frozen=True)
class Effort:
    """What a bit is worth in units of the squared step: for brightness levels, colour levels and motion.

    structure: power of a square's variance by which it is worth more there; 0: the same everywhere.
    """

    light: float
    colour: float
    motion: float
    structure: float = 0.0

    def scaled(self, factor: float) -> "Effort":
        """The first three times `factor`."""
        return dataclasses.replace(
            self, light=self.light * factor, colour=self.colour * factor, motion=self.motion * factor
        )


@njit(cache=True)
def _patience(light, cuts_y, cuts_x, power):
    """What a bit is worth in every square over what it is worth in all: more where much goes on, `power` of the
    variance, since structure is seen relative to the contrast around it (Wang et al. 2004, SSIM)."""
    out = np.zeros((cuts_y.size - 1, cuts_x.size - 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            square = light[cuts_y[i] : cuts_y[i + 1], cuts_x[j] : cuts_x[j + 1]].astype(np.float64)
            out[i, j] = power * np.log(square.var() + _CALM)
    out -= out.mean()
    return np.exp(np.minimum(np.maximum(out, -_UNEVEN), _UNEVEN))


@njit(cache=True, nogil=True)
def _code_frame(
    coder, buf, levels, motion_models, block_models, field, choice, hint, first, second, d0, d1, klass, cuts_y,
    cuts_x, split, modes, q, prev, org, rec, inter, step, lam, scratch, encoding, pricer, guess,
    around, up0, up1,
):  # fmt: skip
    """Code one frame; when encoding decide everything first. Returns buf."""
    h, w = rec[0].shape
    if klass > 0:
        if encoding:
            search(
                pricer, buf, motion_models, field, choice, hint, around, up0, up1, d0, d1, klass, lam[2], guess, (h, w),
            )  # fmt: skip
        found = np.zeros((CANDIDATES, 5), np.int32)
        for i in range(field.shape[0]):
            buf = eb.reserve(coder, buf, 160 * field.shape[1])
            for j in range(field.shape[1]):
                n = candidates(found, field, i, j, hint, d0, d1, h, w)
                code_motion(coder, buf, motion_models, 1, field, choice, i, j, found, n, d0, d1, klass, h, w)
        motion.predict(inter, field, first, second)
    patience = _patience(org[0], cuts_y, cuts_x, lam[3]) if encoding else np.ones((1, 1))
    for i in range(cuts_y.size - 1):
        for j in range(cuts_x.size - 1):
            if encoding:
                choose_square(
                    pricer, buf, levels, block_models, i, j, cuts_y, cuts_x, split, modes, q, prev, org, rec, inter,
                    klass, step, lam[0] * patience[i, j], lam[1] * patience[i, j], scratch,
                )  # fmt: skip
            buf = eb.reserve(coder, buf, 64 * 2 * blocks.MOST**2)
            code_square(
                coder, buf, levels, block_models, 1, i, j, cuts_y, cuts_x, split, modes, q, prev, rec, inter, klass,
                step, scratch,
            )  # fmt: skip
    return buf


@njit(cache=True)
def _velocity(field, d0, d1):
    """Hint for later frames: int32 [rows, cols, 3], (1, vy, vx) in 1/16 quarter sample a frame."""
    out = np.ones((field.shape[0], field.shape[1], 3), np.int32)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for k in range(2):
                a, b = field[i, j, 1 + k], field[i, j, 3 + k]
                if field[i, j, 0] == 0:
                    v = -16 * a // d0
                elif field[i, j, 0] == 1:
                    v = -16 * b // d1
                else:
                    v = (-16 * a // d0 + -16 * b // d1) >> 1
                out[i, j, 1 + k] = v
    return out


class Coded(NamedTuple):
    """A coded frame: its planes, its levels (int32 each), the velocity of its blocks (None: intra), its motion."""

    planes: tuple[np.ndarray, ...]
    levels: tuple[np.ndarray, ...]
    velocity: np.ndarray | None
    field: np.ndarray


class _Reference(NamedTuple):
    """A kept frame: padded planes, its brightness between samples where needed, the velocity of its blocks."""

    planes: tuple[np.ndarray, ...]
    quarters: np.ndarray
    velocity: np.ndarray | None


class FrameCoder:
    """What encoder and decoder of one unit remember between frames: `code` the next one, then `keep` it."""

    def __init__(self, h: int, w: int, plans: tuple[Plan, ...], models: Models, makes: bool = False):
        self.models, self._makes = models, makes  # makes: see `unit.Head`
        self._shapes = plane_sizes(h, w)
        self._cuts = [np.array([0, *(b for _, b in segments(n, SQUARE))], np.int64) for n in (h, w)]
        self._grid = (-(-h // BLOCK), -(-w // BLOCK))
        self._scratch = np.zeros((11, blocks.MOST, blocks.MOST), np.int64)
        self._pricer, _ = eb.new_pricer()
        self._zeros = tuple(np.zeros(s, np.int32) for s in self._shapes)
        self._inter = tuple(np.zeros((2, *s), np.int32) for s in self._shapes)
        self._nothing = _Reference(self._zeros, np.zeros((4, 4, 1, 1), np.int16), None)
        self._memory: dict[int, _Reference] = {}
        self._encoding = False  # whether references are searched
        self._levels = self._zeros
        self._last_use = {}
        for k, plan in enumerate(plans):
            self._last_use[plan.first] = self._last_use[plan.second] = k
        self._done = 0

    def fork(self) -> "FrameCoder":
        """A copy that goes on independently."""
        other = copy.copy(self)
        other.models, other._memory = self.models.copy(), dict(self._memory)
        return other

    def code(self, coder, buf, plan: Plan, step: int, truth=None, effort: Effort | None = None, guess=None):
        """Code one frame; the models learn, but the frame is no reference before `keep` was called.

        Args:
            coder, buf: from `semjax.entropy.binary`.
            plan: which frame this is.
            step: quantiser step in 1/16 grey level.
            truth: the three planes int32 when encoding, None when decoding.
            effort: what bits are worth; needed when encoding.
            guess: motion found for this frame at another rate (int32 [rows, cols, 5]); saves most of the search.

        Returns:
            (the frame as coded, buf); the frame's `planes` are three int32 [h, w].
        """
        refs = [r for r in (plan.first, plan.second) if r >= 0]
        first = self._memory[refs[0]] if refs else self._nothing
        second = self._memory[refs[1]] if len(refs) > 1 else first
        d0 = plan.frame - refs[0] if refs else 1
        d1 = plan.frame - refs[1] if len(refs) > 1 else 0
        hint = np.zeros((*self._grid, 3), np.int32)
        for r in refs:
            if self._memory[r].velocity is not None:
                hint = self._memory[r].velocity
        if self._makes and plan.klass > 1:
            hint = between.hints_of(self._motion_between(plan), plan.second - plan.first)
        field, choice = np.zeros((*self._grid, 5), np.int32), np.zeros(self._grid, np.int32)
        rows, cols = (c.size - 1 for c in self._cuts)
        split, modes = np.zeros((rows, cols), np.int64), np.zeros((2 * rows, 2 * cols), np.int64)
        levels, planes = (tuple(np.zeros(s, np.int32) for s in self._shapes) for _ in range(2))
        lam, around = np.zeros(4), self._zeros[0]
        if truth is not None:
            around = motion.pad_plane(truth[0], motion.EDGE)
            lam[:3] = (effort.light, effort.colour, effort.motion)
            lam *= float(step) ** 2
            lam[3] = effort.structure
        models, self._encoding = self.models, truth is not None
        truth = self._zeros if truth is None else truth
        buf = _code_frame(
            coder, buf, models.levels, models.motion, models.blocks, field, choice, hint, first.planes, second.planes,
            d0, d1, plan.klass, *self._cuts, split, modes, levels, self._levels, truth, planes, self._inter, step, lam,
            self._scratch, self._encoding, self._pricer, _NO_GUESS if guess is None else guess, around,
            first.quarters, second.quarters,
        )  # fmt: skip
        planes = deblock(planes, levels, *self._cuts, split, modes, step)
        return Coded(planes, levels, _velocity(field, d0, d1) if plan.klass else None, field), buf

    def between(self, plan: Plan) -> dict[int, tuple[np.ndarray, ...]]:
        """Planes of all frames between the two references of a frame, made from these alone."""
        ends = self._memory[plan.first].planes, self._memory[plan.second].planes
        gap = plan.second - plan.first
        made = between.make_frames(*ends, self._motion_between(plan), gap, self._shapes[0])
        return dict(enumerate(made, plan.first + 1))

    def _motion_between(self, plan: Plan) -> np.ndarray:
        ends = self._memory[plan.first].quarters, self._memory[plan.second].quarters
        return between.find_motion(*ends, *self._shapes[0])

    def keep(self, plan: Plan, coded: Coded) -> None:
        """Remember a frame as long as later ones refer to it, and forget what none will refer to any more."""
        if self._last_use.get(plan.frame, -1) > self._done:
            padded = motion.pad_planes(coded.planes)
            needed = self._encoding or self._makes
            quarters = motion.quarters(padded[0]) if needed else self._nothing.quarters
            self._memory[plan.frame] = _Reference(padded, quarters, coded.velocity)
        if plan.klass:
            self._levels = coded.levels
        self.skip(plan)

    def skip(self, plan: Plan) -> None:
        """Go on without a frame: it was made by `between`, and none refers to it."""
        for r in (plan.first, plan.second):
            if self._last_use[r] <= self._done:
                self._memory.pop(r, None)
        self._done += 1
