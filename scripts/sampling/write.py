"""Videos out: threads fetch and encode pictures while the device goes on."""

import contextlib
import dataclasses
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh

from sampling.feed import Item
from sampling.work import Job, read
from semjax.errors import InputError
from semjax.sharding.meshes import owners
from semjax.video import VideoWriter

log = logging.getLogger("semjax.sample")
STEPS, FRAMES = (
    4,
    16,
)  # pictures that may wait: batches on their way from the device, frames before each encoder


@dataclasses.dataclass(frozen=True)
class _Frame:
    item: Item
    picture: np.ndarray


class Writers:
    """Encodes the videos of this process' slots: one thread takes batches from the device, `threads` encode.

    All queues are bounded: encoders that are slower than the device make `put` wait, and `waited` grows, the seconds
    that the device may have stood still for them. busy: seconds of encoding over all threads. done: jobs whose video
    is complete, failed: those that came to nothing.
    """

    def __init__(self, mesh: Mesh, slots: int, threads: int | None = None, allow_truncated: bool = False):
        each = slots // mesh.shape["data"]
        own = [row for row, owner in enumerate(owners(mesh)) if owner == jax.process_index()]
        self.own = {slot for row in own for slot in range(row * each, (row + 1) * each)}
        self.allow_truncated = allow_truncated
        self.waited, self.busy = 0.0, 0.0
        self.done: list[Job] = []
        self.failed: list[Job] = []
        self.error: BaseException | None = None
        self.stopped, self.lock = threading.Event(), threading.Lock()
        count = max(1, min(threads or os.cpu_count() or 1, len(self.own) or 1))
        self.batches: queue.Queue = queue.Queue(STEPS)
        self.queues: list[queue.Queue] = [queue.Queue(FRAMES) for _ in range(count)]
        self.threads = [threading.Thread(target=self._run, args=(self._fetch,), daemon=True)]
        self.threads += [
            threading.Thread(target=self._run, args=(self._encode, q), daemon=True) for q in self.queues
        ]
        for thread in self.threads:
            thread.start()

    def put(self, pictures: jax.Array, live: Mapping[int, Item]) -> None:
        """Take a step's pictures, uint8 [B, H, W, 3], of which `live` says what is to be kept."""
        mine = {slot: item for slot, item in live.items() if slot in self.own}
        for shard in pictures.addressable_shards:
            shard.data.copy_to_host_async()
        began = time.perf_counter()
        self._give(self.batches, (pictures, mine))
        self.waited += time.perf_counter() - began

    def close(self) -> None:
        """Wait until everything is written."""
        self._give(self.batches, None)
        for thread in self.threads:
            thread.join()
        self._check()

    def abort(self) -> None:
        """Stop, and leave no half videos behind."""
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=10)

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def _give(self, to: queue.Queue, what) -> None:
        while not self.stopped.is_set():
            self._check()
            with contextlib.suppress(queue.Full):
                to.put(what, timeout=0.2)
                return
        self._check()

    def _take(self, source: queue.Queue):
        while not self.stopped.is_set():
            with contextlib.suppress(queue.Empty):
                return source.get(timeout=0.2)
        return None

    def _run(self, work, *args) -> None:
        try:
            work(*args)
        except BaseException as error:
            self.error = self.error or error
            self.stopped.set()

    def _fetch(self) -> None:
        while (batch := self._take(self.batches)) is not None:
            pictures, mine = batch
            for first, rows in self._rows(pictures):
                for slot in sorted(mine.keys() & set(range(first, first + len(rows)))):
                    lane = self.queues[slot % len(self.queues)]
                    self._give(lane, _Frame(mine[slot], rows[slot - first]))
        for lane in self.queues:
            self._give(lane, None)

    @staticmethod
    def _rows(pictures: jax.Array):
        """(first slot, pictures) of every part of the batch that is here, each once."""
        parts = {
            shard.index[0].indices(pictures.shape[0])[0]: shard.data for shard in pictures.addressable_shards
        }
        for first, data in parts.items():
            yield first, np.asarray(data)

    def _encode(self, source: queue.Queue) -> None:
        open_videos: dict[Job, VideoWriter] = {}
        try:
            while (frame := self._take(source)) is not None:
                began = time.perf_counter()
                self._add(frame, open_videos)
                with self.lock:
                    self.busy += time.perf_counter() - began
        finally:
            for video in open_videos.values():
                video.abort()

    def _add(self, frame: _Frame, open_videos: dict[Job, VideoWriter]) -> None:
        job, last = frame.item.job, frame.item.number == frame.item.job.frames - 1
        if frame.item.failed:
            if job in open_videos:
                open_videos.pop(job).abort()
            if last:
                self.failed.append(job)
            return
        if frame.item.number == 0:
            open_videos[job] = self._open(job)
        open_videos[job].write(frame.picture)
        if last:
            open_videos.pop(job).close()
            self.done.append(job)

    def _open(self, job: Job) -> VideoWriter:
        info = read(job.path, self.allow_truncated).info
        try:
            for left in job.out.parent.glob(f".{job.out.name}.partial-*"):
                left.unlink()  # of a process that was killed: nobody else writes this video
        except OSError as error:
            raise InputError(f"{left} of an earlier run cannot be removed: {error}") from error
        return VideoWriter(job.out, info.fps, info.width, info.height)
