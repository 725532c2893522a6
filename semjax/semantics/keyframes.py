"""SKEM: keyframes where the meaning changed (LGVSC, arXiv 2606.12899), for any scorer of frame pairs.

A scorer is a function `score(i, j)` of two frame numbers, i the latest keyframe and j > i a candidate, with values
in [-1, 1] like PSSS: high where the two frames differ in meaning. `structural.scorer` makes one from pixels and
label maps.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int

from semjax.errors import InputError

Scorer = Callable[[int, int], float]


@dataclasses.dataclass(frozen=True)
class SkemConfig:
    """Settings of keyframe selection.

    threshold: a candidate that scores above it against the latest keyframe becomes one (0.35 in the paper).
    stride: every stride-th frame is a candidate (the release: 0.2 s).
    last: the clip's last frame is a keyframe in any case, as published; False gives causal SKEM, where no decision
        needs a later frame.
    max_gap: at most so many frames from one keyframe to the next; None: no limit.
    min_gap: at least so many, except at cuts.
    patience: a change must last for so many candidates in a row, so that a flicker makes no keyframe; the keyframe is
        the last of them. 1: published.
    """

    threshold: float = 0.35
    stride: int = 1
    last: bool = True
    max_gap: int | None = None
    min_gap: int = 1
    patience: int = 1

    def __post_init__(self):
        if not -1 <= self.threshold <= 1:
            raise InputError(f"the threshold of SKEM must lie in [-1, 1], not {self.threshold}")
        if min(self.stride, self.min_gap, self.patience) < 1:
            raise InputError(
                f"stride, min_gap and patience must be at least 1, not {self.stride}, {self.min_gap}, {self.patience}"
            )
        if self.max_gap is not None and self.max_gap < self.min_gap:
            raise InputError(f"max_gap must be at least min_gap ({self.min_gap}), not {self.max_gap}")


@dataclasses.dataclass(frozen=True)
class SkemState:
    """What selection remembers between candidates: the latest keyframe and how long a change has lasted."""

    latest: int = -1
    changed: int = 0


def skem_step(
    frame: int, state: SkemState, score: Scorer, cfg: SkemConfig = SkemConfig(), *, cut: bool = False
) -> tuple[bool, SkemState]:
    """Whether `frame` becomes a keyframe, and the state for the next: causal SKEM, one candidate at a time.

    The first frame and every cut are keyframes without asking the scorer. Raises InputError for a score that is no
    number in [-1, 1], and for frames out of order.
    """
    if frame <= state.latest:
        raise InputError(f"frame {frame} comes after keyframe {state.latest}; candidates must rise")
    gap = frame - state.latest
    if state.latest < 0 or cut or (cfg.max_gap is not None and gap >= cfg.max_gap):
        return True, SkemState(frame)
    if gap < cfg.min_gap:
        return False, state
    value = float(score(state.latest, frame))
    if not -1 <= value <= 1:
        raise InputError(
            f"the scorer gave {value} for frames {state.latest} and {frame}; scores lie in [-1, 1]"
        )
    changed = state.changed + 1 if value > cfg.threshold else 0
    if changed >= cfg.patience:
        return True, SkemState(frame)
    return False, SkemState(state.latest, changed)


def select(
    frames: int, score: Scorer, cfg: SkemConfig = SkemConfig(), *, cuts: Iterable[int] = ()
) -> Int[np.ndarray, " K"]:
    """Keyframe numbers of a clip of `frames` frames, rising, from 0 (SKEM of arXiv 2606.12899).

    `cuts` are frames that begin a scene; they are candidates whatever the stride. Raises InputError for fewer than one
    frame, for cuts outside the clip, and as `skem_step`.
    """
    if frames < 1:
        raise InputError(f"a clip has at least one frame, not {frames}")
    cuts = {int(cut) for cut in cuts}
    if cuts and (min(cuts) < 0 or max(cuts) >= frames):
        raise InputError(f"cuts must be frames 0 to {frames - 1}, not {sorted(cuts)}")
    chosen, state = [], SkemState()
    for frame in range(frames):
        due = cfg.max_gap is not None and frame - state.latest >= cfg.max_gap
        if frame % cfg.stride == 0 or frame in cuts or due:
            key, state = skem_step(frame, state, score, cfg, cut=frame in cuts)
            if key:
                chosen.append(frame)
    if cfg.last and chosen[-1] != frames - 1:
        chosen.append(frames - 1)
    return np.array(chosen)


def threshold_for(
    clips: Sequence[tuple[int, Scorer]], keyframes: float, cfg: SkemConfig = SkemConfig(), *, rounds: int = 12
) -> float:
    """The threshold at which the mean number of keyframes of (frames, scorer) pairs comes nearest to `keyframes`.

    LGVSC means its threshold to be set so on a few clips, like a quantiser; this is that calibration, by bisection:
    the count falls (but for ties) as the threshold rises. Scores are asked for once each. Raises InputError for no
    clips or a count that no threshold reaches within a half, naming what can be had.
    """
    if not clips:
        raise InputError("calibration needs at least one clip")
    scorers = [(frames, remembered(score)) for frames, score in clips]

    def count(threshold: float) -> float:
        settings = dataclasses.replace(cfg, threshold=threshold)
        return float(np.mean([len(select(frames, score, settings)) for frames, score in scorers]))

    low, high = -1.0, 1.0
    tried = {low: count(low), high: count(high)}
    if not tried[high] - 0.5 <= keyframes <= tried[low] + 0.5:
        raise InputError(f"these clips have {tried[high]:g} to {tried[low]:g} keyframes, not {keyframes:g}")
    for _ in range(rounds):
        middle = (low + high) / 2
        tried[middle] = count(middle)
        low, high = (middle, high) if tried[middle] > keyframes else (low, middle)
    return min(tried, key=lambda t: (abs(tried[t] - keyframes), abs(t)))


def remembered(score: Scorer) -> Scorer:
    """The same scorer, which computes every pair once."""
    return functools.cache(lambda i, j: float(score(i, j)))


def cascade(
    cheap: Scorer, exact: Scorer, *, below: float, above: float, threshold: float = 0.35
) -> tuple[Scorer, Callable[[], Float[np.ndarray, "2"]]]:
    """A scorer that asks `exact` only where `cheap` is unsure, and a function that counts (passed on, all) so far.

    A pair whose cheap score is at most `below` counts as the same (-1), one of at least `above` as different (1); all
    others get exactly the answer of `exact`. Raises InputError unless below < threshold < above.
    """
    if not below < threshold < above:
        raise InputError(f"below < threshold < above is needed, not {below} < {threshold} < {above}")
    asked = np.zeros(2)

    def ask(i: int, j: int) -> float:
        asked[1] += 1
        guess = cheap(i, j)
        if guess <= below:
            return -1.0
        if guess >= above:
            return 1.0
        asked[0] += 1
        return exact(i, j)

    return ask, lambda: asked.copy()
