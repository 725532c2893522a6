"""Label scores of successive frames brought to rest: a recursive mean along the motion. Ours.

Frame-by-frame networks change their minds at outlines and in doubtful places, and a contour coder pays for every
change. Here the scores of the frames before are carried along by optical flow and averaged in, but only where the flow
leads back to where it came from: what has just been uncovered starts afresh, and at a cut everything does.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.errors import InputError
from semjax.semantics import motion
from semjax.semantics.change import CutConfig, CutState, cut_step


@dataclasses.dataclass(frozen=True)
class SteadyState:
    """What is remembered between frames: the mean scores so far [h, w, K], the small grey picture, the last cut."""

    scores: Float[np.ndarray, "h w K"] | None = None
    grey: UInt8[np.ndarray, "h w"] | None = None
    cut: CutState = dataclasses.field(default_factory=CutState)


def steady(
    scores: Float[np.ndarray, "h w K"],
    frame: UInt8[np.ndarray, "H W 3"],
    state: SteadyState = SteadyState(),
    *,
    share: float = 0.7,
) -> tuple[Float[np.ndarray, "h w K"], SteadyState]:
    """The scores of a frame after averaging with those before, and the state for the next frame.

    scores: log-probabilities of the labels, at any size; frame: the picture that they belong to. share: weight of the
    past where the flow can be trusted, 0 (none) to less than 1; the memory is about 1 / (1 - share) frames. Causal, no
    delay. Raises InputError for a share out of range and for scores of another shape than before.
    """
    if not 0 <= share < 1:
        raise InputError(f"share must lie in [0, 1), not {share}")
    if state.scores is not None and state.scores.shape != scores.shape:
        raise InputError(f"scores must keep their shape {state.scores.shape}, not {scores.shape}")
    height, width = scores.shape[:2]
    small = cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    cut, cut_state = cut_step(frame, state.cut, CutConfig())
    scores = np.asarray(scores, np.float32)
    if share and state.scores is not None and not cut:
        flow = motion.dense_flow(grey, state.grey)
        trust = motion.returns(flow, motion.dense_flow(state.grey, grey, fine=False))
        weight = share * trust[..., None]
        scores = weight * _carried(state.scores, flow) + (1 - weight) * scores
    return scores, SteadyState(scores, grey, cut_state)


def _carried(scores: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Planes moved along the flow, four at a time, which is as many as OpenCV takes."""
    parts = [scores[..., k : k + 4] for k in range(0, scores.shape[-1], 4)]
    moved = [motion.warp(np.ascontiguousarray(part), flow) for part in parts]
    return np.concatenate([part.reshape(*flow.shape[:2], -1) for part in moved], axis=-1)
