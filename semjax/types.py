"""The letters, the array aliases and the frozen structs that cross rooms.

Letters used in every shape of semjax:

    B batch    T frames   H height (rows)   W width (columns)   C channels
    K clusters, keyframes or classes        L tokens            N attention heads
    D head or feature width                 O objects           P points (vertices)

Arrays are channels last; pixels are uint8 at the edges and floats in [-1, 1] inside networks;
rates are in bits unless a name says bytes.
"""

import dataclasses
import enum
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Video = UInt8[np.ndarray, "T H W 3"]
LabelMaps = UInt8[np.ndarray, "T H W"]
Mask = Bool[np.ndarray, "*shape"]
Floats = Float[np.ndarray, "*shape"]
Ints = Int[np.ndarray, "*shape"]

LAYERS = ("caption", "contour", "texture", "keyframe")


class FrameStatus(enum.IntEnum):
    """What a layer decoder can say of one frame of its layer."""

    RECEIVED = 0  # decoded from data meant for this frame
    CONCEALED = 1  # its data is lost: held or extrapolated from earlier frames
    MISSING = 2  # its data is lost and there was nothing to go on from


@dataclasses.dataclass(frozen=True)
class ClipInfo:
    """Size and rate of a clip. `fps` is exact (30000/1001 stays so)."""

    frames: int
    width: int
    height: int
    fps: Fraction

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return float(self.frames / self.fps)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the clip as 8-bit RGB, the denominator of every compression ratio."""
        return self.frames * self.width * self.height * 3


@dataclasses.dataclass(frozen=True)
class Caption:
    """A sentence that holds for frames `first` to `last`, both inclusive."""

    first: int
    last: int
    text: str


@dataclasses.dataclass(frozen=True)
class Keyframe:
    """A still picture that crossed the link: `image` is uint8 [H, W, 3] as decoded."""

    frame: int
    image: UInt8[np.ndarray, "H W 3"]


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What the receiver knows of a few consecutive frames: the input of every generator.

    first: number of the first of the n frames. labels: uint8 [n, H, W]. contour_status, texture_status: FrameStatus
    of each frame, uint8 [n]. tiny: uint8 [n, h, w, 3], or None when the clip has no texture layer.
    keyframes: those that fall on these frames. captions: those that hold for some of these frames.
    """

    first: int
    labels: UInt8[np.ndarray, "n H W"]
    contour_status: UInt8[np.ndarray, " n"]
    tiny: UInt8[np.ndarray, "n h w 3"] | None
    texture_status: UInt8[np.ndarray, " n"]
    keyframes: tuple[Keyframe, ...] = ()
    captions: tuple[Caption, ...] = ()
