"""The upper parts of a backdrop: sky and land, room wall, blurred lights, open water."""

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes.colour import rgb
from semjax.scenes.look import square
from semjax.scenes.noise import cells, fbm, hash1, mix, smoothstep
from semjax.scenes.themes import SKY, is_theme
from semjax.scenes.view import View


def _ridge(view: View, scene, level, freq, parallax, seed):
    """Skyline height over the horizon: hills, mountains, firs or houses, as the scene's mood says."""
    along = view.u * freq + view.x * parallax
    px = view.pixel * freq
    hills = fbm(along * 1.3, jnp.zeros_like(along) + level, seed, px, octaves=3) * 0.5
    peaks = 0.7 - 1.5 * jnp.abs(fbm(along * 0.9, jnp.zeros_like(along) + level, seed, px, octaves=5))
    tree = along * 9
    fir = 1 - jnp.abs(jnp.mod(tree, 1.0) * 2 - 1)
    firs = 0.3 * hills + (0.25 + 0.35 * hash1(tree, tree * 0 + level, seed)) * fir
    block = along * 4.0
    houses = 0.15 + 0.75 * hash1(block, block * 0 + level, seed) ** 1.5
    kind = scene.mood[0]
    land = jnp.where(kind < 0.45, hills, jnp.where(kind < 0.7, peaks, jnp.where(level > 1.5, firs, hills)))
    return jnp.where(is_theme(scene, "harbour"), houses, land)


def _clouds(view: View, scene):
    """Density and lit side of a cloud layer seen in perspective."""
    up = jnp.maximum(view.v, 0.0) + 0.16
    cx = (view.u * 0.9 + view.x * 0.012) / up + view.time * 0.03
    cy = 1.2 / up
    px = view.pixel / up * 4
    warp = fbm(cx * 0.8, cy * 0.8, scene.seed + 11, px, octaves=2)
    here = fbm(cx + 0.4 * warp, cy * 1.5, scene.seed + 12, px, octaves=6)
    lit = fbm(cx + 0.4 * warp + 0.12, cy * 1.5 - 0.22, scene.seed + 12, px, octaves=4)
    cover = mix(0.28, -0.12, scene.mood[1])
    return smoothstep(cover, cover + 0.34, here), jnp.clip(0.62 + 1.1 * (here - lit), 0, 1)


def sky(view: View, scene):
    """Gradient, sun or moon, stars, clouds and up to three ridges. [H, W, 3]."""
    zenith, horizon, bright, shade, glow = jnp.asarray(SKY)[scene.hour]
    rise = jnp.clip(view.v / 0.75, 0, 1)[..., None]
    colour = mix(horizon, zenith, rise**0.65)
    night = (scene.hour == 4) * 1.0
    sx, sy = (scene.mood[2] - 0.5) * 1.4, 0.2 + 0.22 * scene.mood[3]
    away = jnp.hypot(view.u - sx, view.v - sy)
    colour = colour + glow * (0.35 * jnp.exp(-away * 3.2) + 0.25 * jnp.exp(-away * 9))[..., None] * (
        1 - 0.6 * night
    )
    disc = smoothstep(0.052, 0.052 - 3 * view.pixel - 0.004, away)
    crater = 1 - 0.18 * smoothstep(0, 0.5, fbm(view.u * 28, view.v * 28, 5, view.pixel * 28))
    lamp = mix(glow * 2.2, rgb("f4f1dd") * 1.1 * crater[..., None], night)
    colour = mix(colour, lamp, (disc * (scene.hour != 5))[..., None])
    dot, ident, _ = cells(view.u * 26, view.v * 26, scene.seed, jitter=1.0)
    twinkle = 0.7 + 0.3 * jnp.sin(view.time * (2 + 4 * ident) + ident * 40)
    star = smoothstep(0.07, 0.0, dot) * smoothstep(0.45, 0.9, ident) * twinkle * night * rise[..., 0]
    colour = colour + star[..., None] * 0.9
    dense, lit = _clouds(view, scene)
    dense = dense * smoothstep(-0.02, 0.12, view.v)
    colour = mix(colour, mix(shade, bright, lit[..., None]), dense[..., None] * mix(0.92, 0.55, night))
    near = mix(scene.bg[0], zenith * 0.25, 0.35 + 0.4 * night)
    city = is_theme(scene, "harbour")

    def layer(colour, which):
        k, freq, parallax, low, tall, haze = which
        top = low + tall * (0.35 + _ridge(view, scene, k, freq, parallax, scene.seed + 40))
        top = jnp.where(city, top * 1.7, top)
        land = jnp.clip(0.5 + (top - view.v) / (view.pixel * 1.5), 0, 1)
        leafy = fbm(view.u * 40 * freq, view.v * 90, scene.seed + 50, view.pixel * 60, octaves=3)
        face = mix(near, horizon, haze) * (1 + 0.25 * (1 - haze) * leafy)[..., None]
        peaks = (scene.mood[0] > 0.45) & (scene.mood[0] < 0.7) & (k < 1.5) & ~city
        snow = smoothstep(0.03, 0.07, view.v + 0.02 * leafy - low) * peaks * 0.9
        face = mix(face, mix(rgb("f5f8fc"), horizon, 0.3), snow[..., None])
        wx, wy = (view.u * freq + view.x * parallax) * 44, view.v * 74
        lit = hash1(wx, wy, scene.seed + 60)
        pane = inside_pane(wx, wy) * (lit > 0.55) * smoothstep(top, top - 0.012, view.v)
        lights = (0.3 + 1.0 * night + 0.5 * (scene.hour == 3)) * pane * city * (1 - 0.6 * haze)
        lamps = mix(rgb("ffcf6e"), rgb("ffe9b8"), ((lit * 37) % 1.0)[..., None]) * 1.1
        face = mix(face, lamps, jnp.clip(lights, 0, 1)[..., None])
        return mix(colour, face, land[..., None]), None

    return jax.lax.scan(layer, colour, jnp.asarray(_RIDGES))[0]


