"""System `lgvsc` (arXiv 2606.12899): keyframes as pictures, a sentence and a motion score for every segment between.

sender      frames where the meaning changed (SKEM) or at a fixed interval (SKIM) -> stills -> keyframe layer, with
            each one's motion score; a sentence for each segment -> caption layer
receiver    a world model makes each segment from its two keyframes, its sentence, its motion and the frames before it
            (semjax.world): segments as long as the keyframes are apart (DSA), or equally long (SFA)
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

from semjax import semantics, stills, world
from semjax.errors import InputError, RateError, StreamError
from semjax.stream import Stream, pack
from semjax.systems import records
from semjax.systems.analysis import Analysis, analyse
from semjax.systems.causal import pick
from semjax.systems.generators import Generator, Received
from semjax.systems.painters import Timed, in_steps, nothing_known, untimed
from semjax.systems.sources import Source, unit_frames
from semjax.systems.worlds import world_of
from semjax.types import Caption, Conditions, Keyframe

SELECTIONS = ("skem", "skim")
DEFAULT_BPP = 6.5e-3  # bits a pixel without a bitrate: about a CBR of 1e-3 at 10 dB
CAPTION_SHARE = 0.12
LEAST_KEYFRAME = 0.003  # bytes a pixel below which fewer keyframes are better
ENOUGH_KEYFRAME = 0.0045  # bytes a pixel above which more keyframes are better
TINY = 128  # pixels of width at which motion is measured
CANDIDATES = 0.2  # seconds from one candidate of SKEM to the next (the release)


@dataclasses.dataclass(frozen=True)
class SenderConfig:
    """What the sender is asked for.

    bitrate: bits a second with everything that crosses the link; None: 0.0065 bit a pixel, a CBR of 1e-3
        at 10 dB or so.
    selection: "skem" (where the meaning changed) or "skim" (equally far apart). threshold: of SKEM (0.35 in the paper).
    keyframes: how many; None: what SKEM finds or, for SKIM, the rate makes best, fewer or more as the rate allows.
    max_regions: regions found without labels.
    """

    system: ClassVar[str] = "lgvsc"
    bitrate: float | None = None
    selection: str = "skem"
    threshold: float = 0.35
    keyframes: int | None = None
    max_regions: int = 8

    def __post_init__(self):
        if self.bitrate is not None and not 0 < self.bitrate < float("inf"):
            raise InputError(f"the bitrate must be a positive number of bits a second, not {self.bitrate}")
        if self.selection not in SELECTIONS:
            raise InputError(f"keyframes are chosen by {' or '.join(SELECTIONS)}, not {self.selection!r}")
        if self.keyframes is not None and self.keyframes < 1:
            raise InputError(f"a clip has at least one keyframe, not {self.keyframes}")
        if not 2 <= self.max_regions <= 255:
            raise InputError(f"max_regions must be 2 to 255, not {self.max_regions}")
        semantics.SkemConfig(threshold=self.threshold)  # raises InputError for one that cannot be


@dataclasses.dataclass(frozen=True)
class Story(Analysis):
    """What the layers are made from: an analysis, and

    changes: (frame, PSSS-like score) of the frames where SKEM finds that the meaning changed, cuts left out.
    moved: float [T - 1], mean length of the motion from each frame to the next in pixels at a width of 576.
    told: the captions were given, so that none are made for segments.
    """

    changes: tuple[tuple[int, float], ...] = ()
    moved: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    told: bool = False


def understand(
    frames: Source, labels: Source | None, captions: Sequence[Caption] | None, cfg: SenderConfig
) -> Story:
    """The sender's first pass: label maps, cuts, motion, and where the meaning changed."""
    period = unit_frames(frames.info)
    given = () if captions is None else captions
    found = analyse(frames, labels, given, period=period, width=TINY, max_regions=cfg.max_regions)
    changes = _changes(frames, found, cfg) if cfg.selection == "skem" else ()
    return Story(
        **{f.name: getattr(found, f.name) for f in dataclasses.fields(Analysis)},
        changes=changes,
        moved=_motion(found.tiny),
        told=captions is not None,
    )


