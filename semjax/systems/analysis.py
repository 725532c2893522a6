"""The sender's first pass, one read in little memory: label maps, tiny frames, scene cuts and a caption."""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from semjax import semantics, texture
from semjax._progress import progress
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
    info = frames.info
    packed, tiny, cuts = [], [], []
    given = labels.read(period) if labels else None
    regions = semantics.RegionConfig(max_regions=max_regions)
    region_state, tracks = semantics.regions_init(regions), semantics.tracks_init()
    cut_cfg, cut_state = semantics.CutConfig(), semantics.CutState()
    seen = 0
    for chunk in progress(frames.read(period), info.frames, "reading", steps=len):
        if given is None:
            maps, region_state = semantics.find_regions(chunk, region_state, regions)
        else:
            maps = next(given, None)
            if maps is None or maps.shape != chunk.shape[:3]:
                raise InputError("the label maps end before the clip does; give one for every frame")
        for i, frame in enumerate(chunk):
            cut, cut_state = semantics.cut_step(frame, cut_state, cut_cfg)
            if cut:
                cuts.append(seen + i)
        if captions is None:
            tracks = semantics.tracks_update(tracks, chunk, maps)
        packed.append(zlib.compress(np.ascontiguousarray(maps), 1))
        tiny.append(texture.shrink(chunk, width))
        seen += len(chunk)
    if seen != info.frames:
        raise InputError(
            f"the clip has {seen} readable frames, not {info.frames} as it says; re-encode the file"
        )
    if captions is None:
        captions = semantics.describe(tracks, info)
    return Analysis(info, period, tuple(packed), np.concatenate(tiny), tuple(cuts), tuple(captions))
