"""BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019), for BERTScore; transformers' BertModel and RobertaModel.

    cfg = BertConfig.from_transformers(json.load(open("roberta-large/config.json")))
    net = Bert(cfg)
    params = net.init(jax.random.key(0), jnp.zeros((1, 8), int))["params"]
    out = net.apply({"params": params}, ids, mask)                      # ids, mask [B, L] of the model's tokeniser
    metrics.bert_score(a.hidden_states[17], b.hidden_states[17], weights_a, weights_b)     # roberta-large's layer

The encoder alone: poolers and the heads of pre-training are left aside. The layers are one scan: their parameters have
a first axis of layers.
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
from semjax.models.layers import Dense, LayerNorm, activation


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The settings of transformers' BertConfig and RobertaConfig, by their names there.

    RoBERTa's places are counted from `pad_token_id` + 1 on, over the tokens that are no padding.
    """

    model_type: str = "bert"
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = None

    def __post_init__(self):
        activation(self.hidden_act)
        _config.one_of(self.model_type, ("bert", "roberta"), "model_type")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"hidden_size={self.hidden_size} does not split into num_attention_heads={self.num_attention_heads}."
            )
        if self.pad_token_id is None:
            object.__setattr__(self, "pad_token_id", 1 if self.model_type == "roberta" else 0)

    @classmethod
    def from_transformers(cls, settings: Mapping[str, Any]) -> "BertConfig":
        """The config in a `config.json`. `InputError` when it is of another network or a decoder."""
        fixed = {
            "position_embedding_type": ("absolute",),
            "is_decoder": (False,),
            "add_cross_attention": (False,),
        }
        for key, allowed in fixed.items():
            _config.one_of(settings.get(key, allowed[0]), allowed, key)
        return _config.read(cls, settings, ignored=None)

    @property
    def longest(self) -> int:
        """Tokens that there are places for."""
        return self.max_position_embeddings - (self.pad_token_id + 1 if self.model_type == "roberta" else 0)


class BertOutput(NamedTuple):
    """last_hidden_state [B, L, D]; hidden_states [layers + 1, B, L, D], the embeddings first."""

    last_hidden_state: jax.Array
    hidden_states: jax.Array


class _Layer(nn.Module):
    """Attention and two linear maps, each added to its input and normalised. For a scan: returns its output twice."""

    cfg: BertConfig
    attention: AttentionFn
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, bias: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        cfg = self.cfg
        shape = (*x.shape[:-1], cfg.num_attention_heads, cfg.hidden_size // cfg.num_attention_heads)
        query, key, value = (
            Dense(cfg.hidden_size, dtype=self.dtype, name=f"attention_self_{name}")(x).reshape(shape)
            for name in ("query", "key", "value")
        )
        y = self.attention(query, key, value, bias).reshape(x.shape)
        y = Dense(cfg.hidden_size, dtype=self.dtype, name="attention_output_dense")(y)
        x = LayerNorm(cfg.layer_norm_eps, self.dtype, name="attention_output_LayerNorm")(x + y)
        y = Dense(cfg.intermediate_size, dtype=self.dtype, name="intermediate_dense")(x)
        y = Dense(cfg.hidden_size, dtype=self.dtype, name="output_dense")(activation(cfg.hidden_act)(y))
        x = LayerNorm(cfg.layer_norm_eps, self.dtype, name="output_LayerNorm")(x + y)
        return x, x


class Bert(nn.Module):
    """The encoder."""

    cfg: BertConfig
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, ids: Int[Array, "B L"], mask: Float[Array, "B L"] | None = None) -> BertOutput:
        """Vectors of the tokens `ids`; `mask` is 1 for tokens to look at (all without it)."""
        cfg = self.cfg
        if ids.ndim != 2 or ids.shape[1] > cfg.longest:
            raise InputError(f"This encoder takes token numbers [B, at most {cfg.longest}], got {ids.shape}.")
        places = jnp.arange(ids.shape[1])[None]
        if cfg.model_type == "roberta":
            real = (ids != cfg.pad_token_id).astype(jnp.int32)
            places = jnp.cumsum(real, 1) * real + cfg.pad_token_id
        x = self._embed(cfg.vocab_size, "word")(ids) + self._embed(cfg.max_position_embeddings, "position")(
            places
        )
        x = x + self._embed(cfg.type_vocab_size, "token_type")(jnp.zeros((1, 1), int))
        x = LayerNorm(cfg.layer_norm_eps, self.dtype, name="embeddings_LayerNorm")(x)
        bias = None if mask is None else jnp.where(mask > 0, 0.0, -1e9).astype(jnp.float32)[:, None, None]
        layers = nn.scan(
            _Layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=nn.broadcast,
            length=cfg.num_hidden_layers,
        )
        last, states = layers(cfg, self.attention, self.dtype, name="encoder_layer")(x, bias)
        return BertOutput(last, jnp.concatenate([x[None], states]))

    def _embed(self, count: int, name: str) -> nn.Embed:
        return nn.Embed(count, self.cfg.hidden_size, dtype=self.dtype, name=f"embeddings_{name}_embeddings")
