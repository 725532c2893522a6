"""Living things: fish, birds, butterflies, jellyfish, leaves, flowers, starfish."""

import jax.numpy as jnp
import numpy as np

from semjax.scenes.colour import rgb
from semjax.scenes.look import Canvas, Look, Params
from semjax.scenes.noise import cells, fbm, mix, smoothstep
from semjax.scenes.shapes import capsule, circle, convex, dome, ellipse, inside, join, turn

_WHITE, _INK = rgb("fbf9f2"), rgb("1b1a20")


def _eye(art: Canvas, x, y, r):
    art.mark(inside(circle(x, y, r), art.px), _WHITE, gloss=0.8)
    art.mark(inside(circle(x - 0.25 * r, y, 0.62 * r), art.px), _INK, gloss=0.9)
    art.mark(inside(circle(x - 0.4 * r, y - 0.3 * r, 0.22 * r), art.px), _WHITE, glow=0.5)


def fish(x, y, px, o: Params) -> Look:
    """A tropical fish facing right; the wave that runs to its tail comes from the object's deformation."""
    art = Canvas(x, px)
    tall = 0.36 + 0.28 * o.shape[0]
    fork = 0.25 + 0.3 * o.shape[1]
    tail = jnp.maximum(
        convex(x, y, (-0.62, 0.0), (-1.05, 0.55), (-1.05, -0.55)), -ellipse(x + 1.12, y, fork, 0.33)
    )
    ray = 0.5 + 0.5 * jnp.sin(jnp.arctan2(y, x + 0.4) * 36)
    fin = mix(o.col[2], o.col[2] * 0.62, (0.6 * ray)[..., None])
    art.add(tail - 0.03, fin, 0.08 + 0.02 * ray, gloss=0.3, alpha=0.93)
    dorsal = jnp.maximum(ellipse(x + 0.1, y - tall * 0.75, 0.55, 0.38 + 0.2 * o.shape[2]), -(y - tall * 0.4))
    belly = jnp.maximum(ellipse(x + 0.15, y + tall * 0.75, 0.34, 0.34), y + tall * 0.4)
    ray2 = 0.5 + 0.5 * jnp.sin((x * 0.8 + 0.4 * jnp.abs(y)) * 42)
    art.add(
        jnp.minimum(dorsal, belly), mix(o.col[2], o.col[2] * 0.6, (0.6 * ray2)[..., None]), 0.08,
        gloss=0.3, alpha=0.93,
    )  # fmt: skip
    # Two arcs meeting at nose and tail: half height over the length.
    along = jnp.clip((x + 0.78) / 1.72, 0.0, 1.0)
    half = tall * jnp.maximum(jnp.sin(jnp.pi * along**0.8), 1e-6) ** 0.75 + 0.015
    body = (jnp.abs(y) - half) * 0.75 + jnp.maximum(jnp.abs(x - 0.08) - 0.86, 0)
    scale, _, _ = cells(x * 9, y * 9, o.seed, jitter=0.0)
    round_ = tall * jnp.sqrt(jnp.maximum(1 - (y / half) ** 2, 0) + 1e-4) * half / tall
    art.add(body, o.col[0], round_ + 0.025 * scale, gloss=0.65, paint=0.92)
    art.mark(inside(body, px) * smoothstep(-0.15, -0.75, y / half) * 0.6, _WHITE * 0.9, gloss=0.6)
    head = smoothstep(0.42, 0.47, x + 0.5 * y * y) * inside(body, px)
    art.mark(head, mix(o.col[0], o.col[2], 0.35), gloss=0.6)
    gill = jnp.abs(circle(x - 0.18, y, 0.3)) + jnp.maximum(0.2 - x, 0)
    art.mark(smoothstep(0.03, 0.0, gill) * inside(body, px) * 0.5, o.col[0] * 0.25)
    fx, fy = turn(x - 0.08, y + 0.12, -0.5 + 0.35 * jnp.sin(o.phase))
    side = ellipse(fx + 0.2, fy, 0.26, 0.12)
    art.mark(inside(side, px), fin, round_ + 0.12, gloss=0.4)
    mouth = capsule(x, y, 0.86, -0.05, 0.74, -0.09, 0.014)
    art.mark(inside(mouth, px) * inside(body, px), o.col[0] * 0.2)
    _eye(art, x - 0.6, y - 0.09, 0.1)
    return art.done(u=x * 1.25, v=y * 1.25)


