"""Made things: balls, boxes, vehicles, boats, rubber ducks."""

import jax.numpy as jnp
import numpy as np

from semjax.scenes.colour import rgb
from semjax.scenes.look import Canvas, Look, Params, look, square
from semjax.scenes.noise import fbm, mix, smoothstep
from semjax.scenes.shapes import box, capsule, circle, convex, dome, ellipse, inside, join, turn

_WHITE, _INK, _RUBBER, _GLASS = rgb("f8f6f0"), rgb("23222a"), rgb("2c2b30"), rgb("a9d6ea")
_GOLDEN = (1 + 5**0.5) / 2
_ICOSA = np.array(
    [(0, a, b * _GOLDEN) for a in (-1, 1) for b in (-1, 1)], np.float32
) / np.sqrt(1 + _GOLDEN**2)  # fmt: skip
_ICOSA = np.concatenate([_ICOSA, np.roll(_ICOSA, 1, 1), np.roll(_ICOSA, 2, 1)])  # 12 corners of a football


def ball(x, y, px, o: Params) -> Look:
    """A ball that really rolls: beach ball, football, basketball, or covered by the object's material."""
    r2 = x * x + y * y
    z = jnp.sqrt(jnp.maximum(1 - r2, 1e-4))
    tx, tz = turn(x, z, o.spin)  # turn about the vertical axis, then tilt the poles towards the viewer
    ty, tz = turn(y, tz, 0.9 * o.shape[1] + 0.25)
    lon, lat = jnp.arctan2(tx, tz), jnp.arcsin(jnp.clip(ty, -0.999, 0.999))
    rim = px / jnp.maximum(z, 0.15)
    gore = jnp.mod(lon / jnp.pi * 3 + 3, 6.0)
    colours = jnp.concatenate([o.col[:1], _WHITE[None], o.col[1:2], _WHITE[None], o.col[2:3], _WHITE[None]])
    beach = jnp.zeros((*x.shape, 3))
    edge = rim * 1.2 / jnp.maximum(jnp.cos(lat), 0.1)
    for k in range(6):
        away = jnp.abs(jnp.mod(gore - k + 2.5, 6.0) - 3.0)
        beach = beach + colours[k] * inside(away - 0.5, edge)[..., None]
    cap = inside(1.32 - jnp.abs(lat), rim)
    beach = beach + (o.col[0] - beach) * cap[..., None]
    towards = jnp.stack([tx * a + ty * b + tz * c for a, b, c in _ICOSA])
    corners = jnp.max(towards, 0)
    second = jnp.max(jnp.where(towards < corners, towards, -1.0), 0)
    patch = smoothstep(0.925 - rim, 0.925 + rim, corners)
    seam = smoothstep(0.018 + rim, 0.018 - rim, jnp.abs(corners - second)) * (1 - patch)
    foot = mix(_WHITE, o.col[3] * 0.25, patch[..., None]) * (1 - 0.55 * seam[..., None])
    lines = jnp.minimum(jnp.minimum(jnp.abs(tx), jnp.abs(ty)), jnp.abs(jnp.abs(tx) - 0.62))
    basket = mix(rgb("d9681d"), rgb("2a1a12"), smoothstep(0.03 + rim, 0.03 - rim, lines)[..., None])
    style = o.shape[0]
    colour = jnp.where(style < 0.3, beach, jnp.where(style < 0.45, foot, basket))
    plain = (style >= 0.6) * 1.0
    gloss = jnp.where(style < 0.3, 0.7, jnp.where(style < 0.6, 0.25, 0.3 + 0.7 * o.shape[2]))
    return look(circle(x, y, 1.0), z, colour, u=lon * 0.8, v=lat, paint=plain, gloss=gloss)


