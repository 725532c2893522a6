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
from semjax.scenes.geometry import flow_from, pick, rays, to_own
from semjax.scenes.ground import caustics
from semjax.scenes.look import Params, material, narrow_switch
from semjax.scenes.noise import fbm, mix, smoothstep
from semjax.scenes.state import Scene, SceneConfig, scene_check
from semjax.scenes.themes import LOWER, LOWERS, UPPER, UPPERS, is_theme

_NEAR = 60.0  # shadows fall on nothing farther than this


class Frame(NamedTuple):
    """One rendered frame."""

    image: jax.Array  # [H, W, 3] float32, sRGB in [0, 1]
    labels: jax.Array  # [H, W] uint8
    depth: jax.Array  # [H, W] float32, distance of what is seen


class _Setting(NamedTuple):
    """What the painting of every object of a frame shares."""

    view: backdrop.View
    light: tuple  # Light of this moment
    mirrors: jax.Array  # bool: the ground is water
    wet: jax.Array  # 1 under water
    fog: jax.Array  # how fast things fade with distance
    fog_colour: jax.Array  # [3]
    shadow_tint: jax.Array  # [3] how much of each colour a full shadow leaves
    ripple: jax.Array  # [H, W]


def _setting(scene: Scene, view, t) -> _Setting:
    light = pick(scene.light, t)
    upper, lower = jnp.asarray(UPPER)[scene.theme], jnp.asarray(LOWER)[scene.theme]
    wet, outdoors = upper == UPPERS.index("depths"), upper == UPPERS.index("sky")
    return _Setting(
        view=view,
        light=light,
        mirrors=lower == LOWERS.index("lake"),
        wet=wet * 1.0,
        fog=jnp.where(wet, 0.06, jnp.where(outdoors, 0.012, 0.0)),
        fog_colour=jnp.where(wet, mix(rgb("1b7fa6"), scene.bg[1], 0.2), light.sky),
        shadow_tint=1 - 0.12 * mix(jnp.ones(3), jnp.array([0.82, 0.9, 1.0]), outdoors * 0.7),
        ripple=fbm(view.u * 9, view.v * 60 + view.time * 2.2, scene.seed, 0.0, octaves=2),
    )


def _slopes(field, scale):
    """Central differences of [H, W] along right and up, in units of the field per `scale`."""
    padded = jnp.pad(field, 1, mode="edge")
    dx = (padded[1:-1, 2:] - padded[1:-1, :-2]) / (2 * scale)
    dy = (padded[:-2, 1:-1] - padded[2:, 1:-1]) / (2 * scale)
    return dx, dy


def shade(colour, art, px, light, web):
    """Lit colour [H, W, 3] of an object: wrapped Lambert, hemisphere ambient, highlight, rim.

    web: extra sunlight per pixel [H, W] (caustics under water), 0 for none.
    """
    hx, hy = _slopes(art.height, px)
    # Steep steps between parts are bent back a little, or their edges would show as black lines.
    hx, hy = hx / (1 + 0.12 * jnp.abs(hx)), hy / (1 + 0.12 * jnp.abs(hy))
    norm = jax.lax.rsqrt(hx * hx + hy * hy + 1.0)
    nx, ny, nz = -hx * norm, -hy * norm, norm
    lx, ly, lz = light.toward
    diffuse = jnp.clip((nx * lx + ny * ly + nz * lz + 0.22) / 1.22, 0, 1) ** 1.25
    ambient = mix(light.ground, light.sky, (0.5 + 0.5 * ny)[..., None])
    half = light.toward + jnp.array([0.0, 0.0, 1.0])
    half = half / jnp.linalg.norm(half)
    spec = jnp.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    sharp = 10 + 110 * art.gloss**2
    shine = art.gloss * (0.55 * spec**sharp + 0.12 * spec ** (sharp * 0.2))
    rim = (1 - nz) ** 3 * (0.08 + 0.45 * art.gloss) * jnp.clip(0.4 + ny, 0, 1)
    sun = light.sun * (1 + web * jnp.clip(ny + 0.4, 0, 1))[..., None]
    lit = colour * (sun * diffuse[..., None] * 0.78 + ambient * 0.8)
    lit = lit + sun * shine[..., None] + light.sky * rim[..., None]
    return lit + colour * art.glow[..., None]