def bird(x, y, px, o: Params) -> Look:
    """A bird in flight facing right; wings beat with `phase`."""
    art = Canvas(x, px)
    beat = jnp.sin(o.phase)
    far = capsule(x, y, 0.2, 0.05, 0.28 - 0.55 * jnp.cos(beat), 0.05 + 0.85 * jnp.sin(0.2 + beat), 0.14, 0.05)
    art.add(far, o.col[0] * 0.55, 0.02, gloss=0.1)
    tail = convex(x, y, (-0.45, 0.08), (-1.02, 0.18), (-0.98, -0.02), (-0.9, -0.12), (-0.45, -0.08)) - 0.02
    feather = 0.5 + 0.5 * jnp.sin(jnp.arctan2(y, x + 0.2) * 40)
    art.add(tail, mix(o.col[1], o.col[1] * 0.6, (0.6 * feather)[..., None]), 0.05)
    body = join(ellipse(x, y, 0.62, 0.235), circle(x - 0.55, y - 0.12, 0.2), 0.25)
    body = join(body, capsule(x, y, -0.3, 0.0, -0.6, 0.06, 0.14, 0.05), 0.1)
    bill = convex(x, y, (0.7, 0.02), (0.98, 0.07), (0.7, 0.19))
    art.add(bill - 0.012, rgb("f2a03a"), 0.1, gloss=0.4)
    art.add(body, o.col[0], dome(body, 0.22), gloss=0.12)
    art.mark(inside(body, px) * smoothstep(0.0, -0.14, y + 0.05 * x), mix(o.col[3], _WHITE, 0.6), gloss=0.1)
    # The near wing: four feathers that fan out from the shoulder and swing about it.
    k = np.arange(4, dtype=np.float32)[:, None, None]
    lean = 0.35 + 1.15 * beat - 0.17 * k
    wide, tall = (1.0 - 0.15 * k) * jnp.cos(lean), (1.0 - 0.15 * k) * jnp.sin(lean)
    feathers = capsule(x[None], y[None], 0.16 - 0.07 * k, 0.07, 0.16 - wide, 0.07 + 0.9 * tall, 0.13, 0.05)
    wing = jnp.min(feathers, 0)
    far_out = jnp.hypot(x - 0.1, y - 0.07)
    crease = jnp.min(jnp.where(feathers <= wing, 9.0, feathers), 0) - wing
    hue = mix(o.col[0], o.col[1], smoothstep(0.35, 0.8, far_out)[..., None])
    hue = hue * (1 - 0.3 * smoothstep(0.05, 0.0, crease) * smoothstep(0.2, 0.5, far_out))[..., None]
    art.add(wing, hue, 0.24 + dome(wing, 0.08), gloss=0.15)
    _eye(art, x - 0.61, y - 0.15, 0.055)
    return art.done()


