"""Small filters on stacks of planes, the same on every device."""

import jax
import jax.numpy as jnp
import numpy as np


def planar(picture: jax.Array) -> jax.Array:
    """[H, W, C] -> [C, H, W]: filters run several times faster over planes."""
    return jnp.moveaxis(picture, -1, 0)


def correlate(planes: jax.Array, kernel: np.ndarray, padding=((0, 0), (0, 0))) -> jax.Array:
    """float32 [N, H, W] correlated with one kernel [h, w] where it fits, after zero padding.

    `padding` is ((top, bottom), (left, right)). In full float32: accelerators would otherwise use fewer bits.
    """
    out = jax.lax.conv_general_dilated(
        planes[:, None],
        jnp.asarray(kernel, planes.dtype)[None, None],
        (1, 1),
        padding,
        precision=jax.lax.Precision.HIGHEST,
    )
    return out[:, 0]


def halve(planes: jax.Array) -> jax.Array:
    """Means of 2x2 of [N, H, W]; an odd last row or column is left out."""
    height, width = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
    planes = planes[:, :height, :width]
    return (planes[:, ::2, ::2] + planes[:, 1::2, ::2] + planes[:, ::2, 1::2] + planes[:, 1::2, 1::2]) / 4
