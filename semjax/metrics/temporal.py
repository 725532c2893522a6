"""How steady is it in time: warping error along the reference's motion, and added flicker.

Both take (reference, reconstruction), uint8 or floats in [-1, 1], [T, H, W, 3] with at least two frames.
"""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from semjax.errors import InputError
from semjax.metrics._inputs import Pictures, each_frame, levels, picture_pair, reduced

Flow = Float[Array, "T-1 H W 2"]


def warping_error(
    reference: Pictures,
    reconstruction: Pictures,
    *,
    flow: Flow | None = None,
    valid: Bool[Array, "T-1 H W"] | None = None,
    per_frame: bool = False,
) -> jax.Array:
    """Warping error of the reconstruction, Lai et al. 2018 (E_warp): mean squared change along the motion of the
    reference, for pictures in 0..1, over pixels that are visible in both frames. Range [0, 1], lower is better.

    `flow[t]` holds for every pixel of frame t + 1 the way (x, y) in pixels to where it was in frame t, and
    `valid[t]` which pixels count (default all); when no flow is given both come from `backward_flow` of the
    reference, pair by pair, in constant memory (then not for `jax.jit`). A copy does not score 0 but what the
    reference itself has, `warping_error(reference, reference)`: report the two side by side.
    """
    x, y = _moving_pair(reference, reconstruction)
    if flow is None:
        (each,) = errors_along_flow(x, y)
    else:
        flow = jnp.asarray(flow, jnp.float32)
        expected = (len(y) - 1, *y.shape[1:3], 2)
        valid = jnp.ones(expected[:3], bool) if valid is None else jnp.asarray(valid)
        if flow.shape != expected or valid.shape != expected[:3]:
            raise InputError(
                f"{len(y)} frames need a flow of shape {expected} and a mask of {expected[:3]}, "
                f"got {flow.shape} and {valid.shape}."
            )
        each = each_frame(_warp_error, y[:-1], y[1:], flow, valid)
    return reduced("Warping error", each, per_frame)


def flicker(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Change from frame to frame that the reference does not have, in 8-bit levels. Range [0, 255], lower better.

    Mean over pixels, channels and pairs of frames of max(|reconstruction's change| - |reference's change|, 0):
    0 for a copy and for anything calmer than the reference. Ours; jit-able.
    """
    x, y = _moving_pair(reference, reconstruction)
    return reduced("Flicker", _flicker(x, y), per_frame)


def backward_flow(clip: Pictures) -> tuple[Flow, Bool[Array, "T-1 H W"]]:
    """Optical flow from every frame back to the one before it, and where to trust it, as `warping_error` takes.

    Dense inverse search (Kroeger et al. 2016) through OpenCV. A pixel is trusted when it lands inside the picture
    and the ways there and back agree: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5 (Sundaram et al. 2010).
    """
    x, _ = _moving_pair(clip, clip)
    flows, trusted = zip(*_flows(x))
    return np.stack(flows), np.stack(trusted)


def errors_along_flow(reference: jax.Array, *clips: jax.Array) -> list[jax.Array]:
    """[T-1] warping errors of each clip along the flow of the reference, which is found once, pair by pair."""
    each = [
        [_warp_error(before, after, *found) for before, after in pairs]
        for found, *pairs in zip(_flows(reference), *map(itertools.pairwise, clips))
    ]
    return [jnp.stack(errors) for errors in zip(*each)]


def _moving_pair(reference, reconstruction):
    x, y = picture_pair(reference, reconstruction)
    if len(x) < 2:
        raise InputError("Measures of change in time need at least 2 frames, got 1.")
    return x, y


@jax.jit
def _flicker(x, y):
    def score(t):
        change, more = (jnp.abs(levels(clip[t + 1]) - levels(clip[t])) for clip in (x, y))
        return jnp.maximum(more - change, 0).mean()

    return each_frame(score, jnp.arange(len(x) - 1))


@jax.jit
def _warp_error(before, after, flow, valid):
    here = jnp.stack(jnp.meshgrid(*map(jnp.arange, before.shape[:2]), indexing="ij"))
    there = here + jnp.moveaxis(flow, -1, 0)[::-1]
    before, after = levels(before) / 255, levels(after) / 255
    carried = jnp.stack(
        [jax.scipy.ndimage.map_coordinates(before[..., c], there, 1, mode="nearest") for c in range(3)], -1
    )
    error = jnp.mean((after - carried) ** 2, -1)
    return jnp.sum(jnp.where(valid, error, 0)) / jnp.maximum(valid.sum(), 1)


def _flows(clip: jax.Array) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return itertools.starmap(_flow_of_pair, itertools.pairwise(np.asarray(levels(frame)) for frame in clip))


def _flow_of_pair(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(flow from `after` back to `before` [H, W, 2], trusted [H, W]) of two [H, W, 3] in 8-bit levels."""
    import cv2

    height, width = before.shape[:2]
    grey = [cv2.cvtColor(np.round(p).astype(np.uint8), cv2.COLOR_RGB2GRAY) for p in (before, after)]
    # As exact as the medium preset (measured by the warping error of real clips) in half its time.
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(1)
    search.setVariationalRefinementIterations(3)
    if min(height, width) < 16:  # the search's patches do not fit: nothing is known to have moved
        return np.zeros((height, width, 2), np.float32), np.ones((height, width), bool)
    back, forth = search.calc(grey[1], grey[0], None), search.calc(grey[0], grey[1], None)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    to_x, to_y = x + back[..., 0], y + back[..., 1]
    there = cv2.remap(forth, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = np.sum((back + there) ** 2, -1)
    agrees = apart < 0.01 * (np.sum(back**2, -1) + np.sum(there**2, -1)) + 0.5
    return back, agrees & (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