def butterfly(x, y, px, o: Params) -> Look:
    """A butterfly seen from above; the wings fold with `phase`."""
    art = Canvas(x, px)
    fold = 0.3 + 0.7 * jnp.abs(jnp.cos(o.phase * 0.5))
    ax = jnp.abs(x) / fold
    ux, uy = turn(ax - 0.05, y - 0.02, 0.72)
    fore = join(ellipse(ux - 0.5, uy, 0.5, 0.26), circle(ax - 0.62, y - 0.52, 0.22), 0.25)
    lx, ly = turn(ax - 0.05, y + 0.05, -0.75)
    hind = join(ellipse(lx - 0.36, ly, 0.38, 0.25), circle(lx - 0.62, ly + 0.02, 0.1), 0.2)
    wing = jnp.minimum(fore, hind)
    tilt = (1 - fold) * jnp.sign(x) * x * 1.6
    sdf = wing * jnp.sqrt(fold)
    art.add(sdf, o.col[0], 0.1 + tilt + 0.05 * smoothstep(0, 0.1, -wing), gloss=0.2)
    heart = smoothstep(0.75, 0.0, jnp.hypot(ax, y * 1.1))
    art.mark(inside(sdf, px) * heart, o.col[1], gloss=0.2)
    vein = jnp.abs(jnp.sin(jnp.arctan2(y + 0.02, ax + 0.06) * 8))
    art.mark(inside(sdf, px) * smoothstep(0.16, 0.0, vein) * smoothstep(0.1, 0.3, ax) * 0.75, _INK, gloss=0.2)
    art.mark(inside(sdf, px) * smoothstep(-0.12, -0.07, wing), _INK, gloss=0.2)
    for cx, cy, r in ((0.66, 0.62, 0.055), (0.78, 0.4, 0.05), (0.62, 0.3, 0.07), (0.5, -0.42, 0.06)):
        art.mark(inside(circle(ax - cx, y - cy, r), px), mix(_WHITE, o.col[2], 0.4), gloss=0.2)
    feeler = capsule(jnp.abs(x), y, 0.02, 0.34, 0.2, 0.66, 0.016)
    art.add(jnp.minimum(feeler, circle(jnp.abs(x) - 0.2, y - 0.66, 0.035)), _INK, 0.1)
    body = join(capsule(x, y, 0, 0.2, 0, -0.42, 0.085, 0.045), circle(x, y - 0.32, 0.085), 0.06)
    ring = 0.5 + 0.5 * jnp.sin(y * 46)
    art.add(body, mix(rgb("2b2119"), rgb("6b4a2d"), (0.5 * ring)[..., None]), 0.2 + dome(body, 0.09))
    return art.done()


def jellyfish(x, y, px, o: Params) -> Look:
    """A jellyfish: a pulsing glowing bell and trailing tentacles."""
    art = Canvas(x, px)
    pulse = jnp.sin(o.phase)
    wide, tall = 0.78 + 0.1 * pulse, 0.74 - 0.08 * pulse
    down = jnp.clip(-(y + 0.02), 0, 2)
    k = np.arange(6, dtype=np.float32)[:, None, None]
    cx = np.array([-0.62, -0.36, -0.12, 0.14, 0.38, 0.6], np.float32)[:, None, None]
    sway = 0.09 * jnp.sin(down * 4.6 - o.phase + k * 1.3) * smoothstep(0, 0.6, down)
    strand = jnp.abs(x - cx * wide * (1 - 0.2 * down) - sway) - 0.028 * (1.15 - down / 1.4)
    strand = jnp.min(jnp.maximum(strand, -y - 0.95 - 0.3 * np.sin(k * 2.4 + 1.0)), 0)
    art.add(jnp.maximum(strand, y + 0.05), mix(o.col[1], _WHITE, 0.3), 0.05, glow=0.45, alpha=0.62)
    k, cx = k[:3], np.array([-0.24, 0.0, 0.24], np.float32)[:, None, None]
    frill = jnp.abs(x - cx - 0.07 * jnp.sin(down * 5 - o.phase + k)) - 0.075 * (1.1 - down)
    frill = frill - 0.02 * jnp.sin(down * 26 + 2 * k)
    frill = jnp.min(jnp.maximum(frill, -y - 0.8 - 0.1 * k), 0)
    art.add(jnp.maximum(frill, y + 0.05), mix(o.col[2], _WHITE, 0.45), 0.1, glow=0.4, alpha=0.7)
    scallop = 0.05 * jnp.abs(jnp.sin(x / wide * 9))
    bell = jnp.maximum(ellipse(x, y + 0.02, wide, tall), -(y + 0.12 - scallop + 0.1 * (x / wide) ** 2))
    rib = 0.5 + 0.5 * jnp.cos(jnp.arcsin(jnp.clip(x / (wide + 0.02), -1, 1)) * 11)
    depth = jnp.sqrt(jnp.maximum(1 - (x / wide) ** 2 - (y / tall) ** 2, 0) + 1e-4)
    hue = mix(o.col[0], mix(o.col[1], _WHITE, 0.35), (0.35 * rib + 0.5 * (1 - depth))[..., None])
    art.add(bell, hue, 0.6 * depth, gloss=0.7, glow=0.35, alpha=0.84)
    spots, _, _ = cells(x / wide * 4.4, y * 5, o.seed, jitter=0.5)
    art.mark(inside(bell + 0.12, px * 3) * smoothstep(0.2, 0.12, spots) * 0.7, _WHITE, glow=0.6, alpha=0.9)
    rim = inside(bell, px) * smoothstep(-0.1, 0.0, bell)
    art.mark(rim * 0.6, mix(o.col[1], _WHITE, 0.6), glow=0.5, alpha=0.9)
    return art.done()


