"""The loop: compile, warm up, generate; and what it took."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from sampling.feed import Feeder
from sampling.work import Job, Shape, spread, timeline
from sampling.write import Writers
from semjax import sharding
from semjax._progress import progress
from semjax.sharding.meshes import owners

log = logging.getLogger("semjax.sample")
EVERY = 15.0  # seconds between lines of progress


class Clock:
    """Wall seconds by phase."""

    def __init__(self, *phases: str):
        self.seconds = dict.fromkeys(phases, 0.0)

    @contextlib.contextmanager
    def __call__(self, phase: str):
        """Add what the body takes to a phase."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - began


@dataclasses.dataclass
class Tally:
    """What a process did: frames kept (its own slots'), steps, slots offered, waits, memory of the programs."""

    frames: int = 0
    steps: int = 0
    slot_steps: int = 0
    waited_for_streams: float = 0.0
    waited_for_writers: float = 0.0
    encoding: float = 0.0
    done: list[str] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    programs: list[dict] = dataclasses.field(default_factory=list)


class Run:
    """Jobs of one generator on one mesh. batch: slots for each device of the axis data."""

    def __init__(self, generator, mesh: Mesh, seed: int, batch: int, *, threads=None, allow_truncated=False):
        self.generator, self.mesh, self.batch = generator, mesh, batch
        self.key = sharding.put_key(jax.random.key(seed), mesh)
        self.threads, self.allow_truncated = threads, allow_truncated
        self.params: Any = None
        self.clock = Clock("load", "compile", "warm", "generate", "write")
        self.tally = Tally()

    def do(self, found: Sequence[Job]) -> None:
        """All jobs, those of one shape after those of another."""
        shapes: dict[Shape, list[Job]] = {}
        for job in found:
            shapes.setdefault(job.shape, []).append(job)
        for number, (shape, own) in enumerate(shapes.items()):
            log.info("shape %d of %d: %d streams of %s", number + 1, len(shapes), len(own), shape)
            self._one_shape(shape, own)

    def _one_shape(self, shape: Shape, own: Sequence[Job]) -> None:
        ways, cfg = self.mesh.shape["data"], self.generator.cfg
        slots = ways * min(self.batch, -(-len(own) // ways))
        plan = timeline(own, spread(owners(self.mesh), slots // ways))
        like = sharding.placed(cfg, self.mesh, shape.size, shape.tiny, slots)
        with self.clock("load"):
            if self.params is None:
                self.params = sharding.put_params(self.generator.params, like)
        with self.clock("compile"):
            step = sharding.compile_step(cfg, self.mesh, like)
        self.tally.programs.append(self._program(step, shape, slots, plan.steps))
        feeder = Feeder(plan.slots, self.mesh, like, self.generator, self.allow_truncated)
        writers = Writers(self.mesh, slots, self.threads, self.allow_truncated)
        try:
            self._generate(step, like, feeder, writers, plan.steps)
        except BaseException:
            writers.abort()
            raise
        finally:
            feeder.close()
        self.tally.slot_steps += slots * plan.steps
        self.tally.done += [job.name for job in writers.done]
        self.tally.failed += [job.name for job in writers.failed]
        self.tally.waited_for_streams += feeder.waited
        self.tally.waited_for_writers += writers.waited
        self.tally.encoding += writers.busy

    def _generate(self, step, like, feeder: Feeder, writers: Writers, steps: int) -> None:
        with self.clock("warm"):
            cache = sharding.first_cache(self.generator.cfg, like)
            pictures, cache = step(self.params, cache, *feeder.idle(), self.key)
            jax.block_until_ready(pictures)
        log.info("%d steps begin", steps)
        with self.clock("generate"):
            began = said = time.perf_counter()
            shown = progress(range(steps), steps, "generating") if jax.process_index() == 0 else range(steps)
            for number in shown:
                given, turn, live = feeder.next()
                pictures, cache = step(self.params, cache, given, turn, self.key)
                writers.put(pictures, live)
                self.tally.frames += sum(
                    slot in writers.own and not item.failed for slot, item in live.items()
                )
                self.tally.steps += 1
                if time.perf_counter() - said > EVERY:
                    said = time.perf_counter()
                    log.info("step %d of %d, %.1f a second", number + 1, steps, (number + 1) / (said - began))
            jax.block_until_ready(pictures)
        with self.clock("write"):
            writers.close()

    def _program(self, step, shape: Shape, slots: int, steps: int) -> dict:
        memory = step.memory_analysis()
        names = ("argument", "output", "alias", "temp", "generated_code")
        sizes = {name: getattr(memory, f"{name}_size_in_bytes", None) for name in names}
        return {
            "size": shape.size,
            "tiny": shape.tiny,
            "slots": slots,
            "steps": steps,
            "bytes_per_device": sizes,
            "collectives": self._collectives(step),
        }

    def _collectives(self, step) -> list[dict] | None:
        """For the report; None where this compiler writes its programs in a way that is not known."""
        try:
            return [dataclasses.asdict(c) for c in sharding.traffic(step.as_text(), self.mesh)]
        except Exception:  # nothing in a report is worth a run of hours
            return None


def report(run: Run) -> dict:
    """What this process did, for the run's JSON."""
    seconds, tally = run.clock.seconds, run.tally
    memory = {}
    for device in jax.local_devices():
        with contextlib.suppress(Exception):  # some platforms raise, some return None
            stats = device.memory_stats() or {}
            memory[str(device)] = {
                k: stats.get(k) for k in ("bytes_in_use", "peak_bytes_in_use", "bytes_limit")
            }
    wall = seconds["generate"]
    return {
        "process": jax.process_index(),
        "seconds": {phase: round(s, 4) for phase, s in seconds.items()},
        "frames": tally.frames,
        "frames_per_second": tally.frames / wall if wall else None,
        "steps": tally.steps,
        "waited": {
            "streams": round(tally.waited_for_streams, 4),
            "writers": round(tally.waited_for_writers, 4),
        },
        "encoding_seconds": round(tally.encoding, 4),
        "done": tally.done,
        "failed": tally.failed,
        "device_memory": memory,
        "programs": tally.programs,
    }


def gather(value: bytes) -> list[bytes]:
    """Everybody's bytes, on every process."""
    if jax.process_count() == 1:
        return [value]
    sizes = multihost_utils.process_allgather(np.int64(len(value)))
    padded = np.frombuffer(value.ljust(int(sizes.max()), b"\0"), np.uint8)
    return [bytes(row)[:size] for row, size in zip(multihost_utils.process_allgather(padded), sizes)]
