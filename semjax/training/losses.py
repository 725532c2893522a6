"""What the stages minimise."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.metrics.perceptual import haar

_ACTIVITY = 0.4  # what steps of the wrong size count for beside the difference of the pictures


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


def activity_loss(found: Float[Array, "B H W 3"], wanted: Float[Array, "B H W 3"]) -> Float[Array, ""]:
    """How unlike the two pictures' brightness steps are in size, whatever their sign: 1 minus the similarity of the
    magnitudes of Haar coefficients of 4 and 8 pixels, weighted by the larger one of 16 (Reisenhofer et al. 2018).

    Pictures in [-1, 1]. A network that only minimises distances leaves out every step it is not sure of; this asks
    for steps of the right size. 0 for pictures of fewer than 16 pixels a side.
    """
    if min(found.shape[1:3]) < 16:
        return jnp.float32(0)
    steady = 30 / 127.5**2  # HaarPSI's, which is for 8-bit levels
    luma = jnp.asarray([0.299, 0.587, 0.114])
    a, b = (jnp.sum(_halved(x) * luma, -1) for x in (found, wanted))
    total = jnp.float32(0)
    for axis in (0, 1):
        weight = jax.lax.stop_gradient(jnp.maximum(_activity(a, 8, axis), _activity(b, 8, axis))) + 1e-6
        for size in (2, 4):
            x, y = (_activity(z, size, axis) for z in (a, b))
            apart = (x - y) ** 2 / (x**2 + y**2 + steady)
            total = total + jnp.sum(weight * apart) / jnp.sum(weight) / 4
    return total


def _activity(x: Float[Array, "B H W"], size: int, axis: int) -> Array:
    """Magnitudes of `haar` with the outermost pixels repeated around; smooth at zero."""
    rows, columns = x.shape[1:]
    padded = jnp.pad(x, ((0, 0), (size, size), (size, size)), mode="edge")
    return jnp.sqrt(haar(padded, size, axis)[:, size : size + rows, size : size + columns] ** 2 + 1e-7)


def picture_loss(found: Float[Array, "B H W 3"], wanted: Float[Array, "B H W 3"]) -> Float[Array, ""]:
    """Difference of the pictures, and of their slopes and structure at up to three scales, where edges and texture
    are (absolute difference with structural similarity: Zhao et al. 2017), and of how much goes on in them."""
    total = charbonnier(found - wanted) + _ACTIVITY * activity_loss(found, wanted)
    for _ in range(3):
        if min(found.shape[1:3]) < 2:
            break
        gap = found - wanted
        slopes = charbonnier(jnp.diff(gap, axis=1)) + charbonnier(jnp.diff(gap, axis=2))
        total = total + 0.5 * slopes + 0.25 * structure_loss(found, wanted)
        found, wanted = (_halved(x) for x in (found, wanted))
    return total


def clip_loss(
    found: Float[Array, "N H W 3"], wanted: Float[Array, "N H W 3"], frames: int
) -> Float[Array, ""]:
    """`picture_loss` of clips of `frames` consecutive pictures, and how much their errors change from one picture to
    the next: what is off but stays as it is does not flicker."""
    gap = (found - wanted).reshape(-1, frames, *found.shape[1:])
    flicker = charbonnier(jnp.diff(gap, axis=1)) if frames > 1 else 0.0
    return picture_loss(found, wanted) + flicker


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
