"""What a generator is (ModelConfig, fixed by its weights) and how it is run (GeneratorConfig, free)."""

import dataclasses
from typing import NamedTuple

from semjax.diffusion import SamplerConfig, Schedule
from semjax.errors import InputError
from semjax.models.autoencoder_kl import KlConfig
from semjax.models.autoencoder_tiny import TinyConfig
from semjax.models.clip import ClipTextConfig
from semjax.models.controlnet import ControlNetConfig
from semjax.models.motion import MotionConfig
from semjax.models.unet import UNetConfig

_FLOW = Schedule("flow", "sample")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The shapes behind a set of weights, for any resolution.

    name: of the preset. unet: the backbone. schedule: what it was trained on.
    autoencoder: config of the one whose latents are generated, or None: squares of `factor` x `factor` pixels as
    channels, which needs no weights. factor: pixels a latent is wide.
    anchored: noise is added to the degraded picture rather than put in its place, so that sampling starts from what
    was received (the data-dependent coupling of Albergo et al. 2023; ResShift, Yue et al. 2023), and the backbone
    predicts `residual` times the difference. noise: standard deviation of that noise.
    clip: config of the CLIP text tower, or None: hashed words and a small encoder. text_tokens: at most so many.
    control: width of Semantic Control's features at the first level. classes: width of a region's class embedding.
    reach: pixels up to which the distance to the nearest contour is told.
    temporal: width of the Temporal Adapter's attention. heads: of it. relative: largest age it can tell apart.
    controlnet: config of a ControlNet that is shown the label map in colours beside Semantic Control, or None.
    motion: config of AnimateDiff motion modules that may stand in for the bidirectional teacher, or None.
    dtype: what the backbone computes in.
    """

    name: str
    unet: UNetConfig
    schedule: Schedule = _FLOW
    autoencoder: TinyConfig | KlConfig | None = None
    factor: int = 4
    anchored: bool = True
    residual: float = 0.25
    noise: float = 0.2
    clip: ClipTextConfig | None = None
    text_tokens: int = 24
    control: int = 32
    classes: int = 8
    reach: int = 24
    temporal: int = 32
    heads: int = 4
    relative: int = 32
    controlnet: ControlNetConfig | None = None
    motion: MotionConfig | None = None
    dtype: str = "float32"

    def __post_init__(self):
        if self.anchored and self.schedule != _FLOW:
            raise InputError("an anchored generator follows straight lines: Schedule('flow', 'sample')")
        if self.autoencoder is None and self.unet.in_channels != 3 * self.factor**2:
            raise InputError(
                f"patches of {self.factor} pixels have {3 * self.factor**2} channels, not {self.unet.in_channels}"
            )
        if self.temporal % self.heads:
            raise InputError(f"a temporal width of {self.temporal} cannot be split into {self.heads} heads")

    @property
    def text_width(self) -> int:
        """Width of the text states that the backbone attends to."""
        width = self.unet.cross_attention_dim
        return width if isinstance(width, int) else width[0]


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """How to generate: everything but `model` may differ from run to run with the same weights.

    steps: network evaluations a frame. window: frames W that the Temporal Adapter looks back on.
    sampler: "" for the model's own (flow or, for discrete schedules, LCM), else a method of semjax.diffusion.
    consistency: strength 0 to 1 with which every step is pulled to the received tiny frame; unless it is 0, at least
    0.5 where tiny frames are three eighths as wide as the picture or more, falling to nothing at a quarter.
    shared_noise: share of the noise's variance that stays from frame to frame, against flicker.
    clean_cache: remember each frame by one more evaluation at time 0 instead of by the features of its last step.
    begin: share of the steps left out, starting from the degraded picture noised to that point.
    control, restoration, temporal: switch the adapters off one by one.
    """

    model: ModelConfig
    steps: int = 2
    window: int = 4
    sampler: str = ""
    consistency: float = 1.0
    shared_noise: float = 0.9
    clean_cache: bool = False
    begin: float = 0.0
    control: bool = True
    restoration: bool = True
    temporal: bool = True

    def __post_init__(self):
        if self.window < 1 or not 0 <= self.consistency <= 1 or not 0 <= self.shared_noise <= 1:
            raise InputError(f"window >= 1, consistency and shared_noise 0 to 1; got {self}")
        self.sampling()  # raises InputError for steps and methods that cannot be

    def sampling(self) -> SamplerConfig:
        """The sampler that these settings ask for."""
        own = "flow" if self.model.schedule.kind == "flow" else "lcm"
        return SamplerConfig(self.sampler or own, self.steps, self.model.schedule, begin=self.begin)


class Place(NamedTuple):
    """A layer of the backbone: its name, how often the picture has been halved there, its channels."""

    name: str
    level: int
    channels: int
    attends: bool  # has self-attention


def places(unet: UNetConfig) -> list[Place]:
    """The layers of a backbone in the order in which they run."""
    widths, count = unet.block_out_channels, len(unet.block_out_channels)
    layers = unet.layers_per_block
    layers = layers if isinstance(layers, tuple) else (layers,) * count
    found = []
    for i in range(count):
        attends = unet.down_block_types[i].startswith("CrossAttn")
        found += [Place(f"down_{i}_{j}", i, widths[i], attends) for j in range(layers[i])]
    if unet.mid_block_type is not None:
        crossing = unet.mid_block_type == "UNetMidBlock2DCrossAttn"
        found.append(Place("mid_0", count - 1, widths[-1], crossing))
    for i in range(count):
        level = count - 1 - i
        attends = unet.up_block_types[i].startswith("CrossAttn")
        found += [Place(f"up_{i}_{j}", level, widths[level], attends) for j in range(layers[level] + 1)]
    return found


def latent_size(model: ModelConfig, height: int, width: int) -> tuple[int, int]:
    """Latents of a picture of this size, which is filled up to whole ones."""
    return -(-height // model.factor), -(-width // model.factor)


def level_size(size: tuple[int, int], level: int) -> tuple[int, int]:
    """A latent picture's size after `level` halvings."""
    for _ in range(level):
        size = tuple(-(-side // 2) for side in size)
    return size
