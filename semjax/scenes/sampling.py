"""From a random key to a scene: theme, hour and light, who is there and in which colours."""

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes import families as fam
from semjax.scenes import paths
from semjax.scenes.colour import PALETTES, rgb
from semjax.scenes.look import MATERIALS
from semjax.scenes.state import Light, Scene, SceneConfig, Things, config_check
from semjax.scenes.themes import (
    ALOFT,
    AMBIENT,
    DECOR,
    DECOR_COUNT,
    HOUR_WEIGHTS,
    LOWER,
    LOWERS,
    SUN,
    SUN_HEIGHT,
    THEMES,
    UPPER,
    UPPERS,
)  # fmt: skip


class _Dice:
    """One large draw, handed out piece by piece: much cheaper to compile than many small ones."""

    def __init__(self, key, many: int):
        self._values = jax.random.uniform(key, (many,))
        self._used = 0

    def __call__(self, low=0.0, high=1.0, shape=()):
        """Uniform floats of `shape` between `low` and `high`."""
        end = self._used + int(np.prod(shape, dtype=int))
        assert end <= self._values.size, "more draws than were made"
        piece = self._values[self._used : end].reshape(shape)
        self._used = end
        return low + (high - low) * piece

    def number(self, count, shape=()):
        """Whole numbers 0 .. count - 1 (`count` may be an array)."""
        return jnp.minimum(jnp.floor(self(0.0, 1.0, shape) * count), count - 1).astype(jnp.int32)

    def sign(self, shape=()):
        """+1 or -1."""
        return jnp.where(self(shape=shape) < 0.5, -1.0, 1.0)

    def pick(self, weights):
        """Index along the last axis with probability proportional to `weights`."""
        edges = jnp.cumsum(weights, -1)
        u = self(shape=weights.shape[:-1])[..., None] * edges[..., -1:] * 0.99999
        return jnp.sum(edges <= u, -1)


def _light(dice, theme, hour, cfg: SceneConfig) -> Light:
    """The sun from the viewer's side, creeping on, dimmed now and then by a passing cloud."""
    t = jnp.arange(cfg.frames) / cfg.fps
    across = dice.sign() * dice(0.6, 1.15) + 0.03 * t
    high = jnp.broadcast_to(jnp.asarray(SUN_HEIGHT)[hour], t.shape)
    toward = jnp.stack([across, high, jnp.full_like(t, 0.62)], -1)
    toward = toward / jnp.linalg.norm(toward, axis=-1, keepdims=True)
    rate, phase = dice(0.7, 1.6), dice(0.0, 6.28)
    dim = 1 - dice(0.0, 0.28) * (0.5 + 0.5 * jnp.sin(rate * t + phase))
    upper = jnp.asarray(UPPER)[theme]
    under_water, outdoors = upper == UPPERS.index("depths"), upper == UPPERS.index("sky")
    sun = jnp.where(under_water, rgb("c9f5ff") * 1.35, rgb("fff0d9") * 1.6)
    sky = jnp.where(under_water, rgb("6fcbe0") * 0.85, rgb("dcd6d8") * 0.72)
    sun = jnp.where(outdoors, jnp.asarray(SUN)[hour], sun)
    above = jnp.broadcast_to(jnp.where(outdoors, jnp.asarray(AMBIENT)[hour], sky), (cfg.frames, 3))
    return Light(toward, sun * dim[:, None], above, above * 0.45)


def _colours(dice, family, n):
    """[n, 4, 3]: natural colours where the family has them, else round the scene's palette."""
    slots = jnp.arange(n)
    palette = jnp.asarray(PALETTES)[dice.number(len(PALETTES))]
    # Main colours go round the palette, so that neighbours differ; the others are any but the main one.
    first = (slots + dice.number(5)) % 5
    others = jnp.argsort(dice(shape=(n, 5)), axis=1)[:, :3]
    others = jnp.where(others == first[:, None], (first[:, None] + 2) % 5, others)
    col = palette[jnp.concatenate([first[:, None], others], 1)]
    natural = jnp.asarray(fam.NATURAL_COLOURS)[family, dice.number(fam.NATURAL_COLOURS.shape[1], (n,))]
    return jnp.where(jnp.asarray(fam.NATURAL)[family][:, None, None], natural, col)


