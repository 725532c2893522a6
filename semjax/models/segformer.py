"""SegFormer: a class for every pixel (Xie et al. 2021); transformers' SegformerForSemanticSegmentation.

    cfg = SegformerConfig.from_transformers(json.load(open("segformer-b0-finetuned-ade-512-512/config.json")))
    net = Segformer(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    logits = net.apply({"params": params}, normalise(pictures))        # [B, H/4, W/4, classes]

The norms of the head's batch keep the moments of the training data, which are parameters here.
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
from semjax.models.layers import Conv, Dense, LayerNorm, activation

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pictures
_EPS = 1e-5  # of both kinds of norm; transformers does not look at its config's layer_norm_eps


@dataclasses.dataclass(frozen=True)
class SegformerConfig:
    """The settings of transformers' SegformerConfig, by their names there; tuples have one entry for each stage.

    labels: names of the classes, in their order ("wall", "building", ...); () when the config has none.
    """

    num_channels: int = 3
    depths: tuple[int, ...] = (2, 2, 2, 2)
    sr_ratios: tuple[int, ...] = (8, 4, 2, 1)
    hidden_sizes: tuple[int, ...] = (32, 64, 160, 256)
    patch_sizes: tuple[int, ...] = (7, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 2, 2)
    num_attention_heads: tuple[int, ...] = (1, 2, 5, 8)
    mlp_ratios: tuple[float, ...] = (4, 4, 4, 4)
    hidden_act: str = "gelu"
    decoder_hidden_size: int = 256
    num_labels: int = 150
    labels: tuple[str, ...] = ()

    def __post_init__(self):
        activation(self.hidden_act)
        stages = {name: len(value) for name, value in vars(self).items() if isinstance(value, tuple)}
        stages.pop("labels")
        if len(set(stages.values())) != 1:
            raise InputError(f"SegFormer needs one entry per stage in each of these settings, got {stages}.")
        for width, heads in zip(self.hidden_sizes, self.num_attention_heads):
            if width % heads:
                raise InputError(f"hidden_sizes={width} does not split into num_attention_heads={heads}.")
        if self.labels and len(self.labels) != self.num_labels:
            raise InputError(f"{len(self.labels)} names came for num_labels={self.num_labels} classes.")

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "SegformerConfig":
        """The config in a `config.json`. `InputError` when it is not SegFormer's."""

        def derived(settings: dict) -> dict:
            names = settings.pop("id2label", None) or {}
            names = tuple(str(names[key]) for key in sorted(names, key=int))
            return {"num_labels": len(names) or 2} | settings | {"labels": names}

        fixed = {"model_type": ("segformer",), "reshape_last_stage": (True,)}
        return _config.read(cls, settings, ignored=None, fixed=fixed, derived=derived)


class _Reduction(nn.Module):
    """Fewer tokens to attend to: a convolution of `ratio` with that stride, and a norm."""

    ratio: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(x.shape[-1], self.ratio, self.ratio, 0, dtype=self.dtype, name="sequence_reduction")(x)
        return LayerNorm(_EPS, self.dtype, name="layer_norm")(x)


