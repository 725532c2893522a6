"""CLIP: text and pictures in one space (Radford et al. 2021); transformers' CLIPTextModel and CLIPModel.

    cfg = ClipTextConfig.from_transformers(json.load(open("text_encoder/config.json")))
    net = ClipText(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 77), int))["params"]
    states = net.apply({"params": params}, ids).last_hidden_state       # [B, 77, 768], what a UNet attends to

    cfg = ClipConfig.from_transformers(json.load(open("clip-vit-base-patch32/config.json")))
    net = Clip(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 77), int), jnp.zeros((1, 224, 224, 3)))["params"]
    out = net.apply({"params": params}, ids, normalise(pictures))       # out.logits_per_image [B pictures, B texts]
    embeds = net.apply({"params": params}, normalise(pictures), method="encode_image")  # [B, 512]

The layers are one scan: their parameters have a first axis of layers.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.attention import AttentionFn, attend
from semjax.models.layers import Conv, Dense, LayerNorm, activation

_MEAN, _STD = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)  # the authors' pictures
_LATE_EOS = 2  # configs that name this token mean the greatest one (an old mistake that transformers keeps)


@dataclasses.dataclass(frozen=True)
class _TowerConfig:
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_act: str
    layer_norm_eps: float

    def __post_init__(self):
        activation(self.hidden_act)
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size={self.hidden_size} does not split into num_attention_heads={self.num_attention_heads}."
            )


@dataclasses.dataclass(frozen=True)
class ClipTextConfig(_TowerConfig):
    """The settings of transformers' CLIPTextConfig, by their names there.

    `projection_dim` None is CLIPTextModel, a number CLIPTextModelWithProjection.
    """

    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    vocab_size: int = 49408
    max_position_embeddings: int = 77
    eos_token_id: int = 49407
    projection_dim: int | None = None

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any], projection: bool = False) -> "ClipTextConfig":
        """The config in a `config.json`; with `projection` that of CLIPTextModelWithProjection."""
        cfg = _config.read(cls, settings, ignored=None, fixed={"model_type": ("clip_text_model", "clip")})
        return dataclasses.replace(
            cfg, projection_dim=settings.get("projection_dim", 512) if projection else None
        )


@dataclasses.dataclass(frozen=True)
class ClipVisionConfig(_TowerConfig):
    """The settings of transformers' CLIPVisionConfig, by their names there."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """The settings of transformers' CLIPConfig: both towers and the width that they share."""

    text: ClipTextConfig = ClipTextConfig()
    vision: ClipVisionConfig = ClipVisionConfig()
    projection_dim: int = 512

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "ClipConfig":
        """The config in a `config.json`. `InputError` when it is not CLIP's."""
        _config.one_of(settings.get("model_type", "clip"), ("clip",), "model_type")
        towers = {}
        for name, kind in (("text", ClipTextConfig), ("vision", ClipVisionConfig)):
            tower = (settings.get(f"{name}_config") or {}) | (settings.get(f"{name}_config_dict") or {})
            tower.pop("projection_dim", None)
            towers[name] = _config.read(kind, tower, ignored=None)
        return cls(**towers, projection_dim=settings.get("projection_dim", 512))


class ClipTextOutput(NamedTuple):
    """last_hidden_state [B, L, D] after the last norm; pooled [B, D or projection_dim] at the end-of-text token;
    hidden_states [layers + 1, B, L, D] before the last norm, the embeddings first."""

    last_hidden_state: jax.Array
    pooled: jax.Array
    hidden_states: jax.Array


class ClipOutput(NamedTuple):
    """Embeddings of unit length, [B, projection_dim], and their scaled products [pictures, texts]."""

    image_embeds: jax.Array
    text_embeds: jax.Array
    logits_per_image: jax.Array


