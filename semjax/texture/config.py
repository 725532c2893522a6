"""Settings of the texture layer."""

import dataclasses

from semjax.errors import InputError

GROUPS = (8, 16, 32, 64)
MAX_WIDTH, MIN_WIDTH, MAX_HEIGHT, MAX_FRAMES = 256, 16, 4096, 10_000


@dataclasses.dataclass(frozen=True)
class TextureConfig:
    """What the texture coder is asked for.

    Exactly one of `bytes_per_frame`, `psnr` and `step` sets the rate; with none given, 10 bytes a frame.

    Attributes:
        width: width of the tiny frames in pixels, 16 to 256 (a narrower clip keeps its own).
        bytes_per_frame: payload bytes divided by the frames of the clip; met from below.
        psnr: RGB PSNR of the tiny frames over the clip in dB; met from above with as few bytes as possible.
        step: quantiser step in grey levels (about 1 to 1000); rate and quality are what they turn out.
        lookahead: code groups of frames out of order (up to one span); False: every frame leaves before
            the next one is seen.
        frame_divisor: code every n-th frame only; the decoder fills in between.
        group: frames from one that many rest on to the next, one of GROUPS (look-ahead only): more where much is
            like it was, fewer where all is new.
        tune: what the encoder's decisions look at: "psnr" (squared error) or "ssim" (bits go to where there is
            little contrast, and from the frames between others to those that they rest on).
    """

    width: int = 64
    bytes_per_frame: float | None = None
    psnr: float | None = None
    step: float | None = None
    lookahead: bool = True
    frame_divisor: int = 1
    group: int = 16
    tune: str = "psnr"

    def __post_init__(self):
        if not MIN_WIDTH <= self.width <= MAX_WIDTH:
            raise InputError(f"texture width must be {MIN_WIDTH} to {MAX_WIDTH} pixels, got {self.width}")
        given = {
            n: getattr(self, n) for n in ("bytes_per_frame", "psnr", "step") if getattr(self, n) is not None
        }
        if len(given) > 1:
            raise InputError(f"set only one of bytes_per_frame, psnr and step, got {given}")
        for name, value in given.items():
            if not 0 < value < 1e9:
                raise InputError(f"texture {name} must be a positive number, got {value}")
        if self.tune not in ("psnr", "ssim"):
            raise InputError(f"texture tune must be psnr or ssim, got {self.tune!r}")
        if self.group not in GROUPS:
            raise InputError(f"texture group must be one of {GROUPS}, got {self.group}")
        if not 1 <= self.frame_divisor <= 255:
            raise InputError(f"frame_divisor must be 1 to 255, got {self.frame_divisor}")