def _shadow(art, one, family, setting, depth, back, foot):
    """How much light the object takes from what is behind it, [H, W]: cast shadow and contact.

    back: distance from what is seen, towards the light, to the object's plane. foot: world (x, y) seen.
    """
    soft = 0.05 + 0.12 * jnp.minimum(back / one.size, 6.0)
    cast = smoothstep(soft, -soft, art.sdf) * jnp.exp(-0.18 * back / one.size)
    cast = 0.62 * cast * (depth > one.z - 1e-3) * jnp.max(setting.light.sun) / 1.8
    near = ((foot[0] - one.x) / one.size) ** 2 + ((depth - one.z) / (0.6 * one.size)) ** 2
    lift = one.y - jnp.asarray(fam.FOOT)[family] * one.size * one.squash
    contact = 0.5 * jnp.exp(-1.4 * near - 3.0 * jnp.maximum(lift, 0) / one.size) * (foot[1] < 0.05)
    return (1 - (1 - cast) * (1 - contact)) * (depth < _NEAR)


def _object_step(scene: Scene, setting: _Setting, t, cfg: SceneConfig):
    """The body of the scan over objects: each comes twice, first to cast, then to be painted."""
    view, light, kinds = setting.view, setting.light, fam.possible(cfg.themes)
    lx, ly, lz = light.toward

    def draw(carry, index, casting, one, things):
        picture, labels, depth = carry
        family, plane = things.family, one.z / view.focal
        # Painting looks straight at the object's plane; a shadow follows the light from what is behind
        # back to the plane; a reflection looks at the plane upside down.
        x, y = view.x + view.u * plane, view.y + view.v * plane
        foot = view.x + view.u * depth / view.focal, view.y + view.v * depth / view.focal
        back = jnp.maximum(depth - one.z, 0.0) / lz
        sway = setting.ripple * one.size * 0.1 * (1 - 2 * jnp.minimum(y, 0.0))
        cast_x = jnp.where(setting.mirrors, x + sway, foot[0] + lx * back)
        cast_y = jnp.where(setting.mirrors, -y + 0.3 * sway, foot[1] + ly * back)
        a, b = to_own(jnp.where(casting, cast_x, x), jnp.where(casting, cast_y, y), one, things)
        px = plane / cfg.height / one.size
        params = Params(things.col, things.shape, things.seed, one.phase, one.spin, view.time)
        art = narrow_switch(family, kinds, [lambda f=f: f.draw(a, b, px, params) for f in fam.FAMILIES])
        # Coverage from the distance in pixels, whatever the distance's own scale.
        gx, gy = _slopes(art.sdf, px)
        cover = jnp.clip(0.5 - art.sdf / (jnp.clip(jnp.hypot(gx, gy), 0.25, 4.0) * px), 0, 1)
        coat = material(things.material, art.u, art.v, px, things.col, things.freq, things.seed)
        web = 0.0
        if "reef" in cfg.themes:
            web = setting.wet * (1.1 * caustics(x * 1.6, y * 1.6 + 3, view.time, scene.seed, 0.02) - 0.15)
        lit = shade(mix(art.rgb, coat, art.paint[..., None]), art, px, light, web)
        lit = mix(lit, setting.fog_colour, 1 - jnp.exp(-jnp.maximum(one.z - 3, 0) * setting.fog))
        dark = _shadow(art, one, family, setting, depth, back, foot)[..., None]
        seen = cover * (labels == 0) * (y < 0) * 0.55 * jnp.exp(0.5 * jnp.minimum(y, 0) / one.size)
        mirrored = mix(picture, lit * 0.8, (seen * (1 - 0.35 * setting.ripple))[..., None])
        cast = jnp.where(setting.mirrors, mirrored, picture * (1 - dark * setting.shadow_tint))
        halo = jnp.asarray(fam.HALO)[family] * jnp.exp(-3.2 * jnp.maximum(art.sdf, 0))
        covered = picture + halo[..., None] * mix(things.col[0], rgb("ffc978"), 0.5)
        covered = mix(covered, lit, (cover * art.alpha)[..., None])
        own = ~casting & (art.sdf < 0)
        labels = jnp.where(own, (index + 1).astype(jnp.uint8), labels)
        return jnp.where(casting, cast, covered), labels, jnp.where(own, one.z, depth)

    def step(carry, what):
        index, casting = what
        one, things = pick(scene.tracks, (t, index)), pick(scene.things, index)
        # What is nowhere near the picture costs nothing; shadows and glow may reach in from outside.
        scale = view.focal / one.z
        reach = scale * one.size * jnp.asarray(fam.REACH)[things.family] + jnp.where(casting, 1.0, 0.3)
        near = jnp.abs(scale * (one.x - view.x)) < view.pixel * cfg.width * 0.5 + reach + 0.3
        work = (things.family > 0) & near
        return jax.lax.cond(work, lambda c: draw(c, index, casting, one, things), lambda c: c, carry), None

    return step