# Far to near: number, features a picture height, parallax, foot, height, haze.
_RIDGES = np.array(
    [(0, 1.6, 0.05, 0.05, 0.12, 0.72), (1, 2.4, 0.09, 0.025, 0.1, 0.45), (2, 3.4, 0.16, 0.0, 0.08, 0.14)],
    np.float32,
)


def inside_pane(x, y):
    """1 inside the window panes of a unit grid."""
    return (jnp.abs(jnp.mod(x, 1.0) - 0.5) < 0.3) * (jnp.abs(jnp.mod(y, 1.0) - 0.5) < 0.27) * 1.0


def wall(view: View, scene, x, y, px):
    """Room wall: bricks, wallpaper or plain paint, with light falling through a window. [H, W, 3]."""
    base, second = scene.bg[1], scene.bg[2]
    kind = jnp.where(is_theme(scene, "patio"), 0.0, 0.5 + 0.5 * scene.mood[4])
    row = jnp.floor(y * 3.2)
    bx, by = x * 1.5 + 0.5 * jnp.mod(row, 2.0), y * 3.2
    ident = hash1(bx, by, scene.seed + 3)
    ex, ey = jnp.abs(jnp.mod(bx, 1.0) - 0.5), jnp.abs(jnp.mod(by, 1.0) - 0.5)
    rough = fbm(x * 9, y * 9, scene.seed + 4, px * 9)
    joint = jnp.maximum(smoothstep(0.455 - px, 0.48 + px, ex), smoothstep(0.41 - 2 * px, 0.45 + 2 * px, ey))
    clay = (
        mix(rgb("a4553a"), rgb("8c4632"), ident[..., None]) * (0.85 + 0.35 * ident + 0.3 * rough)[..., None]
    )
    clay = mix(clay, mix(clay, base, 0.6), 1.0 * (scene.mood[5] > 0.5))
    relief = 0.25 * smoothstep(0.3, 0.44, jnp.mod(by, 1.0) - 0.5) - 0.2 * smoothstep(
        -0.3, -0.44, jnp.mod(by, 1.0) - 0.5
    )
    bricks = mix(
        clay * (1 + relief)[..., None], rgb("cbbfb0") * (0.8 + 0.3 * rough)[..., None], joint[..., None]
    )
    stripe = square(x * 1.6, px * 1.6)
    dx, dy = jnp.mod(x * 1.1 + 0.5 * jnp.floor(jnp.mod(y * 1.1, 2.0)), 1.0) - 0.5, jnp.mod(y * 1.1, 1.0) - 0.5
    motif = jnp.hypot(dx, dy) - 0.16 * (0.7 + 0.3 * jnp.cos(jnp.arctan2(dx, dy) * 5))
    paper = jnp.where(kind < 0.7, 0.5 * stripe, jnp.where(kind < 0.88, smoothstep(px, -px, motif), 0.0))
    paint = mix(base, mix(base, second, 0.55), paper[..., None]) * (1 + 0.03 * rough)[..., None]
    skirting = smoothstep(0.34 + px, 0.34 - px, y)
    bevel = (
        1 - 0.3 * smoothstep(0.03, 0.0, jnp.abs(y - 0.33)) + 0.1 * smoothstep(0.05, 0.0, jnp.abs(y - 0.28))
    )
    paint = mix(paint, rgb("f3efe6") * bevel[..., None], skirting[..., None])
    colour = jnp.where(kind < 0.3, bricks, paint)
    # A window's light, slanted, with its cross bars; it creeps along the wall with time.
    lean = x + 0.35 * y - (scene.mood[2] - 0.5) * 5 - 0.05 * view.time
    high = y - 2.6
    soft = 0.12
    window = smoothstep(1.0 + soft, 1.0 - soft, jnp.abs(lean)) * smoothstep(
        1.15 + soft, 1.15 - soft, jnp.abs(high)
    )
    bars = smoothstep(0.03, 0.13, jnp.abs(lean)) * smoothstep(0.03, 0.13, jnp.abs(high))
    glow = window * bars * (0.35 + 0.35 * scene.mood[6])
    dim = 0.62 + 0.3 * jnp.exp(-((view.u - (scene.mood[2] - 0.5)) ** 2) * 2.0)
    return colour * (dim[..., None] + glow[..., None] * rgb("fff0cf") * 1.2)


