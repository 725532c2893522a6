"""What is behind the objects: skies, walls, water, and the ground they stand on.

A backdrop is an upper part (sky, wall, blurred lights, open water) and a lower part (grass, sand, planks,
tiles, lake, snow, sea bed) that meet where the ground ends. Both are pure functions of view rays and time.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes.colour import rgb
from semjax.scenes.look import narrow_switch, square
from semjax.scenes.noise import cells, fbm, hash1, mix, smoothstep
from semjax.scenes.state import THEMES

FAR = 400.0  # depth of what is too far to receive a shadow

# Zenith, horizon, lit cloud, shaded cloud, sun glow; one row for each time of day.
HOURS = ("day", "morning", "golden hour", "dusk", "night", "overcast")
_SKY = np.stack([
    [rgb("2f7fd6"), rgb("bfe3f7"), rgb("ffffff"), rgb("a9c3dd"), rgb("fff4d2")],
    [rgb("7fb6e6"), rgb("ffe3cf"), rgb("fff3ea"), rgb("c9b8cf"), rgb("ffd9a8")],
    [rgb("4f7fb8"), rgb("ffc978"), rgb("ffdca6"), rgb("b98a8f"), rgb("ffb04a")],
    [rgb("33366f"), rgb("f58a63"), rgb("f7a58f"), rgb("6a4f86"), rgb("ff8a5c")],
    [rgb("101c4a"), rgb("3d5490"), rgb("5a6aa2"), rgb("243063"), rgb("a8bcec")],
    [rgb("93a9bb"), rgb("dfe6ea"), rgb("f3f5f6"), rgb("b3c0ca"), rgb("f6f1e6")],
])  # fmt: skip


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
    return jnp.where(scene.theme == 5, houses, land)


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
    zenith, horizon, bright, shade, glow = jnp.asarray(_SKY)[scene.hour]
    rise = jnp.clip(view.v / 0.75, 0, 1)[..., None]
    colour = mix(horizon, zenith, rise**0.65)
    night = (scene.hour == 4) * 1.0
    sx, sy = (scene.mood[2] - 0.5) * 1.4, 0.2 + 0.22 * scene.mood[3]
    away = jnp.hypot(view.u - sx, view.v - sy)
    colour = colour + glow * (0.35 * jnp.exp(-away * 3.2) + 0.25 * jnp.exp(-away * 9))[..., None] * (1 - 0.6 * night)
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
    city = scene.theme == 5

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
    [(0, 1.6, 0.05, 0.05, 0.12, 0.72), (1, 2.4, 0.09, 0.025, 0.1, 0.45), (2, 3.4, 0.16, 0.0, 0.08, 0.14)], np.float32
)


def inside_pane(x, y):
    """1 inside the window panes of a unit grid."""
    return (jnp.abs(jnp.mod(x, 1.0) - 0.5) < 0.3) * (jnp.abs(jnp.mod(y, 1.0) - 0.5) < 0.27) * 1.0


def wall(view: View, scene, x, y, px):
    """Room wall: bricks, wallpaper or plain paint, with light falling through a window. [H, W, 3]."""
    base, second = scene.bg[1], scene.bg[2]
    kind = jnp.where(scene.theme == 8, 0.0, 0.5 + 0.5 * scene.mood[4])
    row = jnp.floor(y * 3.2)
    bx, by = x * 1.5 + 0.5 * jnp.mod(row, 2.0), y * 3.2
    ident = hash1(bx, by, scene.seed + 3)
    ex, ey = jnp.abs(jnp.mod(bx, 1.0) - 0.5), jnp.abs(jnp.mod(by, 1.0) - 0.5)
    rough = fbm(x * 9, y * 9, scene.seed + 4, px * 9)
    joint = jnp.maximum(smoothstep(0.455 - px, 0.48 + px, ex), smoothstep(0.41 - 2 * px, 0.45 + 2 * px, ey))
    clay = mix(rgb("a4553a"), rgb("8c4632"), ident[..., None]) * (0.85 + 0.35 * ident + 0.3 * rough)[..., None]
    clay = mix(clay, mix(clay, base, 0.6), 1.0 * (scene.mood[5] > 0.5))
    relief = 0.25 * smoothstep(0.3, 0.44, jnp.mod(by, 1.0) - 0.5) - 0.2 * smoothstep(-0.3, -0.44, jnp.mod(by, 1.0) - 0.5)
    bricks = mix(clay * (1 + relief)[..., None], rgb("cbbfb0") * (0.8 + 0.3 * rough)[..., None], joint[..., None])
    stripe = square(x * 1.6, px * 1.6)
    dx, dy = jnp.mod(x * 1.1 + 0.5 * jnp.floor(jnp.mod(y * 1.1, 2.0)), 1.0) - 0.5, jnp.mod(y * 1.1, 1.0) - 0.5
    motif = jnp.hypot(dx, dy) - 0.16 * (0.7 + 0.3 * jnp.cos(jnp.arctan2(dx, dy) * 5))
    paper = jnp.where(kind < 0.7, 0.5 * stripe, jnp.where(kind < 0.88, smoothstep(px, -px, motif), 0.0))
    paint = mix(base, mix(base, second, 0.55), paper[..., None]) * (1 + 0.03 * rough)[..., None]
    skirting = smoothstep(0.34 + px, 0.34 - px, y)
    bevel = 1 - 0.3 * smoothstep(0.03, 0.0, jnp.abs(y - 0.33)) + 0.1 * smoothstep(0.05, 0.0, jnp.abs(y - 0.28))
    paint = mix(paint, rgb("f3efe6") * bevel[..., None], skirting[..., None])
    colour = jnp.where(kind < 0.3, bricks, paint)
    # A window's light, slanted, with its cross bars; it creeps along the wall with time.
    lean = x + 0.35 * y - (scene.mood[2] - 0.5) * 5 - 0.05 * view.time
    high = y - 2.6
    soft = 0.12
    window = smoothstep(1.0 + soft, 1.0 - soft, jnp.abs(lean)) * smoothstep(1.15 + soft, 1.15 - soft, jnp.abs(high))
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
    ring = smoothstep(r, r - 0.04, dist) * (0.25 + 0.75 * smoothstep(r - 0.06, r - 0.01, dist)) * (ident > 0.72)
    return colour + ring[..., None] * rgb("bff3ff") * 0.45


def caustics(x, z, time, seed, px):
    """Bright web of light under moving water, in [0, 1]."""
    wx = x + 0.3 * jnp.sin(z * 1.7 + time * 0.9)
    wz = z + 0.3 * jnp.sin(x * 1.3 - time * 0.7)
    near, _, second = cells(wx * 1.3 + time * 0.12, wz * 1.3, seed, jitter=0.9)
    return (smoothstep(0.34 + px, 0.0, second - near) ** 1.5) / (1 + (px * 2) ** 2)


def _grass(view, scene, x, z, px, pz):
    big = fbm(x * 0.35, z * 0.35, scene.seed, px * 0.35, octaves=3)
    clump = fbm(x * 2.2, 12 * view.y / z, scene.seed + 1, px * 2, octaves=4)
    wind = fbm(x * 0.5 - view.time * 0.8, z * 0.5, scene.seed + 2, pz, octaves=2)
    # Blades stand upright: their second coordinate is the picture's row (the camera never moves in depth).
    blade = fbm(x * 13, 70 * view.y / z, scene.seed + 3, px * 10, octaves=3)
    base = mix(scene.bg[0], scene.bg[0] * rgb("fff2a0") * 1.5, jnp.clip(0.4 + 0.5 * big + 0.25 * wind, 0, 1)[..., None])
    colour = base * (0.8 + 0.35 * clump + 0.55 * blade)[..., None]
    dot, ident, _ = cells(x * 3.2, z * 3.2, scene.seed + 4, jitter=0.9)
    bloom = smoothstep(0.11, 0.06, dot) * (ident > 0.62) * smoothstep(0.1, 0.03, px) * (big > -0.1)
    petal = mix(rgb("fff8e0"), scene.bg[3], (ident > 0.84)[..., None] * 1.0)
    return mix(colour, petal, bloom[..., None] * 0.9)


def _sand(view, scene, x, z, px, pz):
    wave = fbm(x * 0.5, z * 0.5, scene.seed, pz, octaves=3)
    slope = jnp.cos(z * 9 + 4 * wave + 0.8 * x) / (1 + (pz * 6) ** 4)
    grains = fbm(x * 40, z * 40, scene.seed + 1, jnp.maximum(px, pz) * 30, octaves=2)
    sand = mix(rgb("ecd3a0"), rgb("d9b27c"), (0.5 + 0.5 * wave)[..., None]) * (1 + 0.09 * slope + 0.12 * grains)[..., None]
    shell, ident, _ = cells(x * 1.6, z * 1.6, scene.seed + 2, jitter=0.9)
    pebble = smoothstep(0.1, 0.07, shell) * (ident > 0.78) * smoothstep(0.2, 0.05, px)
    return mix(sand, mix(rgb("fff6ea"), rgb("b98a74"), (ident[..., None] * 9) % 1.0), pebble[..., None])


def _shore(view, scene, x, z, px, pz):
    """Beach: sand in front, then foam, then the sea."""
    swash = 0.35 * jnp.sin(view.time * 0.9) + 0.5 * fbm(x * 0.5, view.time * 0.1, scene.seed + 6, 0.0, octaves=3)
    line = z - 9.5 - swash - 0.06 * x
    sand = _sand(view, scene, x, z, px, pz)
    wet = smoothstep(-2.0, -0.3, line)
    sand = mix(sand, sand * rgb("c9b596"), wet[..., None] * 0.8)
    water = _water(view, scene, x, z, px, pz, rgb("1f8fae"), rgb("3fc3c0"))
    surf = fbm(x * 1.4, z * 2.2 - view.time * 0.4, scene.seed + 7, pz * 2, octaves=4)
    breaker = smoothstep(0.55, 0.95, jnp.sin(line * 1.5 + view.time * 1.3 + 1.5 * surf)) * smoothstep(14.0, 0.5, line)
    foam = jnp.maximum(smoothstep(0.5, 0.0, jnp.abs(line - 0.2)), 0.75 * breaker * (line > 0.3))
    foam = foam * (0.65 + 0.6 * surf)
    sea = mix(sand, water, smoothstep(-0.05, 0.35, line)[..., None])
    return mix(sea, rgb("fbfdfb"), jnp.clip(foam, 0, 1)[..., None])


def _water(view, scene, x, z, px, pz, deep, shallow):
    """Rippled water that mirrors the sky: a tilted mirror looked up in the sky's gradient."""
    zenith, horizon, bright, _, glow = jnp.asarray(_SKY)[scene.hour]
    swell = fbm(x * 0.7 + view.time * 0.35, z * 0.55 - view.time * 0.25, scene.seed + 8, pz * 0.6, octaves=4)
    ripple = fbm(x * 2.6 - view.time * 0.5, z * 3.4 + view.time * 0.7, scene.seed + 9, pz * 3, octaves=3)
    tilt = 0.6 * swell + 0.55 * ripple
    grazing = jnp.exp(view.v * 3.2)  # 1 at the horizon
    mirror = mix(horizon, zenith, jnp.clip(0.3 - 0.55 * grazing + 0.5 + 0.7 * tilt, 0, 1)[..., None])
    body = mix(deep, shallow, jnp.clip(0.35 + 0.5 * swell - 0.8 * view.v, 0, 1)[..., None]) * (0.15 + 0.85 * jnp.max(horizon))
    colour = mix(body, mirror, jnp.clip(0.25 + 0.6 * grazing, 0, 0.92)[..., None])
    sx = (scene.mood[2] - 0.5) * 1.4
    path = jnp.exp(-(((view.u - sx) / (0.06 - 0.22 * view.v)) ** 2))
    glint = smoothstep(0.18, 0.5, tilt) * path
    # A city's windows draw wavering streaks on the water before it.
    streak = fbm(view.u * 26 + 0.5 * tilt, 0.6 * view.v + 0.05 * view.time, scene.seed + 3, view.pixel * 20, octaves=2)
    lamps = smoothstep(0.12, 0.5, streak + 0.25 * tilt) * grazing * (scene.theme == THEMES.index("harbour"))
    colour = colour + (lamps * jnp.array([0.1, 0.2, 0.35, 0.75, 0.9, 0.1])[scene.hour])[..., None] * rgb("ffc463")
    return colour + glow * (0.9 * glint * (scene.hour != 5))[..., None] + bright * (0.2 * smoothstep(0.45, 0.7, tilt))[..., None]


