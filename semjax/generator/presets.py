"""The sizes that have a name."""

import dataclasses
from collections.abc import Callable

from semjax.diffusion import Schedule
from semjax.errors import InputError
from semjax.generator.config import ModelConfig
from semjax.models.autoencoder_tiny import TinyConfig
from semjax.models.clip import ClipTextConfig
from semjax.models.unet import UNetConfig

_CLIP_L = ClipTextConfig(768, 3072, 12, 12, "quick_gelu", 1e-5)
_CLIP_H = ClipTextConfig(1024, 4096, 23, 16, "gelu", 1e-5)
_STABLE = UNetConfig(cross_attention_dim=768)


def tiny() -> ModelConfig:
    """For CPUs and for the package: patches of 4 pixels, four levels, attention at the two coarsest."""
    return ModelConfig(
        name="tiny",
        unet=UNetConfig(
            in_channels=48,
            out_channels=48,
            down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            block_out_channels=(48, 72, 112, 128),
            layers_per_block=1,
            norm_num_groups=8,
            cross_attention_dim=96,
            attention_head_dim=4,
            use_linear_projection=True,
        ),
    )


def minuscule() -> ModelConfig:
    """For tests: everything is there, nothing is large."""
    return ModelConfig(
        name="minuscule",
        unet=UNetConfig(
            in_channels=48,
            out_channels=48,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=2,
            use_linear_projection=True,
        ),
        text_tokens=6,
        control=8,
        classes=4,
        reach=4,
        temporal=8,
        heads=2,
        relative=8,
    )


def minuscule_latent() -> ModelConfig:
    """For tests: the same on the latents of an autoencoder that is as small."""
    part = {f"{half}_block_out_channels": (8, 8, 8) for half in ("encoder", "decoder")}
    blocks = {f"num_{half}_blocks": (1, 1, 1) for half in ("encoder", "decoder")}
    plain = minuscule()
    unet = dataclasses.replace(plain.unet, in_channels=4, out_channels=4)
    return dataclasses.replace(
        plain, name="minuscule-latent", unet=unet, autoencoder=TinyConfig(**part, **blocks)
    )


def sd15() -> ModelConfig:
    """Stable Diffusion 1.5 with its text encoder and the small autoencoder of its latents."""
    return ModelConfig(
        name="sd15",
        unet=_STABLE,
        schedule=Schedule(),
        autoencoder=TinyConfig(),
        factor=8,
        anchored=False,
        noise=1.0,
        clip=_CLIP_L,
        text_tokens=77,
        control=64,
        classes=16,
        reach=32,
        temporal=32,
        heads=4,
        dtype="bfloat16",
    )


def sd21() -> ModelConfig:
    """Stable Diffusion 2.1 (768 pixels, predicts the velocity)."""
    unet = dataclasses.replace(
        _STABLE, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True
    )
    return dataclasses.replace(
        sd15(), name="sd21", unet=unet, clip=_CLIP_H, schedule=Schedule(prediction="v_prediction")
    )


def turbo() -> ModelConfig:
    """SD-Turbo: the size of 2.1, distilled to 1 to 4 steps, predicts the noise."""
    return dataclasses.replace(sd21(), name="turbo", schedule=Schedule())


PRESETS: dict[str, Callable[[], ModelConfig]] = {
    "tiny": tiny,
    "sd15": sd15,
    "sd21": sd21,
    "turbo": turbo,
    "minuscule": minuscule,
    "minuscule-latent": minuscule_latent,
}


def preset(name: str) -> ModelConfig:
    """The sizes of that name. Raises InputError for others."""
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; one of {', '.join(PRESETS)}")
    return PRESETS[name]()
