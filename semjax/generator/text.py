"""Captions as tokens and states: hashed words and a small encoder, or CLIP."""

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from semjax.errors import InputError
from semjax.generator.config import ModelConfig
from semjax.generator.layers import Params, dense, dense_shapes, rms
from semjax.models.attention import attend
from semjax.models.clip import ClipText

BUCKETS = 2048  # words share this many embeddings; 0 is kept for "no token"


def tokens(
    model: ModelConfig, texts: Sequence[str], tokenizer: Callable[[Sequence[str]], np.ndarray] | None = None
) -> Int[np.ndarray, "B L"]:
    """Token numbers of captions; longer captions lose their end. "" is no caption.

    Hashed words: runs of letters or digits in lower case, numbered by CRC-32, so that there is no vocabulary to
    ship; 0 where there is none. CLIP: `tokenizer` maps the captions to its [B, L] token numbers. Raises InputError
    when a CLIP model is given none.
    """
    if model.clip is not None:
        if tokenizer is None:
            raise InputError(f"the text encoder of {model.name!r} is CLIP; give its tokenizer")
        return np.asarray(tokenizer(texts), np.int32)[:, : model.text_tokens]
    out = np.zeros((len(texts), model.text_tokens), np.int32)
    for row, text in zip(out, texts):
        words = re.findall(r"[^\W_]+", text.lower())[: model.text_tokens]
        row[: len(words)] = [1 + zlib.crc32(word.encode()) % (BUCKETS - 1) for word in words]
    return out


def text_shapes(model: ModelConfig) -> Params:
    """Shapes of the embeddings and of one attention layer, or of CLIP's text tower."""
    if model.clip is not None:
        ids = jnp.zeros((1, model.text_tokens), jnp.int32)
        return jax.eval_shape(ClipText(model.clip).init, jax.random.key(0), ids)["params"]
    width = model.text_width
    return {
        "words": (BUCKETS, width),
        "places": (model.text_tokens, width),
        "mix": dense_shapes(width, 3 * width),
        "out": dense_shapes(width, width),
    }


def text_states(params: Any, model: ModelConfig, ids: Int[Array, "B L"]) -> Float[Array, "B L D"]:
    """What the backbone's cross-attention looks at; `text_mask` says which of it counts."""
    if model.clip is not None:
        out = ClipText(model.clip, dtype=jnp.dtype(model.dtype)).apply({"params": params["text"]}, ids)
        return out.last_hidden_state.astype(jnp.float32)
    own = params["text"]
    x = own["words"][ids] + own["places"]
    query, key, value = (y[:, :, None] for y in jnp.split(dense(own["mix"], rms(x)), 3, -1))
    bias = jnp.where(text_mask(model, ids)[:, None, None] > 0, 0.0, -1e4)
    return rms(x + dense(own["out"], attend(query, key, value, bias)[:, :, 0]))


def text_mask(model: ModelConfig, ids: Int[Array, "B L"]) -> Float[Array, "B L"]:
    """1 for tokens to look at: all of CLIP's, as its backbones are used to, and of words those that there are.
    Without a caption the first, empty one stands for "no words"."""
    if model.clip is not None:
        return jnp.ones(ids.shape)
    first = jnp.arange(ids.shape[1]) == 0
    return jnp.where((ids > 0) | first, 1.0, 0.0)
