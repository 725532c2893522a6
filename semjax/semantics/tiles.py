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

    `most` 1: the whole picture, squeezed into a square. Raises InputError for anything but a uint8 RGB picture.
    """
    from PIL import Image

    if getattr(frame, "dtype", None) != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(
            f"a picture is uint8 [H, W, 3], not {getattr(frame, 'dtype', type(frame))} {np.shape(frame)}"
        )
    rows, columns = grid(*frame.shape[:2], side, most)
    picture = Image.fromarray(np.ascontiguousarray(frame))

    def scaled(height: int, width: int) -> np.ndarray:
        return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))

    large = scaled(rows * side, columns * side)
    parts = large.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return parts if len(parts) == 1 else np.concatenate([parts, scaled(side, side)[None]])
