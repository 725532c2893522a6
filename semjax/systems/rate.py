"""Spending a clip's bytes: contours and keyframes get a share, the texture layer fills the rest exactly.

The order in which layers give way when bytes are short: keyframes, caption, contour detail, texture detail. What
the texture layer cannot use any more goes to more and better keyframes.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from semjax import contours, stills, texture
from semjax._threads import in_order
from semjax.errors import RateError
from semjax.stream import Stream, pack
from semjax.systems.analysis import Analysis
from semjax.systems.records import caption_units, keyframe_units
from semjax.types import ClipInfo

DEFAULT_BITRATE = 8000.0
DEFAULT_FLOOR = 1500  # bytes that a clip gets without --bitrate however short it is
SLACK = 0.1  # the rate is met within this share
COARSEST, FINEST = 24.0, 0.7  # tolerances in pixels for 512 of picture diagonal
CAPTION_SHARE = 0.12
CONTOUR_SHARES, CONTOUR_SHARE, AT_BYTES = (0.06, 0.35), 0.3, 7.5  # least and most; at so many bytes a frame
MANY_BYTES = 20.0  # a frame, from which on texture shows most of what outlines could add
FALL, STEEP_FALL = 0.3, 0.75  # powers of bytes a frame that their share falls with, up to there and beyond
NEAR, AIM, TRIES = (0.8, 1.05), 0.9, 4  # what share of their bytes contours should take; passes to find out
BUSY_BYTES = 0.0034  # contour bytes for a `business` of 1 at 4 pixels (measured)
STEEP = 1.1  # a tolerance finer by x costs about x^STEEP times the bytes (measured)
LEAST_KEYFRAME = 0.016  # bytes a pixel below which a still shows little more than the texture layer does
ROUNDS = 8
TEXTURE = texture.TextureConfig(tune="ssim")


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way to code the clip. texture_size: width and group. texture_bytes: for each frame; None: as few as
    can be. keyframe_gap: frames between keyframes besides cuts; 0 = none at all. captions: how many of the clip's
    captions are sent, from the first on."""

    tolerance: float
    texture_size: tuple[int, int]
    texture_bytes: float | None
    keyframe_bytes: int
    keyframe_gap: int
    captions: int


