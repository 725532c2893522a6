"""The settings of the contour layer."""

import dataclasses
import math

from semjax.errors import InputError

PROFILES = ("paper", "best")
MOTIONS = ("translation", "similarity")


@dataclasses.dataclass(frozen=True)
class ContourConfig:
    """How label maps become bytes. Frozen and hashable; every field has a working default.

    Attributes:
        profile: "best" (a label grid, context mixing, zero-bit frames; ours) or "paper" (closed contours with
            motion-only P-frames, arXiv 2602.13837).
        tolerance: pixels by which outlines may be off; 0 is lossless. The paper's xi.
        symbols: the paper's Q, the number of values a vertex difference is coded with (8 to 256; larger
            differences use an escape). Only profile "paper".
        period: the paper's P, frames from one I-frame to the next. Each unit begins with an I-frame too.
        motion: what a P-frame may do with an object, "translation" or "similarity". Only profile "paper".
        refresh: an object whose moved contour overlaps its true region by less (IoU) is sent anew.
            Only profile "paper".
    """

    profile: str = "paper"
    tolerance: float = 1.5
    symbols: int = 64
    period: int = 32
    motion: str = "similarity"
    refresh: float = 0.6

    def __post_init__(self):
        wrong = [
            text
            for bad, text in (
                (self.profile not in PROFILES, f"profile must be one of {PROFILES}, got {self.profile!r}"),
                (
                    not (math.isfinite(self.tolerance) and 0 <= self.tolerance <= 255),
                    f"tolerance must be 0 to 255 pixels, got {self.tolerance}",
                ),
                (
                    not (isinstance(self.symbols, int) and 8 <= self.symbols <= 256),
                    f"symbols must be an integer from 8 to 256, got {self.symbols}",
                ),
                (
                    not (isinstance(self.period, int) and self.period >= 1),
                    f"period must be an integer of 1 frame or more, got {self.period}",
                ),
                (self.motion not in MOTIONS, f"motion must be one of {MOTIONS}, got {self.motion!r}"),
                (not 0 <= self.refresh <= 1, f"refresh must be an IoU from 0 to 1, got {self.refresh}"),
            )
            if bad
        ]
        if wrong:
            raise InputError("ContourConfig: " + "; ".join(wrong))
