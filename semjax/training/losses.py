"""What the stages minimise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def charbonnier(difference: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of sqrt(d^2 + 1e-6): absolute difference, smooth at zero (Charbonnier et al. 1994)."""
    return jnp.mean(jnp.sqrt(difference**2 + 1e-6))


def picture_loss(found: Float[Array, "B H W 3"], wanted: Float[Array, "B H W 3"]) -> Float[Array, ""]:
    """Difference of the pictures and of their slopes at up to three scales, where edges and texture are."""
    total = charbonnier(found - wanted)
    gap = found - wanted
    for _ in range(3):
        if min(gap.shape[1:3]) < 2:
            break
        slopes = charbonnier(jnp.diff(gap, axis=1)) + charbonnier(jnp.diff(gap, axis=2))
        total = total + 0.5 * slopes
        gap = jax.lax.reduce_window(gap, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return total


def matching_loss(
    made: Float[Array, "B ..."], critic: Float[Array, "B ..."], teacher: Float[Array, "B ..."]
) -> Float[Array, ""]:
    """A loss whose gradient in `made` is that of distribution matching (Yin et al. 2024, equations 7 and 8):
    the critic's clean estimate minus the teacher's, over the mean distance of the made clip to the teacher's."""
    axes = tuple(range(1, made.ndim))
    size = jnp.mean(jnp.abs(made - teacher), axes, keepdims=True)
    gradient = (critic - teacher) / jnp.maximum(size, 1e-3)
    return 0.5 * jnp.mean((made - jax.lax.stop_gradient(made - gradient)) ** 2)
