"""From a random key to a scene: theme, light, camera, objects and their paths. Composition rules live here."""

import jax
import jax.numpy as jnp
import numpy as np

from semjax.scenes import backdrop
from semjax.scenes import families as fam
from semjax.scenes.colour import PALETTES, rgb
from semjax.scenes.look import MATERIALS
from semjax.scenes.noise import mix
from semjax.scenes.state import THEMES, Camera, Light, Scene, SceneConfig, Things, Tracks, config_check

# Lower and upper bound of the horizon above the picture's middle, and the camera's height.
_HORIZON = {
    "meadow": (0.02, 0.16, 1.25), "beach": (0.08, 0.2, 1.4), "lake": (0.02, 0.14, 1.1), "snow": (0.02, 0.14, 1.2),
    "sky": (-0.62, -0.4, 3.0), "harbour": (-0.05, 0.08, 1.1), "table": (0.2, 0.3, 1.5),
    "playroom": (0.16, 0.26, 1.6), "patio": (0.16, 0.26, 1.6), "reef": (-0.12, 0.0, 1.0), "garden": (0.05, 0.18, 1.3),
}  # fmt: skip
_VIEW = np.array([_HORIZON[t] for t in THEMES], np.float32)
# Which hours of the day suit a theme.
_HOURS = {
    "harbour": (0, 0, 1, 3, 4, 0), "table": (1, 0, 0, 0, 0, 0), "playroom": (1, 0, 0, 0, 0, 0),
    "patio": (1, 0, 0, 0, 0, 0), "reef": (1, 0, 0, 0, 0, 0), "garden": (1, 0, 0, 0, 0, 0),
    "snow": (3, 3, 2, 1, 0.7, 1), "beach": (4, 2, 2.5, 1, 0, 0.4),
}  # fmt: skip
_HOUR = np.array([_HOURS.get(t, (4, 2, 2.5, 1.3, 0.5, 0.6)) for t in THEMES], np.float32)
# Sunlight, skylight and bounced light at each hour.
_SUN = np.stack([rgb("fff6e6") * 1.75, rgb("ffe4c4") * 1.6, rgb("ffc27a") * 1.75, rgb("ff9f7a") * 1.0,
                 rgb("b4c4ff") * 1.0, rgb("f2f5f8") * 0.9])  # fmt: skip
_AMBIENT = np.stack([rgb("bcd8f5") * 0.75, rgb("d9cfe8") * 0.7, rgb("c9b6d0") * 0.6, rgb("8d7fc0") * 0.6,
                     rgb("6f80c4") * 0.75, rgb("dbe3ea") * 0.95])  # fmt: skip
# Main colours a backdrop may take: four a row (ground or far land, wall, second, accent).
_DECOR = {
    "meadow": ("4f8f2f 88b04b d9c04a f2668b", "5d9c35 7fae45 e9d24f 8a5fd0", "7a9a2e a8b545 f1cf4a e2574c"),
    "garden": ("3f7f33 2e5f3a 9fc25a f28ab0", "4f8a2f 3c6b2c d9cf6a f4d35e", "5a8f3a 27554a 7fc2a0 b388eb"),
    "table": ("a9744a 2f3e46 e9a45f f25c54", "8a5a3c 3a2740 d98cb3 f9c74f", "b58a5c 1f4a4d 8fd0c0 ffb703",
              "6f4a35 40301f f2b56b e76f51", "a87b5b 243a5e 9db9e8 f4a261"),
    "playroom": ("b98a5c f2d7b6 e8b88f e76f51", "c49a6c cfe3e2 9cc5c9 f4a261", "a9794f f6e3e3 e9b7bd 6d6875",
                 "b08458 dfe8d2 b1c99a 2a9d8f", "9f7550 e6def2 bba7da f2c14e", "b98a5c fbeec2 f2cf7a 457b9d"),
    "patio": ("b07a50 d9c9b8 c9a58a 6a994e", "9f7550 e9e3da b8b0a4 d08c60", "a9794f d8b89a b5835a 457b9d"),
    "reef": ("2f9fb8 2a9fd0 f2d49b ff7f6b", "2f9fb8 19b5a5 f2d49b ffb703", "2f9fb8 3a6fd8 f2d49b f15bb5"),
    "beach": ("5d8a4a 3f8fae f2d49b e76f51",), "lake": ("4a7d3f 2f6f73 d9c04a e9c46a", "6a8f3a 3b6a80 e9c46a d1603d",
                                                    "b5622f 7a5a3c e9b44c c8402e"),
    "snow": ("4f6f7f 8fb0cf e8eef6 d1495b",), "sky": ("5d8f45 7fae6a e9c46a e76f51", "7f9a55 9fb07a e9c46a c86b4a"),
    "harbour": ("26304f 33406b ffcf6e f25c54",),
}  # fmt: skip
_MAX_DECOR = max(len(rows) for rows in _DECOR.values())
_DECOR_TABLE = np.array([[[rgb(c) for c in _DECOR[t][k % len(_DECOR[t])].split()] for k in range(_MAX_DECOR)] for t in THEMES])
_DECOR_COUNT = np.array([len(_DECOR[t]) for t in THEMES])


