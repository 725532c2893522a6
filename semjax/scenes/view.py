"""View rays of one frame and where they meet the ground."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class View(NamedTuple):
    """The rays of one frame. u, v [H, W] are measured from the horizon's middle, in picture heights."""

    u: jax.Array
    v: jax.Array
    pixel: float  # size of a pixel in the units of u, v
    x: jax.Array  # camera position and focal length
    y: jax.Array
    focal: jax.Array
    time: jax.Array  # seconds


def ground_point(view: View):
    """World (x, z) that a ray below the horizon meets, and the pixel's footprint along x and z there."""
    drop = jnp.maximum(-view.v, 2e-3)
    z = view.focal * view.y / drop
    return view.x + view.u * z / view.focal, z, z * view.pixel / view.focal, z * view.pixel / drop
