"""From the picture to the world to an object's own coordinates, and back; the motion that follows."""

import jax
import jax.numpy as jnp

from semjax.scenes import families as fam
from semjax.scenes.shapes import turn
from semjax.scenes.state import Motion, Scene, SceneConfig
from semjax.scenes.view import View


def pick(tree, index):
    """Every leaf at `index` of its leading axes."""
    return jax.tree.map(lambda a: a[index], tree)


def rays(scene: Scene, t, cfg: SceneConfig, ox=0.0, oy=0.0) -> View:
    """View rays through the pixel centres of frame `t`, moved by (ox, oy) pixels."""
    cam = pick(scene.camera, t)
    u = (jnp.arange(cfg.width)[None, :] + 0.5 + ox - cfg.width / 2) / cfg.height
    v = -(jnp.arange(cfg.height)[:, None] + 0.5 + oy - cfg.height / 2) / cfg.height
    u, v = turn(*jnp.broadcast_arrays(u, v), cam.roll)
    return View(u - cam.du, v - cam.dv, 1.0 / cfg.height, cam.x, cam.y, cam.focal, t / cfg.fps)


def to_screen(x, y, z, cam):
    """World -> (u, v) on the picture, from its middle, in picture heights."""
    u = cam.focal * (x - cam.x) / z + cam.du
    v = cam.focal * (y - cam.y) / z + cam.dv
    return turn(u, v, -cam.roll)


def _bend(a, b, family, phase):
    """Shift of a body's point by its wave, growing away from the head or the root; see `Family.wave`."""
    axis, amount, number = jnp.moveaxis(jnp.asarray(fam.WAVE)[family], -1, 0)
    along_x = axis < 0.5
    strength = jnp.maximum(jnp.where(along_x, (0.55 - a) / 1.5, (b + 1) / 2), 0.0) ** 1.6
    shift = amount * strength * jnp.sin(number * jnp.where(along_x, a, b) + phase)
    return jnp.where(along_x, 0.0, shift), jnp.where(along_x, shift, 0.0)


def to_own(x, y, one, things):
    """World (x, y) in an object's plane -> its own, unbent coordinates. `one`: its Tracks at a moment."""
    wide, tall = one.size / jnp.sqrt(one.squash), one.size * one.squash
    a, b = turn((x - one.x) / wide, (y - one.y) / tall, one.angle)
    a = a * things.face
    da, db = _bend(a, b, things.family, one.wave)
    return a - da, b - db


def from_own(a, b, one, things):
    """The inverse of `to_own` (a wave shifts across the direction it runs in, so it is undone exactly)."""
    da, db = _bend(a, b, things.family, one.wave)
    x, y = turn((a + da) * things.face, b + db, -one.angle)
    return one.x + x * one.size / jnp.sqrt(one.squash), one.y + y * one.size * one.squash


def motion(scene: Scene, cfg: SceneConfig) -> Motion:
    """Similarity motion of every object on the screen, [T, O]; see `Motion`. Jit-able, vmap-able."""
    cam = jax.tree.map(lambda a: a[:, None], scene.camera)
    tr, family = scene.tracks, scene.things.family
    u, v = to_screen(tr.x, tr.y, tr.z, cam)
    centre = jnp.stack([u * cfg.height + cfg.width / 2, cfg.height / 2 - v * cfg.height], -1)
    unit = tr.size * cam.focal / tr.z * cfg.height
    scale = jnp.stack([unit / jnp.sqrt(tr.squash), unit * tr.squash], -1)
    radius = unit * jnp.asarray(fam.REACH)[family]
    cx, cy = centre[..., 0], centre[..., 1]
    inside = (cx > -radius) & (cx < cfg.width + radius) & (cy > -radius) & (cy < cfg.height + radius)
    flip = jnp.broadcast_to(scene.things.face, tr.x.shape)
    return Motion(centre, tr.angle + cam.roll, scale, flip, tr.z, inside & (family > 0))


def flow_from(scene: Scene, t, labels, depth, cfg: SceneConfig):
    """Where every pixel of frame `t` goes in frame t + 1: float32 [H, W, 2] (right, down), pixels.

    labels [H, W] and depth [H, W] are those of frame `t`. Objects move with their similarity and their
    wave; the background with the camera. Zero at the last frame. What turns out of sight (a spinning cube's
    faces, a beating wing) is followed only as its body is.
    """
    then = jnp.minimum(t + 1, cfg.frames - 1)
    view = rays(scene, t, cfg)
    x, y = view.x + view.u * depth / view.focal, view.y + view.v * depth / view.focal
    owner = jnp.maximum(labels.astype(jnp.int32) - 1, 0)
    things = pick(scene.things, owner)
    before, after = (pick(scene.tracks, (k, owner)) for k in (t, then))
    ox, oy = from_own(*to_own(x, y, before, things), after, things)
    moved = [jnp.where(labels > 0, a, b) for a, b in ((ox, x), (oy, y), (after.z, depth))]
    u, v = to_screen(*moved, pick(scene.camera, then))
    column = u * cfg.height + cfg.width / 2 - 0.5
    row = cfg.height / 2 - v * cfg.height - 0.5
    return jnp.stack([column - jnp.arange(cfg.width), row - jnp.arange(cfg.height)[:, None]], -1)
