"""What a family of objects says about every pixel, and the materials that cover it.

A family is a function `(x, y, px, o) -> Look`: `x` (right) and `y` (up) are the object's own coordinates
[H, W] in which its body spans about -1..1, `px` is the size of a pixel there, `o` its parameters. It gives
an outline (signed distance), a height profile, colours and surface properties; the renderer derives
normals from the height, lights it, casts its shadow and composites it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes.noise import cells, fbm, mix, smoothstep
from semjax.scenes.shapes import inside


class Params(NamedTuple):
    """One object at one moment, as its family function sees it (all scalars but `col` and `shape`)."""

    col: jax.Array  # [4, 3] linear colours: main, second, accent, detail
    shape: jax.Array  # [8] in [0, 1]: the individual's proportions and style
    seed: jax.Array  # uint32
    phase: jax.Array  # animation phase in radians: wing beats, pulses, steps
    spin: jax.Array  # turn about an axis in the picture plane (rolling wheels, turning dice), radians
    time: jax.Array  # seconds


class Look(NamedTuple):
    """Per-pixel answer of a family, each [H, W] unless said otherwise."""

    sdf: jax.Array  # negative inside; need not be exact, only smooth near its zero
    height: jax.Array  # towards the viewer, in object units
    rgb: jax.Array  # [H, W, 3] linear albedo
    u: jax.Array  # pattern coordinates
    v: jax.Array
    paint: jax.Array  # how much the object's material covers `rgb`
    gloss: jax.Array  # 0 matt .. 1 polished
    glow: jax.Array  # light of its own, times the albedo
    alpha: jax.Array  # opacity inside the outline


def look(sdf, height, rgb, *, u=0.0, v=0.0, paint=0.0, gloss=0.1, glow=0.0, alpha=1.0) -> Look:
    """`Look` with scalars spread over the picture."""
    full = [
        jnp.broadcast_to(jnp.asarray(a, jnp.float32), sdf.shape) for a in (u, v, paint, gloss, glow, alpha)
    ]
    height = jnp.broadcast_to(height, sdf.shape)
    return Look(sdf, height, jnp.broadcast_to(rgb, (*sdf.shape, 3)), *full)


def narrow_switch(index, keep, branches):
    """`lax.switch` among the branches numbered in `keep` only; other indices fall to the first of them.

    What a configuration cannot contain is neither traced nor compiled.
    """
    keep = sorted(set(keep))
    if len(keep) == 1:
        return branches[keep[0]]()
    place = np.zeros(len(branches), np.int32)
    place[keep] = np.arange(len(keep))
    return jax.lax.switch(jnp.asarray(place)[index], [branches[k] for k in keep])


class Canvas:
    """Builds a `Look` part by part, later parts on top: outline by union, height and colour by coverage."""

    def __init__(self, x, px):
        self.px = px
        self.sdf = jnp.full_like(x, 9.0)
        self.height = jnp.zeros_like(x)
        self.rgb = jnp.zeros((*x.shape, 3))
        self.gloss = jnp.zeros_like(x)
        self.paint = jnp.zeros_like(x)
        self.glow = jnp.zeros_like(x)
        self.alpha = jnp.ones_like(x)

    def add(self, sdf, rgb, height=None, *, gloss=0.15, paint=0.0, glow=0.0, alpha=1.0):
        """A part that may reach beyond the outline so far."""
        self.sdf = jnp.minimum(self.sdf, sdf)
        self.mark(inside(sdf, self.px), rgb, height, gloss=gloss, paint=paint, glow=glow, alpha=alpha)

    def mark(self, cover, rgb, height=None, *, gloss=None, paint=0.0, glow=0.0, alpha=None):
        """A marking that stays within the outline: colour `rgb` where `cover` is 1."""
        self.rgb = self.rgb + (rgb - self.rgb) * cover[..., None]
        self.paint = mix(self.paint, paint, cover)
        self.glow = mix(self.glow, glow, cover)
        if gloss is not None:
            self.gloss = mix(self.gloss, gloss, cover)
        if alpha is not None:
            self.alpha = mix(self.alpha, alpha, cover)
        if height is not None:
            self.height = mix(self.height, height, cover)

    def done(self, u=0.0, v=0.0) -> Look:
        """The finished look, with the pattern coordinates of the painted parts."""
        return look(
            self.sdf, self.height, self.rgb, u=u, v=v,
            paint=self.paint, gloss=self.gloss, glow=self.glow, alpha=self.alpha,
        )  # fmt: skip


MATERIALS = (
    "plain",
    "stripes",
    "checks",
    "spots",
    "wood",
    "marble",
    "gradient",
    "zigzag",
    "patches",
    "rings",
)


def square(t, px):
    """Square wave of period 2 with one-pixel edges, in [0, 1]."""
    wave = jnp.sin(jnp.pi * t)
    return jnp.clip(0.5 + wave / (jnp.pi * jnp.maximum(px, 1e-4)) * 0.5, 0.0, 1.0)


def material(kind, u, v, px, col, freq, seed):
    """Colour [H, W, 3] of material number `kind` (see MATERIALS) at pattern coordinates `u`, `v`.

    All kinds are evaluated and one is picked, so that the choice may differ between vmapped scenes.
    """
    p = px * freq
    cloudy = fbm(u * 1.7, v * 1.7, seed, px * 1.7, octaves=4)
    grain = fbm(u * 1.2 + 0.2 * cloudy, v * 9, seed + 5, px * 5, octaves=3)
    spot, _, _ = cells(u * freq * 0.8, v * freq * 0.8, seed, jitter=0.25)
    tri = jnp.abs(jnp.mod(u * freq * 1.5, 2.0) - 1)
    rings = jnp.sqrt(u * u + v * v + 1e-6)
    amount = jnp.stack([
        0.10 * cloudy + 0.05,
        square(u * freq, p),
        mix(square(u * freq, p), 1 - square(u * freq, p), square(v * freq, p)),
        smoothstep(0.31 + p, 0.31 - p, spot),
        jnp.clip(0.45 + 0.5 * jnp.sin(9 * (v + 0.35 * cloudy) + 2 * grain) * 0.7 + 0.3 * grain, 0, 1),
        1 - jnp.abs(jnp.sin(2.2 * u + 1.3 * v + 3.2 * cloudy)) ** 0.45,
        smoothstep(-0.9, 0.9, v),
        square(v * freq + tri, p),
        smoothstep(-0.05 - 2 * px, 0.05 + 2 * px, cloudy - 0.08),
        square(rings * freq * 1.2, p),
    ])  # fmt: skip
    chosen = jnp.sum(amount * (jnp.arange(len(MATERIALS)) == kind).reshape(-1, *(1,) * u.ndim), 0)
    return col[0] + (col[1] - col[0]) * chosen[..., None]
