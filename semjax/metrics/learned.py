"""Clips under a learned distance between pictures, such as `semjax.models.lpips.distance`.

`distance(x, y)` takes two batches of floats [B, H, W, 3] in [-1, 1] and gives [B] values. For LPIPS that is
`functools.partial(lpips.distance, params, cfg=cfg)`. Clips are uint8 or floats in [-1, 1], [T, H, W, 3].
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.metrics._inputs import Pictures, levels, picture_pair, reduced

Distance = Callable[[Float[Array, "B H W 3"], Float[Array, "B H W 3"]], Float[Array, " B"]]


def frame_distance(
    distance: Distance,
    reference: Pictures,
    reconstruction: Pictures,
    *,
    batch: int = 8,
    per_frame: bool = False,
) -> jax.Array:
    """Mean over frames of the distance between reference and reconstruction; range and direction are its own."""
    return reduced(
        "Distance", _distances(distance, *picture_pair(reference, reconstruction), batch), per_frame
    )


def temporal_distance(
    distance: Distance,
    reference: Pictures,
    reconstruction: Pictures,
    *,
    batch: int = 8,
    per_frame: bool = False,
) -> jax.Array:
    """How differently the clip changes from frame to frame: tLP of Chu et al. 2020 (TecoGAN) when given LPIPS.

    Mean of |d(reference t, t + 1) - d(reconstruction t, t + 1)|. Range [0, inf), lower is better, 0 for a copy.
    """
    x, y = picture_pair(reference, reconstruction)
    if len(x) < 2:
        raise InputError("Measures of change in time need at least 2 frames, got 1.")
    own, theirs = (_distances(distance, clip[:-1], clip[1:], batch) for clip in (x, y))
    return reduced("Temporal distance", jnp.abs(own - theirs), per_frame)


def _distances(distance: Distance, x: jax.Array, y: jax.Array, batch: int) -> jax.Array:
    """[T] distances, `batch` pairs at a time; the last batch is filled up so that there is one shape to compile."""
    if batch < 1:
        raise InputError(f"A batch needs at least 1 frame, got {batch}.")
    batch, found = min(batch, len(x)), []
    for start in range(0, len(x), batch):
        index = jnp.minimum(jnp.arange(start, start + batch), len(x) - 1)
        found.append(distance(*(levels(clip[index]) / 127.5 - 1 for clip in (x, y))))
    return jnp.concatenate(found)[: len(x)]
