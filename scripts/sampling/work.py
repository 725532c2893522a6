"""What there is to do: streams, their videos, and who does which when: the same on every process."""

import dataclasses
import hashlib
import heapq
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from semjax import jobs, texture
from semjax.errors import InputError, SemjaxError
from semjax.stream import Stream, unpack


@dataclasses.dataclass(frozen=True)
class Shape:
    """What has to be equal for streams to share a compiled step: size of picture and of tiny frame, (height, width)."""

    size: tuple[int, int]
    tiny: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Job:
    """A stream file and the video to make of it. problem: why it cannot be read, or ""."""

    name: str
    path: Path
    out: Path
    frames: int = 0
    shape: Shape | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """slots: for each slot the jobs that have their turn in it, one after the other. steps: until the last is done."""

    slots: tuple[tuple[Job, ...], ...]
    steps: int


def find(streams: Sequence[Path], out: Path, suffix: str, allow_truncated: bool) -> list[Job]:
    """The jobs of stream files and folders of them (with their subfolders, whose names the videos keep).

    A file that is no whole stream becomes a job with a problem. Raises InputError when there is nothing, or when two
    streams would become the same video.
    """
    files: dict[str, Path] = {}
    for given in streams:
        if not given.exists():
            raise InputError(f"there is no stream file or folder {given}")
        inside = sorted(given.rglob("*.smj")) if given.is_dir() else [given]
        for path in inside:
            name = (path.relative_to(given) if given.is_dir() else Path(path.name)).with_suffix("").as_posix()
            if files.get(name, path) != path:
                raise InputError(
                    f"{files[name]} and {path} would both become {name}{suffix}; rename one of them"
                )
            files[name] = path
    if not files:
        raise InputError(f"no .smj files in {', '.join(map(str, streams))}")
    return _shared_sizes([_job(*item, out, suffix, allow_truncated) for item in sorted(files.items())])


def read(path: Path, allow_truncated: bool) -> Stream:
    """A stream file. Raises a SemjaxError when it is none."""
    return unpack(jobs.read_stream(path), allow_truncated=allow_truncated)


def _job(name: str, path: Path, out: Path, suffix: str, allow_truncated: bool) -> Job:
    target = out / f"{name}{suffix}"
    try:
        stream = read(path, allow_truncated)
    except SemjaxError as error:
        return Job(name, path, target, problem=str(error))
    info, units = stream.info, stream.layer("texture")
    tiny = texture.units_size(units, info.height, info.width) if any(units) else (0, 0)
    return Job(name, path, target, info.frames, Shape((info.height, info.width), tiny))


def _shared_sizes(found: list[Job]) -> list[Job]:
    """Streams without tiny frames take the size that others of theirs have: absent frames may have any."""
    known = {job.shape.size: job.shape.tiny for job in reversed(found) if job.shape and job.shape.tiny[0]}

    def one(job):
        if job.shape is None or job.shape.tiny[0]:
            return job
        return dataclasses.replace(job, shape=Shape(job.shape.size, known.get(job.shape.size, (1, 1))))

    return [one(job) for job in found]


def timeline(found: Sequence[Job], slots: Sequence[int]) -> Timeline:
    """Give every job a slot: the longest first, each to the slot that is free first, so that few slots idle.

    slots: their numbers, those that are to be filled first in front (see `spread`).
    """
    waiting = sorted(found, key=lambda job: (-job.frames, job.name))
    free = [(0, rank) for rank in range(len(slots))]
    turns: list[list[Job]] = [[] for _ in slots]
    for job in waiting:
        end, rank = heapq.heappop(free)
        turns[slots[rank]].append(job)
        heapq.heappush(free, (end + job.frames, rank))
    return Timeline(tuple(map(tuple, turns)), max(end for end, _ in free))


def spread(owners: Sequence[int], each: int) -> list[int]:
    """The slots of rows with these owners, `each` to a row, ordered so that a few streams go to many hosts."""
    before = [owners[:row].count(owner) for row, owner in enumerate(owners)]
    rows = sorted(range(len(owners)), key=lambda row: (before[row], owners[row]))
    return [row * each + i for i in range(each) for row in rows]


def agree(found: Sequence[Job], settings: dict) -> list[Job]:
    """The jobs that are still to be done, the same list on every process.

    A video that any process finds is done: folders may be shared, or each host's own. Raises InputError when the
    processes see different streams or were started with different settings.
    """
    done = np.array([job.out.exists() for job in found], bool)
    if jax.process_count() > 1:
        told = [
            (job.name, job.frames, dataclasses.astuple(job.shape or Shape((), ())), job.problem)
            for job in found
        ]
        digest = hashlib.sha256(json.dumps([told, settings], sort_keys=True).encode()).digest()
        digests = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
        different = np.flatnonzero((digests != digests[0]).any(1))
        if different.size:
            raise InputError(
                f"processes {different.tolist()} see other streams than process 0, or were started with other "
                "settings; every process needs the same command and the same stream files"
            )
        done = multihost_utils.process_allgather(done).any(0)
    return [job for job, finished in zip(found, done) if not finished and not job.problem]


def keep_settings(folder: Path, settings: dict) -> None:
    """Remember in `folder` how its videos are made. Raises InputError when those that are there were made otherwise."""
    file = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        jobs.write_json(settings, file)
        return
    before = json.loads(file.read_text())
    changed = [
        f"{name} was {before.get(name)!r}, now {settings.get(name)!r}"
        for name in sorted({*before, *settings})
        if before.get(name) != settings.get(name)
    ]
    if changed:
        raise InputError(
            f"the videos in {folder} were made with other settings ({'; '.join(changed)}); "
            "give another --out, or the same settings"
        )
