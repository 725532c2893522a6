"""InternViT: the vision transformer of InternVL (Chen et al. 2024); transformers' InternVLVisionModel.

    cfg = InternVitConfig()
    net = InternVit(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 448, 448, 3)))["params"]
    states = net.apply({"params": params}, normalise(pictures))         # [B, 1 + (448 / 14)^2, 1024]

Pictures of another size than the config's get its positions resampled. The layers are one scan: their parameters have
a first axis of layers.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.attention import AttentionFn, attend
from semjax.models.layers import Conv, Dense, LayerNorm, RmsNorm, activation

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pictures
_NORM_EPS = 1e-6  # of the norms of queries and keys, whatever layer_norm_eps is
_CUBIC = -0.75  # PyTorch's bicubic kernel


@dataclasses.dataclass(frozen=True)
class InternVitConfig:
    """The settings of transformers' InternVLVisionConfig, by their names there; sizes are (height, width)."""

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    attention_bias: bool = False
    use_qk_norm: bool = False
    hidden_act: str = "gelu"
    norm_type: str = "layer_norm"
    layer_norm_eps: float = 1e-6
    image_size: tuple[int, int] = (448, 448)
    patch_size: tuple[int, int] = (14, 14)
    num_channels: int = 3
    use_absolute_position_embeddings: bool = True
    use_mean_pooling: bool = True

    def __post_init__(self):
        activation(self.hidden_act)
        _config.one_of(self.norm_type, ("layer_norm", "rms_norm"), "norm_type")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size={self.hidden_size} does not split into num_attention_heads={self.num_attention_heads}."
            )
        if self.patch_size[0] != self.patch_size[1] or self.image_size[0] != self.image_size[1]:
            raise InputError(
                f"Only square pictures and patches, not {self.image_size} and {self.patch_size}."
            )

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "InternVitConfig":
        """The config in a `vision_config`. `InputError` when it is not InternViT's."""

        def derived(settings: dict) -> dict:
            for name in ("image_size", "patch_size"):
                if isinstance(settings.get(name), int):
                    settings[name] = (settings[name],) * 2
            return settings

        fixed = {"model_type": ("internvl_vision",), "use_mask_token": (False,)}
        return _config.read(cls, settings, ignored=None, fixed=fixed, derived=derived)


def _norm(cfg: InternVitConfig, dtype: jnp.dtype, name: str) -> nn.Module:
    kind = LayerNorm if cfg.norm_type == "layer_norm" else RmsNorm
    return kind(cfg.layer_norm_eps, dtype, name=name)


class _Attention(nn.Module):
    cfg: InternVitConfig
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: Float[Array, "B N C"]) -> Float[Array, "B N C"]:
        cfg = self.cfg

        def split(name):
            y = Dense(cfg.hidden_size, cfg.attention_bias, self.dtype, name=f"{name}_proj")(x)
            if cfg.use_qk_norm and name != "v":
                y = RmsNorm(_NORM_EPS, self.dtype, name=f"{name}_norm")(y)
            return y.reshape(*y.shape[:-1], cfg.num_attention_heads, -1)

        y = self.attention(split("q"), split("k"), split("v"), None).reshape(x.shape)
        return Dense(cfg.hidden_size, dtype=self.dtype, name="projection_layer")(y)


class _Layer(nn.Module):
    """Attention and two linear maps, each on a norm, scaled by channel and added to its input. For a scan."""

    cfg: InternVitConfig
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        cfg = self.cfg

        def scaled(name, y):
            return self.param(name, nn.initializers.constant(0.1), (cfg.hidden_size,)).astype(self.dtype) * y

        y = _norm(cfg, self.dtype, "layernorm_before")(x)
        x = x + scaled("lambda_1", _Attention(cfg, self.attention, self.dtype, name="attention")(y))
        y = _norm(cfg, self.dtype, "layernorm_after")(x)
        y = activation(cfg.hidden_act)(Dense(cfg.intermediate_size, dtype=self.dtype, name="mlp_fc1")(y))
        x = x + scaled("lambda_2", Dense(cfg.hidden_size, dtype=self.dtype, name="mlp_fc2")(y))
        return x, x


