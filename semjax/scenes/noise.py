"""Band-limited procedural noise: the raw material of clouds, wood, grass and marble.

Everything is a pure function of coordinates (any broadcastable shape) and an integer seed. `px` is the
footprint of a pixel in the same units as the coordinates: detail finer than a pixel is faded out instead
of being sampled, so that textures do not shimmer when the camera moves.
"""

import jax.numpy as jnp
import numpy as np

_KX, _KY, _KS = np.uint32(0x27D4EB2D), np.uint32(0x165667B1), np.uint32(0x9E3779B9)


def _scramble(x, y, seed):
    """Integer lattice point -> 24 random bits, by multiply and xorshift in uint32 (ours)."""
    h = (
        (x.astype(jnp.uint32) * _KX)
        ^ (y.astype(jnp.uint32) * _KY)
        ^ (jnp.asarray(seed).astype(jnp.uint32) * _KS)
    )
    h = (h ^ (h >> 15)) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * np.uint32(0xC2B2AE35)
    return (h >> 8).astype(jnp.int32)


def hash1(x, y, seed):
    """A random float in [0, 1) for every integer cell (`x`, `y` are floored)."""
    x, y = jnp.broadcast_arrays(jnp.floor(x), jnp.floor(y))
    return _scramble(x.astype(jnp.int32), y.astype(jnp.int32), seed).astype(jnp.float32) * np.float32(
        2.0**-24
    )


def fbm(x, y, seed, px=0.0, octaves: int = 4):
    """Fractal value noise, about [-1, 1]: `octaves` of it, each twice as fine and half as strong.

    Octaves finer than two pixels fade out. Octaves and lattice corners live on a leading axis that is
    summed at once, which keeps the compiled program small.
    """
    x, y = jnp.broadcast_arrays(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    step, corner = np.repeat(np.arange(octaves), 4), np.tile(np.arange(4), octaves)
    ahead = (slice(None),) + (None,) * x.ndim
    scale = 2.0**step
    # Turning every octave hides the lattice directions.
    c, s = ((f(step * 0.6) * scale).astype(np.float32)[ahead] for f in (np.cos, np.sin))
    shift = (step * 17.31).astype(np.float32)[ahead]
    qx, qy = c * x - s * y + shift, s * x + c * y - shift
    fx, fy = jnp.floor(qx), jnp.floor(qy)
    right, up = ((corner & 1)[ahead]).astype(np.int32), ((corner >> 1)[ahead]).astype(np.int32)
    tx, ty = jnp.abs(1 - right - (qx - fx)), jnp.abs(1 - up - (qy - fy))
    weight = tx * tx * (3 - 2 * tx) * (ty * ty * (3 - 2 * ty))
    bits = _scramble(fx.astype(jnp.int32) + right, fy.astype(jnp.int32) + up, seed)
    gain = (0.6 * 0.5**step).astype(np.float32)[ahead] / (
        1 + (px * (1.6 * scale).astype(np.float32)[ahead]) ** 4
    )
    return jnp.sum(gain * weight * (bits.astype(jnp.float32) * np.float32(2.0**-23) - 1), 0)


def cells(x, y, seed, jitter=0.8):
    """Nearest of the jittered points of a unit grid (Worley's F1).

    Returns (distance, random id in [0, 1) of that point, distance to the second nearest).
    """
    x, y = jnp.broadcast_arrays(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    ahead = (slice(None),) + (None,) * x.ndim
    k = np.arange(9)
    fx, fy = jnp.floor(x), jnp.floor(y)
    gx, gy = fx + (k % 3 - 1).astype(np.float32)[ahead], fy + (k // 3 - 1).astype(np.float32)[ahead]
    bits = _scramble(gx.astype(jnp.int32), gy.astype(jnp.int32), seed)
    jx, jy, ident = (((bits >> s) & 255).astype(jnp.float32) * np.float32(1 / 256) for s in (0, 8, 16))
    dx, dy = gx + 0.5 + jitter * (jx - 0.5) - x, gy + 0.5 + jitter * (jy - 0.5) - y
    dist = dx * dx + dy * dy
    first = jnp.min(dist, 0)
    nearest = dist <= first
    second = jnp.min(jnp.where(nearest, 9.0, dist), 0)
    return jnp.sqrt(first), jnp.max(jnp.where(nearest, ident, 0.0), 0), jnp.sqrt(second)


def smoothstep(low, high, x):
    """0 below `low`, 1 above `high`, a cubic in between (`low` > `high` turns it round)."""
    t = jnp.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def mix(a, b, t):
    """`a` where t = 0, `b` where t = 1."""
    return a + (b - a) * t
