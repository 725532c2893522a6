"""The lower parts of a backdrop: what objects stand on or swim in.

Every part takes the view, the scene, the ground's coordinates (x to the right, z away from the viewer)
and the footprints of a pixel along them, and gives a colour [H, W, 3].
"""

import jax.numpy as jnp

from semjax.scenes.colour import rgb
from semjax.scenes.noise import cells, fbm, hash1, mix, smoothstep
from semjax.scenes.themes import CITY_LIGHTS, SKY, is_theme


def caustics(x, z, time, seed, px):
    """Bright web of light under moving water, in [0, 1]."""
    wx = x + 0.3 * jnp.sin(z * 1.7 + time * 0.9)
    wz = z + 0.3 * jnp.sin(x * 1.3 - time * 0.7)
    near, _, second = cells(wx * 1.3 + time * 0.12, wz * 1.3, seed, jitter=0.9)
    return (smoothstep(0.34 + px, 0.0, second - near) ** 1.5) / (1 + (px * 2) ** 2)


def _blades(x, row, px, seed):
    """Grass blades of about the same size on the screen at every distance: two neighbouring scales blended.

    `row` is constant along the picture's rows; the camera never moves in depth, so it stays with the ground.
    """
    level = jnp.log2(0.19 / px)
    lower = jnp.floor(level)
    near = fbm(x * 2.0**lower, row, seed, 0.0, octaves=2)
    finer = fbm(x * 2.0 ** (lower + 1), row, seed, 0.0, octaves=2)
    return mix(near, finer, smoothstep(0.2, 0.8, level - lower))


def grass(view, scene, x, z, px, pz):
    """A lawn with wind in it and small flowers."""
    wide = jnp.maximum(px, pz)
    big = fbm(x * 0.35, z * 0.35, scene.seed, wide * 0.3, octaves=3)
    clump = fbm(x * 1.7, z * 1.7, scene.seed + 1, wide * 1.3, octaves=4)
    wind = fbm(x * 0.5 - view.time * 0.8, z * 0.5, scene.seed + 2, pz, octaves=2)
    blade = _blades(x, 82 * view.y / z, px, scene.seed + 3)
    base = mix(
        scene.bg[0],
        scene.bg[0] * rgb("fff2a0") * 1.5,
        jnp.clip(0.4 + 0.5 * big + 0.25 * wind, 0, 1)[..., None],
    )
    colour = base * (0.84 + 0.34 * clump + 0.52 * blade)[..., None]
    dot, ident, _ = cells(x * 3.2, z * 3.2, scene.seed + 4, jitter=0.9)
    bloom = smoothstep(0.11, 0.06, dot) * (ident > 0.62) * smoothstep(0.1, 0.03, px) * (big > -0.1)
    petal = mix(rgb("fff8e0"), scene.bg[3], (ident > 0.84)[..., None] * 1.0)
    return mix(colour, petal, bloom[..., None] * 0.9)


def sand(view, scene, x, z, px, pz):
    """Rippled sand with pebbles and shells."""
    wave = fbm(x * 0.5, z * 0.5, scene.seed, pz, octaves=3)
    slope = jnp.cos(z * 9 + 4 * wave + 0.8 * x) / (1 + (pz * 6) ** 4)
    grains = fbm(x * 40, z * 40, scene.seed + 1, jnp.maximum(px, pz) * 30, octaves=2)
    sand = (
        mix(rgb("ecd3a0"), rgb("d9b27c"), (0.5 + 0.5 * wave)[..., None])
        * (1 + 0.09 * slope + 0.12 * grains)[..., None]
    )
    shell, ident, _ = cells(x * 1.6, z * 1.6, scene.seed + 2, jitter=0.9)
    pebble = smoothstep(0.1, 0.07, shell) * (ident > 0.78) * smoothstep(0.2, 0.05, px)
    return mix(sand, mix(rgb("fff6ea"), rgb("b98a74"), (ident[..., None] * 9) % 1.0), pebble[..., None])


