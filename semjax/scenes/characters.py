"""Characters: farm animals that walk, a snowman, a pinwheel."""

import jax.numpy as jnp

from semjax.scenes.colour import rgb
from semjax.scenes.look import Canvas, Look, Params
from semjax.scenes.noise import cells, fbm, mix, smoothstep
from semjax.scenes.shapes import box, capsule, circle, convex, dome, ellipse, inside, join, turn

_WHITE, _INK = rgb("fbf9f2"), rgb("1f1c20")


def _legs(art: Canvas, x, y, o: Params, coat, hoof):
    """Four legs that swing in pairs; the far pair darker and first."""
    for far, hips in ((1.0, (-0.3, 0.46)), (0.0, (-0.42, 0.34))):
        for k, hip in enumerate(hips):
            swing = 0.17 * jnp.sin(o.phase + jnp.pi * (k + far))
            lift = 0.06 * jnp.maximum(jnp.cos(o.phase + jnp.pi * (k + far)), 0.0)
            leg = capsule(x, y, hip, -0.15, hip + swing, -0.85 + lift, 0.11, 0.075)
            art.add(leg, coat * (1 - 0.45 * far), 0.05 + dome(leg, 0.09))
            art.mark(inside(leg, art.px) * smoothstep(-0.72 + lift, -0.78 + lift, y), hoof, gloss=0.3)


def critter(x, y, px, o: Params) -> Look:
    """An animal that walks to the right: sheep, dog, pig or cow by `shape[0]`; `phase` is its step."""
    art = Canvas(x, px)
    kind = jnp.floor(o.shape[0] * 4)
    sheep, dog, pig, cow = ((kind == k) * 1.0 for k in (0, 1, 2, 3))
    cow = jnp.where(kind >= 3, 1.0, cow)
    coat = sheep * rgb("f4efe2") + dog * mix(rgb("c98a4b"), rgb("6b4630"), o.shape[1])
    coat = coat + pig * rgb("f2a7b0") + cow * rgb("f7f3ea")
    patch = sheep * rgb("d9d0bd") + dog * rgb("f3dfc0") + pig * rgb("e28a98") + cow * rgb("2a2426")
    face = sheep * rgb("3a3334") + (1 - sheep) * coat
    limb = sheep * rgb("3a3334") + (1 - sheep) * coat * 0.92
    nod = 0.03 * jnp.sin(o.phase * 2)
    wag = 0.3 * jnp.sin(o.phase * 2 + 1)
    tip_x, tip_y = -0.86 - 0.08 * dog, 0.2 + 0.42 * dog - 0.25 * cow + 0.25 * wag * dog
    tail = capsule(x, y, -0.58, 0.2, tip_x, tip_y, 0.07, 0.035 + 0.05 * sheep)
    art.add(tail, mix(coat, patch, 0.5), 0.05 + dome(tail, 0.06))
    _legs(art, x, y, o, limb, mix(limb, _INK, 0.75))
    curl, _, _ = cells(x * 6.5, y * 6.5, o.seed, jitter=0.5)
    woolly = sheep * 0.06 * smoothstep(0.75, 0.1, curl)
    neck = capsule(x, y, 0.42, 0.2, 0.68, 0.36 + nod, 0.24, 0.19)
    body = join(ellipse(x + 0.08, y - 0.06, 0.66, 0.4), neck, 0.35) - woolly
    blot = fbm(x * 2.3, y * 2.3, o.seed, px * 2, octaves=2)
    spots = smoothstep(0.02, 0.02 + 3 * px + 0.02, blot - 0.08) * (cow + 0.5 * dog)
    hide = mix(coat, patch, spots[..., None]) * (1 - 0.22 * sheep * smoothstep(0.25, 0.6, curl))[..., None]
    belly = smoothstep(-0.1, -0.4, y) * (dog + pig) * 0.45
    art.add(body, mix(hide, patch, belly[..., None]), 0.15 + dome(body, 0.42) + woolly, gloss=0.08)
    hx, hy = x - 0.72, y - 0.4 - nod
    far_ear = ellipse(*turn(hx + 0.16, hy - 0.2, 0.9), 0.16, 0.07)
    art.add(far_ear, face * 0.6, 0.1)
    snout = ellipse(hx - 0.2, hy + 0.08, 0.2 - 0.04 * pig, 0.13)
    head = join(ellipse(hx, hy, 0.25, 0.23), snout, 0.12)
    art.add(head, face, 0.42 + dome(head, 0.22), gloss=0.12)
    muzzle = inside(snout - 0.01, px * 3) * smoothstep(0.06, 0.16, hx)
    soft = pig * rgb("ef8f9e") + cow * rgb("f0b8ae") + dog * rgb("f3dfc0") + sheep * rgb("4a4142")
    art.mark(muzzle * 0.9, soft, gloss=0.2)
    nose = ellipse(hx - 0.37, hy + 0.03, 0.05, 0.045)
    art.mark(inside(nose, px) * (1 - pig), _INK, gloss=0.7)
    holes = circle(hx - 0.31, jnp.abs(hy + 0.06) - 0.035, 0.02)
    art.mark(inside(holes, px) * pig, rgb("9c4a58"))
    art.mark(inside(circle(hx - 0.07, hy - 0.07, 0.055), px), _WHITE, gloss=0.7)
    art.mark(inside(circle(hx - 0.085, hy - 0.07, 0.036), px), _INK, gloss=0.9)
    art.mark(inside(circle(hx - 0.095, hy - 0.085, 0.013), px), _WHITE, glow=0.5)
    droop = 1.3 * dog + 0.35 * (1 - dog)
    ear = ellipse(*turn(hx + 0.16, hy - 0.14 + 0.08 * dog, -droop), 0.19, 0.085)
    art.add(ear, mix(face, patch, 0.35 * (1 - sheep)), 0.66 + dome(ear, 0.07))
    horn = capsule(hx, hy, -0.03, 0.2, 0.03, 0.36, 0.045, 0.015)
    art.add(jnp.where(cow > 0, horn, 9.0), rgb("efe2c4"), 0.5, gloss=0.4)
    tuft = circle(hx + 0.08, hy - 0.2, 0.13) - 0.3 * woolly
    art.add(jnp.where(sheep > 0, tuft, 9.0), hide, 0.7 + dome(tuft, 0.12))
    return art.done()