def _planks(view, scene, x, z, px, pz):
    """Floor boards or a table top running away from the viewer, with grain, knots and a soft sheen."""
    wide = mix(0.55, 1.1, scene.mood[7])
    board = jnp.floor(x / wide)
    shift = hash1(board, board * 0, scene.seed) * 7
    across = x / wide - board
    tone = hash1(board, jnp.floor((z + shift) / 5), scene.seed + 1)
    warp = fbm(x * 0.8 + shift, z * 0.25, scene.seed + 2, px, octaves=3)
    rings = jnp.sin((across + 0.5 * warp + 0.15 * jnp.sin(z * 0.6 + shift)) * 34)
    fibre = fbm(x * 22, z * 1.1 + shift, scene.seed + 3, px * 18, octaves=3)
    wood = mix(rgb("c98d54"), rgb("8d5428"), jnp.clip(0.35 + 0.28 * rings / (1 + (px * 14) ** 2) + 0.4 * fibre, 0, 1)[..., None])
    wood = mix(wood, wood * scene.bg[0] * 2.2, 0.45) * (0.8 + 0.4 * tone)[..., None]
    gap = smoothstep(0.02 + px, 0.0, jnp.minimum(across, 1 - across) * wide - 0.004)
    butt = smoothstep(0.03 + pz, 0.0, jnp.abs(jnp.mod(z + shift, 5.0) - 2.5) - 0.01)
    wood = wood * (1 - 0.6 * jnp.maximum(gap, butt))[..., None]
    sheen = jnp.exp(view.v * 4.5) * (0.6 + 0.5 * fbm(view.u * 3, view.v * 3, scene.seed, 0.0, octaves=2))
    return wood + (0.14 * sheen * (1 - 0.5 * gap))[..., None] * mix(rgb("ffffff"), scene.bg[2], 0.5)


