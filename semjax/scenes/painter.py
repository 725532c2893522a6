"""The renderer: one frame is one pure step, a clip maps over it.

Objects are painted from the farthest to the nearest. Each first casts its shadow (or, over water, its
reflection) on whatever lies behind it, then covers it. Normals come from the height profile by central
differences on the pixel grid, so every bump of every family is lit without further ado.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes import backdrop
from semjax.scenes import families as fam
from semjax.scenes.colour import rgb, to_srgb, tone
from semjax.scenes.look import Params, material, narrow_switch
from semjax.scenes.noise import fbm, mix, smoothstep
from semjax.scenes.shapes import turn
from semjax.scenes.state import THEMES, Motion, Scene, SceneConfig

_REEF = THEMES.index("reef")
_WATER = 2  # number of the lower part that mirrors


class Frame(NamedTuple):
    """One rendered frame."""

    image: jax.Array  # [H, W, 3] float32, sRGB in [0, 1]
    labels: jax.Array  # [H, W] uint8
    depth: jax.Array  # [H, W] float32, distance of what is seen


def _pick(tree, index):
    return jax.tree.map(lambda a: a[index], tree)


def _rays(scene: Scene, t, cfg: SceneConfig, ox, oy) -> backdrop.View:
    """View rays through the pixel centres, moved by (ox, oy) pixels."""
    cam = _pick(scene.camera, t)
    u = (jnp.arange(cfg.width)[None, :] + 0.5 + ox - cfg.width / 2) / cfg.height
    v = -(jnp.arange(cfg.height)[:, None] + 0.5 + oy - cfg.height / 2) / cfg.height
    u, v = jnp.broadcast_arrays(u, v)
    u, v = turn(u, v, cam.roll)
    return backdrop.View(
        u - cam.du, v - cam.dv, 1.0 / cfg.height, cam.x, cam.y, cam.focal, t / cfg.fps
    )


def _bend(a, b, wave, phase):
    """Sideways shift of a body's point by its wave; growing away from the head or the root."""
    axis, amount, number = jnp.moveaxis(wave, -1, 0)
    along = jnp.where(axis < 0.5, (0.55 - a) / 1.5, (b + 1) / 2)
    where = jnp.where(axis < 0.5, a, b)
    shift = amount * jnp.maximum(along, 0.0) ** 1.6 * jnp.sin(number * where + phase)
    return jnp.where(axis < 0.5, 0.0, shift), jnp.where(axis < 0.5, shift, 0.0)


def to_own(x, y, one, things, family):
    """World (x, y) in the object's plane -> its own, unbent coordinates."""
    wide = 1 / jnp.sqrt(one.squash)
    a, b = turn((x - one.x) / (one.size * wide), (y - one.y) / (one.size * one.squash), one.angle)
    a = a * things.face
    wave = jnp.asarray(fam.WAVE)[family]
    da, db = _bend(a, b, wave, one.wave)
    return a - da, b - db


def from_own(a, b, one, things, family):
    """The inverse of `to_own`."""
    da, db = _bend(a, b, jnp.asarray(fam.WAVE)[family], one.wave)
    x, y = turn((a + da) * things.face, b + db, -one.angle)
    wide = 1 / jnp.sqrt(one.squash)
    return one.x + x * one.size * wide, one.y + y * one.size * one.squash


def _slopes(field, scale):
    """Central differences of [H, W] along right and up, in units of the field per `scale`."""
    padded = jnp.pad(field, 1, mode="edge")
    dx = (padded[1:-1, 2:] - padded[1:-1, :-2]) / (2 * scale)
    dy = (padded[:-2, 1:-1] - padded[2:, 1:-1]) / (2 * scale)
    return dx, dy


