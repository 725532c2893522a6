"""Where a clip's frames and label maps come from: arrays or files, read in chunks and as often as needed."""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from semjax import video
from semjax.errors import InputError
from semjax.stream import MAX_PIXELS_PER_UNIT
from semjax.types import ClipInfo


@dataclasses.dataclass(frozen=True)
class Source:
    """Frames or label maps that can be read from the start again and again.

    read(n) yields uint8 arrays of at most n frames, [n, H, W, 3] or [n, H, W].
    """

    info: ClipInfo
    read: Callable[[int], Iterator[np.ndarray]]


def unit_frames(info: ClipInfo, most: int = 32) -> int:
    """Frames that are read, coded or painted at once: `most`, fewer for very large pictures.

    Raises InputError for pictures that are too large altogether.
    """
    fits = MAX_PIXELS_PER_UNIT // (info.width * info.height)
    if fits < 1:
        raise InputError(f"pictures of {info.width}x{info.height} are too large; scale the clip down first")
    return min(most, fits)


def frames_from_file(path: str | Path) -> Source:
    """The frames of a video file or of a folder of pictures. Raises InputError when it cannot be read."""

    def read(n: int):
        with video.open_video(path) as reader:
            yield from reader.chunks(n)

    return Source(video.probe(path), read)


def labels_from_folder(path: str | Path, frames: ClipInfo) -> Source:
    """The label maps of a folder. Raises InputError when they do not fit the clip `frames`."""
    with video.open_labels(path) as reader:
        video.check_labels(frames, reader.info)

    def read(n: int):
        with video.open_labels(path) as reader:
            yield from reader.chunks(n)

    return Source(frames, read)


def frames_from_array(clip: np.ndarray, fps: Fraction | float) -> Source:
    """Frames uint8 [T, H, W, 3] held in memory. Raises InputError for anything else."""
    clip = np.asarray(clip)
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3 or 0 in clip.shape:
        raise InputError(
            f"a clip is uint8 [T, H, W, 3] with at least one frame, not {clip.dtype} {list(clip.shape)}"
        )
    fps = Fraction(fps).limit_denominator(1001)
    if fps <= 0:
        raise InputError(f"the frame rate must be positive, not {fps}")
    return Source(ClipInfo(len(clip), clip.shape[2], clip.shape[1], fps), _slices(clip))


def labels_from_array(labels: np.ndarray, frames: ClipInfo) -> Source:
    """Label maps uint8 [T, H, W] held in memory. Raises InputError when they do not fit the clip `frames`."""
    labels = np.asarray(labels)
    if labels.dtype != np.uint8 or labels.shape != (frames.frames, frames.height, frames.width):
        wanted = [frames.frames, frames.height, frames.width]
        raise InputError(f"the clip needs label maps uint8 {wanted}, not {labels.dtype} {list(labels.shape)}")
    return Source(frames, _slices(labels))


def _slices(array: np.ndarray) -> Callable[[int], Iterator[np.ndarray]]:
    def read(n: int):
        for at in range(0, len(array), n):
            yield array[at : at + n]

    return read
