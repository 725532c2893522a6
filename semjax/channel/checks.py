"""Settings of the link, checked once, before anything is traced."""

import math
import numbers

import jax
import jax.numpy as jnp

from semjax.errors import InputError


def probability(value: float, name: str) -> float:
    """`value` as a float in [0, 1]; InputError otherwise (also for NaN)."""
    return number(value, name, low=0.0, high=1.0)


def number(value: float, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float in [low, high]; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"{name} must be a finite number, got {value!r}")
    if not low <= value <= high:
        raise InputError(f"{name} must lie in {low:g} to {high:g}, got {value!r}")
    return float(value)


def count(value: int, name: str, *, low: int = 0, high: int | None = None) -> int:
    """`value` as an int in [low, high]; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    if value < low or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"{low} to {high}"
        raise InputError(f"{name} must be {span}, got {value}")
    return int(value)


def choice(value: str, name: str, allowed: tuple[str, ...]) -> str:
    """`value` if it is one of `allowed`; InputError that lists them otherwise."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def typed_key(key: jax.Array) -> jax.Array:
    """`key` if it is one typed JAX key, as `jax.random.key(seed)` makes it; InputError otherwise."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or key.shape != ():
        raise InputError("key must be one typed JAX key: make it with jax.random.key(seed)")
    return key
