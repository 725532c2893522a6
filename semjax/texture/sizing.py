"""How large tiny frames had best be, and how long their groups: found by coding a stretch of the clip.

Fine detail that stands still is worth many pixels, blurred motion few. A stretch is coded once at a few sizes; what
comes out, enlarged, is held against the frames (`semjax.texture.likeness`).
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from semjax._threads import in_order
from semjax.texture import pixels
from semjax.texture.config import TextureConfig
from semjax.texture.likeness import likeness, look
from semjax.texture.rate import SLOPE, AheadEncoder, guess_knob
from semjax.texture.unit import STEPS, fill_in

WIDTHS = (32, 48, 64, 80, 96, 128, 160, 192, 256)
_STRETCH = 64  # frames that are looked at; the choice from 48 of 60 is often another, and worse
_EACH = 3  # every so many of them are compared
_OCTAVE = 0.12  # likeness that twice the bytes bring, about (measured)
_DECIBEL = 0.01  # likeness that a decibel counts for: it decides where structure sees no difference
_WHOLE = 1.5  # times the width of the largest tiny frames, below which these count as whole pictures
_PATIENCE, _CLEARLY = 2, 0.025  # worse sizes in a row, or one so much worse, after which none will be better
_NEAR, _TRIES = 0.1, 4  # log of a trial's bytes over those wanted that is near enough; passes to get there


def best_size(
    tiny: np.ndarray,
    bytes_per_frame: float,
    span: int,
    cfg: TextureConfig,
    widths: Sequence[int] = WIDTHS,
    groups: Sequence[int] = (16, 32),
    shown_at: int | None = None,
) -> tuple[int, int]:
    """The width and the group that show most of a clip for so many bytes.

    Args:
        tiny: uint8 [T, h, w, 3], the frames at the largest size that may be chosen.
        bytes_per_frame: payload bytes for each frame of the clip. span: frames a unit covers.
        cfg: other settings of the coder (look-ahead is assumed). widths: to choose from, rising.
        groups: `TextureConfig.group` to choose from; the first is what widths are compared with.
        shown_at: width of the pictures that tiny frames are enlarged to; None: that of `tiny`.

    Returns:
        (width, group): one of `widths`, at most that of `tiny`, and one of `groups`.
    """
    widths = [w for w in widths if w <= tiny.shape[2]] or [tiny.shape[2]]
    groups = [g for g in groups if g < len(tiny)] or groups[:1]  # longer ones than the clip are all alike
    if len(widths) == len(groups) == 1:
        return widths[0], groups[0]
    start = max(0, (len(tiny) - _STRETCH) // 2)
    whole = shown_at is None or shown_at < _WHOLE * tiny.shape[2]
    trials = _Trials(tiny[start : start + _STRETCH], bytes_per_frame, span, cfg, whole)
    at = min(range(len(widths)), key=lambda i: abs(math.log(widths[i] / _first_width(bytes_per_frame))))
    first = best = trials.scores([(widths[at], groups[0])])[0]
    for way in (widths[at + 1 :], widths[:at][::-1]):
        if best[0] - first[0] < _CLEARLY:  # else it lies the other way
            best = _climb(trials, way, best)
    if len(groups) == 1:
        return best[1:]
    return max(trials.scores([(best[1], group) for group in groups], sparing=True))[1:]


def _climb(trials: "_Trials", way: Sequence[int], best: tuple[float, int, int]) -> tuple[float, int, int]:
    """The best of `best` and the widths on a way that starts beside it, two at a time."""
    worse = 0
    for i in range(0, len(way), 2):
        for found in trials.scores([(width, best[2]) for width in way[i : i + 2]]):
            worse = 0 if found > best else worse + 1
            if worse == _PATIENCE or found[0] < best[0] - _CLEARLY:
                return best
            best = max(best, found)
    return best


def _first_width(bytes_per_frame: float) -> float:
    """Where the search starts: what was best for most clips (measured)."""
    return 28 * bytes_per_frame**0.3


class _Trials:
    """A stretch of a clip coded at several sizes, each once."""

    def __init__(self, tiny: np.ndarray, bytes_per_frame: float, span: int, cfg: TextureConfig, whole: bool):
        self._tiny, self._span, self._cfg = tiny, span, cfg
        self._wanted = bytes_per_frame
        self._look = functools.partial(look, whole=whole)
        self._truth = [self._look(frame) for frame in tiny[::_EACH]]
        self._score = functools.cache(self._tried)

    def scores(self, sizes: list[tuple[int, int]], sparing: bool = False) -> list[tuple[float, int, int]]:
        """(likeness at the bytes wanted, width, group) of every size; sparing: with frames that are only made."""
        return list(in_order(lambda size: (self._score(*size, sparing), *size), sizes))

    def _tried(self, width: int, group: int, sparing: bool) -> float:
        cfg = dataclasses.replace(self._cfg, group=group)
        encoder = AheadEncoder(pixels.shrink(self._tiny, width), cfg, self._span)
        knob = guess_knob(encoder.planes, self._wanted * cfg.frame_divisor)
        before, slope, wanted = None, SLOPE, self._wanted * len(self._tiny)
        for _ in range(_TRIES):
            coded = encoder.code(knob)
            size, saved = sum(len(unit.payload) for unit in coded), 0.0
            if sparing and not encoder.settled:
                saved = encoder.spare_near(coded, wanted)[1]
            off = math.log((size - saved) / wanted)
            if abs(off) < _NEAR and not saved:
                break
            if before and abs(knob - before[0]) > 1:
                slope = min(max((before[1] - off) / (knob - before[0]), SLOPE / 2), 4 * SLOPE)
            before = knob, off
            knob = min(max(knob + off / slope, 0.0), STEPS - 1.0)
        parts = zip(coded, encoder.truth)
        shown = np.concatenate([fill_in(pixels.to_rgb(u.planes), u.head, len(t)) for u, t in parts])
        size = self._tiny.shape[2], self._tiny.shape[1]
        enlarged = [cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in shown[::_EACH]]
        alike = [likeness(a, self._look(b)) for a, b in zip(self._truth, enlarged)]
        decibels = cv2.PSNR(self._tiny[::_EACH], np.stack(enlarged))
        return float(np.mean(alike)) + _DECIBEL * decibels - _OCTAVE * off / math.log(2)
