"""What the stages minimise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def charbonnier(difference: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of sqrt(d^2 + 1e-6): absolute difference, smooth at zero (Charbonnier et al. 1994)."""
    return jnp.mean(jnp.sqrt(difference**2 + 1e-6))


def structure_loss(
    found: Float[Array, "B H W 3"], wanted: Float[Array, "B H W 3"], block: int = 8
) -> Float[Array, ""]:
    """1 minus the contrast and structure of SSIM (Wang et al. 2004), of squares of `block` pixels side by side.

    Pictures in [-1, 1]. What is left over at the far ends counts nothing; 0 for pictures smaller than a square.
    """
    rows, columns = (side // block for side in found.shape[1:3])
    if not rows or not columns:
        return jnp.float32(0)

    def squares(x):
        x = x[:, : rows * block, : columns * block]
        x = x.reshape(len(x), rows, block, columns, block, 3)
        return x - x.mean((2, 4), keepdims=True)

    a, b = squares(found), squares(wanted)
    together, apart = (jnp.mean(x, (2, 4)) for x in (2 * a * b, a**2 + b**2))
    steady = (0.03 * 2) ** 2
    return 1 - jnp.mean((together + steady) / (apart + steady))


def picture_loss(found: Float[Array, "B H W 3"], wanted: Float[Array, "B H W 3"]) -> Float[Array, ""]:
    """Difference of the pictures, and of their slopes and structure at up to three scales, where edges and texture
    are (absolute difference with structural similarity: Zhao et al. 2017)."""
    total = charbonnier(found - wanted)
    for _ in range(3):
        if min(found.shape[1:3]) < 2:
            break
        gap = found - wanted
        slopes = charbonnier(jnp.diff(gap, axis=1)) + charbonnier(jnp.diff(gap, axis=2))
        total = total + 0.5 * slopes + 0.25 * structure_loss(found, wanted)
        found, wanted = (_halved(x) for x in (found, wanted))
    return total


def _halved(x: Float[Array, "B H W C"]) -> Array:
    """Means of 2x2 pixels."""
    rows, columns = (side // 2 for side in x.shape[1:3])
    x = x[:, : 2 * rows, : 2 * columns]
    return x.reshape(len(x), rows, 2, columns, 2, -1).mean((2, 4))


def matching_loss(
    made: Float[Array, "B ..."], critic: Float[Array, "B ..."], teacher: Float[Array, "B ..."]
) -> Float[Array, ""]:
    """A loss whose gradient in `made` is that of distribution matching (Yin et al. 2024, equations 7 and 8):
    the critic's clean estimate minus the teacher's, over the mean distance of the made clip to the teacher's."""
    axes = tuple(range(1, made.ndim))
    size = jnp.mean(jnp.abs(made - teacher), axes, keepdims=True)
    gradient = (critic - teacher) / jnp.maximum(size, 1e-3)
    return 0.5 * jnp.mean((made - jax.lax.stop_gradient(made - gradient)) ** 2)
