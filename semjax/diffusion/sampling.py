"""The loops: over the steps of a sampler, and over the frames of a clip."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.diffusion.plans import Plan

Denoise = Callable[[Float[Array, "B ..."], Float[Array, ""]], tuple[Float[Array, "B ..."], Any]]


def start(rows: Plan, noise: Float[Array, "B ..."], x0: Float[Array, "B ..."] | None = None) -> Array:
    """Where sampling starts: the picture `x0` noised to the first row's level or, without one, noise alone (of unit
    variance, or of the first sigma in the variance-exploding frame of "euler")."""
    if x0 is None:
        return jnp.asarray(np.where(rows.signal[0] == 1, rows.sigma[0], 1), noise.dtype) * noise
    return jnp.asarray(rows.signal[0], noise.dtype) * x0 + jnp.asarray(rows.sigma[0], noise.dtype) * noise


def step(
    row: Plan,
    x: Float[Array, "B ..."],
    out: Float[Array, "B ..."],
    noise: Float[Array, "B ..."],
    correct: Callable[[Array], Array] = lambda x0: x0,
) -> tuple[Array, Array]:
    """One step of any sampler: (next x, clean estimate). `row` is one row of a Plan, `correct` may change the
    estimate (see `project`) before it is used."""
    x0 = correct(row.x0_from_x * x + row.x0_from_out * out)
    return row.next_from_x * x + row.next_from_x0 * x0 + row.next_from_noise * noise, x0


def sample(
    denoise: Denoise,
    rows: Plan,
    x: Float[Array, "B ..."],
    key: jax.Array,
    *,
    noise: Callable[[jax.Array], Array] | None = None,
    correct: Callable[[Array], Array] = lambda x0: x0,
) -> tuple[Float[Array, "B ..."], Any]:
    """All steps in one `lax.scan`, so that the network is compiled once.

    denoise(scale * x, time) -> (output, extra); the extra of the last step is returned with the result.
    noise(key): what steps that draw noise take, standard normal by default. key: one, or several as an array, which
    only a `noise` of your own can take.
    """
    draw = noise or (lambda k: jax.random.normal(k, x.shape, x.dtype))
    fold = jax.vmap(jax.random.fold_in, (0, None)) if key.ndim else jax.random.fold_in
    table = jax.tree.map(lambda r: jnp.asarray(r, x.dtype), rows)
    first = jax.tree.map(lambda r: r[0], table)
    _, extra = jax.eval_shape(denoise, x, first.time)
    blank = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), extra)

    def one(state, item):
        row, index = item
        out, extra = denoise(row.scale * state[0], row.time)
        following, _ = step(row, state[0], out, draw(fold(key, index)), correct)
        return (following.astype(x.dtype), extra), None

    (x, extra), _ = jax.lax.scan(one, (x, blank), (table, jnp.arange(len(rows.time))))
    return x, extra


def rollout(
    one: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
    state: Any,
    inputs: Any,
    key: jax.Array,
    *,
    first: int | Array = 0,
) -> tuple[Any, Any]:
    """Frames one after another: `one(state, input, key) -> (frame, state)` over the leading axis of `inputs`.

    The key is folded with the frame's number, counted from `first`, so that a clip made in parts is the same clip.
    Returns (frames, state).
    """
    count = jax.tree.leaves(inputs)[0].shape[0]

    def body(state, item):
        number, given = item
        frame, state = one(state, given, jax.random.fold_in(key, number))
        return state, frame

    state, frames = jax.lax.scan(body, state, (first + jnp.arange(count), inputs))
    return frames, state
