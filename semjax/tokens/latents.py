"""Tokens of a learned code: latents of a generator's own autoencoder on a coarse grid, finite-scalar-quantised.

A picture is made as small as the grid asks (`factor` pixels for a latent) before it is encoded, and what is decoded
is as small: the autoencoder works on what it was trained on, small pictures, where thinned-out latents would be
something it never saw. FSQ as in Mentzer et al. 2023, with equal steps; grid, step and bytes are ours.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from semjax.errors import InputError
from semjax.types import ClipInfo

LEVELS = 31  # that a latent may have; beyond the last it is clipped
_SIXTEENTHS = 16


def quantise_latents(latents: Float[np.ndarray, "*shape"], step: int) -> Int[np.ndarray, "*shape"]:
    """The nearest codes, -15 to 15, of latents; `step` (1 to 255) sixteenths lie between two codes."""
    most = LEVELS // 2
    return np.clip(np.rint(latents * (_SIXTEENTHS / step)), -most, most).astype(np.int64)


def restore_latents(codes: Int[np.ndarray, "*shape"], step: int) -> Float[np.ndarray, "*shape"]:
    """The latents that codes stand for, float32."""
    return (codes * (step / _SIXTEENTHS)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """The autoencoder among a generator's weights, for small pictures.

    model: a semjax.generator.ModelConfig that has one. params: its parameters, {"picture": ...}. weights: the first 4
    bytes of their SHA-256, by which sender and receiver know that they have the same.
    """

    model: Any
    params: Any = dataclasses.field(repr=False)
    weights: bytes

    @classmethod
    def of(cls, model: Any, params: Any) -> "Autoencoder | None":
        """That of a generator's model and parameters; None for models whose latents are squares of pixels."""
        from semjax.generator import fingerprint

        if model.autoencoder is None:
            return None
        picture = {"picture": params["picture"]}
        return cls(model, picture, bytes.fromhex(fingerprint(picture))[:4])

    @classmethod
    def load(cls, folder: str | Path) -> "Autoencoder | None":
        """That of a folder of weights, of which no other part is read. Raises InputError as `generator.load`."""
        from semjax.generator import load

        return cls.of(*load(folder, parts=("picture",)))

    def finest(self, width: int, height: int) -> tuple[int, int]:
        """(columns, rows) of the finest grid for pictures of this size."""
        return max(1, width // self.model.factor), max(1, height // self.model.factor)

    def holds(self, shape: tuple[int, int, int], info: ClipInfo) -> bool:
        """Whether latents [h, w, C] of this shape may be those of a clip's pictures."""
        columns, rows = self.finest(info.width, info.height)
        return shape[0] <= rows and shape[1] <= columns and shape[2] == self.model.autoencoder.latent_channels

    def grid(self, width: int, height: int, across: int) -> tuple[int, int]:
        """(columns, rows) of a grid of about `across` columns for pictures of this size, no finer than their own."""
        most = self.finest(width, height)
        columns = min(across, most[0])
        return columns, min(max(1, round(columns * height / width)), most[1])

    def encode(
        self, picture: UInt8[np.ndarray, "H W 3"], grid: tuple[int, int]
    ) -> Float[np.ndarray, "h w C"]:
        """The latents of a picture on a grid of (columns, rows)."""
        size = tuple(side * self.model.factor for side in grid)
        smaller = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        return np.asarray(_jitted(self.model)[0](self.params, small))

    def decode(self, latents: Float[np.ndarray, "h w C"]) -> UInt8[np.ndarray, "H W 3"]:
        """The small picture that latents stand for, `factor` pixels for each."""
        channels = self.model.autoencoder.latent_channels
        if latents.shape[2] != channels:
            raise InputError(f"latents of {self.model.name} have {channels} channels, not {latents.shape[2]}")
        return np.asarray(_jitted(self.model)[1](self.params, latents))


@functools.cache
def _jitted(model: Any):
    """(uint8 picture -> latents, latents -> uint8 picture), compiled once for each grid."""
    from semjax.generator import pictures

    def encode(params, picture):
        return pictures.encode(params, model, picture[None].astype(jnp.float32) / 127.5 - 1)[0]

    def decode(params, latents):
        size = tuple(side * model.factor for side in latents.shape[:2])
        picture = pictures.decode(params, model, latents[None], size)[0]
        return jnp.rint((jnp.clip(picture, -1, 1) + 1) * 127.5).astype(jnp.uint8)

    return jax.jit(encode), jax.jit(decode)
