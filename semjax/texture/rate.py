"""Rate control of the texture encoder: from bytes a frame or decibels to steps.

With look-ahead the clip is coded once at a guess of the step, and once more at a better one, steered while it goes
on: the first pass tells how the bytes spread over the frames, and what a bit costs the encoder follows how far the
second one is off that plan. The knob is a real number: its ceiling is the step index, the fraction below it lowers
what a bit costs, so that the rate moves smoothly.
"""

import copy
import math
from collections.abc import Callable

import numpy as np

from semjax.errors import RateError
from semjax.texture import pixels
from semjax.texture.config import TextureConfig
from semjax.texture.frames import Effort, plan_unit
from semjax.texture.sparing import frames_to_make, left_over
from semjax.texture.unit import STEP_TABLE, STEPS, Ahead, Head, encode_ahead, fill_in

DEFAULT_BYTES = 10.0
SLOPE = 0.046  # log of the bytes for one step index, about
DECIBELS = 0.17  # PSNR for one step index, about
_FRACTION = 0.3  # log of the effort over one step index
_FAR = 0.6  # log of a rate's ratio to the budget from which one more plain pass pays
_SLACK = 0.03  # of the budget: how gently a pass is steered near its end
_STRETCH = 0.7, 0.85, 1.1, 1.2, 1.3, 1.4, 1.4  # by depth: log of a frame's bits over log of all (measured)
_TAIL = 0.3  # of the budget: the part of a pass that is coded again when the pass missed its aim
_RETRIES = 3
_MOST = 12  # step indices by which a steered frame may be off
_STRUCTURE = 0.3  # see Effort, for tune ssim (measured)
_STEADY = 4.0  # see `frames_to_make`, for tune ssim (measured)
_CALMER, _CLEARLY = 12.0, 0.9  # the same once more, and the share of the cost that it must come down to
_NEAR = 0.15  # log of a pass's rate to the budget up to which it tells which frames to make
_SPARE_TRIES = 3  # passes after which it has to
_HOLD = 1.2  # step indices that effort makes up for before the step itself moves
# After every pass: what share of the budget is near enough, and how far below it the next pass aims.
_PASSES = (*[(0.985, 0.006)] * 2, (0.985, 0.01), (0.975, 0.012), (0.96, 0.015), *[(0.9, 0.02)] * 3)
_START = 155.0  # first knob to try for a quality
_TRIES = 6
_GUESS = 180.1, 17.98, 0.64, 8.1, 11.4, 4.9  # of the knob for a rate: a fit to some clips


def effort_of(index: int, fraction: float = 0.0, tune: str = "psnr") -> Effort:
    """Effort for a knob `fraction` (0 to 1) below a step index: coarse steps spare more (measured)."""
    coarse = min(max(math.log2(STEP_TABLE[index] / 16.0 / 50.0) / 2.0, 0.0), 1.0)
    structure = _STRUCTURE if tune == "ssim" else 0.0
    effort = Effort(0.11 + 0.07 * coarse, 0.095 + 0.075 * coarse, 0.17, structure)
    return effort.scaled(math.exp(-_FRACTION * fraction))


def index_of_step(step: float) -> int:
    """Index of the step (in grey levels) nearest to `step`."""
    return int(np.argmin(np.abs(np.log(STEP_TABLE / 16.0) - math.log(step))))


