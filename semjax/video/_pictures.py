"""Still pictures as clips: folders of numbered files, and animations that FFmpeg does not read."""

import contextlib
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from PIL import Image

from semjax.errors import InputError

log = logging.getLogger("semjax")

SUFFIXES = frozenset(
    [
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".gif",
        ".ppm",
        ".pgm",
        ".pnm",
        ".jp2",
        ".tga",
    ]
)
DEFAULT_FPS = Fraction(25)  # what a folder of pictures plays at when nobody says
MAX_PIXELS = 1 << 26  # a picture; a damaged header may ask for anything
_TRANSPOSE = {  # what undoes an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def numbered_files(folder: pathlib.Path, suffixes: frozenset[str] = SUFFIXES) -> list[pathlib.Path]:
    """Files of `folder` that end in one of `suffixes`, in natural order (2 before 10), none hidden."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_file() and not e.name.startswith(".")]
    names = [n for n in names if pathlib.PurePath(n).suffix.lower() in suffixes]
    return [folder / n for n in sorted(names, key=natural_key)]


def natural_key(name: str) -> list:
    """Sort key under which runs of digits compare as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), p) if i % 2 else (p.lower(), p) for i, p in enumerate(parts)]


@contextlib.contextmanager
def open_picture(path: pathlib.Path) -> Iterator[Image.Image]:
    """A picture, header read; whatever goes wrong in here, then or in decoding, comes out as `InputError`."""
    try:
        with Image.open(path) as picture:
            check_size(path, *picture.size)
            yield picture
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} is not a readable picture or damaged ({reason}); replace or remove it."
        ) from error


def check_size(path: pathlib.Path, width: int, height: int) -> None:
    """`InputError` for sizes beyond `MAX_PIXELS`."""
    if not 0 < width * height <= MAX_PIXELS:
        raise InputError(
            f"{path} has {width}x{height} pixels, not 1 to {MAX_PIXELS}; scale it, or replace it if damaged."
        )


def over_black(rgba: np.ndarray) -> np.ndarray:
    """uint8 [..., 4] with straight alpha -> uint8 [..., 3] over black, rounded to nearest."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def orientation(picture: Image.Image) -> int:
    """EXIF orientation 1..8 as the header states it.

    The plain `Image.getexif`, since that of PNG decodes the whole picture to find a late chunk; Pillow turns
    TIFF by itself.
    """
    return 1 if picture.format == "TIFF" else Image.Image.getexif(picture).get(0x0112, 1)


def to_rgb(picture: Image.Image, turn: int = 1) -> np.ndarray:
    """A Pillow picture of any mode -> uint8 [H, W, 3]; EXIF orientation `turn` applied, alpha over black."""
    if turn in _TRANSPOSE:
        picture = picture.transpose(_TRANSPOSE[turn])
    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
    if picture.mode in ("I", "F"):
        raise InputError(
            f"Pictures of mode {picture.mode} (32 bit) have no set range; save them as 8-bit RGB."
        )
    if picture.has_transparency_data:
        return over_black(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


def decode_picture(path: pathlib.Path) -> np.ndarray:
    """A picture file -> uint8 [H, W, 3]; `InputError` when it is damaged."""
    with open_picture(path) as picture:
        return to_rgb(picture, orientation(picture))


def shown_size(picture: Image.Image) -> tuple[int, int]:
    """(width, height) after EXIF orientation, without decoding the pixels."""
    width, height = picture.size
    return (height, width) if orientation(picture) in (5, 6, 7, 8) else (width, height)


def common_size(files: list[pathlib.Path]) -> tuple[int, int]:
    """(width, height) that all pictures share; `InputError` naming the first that differs."""
    first = None
    for path in files:
        with open_picture(path) as picture:
            size = shown_size(picture)
        first = first or size
        if size != first:
            raise InputError(
                f"Pictures of one clip must have one size: {files[0].name} is {first[0]}x{first[1]}, "
                f"{path.name} is {size[0]}x{size[1]}; resize or remove it."
            )
    return first


class FolderSource:
    """A folder of numbered pictures of one size."""

    variable_rate = False

    def __init__(self, folder: pathlib.Path):
        self.files = numbered_files(folder)
        if not self.files:
            raise InputError(f"The folder {folder} holds no pictures; expected files like 0000.png.")
        self.count = len(self.files)
        self.width, self.height = common_size(self.files)
        self.fps = DEFAULT_FPS

    def rgb(self, start: int) -> Iterator[np.ndarray]:
        """Frames from `start` on, uint8 [H, W, 3]."""
        return map(decode_picture, self.files[start:])


class AnimationSource:
    """One picture file, still or animated, through Pillow."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        with open_picture(path) as picture:
            self.count = getattr(picture, "n_frames", 1)
            self.width, self.height = shown_size(picture)
            self._turn = orientation(picture)
        durations = []
        try:
            for _, duration in self._decode():
                durations.append(duration)
        except InputError as error:
            if not durations:
                raise
            log.warning(
                "%s: only %d of %d frames can be decoded (%s)", path, len(durations), self.count, error
            )
            self.count = len(durations)
        total = sum(durations) if self.count > 1 else 0
        self.variable_rate = max(durations) - min(durations) > 1
        self.fps = self.count * 1000 / total if total else DEFAULT_FPS  # 0: a clip that names no durations

    def _decode(self) -> Iterator[tuple[Image.Image, Fraction]]:
        """Pictures, each with its duration in milliseconds."""
        with open_picture(self.path) as picture:
            for i in range(self.count):
                picture.seek(i)
                picture.load()
                # PNG stores the duration as a fraction of two 16-bit numbers of seconds, Pillow makes a float of it
                seconds = Fraction(float(picture.info.get("duration", 0)) / 1000).limit_denominator(65535)
                yield picture, seconds * 1000

    def rgb(self, start: int) -> Iterator[np.ndarray]:
        """Frames from `start` on, uint8 [H, W, 3]."""
        for i, (picture, _) in enumerate(self._decode()):
            if i >= start:
                yield to_rgb(picture, self._turn)