def leaf(x, y, px, o: Params) -> Look:
    """A leaf with veins: lens, oak-like lobes or a pointed star, by `shape[0]`."""
    art = Canvas(x, px)
    along = jnp.clip((x + 0.85) / 1.75, 0, 1)
    lobes = smoothstep(0.35, 0.4, o.shape[0]) * 0.2
    half = (0.42 + 0.2 * o.shape[1]) * jnp.maximum(jnp.sin(jnp.pi * along**0.75), 0.0) ** 0.9
    half = half * (1 - lobes + 2 * lobes * jnp.abs(jnp.sin(along * 10.5))) + 0.004
    lens = (jnp.abs(y) - half) * 0.7 + jnp.maximum(jnp.abs(x - 0.025) - 0.875, 0)
    r, theta = jnp.hypot(x + 0.1, y), jnp.arctan2(y, x + 0.1)
    points = 0.55 + 0.36 * jnp.abs(jnp.cos(theta * 2.5)) ** 1.5 + 0.08 * jnp.abs(jnp.sin(theta * 12.5))
    maple = (r - points * (0.72 + 0.28 * smoothstep(-1.0, 0.4, jnp.cos(theta)))) * 0.7
    star = o.shape[0] > 0.7
    blade = jnp.where(star, maple, lens)
    stem = capsule(x, y, -1.15, -0.1, -0.4, 0.0, 0.025, 0.03)
    art.add(stem, rgb("6b4a24"), 0.05)
    cloud = fbm(x * 2.4, y * 2.4, o.seed, px * 2.4)
    hue = mix(o.col[0], o.col[1], (smoothstep(-0.5, 0.6, cloud + 0.4 * x))[..., None])
    side = jnp.abs(jnp.sin((x - jnp.abs(y) * 0.75) * 13))
    spokes = jnp.abs(jnp.sin(theta * 2.5))
    fine = jnp.where(star, smoothstep(0.1, 0.0, spokes * r), smoothstep(0.25, 0.0, side))
    vein = jnp.maximum(smoothstep(0.03, 0.012, jnp.abs(y)), 0.55 * fine)
    curl = 0.22 * (1 - (y / (half + 0.2)) ** 2) + 0.1 * jnp.sin(2.2 * x + o.phase)
    art.add(blade, hue, curl - 0.02 * vein + 0.02 * cloud, gloss=0.35)
    art.mark(inside(blade, px) * vein * 0.55, mix(o.col[1], rgb("f4e3a1"), 0.5), gloss=0.3)
    art.mark(inside(blade, px) * smoothstep(-0.07, 0.0, blade) * 0.35, rgb("5b2a12"))
    return art.done()


