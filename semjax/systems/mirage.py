"""System `mirage` (arXiv 2602.07396): captions carry time, codes of semantic tokens carry space, no pixel data crosses.

sender      a few frames of every scene -> tokens (semjax.tokens) -> keyframe layer; sentences -> caption layer
receiver    the tokens' regions move and change shape from keyframe to keyframe; a generator makes frames of that

Tokens are regions or, given the weights of a generator with an autoencoder, its latents (semjax.systems.latents).
"""

import contextlib
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
from semjax.systems import latents, records
from semjax.systems.analysis import Analysis, analyse
from semjax.systems.generators import Generator, Received
from semjax.systems.painters import Timed, nothing_known, untimed
from semjax.systems.sources import Source, unit_frames
from semjax.systems.stretches import RegionStretch, Stretch, best_plan
from semjax.systems.worlds import repaint
from semjax.types import Caption, ClipInfo, Conditions, FrameStatus, Keyframe

RATIO = 51_800  # of raw bytes to a stream's without a bitrate: the paper's headline, 5.18e4
LEAST = 320  # bytes that a short clip gets all the same
LONGEST = 96  # frames that a group covers at most
CAPTION_SHARE = 0.35
TINY = 128  # pixels of width at which pictures are compared and regions made
KINDS = ("auto", "regions", "latents")


