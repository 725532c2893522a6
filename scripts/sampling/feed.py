"""Streams in: decoded and painted by threads ahead of the device, gathered into one batch a step."""

import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from sampling.work import Job, read
from semjax.generator import FrameConditions
from semjax.sharding import Placed, Turn
from semjax.sharding.meshes import held_rows
from semjax.systems.receiver import conditions

log = logging.getLogger("semjax.sample")


@dataclasses.dataclass(frozen=True)
class Item:
    """One frame of a job for one slot; `given` has no batch axis. failed: nothing can be made of this job."""

    job: Job
    number: int
    part: int
    frame: int
    given: FrameConditions
    failed: bool = False


class Feeder:
    """The batches of a timeline, step by step, for the slots whose devices this process holds.

    Every slot has at most one part of a stream (a step of its contour layer, at most 32 frames without one) ready and
    one in the making. waited: seconds for which `next` had to wait for them.
    """

    def __init__(self, slots: Sequence[Sequence[Job]], mesh: Mesh, like: Placed, generator, allow_truncated):
        self.like, self.generator, self.allow_truncated = like, generator, allow_truncated
        self.waited = 0.0
        each = len(slots) // mesh.shape["data"]
        held = [
            s for row in held_rows(mesh, jax.process_index()) for s in range(row * each, (row + 1) * each)
        ]
        self.pool = concurrent.futures.ThreadPoolExecutor(min(len(held), os.cpu_count() or 1))
        self.blank = jax.tree.map(lambda s: np.zeros(s.shape[1:], s.dtype), like.given)
        self.slots = {slot: self._items(slots[slot]) for slot in held}
        at = like.given.keyframe
        self.no_keyframes = jax.make_array_from_callback(
            at.shape, at.sharding, lambda index: np.zeros(at.sharding.shard_shape(at.shape), at.dtype)
        )

    def next(self) -> tuple[FrameConditions, Turn, dict[int, Item]]:
        """The next step's conditions and turns as global arrays, and what is live in this process' slots."""
        began = time.perf_counter()
        items = {slot: next(frames, None) for slot, frames in self.slots.items()}
        self.waited += time.perf_counter() - began
        live = {slot: item for slot, item in items.items() if item is not None}
        return self._given(live), self._turn(live), live

    def idle(self) -> tuple[FrameConditions, Turn]:
        """A step in which every slot is empty, to warm up with."""
        return self._given({}), self._turn({})

    def close(self) -> None:
        """Stop the threads."""
        self.pool.shutdown(cancel_futures=True)

    def _given(self, live: dict[int, Item]) -> FrameConditions:
        def gather(name):
            like, blank = getattr(self.like.given, name), getattr(self.blank, name)
            rows = {slot: getattr(item.given, name) for slot, item in live.items()}
            return self._global(like, lambda slot: rows.get(slot, blank))

        fields = {field.name: field.name for field in dataclasses.fields(FrameConditions)}
        if not any(item.given.has_keyframe for item in live.values()):
            del fields["keyframe"]  # what is on the devices already says as much
        return FrameConditions(**{"keyframe": self.no_keyframes, **{name: gather(name) for name in fields}})

    def _turn(self, live: dict[int, Item]) -> Turn:
        like = self.like.turn
        idle = Item(None, 1, 0, 0, None)

        def gather(to, value):
            return self._global(to, lambda slot: np.int32(value(live.get(slot, idle))))

        return Turn(
            gather(like.restart, lambda item: item.number == 0),
            gather(like.part, lambda item: item.part),
            gather(like.frame, lambda item: item.frame),
        )

    @staticmethod
    def _global(like: jax.ShapeDtypeStruct, row) -> jax.Array:
        """An array over all processes from rows for the slots held here, each group of rows put together once."""
        made: dict[tuple[int, int], np.ndarray] = {}

        def part(index):
            first, last, _ = index[0].indices(like.shape[0])
            if (first, last) not in made:
                made[first, last] = np.stack([row(slot) for slot in range(first, last)])
            return made[first, last][(slice(None), *index[1:])]

        return jax.make_array_from_callback(like.shape, like.sharding, part)

    def _items(self, own: Sequence[Job]) -> Iterator[Item]:
        """The frames of a slot's jobs; of one that fails, blank ones for the time that everybody reckons with."""
        parts = self._parts(own)
        ahead = self.pool.submit(self._advance, parts)
        while (found := ahead.result()) is not None:
            ahead = self.pool.submit(self._advance, parts)
            yield from found

    @staticmethod
    def _advance(parts: Iterator[list[Item]]) -> list[Item] | None:
        # Painting uses JAX, and has no business on the accelerator.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return next(parts, None)

    def _parts(self, own: Sequence[Job]) -> Iterator[list[Item]]:
        for job in own:
            done = 0
            with contextlib.closing(self._stream_parts(job)) as parts:
                try:
                    for items in parts:
                        done += len(items)
                        yield items
                except Exception as error:
                    log.exception("%s cannot be painted: %s", job.path, error)
                    rest = range(done, job.frames)
                    yield [Item(job, i, 0, 0, self.blank, failed=True) for i in rest]

    def _stream_parts(self, job: Job) -> Iterator[list[Item]]:
        state: Any = None
        for told in conditions(read(job.path, self.allow_truncated)):
            given, state = self.generator.tell(told, state)
            if told.tiny is None:
                given = dataclasses.replace(
                    given, tiny=np.zeros((len(given.cut), 1, *self.blank.tiny.shape), np.uint8)
                )
            yield [
                Item(job, told.first + i, told.first, i, jax.tree.map(lambda x, i=i: x[i, 0], given))
                for i in range(len(given.cut))
            ]
