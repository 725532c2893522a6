"""What the tests of sampling at scale share: a generator whose adapters all do something, and streams."""

from fractions import Fraction
from pathlib import Path

import jax
import numpy as np

import semjax as sj
from semjax import generator
from semjax.stream import Stream, pack
from semjax.types import ClipInfo

MODEL = generator.preset("minuscule")


def weights():
    """Parameters of the minuscule generator, none of them zero."""
    rng = np.random.default_rng(0)
    drawn = generator.init_params(jax.random.key(0), MODEL)
    return jax.tree.map(lambda x: x + 0.2 * rng.standard_normal(x.shape, np.float32), drawn)


def clip(frames: int, shift: int):
    """A disc that moves over a gradient: frames uint8 [T, 32, 32, 3] and labels uint8 [T, 32, 32]."""
    y, x = np.mgrid[:32, :32]
    labels = np.stack([((x - 8 - shift - t) ** 2 + (y - 16) ** 2 < 50) for t in range(frames)]).astype(
        np.uint8
    )
    ground = np.stack([5 * x, 6 * y, 90 + 0 * x], -1)
    return np.where(labels[..., None], (220, 80, 30), ground).astype(np.uint8), labels


def write_streams(folder: Path, lengths: dict[str, int]) -> None:
    """Stream files NAME.smj of so many frames, each of another clip."""
    for i, (name, frames) in enumerate(lengths.items()):
        video, labels = clip(frames, 2 * i)
        target = folder / f"{name}.smj"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pack(sj.encode(video, labels=labels, fps=12)))


def write_empty_streams(folder: Path, lengths: dict[str, int]) -> None:
    """Streams of which nothing arrived: long, and made at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in lengths.items():
        info = ClipInfo(frames, 32, 32, Fraction(25))
        (folder / f"{name}.smj").write_bytes(pack(Stream(info, {}, {})))
