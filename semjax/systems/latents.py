"""Mirage's tokens of a learned code: keyframes through a generator's own autoencoder, on both sides of the link.

Between keyframes the pictures that the codes stand for move into each other (semjax.world); a generator is told them
as clean keyframes and makes frames of that.
"""

import dataclasses
import functools
from collections.abc import Sequence

import cv2
import numpy as np

from semjax import tokens, world
from semjax.errors import InputError
from semjax.systems.generators import Diffusion, Generator
from semjax.systems.stretches import gaps_of, places, seen_at
from semjax.types import ClipInfo

# (latents across, sixteenths between two codes), from coarse to fine
DETAIL = ((4, 24), (4, 12), (6, 12), (6, 8), (8, 12), (8, 8), (12, 12), (12, 8), (16, 12), (16, 8), (16, 5), (24, 8),
          (24, 5), (32, 8), (32, 5))  # fmt: skip
WIDTH = 256  # pixels of width of the pictures that are encoded
JUDGED = 128  # pixels of width at which what is painted is judged
_FINE, _TRUST = 2, 1.0  # of world.between


@dataclasses.dataclass(frozen=True)
class LatentStretch:
    """A stretch whose tokens are latents: pictures uint8 [n, h, w, 3], WIDTH pixels wide, of a clip of that size."""

    first: int
    pictures: np.ndarray
    coder: tokens.Autoencoder
    size: tuple[int, int]  # width and height of the clip
    levels: int = len(DETAIL)

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.pictures)

    def code(self, level: int, count: int) -> bytes:
        """See stretches.Stretch; the levels are those of DETAIL."""
        across, step = DETAIL[level]
        at, grid = places(self.frames, count), self.coder.grid(*self.size, across)
        codes = [tokens.quantise_latents(self.coder.encode(self.pictures[p], grid), step) for p in at]
        group = tokens.Group(gaps_of(at), codes=np.stack(codes), step=step, weights=self.coder.weights)
        return tokens.encode_group(group)

    def error(self, body: bytes) -> float:
        """See stretches.Stretch: mean squared error over a few frames."""
        times, width = seen_at(self.frames), min(JUDGED, self.pictures.shape[2])
        height = max(1, round(width * self.pictures.shape[1] / self.pictures.shape[2]))
        shown = Shown(tokens.decode_group(body), self.coder, height, width)
        wanted = [cv2.resize(self.pictures[t], (width, height), interpolation=cv2.INTER_AREA) for t in times]
        return float(np.mean((shown.frames(times).astype(np.float32) - np.stack(wanted)) ** 2))


class Shown:
    """What a group of latents shows at height x width pixels."""

    def __init__(self, group: tokens.Group, coder: tokens.Autoencoder, height: int, width: int):
        self.group, self.coder, self.size = group, coder, (width, height)
        self.picture = functools.lru_cache(maxsize=2)(self._picture)
        self._path = functools.lru_cache(maxsize=1)(
            lambda k: world.find_path(self.picture(k), self.picture(k + 1))
        )

    def latents(self, k: int) -> np.ndarray:
        """The latents of keyframe k, float32 [h, w, C]."""
        return tokens.restore_latents(self.group.codes[k], self.group.step)

    def _picture(self, k: int) -> np.ndarray:
        """The picture of keyframe k, uint8 [height, width, 3]."""
        return cv2.resize(self.coder.decode(self.latents(k)), self.size, interpolation=cv2.INTER_CUBIC)

    def frames(self, times: Sequence[int]) -> np.ndarray:
        """Pictures uint8 [n, height, width, 3] at `times`, in frames from the group's first keyframe; behind the last
        one they stand still."""
        at = self.group.places
        out = []
        for time in times:
            k = int(np.searchsorted(at, time, side="right")) - 1
            if k == len(at) - 1 or time == at[k]:
                out.append(self.picture(k))
            else:
                share = np.float32((time - at[k]) / (at[k + 1] - at[k]))
                out.append(world.between(self._path(k), share, _FINE, _TRUST))
        return np.stack(out)


@functools.lru_cache(maxsize=4)
def sender_coder(weights: str, needed: bool) -> tokens.Autoencoder | None:
    """The autoencoder of a folder of weights; None for weights without one, or InputError where one is `needed`."""
    found = tokens.Autoencoder.load(weights)
    if found is None and needed:
        raise InputError(
            f"the generator in {weights} has no autoencoder to make tokens with (its latents are pixels, and no "
            "pixels cross the link); take other weights, or tokens of regions"
        )
    return found


def receiver_coder(generator: Generator) -> tokens.Autoencoder | None:
    """The autoencoder of what paints at the receiver, if it has one."""
    if not isinstance(generator, Diffusion):
        return None
    return tokens.Autoencoder.of(generator.cfg.model, generator.params)


def readable(
    arrived: list[tuple[int, tokens.Group]], coder: tokens.Autoencoder | None, name: str, info: ClipInfo
) -> list[tuple[int, tokens.Group]]:
    """The groups that a receiver can show: those of regions, and latents of its own autoencoder's weights on grids no
    finer than the clip's (finer ones are damage, and would be decoded to more than the clip's pixels).

    Raises InputError when all that arrived are of other weights, saying which.
    """

    def fits(group: tokens.Group) -> bool:
        if not tokens.is_latent(group):
            return True
        return (
            coder is not None and coder.weights == group.weights and coder.holds(group.codes.shape[1:], info)
        )

    kept = [(first, group) for first, group in arrived if fits(group)]
    if arrived and not kept and all(group.weights != getattr(coder, "weights", b"") for _, group in arrived):
        needed, own = arrived[0][1].weights.hex(), "none" if coder is None else coder.weights.hex()
        raise InputError(
            f"the stream's keyframes are codes of the autoencoder {needed}, and the generator {name!r} has {own}: "
            "decode with the folder of weights that it was encoded with (--generator)"
        )
    return kept
