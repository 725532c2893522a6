"""Contact sheets: what was sent, what arrived, and what the generator makes of it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from semjax.generator.conditions import FrameConditions
from semjax.generator.config import GeneratorConfig
from semjax.generator.streaming import generate
from semjax.generator.temporal import init_cache
from semjax.generator.text import tokens
from semjax.training.examples import Example


def example_conditions(example: Example, cfg: GeneratorConfig) -> FrameConditions:
    """Conditions [T, 1, ...] of a whole example."""
    count, height, width = example.labels.shape
    one, here = jnp.ones((count, 1)), np.arange(count)[:, None] == example.keyframe

    def picture(x):
        return jnp.asarray(x[:, None], jnp.float32) / 127.5 - 1

    return FrameConditions(
        labels=jnp.asarray(example.labels[:, None], jnp.int32),
        has_labels=one,
        degraded=picture(example.painted),
        has_degraded=one,
        tiny=picture(example.tiny),
        has_tiny=one,
        keyframe=picture(np.broadcast_to(example.picture, (count, height, width, 3))),
        has_keyframe=jnp.asarray(here, jnp.float32),
        text=jnp.asarray(np.repeat(tokens(cfg.model, [example.caption])[None], count, 0)),
        cut=jnp.zeros((count, 1)),
    )


def regenerate(
    params: dict, example: Example, cfg: GeneratorConfig, key: Array
) -> UInt8[np.ndarray, "T H W 3"]:
    """The clip of an example as the receiver would make it."""
    cache = init_cache(cfg, *example.labels.shape[1:])
    frames, _ = generate(params, cache, example_conditions(example, cfg), key, cfg=cfg)
    return as_bytes(np.asarray(frames)[:, 0])


def as_bytes(picture: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[-1, 1] -> 0 .. 255, rounded."""
    return np.clip(np.rint((picture + 1) * 127.5), 0, 255).astype(np.uint8)


def sheet(rows: list[list[UInt8[np.ndarray, "H W 3"]]], path: Path) -> None:
    """Pictures in rows and columns as one PNG."""
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in rows])).save(path)


def sampler(example: Example, cfg: GeneratorConfig):
    """A function (parameters, path) that draws three frames of an example: original, painted, generated."""

    def draw(params: dict, path: Path) -> None:
        made = regenerate(params, example, cfg, jax.random.key(0))
        at = np.linspace(0, len(made) - 1, 3).astype(int)
        sheet([list(clip[at]) for clip in (example.frames, example.painted, made)], path)

    return draw