def _ease(s):
    """0 to 1 with a soft start and end, never standing still in between."""
    return 0.35 * s + 0.65 * s * s * (3 - 2 * s)


class _Dice:
    """One large draw, handed out piece by piece: much cheaper to compile than many small ones."""

    def __init__(self, key, many: int):
        self._values = jax.random.uniform(key, (many,))
        self._used = 0

    def __call__(self, low=0.0, high=1.0, shape=()):
        """Uniform floats of `shape` between `low` and `high`."""
        count = int(np.prod(shape, dtype=int))
        piece = self._values[self._used : self._used + count].reshape(shape)
        self._used += count
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


def _camera(dice, theme, cfg: SceneConfig) -> Camera:
    """Pan (moving sideways or turning), zoom, tilt and a hand's shake, all within comfortable speeds."""
    t = jnp.arange(cfg.frames) / cfg.fps
    s = _ease(jnp.arange(cfg.frames) / max(cfg.frames - 1, 1)) - 0.5
    low, high, height = jnp.asarray(_VIEW)[theme]
    gentle = cfg.camera * min(1.0, cfg.frames / cfg.fps / 4.0)
    side, kind, moves_in = dice.sign(), dice(), dice() < 0.65
    slide = side * (kind < 0.55) * dice(0.5, 1.3) * gentle
    swing = side * (kind > 0.45) * dice(0.08, 0.24) * gentle
    zoom = dice(-0.16, 0.22) * gentle * moves_in
    tilt = dice(-0.04, 0.04) * gentle
    horizon = dice(low, high)
    wobble = dice(0.0, 6.28, (6,))
    hand = dice() ** 2 * cfg.camera

    def shake(a, b, rate):
        return jnp.sin(t * rate + wobble[a]) + 0.5 * jnp.sin(t * rate * 2.3 + wobble[b])

    return Camera(
        x=s * slide,
        y=jnp.full_like(t, height),
        focal=1.5 * (1 + zoom * s),
        du=-s * swing + 0.004 * hand * shake(0, 1, 5.1),
        dv=horizon + tilt * s + 0.003 * hand * shake(2, 3, 6.3),
        roll=0.004 * hand * shake(4, 5, 3.7),
    )


def _light(dice, theme, hour, cfg: SceneConfig) -> Light:
    """The sun from the viewer's side, creeping on, dimmed now and then by a passing cloud."""
    t = jnp.arange(cfg.frames) / cfg.fps
    across = dice.sign() * dice(0.6, 1.15) + 0.03 * t
    high = jnp.asarray(np.array([1.05, 0.8, 0.6, 0.6, 0.8, 1.3], np.float32))[hour]
    toward = jnp.stack([across, jnp.full_like(t, high), jnp.full_like(t, 0.62)], -1)
    toward = toward / jnp.linalg.norm(toward, axis=-1, keepdims=True)
    rate, phase = dice(0.7, 1.6), dice(0.0, 6.28)
    dim = 1 - dice(0.0, 0.28) * (0.5 + 0.5 * jnp.sin(rate * t + phase))
    sun, sky = jnp.asarray(_SUN)[hour], jnp.asarray(_AMBIENT)[hour]
    reef = theme == THEMES.index("reef")
    indoor = (jnp.asarray(backdrop.UPPER)[theme] == 1) | (jnp.asarray(backdrop.UPPER)[theme] == 2)
    sun = jnp.where(reef, rgb("c9f5ff") * 1.35, jnp.where(indoor, rgb("fff0d9") * 1.6, sun))
    sky = jnp.where(reef, rgb("6fcbe0") * 0.85, jnp.where(indoor, rgb("dcd6d8") * 0.72, sky))
    above = jnp.broadcast_to(sky, (cfg.frames, 3))
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


