"""Pictures cut into square tiles as InternVL's processor does it (transformers' GotOcr2ImageProcessor)."""

import functools

import numpy as np
from jaxtyping import UInt8

from semjax.errors import InputError


@functools.lru_cache(maxsize=64)
def grid(height: int, width: int, side: int, most: int) -> tuple[int, int]:
    """(rows, columns) of at most `most` tiles whose shape comes nearest to that of a picture.

    Of equally near ones the larger is taken where the picture has more than half of its pixels.
    """
    shapes = [(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if c * r <= most]
    best, nearest = (1, 1), float("inf")
    for columns, rows in sorted(shapes, key=lambda shape: shape[0] * shape[1]):
        off = abs(width / height - columns / rows)
        if off < nearest or (off == nearest and width * height > 0.5 * side * side * columns * rows):
            best, nearest = (rows, columns), off
    return best


def tiles(
    frame: UInt8[np.ndarray, "H W 3"], side: int = 448, most: int = 12
) -> UInt8[np.ndarray, "n side side 3"]:
    """The tiles of a picture, row by row, and after several of them the whole picture as one more.

    Raises InputError for anything but a uint8 RGB picture.
    """
    if getattr(frame, "dtype", None) != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(
            f"a picture is uint8 [H, W, 3], not {getattr(frame, 'dtype', type(frame))} {np.shape(frame)}"
        )
    rows, columns = grid(*frame.shape[:2], side, most)
    large = scaled(frame, rows * side, columns * side)
    parts = large.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return parts if len(parts) == 1 else np.concatenate([parts, scaled(frame, side, side)[None]])


def scaled(frame: UInt8[np.ndarray, "H W 3"], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture at another size (bicubic)."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def shape_of(height: int, width: int, most: int, step: int) -> tuple[int, int]:
    """The (height, width) in multiples of `step` nearest to a picture's shape with at most `most` pixels, about."""
    cells, scale = max(most // step**2, 1), (most / (height * width)) ** 0.5 / step
    rows = min(max(round(height * scale), 1), cells)
    columns = min(max(round(width * scale), 1), cells // rows)
    return rows * step, columns * step