class Landing:
    """Steers a pass over all units so that its bytes come to `aim`: steps and effort follow the plan.

    bits, depths: what every frame cost in an earlier pass, and its depth, in coding order. The plan is the same,
    scaled to the budget; frames between others gain and lose more than those they rest on.
    least, most: bytes in all that are near enough. heads: bytes that are not in the frames.
    """

    def __init__(
        self, bits: list[float], depths: list[int], aim: float, heads: float, least: float, most: float
    ):
        budget = 8 * max(aim - heads, 1.0)
        more = math.log(budget / sum(bits))
        plan = [b * math.exp(more * _STRETCH[d]) for b, d in zip(bits, depths)]
        self._plan = [budget / sum(plan) * p for p in plan]
        self._left, self._ahead = budget, budget
        self._slack, self._tail = _SLACK * budget, _TAIL * budget
        self._next = self._offset = self._retries = 0
        self._missed = 0.0  # bytes that earlier tries of the tail were off, in all
        self._aim, self._least, self._most = aim, least, most  # of the units still to come

    def fork(self) -> "Landing":
        """A copy that goes on independently."""
        return copy.copy(self)

    def steer(self) -> tuple[int, float]:
        """(step indices above the clip's, factor of the effort) for the next frame."""
        ratio = max(self._left + self._slack, 1.0) / (max(self._ahead, 0.0) + self._slack)
        want = min(max(-math.log(ratio) / SLOPE, -_MOST), _MOST)  # in step indices
        if abs(want - self._offset) > _HOLD:
            self._offset = round(want)
        return self._offset, math.exp(_FRACTION * (want - self._offset))

    def take(self, bits: float) -> None:
        """Note what a frame cost."""
        self._left -= bits
        self._ahead -= self._plan[self._next]
        self._next += 1

    def is_last_stretch(self, frames: int) -> bool:
        """Whether only the tail of the clip is left, `frames` in the present unit: what may be coded again."""
        return frames == len(self._plan) - self._next and self._ahead <= self._tail

    def judge(self, size: int) -> float:
        """Bytes by which the clip misses its aim when its last unit has `size` bytes, 0 for near enough."""
        over = self._next < len(self._plan) or self._least <= size <= self._most or self._retries >= _RETRIES
        return 0.0 if over else size - self._aim

    def prefers(self, size: int, other: int) -> bool:
        """Whether the present unit had better have `size` bytes than `other`."""
        return size < other if other > self._most else other < size <= self._most

    def retry(self, tried: "Landing", miss: float) -> "Landing":
        """This state again, after going on from it missed the aim by so many bytes."""
        other = self.fork()
        other._retries, other._missed = tried._retries + 1, tried._missed + miss
        other._left -= 8 * other._missed
        return other

    def spend(self, size: int) -> None:
        """Note the bytes of a finished unit."""
        self._aim, self._least, self._most = (v - size for v in (self._aim, self._least, self._most))


class AheadEncoder:
    """The units of a clip with look-ahead, coded at any knob; what one pass finds speeds up the next."""

    def __init__(self, tiny: np.ndarray, cfg: TextureConfig, span: int, steady: float = _STEADY):
        self.truth = [tiny[i : i + span] for i in range(0, len(tiny), span)]
        self.planes = [pixels.to_planes(t[:: cfg.frame_divisor]) for t in self.truth]
        self.depths = [p.depth for u in self.planes for p in plan_unit(len(u[0]), cfg.group, True)]
        self._size, self._cfg = (tiny.shape[2], tiny.shape[1]), cfg
        self._motion: list[dict[int, np.ndarray]] = [{} for _ in self.truth]  # what the last pass found
        self.made: list[frozenset[int]] = [frozenset()] * len(self.truth)
        self._steady = steady if cfg.tune == "ssim" else 0.0  # see `frames_to_make`
        self._spare_tries = 0
        self.settled = False  # whether the frames to make are chosen for good, see `spare_near`

    def code(self, knob: float, landing: Landing | None = None) -> list[Ahead]:
        """All units at one knob; with `landing`, steered by it."""
        index = min(max(math.ceil(knob), 0), STEPS - 1)
        head = Head(*self._size, True, self._cfg.frame_divisor, self._cfg.group, index)
        effort = effort_of(index, min(max(index - knob, 0.0), 1.0), self._cfg.tune)
        out = []
        for u, planes in enumerate(self.planes):
            made = self.made[u]
            out.append(encode_ahead(planes, head, effort, guess=self._motion[u], landing=landing, made=made))
            self._motion[u] = out[-1].fields
        return out

    def spare(self, coded: list[Ahead]) -> tuple[list[float], float]:
        """Choose which frames are made in place of coding from now on, from a pass that coded all of them.

        Returns (bits of every frame of `coded` in coding order, 0 where it will be made; bytes that this saves).
        """
        bits = []
        for u, (planes, unit) in enumerate(zip(self.planes, coded)):
            plans = unit.head.plans(len(self.truth[u]))
            self.made[u] = frames_to_make(planes, unit.planes, plans, unit.bits, unit.prices, self._steady)
            bits += left_over(plans, unit.bits, self.made[u])
        return bits, (bits_of(coded) - sum(bits)) / 8

    def spare_near(self, coded: list[Ahead], wanted: float) -> tuple[list[float], float]:
        """As `spare`, but until a pass comes near `wanted` bytes with what it leaves out the next codes all again.

        A pass much coarser than what will be sent takes too much for as good as coded, a finer one too little.
        """
        bits, saved = self.spare(coded)
        self._spare_tries += 1
        off = math.log((_size(coded) - saved) / max(wanted, 1.0))
        self.settled = abs(off) < _NEAR or self._spare_tries == _SPARE_TRIES
        if not self.settled:
            self.made = [frozenset()] * len(self.truth)
        return bits, saved

    def code_sparing(self, knob: float) -> list[Ahead]:
        """All units at one knob, without what `spare` leaves out at it."""
        coded = self.code(knob)
        return self.code(knob) if self.spare(coded)[1] else coded

    def unrest(self, coded: list[Ahead]) -> float:
        """Squared error of the brightness of coded units, and of what changes in it from frame to frame."""
        total = 0.0
        for planes, unit in zip(self.planes, coded):
            off = np.subtract(unit.planes[0], planes[0], dtype=np.float32)
            total += float(np.square(off).sum(dtype=np.float64))
            total += _STEADY * float(np.square(np.diff(off, axis=0)).sum(dtype=np.float64))
        return total

    def error(self, coded: list[Ahead]) -> float:
        """Squared error in RGB of coded units."""
        total = 0.0
        for unit, truth in zip(coded, self.truth):
            shown = fill_in(pixels.to_rgb(unit.planes), unit.head, len(truth))
            total += float(np.square(shown.astype(np.float32) - truth, dtype=np.float64).sum())
        return total


