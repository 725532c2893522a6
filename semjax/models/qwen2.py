"""Qwen2: a causal language model with a cache of keys and values (Yang et al. 2024); transformers' Qwen2Model.

    cfg = Qwen2Config(vocab_size=151936, hidden_size=896, ...)
    net = Qwen2(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 4), int))["params"]
    states, cache = net.apply({"params": params}, ids, empty_cache(cfg, batch=1, room=512))      # read a prompt
    states, cache = net.apply({"params": params}, ids[:, -1:], cache)                            # and go on

The cache is a struct of arrays of fixed shape that goes in and comes out, so that reading and generating compile once
for each length of input. The layers are one scan: their parameters have a first axis of layers.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.attention import AttentionFn, attend
from semjax.models.layers import Dense, RmsNorm, activation

_NEVER = -1e9  # score of what must not be looked at


@dataclasses.dataclass(frozen=True)
class Qwen2Config:
    """The settings of transformers' Qwen2Config, by their names there; head_dim None: hidden_size by heads."""

    vocab_size: int = 151936
    hidden_size: int = 4096
    intermediate_size: int = 22016
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int | None = None
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False

    def __post_init__(self):
        activation(self.hidden_act)
        if self.num_attention_heads % self.num_key_value_heads:
            raise InputError(
                f"num_attention_heads={self.num_attention_heads} does not split into "
                f"num_key_value_heads={self.num_key_value_heads}."
            )
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size={self.hidden_size} does not split into num_attention_heads={self.num_attention_heads}."
            )

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "Qwen2Config":
        """The config in a `config.json` or `text_config`. `InputError` when it is not Qwen2's."""

        def derived(settings: dict) -> dict:
            rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
            kind = rope.get("rope_type", rope.get("type", "default"))
            # "dynamic" changes nothing within the positions of the training, which prompts here stay in.
            _config.one_of(kind, ("default", "dynamic"), "rope_type")
            heads = settings.get("num_attention_heads", 32)
            settings = {"num_key_value_heads": heads} | {k: v for k, v in settings.items() if v is not None}
            return settings | ({"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {})

        fixed = {"model_type": ("qwen2",), "use_sliding_window": (False,)}
        return _config.read(cls, settings, ignored=None, fixed=fixed, derived=derived)


class Cache(NamedTuple):
    """Keys (rotated) and values of all tokens read so far.

    keys, values [layers, B, room, heads, d]; real: bool [B, room], False in free places and at padding;
    filled: int32, places used in every row; read: int32 [B], real tokens of each row, the next one's position.
    """

    keys: jax.Array
    values: jax.Array
    real: jax.Array
    filled: jax.Array
    read: jax.Array


def empty_cache(cfg: Qwen2Config, batch: int, room: int, dtype: jnp.dtype = jnp.float32) -> Cache:
    """A cache for `batch` rows of at most `room` tokens each."""
    shape = (cfg.num_hidden_layers, batch, room, cfg.num_key_value_heads, cfg.head_width)
    none = jnp.zeros((), jnp.int32)
    return Cache(
        jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros((batch, room), bool), none,
        jnp.zeros((batch,), jnp.int32),
    )  # fmt: skip


def rotate(
    x: Float[Array, "B L heads d"], positions: Int[Array, "B L"], theta: float
) -> Float[Array, "B L heads d"]:
    """Rotary position embedding (Su et al. 2021): halves of a head as the parts of complex numbers."""
    half = x.shape[-1] // 2
    rates = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = positions.astype(jnp.float32)[..., None, None] * rates
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


class _Attention(nn.Module):
    cfg: Qwen2Config
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, keys, values, positions, start, bias):
        cfg = self.cfg

        def split(name, heads):
            y = Dense(heads * cfg.head_width, dtype=self.dtype, name=f"{name}_proj")(x)
            return y.reshape(*y.shape[:-1], heads, cfg.head_width)

        query = rotate(split("q", cfg.num_attention_heads), positions, cfg.rope_theta)
        key = rotate(split("k", cfg.num_key_value_heads), positions, cfg.rope_theta)
        keys = jax.lax.dynamic_update_slice_in_dim(keys, key.astype(keys.dtype), start, 1)
        new = split("v", cfg.num_key_value_heads).astype(values.dtype)
        values = jax.lax.dynamic_update_slice_in_dim(values, new, start, 1)
        y = self.attention(query, keys.astype(self.dtype), values.astype(self.dtype), bias)
        y = y.reshape(*y.shape[:-2], -1)
        return Dense(cfg.hidden_size, False, self.dtype, name="o_proj")(y), keys, values


class _Layer(nn.Module):
    """Attention and a gated linear unit, each on a norm and added to its input. For a scan."""

    cfg: Qwen2Config
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, cached, positions, start, bias):
        cfg = self.cfg
        y = RmsNorm(cfg.rms_norm_eps, self.dtype, name="input_layernorm")(x)
        attention = _Attention(cfg, self.attention, self.dtype, name="self_attn")
        y, keys, values = attention(y, *cached, positions, start, bias)
        x = x + y
        y = RmsNorm(cfg.rms_norm_eps, self.dtype, name="post_attention_layernorm")(x)
        wide = [
            Dense(cfg.intermediate_size, False, self.dtype, name=f"mlp_{name}_proj")(y)
            for name in ("gate", "up")
        ]
        y = activation(cfg.hidden_act)(wide[0]) * wide[1]
        return x + Dense(cfg.hidden_size, False, self.dtype, name="mlp_down_proj")(y), (keys, values)


