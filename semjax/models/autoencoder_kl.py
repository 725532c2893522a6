"""The autoencoder of Stable Diffusion 1.x, 2.x and XL: diffusers' AutoencoderKL.

cfg = KlConfig.from_diffusers(json.load(open("vae/config.json")))
net = AutoencoderKL(cfg)
params = net.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
mean, log_variance = net.apply({"params": params}, pictures, method="encode")       # [B, H / 8, W / 8, 4]
latents = (mean - (cfg.shift_factor or 0)) * cfg.scaling_factor                     # what a UNet denoises
pictures = net.apply({"params": params}, latents / cfg.scaling_factor, method="decode")
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.models import _config
from semjax.models.attention import Attention, AttentionFn, attend
from semjax.models.layers import Conv, GroupNorm, activation, halving
from semjax.models.unet_blocks import Resnet

_IGNORED = ("sample_size", "force_upcast")
_EPS = 1e-6


@dataclasses.dataclass(frozen=True)
class KlConfig:
    """The settings of diffusers' AutoencoderKL, by their names there."""

    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    act_fn: str = "silu"
    latent_channels: int = 4
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    shift_factor: float | None = None
    latents_mean: tuple[float, ...] | None = None
    latents_std: tuple[float, ...] | None = None
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    def __post_init__(self):
        allowed = {"down_block_types": ("DownEncoderBlock2D",), "up_block_types": ("UpDecoderBlock2D",)}
        for name, kinds in allowed.items():
            for kind in _config.per_block(getattr(self, name), len(self.block_out_channels), name):
                _config.one_of(kind, kinds, name)
        activation(self.act_fn)

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "KlConfig":
        """The config in a diffusers `config.json`. `InputError` lists settings that are not supported."""
        return _config.read(cls, settings, ignored=_IGNORED)


class _Part(nn.Module):
    """What encoder and decoder have in common."""

    cfg: KlConfig
    attention: AttentionFn
    dtype: jnp.dtype

    def _resnet(self, features: int, name: str) -> Resnet:
        cfg = self.cfg
        return Resnet(features, cfg.norm_num_groups, _EPS, cfg.act_fn, dtype=self.dtype, name=name)

    def _middle(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        x = self._resnet(channels, "mid_block_resnets_0")(x)
        if self.cfg.mid_block_add_attention:
            y = GroupNorm(
                self.cfg.norm_num_groups, _EPS, self.dtype, name="mid_block_attentions_0_group_norm"
            )(x)
            look = Attention(
                1,
                channels,
                use_bias=True,
                attention=self.attention,
                dtype=self.dtype,
                name="mid_block_attentions_0",
            )
            x = x + look(y.reshape(batch, height * width, channels)).reshape(x.shape)
        return self._resnet(channels, "mid_block_resnets_1")(x)

    def _end(self, x: jax.Array, features: int) -> jax.Array:
        x = GroupNorm(self.cfg.norm_num_groups, _EPS, self.dtype, name="conv_norm_out")(x)
        return Conv(features, dtype=self.dtype, name="conv_out")(nn.silu(x))


class _Encoder(_Part):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg = self.cfg
        x = Conv(cfg.block_out_channels[0], dtype=self.dtype, name="conv_in")(x)
        for i, width in enumerate(cfg.block_out_channels):
            for j in range(cfg.layers_per_block):
                x = self._resnet(width, f"down_blocks_{i}_resnets_{j}")(x)
            if i < len(cfg.block_out_channels) - 1:
                x = halving(width, 0, self.dtype, f"down_blocks_{i}_downsamplers_0_conv")(x)
        return self._end(self._middle(x), 2 * cfg.latent_channels)


class _Decoder(_Part):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg, widths = self.cfg, self.cfg.block_out_channels[::-1]
        x = self._middle(Conv(widths[0], dtype=self.dtype, name="conv_in")(x))
        for i, width in enumerate(widths):
            for j in range(cfg.layers_per_block + 1):
                x = self._resnet(width, f"up_blocks_{i}_resnets_{j}")(x)
            if i < len(widths) - 1:
                doubled = 2 * x.shape[1], 2 * x.shape[2]
                x = Conv(width, dtype=self.dtype, name=f"up_blocks_{i}_upsamplers_0_conv")(x, doubled)
        return self._end(x, cfg.out_channels)


class AutoencoderKL(nn.Module):
    """Pictures in [-1, 1] to the mean and log variance of latents, and latents back to pictures."""

    cfg: KlConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Encoder and decoder, so that either can be used alone."""
        cfg = self.cfg
        self.encoder = _Encoder(cfg, self.attention, self.dtype)
        self.decoder = _Decoder(cfg, self.attention, self.dtype)
        if cfg.use_quant_conv:
            self.quant_conv = Conv(2 * cfg.latent_channels, 1, padding=0, dtype=self.dtype)
        if cfg.use_post_quant_conv:
            self.post_quant_conv = Conv(cfg.latent_channels, 1, padding=0, dtype=self.dtype)

    def encode(
        self, pictures: Float[Array, "B H W 3"]
    ) -> tuple[Float[Array, "B h w C"], Float[Array, "B h w C"]]:
        """Mean and log variance (clipped to [-30, 20]) of the latents of pictures, before `scaling_factor`."""
        x = self.encoder(pictures)
        x = self.quant_conv(x) if self.cfg.use_quant_conv else x
        mean, log_variance = jnp.split(x, 2, -1)
        return mean, jnp.clip(log_variance, -30, 20)

    def decode(self, latents: Float[Array, "B h w C"]) -> Float[Array, "B H W 3"]:
        """The pictures of latents that are divided by `scaling_factor` (and have `shift_factor` added)."""
        return self.decoder(self.post_quant_conv(latents) if self.cfg.use_post_quant_conv else latents)

    def __call__(self, pictures: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        """There and back by the mean of the latents."""
        return self.decode(self.encode(pictures)[0])