def _shade(colour, art, px, light, wet, point, time, seed):
    """Lit colour [H, W, 3] of an object: wrapped Lambert, hemisphere ambient, highlight, rim."""
    hx, hy = _slopes(art.height, px)
    hx, hy = hx / (1 + 0.12 * jnp.abs(hx)), hy / (1 + 0.12 * jnp.abs(hy))
    norm = jax.lax.rsqrt(hx * hx + hy * hy + 1.0)
    nx, ny, nz = -hx * norm, -hy * norm, norm
    lx, ly, lz = light.toward
    facing = nx * lx + ny * ly + nz * lz
    diffuse = jnp.clip((facing + 0.22) / 1.22, 0, 1) ** 1.25
    ambient = mix(light.ground, light.sky, (0.5 + 0.5 * ny)[..., None])
    half = light.toward + jnp.array([0.0, 0.0, 1.0])
    half = half / jnp.linalg.norm(half)
    spec = jnp.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    sharp = 10 + 110 * art.gloss**2
    shine = art.gloss * (0.55 * spec**sharp + 0.12 * spec ** (sharp * 0.2))
    rim = (1 - nz) ** 3 * (0.08 + 0.45 * art.gloss)
    sun = light.sun
    web = backdrop.caustics(point[0] * 1.6, point[1] * 1.6 + 3, time, seed, 0.02)
    sun = sun * (1 + wet * (1.1 * web * jnp.clip(ny + 0.4, 0, 1) - 0.15))[..., None]
    lit = colour * (sun * diffuse[..., None] * 0.78 + ambient * 0.8)
    lit = lit + sun * shine[..., None] + light.sky * (rim * jnp.clip(0.4 + ny, 0, 1))[..., None]
    return lit + colour * art.glow[..., None]


