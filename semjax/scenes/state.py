"""The data that make up a scene: settings, sampled parameters, motion, finished clip."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from semjax.errors import InputError
from semjax.scenes.themes import THEMES
from semjax.types import Caption, LabelMaps, Video


@dataclasses.dataclass(frozen=True)
class SceneConfig:
    """Settings of the renderer; hashable, the one static argument of every function here.

    frames, height, width: size of the clip. fps: frames per second, which sets how far things move from
    frame to frame. max_objects: at most so many objects (labels 1..max_objects). supersample: n x n
    colour samples a pixel (labels are always those of the pixel centre). themes: which backdrops may
    occur. camera: strength of the camera's movements, 0 for a tripod.
    """

    frames: int = 16
    height: int = 64
    width: int = 64
    fps: float = 25.0
    max_objects: int = 6
    supersample: int = 1
    themes: tuple[str, ...] = THEMES
    camera: float = 1.0

    def __post_init__(self):
        low = {"frames": 1, "height": 8, "width": 8, "max_objects": 1, "supersample": 1}
        for field, least in low.items():
            if not isinstance(getattr(self, field), int) or getattr(self, field) < least:
                raise InputError(f"SceneConfig.{field} must be an integer of at least {least}, not "
                                 f"{getattr(self, field)!r}.")  # fmt: skip
        if self.max_objects > 255:
            raise InputError(
                f"SceneConfig.max_objects must be at most 255 (labels are 8 bits), not {self.max_objects}."
            )
        if not self.fps > 0:
            raise InputError(f"SceneConfig.fps must be positive, not {self.fps!r}.")
        if not self.themes or set(self.themes) - set(THEMES):
            raise InputError(
                f"SceneConfig.themes must name some of {', '.join(THEMES)}; got {self.themes!r}."
            )


class Camera(NamedTuple):
    """A pin-hole camera that looks along +z; lengths of the picture are in units of its height."""

    x: jax.Array  # [T] position
    y: jax.Array  # [T] height over the ground
    focal: jax.Array  # [T]
    du: jax.Array  # [T] where the view axis meets the picture, right of the middle
    dv: jax.Array  # [T] ... and above the middle: the horizon
    roll: jax.Array  # [T] radians


class Light(NamedTuple):
    """Light that changes with time; colours are linear."""

    toward: jax.Array  # [T, 3] unit vector to the light: right, up, to the viewer
    sun: jax.Array  # [T, 3]
    sky: jax.Array  # [T, 3] ambient from above
    ground: jax.Array  # [T, 3] ambient from below


class Things(NamedTuple):
    """What does not change about the objects."""

    family: jax.Array  # [O] index into FAMILIES; 0 means no object
    col: jax.Array  # [O, 4, 3]
    shape: jax.Array  # [O, 8]
    material: jax.Array  # [O]
    freq: jax.Array  # [O]
    seed: jax.Array  # [O]
    face: jax.Array  # [O] +1 or -1: mirrored
    motion: jax.Array  # [O] index into MOTIONS
    role: jax.Array  # [O] index into ROLES


class Tracks(NamedTuple):
    """Where the objects are; world units."""

    x: jax.Array  # [T, O]
    y: jax.Array
    z: jax.Array
    size: jax.Array  # half extent
    angle: jax.Array  # counter-clockwise
    squash: jax.Array  # height factor; the width's is 1 / sqrt
    spin: jax.Array
    phase: jax.Array
    wave: jax.Array  # phase of the body's wave


class Scene(NamedTuple):
    """Everything `render` needs, as one pytree; every leaf may carry leading batch axes under vmap."""

    theme: jax.Array  # index into THEMES
    hour: jax.Array  # index into the times of day
    seed: jax.Array
    mood: jax.Array  # [8] in [0, 1], what the backdrop makes of it
    bg: jax.Array  # [4, 3] colours of the backdrop
    camera: Camera
    light: Light
    things: Things
    tracks: Tracks


class Motion(NamedTuple):
    """How the objects move on the screen; arrays [T, O], pixels, x right and y down.

    An object's own point (a, b), b upwards, is seen at `centre + scale * (p, -q)` with (p, q) = the point
    (flip * a, b) turned counter-clockwise by `angle`; exactly so for rigid families (`Family.rigid`), up to
    its deformation for the others. Pixel centres have coordinates that end in a half.
    """

    centre: jax.Array  # [T, O, 2]
    angle: jax.Array  # [T, O] radians, counter-clockwise as seen
    scale: jax.Array  # [T, O, 2] pixels per own unit, along the picture's x and y
    flip: jax.Array  # [T, O] -1 where the object is mirrored
    depth: jax.Array  # [T, O] distance; the smaller hides the greater
    present: jax.Array  # [T, O] bool: there is such an object and its circle meets the picture


class Clip(NamedTuple):
    """A finished clip, host side."""

    frames: Video
    labels: LabelMaps
    motion: Motion
    captions: list[Caption]
    scene: Scene


def config_check(cfg) -> None:
    """Raises InputError unless `cfg` is a SceneConfig."""
    if not isinstance(cfg, SceneConfig):
        raise InputError(f"cfg must be a SceneConfig, not {type(cfg).__name__}.")


def scene_check(scene: Scene, cfg: SceneConfig) -> None:
    """Raises InputError unless `scene` has the frames and objects that `cfg` says."""
    config_check(cfg)
    have, want = scene.tracks.x.shape, (cfg.frames, cfg.max_objects)
    if have != want:
        raise InputError(
            f"The scene has (frames, objects) = {have} but cfg says {want}; render it with the cfg that it was "
            "sampled with (map over a batch of scenes with jax.vmap)."
        )


def host(tree):
    """The same pytree with NumPy leaves."""
    return jax.tree.map(np.asarray, tree)
