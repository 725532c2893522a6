"""Still and floating things: fruit, pottery, balloons, lanterns, kites."""

import jax.numpy as jnp

from semjax.scenes.colour import rgb
from semjax.scenes.look import Canvas, Look, Params, square
from semjax.scenes.noise import cells, fbm, mix, smoothstep
from semjax.scenes.shapes import box, capsule, circle, convex, dome, ellipse, inside, join, turn

_WHITE, _INK, _STRING = rgb("fbf7ee"), rgb("26242b"), rgb("e9e2d2")


def fruit(x, y, px, o: Params) -> Look:
    """Apple, orange, pear or lemon, by `shape[0]`; natural colours, one-sided blush."""
    art = Canvas(x, px)
    kind = jnp.floor(o.shape[0] * 4)
    apple, orange, pear, lemon = (kind == 0) * 1.0, (kind == 1) * 1.0, (kind == 2) * 1.0, (kind >= 3) * 1.0
    theta = jnp.arctan2(x, y)  # 0 at the top
    r = jnp.hypot(x, y)
    dent = jnp.exp(-((theta / 0.42) ** 2))
    foot = jnp.exp(-(((jnp.abs(theta) - jnp.pi) / 0.4) ** 2))
    size = apple * (0.97 - 0.2 * dent - 0.09 * foot) + orange * 0.95
    size = size + pear * 0.8
    lobe = jnp.exp(-(((jnp.abs(theta) - jnp.pi / 2) / 0.3) ** 2))
    size = size + lemon * (0.74 + 0.24 * lobe)
    drop = join(circle(x, y + 0.24, 0.7), circle(x, y - 0.5, 0.36), 0.6)
    flesh = jnp.where(pear > 0, drop, r - size)
    # Towards the middle the profile forgets the outline's bumps, or they would meet there in a crease.
    round_ = mix(
        apple * 0.93 + orange * 0.95 + pear * 0.8 + lemon * 0.78, size, smoothstep(0.35, 1.0, r / size)
    )
    ratio = jnp.clip(r / round_, 0, 1)
    pores, _, _ = cells(x * 16, y * 16, o.seed, jitter=0.8)
    bumps = (orange + lemon) * 0.02 * smoothstep(0.1, 0.45, pores)
    height = round_ * jnp.sqrt(jnp.maximum(1 - ratio**2, 0) + 1e-4) + bumps
    height = jnp.where(pear > 0, dome(drop, 0.7), height)
    height = height - apple * 0.3 * jnp.exp(-((x / 0.3) ** 2) - ((y - 0.78) / 0.2) ** 2)
    tint = o.shape[1]
    base = (
        apple * mix(rgb("c8102a"), rgb("8fb52c"), smoothstep(0.62, 0.72, tint))
        + orange * mix(rgb("f5860f"), rgb("f06a12"), tint)
        + pear * mix(rgb("c7cf3f"), rgb("e0b64a"), tint)
        + lemon * mix(rgb("fbdb2a"), rgb("9dcb3c"), smoothstep(0.7, 0.8, tint))
    )
    cloud = fbm(x * 3, y * 3 + 7, o.seed, px * 3)
    streak = fbm(theta * 6, r * 1.5, o.seed, 0.05, octaves=3)
    blush = (apple + 0.6 * pear) * smoothstep(-0.4, 0.9, x + 0.5 * cloud + 0.4 * streak)
    hue = mix(base, mix(rgb("f2c14a"), rgb("cf4a2a"), pear), (0.55 * blush)[..., None])
    speck, _, _ = cells(x * 11, y * 11, o.seed + 3, jitter=1.0)
    hue = hue * (1 + 0.06 * cloud)[..., None]
    stalk = capsule(x, y, 0.0, 0.68, 0.1, 1.08 + 0.1 * pear, 0.05, 0.035)
    art.add(jnp.where(lemon + orange > 0, 9.0, stalk), rgb("5a3a1e"), 0.1 + dome(stalk, 0.05))
    art.add(flesh, hue, height, gloss=0.75 - 0.35 * pear)
    dots = smoothstep(0.16, 0.08, speck) * (apple + pear) * inside(flesh, px)
    art.mark(0.35 * dots, rgb("f5e6a8"), gloss=0.6)
    art.mark(inside(stalk, px) * (apple + pear) * smoothstep(0.6, 0.75, y), rgb("5a3a1e"), gloss=0.1)
    button = smoothstep(0.09, 0.05, jnp.hypot(x - 0.1, y - 0.72)) * orange
    art.mark(button, rgb("4c6b22"), gloss=0.1)
    lx, ly = turn(x - 0.08, y - 0.86 - 0.1 * pear, 0.45)
    blade = (jnp.abs(ly) - 0.16 * jnp.sin(jnp.pi * jnp.clip(lx / 0.6, 0, 1)) - 0.002) * 0.8
    blade = blade + jnp.maximum(jnp.abs(lx - 0.3) - 0.3, 0)
    shown = (o.shape[2] > 0.35) & (lemon == 0)
    rib = smoothstep(0.03, 0.0, jnp.abs(ly))
    green = mix(rgb("4f9a32"), rgb("9cc75a"), rib[..., None])
    art.add(jnp.where(shown, blade, 9.0), green, 0.3 + 0.5 * ly, gloss=0.4)
    return art.done()