def _changes(frames: Source, found: Analysis, cfg: SenderConfig) -> tuple[tuple[int, float], ...]:
    """Causal SKEM over candidates 0.2 s apart, in memory for two frames' summaries."""
    stride = max(1, round(CANDIDATES * float(frames.info.fps)))
    settings = semantics.SkemConfig(threshold=cfg.threshold)
    views, scores, chosen, state, number = {}, {}, [], semantics.SkemState(), 0

    def score(i, j):
        scores[j] = 2 * semantics.probability(views[i], views[j]) - 1
        return scores[j]

    for chunk, maps in zip(frames.read(found.period), found.labels(), strict=True):
        for i in range(len(chunk)):
            cut = number in found.cuts
            if number % stride == 0 or cut:
                views = {k: v for k, v in views.items() if k == state.latest}
                views[number] = semantics.view(chunk[i], maps[i])
                key, state = semantics.skem_step(number, state, score, settings, cut=cut)
                if key and number in scores and not cut:
                    chosen.append((number, scores[number]))
            number += 1
    return tuple(chosen)


def _motion(tiny: np.ndarray) -> np.ndarray:
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in tiny]
    flows = (semantics.motion.dense_flow(b, a) for a, b in itertools.pairwise(greys))
    return np.array([world.motion_score(flow) for flow in flows])


def keyframes(story: Story, count: int, selection: str) -> list[int]:
    """`count` frames of a clip to be sent as pictures, in rising order; one is the first, the second the last.

    skim: equally far apart. skem: every cut, then where the meaning changed, most first, then the middles of the
    segments with most motion.
    """
    total = story.info.frames
    count = min(count, total)
    if selection == "skim":
        return sorted({round(i) for i in np.linspace(0, total - 1, count)})
    wanted = [0, total - 1, *story.cuts, *(f for f, _ in sorted(story.changes, key=lambda c: -c[1]))]
    chosen = sorted(set(list(dict.fromkeys(wanted))[:count]))
    # How far a frame is into the clip: by motion, and a little by time.
    way = np.cumsum(np.append(0.0, story.moved + 0.2 * max(story.moved.mean(), 0.1))) if total > 1 else None
    while len(chosen) < count:
        start, end = max(
            (pair for pair in itertools.pairwise(chosen) if pair[1] - pair[0] > 1),
            key=lambda pair: way[pair[1]] - way[pair[0]],
        )
        middle = int(np.searchsorted(way, (way[start] + way[end]) / 2))
        chosen = sorted([*chosen, min(max(middle, start + 1), end - 1)])
    return chosen


def coder(
    frames: Source, story: Story, cfg: SenderConfig, before_texture: Callable[[], object] = lambda: None
) -> Callable[[float | None], Stream]:
    """A function from bits a second (None: see SenderConfig) to the clip's stream.

    It raises RateError when even two keyframes at their coarsest need more.
    """
    del before_texture  # there is no texture layer
    info = story.info

    @functools.lru_cache(maxsize=8)
    def captions(keys: tuple[int, ...]) -> tuple[Caption, ...]:
        return story.captions if story.told else tuple(segment_captions(frames, story, keys))

    @functools.lru_cache(maxsize=2)
    def pictures(keys: tuple[int, ...]) -> dict[int, np.ndarray]:
        return dict(pick(frames, keys))

    def stream(keys: tuple[int, ...], words: int, size: int) -> Stream:
        motions = {a: _segment_motion(story, a, b) for a, b in itertools.pairwise([*keys, info.frames])}
        coded = {}
        for k, picture in pictures(keys).items():
            with contextlib.suppress(RateError):
                coded[k] = stills.encode_still(picture, size)
        if not coded:
            raise RateError(f"no keyframe of this clip fits into {size} bytes")
        spans = {"keyframe": story.period, "caption": 4 * story.period}
        bodies = []
        for k, payload in coded.items():
            bodies += [(k, payload), (k, bytes([records.MOTION, motions[k]]))]
        units = {"keyframe": records.keyframe_units(bodies, spans["keyframe"])}
        units["caption"] = records.caption_units(captions(keys)[:words], info, spans["caption"])
        if not units["caption"]:
            del units["caption"], spans["caption"]
        return Stream(info, spans, units, "lgvsc")

    def code(bitrate: float | None) -> Stream:
        budget = _budget(info, bitrate)
        count = _how_many(story, cfg, budget)
        while True:
            keys = tuple(keyframes(story, count, cfg.selection))
            words = _affordable(captions(keys), story, int(CAPTION_SHARE * budget))
            try:
                return _fill(functools.partial(stream, keys, words), budget, len(keys))
            except RateError as error:
                if count == 1 or cfg.keyframes is not None:
                    raise RateError(
                        f"{budget} bytes are too little for {count} keyframe{'s' * (count > 1)} of this clip at "
                        f"{info.width}x{info.height}; allow more bits a second ({error})"
                    ) from error
            count = count // 2

    return code


