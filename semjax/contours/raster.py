"""Contours as pixels in JAX: label maps, soft masks and signed distances, jitted, batched and differentiable.

Contours come as padded arrays of vertices, so that one compiled function serves every picture: `points` float
[..., O, P, 2] of (x, y) in pixels and `valid` bool [..., O, P], true for the vertices that exist, which come first.
Pixel (row y, column x) is sampled at its centre (x + 0.5, y + 0.5).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from semjax.errors import InputError


def pad(contours: list[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Contours of any lengths as padded arrays.

    Args:
        contours: O arrays [P_i, 2] of (x, y).
        size: P, vertices to make room for.

    Returns:
        (points float32 [O, P, 2], valid bool [O, P]).

    Raises:
        InputError: a contour has more than `size` vertices.
    """
    longest = max((len(c) for c in contours), default=0)
    if longest > size:
        raise InputError(
            f"a contour has {longest} vertices, room was asked for {size}; simplify it or raise size"
        )
    points = np.zeros((len(contours), size, 2), np.float32)
    valid = np.zeros((len(contours), size), bool)
    for i, c in enumerate(contours):
        points[i, : len(c)] = c
        valid[i, : len(c)] = True
    return points, valid


def _edges(points, valid):
    """Start and end of every edge [..., P, 2]; edges of missing vertices shrink to the first vertex."""
    first = points[..., :1, :]
    start = jnp.where(valid[..., None], points, first)
    following = jnp.roll(start, -1, axis=-2)
    return start, following