def shore(view, scene, x, z, px, pz):
    """Beach: sand in front, then foam, then the sea."""
    swash = 0.35 * jnp.sin(view.time * 0.9) + 0.5 * fbm(
        x * 0.5, view.time * 0.1, scene.seed + 6, 0.0, octaves=3
    )
    line = z - 9.5 - swash - 0.06 * x
    dry = sand(view, scene, x, z, px, pz)
    wet = smoothstep(-2.0, -0.3, line)
    beach = mix(dry, dry * rgb("c9b596"), wet[..., None] * 0.8)
    water = _water(view, scene, x, z, px, pz, rgb("1f8fae"), rgb("3fc3c0"))
    surf = fbm(x * 1.4, z * 2.2 - view.time * 0.4, scene.seed + 7, pz * 2, octaves=4)
    breaker = smoothstep(0.55, 0.95, jnp.sin(line * 1.5 + view.time * 1.3 + 1.5 * surf)) * smoothstep(
        14.0, 0.5, line
    )
    foam = jnp.maximum(smoothstep(0.5, 0.0, jnp.abs(line - 0.2)), 0.75 * breaker * (line > 0.3))
    foam = foam * (0.65 + 0.6 * surf)
    sea = mix(beach, water, smoothstep(-0.05, 0.35, line)[..., None])
    return mix(sea, rgb("fbfdfb"), jnp.clip(foam, 0, 1)[..., None])


def _water(view, scene, x, z, px, pz, deep, shallow):
    """Rippled water that mirrors the sky: a tilted mirror looked up in the sky's gradient."""
    zenith, horizon, bright, _, glow = jnp.asarray(SKY)[scene.hour]
    swell = fbm(x * 0.7 + view.time * 0.35, z * 0.55 - view.time * 0.25, scene.seed + 8, pz * 0.6, octaves=4)
    ripple = fbm(x * 2.6 - view.time * 0.5, z * 3.4 + view.time * 0.7, scene.seed + 9, pz * 3, octaves=3)
    tilt = 0.6 * swell + 0.55 * ripple
    grazing = jnp.exp(view.v * 3.2)  # 1 at the horizon
    mirror = mix(horizon, zenith, jnp.clip(0.3 - 0.55 * grazing + 0.5 + 0.7 * tilt, 0, 1)[..., None])
    body = mix(deep, shallow, jnp.clip(0.35 + 0.5 * swell - 0.8 * view.v, 0, 1)[..., None]) * (
        0.15 + 0.85 * jnp.max(horizon)
    )
    colour = mix(body, mirror, jnp.clip(0.25 + 0.6 * grazing, 0, 0.92)[..., None])
    sx = (scene.mood[2] - 0.5) * 1.4
    path = jnp.exp(-(((view.u - sx) / (0.06 - 0.22 * view.v)) ** 2))
    glint = smoothstep(0.18, 0.5, tilt) * path
    # A city's windows draw wavering streaks on the water before it.
    streak = fbm(
        view.u * 26 + 1.6 * tilt, 2.5 * view.v + 0.05 * view.time, scene.seed + 3, view.pixel * 20, octaves=2
    )
    lamps = smoothstep(0.12, 0.5, streak + 0.25 * tilt) * grazing * (is_theme(scene, "harbour"))
    colour = colour + (lamps * jnp.asarray(CITY_LIGHTS)[scene.hour])[..., None] * rgb("ffc463")
    return (
        colour
        + glow * (0.9 * glint * (scene.hour != 5))[..., None]
        + bright * (0.2 * smoothstep(0.45, 0.7, tilt))[..., None]
    )


