"""Mirage's data ratio to raw over sizes and lengths, with and without headers (docs/mirage.md).

    python scripts/mirage_ratio.py CLIP [--bytes 500] [--widths 256 512 1024 1920] [--frames 16 32 64 96]

CLIP is a folder with video.mp4 or frames/ and perhaps labels/; it is scaled to every width. Two payloads: --bytes for
the whole clip whatever its size (what grows is the raw clip), and the sender's own choice.
"""

import argparse
from pathlib import Path

import cv2
import link_sweep
import numpy as np

from semjax import stream
from semjax.errors import SemjaxError
from semjax.systems import mirage, sources


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--bytes", type=int, default=500)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512, 1024, 1920])
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64, 96])
    args = parser.parse_args()
    clip = link_sweep.Clip.read(args.clip, max(args.frames))
    print("| clip | raw bytes | payload | bytes | of them headers | bpp | ratio | ratio without headers |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for width in args.widths:
        size = (width, 2 * round(clip.frames.shape[1] * width / clip.frames.shape[2] / 2))
        frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in clip.frames])
        labels = None
        if clip.labels is not None:
            labels = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in clip.labels])
        for count in args.frames:
            if count > len(frames):
                continue
            source = sources.frames_from_array(frames[:count], clip.fps)
            maps = None if labels is None else sources.labels_from_array(labels[:count], source.info)
            found = mirage.understand(source, maps, None, mirage.SenderConfig())
            code = mirage.coder(source, found, mirage.SenderConfig())
            for name, bitrate in (
                (f"{args.bytes} bytes", 8 * args.bytes / source.info.seconds),
                ("default", None),
            ):
                try:
                    data = stream.pack(code(bitrate))
                except SemjaxError as error:
                    print(f"| {width}x{size[1]}, {count} | {name}: {error} |")
                    continue
                costs, raw = stream.ledger(data), source.info.raw_bytes
                payload = costs["total"] - costs["container"]
                print(
                    f"| {width}x{size[1]}, {count} | {raw:,} | {name} | {len(data):,} | {costs['container']} | "
                    f"{8 * len(data) / (frames[0, ..., 0].size * count):.2e} | {raw / len(data):,.0f} | "
                    f"{raw / payload:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