def _safe_sqrt(x):
    """Square root whose gradient at 0 is 0 instead of infinite."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _one_row(start, end, y, xs):
    """Distance to the outline and even-odd parity along one row: (float [W], bool [W])."""
    x = xs[:, None]
    ax, ay, bx, by = start[:, 0], start[:, 1], end[:, 0], end[:, 1]
    ex, ey = bx - ax, by - ay
    span = ex * ex + ey * ey
    along = ((x - ax) * ex + (y - ay) * ey) / jnp.where(span > 0, span, 1.0)
    along = jnp.clip(along, 0.0, 1.0)
    near = (x - ax - along * ex) ** 2 + (y - ay - along * ey) ** 2
    crosses = (ay <= y) != (by <= y)
    at = ax + (y - ay) * ex / jnp.where(crosses, ey, 1.0)
    odd = jnp.sum(crosses & (at <= x), axis=1) % 2 == 1
    return _safe_sqrt(jnp.min(near, axis=1)), odd


def _signed(points, valid, height, width):
    start, end = _edges(points, valid)
    xs = jnp.arange(width, dtype=points.dtype) + 0.5
    ys = jnp.arange(height, dtype=points.dtype) + 0.5
    distance, odd = jax.lax.map(lambda y: _one_row(start, end, y, xs), ys)
    return jnp.where(jnp.any(valid), jnp.where(odd, distance, -distance), -float(height + width))


@partial(jax.jit, static_argnames=("height", "width"))
def signed_distance(
    points: Float[Array, "*batch P 2"], valid: Bool[Array, "*batch P"], *, height: int, width: int
) -> Float[Array, "*batch H W"]:
    """Exact signed distance in pixels to closed contours, positive inside (even-odd rule).

    Differentiable in `points`; at kinks (equally near edges) one of the gradients. A contour without vertices is
    far away: -(height + width) everywhere. Memory is one row of pixels times P for each contour at a time.
    """
    function = partial(_signed, height=height, width=width)
    for _ in points.shape[:-2]:
        function = jax.vmap(function)
    return function(points, valid)


@partial(jax.jit, static_argnames=("height", "width"))
def soft_masks(
    points: Float[Array, "*batch P 2"],
    valid: Bool[Array, "*batch P"],
    *,
    height: int,
    width: int,
    softness: float = 0.5,
) -> Float[Array, "*batch H W"]:
    """Masks in [0, 1] that fall off over `softness` pixels on either side of the outline; differentiable."""
    return jax.nn.sigmoid(signed_distance(points, valid, height=height, width=width) / softness)


@partial(jax.jit, static_argnames=("height", "width"))
def label_maps(
    points: Float[Array, "*batch O P 2"],
    valid: Bool[Array, "*batch O P"],
    labels: UInt8[Array, "*batch O"],
    base: UInt8[Array, "*batch"],
    *,
    height: int,
    width: int,
) -> UInt8[Array, "*batch H W"]:
    """Label maps of contours painted one after the other over `base`, as the paper profile's receiver does.

    Each entry is one closed contour. Consecutive contours of one label combine by the even-odd rule, so holes
    follow their outline. For integer vertices the result equals `fill` pixel by pixel.
    """

    def one(points, valid, labels, base):
        odd = signed_distance(points, valid, height=height, width=width) > 0

        def paint(state, item):
            out, inside, before = state
            mask, label = item
            inside = jnp.where(label == before, inside ^ mask, mask)
            under = jnp.where(label == before, out[1], out[0])
            return (jnp.stack([jnp.where(inside, label, under), under]), inside, label), None

        blank = jnp.full((height, width), base, jnp.int32)
        start = (jnp.stack([blank, blank]), jnp.zeros((height, width), bool), jnp.int32(-1))
        (out, _, _), _ = jax.lax.scan(paint, start, (odd, labels.astype(jnp.int32)))
        return out[0].astype(jnp.uint8)

    function = one
    for _ in base.shape:
        function = jax.vmap(function)
    return function(points, valid, labels, base)


def _simplify_one(points, valid, tolerance):
    """Douglas-Peucker on one padded contour, all splits of a level at once; returns the vertices kept."""
    count = jnp.sum(valid)
    size = points.shape[0]
    index = jnp.arange(size)

    def farthest(i):
        d = jnp.sum((points - points[i]) ** 2, axis=-1)
        return jnp.argmax(jnp.where(valid, d, -1.0))

    far = farthest(0)
    near = farthest(far)
    keep = valid & ((index == far) | (index == near))

    def worst(keep):
        # the kept vertices before and after each vertex, cyclically
        order = jnp.where(keep, index, -1)
        before = jax.lax.cummax(order)
        before = jnp.where(before < 0, jnp.max(order), before)
        order = jnp.where(keep, index, size)
        after = jnp.flip(jax.lax.cummin(jnp.flip(order)))
        after = jnp.where(after >= size, jnp.min(order), after)
        a, b = points[before], points[after]
        edge, rel = b - a, points - a
        span = jnp.sum(edge * edge, axis=-1)
        along = jnp.clip(jnp.sum(rel * edge, axis=-1) / jnp.where(span > 0, span, 1.0), 0.0, 1.0)
        d = jnp.sum((rel - along[:, None] * edge) ** 2, axis=-1)
        return before, jnp.where(valid & ~keep, d, -1.0)

    def split(state):
        keep, _ = state
        before, d = worst(keep)
        most = jnp.full(size, -1.0).at[before].max(d)
        first = jnp.where((d == most[before]) & (d > tolerance**2), index, size)
        chosen = jnp.full(size, size).at[before].min(first)
        new = (chosen[before] == index) & (d > tolerance**2)
        return keep | new, jnp.any(new)

    keep, _ = jax.lax.while_loop(lambda s: s[1], split, (keep, count > 2))
    return keep


@jax.jit
def simplify_padded(
    points: Float[Array, "*batch P 2"], valid: Bool[Array, "*batch P"], tolerance: float
) -> tuple[Float[Array, "*batch P 2"], Bool[Array, "*batch P"]]:
    """Douglas-Peucker simplification of padded closed contours, jitted and batched.

    Like `simplify`: a subset of the vertices, in order and moved to the front, such that none that was dropped lies
    more than `tolerance` pixels from the edge that replaces it.

    Source: Douglas and Peucker 1973; all segments of a level are split at once.
    """

    def one(points, valid):
        keep = _simplify_one(points, valid, tolerance)
        order = jnp.argsort(~keep, stable=True)
        return jnp.where(keep[order][:, None], points[order], 0.0), keep[order]

    function = one
    for _ in points.shape[:-2]:
        function = jax.vmap(function)
    return function(points, valid)
