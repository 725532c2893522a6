"""Rate control of the texture encoder: from bytes a frame or decibels to steps.

With look-ahead a unit is coded a few times until rate or quality is met. The knob is a real number: its ceiling is
the step index, the fraction below it lowers what a bit costs the encoder, so that the rate moves smoothly.
"""

import math
from collections.abc import Callable

import numpy as np

from semjax.errors import RateError
from semjax.texture import pixels
from semjax.texture.config import TextureConfig
from semjax.texture.frames import Effort
from semjax.texture.unit import GROUP, STEP_TABLE, STEPS, Head, encode_ahead, fill_in

DEFAULT_BYTES = 10.0
SLOPE = 0.046  # log of the bytes for one step index, about
DECIBELS = 0.17  # PSNR for one step index, about
_FRACTION = 0.3  # log of the effort over one step index
_CLOSE = 0.97  # a rate this near below the budget is good enough
_START = 155.0  # first knob to try
_TRIES = 6


def effort_of(index: int, fraction: float = 0.0) -> Effort:
    """Effort for a knob `fraction` (0 to 1) below a step index: coarse steps spare more (measured)."""
    coarse = min(max(math.log2(STEP_TABLE[index] / 16.0 / 50.0) / 2.0, 0.0), 1.0)
    effort = Effort(0.11 + 0.07 * coarse, 0.095 + 0.075 * coarse, 0.17)
    return effort.scaled(math.exp(-_FRACTION * fraction))


def index_of_step(step: float) -> int:
    """Index of the step (in grey levels) nearest to `step`."""
    return int(np.argmin(np.abs(np.log(STEP_TABLE / 16.0) - math.log(step))))


class AheadEncoder:
    """The units of a clip with look-ahead, coded at any knob; remembers what was tried."""

    def __init__(self, tiny: np.ndarray, divisor: int, span: int):
        self.truth = [tiny[i : i + span] for i in range(0, len(tiny), span)]
        self._planes = [pixels.to_planes(t[::divisor]) for t in self.truth]
        self._size = (tiny.shape[2], tiny.shape[1])
        self._divisor = divisor
        self._motion: dict[int, dict[int, np.ndarray]] = {}  # what the last try of a unit found
        self._tried: dict[tuple[int, float], tuple[bytes, float]] = {}

    def unit(self, u: int, knob: float) -> tuple[bytes, float]:
        """Payload of unit u and its squared error in RGB."""
        if (u, knob) not in self._tried:
            index = min(max(math.ceil(knob), 0), STEPS - 1)
            head = Head(*self._size, True, self._divisor, GROUP, index)
            effort = effort_of(index, min(max(index - knob, 0.0), 1.0))
            coded = encode_ahead(self._planes[u], head, effort, guess=self._motion.get(u))
            payload, planes, self._motion[u] = coded
            error = (
                fill_in(pixels.to_rgb(planes), head, len(self.truth[u])).astype(np.float32) - self.truth[u]
            )
            self._tried[u, knob] = payload, float(np.square(error, dtype=np.float64).sum())
        return self._tried[u, knob]

    def all(self, knob: float) -> tuple[list[bytes], float]:
        """Payloads of all units at one knob, and their squared error."""
        coded = [self.unit(u, knob) for u in range(len(self.truth))]
        return [p for p, _ in coded], sum(e for _, e in coded)


def _seek(value: Callable[[float], float], target: float, slope: float, near: float, start: float) -> float:
    """Least knob (0..255) found with value(knob) <= target, or 255; `value` falls by about `slope` for one.

    Stops as soon as a value lies within `near` below the target.
    """
    low, high = -1.0, STEPS - 1.0  # knobs known (or hoped, at the ends) to lie above the target and below it
    knob, best, aim = start, None, target - near / 2
    before = None  # the try before the last one
    for _ in range(_TRIES):
        v = value(knob)
        if v <= target:
            best = high = knob
            if target - v <= near or knob <= 0:
                return knob
        else:
            low = knob
        if before is not None and abs(before[0] - knob) > 0.2:
            slope = min(max((before[1] - v) / (knob - before[0]), slope / 2), slope * 2)
        before = knob, v
        knob = round(knob + (v - aim) / slope, 2)
        if high - low < 0.12:
            break
        if not low < knob < high:
            knob = STEPS - 1.0 if best is None and knob >= high else round((low + high) / 2, 2)
    return STEPS - 1.0 if best is None else best


def encode_for_bytes(tiny: np.ndarray, cfg: TextureConfig, span: int, overhead: int) -> list[bytes]:
    """Payloads whose total and `overhead` come closest to the budget from below; RateError when nothing does."""
    encoder = AheadEncoder(tiny, cfg.frame_divisor, span)
    wanted = cfg.bytes_per_frame or DEFAULT_BYTES
    budget = int(wanted * len(tiny)) - overhead

    def log_bytes(knob: float) -> float:
        return math.log(sum(map(len, encoder.all(knob)[0])))

    # A finer guess than the middle: most clips lie within half an octave of it.
    start = _START - math.log(max(wanted, 0.1) / (20.0 * tiny.shape[1] * tiny.shape[2] / 2304)) / SLOPE
    start = round(min(max(start, 20.0), STEPS - 20.0))
    knob = _seek(log_bytes, math.log(max(budget, 1)), SLOPE, -math.log(_CLOSE), start)
    payloads = encoder.all(knob)[0]
    if sum(map(len, payloads)) > budget:
        raise rate_error(wanted, len(tiny), sum(map(len, payloads)) + overhead)
    return _spend_rest(encoder, payloads, knob, budget)


def _spend_rest(encoder: AheadEncoder, payloads: list[bytes], knob: float, budget: int) -> list[bytes]:
    """Give what is left of the budget to single units, as long as much is left and a finer knob fits."""
    out, left = list(payloads), budget - sum(map(len, payloads))
    for u in range(len(out)):
        for less in (1.0, 0.5, 0.25):
            if left <= 0.03 * budget:
                return out
            finer = encoder.unit(u, max(knob - less * len(out), 0.0))[0]
            if len(out[u]) < len(finer) <= len(out[u]) + left:
                left -= len(finer) - len(out[u])
                out[u] = finer
                break
    return out


def rate_error(wanted: float, frames: int, least: int) -> RateError:
    """The error for a rate below `least` bytes."""
    return RateError(
        f"{wanted:g} bytes a frame cannot be met for the texture: these {frames} frames need at least "
        f"{least / frames:.2f}; raise the rate, the span or the frame divisor"
    )


def encode_for_psnr(tiny: np.ndarray, cfg: TextureConfig, span: int) -> list[bytes]:
    """Payloads that reach cfg.psnr with few bytes; the finest step when nothing does."""
    encoder = AheadEncoder(tiny, cfg.frame_divisor, span)

    def shortfall(knob: float) -> float:
        return -10 * math.log10(255.0**2 * tiny.size / max(encoder.all(STEPS - 1 - knob)[1], 1e-9))

    # The knob runs backwards here: a finer step is what lowers the shortfall.
    return encoder.all(STEPS - 1 - _seek(shortfall, -cfg.psnr, DECIBELS, 0.1, STEPS - 1 - _START))[0]


def encode_at(tiny: np.ndarray, cfg: TextureConfig, span: int, knob: float) -> list[bytes]:
    """Payloads with look-ahead at one knob."""
    return AheadEncoder(tiny, cfg.frame_divisor, span).all(knob)[0]