def _cast(dice, theme, cfg: SceneConfig):
    """Who is in the scene: (Things, aloft [O])."""
    n = cfg.max_objects
    slots = jnp.arange(n)
    low = min(4, n)
    count = low + dice.number(n + 1 - low)
    # Every theme's share is aloft (give or take one), so that no scene is all sky or all ground.
    share, start = jnp.asarray(fam.ALOFT)[theme], dice()
    aloft = jnp.floor((slots + 1) * share + start) > jnp.floor(slots * share + start)
    weights = jnp.where(aloft[:, None], jnp.asarray(fam.AIR)[theme], jnp.asarray(fam.GROUND)[theme])
    family = jnp.where(slots < count, dice.pick(weights), 0)
    pick = dice.number(fam.GROUND_MOTIONS.shape[1], (n,))
    motion = jnp.where(aloft, jnp.asarray(fam.AIR_MOTIONS)[family, pick], jnp.asarray(fam.GROUND_MOTIONS)[family, pick])
    # A duck swims where there is water and sits elsewhere.
    water = jnp.asarray(backdrop.LOWER)[theme] == 2
    duck = jnp.where(water, fam.MOTIONS.index("sail"), fam.MOTIONS.index("rest"))
    motion = jnp.where(family == fam.NAMES.index("duck"), duck, motion)
    # The second that can move enters, the third leaves; now and then others do.
    movers = jnp.asarray(fam.CAN_MOVE)[motion] & (family > 0)
    rank = jnp.cumsum(movers) * movers
    role = jnp.where(dice(shape=(n,)) < 0.25, 1 + dice.number(2, (n,)), 0)
    role = jnp.where(rank == 2, 1, jnp.where(rank == 3, 2, role)) * movers
    things = Things(
        family=family,
        col=_colours(dice, family, n),
        shape=dice(shape=(n, 8)),
        material=1 + dice.number(len(MATERIALS) - 1, (n,)),
        freq=dice(2.0, 4.5, (n,)),
        seed=dice.number(1 << 20, (n,)),
        face=dice.sign((n,)),
        motion=motion,
        role=role,
    )
    return things, aloft


def _places(dice, things: Things, aloft, cam: Camera, theme, cfg: SceneConfig):
    """Screen column, size and height, and depth of every object, each [O]."""
    n = cfg.max_objects
    f0, height, horizon = cam.focal[0], cam.y[0], cam.dv[0]
    aspect = cfg.width / cfg.height
    # Columns are spread evenly in random order, then jittered.
    order = jnp.argsort(jnp.argsort(dice(shape=(n,)) + 10.0 * (things.family == 0)))
    count = jnp.maximum(jnp.sum(things.family > 0), 1)
    u = ((order + 0.5) / count - 0.5) * (aspect * 0.82) + dice(-0.3, 0.3, (n,)) * aspect / count
    # Rows on the ground: from the lower edge up to somewhat before the horizon or the wall.
    edge = jnp.asarray(backdrop.EDGE, jnp.float32)[theme]
    bottom = -0.5 - horizon
    far = jnp.maximum(-f0 * height / (edge * 0.8), bottom * 0.4)
    v_foot = mix(bottom * 0.9, far, dice(0.05, 1.0, (n,)))
    z_ground = f0 * height / jnp.maximum(-v_foot, 1e-3)
    z_air = jnp.minimum(dice(4.0, 9.0, (n,)), edge * 0.85)
    z = jnp.where(aloft, z_air, z_ground) + 0.013 * jnp.arange(n)
    size = jnp.asarray(fam.SIZE)[things.family] * dice(0.9, 1.35, (n,))
    size = size * jnp.clip(5.5 / z, 0.35, 1.5) ** 0.5 * (1.25 if n <= 3 else 1.0)
    # In the air: clear of the horizon by a part of what hangs below it, and below the upper edge.
    hang = 0.5 * jnp.asarray(fam.FOOT)[things.family] * size
    low = jnp.where(theme == THEMES.index("reef"), -0.22, jnp.maximum(horizon + 0.03 + hang, -0.3))
    top = jnp.maximum(0.46 - size, low + 0.05)
    return u, mix(low, top, dice(shape=(n,))), z, size


