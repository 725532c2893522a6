"""Transmit every clip of some folders, with its label maps and without, and print a Markdown table.

    python scripts/bench.py transmit CLIPS... [--bitrate 8000] [--out DIR]

A clip is a folder with video.mp4 or frames/, perhaps labels/, or a folder of numbered pictures; CLIPS may be such
folders or folders of them.
"""

import dataclasses
import json
import tempfile
from pathlib import Path

import tyro
from evaluation.clips import find_clips

from semjax import jobs
from semjax.channel import LinkConfig
from semjax.errors import SemjaxError
from semjax.systems.causal import SenderConfig

COLUMNS = ("caption", "contour", "texture", "keyframe", "container", "total")


@dataclasses.dataclass(frozen=True)
class Args:
    """What to transmit."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    bitrate: float | None = None
    out: Path | None = None


def row(name: str, labels: str, report: dict) -> str:
    """One line of the table."""
    clip, quality = report["clip"], report["quality"]
    cells = [name, labels, f"{clip['frames']}x{clip['width']}x{clip['height']}"]
    cells += [str(report["bytes"][column]) for column in COLUMNS]
    cells += [f"{report['rate']['bpp']:.5f}", f"{quality['psnr']:.2f}", f"{quality['ms_ssim']:.3f}"]
    cells += [f"{quality['miou']:.3f}", f"{sum(report['seconds'].values()):.0f}"]
    return "| " + " | ".join(cells) + " |"


def main(args: Args) -> None:
    """Print the table as the runs end."""
    head = ["clip", "labels", "size", *COLUMNS, "bpp", "PSNR dB", "MS-SSIM", "mIoU", "s"]
    print("| " + " | ".join(head) + " |\n|---|---|---|" + "--:|" * (len(head) - 3))
    for folder in args.clips:
        for clip in find_clips(folder):
            for kind, maps in (("given", clip.labels), ("found", None)):
                if kind == "given" and maps is None:
                    continue
                run(args, clip.name, kind, jobs.Inputs(clip.frames, maps))


def run(args: Args, name: str, kind: str, inputs: jobs.Inputs) -> None:
    """One transmission, one line."""
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out / f"{name.replace('/', '-')}-{kind}" if args.out else Path(scratch) / "run"
        command = f"semjax transmit {inputs.clip} --generator none"
        try:
            report = jobs.transmit(
                inputs, SenderConfig(bitrate=args.bitrate), LinkConfig("none"), "none", 0, out, command
            )
        except SemjaxError as error:
            print(f"| {name} | {kind} | {error} |", flush=True)
            return
        print(row(name, kind, json.loads(json.dumps(report))), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
