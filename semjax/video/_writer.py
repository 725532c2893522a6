"""Clips to files: H.264, VP9, GIF, APNG or numbered PNGs, chosen by the name; complete or not at all.

The same frames give the same bytes: encoder threads are a fixed number, and no dates, versions or random
identifiers are stored.
"""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from PIL import Image

from semjax.errors import InputError
from semjax.video._pictures import check_size
from semjax.video._reader import exact_rate

_THREADS = 4  # fixed: the coded bytes depend on it, so it may not follow the machine
_FOLDER_NAME = "%04d.png"
_BT709 = 1  # the value of BT.709 for matrix, primaries and transfer curve in H.273
_JPEG_MATRIX = 5  # BT.601, which JFIF prescribes, with the full range
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
_LAMBDA = 118  # FF_QP2LAMBDA
_CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
}
_CONTAINERS |= {".gif": "gif", ".apng": "apng"}


class VideoWriter:
    """Writes a clip; a context manager. Nothing appears at `path` before the clip is complete.

    By the name: `.mp4`, `.m4v`, `.mov`, `.mkv`, `.avi` H.264; `.webm` VP9; both 4:2:0 in BT.709; `.gif` 256
    colours a frame; `.apng` lossless; a folder (a name without suffix) or a pattern like `out/%04d.png` lossless
    numbered pictures. H.264 has no odd sizes in 4:2:0: they become VP9 in mp4, m4v and mkv (browsers play it) and
    Motion JPEG in mov and avi. Any size reads back as it was written.

    `quality` 1 to 100 sets the constant-quality level: CRF 0.51 (100 - quality) for H.264, 0.63 (100 - quality)
    for VP9, quantiser 2 + 0.1 (100 - quality) for Motion JPEG; lossless kinds and GIF ignore it. `InputError` for
    a name, size or rate that cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike, fps: Fraction | float, width: int, height: int, *, quality=70
    ):
        self.path = pathlib.Path(path)
        self.width, self.height, self.fps = int(width), int(height), exact_rate(fps)
        self.frames = 0
        if not 1 <= quality <= 100:
            raise InputError(f"The quality must be 1 to 100, got {quality}.")
        if not (1 <= self.width <= 16384 and 1 <= self.height <= 16384):
            raise InputError(f"A clip can be 1 to 16384 pixels wide and high, got {width}x{height}.")
        check_size(self.path, self.width, self.height)
        suffix = self.path.suffix.lower()
        if suffix in _CONTAINERS and not self.path.is_dir():
            self._sink = _FileSink(self.path, _CONTAINERS[suffix], self, quality)
        elif suffix in ("", ".png") or self.path.is_dir():
            self._sink = PictureSink(self.path)
        else:
            raise InputError(
                f"Cannot tell what to write from the name {self.path.name}; "
                f"use {', '.join(_CONTAINERS)} or a folder for numbered PNGs."
            )
        self._done = False

    def write(self, frames: np.ndarray) -> None:
        """Appends one frame uint8 [H, W, 3] or several [n, H, W, 3]."""
        if self._done:
            raise InputError(f"The writer of {self.path} is closed.")
        frames = np.asarray(frames)
        expected = (self.height, self.width, 3)
        if frames.dtype != np.uint8 or frames.shape[-3:] != expected or frames.ndim not in (3, 4):
            raise InputError(
                f"Frames for {self.path} must be uint8 of shape {expected} or (n, *{expected}), "
                f"got {frames.dtype} {frames.shape}."
            )
        for frame in frames.reshape(-1, *expected):
            self._sink.add(np.ascontiguousarray(frame), self.frames)
            self.frames += 1

    def close(self) -> None:
        """Finishes the clip and puts it in place; `InputError` when no frame was written."""
        if self._done:
            return
        self._done = True
        if self.frames == 0:
            self._sink.abort()
            raise InputError(f"No frame was given for {self.path}; a clip needs at least one.")
        try:
            self._sink.finish()
        except BaseException:
            self._sink.abort()
            raise

    def abort(self) -> None:
        """Throws away what was written; `path` stays as it was."""
        if not self._done:
            self._done = True
            self._sink.abort()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.abort()


def write_video(
    path: str | os.PathLike, frames: np.ndarray | Iterable[np.ndarray], fps: Fraction | float, *, quality=70
) -> None:
    """Writes an array uint8 [T, H, W, 3], or an iterable of frames or chunks, as `VideoWriter` does."""
    pieces = iter([frames] if isinstance(frames, np.ndarray) else frames)
    first = next(pieces, None)
    if first is None or np.size(first) == 0:
        raise InputError(f"No frame was given for {path}; a clip needs at least one.")
    first = np.asarray(first)
    if first.ndim not in (3, 4):
        raise InputError(f"Frames must have the shape (H, W, 3) or (n, H, W, 3), got {first.shape}.")
    height, width = first.shape[-3:-1]
    with VideoWriter(path, fps, width, height, quality=quality) as writer:
        writer.write(first)
        for piece in pieces:
            writer.write(piece)


def partial_name(path: pathlib.Path) -> pathlib.Path:
    """A hidden name next to `path` for what is not complete yet."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}")


