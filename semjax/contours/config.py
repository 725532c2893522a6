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
        tolerance: pixels by which outlines may be off; 0 is lossless. The paper's xi: with profile "paper" a bound
            before motion, with "best" about what large errors measure.
        target_miou: instead of a tolerance, the mIoU that each unit has to reach (pooled over its frames, labels
            of less than 0.02 % of it left out), in as few bytes as can be found. Only profile "best".
        bytes_per_frame: instead of a tolerance, the most bytes a unit may take for each of its frames.
            Only profile "best".
        edges: with a target mIoU, the boundary F (2 pixels) that is aimed at as well: where the fewest bytes for the
            mIoU give less, up to 22 % more are spent on outlines (0: none). None aims at 0.8 for a mIoU of 0.95,
            0.6 for 0.9 and so on, for up to 16.5 % more.
        weights: (label, importance) pairs; the others have 1. 0 leaves a label out of the mIoU.
        lookahead: frames the sender may wait for, 1 (each frame leaves at once) to 16. Only profile "best".
        symbols: the paper's Q, the number of values a vertex difference is coded with (8 to 256; larger
            differences use an escape). Only profile "paper".
        period: the paper's P, frames from one I-frame to the next at most; None leaves it to the sender. Each unit
            begins with an I-frame too, and profile "best" puts one wherever the picture changes altogether.
        motion: what a P-frame may do with an object, "translation" or "similarity". Only profile "paper".
        refresh: an object whose moved contour overlaps its true region by less (IoU) is sent anew.
            Only profile "paper".
    """

    profile: str = "best"
    tolerance: float = 1.5
    target_miou: float | None = None
    bytes_per_frame: float | None = None
    edges: float | None = None
    weights: tuple[tuple[int, float], ...] = ()
    lookahead: int = 16
    symbols: int = 64
    period: int | None = 32
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
                    not (self.period is None or (isinstance(self.period, int) and self.period >= 1)),
                    f"period must be an integer of 1 frame or more, or None, got {self.period}",
                ),
                (
                    self.target_miou is not None and not 0 < self.target_miou <= 1,
                    f"target_miou must be above 0 and at most 1, got {self.target_miou}",
                ),
                (
                    self.bytes_per_frame is not None and not self.bytes_per_frame > 0,
                    f"bytes_per_frame must be above 0, got {self.bytes_per_frame}",
                ),
                (
                    self.edges is not None and not 0 <= self.edges <= 1,
                    f"edges must be a boundary F from 0 to 1, or None, got {self.edges}",
                ),
                (
                    self.target_miou is not None and self.bytes_per_frame is not None,
                    "target_miou and bytes_per_frame exclude each other; give one of them",
                ),
                (
                    self.profile == "paper"
                    and not (self.target_miou is None and self.bytes_per_frame is None),
                    "profile paper has a tolerance only; use profile best for target_miou or bytes_per_frame",
                ),
                (
                    not all(0 <= k <= 255 and 0 <= w < math.inf for k, w in self.weights),
                    f"weights must be pairs of a label 0 to 255 and an importance of 0 or more, got {self.weights}",
                ),
                (
                    not (isinstance(self.lookahead, int) and 1 <= self.lookahead <= 16),
                    f"lookahead must be an integer from 1 to 16 frames, got {self.lookahead}",
                ),
                (self.motion not in MOTIONS, f"motion must be one of {MOTIONS}, got {self.motion!r}"),
                (not 0 <= self.refresh <= 1, f"refresh must be an IoU from 0 to 1, got {self.refresh}"),
            )
            if bad
        ]
        if wrong:
            raise InputError("ContourConfig: " + "; ".join(wrong))
