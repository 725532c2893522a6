"""Clips from files: one reader for video files, animations and folders of pictures."""

import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from semjax.errors import InputError
from semjax.types import ClipInfo, Video
from semjax.video._container import FileSource
from semjax.video._pictures import AnimationSource, FolderSource

# Read by Pillow: FFmpeg does not decode their animations, and stills have no container to speak of.
_PILLOW_SUFFIXES = frozenset(
    [
        ".png",
        ".apng",
        ".webp",
        ".avif",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pnm",
        ".jp2",
        ".tga",
    ]
)

Frame = UInt8[np.ndarray, "H W 3"]


class VideoReader:
    """A clip that is read frame by frame in constant memory; made by `open_video`.

    Iterating gives uint8 [H, W, 3] arrays (the caller owns them) and always exactly `info.frames` of them; a
    reader can be iterated any number of times, each time from the start. It is a context manager; after it
    closes, running iterations stop with an error.

    Attributes: `info` (ClipInfo), `path`, and `variable_rate`, True when the frames do not come at one rate
    (then `info.fps` is the average; all frames are kept).
    """

    def __init__(self, path: str | os.PathLike, *, fps: Fraction | float | None = None):
        self.path = pathlib.Path(path)
        self._source = _source(self.path)
        rate = exact_rate(fps) if fps is not None else self._source.fps
        self.variable_rate: bool = self._source.variable_rate
        self.info = ClipInfo(self._source.count, self._source.width, self._source.height, rate)
        self._closed = False

    def frames(self, start: int = 0, count: int | None = None) -> Iterator[Frame]:
        """Frames `start` to `start + count - 1` (default: to the end); `InputError` if the clip has fewer."""
        stop = self.info.frames if count is None else start + count
        if not 0 <= start <= stop <= self.info.frames:
            raise InputError(
                f"Frames {start} to {stop - 1} were asked for, "
                f"but {self.path} has frames 0 to {self.info.frames - 1}."
            )
        return self._iterate(start, stop)

    def _iterate(self, start: int, stop: int) -> Iterator[Frame]:
        if start == stop:
            return
        for index, frame in enumerate(self._source.rgb(start), start):
            if self._closed:
                raise InputError(f"The reader of {self.path} was closed while it was being read.")
            if frame.shape[:2] != (self.info.height, self.info.width):
                raise InputError(
                    f"Frame {index} of {self.path} is {frame.shape[1]}x{frame.shape[0]}, "
                    f"not {self.info.width}x{self.info.height} like the others."
                )
            yield frame
            if index + 1 == stop:
                return

    def chunks(self, n: int) -> Iterator[Video]:
        """The clip in pieces uint8 [n, H, W, 3]; the last one may be shorter."""
        return stack(self.frames(), n)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __len__(self) -> int:
        return self.info.frames

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends running iterations at their next frame."""
        self._closed = True


def open_video(path: str | os.PathLike, *, fps: Fraction | float | None = None) -> VideoReader:
    """Opens a clip: a video file (mp4, mov, webm, mkv, avi, gif...), a picture, or a folder of pictures.

    Rotation stored in the file is applied, alpha is composited over black, grey and deep pictures become
    8-bit RGB, non-square pixels stay as stored. A folder is read in natural order of the file names. `fps`
    replaces the clip's own rate (a folder has none and plays at 25). A damaged file gives the frames that can
    be decoded, with a warning in the `semjax` log; `InputError` when there is none.
    """
    return VideoReader(path, fps=fps)


def read_video(path: str | os.PathLike, *, start: int = 0, count: int | None = None) -> Video:
    """Frames of a clip as one array uint8 [T, H, W, 3]; see `open_video` for what can be read."""
    with open_video(path) as reader:
        total = reader.info.frames - start if count is None else count
        frames = reader.frames(start, count)
        video = np.empty((max(total, 0), reader.info.height, reader.info.width, 3), np.uint8)
        for i, frame in enumerate(frames):
            video[i] = frame
    return video


def probe(path: str | os.PathLike) -> ClipInfo:
    """Exact frame count, shown size and rate of a clip."""
    with open_video(path) as reader:
        return reader.info


def stack(frames: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Groups of `n` equal arrays (the last may be smaller) stacked along a new first axis."""
    if n < 1:
        raise InputError(f"A chunk needs at least 1 frame, got {n}.")
    held = []
    for frame in frames:
        held.append(frame)
        if len(held) == n:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


def _source(path: pathlib.Path):
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; name a video file or a folder of pictures.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; check its permissions.")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty; name a file that holds a video.")
    return AnimationSource(path) if path.suffix.lower() in _PILLOW_SUFFIXES else FileSource(path)


def exact_rate(value: Fraction | float) -> Fraction:
    """A rate as an exact fraction; 29.97 and friends become 30000/1001."""
    try:
        exact = Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"The frame rate must be a number above 0, got {value!r}.") from error
    if exact <= 0:
        raise InputError(f"The frame rate must be above 0, got {value!r}.")
    if isinstance(value, float):
        ntsc = Fraction(round(exact * 1001 / 1000) * 1000, 1001)
        exact = ntsc if abs(ntsc - exact) < Fraction(1, 200) and exact.denominator != 1 else exact
    return exact.limit_denominator(1_000_000)
