"""Learned priors: probability models of integers that are trained in JAX by gradient descent.

Pure functions on nested dicts of parameters. During training `relax` stands in for rounding and the
`*_bits` functions give the rate, differentiable with respect to everything. After training, `prior_tables`
turns a model into integer tables: floating point never decides a symbol at decode time.

    params = factorised_init(jax.random.key(0), channels=8)
    loss   = lambda p, y, key: factorised_bits(p, relax(y, key)).sum() / y.size + distortion(...)

Sources: factorised prior Ballé et al. 2018 (arXiv:1802.01436), appendix 6.1; Gaussian conditional ibid.,
section 3; noise Ballé et al. 2017 (arXiv:1611.01704), eq. 11; soft rounding Agustsson & Theis 2020
(arXiv:2006.09952), eqs. 5-7.
"""

from itertools import pairwise

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_TINY = 1e-9  # the smallest probability that `*_bits` tell apart from zero: 30 bits
SCALES = 64  # steps of a conditional model's scale
_FIRST_SCALE, _STEP = 0.08, 0.125  # scale of step k is _FIRST_SCALE * 2 ** (k * _STEP): 0.08 to 18.8
CONTEXT_LIMIT = 127  # context values are clipped to this


def soft_round(y: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    """Round differentiably: the identity for alpha -> 0, rounding to the nearest integer for alpha ->
    infinity."""
    middle = jnp.floor(y) + 0.5
    return middle + jnp.tanh(alpha * (y - middle)) / (2 * jnp.tanh(alpha / 2))


def soft_round_inverse(z: Float[Array, "..."], alpha: float) -> Float[Array, "..."]:
    """Return the inverse of `soft_round` with the same alpha."""
    middle = jnp.floor(z) + 0.5
    inner = jnp.clip((z - middle) * 2 * jnp.tanh(alpha / 2), -1 + 1e-7, 1 - 1e-7)
    return middle + jnp.clip(jnp.arctanh(inner) / alpha, -0.5, 0.5)


def relax(y: Float[Array, "..."], key: PRNGKeyArray, alpha: float | None = None) -> Float[Array, "..."]:
    """Return y with uniform noise in place of rounding error; with alpha, softly rounded before and after.

    With alpha the result is the conditional mean of y given what a decoder would see (Agustsson & Theis,
    eq. 7).
    """
    noise = jax.random.uniform(key, y.shape, y.dtype, -0.5, 0.5)
    if alpha is None:
        return y + noise
    return soft_round_inverse(soft_round(y, alpha) + noise - 0.5, alpha) + 0.5


def factorised_init(
    key: PRNGKeyArray, channels: int, filters: tuple[int, ...] = (3, 3, 3), scale: float = 10.0
) -> dict:
    """Return parameters of one free-form univariate density for each channel; `scale` is about its initial
    width."""
    widths = (1, *filters, 1)
    gain = scale ** (1 / (len(widths) - 1))
    params = {}
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        start = jnp.log(jnp.expm1(1 / (gain * n_out)))
        params[f"matrix{i}"] = jnp.full((channels, n_out, n_in), start)
        params[f"bias{i}"] = jax.random.uniform(
            jax.random.fold_in(key, i), (channels, n_out, 1), minval=-0.5, maxval=0.5
        )
        if i < len(filters):
            params[f"gate{i}"] = jnp.zeros((channels, n_out, 1))
    return params


def factorised_logits(params: dict, y: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """Return the logit of each channel's cumulative distribution at y (rising in y)."""
    x = jnp.moveaxis(y, -1, 0).reshape(y.shape[-1], 1, -1)
    layers = sum(name.startswith("matrix") for name in params)
    for i in range(layers):
        x = jax.nn.softplus(params[f"matrix{i}"]) @ x + params[f"bias{i}"]
        if i < layers - 1:
            x = x + jnp.tanh(params[f"gate{i}"]) * jnp.tanh(x)
    return jnp.moveaxis(x.reshape(y.shape[-1], *y.shape[:-1]), 0, -1)


def factorised_bits(params: dict, y: Float[Array, "... C"]) -> Float[Array, "... C"]:
    """Return the bits that each value costs: -log2 of the density's mass in [y - 1/2, y + 1/2]."""
    low, high = factorised_logits(params, y - 0.5), factorised_logits(params, y + 0.5)
    side = -jnp.sign(jax.lax.stop_gradient(low + high))  # work on the side where the sigmoids do not saturate
    mass = jnp.abs(jax.nn.sigmoid(side * high) - jax.nn.sigmoid(side * low))
    return -jnp.log2(jnp.maximum(mass, _TINY))


def gaussian_bits(
    y: Float[Array, "..."], mean: Float[Array, "..."], scale: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return the bits that y costs under a normal density of that mean and scale (> 0), over [y - 1/2, y +
    1/2]."""
    away = jnp.abs(y - mean)
    mass = jax.scipy.stats.norm.cdf((0.5 - away) / scale) - jax.scipy.stats.norm.cdf((-0.5 - away) / scale)
    return -jnp.log2(jnp.maximum(mass, _TINY))


def conditional_init(key: PRNGKeyArray, context: int, hidden: int = 16) -> dict:
    """Return parameters of a model that reads `context` integers and tells a value's mean and scale."""
    k0, k1 = jax.random.split(key)
    return {
        "w0": jax.random.normal(k0, (context, hidden)) * (0.5 / context) ** 0.5,
        "b0": jnp.zeros(hidden),
        "w1": jax.random.normal(k1, (hidden, 2)) * (0.1 / hidden) ** 0.5,
        "b1": jnp.array([0.0, 29.0]),  # scale about 1
    }


def conditional_apply(
    params: dict, context: Float[Array, "... D"]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return (mean, scale) for integer contexts, by one hidden layer of ReLUs.

    Contexts (hyper-latents, neighbours already coded; float or int) are clipped to +-CONTEXT_LIMIT. The
    second output is the scale's step, so that what is exported is what was trained.
    """
    x = jnp.clip(context, -CONTEXT_LIMIT, CONTEXT_LIMIT)
    h = jnp.minimum(jax.nn.relu(x @ params["w0"] + params["b0"]), CONTEXT_LIMIT)
    out = h @ params["w1"] + params["b1"]
    return out[..., 0], _FIRST_SCALE * 2 ** (_STEP * jnp.clip(out[..., 1], 0, SCALES - 1))


def conditional_bits(
    params: dict, y: Float[Array, "..."], context: Float[Array, "... D"]
) -> Float[Array, "..."]:
    """Return the bits that each value costs given its context."""
    return gaussian_bits(y, *conditional_apply(params, context))


def scale_of_step(step: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the scale that a step stands for."""
    return _FIRST_SCALE * 2.0 ** (_STEP * step)