class _Attention(nn.Module):
    """Every pixel looks at the reduced picture."""

    heads: int
    ratio: int
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        batch, channels = x.shape[0], x.shape[-1]
        few = x if self.ratio == 1 else _Reduction(self.ratio, self.dtype, name="sequence_reduction")(x)

        def split(name, source):
            y = Dense(channels, dtype=self.dtype, name=f"{name}_proj")(source)
            return y.reshape(batch, -1, self.heads, channels // self.heads)

        y = self.attention(split("q", x), split("k", few), split("v", few), None)
        return Dense(channels, dtype=self.dtype, name="o_proj")(y.reshape(x.shape))


class _DepthWise(nn.Module):
    """A 3x3 filter for each channel, as nine shifted products: CPUs run that faster than grouped convolution."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        height, width, channels = x.shape[1:]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, 1, channels)).astype(self.dtype)
        around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        total = self.param("bias", nn.initializers.zeros, (channels,)).astype(self.dtype)
        for row in range(3):
            for column in range(3):
                part = around[:, row : row + height, column : column + width]
                total = total + part * kernel[row, column, 0]
        return total


class _Mlp(nn.Module):
    """Two linear maps with a 3x3 filter between, which is what tells a pixel its place."""

    width: int
    act: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = Dense(self.width, dtype=self.dtype, name="fc1")(x)
        y = activation(self.act)(_DepthWise(self.dtype, name="dwconv_dwconv")(y))
        return Dense(x.shape[-1], dtype=self.dtype, name="fc2")(y)


class _Block(nn.Module):
    """Attention and the maps above, each on a norm and added to its input."""

    heads: int
    ratio: int
    wide: int
    act: str
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = LayerNorm(_EPS, self.dtype, name="layernorm_before")(x)
        x = x + _Attention(self.heads, self.ratio, self.attention, self.dtype, name="attention")(y)
        y = LayerNorm(_EPS, self.dtype, name="layernorm_after")(x)
        return x + _Mlp(self.wide, self.act, self.dtype, name="mlp")(y)


class _Patches(nn.Module):
    """A strided convolution whose windows overlap, and a norm."""

    features: int
    size: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(self.features, self.size, self.stride, self.size // 2, dtype=self.dtype, name="proj")(x)
        return LayerNorm(_EPS, self.dtype, name="layer_norm")(x)


class _Stage(nn.Module):
    """Stage `index` of the encoder."""

    cfg: SegformerConfig
    index: int
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        cfg, i = self.cfg, self.index
        width = cfg.hidden_sizes[i]
        x = _Patches(width, cfg.patch_sizes[i], cfg.strides[i], self.dtype, name="patch_embeddings")(x)
        for k in range(cfg.depths[i]):
            block = (cfg.num_attention_heads[i], cfg.sr_ratios[i], int(width * cfg.mlp_ratios[i]))
            x = _Block(*block, cfg.hidden_act, self.attention, self.dtype, name=f"blocks_{k}")(x)
        return LayerNorm(_EPS, self.dtype, name="layer_norm")(x)


class _Encoder(nn.Module):
    cfg: SegformerConfig
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        states = []
        for i in range(len(self.cfg.depths)):
            x = _Stage(self.cfg, i, self.attention, self.dtype, name=f"stages_{i}")(x)
            states.append(x)
        return states


class _BatchNorm(nn.Module):
    """Scale and shift by the moments of the training data."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def own(name, start):
            return self.param(name, start, (x.shape[-1],)).astype(jnp.float32)

        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        gain = own("scale", ones) * jax.lax.rsqrt(own("running_var", ones) + _EPS)
        shift = own("bias", zeros) - own("running_mean", zeros) * gain
        return (x.astype(jnp.float32) * gain + shift).astype(self.dtype)


class _Head(nn.Module):
    """All stages at one width and the first one's size, joined and read pixel by pixel."""

    cfg: SegformerConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, states: list[jax.Array]) -> jax.Array:
        width, parts = self.cfg.decoder_hidden_size, []
        for i, state in enumerate(states):
            y = Dense(width, dtype=self.dtype, name=f"linear_projections_{i}_proj")(state)
            shape = (*states[0].shape[:3], width)
            parts.append(jax.image.resize(y, shape, "bilinear"))
        fuse = Conv(width, 1, 1, 0, use_bias=False, dtype=self.dtype, name="linear_fuse")
        y = nn.relu(_BatchNorm(self.dtype, name="batch_norm")(fuse(jnp.concatenate(parts[::-1], -1))))
        return Conv(self.cfg.num_labels, 1, 1, 0, dtype=self.dtype, name="classifier")(y)


class Segformer(nn.Module):
    """Logits of the classes for every fourth pixel, both ways."""

    cfg: SegformerConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, pixels: Float[Array, "B H W 3"]) -> Float[Array, "B h w K"]:
        """Logits of pictures that `normalise` has prepared. `InputError` for another number of channels."""
        if pixels.ndim != 4 or pixels.shape[-1] != self.cfg.num_channels:
            raise InputError(f"SegFormer takes [B, H, W, {self.cfg.num_channels}], got {pixels.shape}.")
        states = _Encoder(self.cfg, self.attention, self.dtype, name="segformer")(pixels)
        return _Head(self.cfg, self.dtype, name="decode_head")(states)


def normalise(pictures: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Pictures in [-1, 1] -> what the network takes: ImageNet's means and deviations."""
    return ((pictures + 1) / 2 - jnp.asarray(_MEAN)) / jnp.asarray(_STD)