class Qwen2(nn.Module):
    """The language model up to its last norm; `embed_tokens` is a method of its own."""

    cfg: Qwen2Config
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """The table of tokens, the layers and the norm."""
        cfg = self.cfg
        self.embed_tokens = nn.Embed(cfg.vocab_size, cfg.hidden_size, dtype=self.dtype)
        self.layers = nn.scan(
            _Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast),
            length=cfg.num_hidden_layers,
        )(cfg, self.attention, self.dtype)
        self.norm = RmsNorm(cfg.rms_norm_eps, self.dtype)

    def embed(self, ids: Int[Array, "B L"]) -> Float[Array, "B L D"]:
        """Embeddings of tokens."""
        return self.embed_tokens(ids)

    def logits(self, states: Float[Array, "*batch D"]) -> Float[Array, "*batch V"]:
        """Logits from states where the model's head is the table of tokens."""
        return self.embed_tokens.attend(states)

    def __call__(
        self,
        tokens: Int[Array, "B L"] | Float[Array, "B L D"],
        cache: Cache | None = None,
        real: Bool[Array, "B L"] | None = None,
    ) -> tuple[Float[Array, "B L D"], Cache]:
        """States after the last norm of more tokens (numbers or embeddings), and the cache with them.

        `real` is False at padding, which nothing looks at and which takes no position. Without a cache the tokens are
        all there is. The caller sees to it that the cache has room.
        """
        x = self.embed_tokens(tokens) if tokens.ndim == 2 else tokens.astype(self.dtype)
        batch, length = x.shape[:2]
        cache = empty_cache(self.cfg, batch, length, self.dtype) if cache is None else cache
        room = cache.real.shape[1]
        if length > room:
            raise InputError(f"{length} tokens do not fit a cache with room for {room}.")
        real = jnp.ones((batch, length), bool) if real is None else real
        count = jnp.cumsum(real, 1, dtype=jnp.int32)
        positions = cache.read[:, None] + jnp.maximum(count - 1, 0)
        seen = jax.lax.dynamic_update_slice_in_dim(cache.real, real, cache.filled, 1)
        upto = cache.filled + jnp.arange(length)
        may = seen[:, None] & (jnp.arange(room) <= upto[:, None])
        bias = jnp.where(may, 0.0, _NEVER).astype(jnp.float32)[:, None]
        x, (keys, values) = self.layers(x, (cache.keys, cache.values), positions, cache.filled, bias)
        cache = Cache(keys, values, seen, cache.filled + length, cache.read + count[:, -1])
        return self.norm(x), cache
