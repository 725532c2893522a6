"""ControlNet (Zhang et al. 2023): a copy of a UNet's way down that reads a picture; diffusers' ControlNetModel.

    cfg = ControlNetConfig.from_diffusers(json.load(open("controlnet/config.json")))
    net = ControlNet(cfg)
    params = net.init(key, latents, timesteps, text_states, pictures)["params"]
    down, mid = net.apply({"params": params}, latents, timesteps, text_states, pictures)
    noise = unet.apply({"params": unet_params}, latents, timesteps, text_states, down_residuals=down, mid_residual=mid)

Pictures are eight times as high and wide as the latents, in [0, 1].
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.attention import AttentionFn, attend
from semjax.models.layers import Conv
from semjax.models.unet import Conditioning, UNetConfig, down_blocks, mid_block

_OWN = (
    "conditioning_channels",
    "controlnet_conditioning_channel_order",
    "conditioning_embedding_out_channels",
    "global_pool_conditions",
)


@dataclasses.dataclass(frozen=True)
class ControlNetConfig:
    """The settings of diffusers' ControlNetModel: a UNet's for the way down, and its own, by their names."""

    unet: UNetConfig = UNetConfig()
    conditioning_channels: int = 3
    controlnet_conditioning_channel_order: str = "rgb"
    conditioning_embedding_out_channels: tuple[int, ...] = (16, 32, 96, 256)
    global_pool_conditions: bool = False

    def __post_init__(self):
        order = self.controlnet_conditioning_channel_order
        _config.one_of(order, ("rgb", "bgr"), "controlnet_conditioning_channel_order")
        if self.unet.encoder_hid_dim is not None or self.unet.class_embed_type == "simple_projection":
            raise InputError("A ControlNet with encoder_hid_dim or simple_projection is not supported.")

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "ControlNetConfig":
        """The config in a diffusers `config.json`. `InputError` lists settings that are not supported."""
        own = {key: _config.freeze(settings[key]) for key in _OWN if settings.get(key) is not None}
        rest = {key: value for key, value in settings.items() if key not in _OWN}
        # The way up, which a ControlNet does not have, must be of the right length to be a UNet's.
        rest["up_block_types"] = ("UpBlock2D",) * len(
            rest.get("block_out_channels", UNetConfig.block_out_channels)
        )
        return cls(unet=UNetConfig.from_diffusers(rest), **own)


class _Picture(nn.Module):
    """A picture to the size and width of the UNet's first layer."""

    cfg: ControlNetConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        widths = self.cfg.conditioning_embedding_out_channels
        x = nn.silu(Conv(widths[0], dtype=self.dtype, name="conv_in")(x))
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            x = nn.silu(Conv(before, dtype=self.dtype, name=f"blocks_{2 * i}")(x))
            x = nn.silu(Conv(after, stride=2, dtype=self.dtype, name=f"blocks_{2 * i + 1}")(x))
        return Conv(self.cfg.unet.block_out_channels[0], dtype=self.dtype, name="conv_out")(x)


class ControlNet(nn.Module):
    """The network; its output is what a UNet takes as down_residuals and mid_residual."""

    cfg: ControlNetConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        sample: Float[Array, "B h w C"],
        timesteps: Float[Array, " B"],
        text_states: Float[Array, "B L D"],
        pictures: Float[Array, "B H W K"],
        *,
        scale: float | jax.Array = 1.0,
        guess_mode: bool = False,
        class_labels: jax.Array | None = None,
        added: Mapping[str, jax.Array] | None = None,
    ) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """(down residuals, mid residual) for noisy latents; the first five arguments of a UNet are as there.

        scale: factor of all residuals. guess_mode: factors from 0.1 to 1 by depth, for use without a text.
        """
        cfg = self.cfg.unet
        if self.cfg.controlnet_conditioning_channel_order == "bgr":
            pictures = pictures[..., ::-1]
        timesteps = jnp.broadcast_to(jnp.asarray(timesteps), sample.shape[:1])
        conditioning = Conditioning(cfg, self.dtype, "silu", name="conditioning")
        time, text = conditioning(timesteps, text_states, class_labels, None, added)
        x = Conv(cfg.block_out_channels[0], dtype=self.dtype, name="conv_in")(sample)
        picture = _Picture(self.cfg, self.dtype, name="controlnet_cond_embedding")(pictures)
        if picture.shape[1:3] != x.shape[1:3]:
            factor = 2 ** (len(self.cfg.conditioning_embedding_out_channels) - 1)
            raise InputError(
                f"Pictures must be {factor} times as high and wide as the latents, got {pictures.shape} for "
                f"{sample.shape}."
            )
        x = x + picture
        kept = [x]
        for block in down_blocks(cfg, self.attention, self.dtype):
            x, more = block(x, time, text)
            kept += more
        middle = mid_block(cfg, self.attention, self.dtype)
        x = x if middle is None else middle(x, time, text)

        def out(x, name):
            return Conv(x.shape[-1], 1, padding=0, dtype=self.dtype, name=name)(x)

        outputs = [out(y, f"controlnet_down_blocks_{i}") for i, y in enumerate(kept)]
        outputs.append(out(x, "controlnet_mid_block"))
        pooled = self.cfg.global_pool_conditions
        scales = jnp.full(len(outputs), scale)
        if guess_mode and not pooled:
            scales = scales * jnp.logspace(-1, 0, len(outputs))
        outputs = [y * s.astype(y.dtype) for y, s in zip(outputs, scales)]
        outputs = [y.mean((1, 2), keepdims=True) for y in outputs] if pooled else outputs
        return tuple(outputs[:-1]), outputs[-1]