def _object_step(scene, view, t, light, cfg):
    """The body of the scan over objects: (picture, labels, depth) with one object cast or painted."""
    water = jnp.asarray(backdrop.LOWER)[scene.theme] == _WATER
    wet = (scene.theme == _REEF) * 1.0
    outdoors = jnp.asarray(backdrop.UPPER)[scene.theme] == 0
    fog_colour = jnp.where(wet > 0, mix(rgb("1b7fa6"), scene.bg[1], 0.2), light.sky)
    kinds = fam.possible(cfg.themes)
    lx, ly, lz = light.toward
    ripple = fbm(view.u * 9, view.v * 60 + view.time * 2.2, scene.seed, 0.0, octaves=2)

    def step(carry, what):
        picture, labels, depth = carry
        index, casting = what
        one, things = _pick(scene.tracks, (t, index)), _pick(scene.things, index)
        family = things.family
        plane = one.z / view.focal
        # Painting looks straight at the object's plane; a shadow follows the light from what is behind
        # back to the plane; a reflection looks at the plane upside down.
        x, y = view.x + view.u * plane, view.y + view.v * plane
        back = jnp.maximum(depth - one.z, 0.0) / lz
        sx = view.x + view.u * depth / view.focal + lx * back
        sy = view.y + view.v * depth / view.focal + ly * back
        wave = ripple * one.size * 0.1 * (1 - 2 * jnp.minimum(y, 0.0))
        shadow_x, shadow_y = jnp.where(water, x + wave, sx), jnp.where(water, -y + 0.3 * wave, sy)
        a, b = to_own(
            jnp.where(casting, shadow_x, x), jnp.where(casting, shadow_y, y), one, things, family
        )
        px = plane / cfg.height / one.size
        params = Params(things.col, things.shape, things.seed, one.phase, one.spin, view.time)
        art = narrow_switch(family, kinds, [lambda f=f: f.draw(a, b, px, params) for f in fam.FAMILIES])
        gx, gy = _slopes(art.sdf, px)
        steep = jnp.clip(jnp.sqrt(gx * gx + gy * gy), 0.25, 4.0)
        cover = jnp.clip(0.5 - art.sdf / (steep * px), 0, 1)
        coat = material(things.material, art.u, art.v, px, things.col, things.freq, things.seed)
        colour = mix(art.rgb, coat, art.paint[..., None])
        lit = _shade(colour, art, px, light, wet, (x, y), view.time, scene.seed)
        fog = 1 - jnp.exp(-jnp.maximum(one.z - 3, 0) * jnp.where(wet > 0, 0.06, jnp.where(outdoors, 0.012, 0.0)))
        lit = mix(lit, fog_colour, fog)
        exists = family > 0
        # Cast: reflection over water, soft shadow elsewhere, softer the farther it falls.
        soft = 0.05 + 0.12 * jnp.minimum(back / one.size, 6.0)
        dark = smoothstep(soft, -soft, art.sdf) * jnp.exp(-0.18 * back / one.size)
        dark = dark * (depth < 60) * (depth > one.z - 1e-3) * 0.62
        contact = ((sx - lx * back - one.x) / one.size) ** 2 + ((depth - one.z) / (0.6 * one.size)) ** 2
        lift = one.y - jnp.asarray(fam.FOOT)[family] * one.size * one.squash
        ground = (view.y + view.v * depth / view.focal) < 0.05
        ao = 0.5 * jnp.exp(-contact * 1.4 - 3.0 * jnp.maximum(lift, 0) / one.size) * ground * (depth < 60)
        dark = 1 - (1 - dark * jnp.max(light.sun) / 1.8) * (1 - ao)
        shadow_tint = mix(jnp.ones(3), jnp.array([0.82, 0.9, 1.0]), outdoors * 0.7)
        shaded = picture * (1 - dark[..., None] * (1 - 0.12 * shadow_tint))
        seen = cover * (labels == 0) * (y < 0) * 0.55 * jnp.exp(0.5 * jnp.minimum(y, 0) / one.size)
        mirrored = mix(picture, lit * 0.8, (seen * (1 - 0.35 * ripple))[..., None])
        cast = jnp.where(water, mirrored, shaded)
        halo = jnp.asarray(fam.HALO)[family] * jnp.exp(-3.2 * jnp.maximum(art.sdf, 0))
        around = picture + halo[..., None] * mix(things.col[0], rgb("ffc978"), 0.5)
        covered = mix(around, lit, (cover * art.alpha)[..., None])
        picture = jnp.where(exists, jnp.where(casting, cast, covered), picture)
        own = exists & ~casting & (art.sdf < 0)
        labels = jnp.where(own, (index + 1).astype(jnp.uint8), labels)
        depth = jnp.where(own, one.z, depth)
        return (picture, labels, depth), None

    return step


def _paint(scene: Scene, t, cfg: SceneConfig, ox, oy):
    """Linear picture, labels and depth seen through pixels shifted by (ox, oy)."""
    view = _rays(scene, t, cfg, ox, oy)
    light = _pick(scene.light, t)
    picture, depth = backdrop.paint(view, scene, cfg.themes)
    labels = jnp.zeros((cfg.height, cfg.width), jnp.uint8)
    order = jnp.argsort(-scene.tracks.z[t])
    turns = jnp.repeat(order, 2), jnp.tile(jnp.array([True, False]), cfg.max_objects)
    step = _object_step(scene, view, t, light, cfg)
    (picture, labels, depth), _ = jax.lax.scan(step, (picture, labels, depth), turns)
    return _finish(picture, view, scene), labels, depth


def _finish(picture, view, scene):
    """Light shafts under water, then a faint vignette."""
    fan = (view.u - (scene.mood[2] - 0.5)) / (1.15 - view.v)
    shaft = fbm(fan * 5 + 0.1 * view.time, jnp.full_like(fan, 0.25) * view.time, scene.seed, 0.0, octaves=3)
    strength = smoothstep(-0.15, 0.6, shaft) * smoothstep(-0.45, 0.7, view.v) * (scene.theme == _REEF) * 0.32
    picture = picture + strength[..., None] * rgb("c9fff2")
    edge = (view.u * view.u + view.v * view.v) * 0.22
    return picture * (1 - jnp.clip(edge, 0, 0.35))[..., None]


