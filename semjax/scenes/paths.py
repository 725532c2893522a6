"""Where things go: the camera's path, each object's place and journey, and its motion in closed form."""

import jax.numpy as jnp
import numpy as np

from semjax.scenes import families as fam
from semjax.scenes.noise import mix
from semjax.scenes.state import Camera, SceneConfig, Things, Tracks
from semjax.scenes.themes import EDGE, EYE, HORIZON, THEMES


def _ease(s):
    """0 to 1 with a soft start and end, never standing still in between."""
    return 0.35 * s + 0.65 * s * s * (3 - 2 * s)


def _clock(cfg: SceneConfig):
    """Seconds and share of the clip at every frame, each [T]."""
    frame = jnp.arange(cfg.frames)
    return frame / cfg.fps, frame / max(cfg.frames - 1, 1)


def camera(dice, theme, cfg: SceneConfig) -> Camera:
    """Pan (moving sideways or turning), zoom, tilt and a hand's shake, all within comfortable speeds."""
    t, share = _clock(cfg)
    s = _ease(share) - 0.5
    low, high = jnp.asarray(HORIZON)[theme]
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
        return hand * (jnp.sin(t * rate + wobble[a]) + 0.5 * jnp.sin(t * rate * 2.3 + wobble[b]))

    return Camera(
        x=s * slide,
        y=jnp.broadcast_to(jnp.asarray(EYE)[theme], t.shape),
        focal=1.5 * (1 + zoom * s),
        du=-s * swing + 0.004 * shake(0, 1, 5.1),
        dv=horizon + tilt * s + 0.003 * shake(2, 3, 6.3),
        roll=0.004 * shake(4, 5, 3.7),
    )


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
    edge = jnp.asarray(EDGE)[theme]
    bottom = -0.5 - horizon
    far = jnp.maximum(-f0 * height / (edge * 0.8), bottom * 0.4)
    v_foot = mix(bottom * 0.9, far, dice(0.05, 1.0, (n,)))
    z_ground = f0 * height / jnp.maximum(-v_foot, 1e-3)
    z_air = jnp.minimum(dice(4.0, 9.0, (n,)), edge * 0.85)
    # No two at the same depth, so that it is always clear who hides whom.
    z = jnp.where(aloft, z_air, z_ground) + 0.013 * jnp.arange(n)
    size = jnp.asarray(fam.SIZE)[things.family] * dice(0.9, 1.35, (n,))
    size = size * jnp.clip(5.5 / z, 0.35, 1.5) ** 0.5 * (1.25 if n <= 3 else 1.0)
    # In the air: clear of the horizon by a part of what hangs below it, and below the upper edge.
    hang = 0.5 * jnp.asarray(fam.FOOT)[things.family] * size
    low = jnp.where(theme == THEMES.index("reef"), -0.22, jnp.maximum(horizon + 0.03 + hang, -0.3))
    top = jnp.maximum(0.46 - size, low + 0.05)
    return u, mix(low, top, dice(shape=(n,))), z, size