class Coder:
    """Turns plans for one analysed clip into streams; equal parts of different plans are coded once.

    pictures(numbers) yields (number, uint8 [H, W, 3]) of the frames asked for, in order: keyframes.
    texture_span: frames a unit of the texture layer covers. before_texture() is called before that layer is first
    needed.
    """

    def __init__(
        self,
        analysis: Analysis,
        system: str,
        pictures: Callable[[Sequence[int]], Iterable],
        texture_span: int,
        before_texture: Callable[[], object] = lambda: None,
    ):
        self.analysis, self.system, self.pictures = analysis, system, pictures
        self.texture_span, self.before_texture = texture_span, before_texture
        self.contour = functools.lru_cache(maxsize=32)(self._contour)
        self.sample = functools.lru_cache(maxsize=32)(self._sample)
        self.texture = functools.lru_cache(maxsize=8)(self._texture)
        self.stills = functools.lru_cache(maxsize=8)(self._stills)
        self.tiny = functools.lru_cache(maxsize=2)(self._tiny)
        self.texture_size = functools.lru_cache(maxsize=32)(self._texture_size)

    def _contour(self, tolerance: float) -> dict[int, bytes]:
        return dict(enumerate(self._contour_units(tolerance)))

    def _contour_units(self, tolerance: float, chunks: Sequence[int] | None = None) -> Iterable[bytes]:
        cfg = contours.ContourConfig(tolerance=tolerance, period=self.analysis.period)
        return in_order(lambda maps: next(contours.encode_units([maps], cfg)), self.analysis.labels(chunks))

    def contour_estimate(self, tolerance: float) -> float:
        """About how many bytes the contours take at a tolerance, from at most two units."""
        if self._sampled is None:
            return sum(map(len, self.contour(tolerance).values()))
        return self.sample(tolerance)

    @property
    def _sampled(self) -> list[int] | None:
        """The units that stand for all, None where all are looked at."""
        count = len(self.analysis.label_chunks)
        return None if count <= 2 else [0, count // 2]

    def _sample(self, tolerance: float) -> float:
        frames = self.analysis.period * len(self._sampled)
        return (
            sum(map(len, self._contour_units(tolerance, self._sampled))) * self.analysis.info.frames / frames
        )

    def business(self) -> float:
        """How much there is to say of the outlines: the geometric mean of pixels on one and pixels that change, in all
        frames (from the units looked at), counted as in pictures of 512 pixels of diagonal."""
        info = self.analysis.info
        changes, frames = np.zeros(3), 0
        for maps in self.analysis.labels(self._sampled):
            beside = (maps[1:], maps[:-1]), (maps[:, 1:], maps[:, :-1]), (maps[:, :, 1:], maps[:, :, :-1])
            changes += [np.count_nonzero(a != b) for a, b in beside]
            frames += len(maps)
        in_time, *in_space = changes * info.frames / frames
        outline = sum(in_space) / _unit(info)
        return float(np.sqrt(outline * (in_time / _unit(info) ** 2 + outline / 16)))

    def _tiny(self, width: int) -> np.ndarray:
        have = self.analysis.tiny
        return have if have.shape[2] == width else texture.shrink(have, width)

    def _texture_size(self, width: int | None, bytes_per_frame: float) -> tuple[int, int]:
        """Width (the one given, if any) and group that show most of the clip for so many bytes."""
        self.before_texture()
        widths = texture.WIDTHS if width is None else (min(width, self.analysis.tiny.shape[2]),)
        tiny, shown_at = self.analysis.tiny, self.analysis.info.width
        return texture.best_size(tiny, bytes_per_frame, self.texture_span, TEXTURE, widths, shown_at=shown_at)

    def _texture(self, size: tuple[int, int], bytes_per_frame: float | None) -> dict[int, bytes]:
        self.before_texture()
        tiny = self.tiny(size[0])
        rate = {"step": 1e6} if bytes_per_frame is None else {"bytes_per_frame": bytes_per_frame}
        cfg = dataclasses.replace(TEXTURE, width=tiny.shape[2], group=size[1], **rate)
        return dict(enumerate(texture.encode_units(tiny, cfg, self.texture_span)))

    def _stills(self, gap: int, max_bytes: int) -> dict[int, bytes]:
        """Payloads of the keyframes, without those that do not fit into their bytes at all."""
        coded = {}
        for number, picture in self.pictures(self.keyframes(gap)):
            with contextlib.suppress(RateError):
                coded[number] = stills.encode_still(picture, max_bytes)
        return coded

    def captions(self, count: int) -> dict[int, bytes]:
        """Units of the caption layer with the first `count` captions: the clip's own comes before its segments'."""
        return caption_units(self.analysis.captions[:count], self.analysis.info, 4 * self.analysis.period)

    def keyframes(self, gap: int) -> list[int]:
        """Frames that a plan with this gap sends as pictures: the first, every cut, and every gap-th between."""
        if not gap:
            return []
        frames, starts = [], [0, *self.analysis.cuts, self.analysis.info.frames]
        for start, end in itertools.pairwise(starts):
            frames += range(start, end, gap)
        return frames

    def stream(self, plan: Plan) -> Stream:
        """The clip coded by a plan. Raises RateError when the texture does not fit its bytes."""
        info, period = self.analysis.info, self.analysis.period
        units: dict[str, Mapping[int, bytes]] = {
            "contour": self.contour(plan.tolerance),
            "texture": self.texture(plan.texture_size, plan.texture_bytes),
        }
        spans = {"contour": period, "texture": self.texture_span}
        if plan.captions:
            spans["caption"] = 4 * period
            units["caption"] = self.captions(plan.captions)
        if plan.keyframe_gap:
            spans["keyframe"] = min(period, plan.keyframe_gap)
            coded = self.stills(plan.keyframe_gap, plan.keyframe_bytes)
            units["keyframe"] = keyframe_units(list(coded.items()), spans["keyframe"])
        return Stream(info, spans, units, self.system)


def fit(coder: Coder, bitrate: float | None, tolerance: float | None, width: int | None) -> Stream:
    """The clip at `bitrate` bits a second, everything included, met within 10 % from below.

    Without a bitrate: 8 kbit/s, or what a short clip needs to be worth looking at. `tolerance` (pixels) and
    `width` fix the contours' tolerance and the texture's width, which are otherwise chosen.
    Raises RateError, naming the least (or greatest) possible rate, when the rate cannot be met.
    """
    info = coder.analysis.info
    per_byte = 8 / info.seconds
    budget = int((bitrate or DEFAULT_BITRATE) / per_byte)
    if bitrate is None:
        budget = max(budget, DEFAULT_FLOOR)
    stream = _fill(coder, budget, tolerance, width)
    if stream is None:
        least = coder.stream(_least_plan(coder, tolerance, width))
        size = len(pack(least))
        if bitrate is not None and size > budget * (1 + SLACK):
            raise RateError(
                f"{bitrate:g} bit/s is too little for this clip: the least possible is "
                f"{np.ceil(size * per_byte):g} bit/s"
            )
        return least
    size = len(pack(stream))
    if bitrate is not None and size < budget * (1 - SLACK):
        raise RateError(
            f"{bitrate:g} bit/s is more than this clip can use: the most possible is {size * per_byte:.0f} bit/s"
        )
    return stream


def _tolerances(coder: Coder, tolerance: float | None) -> tuple[float, float]:
    """The coarsest and the finest tolerance in pixels that may be chosen."""
    if tolerance is not None:
        return tolerance, tolerance
    unit = _unit(coder.analysis.info)
    return round(COARSEST * unit, 2), round(FINEST * unit, 2)


def _unit(info: ClipInfo) -> float:
    """Pixels of a clip for one of a picture of 512 pixels of diagonal."""
    return float(np.hypot(info.width, info.height)) / 512


def _least_plan(coder: Coder, tolerance: float | None, width: int | None) -> Plan:
    width = width or min(32, coder.analysis.tiny.shape[2])
    return Plan(_tolerances(coder, tolerance)[0], (width, max(texture.GROUPS)), None, 0, 0, 0)


def _contour_share(bytes_per_frame: float) -> float:
    """What part of the bytes outlines get at most: enough for shapes to be right, and hardly more (measured)."""
    share = CONTOUR_SHARE * (AT_BYTES / bytes_per_frame) ** FALL
    share *= min(MANY_BYTES / bytes_per_frame, 1) ** (STEEP_FALL - FALL)
    return min(max(share, CONTOUR_SHARES[0]), CONTOUR_SHARES[1])


def _finest_within(coder: Coder, tolerance: float | None, limit: int) -> float:
    """A tolerance whose contours take about `limit` bytes; the coarsest or finest there is if none does.

    The first try is what the outlines suggest, the next ones follow what the tries before took.
    """
    coarsest, finest = _tolerances(coder, tolerance)
    if coarsest == finest:
        return coarsest
    aim = AIM * max(limit, 1)
    now = 4 * _unit(coder.analysis.info) * BUSY_BYTES * coder.business() / aim
    steep, tried = STEEP, []  # [(tolerance, bytes)]
    for _ in range(TRIES):
        now = round(min(max(now, finest), coarsest), 2)
        if any(now == t for t, _ in tried):
            break  # nothing lies between
        size = max(coder.contour_estimate(now), 1)
        ended = now <= 1.1 * finest if size <= limit else now == coarsest
        if ended or NEAR[0] * limit <= size <= NEAR[1] * limit:
            return now
        if tried:
            steep = np.log(tried[-1][1] / size) / np.log(now / tried[-1][0])
        tried.append((now, size))
        now *= (size / aim) ** (1 / min(max(steep, 0.4), 2.0))
        low = max((t for t, s in tried if s > aim), default=0)
        high = min((t for t, s in tried if s <= aim), default=np.inf)
        if not low < now < high:
            now = (low * high) ** 0.5
    return min((t for t, size in tried if size <= NEAR[1] * limit), default=coarsest)


def _fill(coder: Coder, budget: int, tolerance, width) -> Stream | None:
    """Spend `budget` bytes as fully as the layers allow; None when even the least is more."""
    captions = next(
        count
        for count in (len(coder.analysis.captions), 1, 0)
        if sum(map(len, coder.captions(count).values())) <= CAPTION_SHARE * budget
    )
    frames = coder.analysis.info.frames
    now = _finest_within(coder, tolerance, int(_contour_share(budget / frames) * budget))
    rest = budget - sum(map(len, [*coder.contour(now).values(), *coder.captions(captions).values()]))
    # In steps of a tenth, so that rates that hardly differ share one search.
    size = coder.texture_size(width, math.exp(round(math.log(max(rest / frames, 0.5)), 1)))
    plan = Plan(now, size, None, 0, 0, captions)
    # Texture moves, stills do not: they get what it cannot use (on every clip measured up to 40 kbit/s a byte of
    # texture showed more).
    share, best, best_size, low, high = 0.0, None, 0, 0.0, None
    for _ in range(ROUNDS):
        stream, size, spare = _fill_texture(coder, plan, budget)
        if best_size < size <= budget:
            best, best_size = stream, size
        if best_size >= budget * (1 - SLACK / 4):
            break
        # The texture layer is saturated, or even its least is too much beside the keyframes: between the two
        # the stills' share is halved in.
        if spare > 0:
            low, share = share, share + 1.5 * spare / budget if high is None else (share + high) / 2
        else:
            high, share = share, (low + share) / 2
        changed = _with_keyframes(coder, plan, int(min(share, 1.0) * budget))
        if changed == plan:
            changed = dataclasses.replace(plan, captions=0) if spare < 0 else plan
        if changed == plan:
            break
        plan = changed
    return best


def _fill_texture(coder: Coder, plan: Plan, budget: int) -> tuple[Stream, int, int]:
    """Give the texture layer what the other layers leave; returns stream, size and bytes left over."""
    stream = coder.stream(plan)
    size, least = len(pack(stream)), sum(map(len, stream.units["texture"].values()))
    room = budget - size + least
    if room > least:  # larger units need more packets, whose headers show once there are so many bytes
        room -= max(len(pack(_padded(stream, room))) - budget, 0)
    while room > least:
        fuller = coder.stream(dataclasses.replace(plan, texture_bytes=room / coder.analysis.info.frames))
        full_size = len(pack(fuller))
        if full_size <= budget:
            return fuller, full_size, budget - full_size
        room -= full_size - budget
    return stream, size, budget - size


def _padded(stream: Stream, size: int) -> Stream:
    """The stream with `size` bytes of nothing as its texture, spread evenly."""
    span, frames = stream.spans["texture"], stream.info.frames
    shares = {u: size * min(span, frames - u * span) // frames for u in stream.units["texture"]}
    empty = {u: bytes(n) for u, n in shares.items()}
    return dataclasses.replace(stream, units={**stream.units, "texture": empty})


def _with_keyframes(coder: Coder, plan: Plan, budget: int) -> Plan:
    """The plan with as many keyframes as `budget` bytes make worth sending, few good ones before many poor."""
    info = coder.analysis.info
    enough = max(6000, info.width * info.height // 12)  # bytes above which another keyframe serves better
    gap = info.frames
    while gap > 1 and budget / len(coder.keyframes(gap)) > enough:
        gap = -(-gap // 2)
    each = budget // len(coder.keyframes(gap))
    if each < LEAST_KEYFRAME * info.width * info.height:
        # Too little for one at every cut: the texture layer carries the clip alone.
        return dataclasses.replace(plan, keyframe_gap=0, keyframe_bytes=0)
    return dataclasses.replace(plan, keyframe_gap=gap, keyframe_bytes=each)