def vase(x, y, px, o: Params) -> Look:
    """Pottery, a surface of revolution: vase, jug or mug with a handle, painted with the material."""
    art = Canvas(x, px)
    t = jnp.clip((y + 1) / 2, 0, 1)
    mug = (o.shape[0] > 0.55) * 1.0
    a, b = o.shape[1], o.shape[2]
    curve = (
        0.36
        + (0.2 + 0.16 * a) * jnp.sin(jnp.pi * (0.06 + t) ** (0.8 + 0.7 * b))
        - 0.13 * smoothstep(0.6, 0.85, t)
    )
    curve = curve + 0.1 * smoothstep(0.86, 1.0, t)
    top = mix(1.0, 0.62, mug)
    radius = mix(curve, 0.62 - 0.04 * smoothstep(0.1, 0.0, t), mug)
    handle = jnp.abs(jnp.hypot((x - 0.62) * 1.05, y + 0.18) - 0.36) - 0.095
    handle = jnp.where(mug > 0, jnp.maximum(handle, 0.4 - x), 9.0)
    art.add(handle, o.col[0], 0.1 + dome(handle, 0.1), gloss=0.85)
    lip = 0.16 * radius
    sag = 0.22 * radius * (1 - jnp.sqrt(jnp.maximum(1 - (x / radius) ** 2, 0)))
    wall = jnp.maximum((jnp.abs(x) - radius) * 0.9, jnp.maximum(y - top, -y - 1.0 + sag))
    turnx = jnp.arcsin(jnp.clip(x / radius, -0.999, 0.999))
    height = radius * jnp.sqrt(jnp.maximum(1 - (x / radius) ** 2, 0) + 1e-4)
    art.add(wall, o.col[0], height, gloss=0.9, paint=1.0)
    mouth = ellipse(x, y - top, mix(0.39, 0.62, mug), jnp.max(jnp.where(jnp.abs(y - top) < 0.1, lip, 0.1)))
    art.add(mouth, mix(o.col[0], _WHITE, 0.25), 0.55, gloss=0.8)
    hole = inside(mouth + 0.055, px)
    drink = mix(o.col[0] * 0.12, rgb("3a1d0e"), mug)
    art.mark(hole, drink * (0.7 + 0.6 * smoothstep(-0.1, 0.1, y - top))[..., None], 0.4, gloss=0.5)
    band = inside(jnp.abs(t - 0.12) - 0.03, px) + inside(jnp.abs(t - mix(0.8, 0.72, mug)) - 0.025, px)
    art.mark(jnp.clip(band, 0, 1) * inside(wall, px) * (o.shape[4] > 0.4), o.col[2], gloss=0.9)
    return art.done(u=turnx * 0.8 + o.spin * 0.3, v=y)


def balloon(x, y, px, o: Params) -> Look:
    """A shiny balloon with a knot and a string that trails behind."""
    art = Canvas(x, px)
    drop = jnp.clip(-y - 0.75, 0, 2.2)
    line = jnp.abs(x - 0.1 * jnp.sin(drop * 3.2 - o.phase) * smoothstep(0, 0.6, drop)) - 0.016
    art.add(jnp.maximum(line, jnp.maximum(y + 0.7, -y - 2.0)), _STRING, 0.05)
    yy = y - 0.28
    squeeze = 1 - 0.16 * smoothstep(0.2, -0.9, yy)
    skin = ellipse(x / squeeze, yy, 0.78, 0.95)
    knot = convex(x, y, (-0.09, -0.8), (0.09, -0.8), (0.0, -0.6)) - 0.02
    art.add(knot, o.col[0] * 0.7, 0.1, gloss=0.5)
    depth = jnp.sqrt(jnp.maximum(1 - (x / squeeze / 0.78) ** 2 - (yy / 0.95) ** 2, 0) + 1e-4)
    bright = mix(o.col[0] * 0.85, mix(o.col[0], _WHITE, 0.25), (1 - depth)[..., None] ** 2)
    art.add(skin, bright, 0.78 * depth, gloss=0.9, glow=0.12, alpha=0.95, paint=(o.shape[0] > 0.65) * 1.0)
    wx, wy = turn(x + 0.33, yy - 0.42, 0.5)
    pane = inside(box(wx, wy, 0.09, 0.17, 0.07), px * 2)
    art.mark(0.75 * pane, _WHITE, glow=0.35, alpha=0.97)
    return art.done(u=jnp.arcsin(jnp.clip(x / 0.8, -0.999, 0.999)), v=yy)


