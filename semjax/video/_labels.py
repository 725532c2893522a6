"""Label maps: folders of 8-bit PNGs, one per frame, whose pixel value (or palette index) is the label."""

import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from semjax.errors import InputError
from semjax.types import ClipInfo, LabelMaps
from semjax.video._pictures import DEFAULT_FPS, numbered_files, open_picture
from semjax.video._reader import stack
from semjax.video._writer import PictureSink

# Pillow spreads 1-, 2- and 4-bit grey over 0..255; the factor brings the stored value back.
_SPREAD = {"L;2": 85, "L;4": 17}
_KINDS = {"RGB": "in colour", "RGBA": "in colour with alpha", "LA": "with alpha", "PA": "with alpha"}


class LabelReader:
    """Label maps read one by one in constant memory; made by `open_labels`.

    Iterating gives uint8 [H, W]; `chunks(n)` gives uint8 [n, H, W]. `info` has the count and size (its rate
    is a placeholder: label maps have none).
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = pathlib.Path(folder)
        if not self.path.exists():
            raise InputError(f"The label folder {self.path} does not exist; name a folder of 8-bit PNGs.")
        if not self.path.is_dir():
            raise InputError(f"{self.path} is a file; label maps are a folder with one 8-bit PNG per frame.")
        self._files = numbered_files(self.path, frozenset([".png"]))
        if not self._files:
            raise InputError(f"The label folder {self.path} holds no PNGs; expected one 8-bit PNG per frame.")
        size = None
        for file in self._files:
            with open_picture(file) as picture:
                _check_mode(file, picture)
                size = size or picture.size
                if picture.size != size:
                    raise InputError(
                        f"Label maps of one clip must have one size: {self._files[0].name} is "
                        f"{size[0]}x{size[1]}, {file.name} is {picture.size[0]}x{picture.size[1]}."
                    )
        self.info = ClipInfo(len(self._files), *size, DEFAULT_FPS)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(_decode, self._files)

    def __len__(self) -> int:
        return self.info.frames

    def chunks(self, n: int) -> Iterator[LabelMaps]:
        """The label maps in pieces uint8 [n, H, W]; the last one may be shorter."""
        return stack(iter(self), n)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing stays open between frames."""


def open_labels(folder: str | os.PathLike) -> LabelReader:
    """Opens a folder of label maps, checking kind and size of every file; `InputError` says what to change.

    Accepted: grey PNGs of up to 8 bits (pixel value = label) and palette PNGs (palette index = label).
    """
    return LabelReader(folder)


def read_labels(folder: str | os.PathLike) -> LabelMaps:
    """All label maps of a folder as one array uint8 [T, H, W]; see `open_labels`."""
    return np.stack(list(open_labels(folder)))


def write_labels(folder: str | os.PathLike, labels: np.ndarray | Iterable[np.ndarray]) -> None:
    """Writes label maps uint8 [T, H, W] (or an iterable of [H, W] or [n, H, W]) as 0000.png, 0001.png, ..."""
    sink, count, size = PictureSink(pathlib.Path(folder)), 0, None
    try:
        for piece in [labels] if isinstance(labels, np.ndarray) else labels:
            piece = np.asarray(piece)
            size = size or piece.shape[-2:]
            if (
                piece.dtype != np.uint8
                or piece.ndim not in (2, 3)
                or piece.shape[-2:] != size
                or piece.size == 0
            ):
                raise InputError(
                    f"Label maps must be uint8 (n, H, W) of one size, got {piece.dtype} {piece.shape}."
                )
            for label_map in piece.reshape(-1, *size):
                sink.add(np.ascontiguousarray(label_map), count)
                count += 1
        if count == 0:
            raise InputError(f"No label map was given for {folder}; write at least one.")
        sink.finish()
    except BaseException:
        sink.abort()
        raise


def check_labels(video: ClipInfo, labels: ClipInfo) -> None:
    """`InputError` unless the label maps have the clip's size and count."""
    if (video.width, video.height) != (labels.width, labels.height):
        raise InputError(
            f"The clip is {video.width}x{video.height} but its label maps are "
            f"{labels.width}x{labels.height}; scale the label maps to the clip's size (nearest neighbour)."
        )
    if video.frames != labels.frames:
        raise InputError(
            f"The clip has {video.frames} frames but there are {labels.frames} label maps; "
            "give one for each frame."
        )


def _check_mode(file: pathlib.Path, picture: Image.Image) -> None:
    if picture.mode in ("L", "P", "1"):
        return
    kind = (
        "of 16 bits" if picture.mode.startswith("I") else _KINDS.get(picture.mode, f"of kind {picture.mode}")
    )
    raise InputError(
        f"The label map {file} is {kind}; "
        "save label maps as 8-bit single-channel or palette PNGs, pixel value = label."
    )


def _decode(file: pathlib.Path) -> np.ndarray:
    with open_picture(file) as picture:
        _check_mode(file, picture)
        raw = picture.tile[0][3] if picture.tile else None
        values = np.array(picture, dtype=np.uint8)
    return values // _SPREAD.get(raw, 1)