def _size(coded: list[Ahead]) -> int:
    return sum(len(unit.payload) for unit in coded)


def bits_of(coded: list[Ahead]) -> float:
    """Bits of all frames of coded units."""
    return sum(sum(unit.bits) for unit in coded)


def _payloads(coded: list[Ahead]) -> list[bytes]:
    return [unit.payload for unit in coded]


def guess_knob(planes: list[list[np.ndarray]], wanted: float) -> float:
    """Knob at which the clip will cost about `wanted` bytes a coded frame, from how busy its brightness is."""
    light = [unit[0] / (1 << pixels.PLANE_BITS) for unit in planes]
    some = [p[::8] for p in light]
    detail = sum(
        float(np.mean([np.abs(np.diff(p, axis=k)).mean() for p in some if p.shape[k] > 1] or [0]))
        for k in (1, 2)
    )
    change = float(np.mean([np.abs(np.diff(p, axis=0)).mean() for p in light if len(p) > 1] or [0]))
    count, h, w = sum(map(len, light)), *light[0].shape[1:]
    rate = math.log(max(wanted * 2304 / (h * w), 0.05))
    at, once, twice, by_detail, by_change, by_count = _GUESS
    knob = at - once * rate - twice * rate * rate - by_count * math.log(count)
    knob += by_detail * math.log(max(detail, 0.5)) + by_change * math.log(max(change, 0.1))
    return round(min(max(knob, 20.0), STEPS - 8.0), 2)


def encode_for_bytes(tiny: np.ndarray, cfg: TextureConfig, span: int, overhead: int) -> list[bytes]:
    """Payloads whose total and `overhead` come closest to the budget from below; RateError when nothing does."""
    encoder = AheadEncoder(tiny, cfg, span)
    coded = _within(encoder, tiny, cfg, overhead)
    if cfg.tune == "ssim" and coded and any(encoder.made):
        # What is made is chosen by a pass that still had everything, and now and then comes out far worse than it said.
        again = AheadEncoder(tiny, cfg, span, _CALMER)
        other = _within(again, tiny, cfg, overhead)
        coded = other if other and again.unrest(other) < _CLEARLY * encoder.unrest(coded) else coded
    if coded:
        return _payloads(coded)
    least = encode_at(tiny, cfg, span, STEPS - 1.0)
    wanted = cfg.bytes_per_frame or DEFAULT_BYTES
    if sum(map(len, least)) > int(wanted * len(tiny)) - overhead:
        raise rate_error(wanted, len(tiny), sum(map(len, least)) + overhead)
    return least