def airship(x, y, px, o: Params) -> Look:
    """A hot-air balloon: gores in the palette's colours, a basket on ropes, now and then a flame."""
    art = Canvas(x, px)
    yy = y - 0.3
    neck = smoothstep(0.1, -1.0, yy)
    radius = jnp.sqrt(jnp.maximum(0.7**2 - jnp.maximum(yy, 0) ** 2, 0) + 1e-5)
    radius = jnp.where(yy < 0, 0.7 * (1 - neck**1.6) + 0.16 * neck, radius)
    bag = jnp.maximum((jnp.abs(x) - radius) * 0.8, -yy - 0.78)
    bag = jnp.where(yy > 0, circle(x, yy, 0.7), bag)
    for side in (-1.0, 1.0):
        art.add(capsule(x, y, 0.15 * side, -0.5, 0.1 * side, -0.84, 0.012), rgb("6d5a44"), 0.05)
    flame = jnp.maximum(0.0, jnp.sin(o.phase * 0.7)) ** 3
    art.add(ellipse(x, y + 0.56, 0.05, 0.02 + 0.12 * flame), rgb("ffb347"), 0.05, glow=3.0 * flame)
    weave = square(x * 24, 0.3) * square(y * 24, 0.3)
    tub = box(x, y + 0.93, 0.14, 0.11, 0.03)
    art.add(tub, mix(rgb("8a5a2b"), rgb("c08a4a"), weave[..., None]), 0.1 + dome(tub, 0.08))
    lon = jnp.arcsin(jnp.clip(x / radius, -0.999, 0.999)) + o.spin * 0.25
    gore = jnp.mod(lon / jnp.pi * 10 + 40, 4.0)
    hue = jnp.zeros((*x.shape, 3))
    for k, c in enumerate((o.col[0], o.col[1], o.col[2], _WHITE)):
        away = jnp.abs(jnp.mod(gore - k + 1.5, 4.0) - 2.0)
        hue = hue + c * inside(away - 0.5, px * 5)[..., None]
    belt = inside(jnp.abs(yy + 0.02) - 0.1, px)
    hue = mix(hue, o.col[3], (belt * (o.shape[0] > 0.4))[..., None])
    puff = 0.05 * jnp.abs(jnp.sin(lon * 10))
    height = radius * jnp.sqrt(jnp.maximum(1 - (x / radius) ** 2, 0) + 1e-4)
    height = height * smoothstep(0.72, 0.2, yy) ** 0.4
    art.add(bag, hue, height + puff * 0.4, gloss=0.25, glow=0.1 + 0.35 * flame * neck)
    art.mark(inside(jnp.abs(yy + 0.76) - 0.03, px) * inside(bag, px), o.col[3] * 0.6)
    return art.done()


def lantern(x, y, px, o: Params) -> Look:
    """A glowing paper lantern with ribs and a tassel; the light inside flickers."""
    art = Canvas(x, px)
    tuft = jnp.abs(x - 0.03 * jnp.sin(o.phase + 5 * y)) - 0.03 - 0.03 * smoothstep(-0.85, -1.1, y)
    art.add(jnp.maximum(tuft, jnp.maximum(y + 0.6, -y - 1.15)), o.col[1], 0.05)
    art.add(capsule(x, y, 0, 0.6, 0, 1.05, 0.018), rgb("5b4a36"), 0.05)
    tall = 0.62 + 0.1 * o.shape[0]
    paper = ellipse(x, y, 0.66 + 0.14 * o.shape[1], tall)
    rib = jnp.abs(jnp.sin(y * 17))
    core = jnp.exp(-(x * x + (y + 0.08) ** 2) * 2.2)
    flicker = 1 + 0.1 * jnp.sin(o.phase * 2.3) + 0.06 * jnp.sin(o.phase * 5.1)
    warm = mix(o.col[0], rgb("ffd27a"), (0.75 * core)[..., None])
    art.add(
        paper, warm, dome(paper, 0.5) - 0.02 * rib, gloss=0.15, glow=(0.35 + 1.3 * core) * flicker, paint=0.0
    )
    art.mark(inside(paper, px) * smoothstep(0.22, 0.05, rib) * 0.45, o.col[0] * 0.45, glow=0.2)
    petals = jnp.hypot(x, y) - 0.2 * (0.7 + 0.3 * jnp.cos(jnp.arctan2(x, y) * 5))
    art.mark(inside(petals, px) * 0.6 * (o.shape[2] > 0.5), o.col[2], glow=0.7)
    for cy in (tall, -tall):
        cap = box(x, y - cy, 0.25, 0.065, 0.02)
        art.add(cap, rgb("7a2318"), 0.3 + dome(cap, 0.05), gloss=0.5)
    return art.done()


