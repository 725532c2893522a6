"""What mirage's sender makes of a stretch of a clip: codes of a few keyframes, finer or coarser, and how wrong each is.

A plan is a pair (level of detail, number of keyframes). Stretch is the interface, RegionStretch makes tokens of
regions; semjax.systems.latents has the one with tokens of a learned code.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

from semjax import tokens

COUNTS = (1, 2, 3, 4, 5, 7, 9, 13, 17)  # keyframes of a stretch
# (cells across, tokens, tolerance in cells), from coarse to fine
DETAIL = ((20, 4, 1.0), (28, 6, 1.0), (36, 8, 1.0), (48, 12, 1.0), (64, 16, 1.0), (64, 24, 0.7), (96, 32, 0.7),
          (128, 48, 0.7))  # fmt: skip
THING, MISLABELLED = 3.0, 1500.0  # weights of pixels of things, and of wrong labels (squares of 8 bits)
_GROWTH = 0.8  # of the bytes that keyframes took so far, on what further ones take
SEEN = 10  # frames of a stretch on which a choice is judged


class Stretch(Protocol):
    """Frames `first` to `first + frames - 1` of a clip; `levels` of detail to choose from."""

    first: int
    frames: int
    levels: int

    def code(self, level: int, count: int) -> bytes:
        """The body of a keyframe record with `count` keyframes (fewer in short stretches)."""

    def error(self, body: bytes) -> float:
        """How wrong is what a receiver paints from a body."""


def places(frames: int, count: int) -> list[int]:
    """The frames of `count` keyframes of a stretch, first and last included, equally far apart."""
    return sorted({round(p) for p in np.linspace(0, frames - 1, min(count, frames))})


def seen_at(frames: int) -> np.ndarray:
    """The frames of a stretch on which a choice is judged."""
    return np.unique(np.linspace(0, frames - 1, min(SEEN, frames)).round().astype(int))


def gaps_of(frames: list[int]) -> tuple[int, ...]:
    """Frames from each keyframe to the next."""
    return tuple(int(b - a) for a, b in itertools.pairwise(frames))


@dataclasses.dataclass(frozen=True)
class RegionStretch:
    """A stretch whose tokens are regions: small pictures uint8 [n, h, w, 3], label maps uint8 [n, h, w]."""

    first: int
    pictures: np.ndarray
    labels: np.ndarray
    levels: int = len(DETAIL)

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.pictures)

    def code(self, level: int, count: int) -> bytes:
        """See Stretch; the levels are those of DETAIL."""
        width, number, tolerance = DETAIL[level]
        at = places(self.frames, count)
        height = max(1, round(width * self.pictures.shape[1] / self.pictures.shape[2]))
        size = (min(width, self.pictures.shape[2]), min(height, self.pictures.shape[1]))
        small = np.stack([cv2.resize(self.pictures[p], size, interpolation=cv2.INTER_AREA) for p in at])
        maps = np.stack([cv2.resize(self.labels[p], size, interpolation=cv2.INTER_NEAREST) for p in at])
        layouts, owners = tokens.cluster(small, maps, number)
        unit, layouts = tokens.encode_layouts(layouts, tolerance)
        group = tokens.Group(
            gaps_of(at),
            layouts,
            {t: owners[t] for t in map(int, np.unique(layouts)) if t < len(owners)},
            tokens.describe_regions(small, layouts),
        )
        return tokens.encode_group(group, unit)

    def error(self, body: bytes) -> float:
        """See Stretch: mean squared error over a few frames, of things tripled, and MISLABELLED more for every pixel
        that has another label."""
        times, (height, width) = seen_at(self.frames), self.pictures.shape[1:3]
        painted, found = tokens.paint_group(tokens.decode_group(body), times, height, width)
        squares = ((painted.astype(np.float32) - self.pictures[times]) ** 2).mean(-1)
        maps = self.labels[times]
        return float(np.mean(squares * np.where(maps > 0, THING, 1.0) + MISLABELLED * (found != maps)))


def best_plan(
    stretch: Stretch,
    body: Callable[[int, int], bytes],
    error: Callable[[int, int], float],
    room: int,
) -> tuple[int, int]:
    """The (level, count) whose bytes, beyond those of the coarsest, fit into `room` and that is least wrong.

    Of every other number of keyframes the finest level that fits is tried. More keyframes never allow a finer level,
    so that the walk along these plans makes no more codes than there are levels and numbers together. From the best
    of them on, plans beside it are tried as long as that helps: finer is not always better. body, error: `code` and
    `error` of a plan, as remembered by the caller.
    """
    base, level, best, room = len(body(0, 1)), stretch.levels - 1, (0, 1), max(room, 0)
    counts = list(dict.fromkeys(min(c, stretch.frames) for c in COUNTS))
    made: dict[tuple[int, int], int] = {}

    def fits(plan: tuple[int, int]) -> bool:
        if plan not in made:
            if _reckoned(plan, made) - base > room:
                return False
            made[plan] = len(body(*plan))
        return made[plan] - base <= room

    for count in counts[::2]:
        while level and not fits((level, count)):
            level -= 1
        if not fits((level, count)):
            break
        best = min(best, (level, count), key=lambda plan: error(*plan))
    while True:
        better = min(
            filter(fits, [best, *_beside(best, counts, stretch.levels)]), key=lambda plan: error(*plan)
        )
        if better == best:
            return best
        best = better


def _reckoned(plan: tuple[int, int], made: dict[tuple[int, int], int]) -> float:
    """What a plan's bytes will hardly stay below, by those of the same level with fewer keyframes: the largest codes
    take longest, and are not made where they will not fit."""
    level, count = plan
    known = sorted(c for other, c in made if other == level and c < count)
    if len(known) < 2:
        return 0.0
    few, most = made[level, known[0]], made[level, known[-1]]
    return few + _GROWTH * (most - few) * (count - known[0]) / (known[-1] - known[0])


def _beside(plan: tuple[int, int], counts: list[int], levels: int) -> list[tuple[int, int]]:
    """Plans with a little less or more of one thing, or less of one and more of the other."""
    at, found = counts.index(plan[1]), []
    for finer, more in ((-1, 0), (-2, 0), (0, -1), (0, 1), (-1, 1), (1, -1)):
        if 0 <= plan[0] + finer < levels and 0 <= at + more < len(counts):
            found.append((plan[0] + finer, counts[at + more]))
    return found