def _tiles(view, scene, x, z, px, pz):
    """Square tiles in two tones, or a rug with borders."""
    tx, tz = x * 0.9, z * 0.9
    tone = hash1(tx, tz, scene.seed)
    checker = jnp.mod(jnp.floor(tx) + jnp.floor(tz), 2.0)
    stone = fbm(x * 3 + 9 * tone, z * 3, scene.seed + 1, jnp.maximum(px, pz) * 3)
    colour = mix(rgb("e9e0d2"), mix(rgb("c9a58a"), scene.bg[3], 0.35), (checker * (0.4 + 0.6 * scene.mood[7]))[..., None])
    colour = colour * (0.92 + 0.12 * tone + 0.16 * stone)[..., None]
    grout = jnp.minimum(0.5 - jnp.abs(jnp.mod(tx, 1.0) - 0.5) - px, 0.5 - jnp.abs(jnp.mod(tz, 1.0) - 0.5) - pz)
    colour = mix(colour, rgb("9b8f80"), smoothstep(0.035, 0.0, grout)[..., None] * 0.8)
    return colour + (0.1 * jnp.exp(view.v * 4))[..., None]


def _snow(view, scene, x, z, px, pz):
    drift = fbm(x * 0.4, z * 0.5, scene.seed, pz * 0.5, octaves=4)
    slope = fbm(x * 0.4 + 0.15, z * 0.5 + 0.1, scene.seed, pz * 0.5, octaves=4) - drift
    colour = mix(rgb("f7fbff"), rgb("b9d0ec"), jnp.clip(0.35 + 2.4 * slope - 0.3 * drift, 0, 1)[..., None])
    spark, ident, _ = cells(x * 9, z * 9, scene.seed + 1, jitter=1.0)
    glitter = smoothstep(0.1, 0.0, spark) * (0.5 + 0.5 * jnp.sin(view.time * 3 + 60 * ident)) * smoothstep(0.06, 0.02, pz)
    return colour + 0.35 * (glitter * (ident > 0.5))[..., None]


