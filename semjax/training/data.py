"""Batches from a folder of examples: a pure function of seed and step, read ahead by threads.

Because a batch depends on nothing but the folder, the seed and the step, training that was killed goes on with the
very batches that it would have seen. (While examples are still being written this holds for the files that are
there.)
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.errors import InputError
from semjax.generator.config import ModelConfig
from semjax.generator.text import tokens
from semjax.training.examples import read_example


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How examples become batches.

    batch: clips. frames: consecutive frames of each. crop: pixels of the square cut out of every clip.
    drop: how often labels, the degraded picture and the caption are withheld, each on its own. hold: examples kept
    in memory (some 7 MB each), so that a fast accelerator does not wait for files. threads: that prepare batches.
    """

    batch: int = 8
    frames: int = 1
    crop: int = 128
    drop: tuple[float, float, float] = (0.08, 0.02, 0.3)
    hold: int = 128
    threads: int = 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """Clips and what is known of them: B clips of T frames. has: 0 or 1 for labels and the degraded picture."""

    frames: UInt8[np.ndarray, "B T H W 3"]
    painted: UInt8[np.ndarray, "B T H W 3"]
    labels: UInt8[np.ndarray, "B T H W"]
    has: Float[np.ndarray, "B 2"]
    text: Int[np.ndarray, "B L"]


def is_held_back(file: Path) -> bool:
    """Whether an example is for measuring and not for training: one in forty, by name."""
    return hashlib.sha256(file.name.encode()).digest()[0] % 40 == 0


class Examples:
    """The examples of a folder as batches."""

    def __init__(self, folder: Path, cfg: DataConfig, model: ModelConfig, seed: int):
        self.folder, self.cfg, self.model, self.seed = Path(folder), cfg, model, seed
        self.files: list[Path] = []
        self._read = functools.lru_cache(cfg.hold)(read_example)
        self._look()
        if not self.files:
            raise InputError(f"{folder} holds no examples (*.npz); write some with `train.py examples`")

    def _look(self) -> None:
        self.files = [file for file in sorted(self.folder.glob("*.npz")) if not is_held_back(file)]

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        if step % 256 == 0:
            self._look()
        rng = np.random.default_rng((self.seed, step))
        picks = rng.integers(len(self.files), size=self.cfg.batch)
        parts = [self._one(self.files[i], rng) for i in picks]
        return Batch(*(np.stack(column) for column in zip(*parts)))

    def _one(self, file: Path, rng: np.random.Generator):
        cfg, example = self.cfg, self._read(file)
        count, height, width = example.labels.shape
        if count < cfg.frames or min(height, width) < cfg.crop:
            raise InputError(
                f"{file.name} has {count} frames of {width}x{height}, too few for {cfg.frames} of {cfg.crop}"
            )
        first = int(rng.integers(count - cfg.frames + 1))
        top, left = (int(rng.integers(side - cfg.crop + 1)) for side in (height, width))
        part = (slice(first, first + cfg.frames), slice(top, top + cfg.crop), slice(left, left + cfg.crop))
        mirror = slice(None, None, -1 if rng.random() < 0.5 else 1)
        frames, painted, labels = (
            np.ascontiguousarray(x[part][:, :, mirror])
            for x in (example.frames, example.painted, example.labels)
        )
        # Labels are numbers without a meaning that every clip shares: any other numbering is as good.
        table = np.concatenate([[0], 1 + rng.permutation(255)]).astype(np.uint8)
        has = (rng.random(2) >= cfg.drop[:2]).astype(np.float32)
        caption = "" if rng.random() < cfg.drop[2] else example.caption
        return frames, painted, table[labels], has, tokens(self.model, [caption])[0]

    def ahead(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of steps `first` to `last` - 1, prepared while the ones before are used."""
        threads = self.cfg.threads
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            waiting = [pool.submit(self.batch, s) for s in range(first, min(first + 2 * threads, last))]
            for step in range(first, last):
                following = step + 2 * threads
                ready = waiting.pop(0).result()
                if following < last:
                    waiting.append(pool.submit(self.batch, following))
                yield ready