def _paint(scene: Scene, t, cfg: SceneConfig, ox=0.0, oy=0.0):
    """Linear picture, labels and depth seen through the pixel centres moved by (ox, oy)."""
    scene_check(scene, cfg)
    view = rays(scene, t, cfg, ox, oy)
    picture, depth = backdrop.paint(view, scene, cfg.themes)
    labels = jnp.zeros((cfg.height, cfg.width), jnp.uint8)
    order = jnp.argsort(-scene.tracks.z[t])
    turns = jnp.repeat(order, 2), jnp.tile(jnp.array([True, False]), cfg.max_objects)
    step = _object_step(scene, _setting(scene, view, t), t, cfg)
    (picture, labels, depth), _ = jax.lax.scan(step, (picture, labels, depth), turns)
    if "reef" in cfg.themes:
        picture = picture + _shafts(view, scene)
    vignette = 1 - jnp.clip((view.u * view.u + view.v * view.v) * 0.22, 0, 0.35)
    return picture * vignette[..., None], labels, depth


def _shafts(view, scene):
    """Shafts of sunlight under water, [H, W, 3]."""
    fan = (view.u - (scene.mood[2] - 0.5)) / (1.15 - view.v)
    shaft = fbm(fan * 5 + 0.1 * view.time, jnp.full_like(fan, 0.25) * view.time, scene.seed, 0.0, octaves=3)
    strength = smoothstep(-0.15, 0.6, shaft) * smoothstep(-0.45, 0.7, view.v) * is_theme(scene, "reef") * 0.32
    return strength[..., None] * rgb("c9fff2")


def render_frame(scene: Scene, t, cfg: SceneConfig) -> Frame:
    """Frame number `t` (int, may be traced) of `scene`. Labels and depth belong to the pixel centres.

    `cfg` is static and must have the sizes and `max_objects` that the scene was sampled with; its `themes`
    must include the scene's. Pure, jit-able and vmap-able (under vmap every possible family is drawn for
    every object, so mapping over a batch with `lax.map` is faster on a CPU). Ours.
    """
    t = jnp.asarray(t)
    if cfg.supersample == 1:
        picture, labels, depth = _paint(scene, t, cfg)
    else:
        n = cfg.supersample
        grid = (np.arange(n) + 0.5) / n - 0.5
        offsets = jnp.array([(a, b) for a in grid for b in grid] + [(0.0, 0.0)], jnp.float32)
        pictures, labels, depths = jax.lax.map(lambda o: _paint(scene, t, cfg, o[0], o[1]), offsets)
        picture, labels, depth = jnp.mean(pictures[:-1], 0), labels[-1], depths[-1]
    return Frame(jnp.clip(to_srgb(tone(picture)), 0, 1), labels, depth)


def flow_frame(scene: Scene, t, cfg: SceneConfig):
    """Dense motion from frame `t` to the next, float32 [H, W, 2] in pixels; see `geometry.flow_from`."""
    t = jnp.asarray(t)
    _, labels, depth = _paint(scene, t, cfg)
    return flow_from(scene, t, labels, depth, cfg)
