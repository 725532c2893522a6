"""Low latency: every frame is coded, paced and sent before the next one is looked at."""

import math

import numpy as np

from semjax._varint import write_varint
from semjax.entropy import binary as eb
from semjax.texture import pixels, tables
from semjax.texture.config import TextureConfig
from semjax.texture.frames import KEY, Coded, FrameCoder, Plan
from semjax.texture.rate import DECIBELS, DEFAULT_BYTES, SLOPE, effort_of, index_of_step, rate_error
from semjax.texture.unit import STEPS, Head, code_index, write_head

_FIRST = 10.0  # frames' worth of bytes that a unit's first frame may take
_MOST = 6.0  # frames' worth of bytes that a later frame may take
_LEAST = 2  # bytes a frame needs when it says nothing new
_RESERVE = (
    5  # bytes kept for every frame to come, where the rate allows it: a sudden change of step costs some
)
_SHARES = (
    1.0,
    0.94,
    0.85,
)  # of the budget, tried in turn where a clip's end breaks it (3 bytes a frame and less)
_HORIZON = 48  # frames over which debts are paid back
_GAIN = 0.3  # how much of a deviation the next step answers
_GUESSES = 3  # steps tried by estimate before the interval is halved
_TRIES = 5  # steps tried for a frame when one of them was sound, else as many as halving takes


class _Pace:
    """Chooses step indices from what the frames before cost (bytes a frame) or from nothing (step, PSNR)."""

    def __init__(self, cfg: TextureConfig, frames: int, overhead: int, share: float = 1.0):
        self.psnr, self.tune = cfg.psnr, cfg.tune
        self.bytes = None if cfg.psnr or cfg.step else share * (cfg.bytes_per_frame or DEFAULT_BYTES)
        self.index = index_of_step(cfg.step) if cfg.step else 150
        self._recent: list[int] = []
        self._left = frames  # frames of the clip still to come
        self._budget = (self.bytes or 0) * frames - overhead

    def take(self, size: int, covers: int = 0, first: bool = True) -> None:
        """Note `size` bytes spent on a frame that stands for `covers` frames of the clip, and steer.

        The step follows the mean of the last KEY frames, because every KEY-th is meant to be larger than the rest.
        """
        self._budget -= size
        self._left -= covers
        if self.bytes is None or not covers:
            return
        self._recent = [] if first else [*self._recent, size][-KEY:]
        if self._recent and self._left:
            want = max(self._fair() * covers, 0.2 * self.bytes)
            move = _GAIN * math.log(np.mean(self._recent) / want) / SLOPE
            self.index = round(min(max(self.index + move, self.index - 4, 0), self.index + 4, STEPS - 1))

    def _fair(self) -> float:
        """Bytes a frame with which the budget comes out even over the coming frames."""
        ahead = max(min(self._left, _HORIZON), 1)
        return (self._budget - (self._left - ahead) * (self.bytes or 0)) / ahead

    def limits(self, first: bool, covers: int) -> tuple[float, float]:
        """Least and most bytes of a frame that stands for `covers` frames of the clip."""
        fair = self._fair() * covers
        reserve = min(max(0.7 * (self.bytes or 0) * covers, _LEAST), _RESERVE)
        rest = self._budget - reserve * (self._left - covers) / covers
        if first and self._left > covers:
            return 0.4 * min(_FIRST * fair, rest / 2), min(_FIRST * fair, rest / 2)
        return (0.5 * rest if self._left <= covers else 0.0), min(_MOST * max(fair, _LEAST), rest)

    def judge(
        self, body: bytes, coded: Coded, rgb: np.ndarray, first: bool, covers: int
    ) -> tuple[int, float]:
        """(1: code it coarser, -1: finer, 0: good; by how many steps) for a frame that was tried."""
        if self.bytes is not None:
            least, most = self.limits(first, covers)
            verdict = 1 if len(body) > most else -1 if len(body) < least else 0
            return verdict, math.log(len(body) / max(0.7 * most, 1)) / SLOPE
        if self.psnr is None:
            return 0, 0.0
        error = np.mean((pixels.to_rgb([p[None] for p in coded.planes])[0].astype(np.float64) - rgb) ** 2)
        gain = 10 * math.log10(255.0**2 / max(error, 1e-9)) - self.psnr
        return 1 if gain > 0.6 else -1 if gain < 0 else 0, (gain - 0.2) / DECIBELS