def _seabed(view, scene, x, z, px, pz):
    sand = _sand(view, scene, x, z, px, pz) * rgb("c4e6e0")
    web = caustics(x * 1.6, z * 1.6, view.time, scene.seed + 5, pz * 2.0)
    haze = jnp.clip((z - 3) / 16, 0, 1) ** 0.7
    water = mix(rgb("2f9fb8"), scene.bg[1], 0.15)
    return mix(sand * (0.48 + 0.5 * web)[..., None], water * 0.6, haze[..., None])


def _lake(view, scene, x, z, px, pz):
    return _water(view, scene, x, z, px, pz, rgb("0f5a6e"), mix(rgb("2a9d9a"), scene.bg[0], 0.2))


_UPPER = ("sky", "wall", "bokeh", "depths")
_LOWER = (_grass, _shore, _lake, _snow, _planks, _tiles, _seabed)
# For each theme: upper part, lower part, where the ground ends.
_PARTS = {
    "meadow": (0, 0, 90.0), "beach": (0, 1, 300.0), "lake": (0, 2, 120.0), "snow": (0, 3, 90.0),
    "sky": (0, 0, 300.0), "harbour": (0, 2, 120.0), "table": (2, 4, 7.0), "playroom": (1, 4, 8.5),
    "patio": (1, 5, 9.0), "reef": (3, 6, 40.0), "garden": (2, 0, 9.0),
}  # fmt: skip
UPPER, LOWER, EDGE = (np.array([row[k] for row in _PARTS.values()]) for k in range(3))


