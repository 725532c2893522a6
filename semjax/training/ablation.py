"""What each part is worth: held-back examples with adapters off, other windows, other numbers of steps, the teacher."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from semjax import diffusion, metrics
from semjax.errors import InputError
from semjax.generator import pictures
from semjax.generator.config import GeneratorConfig
from semjax.generator.network import ClipTime, denoise_clip, prepare
from semjax.generator.streaming import hold
from semjax.training.data import is_held_back
from semjax.training.examples import Example, read_example
from semjax.training.samples import as_bytes, example_conditions, regenerate

VARIANTS: dict[str, dict] = {
    "as it is run": {},
    "without Semantic Control": {"control": False},
    "without Restoration Adapter": {"restoration": False},
    "without Temporal Adapter": {"temporal": False},
    "W = 1": {"window": 1},
    "W = 4": {"window": 4},
    "W = 8": {"window": 8},
    "1 step": {"steps": 1},
    "2 steps": {"steps": 2},
    "4 steps": {"steps": 4},
    "consistency 0": {"consistency": 0.0},
    "consistency 0.5": {"consistency": 0.5},
    "consistency 1": {"consistency": 1.0},
}
MEASURES = ("psnr", "ms_ssim", "gmsd", "haarpsi", "flicker", "warping_error")


def ablation(params: dict, cfg: GeneratorConfig, folder: Path, most: int = 8, source: str = "") -> str:
    """A Markdown table over at most `most` held-back examples: what `none` paints, and the generator's variants.

    source: what the examples' names begin with, such as "scene" for procedural ones; "" for all. With a "teacher"
    among the parameters its bidirectional clips are a line, too. The first line holds the clips' own warping error.
    """
    clips = [read_example(f) for f in sorted(folder.glob(f"{source}*.npz")) if is_held_back(f)][:most]
    if not clips:
        raise InputError(
            f"none of the examples {source}* in {folder} is held back (one in forty is); write more of them"
        )
    rows = ["| variant | " + " | ".join(MEASURES) + " |", "|---|" + "--:|" * len(MEASURES)]
    own = np.mean([float(metrics.warping_error(c.frames, c.frames)) for c in clips])
    rows.append("| the clips themselves | " + " | ".join([""] * (len(MEASURES) - 1)) + f" | {own:.5f} |")
    rows.append(_row("none", clips, (c.painted for c in clips)))
    for name, change in VARIANTS.items():
        changed = dataclasses.replace(cfg, **change)
        if change and changed == cfg:
            continue
        rows.append(_row(name, clips, (regenerate(params, c, changed, jax.random.key(0)) for c in clips)))
    if "teacher" in params:
        rows.append(_row("teacher", clips, (by_teacher(params, c, cfg, jax.random.key(0)) for c in clips)))
    return "\n".join(rows) + "\n"


def by_teacher(
    params: dict, example: Example, cfg: GeneratorConfig, key: jax.Array
) -> UInt8[np.ndarray, "T H W 3"]:
    """An example's clip from the bidirectional teacher, all frames at once, held to the tiny frames at the end."""
    given = jax.tree.map(lambda x: x[:, 0], example_conditions(example, cfg))
    count, size = len(example.frames), example.labels.shape[1:]

    @jax.jit
    def make(params):
        model, scene = cfg.model, prepare(params, given, cfg)
        look = ClipTime(params["teacher"], model, count, jnp.ones((count, count), bool))
        noise = jax.random.normal(key, scene.degraded.shape)
        rows = diffusion.plan(cfg.sampling())
        x = diffusion.start(rows, scene.degraded + model.noise * noise if model.anchored else noise)

        def denoise(x, time):
            return denoise_clip(params, cfg, scene, x, jnp.full(count, time), look), ()

        x, _ = diffusion.sample(denoise, rows, x, key)
        picture = pictures.decode(params, model, x, size)
        return jnp.clip(hold(picture, given, cfg), -1, 1)

    return as_bytes(np.asarray(make(params)))


def _row(name: str, clips: list[Example], made: Iterable[np.ndarray]) -> str:
    scores = [metrics.compare(clip.frames, frames) for clip, frames in zip(clips, made)]
    means = [np.mean([s[measure] for s in scores]) for measure in MEASURES]
    return f"| {name} | " + " | ".join(f"{v:.5f}" if v < 0.1 else f"{v:.3f}" for v in means) + " |"