def encode_low_latency(
    tiny: np.ndarray, cfg: TextureConfig, span: int, overhead: int, models: tables.Models | None = None
) -> list[bytes]:
    """Payloads of a clip without look-ahead.

    Args:
        tiny: uint8 [T, h, w, 3]. cfg: rate or quality and frame divisor. span: frames a unit covers.
        overhead: bytes that count against the budget.
        models: start from these and teach them (training); by default the shipped ones.

    Raises:
        RateError: the budget does not hold even the coarsest frames.
    """
    budget = None if cfg.psnr or cfg.step else (cfg.bytes_per_frame or DEFAULT_BYTES) * len(tiny)
    for share in _SHARES:
        pace = _Pace(cfg, len(tiny), overhead, share)
        out = [_encode_unit(tiny[i : i + span], cfg, pace, models) for i in range(0, len(tiny), span)]
        if budget is None or sum(map(len, out)) + overhead <= budget:
            return out
    coarsest = TextureConfig(step=1e6, lookahead=False, frame_divisor=cfg.frame_divisor)
    out = encode_low_latency(tiny, coarsest, span, 0)
    least = sum(map(len, out)) + overhead
    if least > budget:
        raise rate_error(budget / len(tiny), len(tiny), least)
    return out


def _encode_unit(tiny: np.ndarray, cfg: TextureConfig, pace: _Pace, models: tables.Models | None) -> bytes:
    """Payload of one unit: its head, then every frame's length and body."""
    planes = pixels.to_planes(tiny[:: cfg.frame_divisor])
    head = Head(tiny.shape[2], tiny.shape[1], False, cfg.frame_divisor, cfg.group, 0)
    plans = head.plans(len(tiny))
    state = FrameCoder(head.height, head.width, plans, models or tables.trained())
    pace.take(len(write_head(head)))
    out, before = [], 0
    for k, plan in enumerate(plans):
        truth = tuple(np.ascontiguousarray(p[k]) for p in planes)
        covers = min(cfg.frame_divisor, len(tiny) - k * cfg.frame_divisor)
        body, coded, index = _paced_frame(
            state, plan, head, pace, before, truth, tiny[k * cfg.frame_divisor], covers
        )
        if k == 0:
            head = Head(head.width, head.height, False, head.divisor, head.group, index)
        state.keep(plan, coded)
        pace.take(len(body), covers, k == 0)
        before = index
        out.append(body)
    if models is not None:
        models.learn_from(state.models)
    return write_head(head) + b"".join(out)


def _paced_frame(
    state: FrameCoder, plan: Plan, head: Head, pace: _Pace, before: int, truth, rgb: np.ndarray, covers: int
) -> tuple[bytes, Coded, int]:
    """Code one frame, again with another step while it is too large, too small or not good enough."""
    start, best = state.models, None
    low, high = -1, STEPS  # indices known to be too fine and too coarse
    for n in range(_TRIES + 8):
        index = pace.index
        state.models = start.copy()
        body, coded = _frame(state, plan, head, index, before, truth, pace.tune)
        verdict, move = pace.judge(body, coded, rgb, plan.frame == 0, covers)
        sound = verdict != (1 if pace.psnr is None else -1)
        if best is None or sound or (not best[0] and (pace.bytes is None or len(body) < len(best[1]))):
            best = sound, body, coded, index, state.models
        if verdict == 0 or (n + 1 >= _TRIES and best[0]):
            break
        low, high = (max(low, index), high) if verdict > 0 else (low, min(high, index))
        if high - low <= 1:
            break
        step = round(min(max(move, -40), 40)) or verdict
        pace.index = min(max(index + step, low + 1), high - 1) if n < _GUESSES else (low + high) // 2
    _, body, coded, index, state.models = best
    pace.index = index
    return body, coded, index


def _frame(
    state: FrameCoder, plan: Plan, head: Head, index: int, before: int, truth, tune: str
) -> tuple[bytes, Coded]:
    """Length and body of one frame at a step index, and the frame as decoded."""
    coder, buf = eb.new_encoder(1 << 12)
    if plan.frame:
        code_index(coder, buf, state.models, index, before, False)
    coded, buf = state.code(
        coder, buf, plan, head.step(index, plan.depth), truth, effort_of(index, tune=tune)
    )
    body = eb.finish(coder, buf)
    return write_varint(len(body)) + body, coded