class InternVit(nn.Module):
    """The vision transformer without a head."""

    cfg: InternVitConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, pixels: Float[Array, "B H W 3"], layer: int = -1) -> Float[Array, "B N C"]:
        """States of the class token and then of the patches, row by row, after the last layer.

        `layer` counts as transformers' `vision_feature_layer`: -1 is the last one, 0 the embeddings. `pixels` are what
        `normalise` gives. `InputError` for sizes that are not whole patches.
        """
        cfg, size = self.cfg, self.cfg.patch_size[0]
        if (
            pixels.ndim != 4
            or pixels.shape[-1] != cfg.num_channels
            or any(n % size for n in pixels.shape[1:3])
        ):
            raise InputError(
                f"InternViT takes [B, H, W, {cfg.num_channels}] of whole patches of {size}, got {pixels.shape}."
            )
        patches = Conv(
            cfg.hidden_size, size, size, 0, dtype=self.dtype, name="embeddings_patch_embeddings_projection"
        )
        x = patches(pixels)
        grid = x.shape[1:3]
        x = x.reshape(x.shape[0], -1, cfg.hidden_size)
        first = self.param("embeddings_cls_token", nn.initializers.zeros, (1, 1, cfg.hidden_size))
        first = jnp.broadcast_to(first.astype(self.dtype), (x.shape[0], 1, cfg.hidden_size))
        x = jnp.concatenate([first, x], 1)
        if cfg.use_absolute_position_embeddings:
            x = x + self._positions(grid).astype(self.dtype)
        layers = nn.scan(
            _Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=cfg.num_hidden_layers
        )
        last, states = layers(cfg, self.attention, self.dtype, name="encoder_layer")(x)
        if not cfg.use_mean_pooling:  # the norm has parameters whether it is used or not
            last = LayerNorm(cfg.layer_norm_eps, self.dtype, name="layernorm")(last)
        return last if layer == -1 else jnp.concatenate([x[None], states])[layer]

    def _positions(self, grid: tuple[int, int]) -> jax.Array:
        """The learned positions, resampled bicubically for another grid of patches than the config's."""
        side = self.cfg.image_size[0] // self.cfg.patch_size[0]
        shape = (1, side * side + 1, self.cfg.hidden_size)
        table = self.param("embeddings_position_embeddings", nn.initializers.zeros, shape).astype(jnp.float32)
        if grid == (side, side):
            return table
        rows, columns = (jnp.asarray(_bicubic(side, n)) for n in grid)
        patches = table[0, 1:].reshape(side, side, -1)
        patches = jnp.einsum("hi,wj,ijc->hwc", rows, columns, patches, precision="highest")
        return jnp.concatenate([table[:, :1], patches.reshape(1, -1, table.shape[-1])], 1)


@functools.cache
def _bicubic(old: int, new: int) -> np.ndarray:
    """[new, old] weights of PyTorch's bicubic interpolation without antialiasing, half a pixel inside."""
    at = (np.arange(new) + 0.5) * old / new - 0.5
    weights = np.zeros((new, old), np.float32)
    for tap in range(-1, 3):
        index = np.floor(at).astype(int) + tap
        d = np.abs(at - index)
        near = ((_CUBIC + 2) * d - (_CUBIC + 3)) * d * d + 1
        far = _CUBIC * (((d - 5) * d + 8) * d - 4)
        np.add.at(weights, (np.arange(new), np.clip(index, 0, old - 1)), np.where(d <= 1, near, far))
    return weights


def normalise(pictures: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Pictures in [-1, 1] -> what the network takes: ImageNet's means and deviations."""
    return ((pictures + 1) / 2 - jnp.asarray(_MEAN)) / jnp.asarray(_STD)