def planks(view, scene, x, z, px, pz):
    """Floor boards or a table top running away from the viewer, with grain, knots and a soft sheen."""
    wide = mix(0.55, 1.1, scene.mood[7])
    board = jnp.floor(x / wide)
    shift = hash1(board, board * 0, scene.seed) * 7
    across = x / wide - board
    tone = hash1(board, jnp.floor((z + shift) / 5), scene.seed + 1)
    warp = fbm(x * 0.8 + shift, z * 0.25, scene.seed + 2, px, octaves=3)
    rings = jnp.sin((across + 0.5 * warp + 0.15 * jnp.sin(z * 0.6 + shift)) * 34)
    fibre = fbm(x * 22, z * 1.1 + shift, scene.seed + 3, px * 18, octaves=3)
    wood = mix(
        rgb("c98d54"),
        rgb("8d5428"),
        jnp.clip(0.35 + 0.28 * rings / (1 + (px * 14) ** 2) + 0.4 * fibre, 0, 1)[..., None],
    )
    wood = mix(wood, wood * scene.bg[0] * 2.2, 0.45) * (0.8 + 0.4 * tone)[..., None]
    gap = smoothstep(0.02 + px, 0.0, jnp.minimum(across, 1 - across) * wide - 0.004)
    butt = smoothstep(0.03 + pz, 0.0, jnp.abs(jnp.mod(z + shift, 5.0) - 2.5) - 0.01)
    wood = wood * (1 - 0.6 * jnp.maximum(gap, butt))[..., None]
    sheen = jnp.exp(view.v * 4.5) * (0.6 + 0.5 * fbm(view.u * 3, view.v * 3, scene.seed, 0.0, octaves=2))
    return wood + (0.14 * sheen * (1 - 0.5 * gap))[..., None] * mix(rgb("ffffff"), scene.bg[2], 0.5)


def tiles(view, scene, x, z, px, pz):
    """Square tiles in two tones, or a rug with borders."""
    tx, tz = x * 0.9, z * 0.9
    tone = hash1(tx, tz, scene.seed)
    checker = jnp.mod(jnp.floor(tx) + jnp.floor(tz), 2.0)
    stone = fbm(x * 3 + 9 * tone, z * 3, scene.seed + 1, jnp.maximum(px, pz) * 3)
    colour = mix(
        rgb("e9e0d2"),
        mix(rgb("c9a58a"), scene.bg[3], 0.35),
        (checker * (0.4 + 0.6 * scene.mood[7]))[..., None],
    )
    colour = colour * (0.92 + 0.12 * tone + 0.16 * stone)[..., None]
    grout = jnp.minimum(
        0.5 - jnp.abs(jnp.mod(tx, 1.0) - 0.5) - px, 0.5 - jnp.abs(jnp.mod(tz, 1.0) - 0.5) - pz
    )
    colour = mix(colour, rgb("9b8f80"), smoothstep(0.035, 0.0, grout)[..., None] * 0.8)
    return colour + (0.1 * jnp.exp(view.v * 4))[..., None]


def snow(view, scene, x, z, px, pz):
    """Drifts of snow with glitter."""
    drift = fbm(x * 0.4, z * 0.5, scene.seed, pz * 0.5, octaves=4)
    slope = fbm(x * 0.4 + 0.15, z * 0.5 + 0.1, scene.seed, pz * 0.5, octaves=4) - drift
    colour = mix(rgb("f7fbff"), rgb("b9d0ec"), jnp.clip(0.35 + 2.4 * slope - 0.3 * drift, 0, 1)[..., None])
    spark, ident, _ = cells(x * 9, z * 9, scene.seed + 1, jitter=1.0)
    glitter = (
        smoothstep(0.1, 0.0, spark)
        * (0.5 + 0.5 * jnp.sin(view.time * 3 + 60 * ident))
        * smoothstep(0.06, 0.02, pz)
    )
    return colour + 0.35 * (glitter * (ident > 0.5))[..., None]


def seabed(view, scene, x, z, px, pz):
    """Sand under the web of light that waves throw, fading into the water's colour."""
    floor = sand(view, scene, x, z, px, pz) * rgb("c4e6e0")
    web = caustics(x * 1.6, z * 1.6, view.time, scene.seed + 5, pz * 2.0)
    haze = jnp.clip((z - 3) / 16, 0, 1) ** 0.7
    water = mix(rgb("2f9fb8"), scene.bg[1], 0.15)
    return mix(floor * (0.52 + 0.34 * web)[..., None], water * 0.6, haze[..., None])


def lake(view, scene, x, z, px, pz):
    """Still water to the far shore."""
    return _water(view, scene, x, z, px, pz, rgb("0f5a6e"), mix(rgb("2a9d9a"), scene.bg[0], 0.2))
