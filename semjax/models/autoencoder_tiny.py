"""TAESD: a small autoencoder for the latents of Stable Diffusion (4 channels) and its successors (16).

    cfg = TinyConfig.from_diffusers(json.load(open("taesd/config.json")))
    net = AutoencoderTiny(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    latents = net.apply({"params": params}, pictures, method="encode")      # [B, H / 8, W / 8, 4]
    pictures = net.apply({"params": params}, latents, method="decode")      # [B, H, W, 3], about in [-1, 1]

The latents are those that a UNet denoises: unlike those of AutoencoderKL they want no scaling (`scaling_factor` 1).
Reference: diffusers' AutoencoderTiny; madebyollin/taesd.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.layers import Conv, activation

_IGNORED = ("block_out_channels", "force_upcast", "sample_size")


@dataclasses.dataclass(frozen=True)
class TinyConfig:
    """The settings of diffusers' AutoencoderTiny, by their names there."""

    in_channels: int = 3
    out_channels: int = 3
    encoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    decoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64)
    act_fn: str = "relu"
    latent_channels: int = 4
    upsampling_scaling_factor: int = 2
    num_encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    num_decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)
    latent_magnitude: float = 3
    latent_shift: float = 0.5
    scaling_factor: float = 1.0
    shift_factor: float = 0.0

    def __post_init__(self):
        for part in ("encoder", "decoder"):
            widths = getattr(self, f"{part}_block_out_channels")
            _config.per_block(getattr(self, f"num_{part}_blocks"), len(widths), f"num_{part}_blocks")
            if len(set(widths)) > 1:
                raise InputError(f"{part}_block_out_channels must be equal (as in diffusers), got {widths}.")
        activation(self.act_fn)

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "TinyConfig":
        """The config in a diffusers `config.json`. `InputError` lists settings that are not supported."""
        return _config.read(cls, settings, ignored=_IGNORED, fixed={"upsample_fn": ("nearest",)})


class _Block(nn.Module):
    """Three convolutions added to the input."""

    features: int
    act: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Float[Array, "B h w I"]) -> Float[Array, "B h w C"]:
        y = x
        for i in (0, 2, 4):
            y = Conv(self.features, dtype=self.dtype, name=f"conv_{i}")(y)
            y = activation(self.act)(y) if i < 4 else y
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, padding=0, use_bias=False, dtype=self.dtype, name="skip")(x)
        return nn.relu(x + y)


class _Encoder(nn.Module):
    cfg: TinyConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg, count = self.cfg, 0

        def name():
            nonlocal count
            count += 1
            return f"layers_{count - 1}"

        x = (x + 1) / 2
        for i, (width, blocks) in enumerate(zip(cfg.encoder_block_out_channels, cfg.num_encoder_blocks)):
            x = Conv(width, stride=2 if i else 1, use_bias=not i, dtype=self.dtype, name=name())(x)
            for _ in range(blocks):
                x = _Block(width, cfg.act_fn, self.dtype, name=name())(x)
        return Conv(cfg.latent_channels, dtype=self.dtype, name=name())(x)


class _Decoder(nn.Module):
    cfg: TinyConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg, count = self.cfg, 2
        widths, depths, factor = (
            cfg.decoder_block_out_channels,
            cfg.num_decoder_blocks,
            cfg.upsampling_scaling_factor,
        )
        x = jnp.tanh(x / 3) * 3
        x = activation(cfg.act_fn)(Conv(widths[0], dtype=self.dtype, name="layers_0")(x))
        for i, (width, blocks) in enumerate(zip(widths, depths)):
            last = i == len(depths) - 1
            for j in range(blocks):
                x = _Block(width, cfg.act_fn, self.dtype, name=f"layers_{count + j}")(x)
            count += blocks + (not last)  # the doubling counts as a layer
            if not last:
                x = jnp.repeat(jnp.repeat(x, factor, 1), factor, 2)
            width = cfg.out_channels if last else width
            x = Conv(width, use_bias=last, dtype=self.dtype, name=f"layers_{count}")(x)
            count += 1
        return x * 2 - 1


class AutoencoderTiny(nn.Module):
    """Pictures in [-1, 1] to latents an eighth as high and wide, and back."""

    cfg: TinyConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Encoder and decoder, so that either can be used alone."""
        self.encoder = _Encoder(self.cfg, self.dtype)
        self.decoder = _Decoder(self.cfg, self.dtype)

    def encode(self, pictures: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """The latents of pictures."""
        return self.encoder(pictures)

    def decode(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """The pictures of latents."""
        return self.decoder(latents)

    def __call__(self, pictures: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """There and back, the latents rounded to bytes on the way."""
        scale = 2 * self.cfg.latent_magnitude
        stored = jnp.round(jnp.clip(self.encode(pictures) / scale + self.cfg.latent_shift, 0, 1) * 255)
        return self.decode((stored / 255 - self.cfg.latent_shift) * scale)
