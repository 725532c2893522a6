"""The sender's first pass, one read in little memory: label maps, tiny frames, scene cuts and a caption."""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from semjax import semantics, texture
from semjax._progress import progress
from semjax._threads import in_order
from semjax.errors import InputError
from semjax.systems.sources import Source
from semjax.types import Caption, ClipInfo


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What the layers are made from.

    label_chunks: zlib-packed label maps, `period` frames each (a label map packs some hundredfold).
    tiny: uint8 [T, h, w, 3] at the largest texture width that the rate may call for.
    cuts: numbers of the frames that begin a new scene, never 0.
    """

    info: ClipInfo
    period: int
    label_chunks: tuple[bytes, ...]
    tiny: np.ndarray
    cuts: tuple[int, ...]
    captions: tuple[Caption, ...]

    def labels(self, chunks: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """The label maps again (all, or of the chunks named), uint8 [n, H, W] with n = `period` or less."""
        size = self.info.height * self.info.width
        for chunk in self.label_chunks if chunks is None else [self.label_chunks[i] for i in chunks]:
            flat = np.frombuffer(zlib.decompress(chunk), np.uint8)
            yield flat.reshape(len(flat) // size, self.info.height, self.info.width)


def analyse(
    frames: Source,
    labels: Source | None,
    captions: Sequence[Caption] | None,
    *,
    period: int,
    width: int,
    max_regions: int,
) -> Analysis:
    """Read the clip once and keep what the layers need.

    Without `labels`, regions are found and followed (semantics.find_regions); without `captions`, a sentence is
    made from their tracks. Raises InputError when the clip ends early or the label maps do.
    """
    info, regions = frames.info, semantics.RegionConfig(max_regions=max_regions)
    chunks = progress(frames.read(period), info.frames, "reading", steps=len)
    pictures = (frame for chunk in chunks for frame in chunk)
    pairs = semantics.find_each(pictures, regions) if labels is None else _paired(pictures, labels, period)
    notes = _Notes(width, period, tracks=captions is None)
    for _ in in_order(notes.take, pairs, workers=1):
        pass
    if notes.seen != info.frames:
        raise InputError(
            f"the clip has {notes.seen} readable frames, not {info.frames} as it says; re-encode the file"
        )
    notes.pack()
    if captions is None:
        captions = semantics.describe(notes.tracks, info)
    return Analysis(
        info, period, tuple(notes.packed), np.stack(notes.tiny), tuple(notes.cuts), tuple(captions)
    )


def _paired(
    pictures: Iterator[np.ndarray], labels: Source, period: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    maps = (one for chunk in labels.read(period) for one in chunk)
    for picture in pictures:
        one = next(maps, None)
        if one is None or one.shape != picture.shape[:2]:
            raise InputError("the label maps end before the clip does; give one for every frame")
        yield picture, one


class _Notes:
    """What is kept of frames and label maps that come one by one; see `Analysis`."""

    def __init__(self, width: int, period: int, tracks: bool):
        self.width, self.period = width, period
        self.packed, self.tiny, self.cuts, self.seen = [], [], [], 0
        self.tracks = semantics.tracks_init() if tracks else None
        self._cut, self._maps = semantics.CutState(), []

    def take(self, pair: tuple[np.ndarray, np.ndarray]) -> None:
        """The next frame and its label map."""
        frame, maps = pair
        cut, self._cut = semantics.cut_step(frame, self._cut, semantics.CutConfig())
        if cut:
            self.cuts.append(self.seen)
        if self.tracks is not None:
            self.tracks = semantics.tracks_update(self.tracks, frame[None], maps[None])
        self.tiny.append(texture.shrink(frame[None], self.width)[0])
        self._maps.append(maps)
        self.seen += 1
        if len(self._maps) == self.period:
            self.pack()

    def pack(self) -> None:
        """Pack the label maps that wait."""
        if self._maps:
            self.packed.append(zlib.compress(np.stack(self._maps), 1))
            self._maps = []