def dice(x, y, px, o: Params) -> Look:
    """A cube seen from above a corner, turning: dice, wooden block, present with a ribbon."""
    yaw, pitch = o.spin + 0.6, 0.5 + 0.2 * o.shape[1]
    half = 0.62
    cy, sy, cp, sp = jnp.cos(yaw), jnp.sin(yaw), jnp.cos(pitch), jnp.sin(pitch)
    # Rows: the cube's axes in view coordinates (x right, y up, z to the viewer).
    axes = jnp.array([[cy, sy * sp, -sy * cp], [0.0, cp, sp], [sy, -cy * sp, cy * cp]])
    planes = []
    for k in range(3):
        gx, gy = axes[k, 0], axes[k, 1]
        norm = jnp.sqrt(gx * gx + gy * gy + 1e-6)
        reach = sum(jnp.abs(-gy * axes[j, 0] + gx * axes[j, 1]) for j in range(3)) * half
        planes.append((jnp.abs(-gy * x + gx * y) - reach) / norm)
    sdf = jnp.maximum(jnp.maximum(planes[0], planes[1]), planes[2])
    # The face that a ray along the view axis meets first, and the place on it.
    depth = [
        (half - jnp.sign(axes[k, 2]) * (x * axes[k, 0] + y * axes[k, 1])) / (jnp.abs(axes[k, 2]) + 1e-4)
        for k in range(3)
    ]
    z = jnp.minimum(jnp.minimum(depth[0], depth[1]), depth[2])
    px0, px1, px2 = (x * axes[k, 0] + y * axes[k, 1] + z * axes[k, 2] for k in range(3))
    on0, on1 = (depth[0] <= z) * 1.0, (depth[1] <= z) * 1.0
    u = jnp.where(on0 > 0, px2, px0) / half
    v = jnp.where(on1 > 0, px2, px1) / half
    eye = circle(jnp.abs(u) - 0.48, jnp.abs(v) - 0.48, 0.17)
    middle = circle(u, v, 0.19)
    row = circle(jnp.abs(u) - 0.48, v, 0.17)
    pips = jnp.where(on1 > 0, jnp.minimum(eye, middle), jnp.where(on0 > 0, middle, jnp.minimum(eye, row)))
    w = px / half * 1.5
    die = mix(mix(_WHITE, o.col[0], 1.0 * (o.shape[3] > 0.4)), _WHITE, inside(pips, w)[..., None])
    die = jnp.where(o.shape[3] > 0.4, die, mix(_WHITE, _INK, inside(pips, w)[..., None]))
    ribbon = inside(jnp.minimum(jnp.abs(u), jnp.abs(v)) - 0.16, w)
    gift = mix(o.col[0], o.col[2], ribbon[..., None])
    frame = inside(0.78 - jnp.maximum(jnp.abs(u), jnp.abs(v)), w)
    block = mix(rgb("e3b778") * (1 + 0.12 * fbm(u, v * 6, o.seed, w))[..., None], o.col[0], frame[..., None])
    badge = inside(jnp.where(on0 > 0, circle(u, v, 0.42), box(u, v, 0.36, 0.36, 0.1)), w)
    block = mix(block, o.col[1], badge[..., None])
    style = o.shape[0]
    colour = jnp.where(style < 0.4, die, jnp.where(style < 0.7, gift, block))
    edge = jnp.maximum(jnp.abs(u), jnp.abs(v))
    colour = colour * (1 - 0.25 * smoothstep(0.9, 1.0, edge))[..., None]
    return look(sdf, jnp.where(sdf < 0, z, 0.0), colour, gloss=jnp.where(style < 0.4, 0.6, 0.25))


def _wheel(art: Canvas, x, y, cx, r, o: Params):
    """A rubber tyre with a hub and five spokes that turn with `o.spin`."""
    wx, wy = turn(x - cx, y + 0.55, -o.spin)
    d = circle(wx, wy, r)
    art.add(d, _RUBBER, 0.25 + dome(d, 0.12), gloss=0.2)
    hub = inside(circle(wx, wy, r * 0.62), art.px)
    spoke = square(jnp.arctan2(wy, wx) / jnp.pi * 5, 0.15)
    metal = mix(rgb("d9dce0"), rgb("6f737a"), (spoke * smoothstep(0.05, 0.12, jnp.hypot(wx, wy)))[..., None])
    art.mark(hub, metal, 0.33, gloss=0.8)


def car(x, y, px, o: Params) -> Look:
    """A toy car facing right: saloon, van or pick-up by `shape[0]`; the wheels turn with `spin`."""
    art = Canvas(x, px)
    van = smoothstep(0.55, 0.6, o.shape[0])
    back, top = mix(-0.55, -0.86, van), mix(0.42, 0.5, van)
    body = box(x, y + 0.22, 1.0, 0.3, 0.2)
    roof = convex(x, y, (back - 0.12, -0.1), (0.62, -0.1), (0.36, top), (back + 0.08, top)) - 0.06
    shell = join(body, roof, 0.12)
    arch = jnp.minimum(circle(x + 0.55, y + 0.55, 0.3), circle(x - 0.58, y + 0.55, 0.3))
    art.add(shell, o.col[0], dome(shell, 0.35), gloss=0.85)
    art.mark(inside(arch, px) * inside(shell, px), _RUBBER * 0.35, 0.1, gloss=0.0)
    band = inside(jnp.abs(y + 0.27) - 0.05, px) * inside(shell + 0.02, px)
    art.mark(band * (o.shape[1] > 0.4), o.col[1], gloss=0.7)
    glass = convex(x, y, (back + 0.02, 0.0), (0.52, 0.0), (0.33, top - 0.06), (back + 0.13, top - 0.06))
    pillar = jnp.abs(x - mix(-0.05, 0.02, van)) - 0.035
    pane = jnp.maximum(glass, -pillar)
    sheen = mix(
        _GLASS * 0.35, _GLASS, smoothstep(0.0, 0.16, jnp.mod(x * 0.8 - y * 0.8 + 0.3, 0.55) - 0.2)[..., None]
    )
    art.mark(inside(pane, px), sheen, 0.28, gloss=0.9)
    art.mark(inside(ellipse(x - 0.93, y + 0.14, 0.07, 0.09), px), rgb("fff3c4"), glow=0.5)
    art.mark(inside(box(x + 0.97, y + 0.14, 0.05, 0.08, 0.02), px), rgb("d01f26"), glow=0.2)
    door = jnp.abs(box(x - 0.13, y + 0.12, 0.24, 0.3, 0.08)) - 0.008
    art.mark(inside(door, px) * inside(shell, px) * 0.5, o.col[0] * 0.3)
    art.mark(inside(capsule(x, y, 0.02, -0.08, 0.1, -0.08, 0.02), px), rgb("e8e8ea"), gloss=0.9)
    art.add(box(x, y + 0.5, 0.98, 0.05, 0.04), rgb("8c9096"), 0.2, gloss=0.7)
    for cx in (-0.55, 0.58):
        _wheel(art, x, y, cx, 0.25, o)
    return art.done()


