"""What the receivers of all systems share: clocks, conditions that say nothing, steps of equal length."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from semjax.systems.generators import Received
from semjax.types import Conditions, FrameStatus

Timed = Callable[[str], contextlib.AbstractContextManager]


def untimed(phase: str) -> contextlib.AbstractContextManager:
    """A clock that does not measure."""
    return contextlib.nullcontext()


def nothing_known(first: int, count: int, height: int, width: int) -> Conditions:
    """Conditions of `count` frames of which no layer says anything, to fill in with `dataclasses.replace`."""
    missing = np.full(count, FrameStatus.MISSING, np.uint8)
    return Conditions(first, np.zeros((count, height, width), np.uint8), missing, None, missing)


def in_steps(parts: Iterator[Received], step: int) -> Iterator[Received]:
    """The same frames in stretches of `step` frames (the last one may be shorter)."""
    waiting: list[Received] = []
    for part in parts:
        while part is not None:
            room = step - sum(len(w.frames) for w in waiting)
            head, part = _split(part, room)
            waiting.append(head)
            if len(head.frames) == room:
                yield _join(waiting)
                waiting = []
    if waiting:
        yield _join(waiting)


def _split(part: Received, count: int) -> tuple[Received, Received | None]:
    if len(part.frames) <= count:
        return part, None
    return _slice(part, 0, count), _slice(part, count, len(part.frames))


def _slice(part: Received, start: int, end: int) -> Received:
    told, first = part.conditions, part.conditions.first + start
    some = dataclasses.replace(
        told,
        first=first,
        labels=told.labels[start:end],
        contour_status=told.contour_status[start:end],
        tiny=None if told.tiny is None else told.tiny[start:end],
        texture_status=told.texture_status[start:end],
        keyframes=tuple(k for k in told.keyframes if first <= k.frame < first + end - start),
        captions=tuple(c for c in told.captions if c.first < first + end - start and c.last >= first),
    )
    return Received(part.frames[start:end], some)


def _join(parts: list[Received]) -> Received:
    told = [p.conditions for p in parts]
    captions = dict.fromkeys(c for t in told for c in t.captions)
    joined = Conditions(
        told[0].first,
        np.concatenate([t.labels for t in told]),
        np.concatenate([t.contour_status for t in told]),
        None,
        np.concatenate([t.texture_status for t in told]),
        tuple(k for t in told for k in t.keyframes),
        tuple(captions),
    )
    return Received(np.concatenate([p.frames for p in parts]), joined)
