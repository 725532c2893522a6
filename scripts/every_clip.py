"""Every clip through `semjax transmit`, all three systems, with and without label maps and captions: a table of rates.

    python scripts/every_clip.py CLIPS --out runs [--systems mirage causal lgvsc] [--bare] [--json rows.json]

CLIPS are folders of clips (video.mp4 or frames/, perhaps labels/, captions.json). mirage and causal run over the
channel none; lgvsc over AWGN at 10 dB for a CBR of 1e-3, or at its own rate where that is too little. --least scales
clips for causal up by whole numbers until they are that high and wide, and asks for --bpp there; 0 leaves them and
their rate alone. --bare leaves label maps and captions out, and lgvsc its own rate. Rows that --json already has are
not run again.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from evaluation.clips import ClipPaths, find_clips, load

from semjax import cli, video

LINK, RATIO = ("--channel", "awgn", "--snr", "10"), ("--cbr", "1e-3")


def enlarged(clip: ClipPaths, least: int, folder: Path) -> tuple[Path, Path | None]:
    """(video file, folder of label maps or None) of a clip scaled up by the least whole number that will do."""
    given = load(clip)
    factor = -(-least // min(given.frames.shape[1:3]))
    size = (factor * given.frames.shape[2], factor * given.frames.shape[1])
    frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_CUBIC) for f in given.frames])
    video.write_video(folder / "frames", frames, given.fps)  # a folder of pictures loses nothing
    if given.labels is None:
        return folder / "frames", None
    maps = np.stack([cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in given.labels])
    video.write_labels(folder / "labels", maps)
    return folder / "frames", folder / "labels"


def captions_of(clip: ClipPaths) -> Path | None:
    """The captions of a clip, those of folders of pictures included, which stand in a file for all clips."""
    if clip.captions or clip.labels:
        return clip.captions
    files = [folder / "captions.json" for folder in clip.frames.parents[:3]]
    return next((f for f in files if f.is_file() and clip.name in json.loads(f.read_text())), None)


def transmit(*args: object) -> str:
    """What `semjax transmit ARGS` says, in this process; "" when it ends well."""
    said = io.StringIO()
    command = mock.patch.object(sys, "argv", ["semjax", "transmit", *map(str, args)])
    with command, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            cli.main()
        except SystemExit:
            return said.getvalue().strip().splitlines()[-1]
    return ""


def row(clip: ClipPaths, system: str, bare: bool, args: argparse.Namespace) -> dict:
    """Run one clip through one system; its rates and quality, or what was said instead."""
    out = args.out / f"{clip.name.replace('/', '_')}-{system}{'-bare' * bare}"
    with tempfile.TemporaryDirectory() as scratch:
        frames, labels, captions = clip.frames, clip.labels, captions_of(clip)
        more: list[object] = [
            "--system",
            system,
            "--generator",
            "none",
            "--out",
            out,
            *(LINK if system == "lgvsc" else ()),
        ]
        if system == "causal" and args.least:
            frames, labels = enlarged(clip, args.least, Path(scratch) / clip.name)
            info = video.probe(frames)
            more += ["--bitrate", int(args.bpp * info.width * info.height * float(info.fps))]
        if not bare:
            more += ["--labels", labels] if labels else []
            more += ["--captions", captions] if captions else []
        trouble = transmit(frames, *more, *(RATIO if system == "lgvsc" else ()))
        if (
            trouble and system == "lgvsc"
        ):  # clips of a few thousand pixels: no picture fits into so few symbols
            trouble = transmit(frames, *more)
    given = "" if bare else " + ".join(["labels"] * bool(labels) + ["captions"] * bool(captions))
    found = {"clip": clip.name, "system": system, "given": given, "trouble": trouble}
    if trouble:
        return found
    report = json.loads((out / "report.json").read_text())
    return found | {"size": report["clip"], "rate": report["rate"], "quality": report["quality"]}


def line(found: dict) -> str:
    """A row of the Markdown table."""
    if found["trouble"]:
        return f"| {found['clip']} | | {found['system']} | {found['given']} | {found['trouble']} |"
    size, rate, quality = found["size"], found["rate"], found["quality"]
    cbr = "" if rate["cbr"] is None else f"{rate['cbr']:.2e}"
    miou = "" if quality["miou"] is None else f"{quality['miou']:.3f}"
    shape = f"{size['width']}x{size['height']}, {size['frames']}"
    return (
        f"| {found['clip']} | {shape} | {found['system']} | {found['given']} | {rate['bpp']:.2e} | {cbr} | "
        f"{quality['psnr']:.2f} | {quality['ms_ssim']:.3f} | {miou} |"
    )


def main() -> None:
    """Run, print, keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--systems", nargs="+", default=["mirage", "causal", "lgvsc"])
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--least", type=int, default=512)
    parser.add_argument("--bpp", type=float, default=2.9e-4)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = json.loads(args.json.read_text()) if args.json and args.json.exists() else []
    rows = [r for r in rows if not r["trouble"]]
    done = {(r["clip"], r["system"], r["bare"]) for r in rows}
    print("| clip | size, frames | system | given | bpp | CBR | PSNR dB | MS-SSIM | mIoU |")
    print("|---|---|---|---|--:|--:|--:|--:|--:|")
    for system in args.systems:
        for clip in (c for folder in args.clips for c in find_clips(folder)):
            if (clip.name, system, args.bare) in done:
                continue
            rows.append({**row(clip, system, args.bare, args), "bare": args.bare})
            print(line(rows[-1]), flush=True)
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
