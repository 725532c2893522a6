"""Mirage's data ratio to raw over sizes and lengths, with and without headers (docs/mirage.md).

    python scripts/mirage_ratio.py CLIP [--bytes 500] [--widths 256 512 1024 1920] [--frames 16 32 64 96] [--plot FILE]

CLIP is a folder with video.mp4 or frames/ and perhaps labels/; it is scaled to every width. Two payloads: --bytes for
the whole clip whatever its size (what grows is the raw clip), and the sender's own choice.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import link_sweep
import numpy as np

from semjax import stream
from semjax.errors import SemjaxError
from semjax.systems import mirage, sources

HEADLINE = 5.18e4  # of the paper


def measure(clip: link_sweep.Clip, width: int, counts: list[int], most: int) -> Iterator[dict]:
    """Rows of a clip scaled to a width, for every number of frames: both payloads, or what was said instead."""
    size = (width, 2 * round(clip.frames.shape[1] * width / clip.frames.shape[2] / 2))
    frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in clip.frames])
    labels = None
    if clip.labels is not None:
        labels = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in clip.labels])
    for count in (c for c in counts if c <= len(frames)):
        source = sources.frames_from_array(frames[:count], clip.fps)
        maps = None if labels is None else sources.labels_from_array(labels[:count], source.info)
        found = mirage.understand(source, maps, None, mirage.SenderConfig())
        code = mirage.coder(source, found, mirage.SenderConfig())
        for name, bitrate in ((f"{most} bytes", 8 * (most + 0.5) / source.info.seconds), ("default", None)):
            row = {"clip": f"{size[0]}x{size[1]}, {count}", "raw": source.info.raw_bytes, "payload": name}
            try:
                data = stream.pack(code(bitrate))
            except SemjaxError as error:
                yield row | {"trouble": str(error)}
                continue
            headers = stream.ledger(data)["container"]
            yield row | {
                "bytes": len(data),
                "headers": headers,
                "bpp": 8 * len(data) * 3 / source.info.raw_bytes,
                "ratio": source.info.raw_bytes / len(data),
                "bare": source.info.raw_bytes / (len(data) - headers),
            }


def line(row: dict) -> str:
    """A row of the Markdown table."""
    if "trouble" in row:
        return f"| {row['clip']} | {row['raw']:,} | {row['payload']}: {row['trouble']} |"
    rates = f"{row['bpp']:.2e} | {row['ratio']:,.0f} | {row['bare']:,.0f}"
    what = f"{row['clip']} | {row['raw']:,} | {row['payload']}"
    return f"| {what} | {row['bytes']:,} | {row['headers']} | {rates} |"


def plot(rows: list[dict], path: Path) -> None:
    """Ratio over raw bytes, both payloads, headers in and out."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for name, colour in zip(dict.fromkeys(r["payload"] for r in rows), ("#2f7fb8", "#c2762b")):
        mine = sorted((r for r in rows if r["payload"] == name and "ratio" in r), key=lambda r: r["raw"])
        for key, style, note in (("ratio", "-", ""), ("bare", ":", " without headers")):
            shown = [r[key] for r in mine]
            axis.plot([r["raw"] for r in mine], shown, style, color=colour, marker=".", label=name + note)
    axis.axhline(HEADLINE, color="grey", lw=0.8, label="the paper's headline")
    axis.set(xscale="log", yscale="log", xlabel="bytes of the raw clip", ylabel="times less than raw")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print a Markdown table, draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--bytes", type=int, default=500)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512, 1024, 1920])
    parser.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64, 96])
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    clip, rows = link_sweep.Clip.read(args.clip, max(args.frames)), []
    print("| clip | raw bytes | payload | bytes | of them headers | bpp | ratio | ratio without headers |")
    print("|---|--:|---|--:|--:|--:|--:|--:|")
    for width in args.widths:
        for row in measure(clip, width, args.frames, args.bytes):
            rows.append(row)
            print(line(row), flush=True)
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
