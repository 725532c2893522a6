"""World models from generators: what paints at the receiver of systems that send keyframes and words."""

import dataclasses
from typing import Any

import jax
import numpy as np

from semjax import world
from semjax.systems.generators import Diffusion, Generator
from semjax.systems.painters import nothing_known
from semjax.types import Caption, Conditions, Keyframe


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """A painter that shows frames made before: the degraded pictures that a diffusion generator starts from."""

    frames: np.ndarray

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The frames, whatever the conditions say."""
        return self.frames, state


@dataclasses.dataclass(frozen=True)
class DiffusionWorld:
    """A diffusion generator as a world model, over what the model without weights makes of a segment.

    It is told the segment's first picture, its sentence and, as in LGVSC's release, the motion in words. The overlap
    into the segment before is the generator's memory of its last frames (`window` of them): it goes on from segment
    to segment, is lost at cuts, and where a clip is entered in the middle is made from `Segment.before`. Frames are
    generated one by one, so that segments of all lengths share one compiled step.
    """

    generator: Diffusion
    base: world.WorldModel = world.Interpolator()

    @property
    def name(self) -> str:
        """The generator's."""
        return self.generator.name

    def step(self, segment: world.Segment, at: int, count: int, state: Any, key: jax.Array):
        """The next frames; see `world.WorldModel.step`."""
        below, memory, cut = state or (None, self._entered(segment, at, key), False)
        if at == 0 and cut:
            memory = None
        frames, below = self.base.step(segment, at, count, below, key)
        first = segment.first + at
        told = dataclasses.replace(
            nothing_known(first, count, segment.height, segment.width),
            keyframes=(Keyframe(first, segment.start),) if at == 0 and segment.start is not None else (),
            captions=(Caption(first, first + count - 1, prompt(segment)),),
        )
        frames, memory = repaint(self.generator, told, frames, memory, key)
        return frames, (below, memory, segment.cut)

    def _entered(self, segment: world.Segment, at: int, key: jax.Array) -> Any:
        """The generator's memory of the frames before a segment, shown to it as received pictures."""
        if at or segment.before is None or not len(segment.before):
            return None
        frames = segment.before[-self.generator.cfg.window :]
        first = segment.first - len(frames)
        told = dataclasses.replace(
            nothing_known(first, len(frames), segment.height, segment.width),
            keyframes=tuple(Keyframe(first + i, frame) for i, frame in enumerate(frames)),
        )
        return repaint(self.generator, told, frames, None, key)[1]


def repaint(
    generator: Generator, told: Conditions, frames: np.ndarray, state: Any, key: jax.Array
) -> tuple[np.ndarray, Any]:
    """Frames made without weights, painted again by a diffusion generator that is told more; others leave them so.

    Returns the frames and the generator's state for the call after this one.
    """
    if not isinstance(generator, Diffusion):
        return frames, state
    return dataclasses.replace(generator, painter=_Prepared(frames)).step(told, state, key)


def prompt(segment: world.Segment) -> str:
    """A segment's sentence and, where it is known, its motion in the words of LGVSC's release."""
    motion = "" if segment.score is None else f"motion score: {segment.score:.1f}."
    return " ".join(filter(None, [segment.caption, motion]))


def world_of(generator: Generator) -> world.WorldModel:
    """The world model that a generator makes; `none` gives the one without weights."""
    return DiffusionWorld(generator) if isinstance(generator, Diffusion) else world.Interpolator()