def stage(dice, things: Things, aloft, cam: Camera, theme, cfg: SceneConfig):
    """Where each object starts and ends: world (x0, x1, y, z, size), each [O]."""
    n = cfg.max_objects
    u, v_air, z, size = _places(dice, things, aloft, cam, theme, cfg)
    aspect, seconds = cfg.width / cfg.height, cfg.frames / cfg.fps
    world = size * z / cam.focal[0]
    stands = jnp.asarray(fam.FOOT)[things.family] * world
    y = jnp.where(aloft, (v_air - cam.dv[0]) * z / cam.focal[0] + cam.y[0], stands)
    # The journey along x: a stroll round its place, or from or to beyond the picture's edge.
    move = jnp.asarray(fam.CAN_MOVE)[things.motion]
    heading = things.face
    reach = jnp.asarray(fam.REACH)[things.family] * size
    out = aspect / 2 + reach + 0.02
    stroll = heading * dice(0.07, 0.2, (n,)) * seconds
    brisk = jnp.minimum(dice(0.5, 0.9, (n,)) * aspect, 0.4 * seconds)
    inner = out - jnp.minimum(brisk + reach, aspect)
    enters, leaves = (things.role == fam.ROLES.index(r) for r in ("enter", "leave"))
    u0 = jnp.where(enters, -heading * out, jnp.where(leaves, heading * inner, u - stroll / 2))
    u1 = jnp.where(enters, -heading * inner, jnp.where(leaves, heading * out, u + stroll / 2))

    def under(frame, column):
        """World x that is seen in `column` at `frame`."""
        return cam.x[frame] + (column - cam.du[frame]) * z / cam.focal[frame]

    still = under(cfg.frames // 2, u)
    return jnp.where(move, under(0, u0), still), jnp.where(move, under(-1, u1), still), y, z, world


def _bounce(t, first, keep=0.8):
    """Decaying hops of which each lasts `keep` times the one before; t and `first` in seconds.

    Returns the height as a share of the first hop's and how hard the ground is pushed.
    """
    t = jnp.clip(t, 0.0, first * 4.6)
    k = jnp.floor(jnp.log(jnp.maximum(1 - t * (1 - keep) / first, 1e-3)) / np.log(keep))
    began = first * (1 - keep**k) / (1 - keep)
    s = jnp.clip((t - began) / (first * keep**k), 0, 1)
    near = jnp.minimum(s, 1 - s) * keep**k
    return keep ** (2 * k) * 4 * s * (1 - s), jnp.exp(-((near / 0.07) ** 2)) * keep**k


def tracks(dice, things: Things, where, cfg: SceneConfig) -> Tracks:
    """Motion of every object at every frame, [T, O]. `where` comes from `stage`.

    Gravity and bounce, rolling without slip, buoyancy, beating, swinging, falling: each a closed form, so
    that any frame can be had without those before it.
    """
    n = cfg.max_objects
    x0, x1, y0, z, size = where
    t, share = (c[:, None] for c in _clock(cfg))
    rate, ph, lean = dice(0.8, 1.25, (n,)), dice(0.0, 6.28, (n,)), dice(-1.0, 1.0, (n,))
    face = things.face

    def does(*names):
        return sum((things.motion == fam.MOTIONS.index(m)) * 1.0 for m in names)

    def osc(speed, lag=1.0):
        return jnp.sin(t * speed * rate + lag * ph)

    def cosc(speed, lag=1.0):
        return jnp.cos(t * speed * rate + lag * ph)

    x = mix(x0, x1, 0.75 * share + 0.25 * _ease(share))
    gone = (x - x0) / size
    hop, push = _bounce(t + 0.6 * jnp.abs(lean), 0.85)
    later = t - 0.5 * cfg.frames / cfg.fps  # what rises or falls is at its place half-way through
    squash = 1 - 0.22 * push * does("bounce") * (t < 3.6)
    swing = 0.28 * osc(2.4) * does("swing")
    # Sideways and up, in units of the object's size.
    dx = does("fall") * 1.1 * osc(2.2) + does("float") * 0.2 * osc(1.1) + does("flutter") * 0.4 * osc(3.3)
    dx = dx + 2.2 * jnp.sin(swing)
    dy = does("bounce") * hop * (1.6 + 1.2 * jnp.abs(lean)) - (1 - squash)
    dy = dy + does("float") * (0.3 * osc(2.1) + 0.28 * later * rate) + does("swim") * 0.22 * osc(2.1)
    dy = dy + does("fly") * 0.5 * osc(1.5) + does("pulse") * (0.16 * osc(2.1) + 0.2 * later)
    dy = dy + does("flutter") * (0.9 * osc(2.6) + 0.3 * osc(6.1)) + does("sail") * 0.04 * osc(1.9)
    dy = dy + does("walk") * 0.02 * jnp.abs(jnp.sin(3 * gone)) + does("drive") * 0.008 * jnp.sin(t * 21)
    dy = dy + does("fall") * (0.25 * cosc(4.4, 2.0) - 1.5 * rate * later) + 2.2 * (1 - jnp.cos(swing))
    # Turning in the picture's plane; what rolls turns once round for each circumference it has gone.
    angle = swing - gone * (does("roll") + 0.6 * does("bounce"))
    angle = angle + does("float") * 0.1 * osc(2.1) + does("sail") * 0.07 * osc(2.1)
    angle = angle + face * (does("swim") * 0.1 * cosc(2.1) + does("fly") * 0.18 * cosc(1.5))
    angle = angle + does("fall") * (0.8 * cosc(2.2) + 0.5 * lean * t + 2 * lean)
    angle = angle + does("flutter") * 0.35 * osc(2.9) + does("pulse") * (0.16 * osc(2.1) + 0.15 * lean)
    lying = (things.family == fam.NAMES.index("starfish")) + 0.25 * (
        things.family == fam.NAMES.index("fruit")
    )
    angle = angle + does("rest") * lying * lean
    spin = does("turn") * (t * 0.9 * rate + ph) + does("drive") * gone * 4 * face + does("rest", "sway") * ph
    spin = spin + does("roll", "bounce") * lean * 2 + does("float") * (t * 0.5 * lean + ph)
    spin = spin - does("whirl") * (t * 4.5 * rate + 1.2 * osc(1.3) - ph)
    beat = does("fly") * 8.5 + does("flutter") * 15 + does("pulse") * 3.4 + does("float") * 2.6
    beat = beat + does("swim") * 5 + does("sail") * 2 + does("swing", "rest") * 2.2
    phase = beat * rate * t + ph + does("walk") * 3 * gone * face
    wave = (does("swim") * 8.5 + does("fall") * 4.0 + does("sway") * 1.9) * rate * t + ph
    values = (x + dx * size, y0 + dy * size, z, size, angle, squash, spin, phase, wave)
    return Tracks(*(jnp.broadcast_to(v, (cfg.frames, n)) for v in values))
