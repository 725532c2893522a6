"""Signed distance helpers in two dimensions (negative inside), after the usual constructions of
I. Quilez, "2D distance functions", and small conveniences of ours.

All take coordinates of any shape and scalars; distances are exact or a bound, in the same units.
"""

import jax.numpy as jnp


def turn(x, y, angle):
    """The point turned by -angle, i.e. seen from a frame that is turned by +angle (radians)."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    return c * x + s * y, c * y - s * x


def circle(x, y, radius):
    """Distance to a circle round the origin."""
    return jnp.sqrt(x * x + y * y + 1e-9) - radius


def ellipse(x, y, a, b):
    """First-order distance to an ellipse with half axes a (x) and b (y)."""
    k = jnp.sqrt((x / a) ** 2 + (y / b) ** 2 + 1e-9)
    g = jnp.sqrt((x / (a * a)) ** 2 + (y / (b * b)) ** 2 + 1e-9)
    return k * (k - 1) / g


def box(x, y, a, b, radius=0.0):
    """Box with half sizes a, b (corners included) and corners rounded by `radius`."""
    dx, dy = jnp.abs(x) - a + radius, jnp.abs(y) - b + radius
    outside = jnp.sqrt(jnp.maximum(dx, 0) ** 2 + jnp.maximum(dy, 0) ** 2 + 1e-12)
    return outside + jnp.minimum(jnp.maximum(dx, dy), 0) - radius


def capsule(x, y, ax, ay, bx, by, ra, rb=None):
    """Line from a to b, as thick as `ra` at a and `rb` at b (default: the same)."""
    rb = ra if rb is None else rb
    dx, dy = bx - ax, by - ay
    h = jnp.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-9), 0.0, 1.0)
    qx, qy = x - ax - h * dx, y - ay - h * dy
    return jnp.sqrt(qx * qx + qy * qy + 1e-9) - (ra + (rb - ra) * h)


def convex(x, y, *points):
    """Convex polygon, corners given counter-clockwise; exact inside, a bound outside."""
    worst = None
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
        dx, dy = bx - ax, by - ay
        side = ((x - ax) * dy - (y - ay) * dx) / jnp.sqrt(dx * dx + dy * dy + 1e-9)
        worst = side if worst is None else jnp.maximum(worst, side)
    return worst


def join(a, b, k):
    """Smooth union: `k` is the size of the fillet (the quadratic polynomial minimum)."""
    h = jnp.maximum(k - jnp.abs(a - b), 0.0) / k
    return jnp.minimum(a, b) - h * h * k * 0.25


def dome(sdf, width):
    """Height of a pillow whose rim is the outline: a quarter circle over the first `width` of depth."""
    t = 1 - jnp.clip(-sdf / width, 0.0, 1.0)
    return width * jnp.sqrt(jnp.maximum(1 - t * t, 0.0) + 1e-6)


def inside(sdf, px):
    """Coverage of a part, 1 inside and 0 outside, blended over one pixel."""
    return jnp.clip(0.5 - sdf / px, 0.0, 1.0)