def flower(x, y, px, o: Params) -> Look:
    """A flower on its stem, rooted at y = -1; it sways through the object's deformation."""
    art = Canvas(x, px)
    green = mix(rgb("3f8f3a"), rgb("7fae45"), o.shape[3])
    stem = jnp.maximum(jnp.abs(x - 0.04 * jnp.sin(3 * y)) - 0.035, jnp.maximum(y - 0.4, -y - 1.0))
    art.add(stem, green * 0.8, 0.05 + dome(stem, 0.04))
    for side, base, lean in ((1.0, -0.72, 0.6), (-1.0, -0.5, 0.75)):
        lx, ly = turn(x * side, y - base, lean)
        blade = (jnp.abs(ly) - 0.13 * jnp.sin(jnp.pi * jnp.clip(lx / 0.62, 0, 1)) - 0.002) * 0.8
        blade = blade + jnp.maximum(jnp.abs(lx - 0.31) - 0.31, 0)
        rib = smoothstep(0.02, 0.005, jnp.abs(ly))
        art.add(blade, mix(green, green * 1.5, rib[..., None] * 0.6), 0.1 + 0.3 * ly * side + 0.05, gloss=0.3)
    cx, cy = x, (y - 0.45) / (0.92 + 0.08 * o.shape[4])
    r, theta = jnp.hypot(cx, cy), jnp.arctan2(cy, cx) + o.spin
    count = 5 + jnp.floor(o.shape[1] * 11)
    back = 0.5 * (0.78 + 0.22 * jnp.abs(jnp.cos(theta * count * 0.5 + jnp.pi / 2)) ** 0.7)
    wave = jnp.abs(jnp.cos(theta * count * 0.5))
    front = 0.54 * (0.62 + 0.38 * wave ** (0.45 + 0.8 * o.shape[2]))
    for reach, dark, lift in ((back, 0.66, 0.08), (front, 1.0, 0.16)):
        petal = (r - reach) * 0.75
        streak = fbm(theta * 7, r * 3, o.seed, 0.1, octaves=2)
        hue = mix(o.col[0], o.col[1], smoothstep(0.45, 0.1, r)[..., None]) * (1 + 0.25 * streak)[..., None]
        cup = lift + 0.16 * r + 0.1 * wave * smoothstep(0.1, 0.4, r)
        art.add(petal, hue * dark, cup, gloss=0.15)
    heart = circle(cx, cy, 0.15 + 0.1 * o.shape[2])
    seeds, _, _ = cells(cx * 26, cy * 26, o.seed, jitter=0.5)
    pollen = mix(rgb("f4b41a"), rgb("6d3b12"), smoothstep(0.2, 0.6, seeds)[..., None])
    art.add(heart, pollen, 0.24 + dome(heart, 0.16) - 0.03 * seeds, gloss=0.1)
    return art.done()


def starfish(x, y, px, o: Params) -> Look:
    """A five-armed star with bumps and rows of dots."""
    r, theta = jnp.hypot(x, y), jnp.arctan2(x, y)
    sector = jnp.mod(theta + jnp.pi / 5, jnp.pi * 2 / 5) - jnp.pi / 5
    lx, ly = r * jnp.cos(sector), jnp.abs(r * jnp.sin(sector))
    width = 0.3 + 0.1 * o.shape[0]
    arm = capsule(lx, ly, 0.0, 0.0, 0.9, 0.0, width, 0.1)
    sdf = join(arm, circle(x, y, 0.42), 0.15)
    art = Canvas(x, px)
    bump, _, _ = cells(x * 9, y * 9, o.seed, jitter=0.7)
    hue = mix(o.col[0], o.col[1], smoothstep(0.25, 1.0, r)[..., None])
    art.add(sdf, hue, dome(sdf, 0.32) * 0.8 + 0.035 * smoothstep(0.45, 0.1, bump), gloss=0.3)
    ridge = jnp.mod(lx * 7, 1.0) - 0.5
    dots = jnp.hypot(ridge / 7, ly) - 0.032 * smoothstep(1.0, 0.3, lx)
    art.mark(inside(dots, px) * smoothstep(0.06, 0.14, lx), mix(o.col[2], _WHITE, 0.5), gloss=0.3)
    art.mark(inside(sdf, px) * smoothstep(0.3, 0.05, bump) * 0.35, mix(o.col[1], _WHITE, 0.4))
    return art.done()
