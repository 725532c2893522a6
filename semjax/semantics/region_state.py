"""The settings of the region finder and what it remembers between frames."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int16, UInt8

from semjax.errors import InputError
from semjax.semantics.change import CutConfig, CutState


@dataclasses.dataclass(frozen=True)
class RegionConfig:
    """How label maps are found.

    max_regions: most labels in a frame, background included, 2..32.
    min_area: least share of the picture that a region, or a separate piece of one, covers.
    smoothness: how strongly outlines are smoothed and held over time; 1 is the usual, 0 none.
    contrast: least difference (about 0..1) that keeps two neighbouring areas of a first picture apart.
    cut: when a scene counts as new, so that all regions are new.
    """

    max_regions: int = 8
    min_area: float = 0.003
    smoothness: float = 1.0
    contrast: float = 0.25
    cut: CutConfig = dataclasses.field(default_factory=CutConfig)

    def __post_init__(self):
        if not 2 <= self.max_regions <= 32:
            raise InputError(f"max_regions must lie in 2..32, but is {self.max_regions}.")
        if not 0 < self.min_area < 0.5:
            raise InputError(f"min_area is a share of the picture in (0, 0.5), but is {self.min_area}.")
        if not 0 <= self.smoothness <= 4:
            raise InputError(f"smoothness must lie in 0..4, but is {self.smoothness}.")
        if not 0 <= self.contrast <= 1:
            raise InputError(f"contrast must lie in 0..1, but is {self.contrast}.")


@dataclasses.dataclass(frozen=True)
class RegionState:
    """All that is remembered between frames; its size does not grow with the clip.

    Before the first frame everything is empty. K is the number of living regions; the picture fields have the
    working size.

    cut: the cut detector's state; size: the clip's size (H, W).
    grey, lab: the latest picture, plain and smoothed.
    belief: one probability plane per region and, last, that of "unknown".
    histogram: the regions' colours.
    ids: the label that each region is drawn with; ids[0] == 0. next_id: the next label to give.
    drawn: the latest labels at the working size; -1 where they do not hold any more.
    outlined: the latest labels as they were given out, at most at 300 000 pixels; flow: how they move on (backward).
    unexplained: for how many frames "unknown" has been winning.
    drift: how far every pixel's content has lately moved against the camera, in pixels (old motion fades).
    kinship: for each pair of regions, for how many frames (old ones fade) it has looked like one thing.
    """

    cut: CutState = dataclasses.field(default_factory=CutState)
    size: tuple[int, int] | None = None
    grey: UInt8[np.ndarray, "h w"] | None = None
    lab: UInt8[np.ndarray, "h w 3"] | None = None
    belief: Float[np.ndarray, "K+1 h w"] | None = None
    histogram: Float[np.ndarray, "K 4096"] | None = None
    ids: tuple[int, ...] = ()
    next_id: int = 1
    drawn: Int16[np.ndarray, "h w"] | None = None
    outlined: UInt8[np.ndarray, "a b"] | None = None
    flow: Float[np.ndarray, "h w 2"] | None = None
    unexplained: Float[np.ndarray, "h w"] | None = None
    drift: Float[np.ndarray, "h w 2"] | None = None
    kinship: Float[np.ndarray, "K K"] | None = None