def _within(encoder: AheadEncoder, tiny: np.ndarray, cfg: TextureConfig, overhead: int) -> list[Ahead] | None:
    """The units that come closest to the budget from below; None when no pass does."""
    wanted = cfg.bytes_per_frame or DEFAULT_BYTES
    budget = int(wanted * len(tiny)) - overhead
    knob = guess_knob(encoder.planes, wanted * cfg.frame_divisor)
    best, landing, before, slope = None, None, None, SLOPE
    low, high = -1.0, STEPS + 0.0  # knobs that turned out too fine and coarse enough
    for near, margin in _PASSES:
        coded = encoder.code(knob, landing)
        size = _size(coded)
        bits, saved = [b for unit in coded for b in unit.bits], 0.0
        heads = size - sum(bits) / 8
        if not encoder.settled:
            bits, saved = encoder.spare_near(coded, budget)
        if saved:
            size -= saved
        else:
            if size <= budget and (best is None or size > _size(best)):
                best = coded
            if near * budget - 1 <= size <= budget or (knob >= STEPS - 1 and size > budget):
                break
            low, high = (max(low, knob), high) if size > budget else (low, min(high, knob))
        if before is not None and abs(before[0] - knob) > 0.5:
            slope = min(max(math.log(before[1] / size) / (knob - before[0]), SLOPE / 2), 8 * SLOPE)
        before = knob, size
        want = (1 - margin) * budget
        off = math.log(size / max(want, 1))
        knob = round(min(max(knob + off / slope, 0.0), STEPS - 1.0), 2)
        if not low < knob < high:
            knob = round((max(low, 0.0) + min(high, STEPS - 1.0)) / 2, 2)
        landing = None
        if encoder.settled and abs(off) < _FAR:  # else the pass codes frames that the plan has no bits for
            landing = Landing(bits, encoder.depths, want, heads, near * budget - 1, budget)
    return best


def rate_error(wanted: float, frames: int, least: int) -> RateError:
    """The error for a rate below `least` bytes."""
    return RateError(
        f"{wanted:g} bytes a frame cannot be met for the texture: these {frames} frames need at least "
        f"{least / frames:.2f}; raise the rate, the span or the frame divisor"
    )


def _seek(value: Callable[[float], float], target: float, slope: float, near: float, start: float) -> float:
    """Greatest knob (0..255) found with value(knob) >= target, or 0; `value` falls by about `slope` for one.

    Stops as soon as a value lies within `near` above the target.
    """
    low, high = 0.0, STEPS + 0.0  # knobs known (or hoped, at the ends) to lie below the target and above it
    knob, best, aim = start, 0.0, target + near / 2
    before = None  # the try before the last one
    for _ in range(_TRIES):
        v = value(knob)
        if v >= target:
            best = low = knob
            if v - target <= near or knob >= STEPS - 1:
                return knob
        else:
            high = knob
        if before is not None and abs(before[0] - knob) > 0.2:
            slope = min(max((before[1] - v) / (knob - before[0]), slope / 2), slope * 2)
        before = knob, v
        knob = round(min(max(knob + (v - aim) / slope, 0.0), STEPS - 1.0), 2)
        if high - low < 0.12:
            break
        if not low < knob < high:
            knob = round((low + high) / 2, 2)
    return best


def encode_for_psnr(tiny: np.ndarray, cfg: TextureConfig, span: int) -> list[bytes]:
    """Payloads that reach cfg.psnr with few bytes; the finest step when nothing does."""
    encoder = AheadEncoder(tiny, cfg, span)
    tried: dict[float, list[bytes]] = {}

    def quality(knob: float) -> float:
        coded = encoder.code(knob) if tried else encoder.code_sparing(knob)
        tried[knob] = _payloads(coded)
        return 10 * math.log10(255.0**2 * tiny.size / max(encoder.error(coded), 1e-9))

    knob = _seek(quality, cfg.psnr, DECIBELS, 0.1, _START)
    return tried[knob] if knob in tried else encode_at(tiny, cfg, span, knob)


def encode_at(tiny: np.ndarray, cfg: TextureConfig, span: int, knob: float) -> list[bytes]:
    """Payloads with look-ahead at one knob."""
    return _payloads(AheadEncoder(tiny, cfg, span).code_sparing(knob))
