"""System `mirage` (arXiv 2602.07396): captions carry time, codes of semantic tokens carry space, no pixel data crosses.

sender      a few frames of every scene -> tokens (semjax.tokens) -> keyframe layer; sentences -> caption layer
receiver    the tokens' regions move and change shape from keyframe to keyframe; a generator makes frames of that
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import cv2
import jax
import numpy as np

from semjax import tokens
from semjax.errors import InputError, RateError, SemjaxError
from semjax.stream import Stream, pack
from semjax.systems import records
from semjax.systems.analysis import Analysis, analyse
from semjax.systems.generators import Generator, Received
from semjax.systems.painters import Timed, nothing_known, untimed
from semjax.systems.sources import Source, unit_frames
from semjax.systems.worlds import repaint
from semjax.types import Caption, Conditions, FrameStatus

RATIO = 51_800  # of raw bytes to a stream's without a bitrate: the paper's headline, 5.18e4
LEAST = 320  # bytes that a short clip gets all the same
LONGEST = 96  # frames that a group covers at most
CAPTION_SHARE = 0.35
TINY = 128  # pixels of width at which pictures are compared and tokens are made
# (cells across, tokens, tolerance in cells), from coarse to fine
DETAIL = ((20, 4, 1.0), (28, 6, 1.0), (36, 8, 1.0), (48, 12, 1.0), (64, 16, 1.0), (64, 24, 0.7), (96, 32, 0.7),
          (128, 48, 0.7))  # fmt: skip
COUNTS = (1, 2, 3, 4, 5, 7, 9, 13, 17)  # keyframes of a group
THING, MISLABELLED = 3.0, 1500.0  # weights of pixels of things, and of wrong labels (squares of 8 bits)
SEEN = 10  # frames of a group on which a choice is judged


@dataclasses.dataclass(frozen=True)
class SenderConfig:
    """What the sender is asked for.

    bitrate: bits a second with everything that crosses the link; None: 1 / 51 800 of the raw clip, at least 320 bytes.
    max_regions: regions found without labels.
    """

    system: ClassVar[str] = "mirage"
    bitrate: float | None = None
    max_regions: int = 8

    def __post_init__(self):
        if self.bitrate is not None and not 0 < self.bitrate < float("inf"):
            raise InputError(f"the bitrate must be a positive number of bits a second, not {self.bitrate}")
        if not 2 <= self.max_regions <= 255:
            raise InputError(f"max_regions must be 2 to 255, not {self.max_regions}")


def understand(
    frames: Source, labels: Source | None, captions: Sequence[Caption] | None, cfg: SenderConfig
) -> Analysis:
    """The sender's first pass over a clip: label maps, small frames, cuts, captions."""
    period = unit_frames(frames.info)
    return analyse(frames, labels, captions, period=period, width=TINY, max_regions=cfg.max_regions)