def _budget(info, bitrate: float | None) -> int:
    if bitrate is None:
        return max(1500, int(DEFAULT_BPP * info.frames * info.width * info.height / 8))
    return int(bitrate * info.seconds / 8)


def _affordable(captions: Sequence[Caption], story: Story, limit: int) -> int:
    """How many of the captions, from the first on, take at most `limit` bytes."""
    for count in (len(captions), 1):
        units = records.caption_units(captions[:count], story.info, 4 * story.period)
        if sum(map(len, units.values())) <= limit:
            return count
    return 0


def _how_many(story: Story, cfg: SenderConfig, budget: int) -> int:
    """As many keyframes as SKEM found, but none of too few bytes, and more where bytes are plenty."""
    if cfg.keyframes is not None:
        return cfg.keyframes
    pixels = story.info.width * story.info.height
    found = 2 + len(story.cuts) + len(story.changes) if cfg.selection == "skem" else 2
    least = int(budget / (ENOUGH_KEYFRAME * pixels))
    most = max(1, int(budget / (LEAST_KEYFRAME * pixels)))
    return max(1, min(max(found, least), most, story.info.frames))


def _fill(stream: Callable[[int], Stream], budget: int, count: int) -> Stream:
    """The stream whose keyframes share out `budget` bytes. Raises RateError where they do not fit."""
    size, low, high, best = budget // count, 0, budget + 1, None  # low fits, high does not
    for _ in range(8):
        made = stream(max(size, 1))
        total = len(pack(made))
        guess = int(size * (1 - (total - 0.99 * budget) / budget))
        if total <= budget:
            low, best = size, made
            if total > 0.96 * budget:
                break
        else:  # pictures come in steps: a little less asked for may be nothing less sent
            high, guess = size, min(guess, int(0.95 * size))
        size = guess if low < guess < high else (low + high) // 2
        if size == low:
            break
    if best is None:
        raise RateError(f"the least is more than {budget} bytes")
    return best


def _segment_motion(story: Story, first: int, end: int) -> int:
    """The motion byte of the segment from keyframe `first` up to the keyframe `end`."""
    if any(first < cut <= end for cut in story.cuts):
        return records.CUT
    here = story.moved[first:end]
    return records.motion_byte(float(here.mean()) if len(here) else 0.0)


def segment_captions(frames: Source, analysis: Analysis, keys: Sequence[int]) -> Iterator[Caption]:
    """A sentence for every segment, from the tracks of its regions, in one pass over the clip."""
    starts, tracks, number = set(keys[1:]), semantics.tracks_init(), 0
    for chunk, maps in zip(frames.read(analysis.period), analysis.labels(), strict=True):
        at = 0
        for cut in [*(k - number for k in sorted(starts) if number <= k < number + len(chunk)), len(chunk)]:
            if cut > at:
                tracks = semantics.tracks_update(tracks, chunk[at:cut], maps[at:cut])
            if cut < len(chunk):
                yield from semantics.describe(tracks, analysis.info)
                tracks = semantics.next_segment(tracks)
            at = cut
        number += len(chunk)
    yield from semantics.describe(tracks, analysis.info)


