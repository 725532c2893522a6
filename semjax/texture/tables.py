"""Model states at the start of a unit: what training has taught them (package data) or nothing."""

import functools
import importlib.resources
import io
from typing import NamedTuple

import numpy as np
from numba import njit

from semjax.entropy import binary as eb

INPUTS = 6  # models that every decision of a block is mixed from
TABLE = 1 << 13  # models for each of these inputs
SETS = 128  # weight sets of the mixer
MOTION = 1024
BLOCKS = 512
FILE = "texture_tables.npz"


class Models(NamedTuple):
    """All adaptive state of a unit.

    `levels` is (bit models uint32, mixer weights int32, the models' stretched predictions int16, scratch).
    """

    levels: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    motion: np.ndarray
    blocks: np.ndarray

    def copy(self) -> "Models":
        """An independent copy."""
        return Models(tuple(a.copy() for a in self.levels), self.motion.copy(), self.blocks.copy())

    def learn_from(self, other: "Models") -> None:
        """Take over the states of `other` in place."""
        for mine, theirs in zip(
            (*self.levels, self.motion, self.blocks), (*other.levels, other.motion, other.blocks)
        ):
            mine[...] = theirs


@njit(cache=True)
def _stretched(bits):
    """Stretched prediction of every bit model: int16, kept up to date by `residual.mixed_bit`."""
    out = np.zeros(bits.size, np.int16)
    for i in range(bits.size):
        out[i] = eb.stretch(eb.bit_p(bits, i))
    return out


def _models(bits: np.ndarray, weights: np.ndarray, motion: np.ndarray, blocks: np.ndarray) -> Models:
    return Models((bits, weights, _stretched(bits), np.zeros(INPUTS, np.int64)), motion, blocks)


def blank() -> Models:
    """Models that know nothing: where training starts."""
    weights = eb.new_mixer(SETS, INPUTS, 0.3)
    return _models(eb.new_bits(INPUTS * TABLE), weights, eb.new_bits(MOTION), eb.new_bits(BLOCKS))


@functools.cache
def _trained() -> Models:
    data = (importlib.resources.files("semjax.assets") / FILE).read_bytes()
    with np.load(io.BytesIO(data)) as arrays:
        return _models(arrays["bits"], arrays["weights"], arrays["motion"], arrays["blocks"])


def trained() -> Models:
    """A fresh copy of the shipped models."""
    return _trained().copy()


def pack(models: Models, confidence: int) -> bytes:
    """The file of these models, with counts of what they have seen cut to `confidence` so that they stay supple."""

    def cut(bits):
        return (bits >> 10 << 10 | np.minimum(bits & 1023, confidence)).astype(np.uint32)

    out = io.BytesIO()
    np.savez_compressed(
        out,
        bits=cut(models.levels[0]),
        weights=models.levels[1],
        motion=cut(models.motion),
        blocks=cut(models.blocks),
    )
    return out.getvalue()