def _stage(dice, things: Things, aloft, cam: Camera, theme, cfg: SceneConfig):
    """Where each object starts and ends: world (x0, x1, y, z, size), each [O]."""
    n = cfg.max_objects
    u, v_air, z, size = _places(dice, things, aloft, cam, theme, cfg)
    aspect, seconds = cfg.width / cfg.height, cfg.frames / cfg.fps
    f0, f1 = cam.focal[0], cam.focal[-1]
    world = size * z / f0
    y = jnp.where(
        aloft, (v_air - cam.dv[0]) * z / f0 + cam.y[0], jnp.asarray(fam.FOOT)[things.family] * world
    )
    # The journey along x: a stroll round its place, or from or to beyond the picture's edge.
    move = jnp.asarray(fam.CAN_MOVE)[things.motion]
    heading = things.face
    reach = jnp.asarray(fam.REACH)[things.family] * size
    out = aspect / 2 + reach + 0.02
    stroll = heading * dice(0.07, 0.2, (n,)) * seconds * move
    brisk = jnp.minimum(dice(0.5, 0.9, (n,)) * aspect, 0.4 * seconds)
    inner = out - jnp.minimum(brisk + reach, aspect)
    enters, leaves = things.role == 1, things.role == 2
    u0 = jnp.where(enters, -heading * out, jnp.where(leaves, heading * inner, u - stroll / 2))
    u1 = jnp.where(enters, -heading * inner, jnp.where(leaves, heading * out, u + stroll / 2))
    x0 = cam.x[0] + (u0 - cam.du[0]) * z / f0
    x1 = cam.x[-1] + (u1 - cam.du[-1]) * z / f1
    mid = cfg.frames // 2
    still = cam.x[mid] + (u - cam.du[mid]) * z / cam.focal[mid]
    return jnp.where(move, x0, still), jnp.where(move, x1, still), y, z, world


def _bounce(t, first, keep=0.8):
    """Decaying hops: (height as a share of the first hop's, softness of the ground's push). t in seconds."""
    t = jnp.clip(t, 0.0, first * 4.6)
    k = jnp.floor(jnp.log(jnp.maximum(1 - t * (1 - keep) / first, 1e-3)) / np.log(keep))
    began = first * (1 - keep**k) / (1 - keep)
    s = jnp.clip((t - began) / (first * keep**k), 0, 1)
    near = jnp.minimum(s, 1 - s) * keep**k
    return keep ** (2 * k) * 4 * s * (1 - s), jnp.exp(-((near / 0.07) ** 2)) * keep**k


