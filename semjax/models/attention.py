"""Attention, feed-forward layers and the transformer that follows the resnets of a UNet."""

from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.models.layers import Conv, Dense, GroupNorm, LayerNorm, interleaved_sinusoids

# How many a CPU takes at a time: the first of these numbers that divides how many there are.
_QUERIES = (512, 256)
_KEYS = range(512, 127, -1)
_LONG = 1 << 19  # scores of a head from which on that pays

# 2^f for |f| <= 1/2, to 2e-7.
_POWERS = np.polynomial.Polynomial.cast(np.polynomial.Chebyshev.interpolate(np.exp2, 5, (-0.5, 0.5))).coef

AttentionFn = Callable[
    ..., jax.Array
]  # (query, key, value, bias or None) of [B, N, heads, d] -> [B, N, heads, d]


def attend(
    query: Float[Array, "B N heads d"],
    key: Float[Array, "B M heads d"],
    value: Float[Array, "B M heads d"],
    bias: Float[Array, " *scores"] | None = None,
) -> Float[Array, "B N heads d"]:
    """Softmax of the scaled products of queries and keys, times the values; the softmax in float32."""
    many = query.shape[1]
    long = isinstance(many, int) and many * key.shape[1] >= _LONG
    fits = long and _block(_QUERIES, many) and _block(_KEYS, key.shape[1])

    def plain(*args):
        return jax.nn.dot_product_attention(*args)

    if bias is not None or not fits:
        return plain(query, key, value, bias)
    return jax.lax.platform_dependent(query, key, value, cpu=_by_blocks, default=plain)


def _block(sizes: Iterable[int], total: int) -> int | None:
    """The first of `sizes` that divides `total`, None if none does."""
    return next((size for size in sizes if total % size == 0), None)