@dataclasses.dataclass(frozen=True)
class SenderConfig:
    """What the sender is asked for.

    bitrate: bits a second with everything that crosses the link; None: 1 / 51 800 of the raw clip, at least 320 bytes.
    max_regions: regions found without labels.
    weights: folder of a generator's weights, whose autoencoder makes tokens. kind: "regions", "latents" (which need
    weights with an autoencoder), or "auto": latents where there are such weights.
    """

    system: ClassVar[str] = "mirage"
    bitrate: float | None = None
    max_regions: int = 8
    kind: str = "auto"
    weights: str | None = None

    def __post_init__(self):
        if self.bitrate is not None and not 0 < self.bitrate < float("inf"):
            raise InputError(f"the bitrate must be a positive number of bits a second, not {self.bitrate}")
        if not 2 <= self.max_regions <= 255:
            raise InputError(f"max_regions must be 2 to 255, not {self.max_regions}")
        if self.kind not in KINDS:
            raise InputError(f"tokens are {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind == "latents" and self.weights is None:
            raise InputError(
                "tokens of latents are made by a generator's own encoder: name the folder of its weights (--weights)"
            )

    def autoencoder(self) -> tokens.Autoencoder | None:
        """What makes the tokens; None for regions. Raises InputError for weights that cannot be used."""
        if self.weights is None or self.kind == "regions":
            return None
        return latents.sender_coder(self.weights, self.kind == "latents")


def understand(
    frames: Source, labels: Source | None, captions: Sequence[Caption] | None, cfg: SenderConfig
) -> Analysis:
    """The sender's first pass over a clip: label maps, small frames, cuts, captions."""
    period, width = unit_frames(frames.info), TINY if cfg.autoencoder() is None else latents.WIDTH
    return analyse(frames, labels, captions, period=period, width=width, max_regions=cfg.max_regions)


def stretches(analysis: Analysis) -> list[tuple[int, int]]:
    """(first frame, number of frames) of the groups: scenes, cut into equal parts of at most `LONGEST` frames."""
    out = []
    for start, end in itertools.pairwise([0, *analysis.cuts, analysis.info.frames]):
        parts = -(-(end - start) // LONGEST)
        edges = [start + (end - start) * i // parts for i in range(parts + 1)]
        out += [(a, b - a) for a, b in itertools.pairwise(edges)]
    return out


def _seen(analysis: Analysis, coder: tokens.Autoencoder | None) -> list[Stretch]:
    if coder is not None:
        size = (analysis.info.width, analysis.info.height)
        return [
            latents.LatentStretch(a, analysis.tiny[a : a + n], coder, size) for a, n in stretches(analysis)
        ]
    height, width = analysis.tiny.shape[1:3]
    maps = [
        cv2.resize(m, (width, height), interpolation=cv2.INTER_NEAREST)
        for chunk in analysis.labels()
        for m in chunk
    ]
    return [
        RegionStretch(a, analysis.tiny[a : a + n], np.stack(maps[a : a + n])) for a, n in stretches(analysis)
    ]


def coder(
    frames: Source, analysis: Analysis, cfg: SenderConfig, before_texture: Callable[[], object] = lambda: None
) -> Callable[[float | None], Stream]:
    """A function from bits a second (None: see SenderConfig) to the clip's stream.

    Every group takes the keyframes and the level of detail with which what is painted is nearest to the clip, of
    those that fit into its share of the bytes; what it leaves is shared among those behind it. The function raises
    RateError when even the coarsest need more.
    """
    del frames, before_texture  # the small pictures of the analysis are all that is looked at
    info, seen = analysis.info, _seen(analysis, cfg.autoencoder())
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
        while True:
            plans = chosen(room)
            made = stream(plans, words)
            over = len(pack(made)) - budget  # packets of large units have headers of their own
            if over <= 0 or room <= 0:
                return made
            room = max(0, room - over)

    def chosen(room: int) -> list[tuple[int, int]]:
        plans, left = [], info.frames
        for i, s in enumerate(seen):
            share = room * s.frames // left
            best = best_plan(s, functools.partial(body, i), functools.partial(error, i), share)
            room, left = room - len(body(i, *best)) + len(body(i, 0, 1)), left - s.frames
            plans.append(best)
        return plans

    return code


def _affordable(analysis: Analysis, limit: int) -> int:
    """How many of the captions, from the first on, take at most `limit` bytes."""
    for count in (len(analysis.captions), 1):
        units = records.caption_units(analysis.captions[:count], analysis.info, 4 * analysis.period)
        if sum(map(len, units.values())) <= limit:
            return count
    return 0


# --------------------------------------------------------------------------------------------- receiver


def groups(stream: Stream) -> Iterator[tuple[int, tokens.Group]]:
    """(first frame, group) of the token codes that arrived whole, in order."""
    for frame, body in records.keyframe_records(stream):
        with contextlib.suppress(SemjaxError):
            yield frame, tokens.decode_group(body)


def receive(
    stream: Stream, generator: Generator, key: jax.Array, timed: Timed = untimed
) -> Iterator[Received]:
    """Make a stream's clip from its tokens and sentences, in steps of `sources.unit_frames`; see `receiver.receive`.

    Frames of which no token arrived are grey before the first that did and stand still behind it. Raises InputError
    for tokens of an autoencoder that the generator does not have.
    """
    info, step, state = stream.info, unit_frames(stream.info), None
    words, _ = records.read_captions(stream.layer("caption"), info, stream.spans.get("caption", 1))
    with timed("decode"):
        arrived, coder = list(groups(stream)), None
        if any(tokens.is_latent(group) for _, group in arrived):
            coder = latents.receiver_coder(generator)
            arrived = latents.readable(arrived, coder, generator.name, info)
        painters = [(first, _Painter(group, info, coder)) for first, group in arrived]
    for first in range(0, info.frames, step):
        count = min(step, info.frames - first)
        with timed("decode"):
            frames, told = _painted(painters, first, count, info)
            said = tuple(c for c in words if c.first < first + count and c.last >= first)
            told = dataclasses.replace(told, captions=said)
        with timed("generate"):
            frames, state = repaint(generator, told, frames, state, jax.random.fold_in(key, first))
        yield Received(frames, told)


class _Painter:
    """What a group shows of a clip without a network, and what it says: frames, label maps, keyframes."""

    def __init__(self, group: tokens.Group, info: ClipInfo, coder: tokens.Autoencoder | None):
        self.group, self.size = group, (info.height, info.width)
        self.shown = latents.Shown(group, coder, *self.size) if tokens.is_latent(group) else None

    def paint(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Frames at `times` from the group's first keyframe on and, of regions, their label maps."""
        if self.shown is None:
            return tokens.paint_group(self.group, times, *self.size)
        return self.shown.frames(times), None

    def keyframes(self, times: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """(time, picture) of the keyframes at `times` that stand for more than statistics: those of latents."""
        if self.shown is None:
            return []
        return [(t, self.shown.picture(k)) for k, t in enumerate(self.group.places) if t in times]


def _painted(
    painters: list[tuple[int, _Painter]], first: int, count: int, info: ClipInfo
) -> tuple[np.ndarray, Conditions]:
    """What the tokens alone show of a few frames, and what is known of them."""
    told = nothing_known(first, count, info.height, info.width)
    frames, clean = np.full((count, info.height, info.width, 3), 128, np.uint8), []
    status = told.contour_status.copy()
    starts = [frame for frame, _ in painters]
    owner = np.searchsorted(starts, np.arange(first, first + count), side="right") - 1
    for number in np.unique(owner[owner >= 0]):
        start, painter = painters[number]
        mine = np.flatnonzero(owner == number)
        times = mine + first - start
        frames[mine], labels = painter.paint(times)
        clean += [Keyframe(start + t, picture) for t, picture in painter.keyframes(times)]
        if labels is not None:
            told.labels[mine] = labels
            exact = np.isin(times, painter.group.places)
            status[mine] = np.where(exact, FrameStatus.RECEIVED, FrameStatus.CONCEALED)
    return frames, dataclasses.replace(told, contour_status=status, keyframes=tuple(clean))