def kite(x, y, px, o: Params) -> Look:
    """A diamond kite with crossed spars and a tail of bows that streams behind."""
    art = Canvas(x, px)
    drop = jnp.clip(-y - 0.85, 0, 1.6)
    wave = 0.16 * jnp.sin(drop * 4.5 - o.phase) * smoothstep(0, 0.5, drop)
    line = jnp.maximum(jnp.abs(x - wave) - 0.014, jnp.maximum(y + 0.8, -y - 2.1))
    art.add(line, _STRING, 0.05)
    for k in range(4):
        along = 0.25 + 0.3 * k
        cx = 0.16 * jnp.sin(along * 4.5 - o.phase) * smoothstep(0, 0.5, along)
        bx, by = jnp.abs(x - cx), y + 0.85 + along
        bow = convex(bx, jnp.abs(by), (-0.02, -0.1), (0.16, -0.1), (0.16, 0.085), (-0.02, 0.02))
        art.add(bow, o.col[k % 3], 0.08)
    sail = convex(x, y, (0.0, -0.9), (0.66, 0.25), (0.0, 0.95), (-0.66, 0.25)) - 0.015
    left, top = x < 0, y > 0.25 - 0.0 * x
    hue = jnp.where((left ^ top)[..., None], o.col[0], o.col[1])
    ring = square(jnp.hypot(x, y - 0.2) * 4.5, px * 4.5)
    hue = mix(hue, mix(hue, o.col[2], 0.85), (ring * (o.shape[0] > 0.5))[..., None])
    belly = 0.3 * (1 - jnp.abs(x) / 0.7) + 0.12 * y
    art.add(sail, hue, belly, gloss=0.15, glow=0.18)
    spar = jnp.minimum(jnp.abs(x), jnp.abs(y - 0.25)) - 0.014
    art.mark(inside(spar, px) * inside(sail, px), rgb("7b5634"))
    hem = inside(sail, px) * smoothstep(-0.05, -0.04, sail)
    art.mark(hem * 0.8, o.col[3])
    return art.done()


def mushroom(x, y, px, o: Params) -> Look:
    """A toadstool: domed cap with warts, gills and a fat stalk."""
    art = Canvas(x, px)
    stalk = join(capsule(x, y, 0, -0.85, 0.03, 0.1, 0.27, 0.19), ellipse(x, y + 0.86, 0.34, 0.16), 0.12)
    fibre = fbm(x * 14, y * 2, o.seed, px * 10, octaves=2)
    cream = rgb("f2e6cc") * (1 + 0.12 * fibre)[..., None]
    art.add(jnp.maximum(stalk, -y - 1.0), cream, 0.1 + dome(stalk, 0.25))
    skirt = jnp.maximum(ellipse(x, y + 0.16, 0.34, 0.2), -(y + 0.22 + 0.03 * jnp.sin(x * 26)))
    art.add(skirt, rgb("fbf3e0"), 0.3 + dome(skirt, 0.1))
    cap = jnp.maximum(ellipse(x, y - 0.1, 0.98, 0.78 + 0.12 * o.shape[0]), -(y - 0.02 - 0.12 * x * x + 0.12))
    depth = jnp.sqrt(jnp.maximum(1 - x * x - ((y - 0.1) / 0.85) ** 2, 0) + 1e-4)
    art.add(
        cap, o.col[0] * (0.75 + 0.25 * smoothstep(-0.1, 0.5, y))[..., None], 0.25 + 0.8 * depth, gloss=0.6
    )
    gill = jnp.maximum(ellipse(x, y + 0.03, 0.86, 0.13), 0.0 * x + y + 0.02)
    lines = square(jnp.arctan2(x, 0.4 - y) * 14, 0.3)
    art.mark(inside(gill, px) * inside(cap, px) * 0.8, mix(rgb("d8c39a"), rgb("8f7650"), lines[..., None]))
    warts, ident, _ = cells(x * 3.1 / (0.55 + 0.6 * depth), (y - 0.1) * 3.1, o.seed, jitter=0.6)
    spot = smoothstep(0.02, -0.02 - px, warts - 0.16 - 0.14 * ident) * inside(cap + 0.05, px)
    art.mark(spot, rgb("fdf6e6"), gloss=0.2)
    return art.done()