def render_frame(scene: Scene, t, cfg: SceneConfig) -> Frame:
    """Frame number `t` (int, may be traced) of `scene`. Labels and depth belong to the pixel centres."""
    if cfg.supersample == 1:
        picture, labels, depth = _paint(scene, t, cfg, 0.0, 0.0)
    else:
        n = cfg.supersample
        grid = (np.arange(n) + 0.5) / n - 0.5
        offsets = jnp.array([(a, b) for a in grid for b in grid] + [(0.0, 0.0)], jnp.float32)
        pictures, labels, depths = jax.lax.map(lambda o: _paint(scene, t, cfg, o[0], o[1]), offsets)
        picture, labels, depth = jnp.mean(pictures[:-1], 0), labels[-1], depths[-1]
    return Frame(jnp.clip(to_srgb(tone(picture)), 0, 1), labels, depth)


def motion(scene: Scene, cfg: SceneConfig) -> Motion:
    """Similarity motion of every object on the screen, [T, O]; see `Motion`. Jit-able, vmap-able."""
    cam = jax.tree.map(lambda a: a[:, None], scene.camera)
    tr, th = scene.tracks, scene.things
    family = th.family
    u, v = _screen(tr.x, tr.y, tr.z, cam)
    centre = jnp.stack([u * cfg.height + cfg.width / 2, cfg.height / 2 - v * cfg.height], -1)
    unit = tr.size * cam.focal / tr.z * cfg.height
    scale = jnp.stack([unit / jnp.sqrt(tr.squash), unit * tr.squash], -1)
    radius = unit * jnp.asarray(fam.REACH)[family]
    cx, cy = centre[..., 0], centre[..., 1]
    inside = (cx > -radius) & (cx < cfg.width + radius) & (cy > -radius) & (cy < cfg.height + radius)
    flip = jnp.broadcast_to(th.face, tr.x.shape)
    return Motion(centre, tr.angle + cam.roll, scale, flip, tr.z, inside & (family > 0))


def _screen(x, y, z, cam):
    """World -> (u, v) on the picture, from its middle, in picture heights."""
    u = cam.focal * (x - cam.x) / z + cam.du
    v = cam.focal * (y - cam.y) / z + cam.dv
    return turn(u, v, -cam.roll)


def flow_frame(scene: Scene, t, cfg: SceneConfig):
    """Where every pixel of frame `t` goes in frame t + 1: float32 [H, W, 2] (right, down), pixels.

    Objects move with their similarity and their wave; the background with the camera. Zero at the last
    frame. What turns out of sight (a spinning cube's faces) is followed only as its outline is.
    """
    now = jnp.asarray(t)
    then = jnp.minimum(now + 1, cfg.frames - 1)
    view = _rays(scene, now, cfg, 0.0, 0.0)
    _, labels, depth = _paint(scene, now, cfg, 0.0, 0.0)
    x, y = view.x + view.u * depth / view.focal, view.y + view.v * depth / view.focal
    owner = jnp.maximum(labels.astype(jnp.int32) - 1, 0)
    things = _pick(scene.things, owner)
    before, after = (_pick(scene.tracks, (k, owner)) for k in (now, then))

    a, b = to_own(x, y, before, things, things.family)
    ox, oy = from_own(a, b, after, things, things.family)
    thing = labels > 0
    x, y, z = jnp.where(thing, ox, x), jnp.where(thing, oy, y), jnp.where(thing, after.z, depth)
    u, v = _screen(x, y, z, _pick(scene.camera, then))
    col = u * cfg.height + cfg.width / 2 - 0.5
    row = cfg.height / 2 - v * cfg.height - 0.5
    return jnp.stack([col - jnp.arange(cfg.width), row - jnp.arange(cfg.height)[:, None]], -1)