class _FileSink:
    """Frames -> one file through PyAV."""

    def __init__(self, path: pathlib.Path, container: str, clip: VideoWriter, quality: float):
        import av

        self._av, self._path = av, path
        self._gif = container == "gif"
        if self._gif and clip.fps > 50:
            raise InputError(f"GIF cannot show more than 50 frames a second, got {clip.fps}; write an mp4.")
        _make_parent(path)
        self._partial = partial_name(path)
        odd = clip.width % 2 == 1 or clip.height % 2 == 1
        codec, pixels, options = _codec(container, odd, quality)
        muxing = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if container in ("mp4", "mov") else {})
        if container in ("gif", "apng"):
            muxing["loop" if container == "gif" else "plays"] = "0"  # for ever
        self._time_base = 1 / clip.fps
        try:
            self._container = av.open(str(self._partial), "w", format=container, options=muxing)
            stream = self._container.add_stream(codec, rate=clip.fps, options=options)
            stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, pixels
            stream.time_base = self._time_base
            context = stream.codec_context
            context.thread_count = _THREADS if codec.startswith("lib") else 1
            context.flags |= av.codec.context.Flags.bitexact
            self._matrix, self._range = (_JPEG_MATRIX, _FULL) if codec == "mjpeg" else (_BT709, _LIMITED)
            if codec == "mjpeg":
                context.flags |= av.codec.context.Flags.qscale
                context.global_quality = round(_LAMBDA * (2 + 0.1 * (100 - quality)))
            if pixels.startswith("yuv"):
                context.color_primaries = context.color_trc = _BT709
                context.colorspace, context.color_range = self._matrix, self._range
            self._stream, self._pixels = stream, pixels
        except (av.FFmpegError, OSError, ValueError) as error:
            self.abort()
            raise InputError(f"{path} cannot be written ({error}).") from error

    def add(self, frame: np.ndarray, index: int) -> None:
        picture = self._palette(frame) if self._gif else self._av.VideoFrame.from_ndarray(frame, "rgb24")
        if self._pixels.startswith("yuv"):
            picture = picture.reformat(
                format=self._pixels, dst_colorspace=self._matrix, dst_color_range=self._range
            )
        picture.pts, picture.time_base = index, self._time_base
        self._mux(picture)

    def _mux(self, picture) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
        except (self._av.FFmpegError, OSError) as error:
            raise InputError(f"{self._path} cannot be written ({error}).") from error

    def _palette(self, frame: np.ndarray):
        """A frame with the 256 colours that suit it best, dithered."""
        picture = Image.fromarray(frame).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
        colours = np.full((256, 4), 255, np.uint8)  # ARGB, opaque
        table = np.asarray(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        colours[: len(table), 1:] = table
        return self._av.VideoFrame.from_ndarray((np.asarray(picture), colours), "pal8")

    def finish(self) -> None:
        self._mux(None)
        self._container.close()
        os.replace(self._partial, self._path)

    def abort(self) -> None:
        if hasattr(self, "_container"):
            with contextlib.suppress(self._av.FFmpegError, OSError):
                self._container.close()
        self._partial.unlink(missing_ok=True)


def _codec(container: str, odd: bool, quality: float) -> tuple[str, str, dict[str, str]]:
    """(encoder, pixel format, options) for a container."""
    if container == "gif":
        return "gif", "pal8", {}
    if container == "apng":
        return "apng", "rgb24", {"pred": "mixed"}
    if container == "webm" or (odd and container in ("mp4", "matroska")):
        speed = {"deadline": "good", "cpu-used": "4", "row-mt": "1"}
        return "libvpx-vp9", "yuv420p", {"crf": str(round(0.63 * (100 - quality))), "b": "0", **speed}
    if odd:  # not x264 in 4:4:4, which few players outside of FFmpeg show
        return "mjpeg", "yuvj444p", {}
    reordering = {"bf": "0"} if container == "avi" else {}  # AVI cannot store it
    # With its macroblock tree x264 now and then codes the same frames differently, even in one thread.
    steady = {"preset": "fast", "x264-params": "mbtree=0"}
    return "libx264", "yuv420p", {"crf": str(round(0.51 * (100 - quality))), **steady, **reordering}


class PictureSink:
    """Frames or label maps -> a folder of numbered PNGs, put in place at once when complete."""

    def __init__(self, path: pathlib.Path):
        pattern = path.suffix.lower() == ".png" and not path.is_dir()
        self._folder, self._name = (path.parent, path.name) if pattern else (path, _FOLDER_NAME)
        try:
            self._name % 0
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{path} names one picture; give a folder, or a pattern with a number such as "
                f"{self._folder / _FOLDER_NAME}."
            ) from error
        self._folder = self._folder.absolute()
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"{self._folder} is a file; name a folder for the pictures.")
        stem, _, tail = re.sub(r"%(0?\d*)d", "\0", self._name, count=1).partition("\0")
        ours = re.compile(re.escape(stem) + r"\d+" + re.escape(tail))
        if self._folder.exists() and not all(ours.fullmatch(p.name) for p in self._folder.iterdir()):
            raise InputError(
                f"{self._folder} holds other files; name an empty or new folder for the pictures."
            )
        _make_parent(self._folder)
        self._partial = partial_name(self._folder)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir()

    def add(self, frame: np.ndarray, index: int) -> None:
        try:
            Image.fromarray(frame).save(self._partial / (self._name % index))
        except OSError as error:
            raise InputError(f"{self._folder} cannot be written ({error}).") from error

    def finish(self) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)
        os.replace(self._partial, self._folder)

    def abort(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)


def _make_parent(path: pathlib.Path) -> None:
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {path.parent} cannot be made ({error}).") from error