def snowman(x, y, px, o: Params) -> Look:
    """A snowman with hat, scarf, coal buttons and a carrot."""
    art = Canvas(x, px)
    for side in (-1.0, 1.0):
        arm = capsule(x * side, y, 0.3, 0.1, 0.78, 0.36 + 0.06 * jnp.sin(o.phase + side), 0.025, 0.018)
        twig = capsule(x * side, y, 0.66, 0.28, 0.74, 0.46, 0.018, 0.012)
        art.add(jnp.minimum(arm, twig), rgb("5a3d26"), 0.05)
    rough = 0.03 * fbm(x * 5, y * 5, o.seed, px * 5)
    for cy, r in ((-0.56, 0.45), (0.06, 0.33), (0.52, 0.235)):
        lump = circle(x, y - cy, r) + 0.3 * rough
        art.add(lump, rgb("f4f8ff"), dome(lump, r) + rough, gloss=0.25)
    button = circle(x - 0.03, jnp.mod(y + 0.16, 0.15) - 0.075, 0.032)
    art.mark(inside(button, px) * (y > -0.2) * (y < 0.24), _INK, gloss=0.6)
    for ex in (-0.085, 0.085):
        art.mark(inside(circle(x - ex, y - 0.58, 0.03), px), _INK, gloss=0.8)
    smile = jnp.abs(circle(x, y - 0.55, 0.14)) - 0.014
    dots = jnp.abs(jnp.sin(jnp.arctan2(x, 0.55 - y) * 9))
    art.mark(inside(jnp.maximum(smile, y - 0.46), px) * smoothstep(0.3, 0.6, dots), _INK)
    carrot = convex(x, y, (-0.02, 0.49), (0.27, 0.5), (-0.02, 0.56)) - 0.012
    art.add(carrot, rgb("f0801f"), 0.35 + dome(carrot, 0.05), gloss=0.3)
    stripe = 0.5 + 0.5 * jnp.sign(jnp.sin(x * 26))
    wool = mix(o.col[0], o.col[1], stripe[..., None])
    wrap = box(x, y - 0.3 - 0.25 * x * x, 0.25, 0.065, 0.05)
    tail = box(*turn(x - 0.16, y - 0.12, 0.15 + 0.1 * jnp.sin(o.phase)), 0.065, 0.2, 0.02)
    hang = mix(o.col[0], o.col[1], (0.5 + 0.5 * jnp.sign(jnp.sin(y * 26)))[..., None])
    art.add(tail, hang, 0.36 + dome(tail, 0.05))
    art.add(wrap, wool, 0.42 + dome(wrap, 0.07))
    hx, hy = turn(x, y - 0.72, -0.08)
    brim = box(hx, hy, 0.31, 0.03, 0.02)
    crown = box(hx, hy - 0.15, 0.2 - 0.03 * hy, 0.16, 0.03)
    hat = o.col[2] * 0.35
    art.add(crown, hat, 0.2 + jnp.sqrt(jnp.maximum(0.05 - hx * hx, 0.0)), gloss=0.3)
    art.mark(inside(crown, px) * inside(jnp.abs(hy - 0.06) - 0.035, px), o.col[0])
    art.add(brim, hat, 0.34 + dome(brim, 0.04), gloss=0.3)
    return art.done()


def pinwheel(x, y, px, o: Params) -> Look:
    """A paper pinwheel on a stick; it turns with `spin`."""
    art = Canvas(x, px)
    stick = jnp.maximum(jnp.abs(x) - 0.035, jnp.maximum(y - 0.4, -y - 1.0))
    art.add(stick, rgb("efe0c6"), dome(stick, 0.03), gloss=0.3)
    r, theta = jnp.hypot(x, y - 0.4), jnp.arctan2(y - 0.4, x) + o.spin
    many = 4 + jnp.floor(o.shape[0] * 3) * 2
    turnpart = theta * many / (2 * jnp.pi)
    part = turnpart - jnp.floor(turnpart)
    which = jnp.mod(jnp.floor(turnpart), 2.0)
    # Each sail: straight leading edge, curved trailing edge, folded back to the hub.
    reach = 0.6 * (0.34 + 0.66 * jnp.sqrt(jnp.clip(part, 0.0, 1.0)))
    sail = (r - reach) * 0.7
    hue = mix(o.col[0], o.col[1], which[..., None])
    back = smoothstep(0.0, 0.5, part - 0.9 * r / 0.6 + 0.25)
    hue = mix(mix(hue, o.col[2], 0.7), hue, back[..., None])
    dots, _, _ = cells(part * 5, r * 9, 3, jitter=0.0)
    hue = mix(hue, _WHITE, (smoothstep(0.26, 0.2, dots) * back * (o.shape[1] > 0.5))[..., None])
    art.add(sail, hue, 0.1 + 0.28 * part * r / 0.6, gloss=0.3)
    pin = circle(x, y - 0.4, 0.07)
    art.add(pin, rgb("f6d04a"), 0.3 + dome(pin, 0.07), gloss=0.8)
    return art.done()
