"""InternVL: pictures and text in, text out (Chen et al. 2024); transformers' InternVLForConditionalGeneration.

    cfg = InternVlConfig.from_transformers(json.load(open("InternVL3-1B-hf/config.json")))
    net = InternVl(cfg)
    params = net.init(jax.random.key(0), *example(cfg))["params"]
    logits = net.apply({"params": params}, ids, normalise(tiles))       # ids hold `image_token_id` once per feature

A frame's features are one call, what was read of a prompt stays in a cache, so that both serve many prompts:

    bound = net.bind({"params": params})
    features = bound.features(normalise(tiles))                         # [tiles, 256, D]
    states, cache = bound.read(bound.embed(ids, features), empty_cache(cfg.text, 1, room=512))
    tokens = greedy(bound, bound.head(states[:, -1]), cache, steps=32, stop=(151645,))
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from semjax.errors import InputError
from semjax.models import _config
from semjax.models.attention import AttentionFn, attend
from semjax.models.internvit import InternVit, InternVitConfig, normalise
from semjax.models.layers import Dense, LayerNorm, activation
from semjax.models.qwen2 import Cache, Qwen2, Qwen2Config, empty_cache

__all__ = ["InternVl", "InternVlConfig", "empty_cache", "example", "greedy", "normalise", "pixel_shuffle"]


@dataclasses.dataclass(frozen=True)
class InternVlConfig:
    """The settings of transformers' InternVLConfig, by their names there; both parts' are configs of their own."""

    vision: InternVitConfig = InternVitConfig()
    text: Qwen2Config = Qwen2Config()
    image_token_id: int = 151667
    downsample_ratio: float = 0.5
    projector_hidden_act: str = "gelu"
    vision_feature_layer: int = -1
    vision_feature_select_strategy: str = "default"

    def __post_init__(self):
        activation(self.projector_hidden_act)
        if self.downsample_ratio not in (0.5, 1.0):
            raise InputError(f"downsample_ratio={self.downsample_ratio} is not supported, only 0.5 or 1.0.")

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "InternVlConfig":
        """The config in a `config.json`. `InputError` when it is not InternVL's, or its language model not Qwen2.

        The head is the table of tokens where the outer config says so, or else the text config: published files have
        a head of their own and say nothing outside.
        """
        text = dict(settings.get("text_config") or {})
        text["tie_word_embeddings"] = settings.get(
            "tie_word_embeddings", text.get("tie_word_embeddings", False)
        )
        own = {
            key: value
            for key, value in settings.items()
            if key not in ("text_config", "vision_config", "tie_word_embeddings")
        }
        cfg = _config.read(cls, own, ignored=None, fixed={"model_type": ("internvl",)})
        _config.one_of(
            cfg.vision_feature_select_strategy, ("default", "full"), "vision_feature_select_strategy"
        )
        if not isinstance(cfg.vision_feature_layer, int):
            raise InputError(
                f"vision_feature_layer={cfg.vision_feature_layer} is not supported, only one layer."
            )
        vision = InternVitConfig.from_transformers(settings.get("vision_config") or {})
        return dataclasses.replace(cfg, vision=vision, text=Qwen2Config.from_transformers(text))

    def tokens(self, size: tuple[int, int] | None = None) -> int:
        """Image tokens that a tile of `size` (height, width) in pixels takes (None: of the size of the training)."""
        rows, columns = self.grid(size or self.vision.image_size)
        return int(rows * self.downsample_ratio) * int(columns * self.downsample_ratio)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of patches of a tile. `InputError` where they cannot be joined."""
        found = tuple(n // patch for n, patch in zip(size, self.vision.patch_size))
        if any(n * self.downsample_ratio % 1 for n in found):
            raise InputError(f"{found[0]} x {found[1]} patches cannot be joined by {self.downsample_ratio}.")
        return found


def pixel_shuffle(x: Float[Array, "B h w C"], ratio: float) -> Float[Array, "B k l D"]:
    """Neighbouring pixels side by side in the channels, `ratio` of the height and width left, as transformers does."""
    batch, height, width, channels = x.shape
    rows, columns = int(height * ratio), int(width * ratio)
    x = x.reshape(batch, height, columns, int(channels / ratio)).transpose(0, 2, 1, 3)
    return x.reshape(batch, columns, rows, int(channels / ratio**2)).transpose(0, 2, 1, 3)


class _Projector(nn.Module):
    """What the vision transformer sees, at the language model's width."""

    width: int
    act: str
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = LayerNorm(1e-5, self.dtype, name="layer_norm")(x)
        x = activation(self.act)(Dense(self.width, dtype=self.dtype, name="linear_1")(x))
        return Dense(self.width, dtype=self.dtype, name="linear_2")(x)


class InternVl(nn.Module):
    """Vision transformer, projector and language model with a head."""

    cfg: InternVlConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """The parts, each of which can be used alone."""
        cfg = self.cfg
        self.vision_tower = InternVit(cfg.vision, self.attention, self.dtype)
        self.multi_modal_projector = _Projector(cfg.text.hidden_size, cfg.projector_hidden_act, self.dtype)
        self.language_model = Qwen2(cfg.text, self.attention, self.dtype)
        if not cfg.text.tie_word_embeddings:
            self.lm_head = Dense(cfg.text.vocab_size, use_bias=False, dtype=self.dtype)

    def features(self, pixels: Float[Array, "B H W 3"]) -> Float[Array, "B N D"]:
        """What stands for each tile in a prompt, row by row. The training had square ones; others, which transformers
        refuses, get positions resampled for their shape. `InputError` for tiles whose patches cannot be joined."""
        rows, columns = self.cfg.grid(pixels.shape[1:3])
        states = self.vision_tower(pixels, self.cfg.vision_feature_layer)
        if self.cfg.vision_feature_select_strategy == "default":
            states = states[:, 1:]
        grid = states.reshape(states.shape[0], rows, columns, -1)
        joined = pixel_shuffle(grid, self.cfg.downsample_ratio)
        return self.multi_modal_projector(joined.reshape(joined.shape[0], -1, joined.shape[-1]))

    def embed(
        self, ids: Int[Array, "B L"], features: Float[Array, "M N D"] | None = None
    ) -> Float[Array, "B L D"]:
        """Embeddings of a prompt; the features, in their order, take the places of the image tokens."""
        x = self.language_model.embed(ids)
        if features is None:
            return x
        here = (ids == self.cfg.image_token_id).reshape(-1)
        flat = features.reshape(-1, x.shape[-1]).astype(x.dtype)
        taken = flat[jnp.clip(jnp.cumsum(here) - 1, 0, flat.shape[0] - 1)]
        return jnp.where(here[:, None], taken, x.reshape(-1, x.shape[-1])).reshape(x.shape)

    def read(
        self,
        tokens: Float[Array, "B L D"] | Int[Array, "B L"],
        cache: Cache,
        real: Bool[Array, "B L"] | None = None,
    ) -> tuple[Float[Array, "B L D"], Cache]:
        """States after more of a prompt, and the cache with it: see `qwen2.Qwen2`."""
        return self.language_model(tokens, cache, real)

    def head(self, states: Float[Array, "*batch D"]) -> Float[Array, "*batch V"]:
        """Logits of the next token."""
        return (
            self.language_model.logits(states) if self.cfg.text.tie_word_embeddings else self.lm_head(states)
        )

    def __call__(
        self,
        ids: Int[Array, "B L"],
        pixels: Float[Array, "M H W 3"] | None = None,
        real: Bool[Array, "B L"] | None = None,
    ) -> Float[Array, "B L V"]:
        """Logits after every token of whole prompts; `real` is False at padding."""
        features = None if pixels is None else self.features(pixels)
        states, _ = self.language_model(self.embed(ids, features), None, real)
        return self.head(states)


def example(cfg: InternVlConfig) -> tuple[jax.Array, jax.Array]:
    """(ids, pixels) of one picture and nothing else: what a first call of the network may take."""
    side = cfg.vision.image_size[0]
    ids = jnp.full((1, cfg.tokens()), cfg.image_token_id)
    return ids, jnp.zeros((1, side, side, cfg.vision.num_channels))


def greedy(
    bound: InternVl, logits: Float[Array, "B V"], cache: Cache, steps: int, stop: Sequence[int] = ()
) -> tuple[Int[Array, "B steps"], Cache]:
    """The likeliest next token `steps` times, from the logits after a prompt, and the cache that has read them.

    `bound` is a network with its parameters (`net.bind`). A row ends with its first token of `stop`, which is repeated
    to the end without being read again. The loop ends when all rows have.
    """
    stop = jnp.asarray(tuple(stop), jnp.int32)

    def ended(token):
        return (token[:, None] == stop).any(-1)

    def more(state):
        step, _, token, _ = state
        return (step < steps) & ~ended(token).all()

    def body(state):
        step, tokens, token, cache = state
        states, cache = bound.read(token[:, None], cache, ~ended(token)[:, None])
        token = jnp.where(ended(token), token, jnp.argmax(bound.head(states[:, 0]), -1).astype(jnp.int32))
        tokens = jnp.where(jnp.arange(steps) >= step, token[:, None], tokens)
        return step + 1, tokens, token, cache

    first = jnp.argmax(logits, -1).astype(jnp.int32)
    tokens = jnp.broadcast_to(first[:, None], (first.shape[0], steps))
    _, tokens, _, cache = jax.lax.while_loop(more, body, (jnp.ones((), jnp.int32), tokens, first, cache))
    return tokens, cache
