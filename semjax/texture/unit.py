"""One unit: a run of frames as a payload that decodes alone (normative text: docs/texture.md)."""

import copy
import dataclasses
from typing import NamedTuple

import numpy as np

from semjax._varint import read_varint, write_varint
from semjax.entropy import binary as eb
from semjax.errors import StreamError
from semjax.texture import pixels, tables
from semjax.texture.config import MAX_HEIGHT
from semjax.texture.frames import Effort, FrameCoder, Plan, plan_unit

VERSION = 1
STEPS = 256
# Step of a depth in 1/64 of the unit's step, with look-ahead and without.
RATIOS = {True: (42, 58, 76, 88, 98, 106, 106), False: (45, 52, 64, 70)}
_LOW_LATENCY, _DIVISOR, _MAKES = 8, 16, 128
_MADE = 500  # block model of the flag of `code_made` for depth 0; depths begin at 2
_COARSER = (0, 0, 2, 4, 8, 10, 10)  # step indices by depth where structure is looked at (measured)


def step_size(index: int) -> int:
    """Quantiser step of an index, in plane units of 1/16 grey level: 16 * 2^(index / 24), exact."""
    whole, part = divmod(index, 24)
    low, high = 0, 1 << 9  # 16 * 2^(23/24) = 31.08: the answer for `part` in 1/8 units
    while high - low > 1:
        mid = (low + high) // 2
        low, high = (mid, high) if mid**24 <= (16 * 8) ** 24 << part else (low, mid)
    return (low << whole) >> 3


STEP_TABLE = np.array([step_size(i) for i in range(STEPS)], np.int64)