@jax.custom_jvp
def _exp2(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """2^x of numbers up to 0 (from -126 on), in two thirds of the time that XLA's exp takes on a CPU."""
    x = jnp.maximum(x, -126)
    whole = jnp.round(x)
    power = jnp.polyval(jnp.asarray(_POWERS[::-1], jnp.float32), x - whole, unroll=len(_POWERS))
    bits = jax.lax.bitcast_convert_type(power, jnp.int32) + (whole.astype(jnp.int32) << 23)  # to the exponent
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


@_exp2.defjvp
def _exp2_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    power = _exp2(*primals)
    return power, power * tangents[0] * np.float32(np.log(2))


def _by_blocks(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """The same, head by head, some queries and some keys at a time, so that their scores stay in a CPU's cache.

    The softmax is put together as the keys come (Dao et al. 2022). A column of ones beside the values sums the weights.
    """
    batch, many, heads, width = query.shape
    at_once = _block(_QUERIES, many)

    def head(of_head):
        rows, keys, values = of_head

        def some(row):
            def more(state, block):
                greatest, sums = state
                scores = (row @ block[0]).astype(jnp.float32)
                new = jnp.maximum(greatest, jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
                weights = _exp2(scores - new).astype(values.dtype)
                return (new, sums * _exp2(greatest - new) + weights @ block[1]), None

            start = jnp.full((at_once, 1), -jnp.inf), jnp.zeros((at_once, values.shape[-1]))
            sums = jax.lax.scan(more, start, (keys, values))[0][1]
            return (sums[:, :-1] / sums[:, -1:]).astype(row.dtype)

        return jax.lax.map(some, rows)

    by_head = (0, 2, 1, 3)
    scaled = query * jnp.asarray(width**-0.5 / np.log(2), query.dtype)  # for powers of 2
    rows = scaled.transpose(by_head).reshape(batch * heads, -1, at_once, width)
    blocks = batch * heads, -1, _block(_KEYS, key.shape[1])
    keys = key.transpose(by_head).reshape(*blocks, width).swapaxes(-1, -2)
    values = value.transpose(by_head).reshape(*blocks, value.shape[-1])
    values = jnp.concatenate([values, jnp.ones_like(values[..., :1])], -1)
    out = jax.lax.map(head, (rows, keys, values))
    return out.reshape(batch, heads, many, -1).transpose(by_head)


class Attention(nn.Module):
    """Attention of `heads` heads of width `head_dim`; the keys are those of `context`, or of the input without one."""

    heads: int
    head_dim: int
    use_bias: bool = False
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B N C"],
        context: Float[Array, "B M D"] | None = None,
        bias: jax.Array | None = None,
        hook: Callable | None = None,
    ) -> Float[Array, "B N C"]:
        """The attended values, mapped to the input's width; `hook(x, key, value)` may give more to add, or None."""

        def split(name, source):
            y = Dense(self.heads * self.head_dim, self.use_bias, self.dtype, name=name)(source)
            return y.reshape(*y.shape[:-1], self.heads, self.head_dim)

        context = x if context is None else context
        query, key, value = split("to_q", x), split("to_k", context), split("to_v", context)
        y = self.attention(query, key, value, bias)
        y = y.reshape(*y.shape[:-2], self.heads * self.head_dim)
        y = Dense(x.shape[-1], dtype=self.dtype, name="to_out_0")(y)
        more = None if hook is None else hook(x, key, value)
        return y if more is None else y + more


class FeedForward(nn.Module):
    """Gated linear unit of four times the width (GEGLU, Shazeer 2020), back to the width."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B N C"]) -> Float[Array, "B N C"]:
        """The layer's output, without the residual."""
        wide = Dense(8 * x.shape[-1], dtype=self.dtype, name="net_0_proj")(x)
        value, gate = jnp.split(wide, 2, -1)
        return Dense(x.shape[-1], dtype=self.dtype, name="net_2")(value * nn.gelu(gate, approximate=False))


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward, each on a LayerNorm and added to its input.

    `positions`: greatest number of tokens when sinusoids of the position are added before both attentions.
    """

    heads: int
    head_dim: int
    only_cross: bool = False
    positions: int | None = None
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B N C"],
        context: Float[Array, "B L D"] | None,
        bias: jax.Array | None = None,
        hook: Callable | None = None,
    ) -> Float[Array, "B N C"]:
        """`bias` is that of the text tokens; with `only_cross` the first attention, too, looks at the text.

        Without `context` the second attention is to the input as well.
        """

        def attention(name):
            return Attention(self.heads, self.head_dim, attention=self.attention, dtype=self.dtype, name=name)

        def norm(name, x):
            y = LayerNorm(dtype=self.dtype, name=name)(x)
            return y if self.positions is None else y + interleaved_sinusoids(*y.shape[-2:]).astype(y.dtype)

        y = norm("norm1", x)
        x = x + (attention("attn1")(y, context) if self.only_cross else attention("attn1")(y, hook=hook))
        x = x + attention("attn2")(norm("norm2", x), context, bias)
        return x + FeedForward(self.dtype, name="ff")(LayerNorm(dtype=self.dtype, name="norm3")(x))


class Transformer2D(nn.Module):
    """Transformer blocks over the pixels of a picture as tokens, added to the picture."""

    heads: int
    layers: int = 1
    groups: int = 32
    linear_projection: bool = False
    only_cross: bool = False
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B h w C"],
        context: Float[Array, "B L D"],
        bias: jax.Array | None = None,
        hooks: Any = None,
        place: str = "",
    ) -> Float[Array, "B h w C"]:
        """The picture after the blocks; `hooks.attend` is asked at `place` (`place_1`, ... for further blocks)."""
        batch, height, width, channels = x.shape
        head_dim = channels // self.heads
        inner = self.heads * head_dim

        def project(features, name):
            # 1x1 convolutions and linear maps differ in the shape of their kernels alone.
            if self.linear_projection:
                return Dense(features, dtype=self.dtype, name=name)
            return Conv(features, 1, padding=0, dtype=self.dtype, name=name)

        y = GroupNorm(self.groups, 1e-6, self.dtype, name="norm")(x)
        y = project(inner, "proj_in")(y).reshape(batch, height * width, inner)
        for i in range(self.layers):
            block = TransformerBlock(
                self.heads,
                head_dim,
                self.only_cross,
                attention=self.attention,
                dtype=self.dtype,
                name=f"transformer_blocks_{i}",
            )
            y = block(y, context, bias, _hook(hooks, f"{place}_{i}" if i else place))
        return x + project(channels, "proj_out")(y.reshape(batch, height, width, inner))


def _hook(hooks: Any, place: str) -> Callable | None:
    return None if hooks is None else lambda x, key, value: hooks.attend(place, x, key, value)
