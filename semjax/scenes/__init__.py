"""Procedural scenes: pretty little films with exact label maps, motion and captions, from a random key.

Everything but the words is pure JAX: jit it, vmap it, run it on an accelerator.

    SceneConfig               size, length, themes
    sample_scene(key, cfg)    key -> Scene, a pytree of parameters and paths
    render(scene, cfg)        Scene -> frames uint8 [T, H, W, 3], labels uint8 [T, H, W], Motion
    render_frame(scene, t)    one frame of it, float
    motion, flow              similarity motion of the objects; dense flow [T, H, W, 2]
    describe(scene, cfg)      captions, on the host
    make_clip(seed, cfg)      all of it at once, as NumPy
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from semjax.errors import InputError
from semjax.scenes.families import FAMILIES, NAMES
from semjax.scenes.geometry import motion
from semjax.scenes.painter import flow_frame, render_frame
from semjax.scenes.sampling import sample_scene
from semjax.scenes.state import Camera, Clip, Light, Motion, Scene, SceneConfig, Things, Tracks, host
from semjax.scenes.themes import THEMES
from semjax.scenes.words import describe as _describe
from semjax.scenes.words import nouns

__all__ = [
    "FAMILIES", "NAMES", "THEMES", "Camera", "Clip", "Light", "Motion", "Scene", "SceneConfig", "Things", "Tracks",
    "describe", "flow", "flow_frame", "make_clip", "motion", "nouns", "render", "render_frame", "sample_scene",
]  # fmt: skip


def render(scene: Scene, cfg: SceneConfig):
    """All frames: (frames uint8 [T, H, W, 3], labels uint8 [T, H, W], Motion).

    One frame at a time (`lax.map` of `render_frame`), so memory does not grow with the clip but for the
    result. Labels are 0 for the background and k + 1 for object k, of the pixel centre, unblended.
    """

    def one(t):
        frame = render_frame(scene, t, cfg)
        return jnp.round(frame.image * 255).astype(jnp.uint8), frame.labels

    frames, labels = jax.lax.map(one, jnp.arange(cfg.frames))
    return frames, labels, motion(scene, cfg)


def flow(scene: Scene, cfg: SceneConfig):
    """Dense motion from each frame to the next, float32 [T, H, W, 2] in pixels (right, down)."""
    return jax.lax.map(lambda t: flow_frame(scene, t, cfg), jnp.arange(cfg.frames))


def describe(scene: Scene, cfg: SceneConfig, labels=None):
    """Captions of a scene: the whole clip's first, then one a second; see `words.describe`."""
    return _describe(scene, cfg, _motion(scene, cfg), labels)


_motion = jax.jit(motion, static_argnames="cfg")
_sample = jax.jit(sample_scene, static_argnames="cfg")
_render = jax.jit(render, static_argnames="cfg")


def make_clip(seed: int, cfg: SceneConfig | None = None) -> Clip:
    """A finished clip as NumPy arrays: frames, labels, motion, captions and the scene itself.

    The same seed and cfg give the same clip. Compiles once per cfg and theme (some seconds). Raises InputError for
    a seed that is not an integer.
    """
    cfg = SceneConfig() if cfg is None else cfg
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InputError(f"seed must be an integer, not {seed!r}.")
    scene = _sample(jax.random.key(int(seed)), cfg)
    # The theme is known now: a renderer for this theme alone compiles in a fraction of the time.
    one_theme = dataclasses.replace(cfg, themes=(THEMES[int(scene.theme)],))
    frames, labels, moved = host(_render(scene, one_theme))
    return Clip(frames, labels, moved, _describe(scene, cfg, moved, labels), host(scene))