def stretches(analysis: Analysis) -> list[tuple[int, int]]:
    """(first frame, number of frames) of the groups: scenes, cut into equal parts of at most `LONGEST` frames."""
    out = []
    for start, end in itertools.pairwise([0, *analysis.cuts, analysis.info.frames]):
        parts = -(-(end - start) // LONGEST)
        edges = [start + (end - start) * i // parts for i in range(parts + 1)]
        out += [(a, b - a) for a, b in itertools.pairwise(edges)]
    return out


@dataclasses.dataclass(frozen=True)
class Stretch:
    """A group's frames as the choice of tokens sees them: small pictures uint8 [n, h, w, 3], label maps [n, h, w]."""

    first: int
    pictures: np.ndarray
    labels: np.ndarray

    def code(self, level: int, count: int) -> bytes:
        """The body of the group with `count` keyframes (fewer in short stretches) at a level of DETAIL."""
        width, number, tolerance = DETAIL[level]
        frames = len(self.pictures)
        places = sorted({round(p) for p in np.linspace(0, frames - 1, min(count, frames))})
        height = max(1, round(width * self.pictures.shape[1] / self.pictures.shape[2]))
        size = (min(width, self.pictures.shape[2]), min(height, self.pictures.shape[1]))
        small = np.stack([cv2.resize(self.pictures[p], size, interpolation=cv2.INTER_AREA) for p in places])
        maps = np.stack([cv2.resize(self.labels[p], size, interpolation=cv2.INTER_NEAREST) for p in places])
        layouts, owners = tokens.cluster(small, maps, number)
        unit, layouts = tokens.encode_layouts(layouts, tolerance)
        group = tokens.Group(
            tuple(int(b - a) for a, b in itertools.pairwise(places)),
            layouts,
            {t: owners[t] for t in map(int, np.unique(layouts)) if t < len(owners)},
            tokens.describe_regions(small, layouts),
        )
        return tokens.encode_group(group, unit)

    def error(self, body: bytes) -> float:
        """How wrong is what is painted from a body, over a few frames: mean squared error, of things tripled, and so
        much again for every pixel that has another label."""
        frames, height, width = self.pictures.shape[:3]
        times = np.unique(np.linspace(0, frames - 1, min(SEEN, frames)).round().astype(int))
        painted, found = tokens.paint_group(tokens.decode_group(body), times, height, width)
        squares = ((painted.astype(np.float32) - self.pictures[times]) ** 2).mean(-1)
        maps = self.labels[times]
        return float(np.mean(squares * np.where(maps > 0, THING, 1.0) + MISLABELLED * (found != maps)))


def _seen(analysis: Analysis) -> list[Stretch]:
    height, width = analysis.tiny.shape[1:3]
    maps = [
        cv2.resize(m, (width, height), interpolation=cv2.INTER_NEAREST)
        for chunk in analysis.labels()
        for m in chunk
    ]
    return [Stretch(a, analysis.tiny[a : a + n], np.stack(maps[a : a + n])) for a, n in stretches(analysis)]


def coder(
    frames: Source, analysis: Analysis, cfg: SenderConfig, before_texture: Callable[[], object] = lambda: None
) -> Callable[[float | None], Stream]:
    """A function from bits a second (None: see SenderConfig) to the clip's stream.

    Every group takes, step by step, more keyframes or finer tokens, whichever brings what is painted nearer to the
    clip, while its share of the bytes lasts. The function raises RateError when even the coarsest need more.
    """
    del frames, before_texture  # the small pictures of the analysis are all that is looked at
    info, seen = analysis.info, _seen(analysis)
    body = functools.lru_cache(maxsize=None)(lambda i, level, count: seen[i].code(level, count))
    error = functools.lru_cache(maxsize=None)(lambda i, level, count: seen[i].error(body(i, level, count)))

    def stream(plans, words: int) -> Stream:
        bodies = [(s.first, body(i, *plan)) for i, (s, plan) in enumerate(zip(seen, plans))]
        spans = {"keyframe": analysis.period, "caption": 4 * analysis.period}
        units = {"keyframe": records.keyframe_units(bodies, spans["keyframe"])}
        units["caption"] = records.caption_units(analysis.captions[:words], info, spans["caption"])
        if not units["caption"]:
            del units["caption"], spans["caption"]
        return Stream(info, spans, units, "mirage")

    def code(bitrate: float | None) -> Stream:
        budget = max(LEAST, info.raw_bytes // RATIO) if bitrate is None else int(bitrate * info.seconds / 8)
        words = _affordable(analysis, int(CAPTION_SHARE * budget))
        plans = [(0, 1)] * len(seen)
        room = budget - len(pack(stream(plans, words)))
        if room < 0 and words:
            words, room = 0, budget - len(pack(stream(plans, 0)))
        if room < 0 and bitrate is not None:
            least = 8 * (budget - room) / info.seconds
            raise RateError(
                f"{bitrate:g} bit/s is too little for this clip: the least possible is {np.ceil(least):g} bit/s"
            )
        for i, s in enumerate(seen):
            share = int(room * len(s.pictures) / info.frames)
            plans[i] = _climb(functools.partial(body, i), functools.partial(error, i), share, len(s.pictures))
        return stream(plans, words)

    return code


def _affordable(analysis: Analysis, limit: int) -> int:
    """How many of the captions, from the first on, take at most `limit` bytes."""
    for count in (len(analysis.captions), 1):
        units = records.caption_units(analysis.captions[:count], analysis.info, 4 * analysis.period)
        if sum(map(len, units.values())) <= limit:
            return count
    return 0


def _climb(body, error, room: int, frames: int) -> tuple[int, int]:
    """The (level, keyframes) that a group ends at.

    Each step takes finer tokens or more keyframes, whichever is less wrong then; it ends where neither fits into
    `room` more bytes than the coarsest, or when two steps have brought nothing.
    """
    base = len(body(0, 1))
    best, (level, count), idle = (0, 1), (0, 1), 0
    while idle < 2:
        choices = [(level + 1, count)] if level + 1 < len(DETAIL) else []
        if count < min(frames, COUNTS[-1]):
            choices.append((level, next(c for c in COUNTS if c > count)))
        choices = [c for c in choices if len(body(*c)) - base <= room]
        if not choices:
            break
        level, count = min(choices, key=lambda c: error(*c))
        better = error(level, count) < error(*best)
        best, idle = ((level, count), 0) if better else (best, idle + 1)
    return best


# --------------------------------------------------------------------------------------------- receiver


def groups(stream: Stream) -> Iterator[tuple[int, tokens.Group]]:
    """(first frame, group) of the regions' token codes that arrived whole, in order; latents are passed over."""
    for frame, body in records.keyframe_records(stream):
        try:
            group = tokens.decode_group(body)
        except SemjaxError:
            continue
        if not tokens.is_latent(group):
            yield frame, group


def receive(
    stream: Stream, generator: Generator, key: jax.Array, timed: Timed = untimed
) -> Iterator[Received]:
    """Make a stream's clip from its tokens and sentences, in steps of `sources.unit_frames`; see `receiver.receive`.

    Frames of which no token arrived are grey before the first that did and stand still behind it.
    """
    info, step, state = stream.info, unit_frames(stream.info), None
    words, _ = records.read_captions(stream.layer("caption"), info, stream.spans.get("caption", 1))
    with timed("decode"):
        arrived = list(groups(stream))
    for first in range(0, info.frames, step):
        count = min(step, info.frames - first)
        with timed("decode"):
            frames, told = _painted(arrived, first, count, info)
            said = tuple(c for c in words if c.first < first + count and c.last >= first)
            told = dataclasses.replace(told, captions=said)
        with timed("generate"):
            frames, state = repaint(generator, told, frames, state, jax.random.fold_in(key, first))
        yield Received(frames, told)


def _painted(arrived, first: int, count: int, info) -> tuple[np.ndarray, Conditions]:
    """What the tokens alone show of a few frames, and what is known of them."""
    told = nothing_known(first, count, info.height, info.width)
    frames = np.full((count, info.height, info.width, 3), 128, np.uint8)
    starts = [frame for frame, _ in arrived]
    owner = np.searchsorted(starts, np.arange(first, first + count), side="right") - 1
    for number in np.unique(owner[owner >= 0]):
        start, group = arrived[number]
        mine = np.flatnonzero(owner == number)
        times = mine + first - start
        frames[mine], told.labels[mine] = tokens.paint_group(group, times, info.height, info.width)
        exact = np.isin(times, group.places)
        told.contour_status[mine] = np.where(exact, FrameStatus.RECEIVED, FrameStatus.CONCEALED)
    return frames, told
