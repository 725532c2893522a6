"""From a stream back to frames: layers to conditions, conditions to pixels, a unit of contours at a time."""

from collections.abc import Callable, Iterator

import jax
import numpy as np

from semjax import contours, texture
from semjax.stream import Stream
from semjax.systems import lgvsc, mirage
from semjax.systems.generators import Generator, Received
from semjax.systems.painters import Timed, untimed
from semjax.systems.records import read_captions, read_keyframes
from semjax.systems.sources import unit_frames
from semjax.types import Conditions, FrameStatus

__all__ = ["Received", "conditions", "frames_at_once", "receive"]


def frames_at_once(stream: Stream) -> int:
    """Frames that `receive` paints in one step: the span of the contour layer where there is one."""
    if stream.system != "causal":
        return unit_frames(stream.info)
    return min(stream.spans.get("contour", unit_frames(stream.info)), stream.info.frames)


def conditions(stream: Stream, *, steadied: bool = True) -> Iterator[Conditions]:
    """Decode a stream's layers, in steps of the contour layer's units. Damaged units count as lost.

    steadied: tiny frames as they are best shown (see `texture.decode_units`), else as the format says, bit by bit.
    """
    info = stream.info
    step = frames_at_once(stream)
    tiny, tiny_status = _texture(stream, steadied)
    captions, _ = read_captions(stream.layer("caption"), info, stream.spans.get("caption", 1))
    pictures = _Keyframes(stream)
    for first, labels, status in _contours(stream, step):
        n = len(labels)
        yield Conditions(
            first=first,
            labels=labels,
            contour_status=status,
            tiny=None if tiny is None else tiny[first : first + n],
            texture_status=tiny_status[first : first + n],
            keyframes=tuple(pictures.between(first, first + n)),
            captions=tuple(c for c in captions if c.first < first + n and c.last >= first),
        )


def receive(
    stream: Stream, generator: Generator, key: jax.Array, *, timed: Timed = untimed
) -> Iterator[Received]:
    """Paint a stream's clip from its first frame to its last, `frames_at_once` at a time, by its own system's receiver.

    The key is folded with the number of each step's first frame, so that a clip painted in parts or after loss
    gets the same noise at the same place. `timed("decode")` and `timed("generate")` surround the two halves of
    every step.
    """
    receivers: dict[str, Callable] = {
        "causal": _receive_causal,
        "mirage": mirage.receive,
        "lgvsc": lgvsc.receive,
    }
    return receivers[stream.system](stream, generator, key, timed)


def _receive_causal(stream: Stream, generator: Generator, key: jax.Array, timed: Timed) -> Iterator[Received]:
    state, source, first = None, conditions(stream), 0
    while first < stream.info.frames:
        with timed("decode"):
            given = next(source)
        with timed("generate"):
            frames, state = generator.step(given, state, jax.random.fold_in(key, first))
        yield Received(frames, given)
        first += len(frames)


def _contours(stream: Stream, step: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    info = stream.info
    if "contour" not in stream.spans:
        for first in range(0, info.frames, step):
            n = min(step, info.frames - first)
            missing = np.full(n, FrameStatus.MISSING, np.uint8)
            yield first, np.zeros((n, info.height, info.width), np.uint8), missing
        return
    decoded = contours.decode_units(
        stream.layer("contour"), frames=info.frames, height=info.height, width=info.width, span=step
    )
    first = 0
    for labels, status in decoded:
        yield first, labels, status
        first += len(labels)


def _texture(stream: Stream, steadied: bool) -> tuple[np.ndarray | None, np.ndarray]:
    info = stream.info
    units = stream.layer("texture")
    if not any(units):
        return None, np.full(info.frames, FrameStatus.MISSING, np.uint8)
    return texture.decode_units(
        units,
        frames=info.frames,
        height=info.height,
        width=info.width,
        span=stream.spans["texture"],
        steadied=steadied,
    )


class _Keyframes:
    """The pictures of a stream, decoded when their frames come up."""

    def __init__(self, stream: Stream):
        self.stream, self.span = stream, stream.spans.get("keyframe", 0)
        self.next, self.waiting = 0, []

    def between(self, first: int, end: int):
        units = self.stream.units.get("keyframe", {})
        while self.span and self.next * self.span < end:
            start = self.next * self.span
            frames = min(self.span, self.stream.info.frames - start)
            if frames > 0:
                found, _ = read_keyframes(units.get(self.next), start, frames, self.stream.info)
                self.waiting += found
            self.next += 1
        ready = [k for k in self.waiting if first <= k.frame < end]
        self.waiting = [k for k in self.waiting if k.frame >= end]
        return ready
