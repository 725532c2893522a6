"""Makes the bundled sample clip: video.mp4, labels/0000.png ..., captions.json.

    python scripts/make_sample.py --out semjax/assets/sample

The clip comes from `semjax.scenes` and nothing else, so the same version on the same kind of machine makes
the same pixels. `--seed`, `--theme` and the sizes make others.
"""

import argparse
import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from semjax import scenes


def write_video(path: Path, frames, fps: float, crf: int) -> None:
    """H.264, yuv420p, at constant quality `crf` (lower is better)."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as box:
        stream = box.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryslow", "tune": "animation"}
        stream.codec_context.color_range = 1
        stream.codec_context.colorspace = 1
        stream.codec_context.color_primaries = 1
        stream.codec_context.color_trc = 1
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            box.mux(
                stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range=1))
            )
        box.mux(stream.encode(None))


def write_labels(folder: Path, labels) -> None:
    """One 8-bit greyscale PNG a frame."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for k, label in enumerate(labels):
        Image.fromarray(label, "L").save(folder / f"{k:04d}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=480)
    parser.add_argument("--theme", choices=scenes.THEMES, default="meadow")
    parser.add_argument("--frames", type=int, default=112)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--objects", type=int, default=6)
    parser.add_argument("--supersample", type=int, default=2, help="n x n colour samples a pixel")
    parser.add_argument("--crf", type=int, default=18)
    args = parser.parse_args()
    cfg = scenes.SceneConfig(
        frames=args.frames, height=args.height, width=args.width, fps=args.fps, max_objects=args.objects,
        supersample=args.supersample, themes=(args.theme,),
    )  # fmt: skip
    clip = scenes.make_clip(args.seed, cfg)
    args.out.mkdir(parents=True, exist_ok=True)
    write_video(args.out / "video.mp4", clip.frames, args.fps, args.crf)
    write_labels(args.out / "labels", clip.labels)
    whole, *segments = clip.captions
    text = {
        "caption": whole.text,
        "segments": [{"first": c.first, "last": c.last, "caption": c.text} for c in segments],
    }
    (args.out / "captions.json").write_text(
        json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    size = (args.out / "video.mp4").stat().st_size
    print(f"{args.out}: {args.frames} frames, video {size} bytes\n{whole.text}")


if __name__ == "__main__":
    main()