@dataclasses.dataclass(frozen=True)
class Head:
    """What a payload says before its body."""

    width: int
    height: int
    lookahead: bool
    divisor: int
    group: int
    index: int  # of the step
    makes: bool = False  # whether frames between two others may be made from these alone

    def plans(self, frames: int):
        """Coding order of the frames that are coded out of `frames`."""
        return plan_unit(-(-frames // self.divisor), self.group, self.lookahead)

    def step(self, index: int, depth: int) -> int:
        """Step of a frame of `depth` in a unit of step `index`."""
        return max(16, int(STEP_TABLE[index]) * RATIOS[self.lookahead][depth] >> 6)


def write_head(head: Head) -> bytes:
    """Bytes of a head."""
    group = head.group.bit_length() - 4
    first = VERSION | (not head.lookahead) * _LOW_LATENCY | (head.divisor > 1) * _DIVISOR | group << 5
    first |= head.makes * _MAKES
    divisor = bytes([head.divisor]) if head.divisor > 1 else b""
    return bytes([first, head.width - 1]) + write_varint(head.height - 1) + divisor + bytes([head.index])


def read_head(payload: bytes) -> tuple[Head, int]:
    """Head of a payload and where its body starts; StreamError when it makes no sense."""
    both = _MAKES | _LOW_LATENCY  # senseless: low latency has nothing ahead to make frames from
    if len(payload) < 2 or payload[0] & 7 != VERSION or payload[0] & both == both:
        got = payload[:1].hex() or "nothing"
        raise StreamError(
            f"texture unit: version {VERSION} expected, got {got}; the data is damaged or too new"
        )
    height, pos = read_varint(payload, 2, MAX_HEIGHT - 1, "texture unit: height")
    divisor = 1
    if payload[0] & _DIVISOR:
        divisor = payload[pos] if pos < len(payload) else 0
        pos += 1
    if pos >= len(payload) or not divisor:
        raise StreamError("texture unit: the head is truncated or damaged; fetch the stream again")
    low = bool(payload[0] & _LOW_LATENCY)
    group, makes = 8 << (payload[0] >> 5 & 3), bool(payload[0] & _MAKES)
    head = Head(payload[1] + 1, height + 1, not low, divisor, group, payload[pos], makes)
    return head, pos + 1


def _clamped(index: int) -> int:
    """The nearest step index there is."""
    return min(max(index, 0), STEPS - 1)


class Ahead(NamedTuple):
    """A unit coded with look-ahead: `planes` as they will be decoded, and what its frames took.

    fields: motion field by frame, of those that have one; bits: cost of every frame in coding order; prices: what a
    bit was worth in each of them, in squared error of the planes (0 where nothing was coded).
    """

    payload: bytes
    head: Head
    planes: list[np.ndarray]
    fields: dict[int, np.ndarray]
    bits: list[float]
    prices: list[float]


class _Run:
    """A unit being coded with look-ahead: everything that changes from frame to frame."""

    def __init__(self, planes: list[np.ndarray], head: Head, models: tables.Models, made: frozenset[int]):
        self.head, self.plans = head, plan_unit(len(planes[0]), head.group, True)
        self._truth, self._made, self._filled = planes, made, set()
        self._coder, self._buf = eb.new_encoder(1 << 14)
        self._frames = FrameCoder(head.height, head.width, self.plans, models, head.makes)
        self._index = head.index
        self._out = [np.empty_like(p) for p in planes]
        self._fields: dict[int, np.ndarray] = {}
        self._bits: list[float] = []
        self._prices: list[float] = []

    def fork(self) -> "_Run":
        """A copy that goes on independently."""
        other = copy.copy(self)
        other._coder, other._buf, other._frames = self._coder.copy(), self._buf.copy(), self._frames.fork()
        other._out, other._fields = [p.copy() for p in self._out], dict(self._fields)
        other._bits, other._prices, other._filled = list(self._bits), list(self._prices), set(self._filled)
        return other

    def frame(self, plan: Plan, index: int, effort: Effort, guess: np.ndarray | None) -> float:
        """Make the next frame or code it, with step `index` (the unit's for the first); returns its bits."""
        before, price = eb.written_bits(self._coder), 0.0
        if self.head.makes and plan.klass > 1 and plan.frame not in self._filled:
            made = plan.frame in self._made
            code_made(self._coder, self._buf, self._frames.models, plan, made)
            if made:
                for t, planes in self._frames.between(plan).items():
                    self._filled.add(t)
                    self._show(t, planes)
        if plan.frame in self._filled:
            self._frames.skip(plan)
        else:
            price = self._code(plan, index, effort, guess)
        self._prices.append(price)
        self._bits.append(eb.written_bits(self._coder) - before)
        return self._bits[-1]

    def _code(self, plan, index, effort, guess) -> float:
        """Code a frame; returns what a bit was worth."""
        truth = tuple(np.ascontiguousarray(p[plan.frame]) for p in self._truth)
        if self._bits:
            self._index = code_index(self._coder, self._buf, self._frames.models, index, self._index, True)
        step = self.head.step(self._index, plan.depth)
        coded, self._buf = self._frames.code(self._coder, self._buf, plan, step, truth, effort, guess)
        self._frames.keep(plan, coded)
        self._fields[plan.frame] = coded.field
        self._show(plan.frame, coded.planes)
        return effort.light * step**2

    def _show(self, t: int, planes):
        for out, plane in zip(self._out, planes):
            out[t] = plane

    def result(self) -> Ahead:
        """What was coded."""
        payload = write_head(self.head) + eb.finish(self._coder, self._buf)
        return Ahead(payload, self.head, self._out, self._fields, self._bits, self._prices)


def encode_ahead(
    planes: list[np.ndarray],
    head: Head,
    effort: Effort,
    models: tables.Models | None = None,
    guess=None,
    landing=None,
    made: frozenset[int] = frozenset(),
) -> Ahead:
    """Code a unit with look-ahead.

    Args:
        planes: int32 [n, h, w] each, the frames that are coded.
        head: settings. effort: what bits are worth.
        models: start from these and teach them (training); by default the shipped ones.
        guess: the motion fields that an earlier call returned for these frames.
        landing: `rate.Landing`, which steers steps and effort from frame to frame; the last frames of a clip are
            coded again where that brings its bytes nearer to the budget.
        made: frames that are made from their two references, and with them all others between these.
    """
    head = dataclasses.replace(head, makes=bool(made))
    base, saved = head.index, None
    if landing:
        head = dataclasses.replace(head, index=_clamped(base + landing.steer()[0]))
    run = _Run(planes, head, models or tables.trained(), made)
    first, best = 0, None
    while True:
        for k in range(first, len(run.plans)):
            if landing and saved is None and landing.is_last_stretch(len(run.plans) - k):
                saved = k, run.fork(), landing.fork()
            plan = run.plans[k]
            offset, factor = landing.steer() if landing else (0, 1.0)
            offset += _COARSER[plan.depth] if effort.structure else 0
            old = guess.get(plan.frame) if guess else None
            bits = run.frame(plan, _clamped(base + offset), effort.scaled(factor), old)
            if landing:
                landing.take(bits)
        coded = run.result()
        if not landing:
            return coded
        miss = landing.judge(len(coded.payload))
        if best is None or landing.prefers(len(coded.payload), len(best.payload)):
            best = coded
        if not saved or not miss:
            landing.spend(len(best.payload))
            return best
        first, run, landing = saved[0], saved[1].fork(), saved[2].retry(landing, miss)


def code_index(coder, buf, models: tables.Models, index: int, before: int, lookahead: bool) -> int:
    """Code the step index of a frame relative to the one coded before; clamped to 0..255."""
    change = eb.code_signed(coder, buf, index - before, models.blocks, 452 if lookahead else 400, 0, 60)
    return _clamped(before + int(change))


def code_made(coder, buf, models: tables.Models, plan: Plan, made: bool = False) -> bool:
    """Code whether a frame, and all others between its references, are made from these."""
    return bool(eb.code_adaptive(coder, buf, made, models.blocks, _MADE + plan.depth, 60))


def decode_unit(payload: bytes, frames: int) -> tuple[np.ndarray, int]:
    """Decode one payload: (uint8 [frames, h, w, 3], how many of them arrived).

    A low-latency payload that ends early holds its last frame. Raises StreamError for a senseless head.
    """
    return decode_with_steps(payload, frames)[:2]


def decode_with_steps(payload: bytes, frames: int) -> tuple[np.ndarray, int, np.ndarray]:
    """As `decode_unit`, and the quantiser's step in grey levels of every frame, infinite for one that was made."""
    head, pos = read_head(payload)
    plans = head.plans(frames)
    state = FrameCoder(head.height, head.width, plans, tables.trained(), head.makes)
    kept = np.full((len(plans), head.height, head.width, 3), 128, np.uint8)
    steps = np.full(len(plans), np.inf, np.float32)
    index, arrived = head.index, frames
    coder, buf = eb.new_decoder(payload[pos:])
    filled = set()
    for k, plan in enumerate(plans):
        if not head.lookahead:
            try:
                size, pos = read_varint(payload, pos, len(payload), "texture frame")
            except StreamError:
                kept[k:] = kept[k - 1] if k else 128
                arrived = min(k * head.divisor, frames)
                break
            coder, buf = eb.new_decoder(payload[pos : pos + size])
            pos += size
        ask = head.makes and plan.klass > 1 and plan.frame not in filled
        if ask and code_made(coder, buf, state.models, plan):
            for t, planes in state.between(plan).items():
                filled.add(t)
                kept[t] = pixels.to_rgb([p[None] for p in planes])[0]
        if plan.frame in filled:
            state.skip(plan)
            continue
        if k:
            index = code_index(coder, buf, state.models, 0, index, head.lookahead)
        step = head.step(index, plan.depth)
        coded, _ = state.code(coder, buf, plan, step)
        state.keep(plan, coded)
        steps[plan.frame] = step / (1 << pixels.PLANE_BITS)
        kept[plan.frame] = pixels.to_rgb([p[None] for p in coded.planes])[0]
    between = np.full(frames, np.inf, np.float32)
    between[:: head.divisor] = steps
    return fill_in(kept, head, frames), arrived, between


def fill_in(kept: np.ndarray, head: Head, frames: int) -> np.ndarray:
    """All frames of a unit from the coded ones: held after a low-latency frame, blended with look-ahead."""
    divisor = head.divisor
    if divisor == 1:
        return kept
    at = np.arange(frames)
    left, part = at // divisor, (at % divisor)[:, None, None, None]
    if not head.lookahead:
        return kept[left]
    right = np.minimum(left + 1, len(kept) - 1)
    mix = kept[left].astype(np.int32) * (divisor - part) + kept[right].astype(np.int32) * part
    return ((mix + divisor // 2) // divisor).astype(np.uint8)