def _tracks(dice, things: Things, stage, cfg: SceneConfig) -> Tracks:
    """Closed-form motion of every object at every frame, [T, O]."""
    n = cfg.max_objects
    x0, x1, y0, z, size = stage
    t = (jnp.arange(cfg.frames) / cfg.fps)[:, None]
    s = (jnp.arange(cfg.frames) / max(cfg.frames - 1, 1))[:, None]
    rate, ph, lean = dice(0.8, 1.25, (n,)), dice(0.0, 6.28, (n,)), dice(-1.0, 1.0, (n,))

    def at(*names):
        return sum((things.motion == fam.MOTIONS.index(m)) * 1.0 for m in names)

    wob = jnp.sin(t * 2.1 * rate + ph)
    x = mix(x0, x1, 0.75 * s + 0.25 * _ease(s))
    gone = x - x0
    hop, push = _bounce(t + 0.6 * jnp.abs(lean), 0.85)
    tall = size * (1.6 + 1.2 * jnp.abs(lean)) * at("bounce")
    y = y0 + hop * tall
    y = y + size * at("float") * (0.3 * wob + 0.28 * t * rate) + size * at("swim") * 0.22 * wob
    y = y + size * at("fly") * (0.5 * jnp.sin(t * 1.5 * rate + ph)) + size * at("pulse") * (0.16 * wob + 0.2 * t)
    y = y + size * at("flutter") * (0.9 * jnp.sin(t * 2.6 * rate + ph) + 0.3 * jnp.sin(t * 6.1 + ph))
    y = y + size * at("sail") * 0.04 * jnp.sin(t * 1.9 * rate + ph) + size * at("drive") * 0.008 * jnp.sin(t * 21)
    y = y + size * at("walk") * 0.02 * jnp.abs(jnp.sin(gone / size * 3))
    y = y - size * at("fall") * (1.5 * rate * (t - 0.5 * cfg.frames / cfg.fps)) + size * at("fall") * 0.25 * jnp.cos(t * 4.4 * rate + 2 * ph)
    x = x + size * at("fall") * 1.1 * jnp.sin(t * 2.2 * rate + ph) + size * at("float") * 0.2 * jnp.sin(t * 1.1 + ph)
    x = x + size * at("flutter") * 0.4 * jnp.sin(t * 3.3 * rate + ph)
    angle = -gone / size * (at("roll") + 0.6 * at("bounce"))
    angle = angle + at("float") * 0.1 * wob + at("swim") * 0.1 * jnp.cos(t * 2.1 * rate + ph) * things.face
    angle = angle + at("fly") * things.face * 0.18 * jnp.cos(t * 1.5 * rate + ph) + at("sail") * 0.07 * wob
    angle = angle + at("fall") * (0.8 * jnp.cos(t * 2.2 * rate + ph) + 0.5 * lean * t + 2 * lean)
    angle = angle + at("flutter") * 0.35 * jnp.sin(t * 2.9 + ph) + at("pulse") * (0.16 * wob + 0.15 * lean)
    swing = 0.28 * jnp.sin(t * 2.4 * rate + ph) * at("swing")
    angle = angle + swing
    x = x + 2.2 * size * jnp.sin(swing)
    y = y + 2.2 * size * (1 - jnp.cos(swing))
    starfish = (things.family == fam.NAMES.index("starfish")) * lean
    angle = angle + starfish + at("rest") * (things.family == fam.NAMES.index("fruit")) * 0.25 * lean
    squash = 1 - 0.22 * push * at("bounce") * (t < 3.6) + 0.0 * x
    y = y - size * (1 - squash)
    spin = at("turn") * (t * 0.9 * rate + ph) + at("drive") * gone / size * 4 * things.face
    spin = spin + at("roll", "bounce") * lean * 2 + at("float") * (t * 0.5 * lean + ph) + at("rest", "sway") * ph
    spin = spin - at("whirl") * (t * 4.5 * rate + 1.2 * jnp.sin(t * 1.3 + ph) - ph)
    beat = at("fly") * 8.5 + at("flutter") * 15 + at("pulse") * 3.4 + at("float") * 2.6
    beat = beat + at("swim") * 5 + at("sail") * 2 + at("swing", "rest") * 2.2
    wave = at("swim") * 8.5 + at("fall") * 4.0 + at("sway") * 1.9
    full = jnp.broadcast_to
    shape = (cfg.frames, n)
    return Tracks(
        x=x, y=full(y, shape), z=full(z, shape), size=full(size, shape), angle=full(angle, shape), squash=squash,
        spin=full(spin, shape), phase=full(beat * rate * t + ph + at("walk") * gone / size * 3.0 * things.face, shape), wave=full(wave * rate * t + ph, shape),
    )  # fmt: skip


def sample_scene(key: jax.Array, cfg: SceneConfig) -> Scene:
    """A random scene: a pytree of parameters and paths, ready for `render`.

    key: a typed key (`jax.random.key(seed)`). Pure, jit-able and vmap-able over `key`; `cfg` is static.
    Raises InputError for a `cfg` of another type. Ours.
    """
    config_check(cfg)
    dice = _Dice(key, 64 + 64 * cfg.max_objects)
    theme = jnp.array([THEMES.index(t) for t in cfg.themes])[dice.number(len(cfg.themes))]
    hour = dice.pick(jnp.asarray(_HOUR)[theme])
    camera = _camera(dice, theme, cfg)
    light = _light(dice, theme, hour, cfg)
    things, aloft = _cast(dice, theme, cfg)
    tracks = _tracks(dice, things, _stage(dice, things, aloft, camera, theme, cfg), cfg)
    decor = dice.number(jnp.asarray(_DECOR_COUNT)[theme])
    return Scene(
        theme=theme, hour=hour, seed=dice.number(1 << 20), mood=dice(shape=(12,)),
        bg=jnp.asarray(_DECOR_TABLE)[theme, decor],
        camera=camera, light=light, things=things, tracks=tracks,
    )  # fmt: skip
