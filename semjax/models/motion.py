"""Motion modules: attention between frames inside a UNet for pictures (AnimateDiff, Guo et al. 2023).

    cfg = MotionConfig.from_diffusers(json.load(open("motion_adapter/config.json")))      # diffusers' MotionAdapter
    net = UNetMotion(MotionUNetConfig(unet_cfg, cfg))
    params = {"unet": unet_params, "motion": motion_params}        # an unchanged UNet, and the modules
    noise = net.apply({"params": params}, latents, timesteps, text_states)          # latents [B, T, h, w, C]

`UNetMotion` with the parameters of diffusers' UNetMotionModel is the same network.
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
from semjax.models.attention import AttentionFn, TransformerBlock, attend
from semjax.models.layers import Dense, GroupNorm
from semjax.models.unet import UNet2DCondition, UNetConfig


@dataclasses.dataclass(frozen=True)
class MotionConfig:
    """The settings of diffusers' MotionAdapter, by their names there."""

    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    motion_layers_per_block: int | tuple[int, ...] = 2
    motion_transformer_layers_per_block: int | tuple = 1
    motion_transformer_layers_per_mid_block: int | tuple[int, ...] = 1
    motion_num_attention_heads: int | tuple[int, ...] = 8
    motion_norm_num_groups: int = 32
    motion_max_seq_length: int = 32
    use_motion_mid_block: bool = True

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "MotionConfig":
        """The config in a diffusers `config.json`. `InputError` lists settings that are not supported."""
        fixed = {"motion_mid_block_layers_per_block": (1,), "conv_in_channels": (None, 0)}
        return _config.read(cls, settings, fixed=fixed)

    def places(self) -> dict[str, tuple[int, int, int]]:
        """(channels, heads, transformer blocks) of the module at each place of a UNet."""
        count, found = len(self.block_out_channels), {}

        def blocks(name):
            return _config.per_block(getattr(self, name), count, name)

        layers, heads = blocks("motion_layers_per_block"), blocks("motion_num_attention_heads")
        depths = blocks("motion_transformer_layers_per_block")
        for side, order, more in (("down", range(count), 0), ("up", range(count)[::-1], 1)):
            for i, j in enumerate(order):
                each = _config.per_block(depths[j], layers[j] + more, "motion_transformer_layers_per_block")
                for k, depth in enumerate(each):
                    found[f"{side}_{i}_{k}"] = (self.block_out_channels[j], heads[j], depth)
        if self.use_motion_mid_block:
            depth = self.motion_transformer_layers_per_mid_block
            depth = _config.per_block(depth, 1, "motion_transformer_layers_per_mid_block")[0]
            found["mid_0"] = (self.block_out_channels[-1], heads[-1], depth)
        return found


class MotionModule(nn.Module):
    """Transformer blocks over the frames at each pixel, added to the pictures (AnimateDiffTransformer3D)."""

    heads: int
    layers: int = 1
    groups: int = 32
    positions: int = 32
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "BT h w C"], frames: int) -> Float[Array, "BT h w C"]:
        """The pictures after the blocks; B clips of `frames` frames, one after another."""
        many, height, width, channels = x.shape
        if many % frames or frames > self.positions:
            raise InputError(
                f"{many} pictures are not clips of {frames} frames, or more than the {self.positions} frames that "
                "these motion modules have positions for (motion_max_seq_length)."
            )
        head_dim = channels // self.heads
        inner = self.heads * head_dim
        y = GroupNorm(self.groups, 1e-6, self.dtype, name="norm")(
            x.reshape(-1, frames, height, width, channels)
        )
        y = y.transpose(0, 2, 3, 1, 4).reshape(-1, frames, channels)
        y = Dense(inner, dtype=self.dtype, name="proj_in")(y)
        for i in range(self.layers):
            y = TransformerBlock(
                self.heads,
                head_dim,
                positions=self.positions,
                attention=self.attention,
                dtype=self.dtype,
                name=f"transformer_blocks_{i}",
            )(y, None)
        y = Dense(channels, dtype=self.dtype, name="proj_out")(y)
        return x + y.reshape(-1, height, width, frames, channels).transpose(0, 3, 1, 2, 4).reshape(x.shape)