def _roles(dice, motion, family, n):
    """The second that can move enters, the third leaves; now and then others do."""
    movers = jnp.asarray(fam.CAN_MOVE)[motion] & (family > 0)
    rank = jnp.cumsum(movers) * movers
    role = jnp.where(dice(shape=(n,)) < 0.25, 1 + dice.number(2, (n,)), 0)
    return jnp.where(rank == 2, 1, jnp.where(rank == 3, 2, role)) * movers


def _cast(dice, theme, cfg: SceneConfig):
    """Who is in the scene: (Things, aloft [O])."""
    n = cfg.max_objects
    slots = jnp.arange(n)
    low = min(4, n)
    count = low + dice.number(n + 1 - low)
    # Every theme's share is aloft (give or take one), so that no scene is all sky or all ground.
    share, start = jnp.asarray(ALOFT)[theme], dice()
    aloft = jnp.floor((slots + 1) * share + start) > jnp.floor(slots * share + start)
    weights = jnp.where(aloft[:, None], jnp.asarray(fam.AIR)[theme], jnp.asarray(fam.GROUND)[theme])
    family = jnp.where(slots < count, dice.pick(weights), 0)
    pick = dice.number(fam.GROUND_MOTIONS.shape[1], (n,))
    high, low = (jnp.asarray(m)[family, pick] for m in (fam.AIR_MOTIONS, fam.GROUND_MOTIONS))
    motion = jnp.where(aloft, high, low)
    shape = dice(shape=(n, 8))
    # Of fruit only oranges roll; a duck swims where there is water and sits elsewhere.
    orange = (shape[:, 0] >= 0.25) & (shape[:, 0] < 0.5)
    stuck = (family == fam.NAMES.index("fruit")) & ~orange
    motion = jnp.where(stuck, fam.MOTIONS.index("rest"), motion)
    water = jnp.asarray(LOWER)[theme] == LOWERS.index("lake")
    duck = jnp.where(water, fam.MOTIONS.index("sail"), fam.MOTIONS.index("rest"))
    motion = jnp.where(family == fam.NAMES.index("duck"), duck, motion)
    things = Things(
        family=family,
        col=_colours(dice, family, n),
        shape=shape,
        material=1 + dice.number(len(MATERIALS) - 1, (n,)),
        freq=dice(2.0, 4.5, (n,)),
        seed=dice.number(1 << 20, (n,)),
        face=dice.sign((n,)),
        motion=motion,
        role=_roles(dice, motion, family, n),
    )
    return things, aloft


def sample_scene(key: jax.Array, cfg: SceneConfig) -> Scene:
    """A random scene: a pytree of parameters and paths, ready for `render`.

    key: a typed key (`jax.random.key(seed)`). Pure, jit-able and vmap-able over `key`; `cfg` is static.
    Raises InputError for a `cfg` of another type. Ours.
    """
    config_check(cfg)
    dice = _Dice(key, 64 + 48 * cfg.max_objects)
    theme = jnp.array([THEMES.index(t) for t in cfg.themes])[dice.number(len(cfg.themes))]
    hour = dice.pick(jnp.asarray(HOUR_WEIGHTS)[theme])
    camera = paths.camera(dice, theme, cfg)
    light = _light(dice, theme, hour, cfg)
    things, aloft = _cast(dice, theme, cfg)
    where = paths.stage(dice, things, aloft, camera, theme, cfg)
    return Scene(
        theme=theme,
        hour=hour,
        seed=dice.number(1 << 20),
        mood=dice(shape=(8,)),
        bg=jnp.asarray(DECOR)[theme, dice.number(jnp.asarray(DECOR_COUNT)[theme])],
        camera=camera,
        light=light,
        things=things,
        tracks=paths.tracks(dice, things, where, cfg),
    )