def paint(view: View, scene, themes):
    """The backdrop of one frame of a scene in one of `themes`: colour [H, W, 3] linear, and the depth z [H, W] of what is seen."""
    edge = jnp.asarray(EDGE, jnp.float32)[scene.theme]
    x, z, px, pz = ground_point(view)
    # Rays that miss the ground meet the wall that stands where it ends.
    wx, wy = view.x + view.u * edge / view.focal, view.y + view.v * edge / view.focal
    rows = [THEMES.index(name) for name in themes]
    upper = narrow_switch(
        jnp.asarray(UPPER)[scene.theme],
        UPPER[rows],
        (
            lambda: sky(view, scene),
            lambda: wall(view, scene, wx, wy, edge * view.pixel / view.focal),
            lambda: bokeh(view, scene),
            lambda: depths(view, scene),
        ),
    )
    lower = narrow_switch(
        jnp.asarray(LOWER)[scene.theme],
        LOWER[rows],
        tuple((lambda f=f: f(view, scene, x, z, px, pz)) for f in _LOWER),
    )
    zenith_light = jnp.asarray(_SKY)[scene.hour, 1]
    outdoors = jnp.asarray(UPPER)[scene.theme] == 0
    # Far ground takes on the colour of the air before it.
    haze = jnp.clip(1 - jnp.exp(-(z - 4) / 55), 0, 1) * outdoors * 0.75
    day = jnp.where(outdoors & (jnp.asarray(LOWER)[scene.theme] != 2), _daylight(scene.hour), 1.0)
    lower = mix(lower * day, zenith_light, haze[..., None])
    ends = view.v + view.focal * view.y / edge
    below = jnp.clip(0.5 - ends / view.pixel, 0, 1)
    depth = jnp.where(ends < 0, z, jnp.where(jnp.asarray(UPPER)[scene.theme] == 1, edge, FAR))
    foot = 1 - 0.35 * jnp.exp(-jnp.abs(ends) / 0.05) * (jnp.asarray(UPPER)[scene.theme] == 1)
    return mix(upper, lower, below[..., None]) * foot[..., None], depth


def _daylight(hour):
    """How the hour tints what the ground reflects."""
    tint = np.stack([rgb("ffffff"), rgb("ffeedd"), rgb("ffd8a4"), rgb("c79ab0"), rgb("8494cc"), rgb("dfe6ea")])
    return jnp.asarray(tint)[hour]


__all__ = ["EDGE", "FAR", "HOURS", "LOWER", "UPPER", "View", "caustics", "ground_point", "paint"]