class MotionModules(nn.Module):
    """All modules of a UNet, as its hooks; the parameters of the module at "down_0_1" have that name."""

    cfg: MotionConfig
    frames: int = 16
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """One module at each place."""
        cfg = self.cfg
        for place, (_, heads, depth) in cfg.places().items():
            common = (cfg.motion_norm_num_groups, cfg.motion_max_seq_length, self.attention, self.dtype)
            setattr(self, place, MotionModule(heads, depth, *common))

    def layer(self, place: str, x: Float[Array, "BT h w C"]) -> Float[Array, "BT h w C"]:
        """The pictures after the module at `place`."""
        return getattr(self, place)(x, self.frames) if place in self.cfg.places() else x

    def attend(self, place: str, hidden: jax.Array, key: jax.Array, value: jax.Array) -> None:
        """Adds nothing."""

    def __call__(self) -> list[jax.Array]:
        """Each module on pictures of zeros: what `init` needs."""
        places = self.cfg.places().items()
        return [getattr(self, place)(jnp.zeros((1, 1, 1, channels)), 1) for place, (channels, _, _) in places]


@dataclasses.dataclass(frozen=True)
class MotionUNetConfig:
    """A UNet for pictures and the motion modules in it; `from_diffusers` reads those of UNetMotionModel."""

    unet: UNetConfig = UNetConfig()
    motion: MotionConfig = MotionConfig()

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "MotionUNetConfig":
        """The config in the `config.json` of a UNetMotionModel. `InputError` lists what is not supported."""
        own = {key: _config.freeze(value) for key, value in settings.items() if not key.startswith("_")}
        own.pop("reverse_motion_num_attention_heads", None)  # diffusers takes it and never reads it
        fixed = {
            "mid_block_layers": 1,
            "act_fn": "silu",
            "reverse_temporal_transformer_layers_per_block": None,
        }
        for key, value in fixed.items():
            _config.one_of(own.get(key, value), (value,), key)
            own.pop(key, None)
        unet = UNetConfig.from_diffusers(_picture_settings(own))
        depth = own.get("transformer_layers_per_mid_block")
        if depth is not None:
            _config.one_of(
                depth, (unet.blocks("transformer_layers_per_block")[-1],), "transformer_layers_per_mid_block"
            )
        names = {
            "motion_transformer_layers_per_block": "temporal_transformer_layers_per_block",
            "motion_transformer_layers_per_mid_block": "temporal_transformer_layers_per_mid_block",
            "motion_num_attention_heads": "motion_num_attention_heads",
            "motion_max_seq_length": "motion_max_seq_length",
            "use_motion_mid_block": "use_motion_mid_block",
        }
        motion = {ours: own[theirs] for ours, theirs in names.items() if own.get(theirs) is not None}
        return cls(
            unet,
            MotionConfig(
                unet.block_out_channels,
                unet.layers_per_block,
                motion_norm_num_groups=unet.norm_num_groups,
                **motion,
            ),
        )


def _picture_settings(own: dict[str, Any]) -> dict[str, Any]:
    """The settings of the UNet for pictures among those of a UNetMotionModel."""
    rest = {
        key: value
        for key, value in own.items()
        if "motion" not in key and "temporal" not in key and key != "transformer_layers_per_mid_block"
    }
    rest["attention_head_dim"] = rest.pop("num_attention_heads", 8)
    for side in ("down", "up"):
        if f"{side}_block_types" in rest:
            kinds = rest[f"{side}_block_types"]
            rest[f"{side}_block_types"] = tuple(kind.replace("Motion", "2D") for kind in kinds)
    return rest


class UNetMotion(nn.Module):
    """A UNet whose pictures are the frames of clips, with motion modules between its layers."""

    cfg: MotionUNetConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        sample: Float[Array, "B T h w C"],
        timesteps: Float[Array, " B"],
        text_states: Float[Array, "B L D"],
        *,
        timestep_cond: Float[Array, "B K"] | None = None,
        down_residuals: tuple[jax.Array, ...] | None = None,
        mid_residual: jax.Array | None = None,
    ) -> Float[Array, "B T h w O"]:
        """What the network predicts for noisy clips; one timestep and one text for each clip.

        down_residuals, mid_residual: a ControlNet's output for B*T pictures, frames of a clip one after another.
        """
        batch, frames = sample.shape[:2]
        motion = MotionModules(self.cfg.motion, frames, self.attention, self.dtype, name="motion")
        unet = UNet2DCondition(self.cfg.unet, motion, self.attention, self.dtype, name="unet")

        def each(x):
            return None if x is None else jnp.repeat(x, frames, 0)

        timesteps = jnp.broadcast_to(jnp.asarray(timesteps), (batch,))
        out = unet(
            sample.reshape(-1, *sample.shape[2:]),
            each(timesteps),
            each(text_states),
            timestep_cond=each(timestep_cond),
            down_residuals=down_residuals,
            mid_residual=mid_residual,
        )
        return out.reshape(batch, frames, *out.shape[1:])
