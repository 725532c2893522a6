"""Adaptive multi-symbol models in JAX: rows that learn while they code, in integers, with rANS underneath.

A model is C rows of cumulative frequencies over K symbols, one for each context; after every symbol its row
moves a fraction towards that symbol, quickly at first. The context of a symbol is whatever `follow(context,
symbol)` makes of what came before, so any finite-state model can be had: `lambda c, s: s` is order 1,
`lambda c, s: (c * K + s) % C` more.

rANS pops in reverse, so `encode` first runs the model forward and then pushes from the end; `decode` runs
forward. For the layers' own kernels, with mixing, see `binary`. Source: the update is Giesen's (2015,
"Models for adaptive arithmetic coding"), the rates are ours.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int32, UInt32

from semjax.entropy import rans
from semjax.errors import InputError

PRECISION = 16


class Adaptive(NamedTuple):
    """The state of a model: rows uint32 [C, K+1] from 0 to 2^16, and how often each was used, int32 [C]."""

    rows: UInt32[Array, "C K+1"]
    used: Int32[Array, " C"]


def new_model(contexts: int, symbols: int) -> Adaptive:
    """Return a model of equal chances for 1..4096 symbols in each of `contexts` contexts."""
    if not (contexts >= 1 and 1 <= symbols <= 4096):
        raise InputError(f"a model needs contexts >= 1 and 1 to 4096 symbols, got {contexts} and {symbols}.")
    row = (jnp.arange(symbols + 1, dtype=jnp.uint32) << PRECISION) // symbols
    return Adaptive(jnp.tile(row, (contexts, 1)), jnp.zeros(contexts, jnp.int32))


def learn(model: Adaptive, context, symbol, *, slowest: int = 7) -> Adaptive:
    """Return the model after a symbol: its row moves by 2^-rate, rate 2, 3, ... up to `slowest` as the row
    is used."""
    row, used = model.rows[context].astype(jnp.int32), model.used[context]
    symbols = row.shape[0] - 1
    k = jnp.arange(symbols + 1, dtype=jnp.int32)
    # Where the row would go if only this symbol came: everybody else keeps one slot. Both rise by at least
    # 1 from k to k + 1, and so does every mean of them, rounded down: no symbol ever loses its last slot.
    target = jnp.where(k > symbol, (1 << PRECISION) - symbols + k, k)
    rate = jnp.minimum(2 + (jnp.array([2, 5, 11, 24, 50, 100, 200, 400, 800]) <= used).sum(), slowest)
    row = row + ((target - row) >> rate)
    rows = model.rows.at[context].set(row.astype(jnp.uint32))
    return Adaptive(rows, model.used.at[context].set(jnp.minimum(used + 1, 1 << 20)))


def _stay(context, symbol):
    """One context for ever."""
    return context


@partial(jax.jit, static_argnames=("follow", "slowest", "tries"))
def encode(symbols, model: Adaptive, follow: Callable = _stay, *, slowest: int = 7, tries: int = rans.TRIES):
    """Encode symbols [N] (N >= 1, integers in 0..K-1, not checked) with a model that starts as given.

    follow(context, symbol) -> context of the next symbol, int32 in 0..C-1; the first symbol's context is 0.
    Returns (data uint8 [2N+4], size int32, the model afterwards).
    """

    def step(carry, symbol):
        model, context = carry
        start, end = model.rows[context, symbol], model.rows[context, symbol + 1]
        after = jnp.asarray(follow(context, symbol), jnp.int32)
        return (learn(model, context, symbol, slowest=slowest), after), (start, end - start)

    symbols = jnp.asarray(symbols).astype(jnp.int32)
    (model, _), (start, freq) = lax.scan(step, (model, jnp.int32(0)), symbols)
    return *rans.encode_spans(start, freq, precision=PRECISION, tries=tries), model


@partial(jax.jit, static_argnames=("count", "follow", "slowest"))
def decode(data, size, count: int, model: Adaptive, follow: Callable = _stay, *, slowest: int = 7):
    """Decode `count` symbols; data, size, model and follow as for `encode`. Returns (symbols int32 [count],
    model).

    Any payload decodes to symbols in 0..K-1; `follow` is only ever given those.
    """
    data = jnp.asarray(data).astype(jnp.uint32)
    size = jnp.minimum(jnp.asarray(size, jnp.int32), data.shape[0])

    def step(carry, _):
        model, context, x, at = carry
        row, slot = model.rows[context], x & jnp.uint32((1 << PRECISION) - 1)
        symbol = jnp.sum(row[1:-1] <= slot).astype(jnp.int32)
        x = (row[symbol + 1] - row[symbol]) * (x >> PRECISION) + slot - row[symbol]
        x, at = rans.refill(data, size, x, at, PRECISION)
        after = jnp.asarray(follow(context, symbol), jnp.int32)
        return (learn(model, context, symbol, slowest=slowest), after, x, at), symbol

    first = (model, jnp.int32(0), *rans.begin(data, size, PRECISION))
    (model, *_), symbols = lax.scan(step, first, None, length=count)
    return symbols, model
