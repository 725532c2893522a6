"""Teach the texture layer's starting models and write them as package data.

    python scripts/train_texture.py CLIPS/sam2_* CLIPS/bottles ... --out semjax/assets/texture_tables.npz

Every argument is a folder with `video.mp4` or `frames/*.png`, or a video file, under a licence that allows it.
From every clip come the whole frame and some random windows (mirrored, reversed or thinned in time at random),
scaled to 64 pixels wide; all are coded at several steps in both modes with one set of models that learns on.
Payloads of the format depend on the result: other tables are another version.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from bench_texture import read_tiny

from semjax import texture
from semjax.texture import TextureConfig, pixels, tables
from semjax.texture.lowlatency import encode_low_latency
from semjax.texture.rate import effort_of, index_of_step
from semjax.texture.unit import Head, encode_ahead

WIDTH = 64
STEPS = (210, 130, 85, 60, 44, 33)
CONFIDENCE = 20  # what a model has seen counts for at most so many bits when a unit starts


def windows(frames: np.ndarray, count: int, rng: np.random.Generator):
    """The whole clip and `count` - 1 random windows of it, as tiny clips of 25 to 48 frames."""
    _, h, w, _ = frames.shape
    for k in range(count):
        clip = frames
        if k:
            scale = rng.uniform(0.5, 1)
            height, width = int(h * scale), int(w * scale)
            y, x = rng.integers(0, h - height + 1), rng.integers(0, w - width + 1)
            clip = clip[:, y : y + height, x : x + width]
            clip = clip[:: rng.choice([1, -1])][:: rng.choice([1, 1, 2])][:, :, :: rng.choice([1, -1])]
        yield texture.shrink(clip[: int(rng.choice([25, 32, 48]))], WIDTH)


def teach(tiny: np.ndarray, step: float, lookahead: bool, models: tables.Models) -> None:
    """Code one clip once; `models` learn."""
    if lookahead:
        index = index_of_step(step)
        head = Head(tiny.shape[2], tiny.shape[1], True, 1, TextureConfig().group, index)
        encode_ahead(pixels.to_planes(tiny), head, effort_of(index), models)
    else:
        encode_low_latency(tiny, TextureConfig(step=step, lookahead=False), len(tiny), 0, models)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--windows", type=int, default=4, help="tiny clips from each clip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    clips = [t for c in args.clips for t in windows(read_tiny(c, 10_000), args.windows, rng)]
    jobs = list(itertools.product(range(len(clips)), STEPS, (True, False)))
    models = tables.blank()
    for i, step, lookahead in (jobs[j] for j in rng.permutation(len(jobs))):
        teach(clips[i], step * rng.uniform(0.85, 1.15), lookahead, models)
    args.out.write_bytes(tables.pack(models, CONFIDENCE))


if __name__ == "__main__":
    main()