class _Layer(nn.Module):
    """Attention and two linear maps, each on a norm and added to its input. For a scan: returns its output twice."""

    cfg: _TowerConfig
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        cfg = self.cfg
        heads = (cfg.num_attention_heads, cfg.hidden_size // cfg.num_attention_heads)
        y = LayerNorm(cfg.layer_norm_eps, self.dtype, name="layer_norm1")(x)
        query, key, value = (
            Dense(cfg.hidden_size, dtype=self.dtype, name=f"self_attn_{name}_proj")(y).reshape(
                *y.shape[:-1], *heads
            )
            for name in "qkv"
        )
        y = self.attention(query, key, value, bias).reshape(x.shape)
        x = x + Dense(cfg.hidden_size, dtype=self.dtype, name="self_attn_out_proj")(y)
        y = LayerNorm(cfg.layer_norm_eps, self.dtype, name="layer_norm2")(x)
        y = activation(cfg.hidden_act)(Dense(cfg.intermediate_size, dtype=self.dtype, name="mlp_fc1")(y))
        x = x + Dense(cfg.hidden_size, dtype=self.dtype, name="mlp_fc2")(y)
        return x, x


class _Tower(nn.Module):
    """What text and vision have in common."""

    cfg: _TowerConfig
    attention: AttentionFn
    dtype: jnp.dtype

    def _encoder(self, x: jax.Array, bias: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """(the last layer's output, those of all layers)."""
        layers = nn.scan(
            _Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=self.cfg.num_hidden_layers,
        )
        return layers(self.cfg, self.attention, self.dtype, name="encoder_layers")(x, bias)

    def _embed(self, count: int, name: str) -> nn.Embed:
        return nn.Embed(count, self.cfg.hidden_size, dtype=self.dtype, name=name)


class _TextTower(_Tower):
    @nn.compact
    def __call__(self, ids: jax.Array, mask: jax.Array | None) -> ClipTextOutput:
        cfg, length = self.cfg, ids.shape[-1]
        if ids.ndim != 2 or length > cfg.max_position_embeddings:
            raise InputError(
                f"CLIP takes token numbers [B, at most {cfg.max_position_embeddings}], got {ids.shape}."
            )
        places = self._embed(cfg.max_position_embeddings, "embeddings_position_embedding")
        x = self._embed(cfg.vocab_size, "embeddings_token_embedding")(ids) + places(jnp.arange(length))
        seen = jnp.tril(jnp.ones((length, length), bool))[None, None]
        if mask is not None:
            seen = seen & (mask[:, None, None] > 0)
        last, states = self._encoder(x, jnp.where(seen, 0.0, -1e9).astype(jnp.float32))
        states = jnp.concatenate([x[None], states])
        last = LayerNorm(cfg.layer_norm_eps, self.dtype, name="final_layer_norm")(last)
        end = ids if cfg.eos_token_id == _LATE_EOS else ids == cfg.eos_token_id
        return ClipTextOutput(last, last[jnp.arange(ids.shape[0]), end.argmax(-1)], states)


class _VisionTower(_Tower):
    @nn.compact
    def __call__(self, pixels: jax.Array) -> jax.Array:
        cfg = self.cfg
        if pixels.shape[1:] != (cfg.image_size, cfg.image_size, cfg.num_channels):
            raise InputError(
                f"This CLIP takes pictures [B, {cfg.image_size}, {cfg.image_size}, {cfg.num_channels}], "
                f"got {pixels.shape}."
            )
        patches = Conv(
            cfg.hidden_size,
            cfg.patch_size,
            cfg.patch_size,
            0,
            use_bias=False,
            dtype=self.dtype,
            name="embeddings_patch_embedding",
        )(pixels)
        patches = patches.reshape(pixels.shape[0], -1, cfg.hidden_size)
        first = self.param("embeddings_class_embedding", nn.initializers.normal(0.02), (cfg.hidden_size,))
        first = jnp.broadcast_to(first.astype(self.dtype), (pixels.shape[0], 1, cfg.hidden_size))
        x = jnp.concatenate([first, patches], 1)
        x = x + self._embed(x.shape[1], "embeddings_position_embedding")(jnp.arange(x.shape[1]))
        x = LayerNorm(cfg.layer_norm_eps, self.dtype, name="pre_layrnorm")(x)
        x, _ = self._encoder(x, None)
        return LayerNorm(cfg.layer_norm_eps, self.dtype, name="post_layernorm")(x[:, 0])


class ClipText(nn.Module):
    """The text encoder alone, with the projection where the config has one."""

    cfg: ClipTextConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, ids: Int[Array, "B L"], mask: Float[Array, "B L"] | None = None) -> ClipTextOutput:
        """States of the tokens `ids`; `mask` is 1 for tokens to look at (all without it)."""
        out = _TextTower(self.cfg, self.attention, self.dtype, name="text_model")(ids, mask)
        if self.cfg.projection_dim is None:
            return out
        project = Dense(self.cfg.projection_dim, use_bias=False, dtype=self.dtype, name="text_projection")
        return out._replace(pooled=project(out.pooled))


class Clip(nn.Module):
    """Text and vision encoders with their projections to one space."""

    cfg: ClipConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """The towers, so that either can be used alone."""
        self.text_model = _TextTower(self.cfg.text, self.attention, self.dtype)
        self.vision_model = _VisionTower(self.cfg.vision, self.attention, self.dtype)
        self.text_projection = Dense(self.cfg.projection_dim, use_bias=False, dtype=self.dtype)
        self.visual_projection = Dense(self.cfg.projection_dim, use_bias=False, dtype=self.dtype)
        self.logit_scale = self.param("logit_scale", nn.initializers.constant(2.6592), ())

    def encode_text(
        self, ids: Int[Array, "B L"], mask: Float[Array, "B L"] | None = None
    ) -> Float[Array, "B D"]:
        """Embeddings of texts, of any length."""
        return self.text_projection(self.text_model(ids, mask).pooled)

    def encode_image(self, pixels: Float[Array, "B H W 3"]) -> Float[Array, "B D"]:
        """Embeddings of pictures that `normalise` has prepared, of any length."""
        return self.visual_projection(self.vision_model(pixels))

    def __call__(
        self,
        ids: Int[Array, "A L"],
        pixels: Float[Array, "B H W 3"],
        mask: Float[Array, "A L"] | None = None,
    ) -> ClipOutput:
        """Unit embeddings of texts and pictures, and how well each fits each."""
        text, image = (
            x / jnp.linalg.norm(x, axis=-1, keepdims=True)
            for x in (self.encode_text(ids, mask), self.encode_image(pixels))
        )
        return ClipOutput(image, text, jnp.exp(self.logit_scale) * image @ text.T)


def normalise(pictures: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
    """Pictures in [-1, 1] of the network's size -> what its vision encoder takes: CLIP's means and deviations."""
    return ((pictures + 1) / 2 - jnp.asarray(_MEAN)) / jnp.asarray(_STD)
