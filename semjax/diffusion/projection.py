"""Consistency with what was received: a picture's low resolution is known, so it is held there."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@functools.cache
def grid_weights(small: int, large: int) -> tuple[np.ndarray, np.ndarray]:
    """(shrink [small, large], spread [large, small]): the area filter, and its smooth right inverse.

    The spread is linear interpolation followed by the correction that makes shrink @ spread the identity, so that
    what it adds is exactly what is missing, without the blocks of a pseudo-inverse.
    """
    edges = np.linspace(0, large, small + 1)
    cells = np.arange(large)[None]
    cover = np.clip(np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells), 0, None)
    shrink = cover / cover.sum(1, keepdims=True)
    at = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    linear = np.clip(1 - np.abs(at[:, None] - np.arange(small)[None]), 0, None)
    return shrink.astype(np.float32), (linear @ np.linalg.inv(shrink @ linear)).astype(np.float32)


def project(
    x: Float[Array, "B H W C"], known: Float[Array, "B h w C"], strength: float | Float[Array, ""] = 1.0
) -> Float[Array, "B H W C"]:
    """Move `x` towards the pictures whose area-filtered version is `known`: strength 0 leaves it, 1 reaches them.

    An oblique projection, as in the range-null space decomposition of Wang et al. 2023 (DDNM) with a smooth right
    inverse: twice is the same as once, and details finer than the known grid stay. Needs h <= H, w <= W.
    """
    down_y, up_y = (jnp.asarray(m, x.dtype) for m in grid_weights(known.shape[1], x.shape[1]))
    down_x, up_x = (jnp.asarray(m, x.dtype) for m in grid_weights(known.shape[2], x.shape[2]))
    low = jnp.einsum("ay,byxc,dx->badc", down_y, x, down_x)
    return x + strength * jnp.einsum("ya,badc,xd->byxc", up_y, known - low, up_x)