def bokeh(view: View, scene):
    """Out-of-focus lights and foliage: two layers of soft discs over a gradient. [H, W, 3]."""
    dark, warm = scene.bg[1] * 0.35, scene.bg[2]
    blur = fbm(view.u * 1.6 + view.x * 0.05, view.v * 1.6, scene.seed, 0.0, octaves=3)
    colour = mix(dark, warm * 0.7, (0.35 + 0.5 * blur + 0.3 * view.v)[..., None])

    def layer(colour, which):
        k, freq, radius, power = which
        bx, by = view.u * freq + view.x * 0.12 * (k + 1), view.v * freq
        dist, ident, _ = cells(bx, by, scene.seed + 20 + k.astype(jnp.int32), jitter=0.55)
        r = radius * (0.6 + 0.6 * ident)
        edge = 0.05 + view.pixel * freq
        disc = smoothstep(r, r - edge, dist) * (0.75 + 0.35 * smoothstep(r - 0.14, r, dist))
        twinkle = 0.8 + 0.2 * jnp.sin(view.time * 1.3 + ident * 30)
        on = smoothstep(0.3, 0.8, (ident * 57.3) % 1.0)
        hue = mix(mix(warm, rgb("ffe3a3"), ident[..., None]), scene.bg[3], (ident[..., None] * 7 % 1.0) * 0.6)
        return colour + hue * (disc * on * power * twinkle)[..., None], None

    layers = jnp.array([(0, 3.2, 0.36, 0.4), (1, 5.6, 0.3, 0.3)], jnp.float32)
    return jax.lax.scan(layer, colour, layers)[0]


def depths(view: View, scene):
    """Open sea water seen from below the surface: gradient, light from above, far rocks, bubbles."""
    top, low = mix(rgb("5fd6e0"), scene.bg[1], 0.15), mix(rgb("07365e"), scene.bg[1], 0.1)
    colour = mix(low, top, smoothstep(-0.25, 0.75, view.v)[..., None])
    shine = fbm(view.u * 5 + 0.6 * jnp.sin(view.time + view.v * 4), view.v * 14, scene.seed, 0.0, octaves=2)
    colour = colour + (0.25 * smoothstep(0.3, 0.7, view.v + 0.1 * shine))[..., None] * rgb("d8fff6")

    def layer(colour, which):
        k, freq, par, high, fade = which
        along = view.u * freq + view.x * par
        rough = fbm(along, along * 0 + k, scene.seed + 30, view.pixel, octaves=5)
        blade = along * 11 + 0.5 * jnp.sin(view.v * 22 + view.time * 1.4 + along * 3)
        weed = (1 - jnp.abs(jnp.mod(blade, 1.0) * 2 - 1)) * hash1(blade, blade * 0 + k, scene.seed) ** 3 * 0.3
        rock = high * (0.8 + 1.1 * rough) + weed - 0.03
        cover = jnp.clip(0.5 + (rock - view.v) / (view.pixel * 2 + 0.004), 0, 1)
        return mix(colour, mix(low * 0.8, top, 0.28 * fade), (0.85 * cover)[..., None]), None

    layers = jnp.array([(0, 1.4, 0.07, 0.16, 0.75), (1, 2.3, 0.14, 0.07, 0.5)], jnp.float32)
    colour = jax.lax.scan(layer, colour, layers)[0]
    bx, by = view.u * 9 + view.x * 0.3, view.v * 9 - view.time * 0.9
    dist, ident, _ = cells(bx + 0.1 * jnp.sin(by * 3), by, scene.seed + 8, jitter=0.9)
    r = 0.05 + 0.1 * hash1(ident * 811, ident * 17, scene.seed)
    ring = (
        smoothstep(r, r - 0.04, dist) * (0.25 + 0.75 * smoothstep(r - 0.06, r - 0.01, dist)) * (ident > 0.72)
    )
    return colour + ring[..., None] * rgb("bff3ff") * 0.45
