"""What one parity check tells each of its bits, from what the others tell it.

A message is a log-likelihood ratio log P(0) / P(1). Every rule takes the D messages that enter a check, a list of
arrays of one shape, and returns the D that leave it. Reductions over a stacked axis keep XLA from working out what
all answers share once for each of them.
"""

import jax.numpy as jnp

# tanh of an outgoing message is kept this far below 1 in float32: messages stay below 2 atanh(1 - 2^-23) ~ 16.6.
_TANH_LIMIT = 1.0 - 2.0**-23
_TANH_LEAST = 1e-12  # stands for 0 in a divisor; far below the resolution of any message


def sum_product(messages: list, scale: float, offset: float) -> list:
    """The exact rule, 2 atanh of the product of the others' tanh(x / 2); `scale` and `offset` are not used."""
    del scale, offset
    tanhs = jnp.tanh(0.5 * jnp.stack(messages))
    tanhs = jnp.where(jnp.abs(tanhs) < _TANH_LEAST, _TANH_LEAST, tanhs)
    others = jnp.clip(jnp.prod(tanhs, axis=0) / tanhs, -_TANH_LIMIT, _TANH_LIMIT)
    return list(jnp.log((1.0 + others) / (1.0 - others)))


def min_sum(messages: list, scale: float, offset: float) -> list:
    """The smallest of the others' magnitudes, times `scale` and less `offset` (not below 0), with their sign."""
    received = jnp.stack(messages)
    sizes, signs = jnp.abs(received), jnp.where(received < 0, -1.0, 1.0)
    least = jnp.min(sizes, axis=0)
    is_least = sizes == least
    tied = jnp.sum(is_least, axis=0) > 1
    second = jnp.where(tied, least, jnp.min(jnp.where(is_least, jnp.inf, sizes), axis=0))
    product = jnp.prod(signs, axis=0)
    to_others, to_least = (product * jnp.maximum(scale * size - offset, 0.0) for size in (least, second))
    return list(signs * jnp.where(is_least, to_least, to_others))


RULES = {"sum-product": sum_product, "min-sum": min_sum}
