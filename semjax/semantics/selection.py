"""Which frames become keyframes, without a network: a fixed interval, and scene cuts.

SKIM is the fixed-interval selection of LGVSC (arXiv 2606.12899).
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int

from semjax.errors import InputError
from semjax.semantics.change import CutConfig, CutState, cut_step


def skim(frames: int, interval: int, *, last: bool = False) -> Int[np.ndarray, " K"]:
    """Frame indices 0, interval, 2 interval, ... below `frames` (SKIM); with `last` the last frame too.

    Raises:
        InputError: fewer than one frame, or an interval under one.
    """
    if frames < 1 or interval < 1:
        raise InputError(f"SKIM needs frames >= 1 and interval >= 1, but they are {frames} and {interval}.")
    chosen = np.arange(0, frames, interval)
    if last and chosen[-1] != frames - 1:
        chosen = np.append(chosen, frames - 1)
    return chosen


def scene_cuts(chunks: Iterable[np.ndarray] | np.ndarray, cfg: CutConfig | None = None) -> Iterator[int]:
    """The frames at which a new scene starts, in order, the clip's first frame not counted.

    Causal and streaming: a cut is reported as soon as its frame has been seen. One frame at a time may instead be
    given to `change.cut_step`.

    Args:
        chunks: a clip uint8 [T, H, W, 3], or any number of such stretches in order.
        cfg: settings.
    """
    return (index for index, cut in _cuts(chunks, cfg or CutConfig()) if cut)


def skim_with_cuts(
    chunks: Iterable[np.ndarray] | np.ndarray, interval: int, cfg: CutConfig | None = None
) -> Iterator[int]:
    """SKIM that starts afresh at every scene cut: the first frame, every cut, and every `interval` frames between.

    Raises:
        InputError: an interval under one.
    """
    if interval < 1:
        raise InputError(f"interval must be at least 1, but is {interval}.")
    latest = 0
    for index, cut in _cuts(chunks, cfg or CutConfig()):
        if index == 0 or cut or index - latest >= interval:
            latest = index
            yield index


def _cuts(chunks: Iterable[np.ndarray] | np.ndarray, cfg: CutConfig) -> Iterator[tuple[int, bool]]:
    state, index = CutState(), 0
    for chunk in [chunks] if isinstance(chunks, np.ndarray) else chunks:
        if chunk.dtype != np.uint8 or chunk.ndim != 4 or chunk.shape[3] != 3:
            raise InputError(f"Frames must be uint8 [n, H, W, 3], but are {chunk.dtype} {list(chunk.shape)}.")
        for frame in chunk:
            cut, state = cut_step(np.ascontiguousarray(frame), state, cfg)
            yield index, cut
            index += 1
