"""The denoising UNet of Stable Diffusion 1.x, 2.x, Turbo and XL: diffusers' UNet2DConditionModel.

    cfg = UNetConfig.from_diffusers(json.load(open("unet/config.json")))
    net = UNet2DCondition(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 64, 64, 4)), 0, jnp.zeros((1, 77, 768)))["params"]
    noise = net.apply({"params": params}, latents, timesteps, text_states)      # [B, h, w, 4]

Adapters and motion modules plug in through `hooks`, an object with the methods

    layer(place, x [B, h, w, C]) -> x
        after each resnet (and its transformer): the picture that goes on
    attend(place, hidden [B, N, C], key [B, N, heads, d], value [B, N, heads, d]) -> [B, N, C]
        at each self-attention: what is added to its output, or None; `hidden` is what it attends with, after the norm

where place is "down_0_1" (second layer of the first block down), "mid_0" or "up_2_0"; the second self-attention of a
layer that has several is at "down_0_1_1". Hooks may be Linen modules: their parameters are then under "hooks".
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
from semjax.models.attention import AttentionFn, attend
from semjax.models.layers import (
    Conv,
    Dense,
    FourierFeatures,
    GroupNorm,
    TimeEmbedding,
    activation,
    sinusoids,
)
from semjax.models.unet_blocks import DownBlock, MidBlock, UpBlock

_DOWN = ("CrossAttnDownBlock2D", "DownBlock2D")
_UP = ("CrossAttnUpBlock2D", "UpBlock2D")
_MID = ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None)
# Settings of diffusers that change nothing here: sizes to expect, dropout, and precision, which is always float32
# where it matters; those of block types that are refused.
_IGNORED = (
    "sample_size",
    "dropout",
    "upcast_attention",
    "resnet_skip_time_act",
    "resnet_out_scale_factor",
    "cross_attention_norm",
    "mid_block_only_cross_attention",
    "addition_embed_type_num_heads",
)
_PER_BLOCK = (
    "only_cross_attention",
    "layers_per_block",
    "cross_attention_dim",
    "attention_head_dim",
    "transformer_layers_per_block",
)
_FIXED = {"dual_cross_attention": (False,), "attention_type": ("default",)}


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """The settings of diffusers' UNet2DConditionModel, by their names there.

    As there, `attention_head_dim` is the number of heads. Settings with a value for each block may be tuples.
    """

    in_channels: int = 4
    out_channels: int = 4
    center_input_sample: bool = False
    flip_sin_to_cos: bool = True
    freq_shift: float = 0
    down_block_types: tuple[str, ...] = (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
    mid_block_type: str | None = "UNetMidBlock2DCrossAttn"
    up_block_types: tuple[str, ...] = ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3)
    only_cross_attention: bool | tuple[bool, ...] = False
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int | tuple[int, ...] = 2
    downsample_padding: int = 1
    mid_block_scale_factor: float = 1.0
    act_fn: str = "silu"
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    cross_attention_dim: int | tuple[int, ...] = 1280
    transformer_layers_per_block: int | tuple = 1
    reverse_transformer_layers_per_block: tuple | None = None
    encoder_hid_dim: int | None = None
    encoder_hid_dim_type: str | None = None
    attention_head_dim: int | tuple[int, ...] = 8
    use_linear_projection: bool = False
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    addition_embed_type: str | None = None
    addition_time_embed_dim: int | None = None
    projection_class_embeddings_input_dim: int | None = None
    class_embeddings_concat: bool = False
    resnet_time_scale_shift: str = "default"
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    time_embedding_act_fn: str | None = None
    timestep_post_act: str | None = None
    time_cond_proj_dim: int | None = None
    conv_in_kernel: int = 3
    conv_out_kernel: int = 3

    def __post_init__(self):
        count = len(self.block_out_channels)
        for name, allowed in (("down_block_types", _DOWN), ("up_block_types", _UP)):
            for kind in _config.per_block(getattr(self, name), count, name):
                _config.one_of(kind, allowed, name)
        for name in _PER_BLOCK:
            self.blocks(name)
        _config.one_of(self.mid_block_type, _MID, "mid_block_type")
        _config.one_of(self.encoder_hid_dim_type, (None, "text_proj"), "encoder_hid_dim_type")
        _config.one_of(self.addition_embed_type, (None, "text_time"), "addition_embed_type")
        kinds = (None, "timestep", "identity", "projection", "simple_projection")
        _config.one_of(self.class_embed_type, kinds, "class_embed_type")
        _config.one_of(self.resnet_time_scale_shift, ("default", "scale_shift"), "resnet_time_scale_shift")
        _config.one_of(self.time_embedding_type, ("positional", "fourier"), "time_embedding_type")
        for act in (self.act_fn, self.time_embedding_act_fn, self.timestep_post_act):
            activation(act or "silu")
        if self.norm_num_groups is None:
            raise InputError("norm_num_groups=None (no norms) is not supported, only a number of groups.")
        if self.encoder_hid_dim is not None and self.encoder_hid_dim_type is None:
            object.__setattr__(self, "encoder_hid_dim_type", "text_proj")

    @classmethod
    def from_diffusers(cls, settings: Mapping[str, Any]) -> "UNetConfig":
        """The config in a diffusers `config.json`. `InputError` lists settings that are not supported."""

        def derived(settings):
            for key in ("down_block_types", "up_block_types"):  # an old prefix that diffusers drops as well
                if key in settings:
                    settings[key] = tuple(kind.removeprefix("UNetRes") for kind in settings[key])
            return settings

        return _config.read(cls, settings, ignored=_IGNORED, fixed=_FIXED, derived=derived)

    def blocks(self, name: str) -> tuple:
        """The setting `name` of each block on the way down."""
        return _config.per_block(getattr(self, name), len(self.block_out_channels), name)

    @property
    def time_width(self) -> int:
        """Width of the time embedding, before class embeddings are put beside it."""
        factor = 2 if self.time_embedding_type == "fourier" else 4
        return self.time_embedding_dim or factor * self.block_out_channels[0]


class Conditioning(nn.Module):
    """Timesteps, class labels and the other conditions of a picture -> one embedding; text states -> mapped ones.

    `label_act` is the activation in the embedding of labels that are timesteps, that of the config without it.
    """

    cfg: UNetConfig
    dtype: jnp.dtype = jnp.float32
    label_act: str | None = None

    def _positions(self, t: jax.Array, width: int) -> jax.Array:
        return sinusoids(t, width, flip=self.cfg.flip_sin_to_cos, shift=self.cfg.freq_shift)

    def _class(self, labels: jax.Array | None, features) -> jax.Array | None:
        cfg, width = self.cfg, self.cfg.time_width
        kind = cfg.class_embed_type
        if kind is None and cfg.num_class_embeds is None:
            return None
        if labels is None:
            raise InputError("This UNet has a class embedding: pass class_labels.")
        if kind is None:
            table = nn.initializers.normal(1.0)
            table = self.param("class_embedding", table, (cfg.num_class_embeds, width))
            return table.astype(self.dtype)[labels]
        if kind == "identity":
            return labels
        if kind == "simple_projection":
            return Dense(width, dtype=self.dtype, name="class_embedding")(labels)
        if kind == "timestep":
            labels = features(labels)
        act = self.label_act or cfg.act_fn if kind == "timestep" else "silu"
        return TimeEmbedding(width, act, dtype=self.dtype, name="class_embedding")(labels)

    @nn.compact
    def __call__(self, timesteps, text, class_labels, timestep_cond, added) -> tuple[jax.Array, jax.Array]:
        """(embedding [B, D], text states [B, L, E])."""
        cfg, width = self.cfg, self.cfg.time_width
        fourier = cfg.time_embedding_type == "fourier"
        table = FourierFeatures(width, cfg.flip_sin_to_cos, name="time_proj") if fourier else None

        def features(t):
            return table(t) if fourier else self._positions(t, cfg.block_out_channels[0])

        time = TimeEmbedding(
            width,
            cfg.act_fn,
            cfg.timestep_post_act,
            cfg.time_cond_proj_dim,
            self.dtype,
            name="time_embedding",
        )(features(timesteps), timestep_cond)
        label = self._class(class_labels, features)
        if label is not None:
            time = jnp.concatenate([time, label], -1) if cfg.class_embeddings_concat else time + label
        if cfg.addition_embed_type == "text_time":
            if added is None or not {"text_embeds", "time_ids"} <= set(added):
                raise InputError(
                    "This UNet takes added={'text_embeds': [B, D], 'time_ids': [B, K]} (Stable Diffusion XL)."
                )
            ids = self._positions(added["time_ids"].reshape(-1), cfg.addition_time_embed_dim)
            more = jnp.concatenate([added["text_embeds"], ids.reshape(time.shape[0], -1)], -1)
            time = time + TimeEmbedding(width, dtype=self.dtype, name="add_embedding")(more)
        if cfg.time_embedding_act_fn:
            time = activation(cfg.time_embedding_act_fn)(time)
        if cfg.encoder_hid_dim_type == "text_proj":
            text = Dense(cfg.cross_attention_dim, dtype=self.dtype, name="encoder_hid_proj")(text)
        return time, text


def _common(cfg: UNetConfig, attention: AttentionFn, dtype: jnp.dtype) -> dict[str, Any]:
    return {
        "groups": cfg.norm_num_groups,
        "eps": cfg.norm_eps,
        "act": cfg.act_fn,
        "scale_shift": cfg.resnet_time_scale_shift == "scale_shift",
        "linear_projection": cfg.use_linear_projection,
        "attention": attention,
        "dtype": dtype,
    }


def down_blocks(cfg: UNetConfig, attention: AttentionFn, dtype: jnp.dtype) -> list[DownBlock]:
    """The blocks on the way down, as submodules of the module that is being called."""
    return [
        DownBlock(
            cfg.block_out_channels[i],
            _config.per_block(depth, cfg.blocks("layers_per_block")[i], "transformer_layers_per_block"),
            cfg.blocks("attention_head_dim")[i] if kind.startswith("CrossAttn") else None,
            "half" if i < len(cfg.block_out_channels) - 1 else None,
            only_cross=cfg.blocks("only_cross_attention")[i],
            padding=cfg.downsample_padding,
            name=f"down_blocks_{i}",
            **_common(cfg, attention, dtype),
        )
        for i, (kind, depth) in enumerate(
            zip(cfg.down_block_types, cfg.blocks("transformer_layers_per_block"))
        )
    ]


def mid_block(cfg: UNetConfig, attention: AttentionFn, dtype: jnp.dtype) -> MidBlock | None:
    """The block in the middle, where there is one."""
    if cfg.mid_block_type is None:
        return None
    depth = cfg.blocks("transformer_layers_per_block")[-1]
    return MidBlock(
        cfg.block_out_channels[-1],
        _config.per_block(depth, 1, "transformer_layers_per_block"),
        cfg.blocks("attention_head_dim")[-1] if cfg.mid_block_type == "UNetMidBlock2DCrossAttn" else None,
        output_scale=cfg.mid_block_scale_factor,
        name="mid_block",
        **_common(cfg, attention, dtype),
    )


def up_blocks(cfg: UNetConfig, attention: AttentionFn, dtype: jnp.dtype) -> list[UpBlock]:
    """The blocks on the way up: the settings of those on the way down, from the last."""
    depths = cfg.reverse_transformer_layers_per_block or cfg.blocks("transformer_layers_per_block")[::-1]
    blocks = []
    for i, kind in enumerate(cfg.up_block_types):
        j = len(cfg.block_out_channels) - 1 - i
        block = UpBlock(
            cfg.block_out_channels[j],
            _config.per_block(
                depths[i], cfg.blocks("layers_per_block")[j] + 1, "transformer_layers_per_block"
            ),
            cfg.blocks("attention_head_dim")[j] if kind.startswith("CrossAttn") else None,
            "double" if j else None,
            only_cross=cfg.blocks("only_cross_attention")[j],
            name=f"up_blocks_{i}",
            **_common(cfg, attention, dtype),
        )
        blocks.append(block)
    return blocks


class UNet2DCondition(nn.Module):
    """The network. `dtype`: what it computes in; `attention`: how; `hooks`: see the head of this file."""

    cfg: UNetConfig
    hooks: Any = None
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        sample: Float[Array, "B h w C"],
        timesteps: Float[Array, " B"],
        text_states: Float[Array, "B L D"],
        *,
        class_labels: jax.Array | None = None,
        timestep_cond: Float[Array, "B K"] | None = None,
        added: Mapping[str, jax.Array] | None = None,
        text_mask: Float[Array, "B L"] | None = None,
        down_residuals: tuple[jax.Array, ...] | None = None,
        mid_residual: jax.Array | None = None,
    ) -> Float[Array, "B h w O"]:
        """What the network predicts (noise or velocity) for noisy latents of any height and width.

        timesteps: one number or [B]. class_labels: int [B], or float [B, K] where the class embedding is a
        projection. timestep_cond: the embedded guidance scale of LCMs. text_mask: 1 for tokens to look at.
        down_residuals, mid_residual: a ControlNet's output, added to the pictures kept on the way down and to that
        in the middle.
        """
        cfg = self.cfg
        if sample.ndim != 4 or sample.shape[-1] != cfg.in_channels:
            raise InputError(f"This UNet takes [B, h, w, {cfg.in_channels}], got {sample.shape}.")
        timesteps = jnp.broadcast_to(jnp.asarray(timesteps), sample.shape[:1])
        conditioning = Conditioning(cfg, self.dtype, name="conditioning")
        time, text = conditioning(timesteps, text_states, class_labels, timestep_cond, added)
        bias = None if text_mask is None else (text_mask[:, None, None].astype(jnp.float32) - 1) * 1e4
        down, mid = down_blocks(cfg, self.attention, self.dtype), mid_block(cfg, self.attention, self.dtype)
        up = up_blocks(cfg, self.attention, self.dtype)

        around = ((cfg.conv_in_kernel - 1) // 2, (cfg.conv_out_kernel - 1) // 2)
        x = 2 * sample - 1 if cfg.center_input_sample else sample
        first = cfg.block_out_channels[0]
        x = Conv(first, cfg.conv_in_kernel, padding=around[0], dtype=self.dtype, name="conv_in")(x)
        kept = [x]
        for i, block in enumerate(down):
            x, more = block(x, time, text, bias, self.hooks, f"down_{i}")
            kept += more
        if down_residuals is not None:
            if len(down_residuals) != len(kept):
                raise InputError(f"down_residuals must be {len(kept)} arrays, got {len(down_residuals)}.")
            kept = [x + y.astype(x.dtype) for x, y in zip(kept, down_residuals)]
        if mid is not None:
            x = mid(x, time, text, bias, self.hooks)
        if mid_residual is not None:
            x = x + mid_residual.astype(x.dtype)
        for i, block in enumerate(up):
            x = block(x, kept, time, text, bias, self.hooks, f"up_{i}")
        x = activation(cfg.act_fn)(
            GroupNorm(cfg.norm_num_groups, cfg.norm_eps, self.dtype, name="conv_norm_out")(x)
        )
        last = Conv(
            cfg.out_channels, cfg.conv_out_kernel, padding=around[1], dtype=self.dtype, name="conv_out"
        )
        return last(x)
