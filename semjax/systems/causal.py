"""System `causal` (arXiv 2602.13837): contours and tiny frames across the link, painted again causally.

sender      label maps -> contour layer; frames -> texture layer; a sentence -> caption layer;
            now and then a still -> keyframe layer (ours; the paper has the first two)
receiver    semjax.systems.receiver with any generator
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import numpy as np

from semjax.errors import InputError
from semjax.stream import Stream
from semjax.systems.analysis import Analysis, analyse
from semjax.systems.rate import Coder, fit
from semjax.systems.sources import Source, unit_frames
from semjax.types import Caption

WIDEST_TEXTURE = 256  # pixels of the tiny frames among whose sizes the rate control chooses


@dataclasses.dataclass(frozen=True)
class SenderConfig:
    """What the sender is asked for.

    bitrate: bits a second with everything that crosses the link; None: 8 kbit/s (short clips at least 1500 bytes).
    tolerance: pixels by which contours may be off (the paper's xi); None: what the rate allows.
    period: frames from one contour I-frame to the next at most (the paper's P), also the span of the units.
    texture_width: pixels of the tiny frames; None: what suits clip and rate.
    texture_period: frames of a unit of tiny frames at most; shorter ones cost bytes, but less is lost with one.
    max_regions: regions found without labels.
    """

    system: ClassVar[str] = "causal"
    bitrate: float | None = None
    tolerance: float | None = None
    period: int = 32
    texture_width: int | None = None
    texture_period: int = 128
    max_regions: int = 8

    def __post_init__(self):
        if self.bitrate is not None and not 0 < self.bitrate < float("inf"):
            raise InputError(f"the bitrate must be a positive number of bits a second, not {self.bitrate}")
        if self.tolerance is not None and not 0 <= self.tolerance <= 255:
            raise InputError(f"the tolerance must be 0 to 255 pixels, not {self.tolerance}")
        if not 1 <= self.period <= 64:
            raise InputError(f"the period must be 1 to 64 frames, not {self.period}")
        if not 1 <= self.texture_period <= 255:
            raise InputError(f"the texture period must be 1 to 255 frames, not {self.texture_period}")
        if self.texture_width is not None and not 16 <= self.texture_width <= 256:
            raise InputError(f"the texture width must be 16 to 256 pixels, not {self.texture_width}")
        if not 2 <= self.max_regions <= 255:
            raise InputError(f"max_regions must be 2 to 255, not {self.max_regions}")


def understand(
    frames: Source, labels: Source | None, captions: Sequence[Caption] | None, cfg: SenderConfig
) -> Analysis:
    """The sender's first pass over a clip: label maps, tiny frames, cuts, captions."""
    period = _even(frames.info.frames, unit_frames(frames.info, cfg.period))
    width = cfg.texture_width or WIDEST_TEXTURE
    return analyse(frames, labels, captions, period=period, width=width, max_regions=cfg.max_regions)


def _even(frames: int, most: int) -> int:
    """Frames of a unit so that there are as few as with `most` frames each, but all of about one length."""
    return -(-frames // -(-frames // most))


def coder(
    frames: Source,
    analysis: Analysis,
    cfg: SenderConfig,
    before_texture: Callable[[], object] = lambda: None,
) -> Callable[[float | None], Stream]:
    """The sender's second pass as a function from bits a second (None: see SenderConfig) to the clip's stream.

    Equal parts of different streams are coded once. The function raises RateError where the rate cannot be met.
    `before_texture()` is called before the texture layer is first needed (see semjax.systems.ahead).
    """
    span = _even(frames.info.frames, unit_frames(frames.info, cfg.texture_period))
    layers = Coder(analysis, "causal", functools.partial(pick, frames), span, before_texture)
    return lambda bitrate: fit(layers, bitrate, cfg.tolerance, cfg.texture_width)


def code(
    frames: Source,
    analysis: Analysis,
    cfg: SenderConfig,
    before_texture: Callable[[], object] = lambda: None,
) -> Stream:
    """The clip at the rate asked for; see `coder`."""
    return coder(frames, analysis, cfg, before_texture)(cfg.bitrate)


def pick(frames: Source, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Single frames of a source as (number, uint8 [H, W, 3]), in rising order, in one pass over it."""
    wanted, seen = sorted(set(numbers)), 0
    for chunk in frames.read(32):
        while wanted and wanted[0] < seen + len(chunk):
            number = wanted.pop(0)
            yield number, chunk[number - seen]
        seen += len(chunk)
        if not wanted:
            return