def boat(x, y, px, o: Params) -> Look:
    """A small sailing boat facing right; its bottom hides below the waterline at y = -0.72."""
    art = Canvas(x, px)
    luff = 0.03 * jnp.sin(o.phase + 3 * y)  # the sails breathe with the wind
    art.add(capsule(x, y, 0.0, -0.5, 0.0, 1.0, 0.035, 0.02), rgb("8a5a35"), 0.1)
    belly = 0.12 * jnp.sin(jnp.clip((y + 0.35) / 1.3, 0, 1) * jnp.pi)
    main = convex(x - belly - luff, y, (0.06, -0.38), (0.82, -0.34), (0.06, 0.95))
    jib = convex(x + 0.6 * belly + luff, y, (-0.06, 0.75), (-0.72, -0.34), (-0.06, -0.36))
    fold = 0.1 * jnp.sin(jnp.clip((x + 0.05) / 0.8, 0, 1) * jnp.pi) + 0.1
    art.add(main, o.col[0], fold, paint=1.0, gloss=0.05)
    art.add(jib, o.col[2], 0.12 + 0.1 * x, gloss=0.05)
    flag = box(
        x - 0.12 - 0.02 * jnp.sin(o.phase * 2), y - 0.98 - 0.02 * jnp.sin(9 * x - o.phase * 3), 0.12, 0.06
    )
    art.add(flag, o.col[3], 0.1)
    sheer = 0.1 * x * x
    hull = convex(x, y - sheer, (-0.78, -0.48), (-0.55, -0.95), (0.55, -0.95), (0.98, -0.48))
    hull = jnp.maximum(hull, -(y + 0.74 + 0.012 * jnp.sin(14 * x + o.time * 4)))
    plank = 0.5 + 0.5 * jnp.sin((y - sheer) * 60)
    wood = mix(o.col[1], o.col[1] * 0.7, (plank * 0.4)[..., None])
    art.add(hull, wood, 0.25 + dome(hull, 0.3), gloss=0.4)
    stripe = inside(jnp.abs(y - sheer + 0.53) - 0.035, px) * inside(hull, px)
    art.mark(stripe, _WHITE, gloss=0.4)
    return art.done(u=x * 1.2, v=y)


def duck(x, y, px, o: Params) -> Look:
    """A rubber duck facing right."""
    art = Canvas(x, px)
    yellow = mix(rgb("ffc61a"), o.col[0], 1.0 * (o.shape[0] > 0.7))
    tail = capsule(x, y, -0.6, -0.2, -0.95, 0.22, 0.3, 0.04)
    torso = join(ellipse(x + 0.05, y + 0.38, 0.88, 0.55), tail, 0.3)
    head = circle(x - 0.42, y - 0.42, 0.45)
    bill = jnp.minimum(ellipse(x - 0.92, y - 0.37, 0.2, 0.075), ellipse(x - 0.88, y - 0.27, 0.16, 0.055))
    art.add(bill, rgb("f0691c"), 0.2 + dome(bill, 0.08), gloss=0.6)
    body = join(torso, head, 0.22)
    art.add(body, yellow, dome(torso, 0.55) + 0.15, gloss=0.65)
    art.mark(inside(head, px * 3), yellow, 0.2 + dome(head, 0.45), gloss=0.65)
    wx, wy = turn(x + 0.2, y + 0.3, 0.15 + 0.06 * jnp.sin(o.phase))
    wing = join(ellipse(wx, wy, 0.42, 0.25), capsule(wx, wy, -0.2, 0.05, -0.5, 0.16, 0.14, 0.05), 0.1)
    art.mark(inside(wing, px), yellow * 0.9, 0.75 + dome(wing, 0.2), gloss=0.6)
    eye = circle(x - 0.58, y - 0.53, 0.085)
    art.mark(inside(eye, px), _INK, gloss=0.9)
    art.mark(inside(circle(x - 0.61, y - 0.56, 0.03), px), _WHITE, glow=0.4)
    return art.done()
