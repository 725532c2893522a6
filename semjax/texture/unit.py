"""One unit: a run of frames as a payload that decodes alone (normative text: docs/texture.md)."""

import dataclasses

import numpy as np

from semjax._varint import read_varint, write_varint
from semjax.entropy import binary as eb
from semjax.errors import StreamError
from semjax.texture import pixels, tables
from semjax.texture.config import MAX_HEIGHT
from semjax.texture.frames import Effort, FrameCoder, plan_unit

VERSION = 1
STEPS = 256
GROUP = 16  # frames between anchors; the payload can say 8, 16, 32 or 64
# Step of a depth in 1/64 of the unit's step, with look-ahead and without.
RATIOS = {True: (42, 58, 76, 88, 98, 106, 106), False: (45, 52, 64, 70)}
_LOW_LATENCY, _DIVISOR = 8, 16


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
    divisor = bytes([head.divisor]) if head.divisor > 1 else b""
    return bytes([first, head.width - 1]) + write_varint(head.height - 1) + divisor + bytes([head.index])


def read_head(payload: bytes) -> tuple[Head, int]:
    """Head of a payload and where its body starts; StreamError when it makes no sense."""
    if len(payload) < 2 or payload[0] & 135 != VERSION:
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
    head = Head(payload[1] + 1, height + 1, not low, divisor, 8 << (payload[0] >> 5 & 3), payload[pos])
    return head, pos + 1


def encode_ahead(
    planes: list[np.ndarray], head: Head, effort: Effort, models: tables.Models | None = None, guess=None
):
    """Code a unit with look-ahead.

    Args:
        planes: int32 [n, h, w] each, the frames that are coded.
        head: settings. effort: what bits are worth.
        models: start from these and teach them (training); by default the shipped ones.
        guess: the motion fields that an earlier call returned for these frames.

    Returns:
        (payload, planes as they will be decoded, motion field of every frame).
    """
    plans = plan_unit(len(planes[0]), head.group, True)
    coder, buf = eb.new_encoder(1 << 14)
    frames = FrameCoder(head.height, head.width, plans, models or tables.trained())
    out = [np.empty_like(p) for p in planes]
    fields = {}
    for plan in plans:
        truth = tuple(np.ascontiguousarray(p[plan.frame]) for p in planes)
        coded, buf = frames.code(
            coder, buf, plan, head.step(head.index, plan.depth), truth, effort, guess and guess[plan.frame]
        )
        frames.keep(plan, coded)
        fields[plan.frame] = coded.field
        for o, r in zip(out, coded.planes):
            o[plan.frame] = r
    return write_head(head) + eb.finish(coder, buf), out, fields


def code_index(coder, buf, models: tables.Models, index: int, before: int) -> int:
    """Code the step index of a low-latency frame, relative to the frame before; clamped to 0..255."""
    change = eb.code_signed(coder, buf, index - before, models.blocks, 400, 0, 60)
    return min(max(before + int(change), 0), STEPS - 1)


def decode_unit(payload: bytes, frames: int) -> tuple[np.ndarray, int]:
    """Decode one payload: (uint8 [frames, h, w, 3], how many of them arrived).

    A low-latency payload that ends early holds its last frame. Raises StreamError for a senseless head.
    """
    head, pos = read_head(payload)
    plans = head.plans(frames)
    state = FrameCoder(head.height, head.width, plans, tables.trained())
    kept = np.full((len(plans), head.height, head.width, 3), 128, np.uint8)
    index, arrived = head.index, frames
    coder, buf = eb.new_decoder(payload[pos:])
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
            if k:
                index = code_index(coder, buf, state.models, 0, index)
        coded, _ = state.code(coder, buf, plan, head.step(index, plan.depth))
        state.keep(plan, coded)
        kept[plan.frame] = pixels.to_rgb([p[None] for p in coded.planes])[0]
    return fill_in(kept, head, frames), arrived


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
