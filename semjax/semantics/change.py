"""How much one frame differs from the one before, cheaply, and where a scene ends."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

from semjax.errors import InputError

_THUMB = (48, 32)  # width, height
_REACH = 6  # thumbnail pixels that a pan may cover between two frames


@dataclasses.dataclass(frozen=True)
class CutConfig:
    """When a change counts as a cut.

    threshold: least change score of a cut, 0..1.
    ratio: a cut is at least this many times the recent average change.
    memory: share of the old average kept with each frame, 0..1.
    """

    threshold: float = 0.35
    ratio: float = 2.5
    memory: float = 0.8

    def __post_init__(self):
        if not 0 < self.threshold <= 1:
            raise InputError(f"threshold must lie in (0, 1], but is {self.threshold}.")
        if self.ratio < 1 or not 0 <= self.memory < 1:
            raise InputError(
                f"ratio must be at least 1 and memory in [0, 1), but they are {self.ratio} and {self.memory}."
            )


@dataclasses.dataclass(frozen=True)
class CutState:
    """What the cut detector keeps of the past: one thumbnail and the average change."""

    thumb: np.ndarray | None = None
    average: float = 0.0


def thumbnail(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "32 48 3"]:
    """The 48x32 8-bit Lab picture that change is measured on (area filter)."""
    small = cv2.resize(frame, _THUMB, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB)


def change_score(before: UInt8[np.ndarray, "32 48 3"], after: UInt8[np.ndarray, "32 48 3"]) -> float:
    """Content change between two thumbnails, 0 (same picture, perhaps shifted) to 1 (nothing in common).

    The geometric mean of two distances, so that both must speak: colour histograms (blind to motion) and
    1 - the best normalised correlation of lightness over shifts up to 6 thumbnail pixels (blind to a pan and
    to a change of exposure). Ours.
    """
    colours = [cv2.GaussianBlur(_histogram(t), (3, 3), 0).ravel() for t in (before, after)]
    colour = 1 - float(np.sqrt(colours[0] / colours[0].sum() * colours[1] / colours[1].sum()).sum())
    core = before[_REACH:-_REACH, _REACH:-_REACH, 0].astype(np.float32)
    whole = after[..., 0].astype(np.float32)
    if core.std() < 1 or whole.std() < 1:  # no structure to correlate: only brightness can tell
        structure = min(1.0, float(np.abs(core.mean() - whole.mean())) / 64)
    else:
        structure = 1 - float(cv2.matchTemplate(whole, core, cv2.TM_CCOEFF_NORMED).max())
    return float(np.sqrt(np.clip(colour, 0, 1) * np.clip(structure, 0, 1)))


def _histogram(thumb: np.ndarray) -> np.ndarray:
    """[64, 16] counts over (a, b) x lightness, float32."""
    light = thumb[..., 0].astype(np.int32) >> 4
    ab = np.clip((thumb[..., 1:].astype(np.int32) - 128 + 64) // 16, 0, 7)
    index = (ab[..., 0] * 8 + ab[..., 1]) * 16 + light
    return np.bincount(index.ravel(), minlength=1024).reshape(64, 16).astype(np.float32)


def cut_step(frame: UInt8[np.ndarray, "H W 3"], state: CutState, cfg: CutConfig) -> tuple[bool, CutState]:
    """Whether a scene starts with this frame (never with a clip's first), and the state for the next frame."""
    thumb = thumbnail(frame)
    if state.thumb is None:
        return False, CutState(thumb)
    score = change_score(state.thumb, thumb)
    cut = score >= max(cfg.threshold, cfg.ratio * state.average)
    # the cut's own score stays out of the average, or a second cut soon after would hide
    average = state.average if cut else cfg.memory * state.average + (1 - cfg.memory) * score
    return cut, CutState(thumb, average)