# --------------------------------------------------------------------------------------------- receiver


def segments(stream: Stream) -> Iterator[world.Segment]:
    """The segments that the keyframes which arrived divide a clip into; they cover every frame once.

    A lost keyframe joins the segments on both sides. Without any keyframe the clip is one segment of which
    nothing but the sentence is known.
    """
    info = stream.info
    words, _ = records.read_captions(stream.layer("caption"), info, stream.spans.get("caption", 1))
    arrived = _arrived(stream)
    after = next(arrived, None)
    if after is None or after[0].frame > 0:
        yield _segment(info, 0, info.frames if after is None else after[0].frame, None, after, words)
    while after is not None:
        before, after = after, next(arrived, None)
        end = info.frames if after is None else after[0].frame
        yield _segment(info, before[0].frame, end, before, after, words)


def _arrived(stream: Stream) -> Iterator[tuple[Keyframe, int | None]]:
    """The pictures of the keyframe layer in order, each with its motion byte if that arrived."""
    info = stream.info
    for frame, group in itertools.groupby(records.keyframe_records(stream), key=lambda r: r[0]):
        bodies = [body for _, body in group]
        motions = [body[1] for body in bodies if body[0] == records.MOTION and len(body) == 2]
        for body in filter(records.is_still, bodies):
            with contextlib.suppress(StreamError):
                picture = stills.decode_still(body, info.height, info.width)
                yield Keyframe(frame, picture), motions[0] if motions else None
                break


def _segment(info, first: int, end: int, before, after, words: Sequence[Caption]) -> world.Segment:
    motion = None if before is None else before[1]
    return world.Segment(
        first,
        end - first,
        info.height,
        info.width,
        start=None if before is None else before[0].image,
        end=None if after is None else after[0].image,
        cut=motion == records.CUT,
        caption=caption_of(words, first, end),
        score=None if motion in (None, records.CUT) else records.motion_score(motion),
    )


def caption_of(words: Sequence[Caption], first: int, end: int) -> str:
    """What is said of most of the frames from `first` up to `end`; of several captions the shortest stretch's."""
    shared = [(min(c.last + 1, end) - max(c.first, first), c.first - c.last, c.text) for c in words]
    return max((s for s in shared if s[0] > 0), default=(0, 0, ""))[2]


def receive(
    stream: Stream, generator: Generator, key: jax.Array, timed: Timed = untimed
) -> Iterator[Received]:
    """Make a stream's clip segment by segment, in steps of `sources.unit_frames` frames; see `receiver.receive`."""
    return in_steps(_parts(stream, world_of(generator), key, timed), unit_frames(stream.info))


def _parts(stream: Stream, model: world.WorldModel, key: jax.Array, timed: Timed) -> Iterator[Received]:
    source, step = segments(stream), unit_frames(stream.info)
    state, shown = None, None
    while True:
        with timed("decode"):
            segment = next(source, None)
        if segment is None:
            return
        segment = dataclasses.replace(segment, before=shown)
        for at in range(0, segment.frames, step):
            count, first = min(step, segment.frames - at), segment.first + at
            with timed("generate"):
                frames, state = model.step(segment, at, count, state, jax.random.fold_in(key, first))
            shown = frames if shown is None else np.concatenate([shown, frames])
            shown = shown[-world.OVERLAP :]
            yield Received(frames, _told(segment, first, count))


def _told(segment: world.Segment, first: int, count: int) -> Conditions:
    """What was known of some frames of a segment."""
    starts = segment.start is not None and first == segment.first
    last = segment.first + segment.frames - 1
    said = (Caption(segment.first, last, segment.caption),) if segment.caption else ()
    return dataclasses.replace(
        nothing_known(first, count, segment.height, segment.width),
        keyframes=(Keyframe(first, segment.start),) if starts else (),
        captions=said,
    )
