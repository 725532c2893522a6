"""Which clips there are below a folder, and a clip in memory."""

import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from semjax import video
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class ClipPaths:
    """Where a clip's frames (a file or a folder), label maps and captions are, the latter two if there are any."""

    name: str
    frames: Path
    labels: Path | None = None
    captions: Path | None = None


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip in memory: frames uint8 [T, H, W, 3], label maps uint8 [T, H, W] or None, frames a second."""

    frames: np.ndarray
    labels: np.ndarray | None
    fps: Fraction


def find_clips(folder: Path) -> Iterator[ClipPaths]:
    """The clips at or below a path, by name.

    A clip is a video file, a folder of numbered PNGs, or a folder with `video.mp4` or `frames/` and perhaps
    `labels/`; a `captions.json` that names it may lie in the folder or in the one above.
    """
    if folder.is_file():
        yield ClipPaths(folder.stem, folder)
        return
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; give video files or folders of clips")
    for frames in (folder / "video.mp4", folder / "frames"):
        if frames.exists():
            labels = folder / "labels"
            yield ClipPaths(folder.name, frames, labels if labels.is_dir() else None, _captions(folder))
            return
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    if any(folder.glob("*.png")) and not children:
        yield ClipPaths(f"{folder.parent.name}/{folder.name}", folder)
    for child in children:
        yield from find_clips(child)


def _captions(folder: Path) -> Path | None:
    for file in (folder / "captions.json", folder.parent / "captions.json"):
        if file.is_file():
            known = json.loads(file.read_text())
            if file.parent == folder or folder.name in known:
                return file
    return None


def load(paths: ClipPaths, most: int | None = None, labels: bool = True) -> Clip:
    """A clip's first `most` frames (all when None), with its label maps unless `labels` is False."""
    frames, fps = video.read_video(paths.frames), video.probe(paths.frames).fps
    maps = video.read_labels(paths.labels) if labels and paths.labels else None
    return Clip(frames[:most], None if maps is None else maps[:most], fps)
