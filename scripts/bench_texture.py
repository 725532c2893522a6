"""Texture coding against video codecs on tiny frames: bytes at equal quality.

    python scripts/bench_texture.py CLIPS/* [--json FILE] [--peers FILE] [--width 64]

Every argument is a folder with `video.mp4` or `frames/*.png`, or a video file. Frames are scaled to 64 pixels
wide (area filter); payload bytes only (no container, no parameter sets); RGB PSNR from the error pooled over the
clip. The peers are x265 veryslow and SVT-AV1 preset 0 through PyAV and, where imageio-ffmpeg is installed, libaom at
speed 1 and VVenC slow through its ffmpeg program, with look-ahead (defaults) and at low latency (`tune=zerolatency`,
`pred-struct=1`, `lag-in-frames=0`; VVenC cannot be told). Curves have at least five rates. In every band the best
peer's quality at a rate is set against the bytes that semjax needs for that quality (log-rate interpolated between
curve points; a peer is asked only where its curve is). Goals: issue 11.
"""

import argparse
import dataclasses
import glob
import io
import json
import os
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from evaluation import ffmpeg, peers
from evaluation.scheduling import scheduling_kept

from semjax import texture
from semjax.texture import TextureConfig

os.environ.setdefault("SVT_LOG", "1")
BANDS = ((20, 28), (30, 45), (60, 90))
GOALS = {"look-ahead": (0.30, 0.55, 0.85), "low latency": (0.40, 0.65, 0.95)}
STEPS = (320, 210, 140, 95, 64, 44, 32, 22, 15, 10, 7, 5)
PEERS = {
    "x265 veryslow": ("libx265", (51, 48, 44, 40, 36, 32, 28, 24, 20, 16, 12)),
    "SVT-AV1 preset 0": ("libsvtav1", (63, 58, 52, 46, 40, 33, 26, 20, 14, 8)),
    "libaom speed 1": ("libaom-av1", (63, 58, 52, 46, 40, 33, 26, 20, 14, 8)),
    "VVenC slow": ("libvvenc", (60, 55, 50, 46, 42, 38, 34, 30, 26)),
}
_PARAMETERS = frozenset({14, 15, 16})  # types of VVC units
ENOUGH = 130.0  # bytes a frame; curves end above it


def read_tiny(path: str, width: int) -> np.ndarray:
    """Frames of a clip, scaled: uint8 [T, h, w, 3]."""
    folder = Path(path)
    pictures = sorted(glob.glob(str(folder / "frames" / "*.png")))
    if pictures:
        frames = [cv2.imread(p)[..., ::-1] for p in pictures]
    else:
        with av.open(str(folder / "video.mp4" if folder.is_dir() else folder)) as clip:
            frames = [f.to_ndarray(format="rgb24") for f in clip.decode(video=0)]
    return texture.shrink(np.stack(frames), width)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255.0**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-9)))


def peer_options(codec: str, mode: str, quality: int) -> dict[str, str]:
    if codec == "libx265":
        low = {"tune": "zerolatency"} if mode == "low latency" else {}
        return {"preset": "veryslow", "x265-params": f"crf={quality}:info=0:log-level=none:pools=1", **low}
    if codec == "libaom-av1":
        ahead = {"lag-in-frames": "0"} if mode == "low latency" else {}
        return peers.PEERS["libaom"].options(quality) | ahead
    if codec == "libvvenc":
        return peers.PEERS["vvenc"].options(quality)
    low = ":pred-struct=1:lookahead=0" if mode == "low latency" else ""
    return {"preset": "0", "crf": str(quality), "svtav1-params": "lp=1" + low}


@scheduling_kept()
def run_peer(tiny: np.ndarray, codec: str, mode: str, quality: int) -> tuple[float, float]:
    """Bytes a frame and PSNR of one encoding."""
    even = np.pad(tiny, ((0, 0), (0, tiny.shape[1] % 2), (0, tiny.shape[2] % 2), (0, 0)), mode="edge")
    if codec in ffmpeg.FORMATS:
        return _run_program(tiny, even, codec, peer_options(codec, mode, quality))
    file, size = io.BytesIO(), 0
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", peer_options(codec, mode, quality)
        for frame in [*even, None]:
            for packet in stream.encode(
                None if frame is None else av.VideoFrame.from_ndarray(frame, format="rgb24")
            ):
                size += packet.size
                out.mux(packet)
    file.seek(0)
    with av.open(file) as clip:
        back = np.stack([f.to_ndarray(format="rgb24") for f in clip.decode(video=0)])
    return size / len(tiny), psnr(back[:, : tiny.shape[1], : tiny.shape[2]], tiny)


def _run_program(tiny, even, codec: str, options: dict[str, str]) -> tuple[float, float]:
    """The same by the ffmpeg program."""
    peer = peers.PEERS["libaom" if codec == "libaom-av1" else "vvenc"]
    packets = ffmpeg.encode(even, codec, options, Fraction(25))
    bare = dataclasses.replace(peer, drop=peer.drop and peer.drop | _PARAMETERS)
    size = sum(len(peers.pictures_only(bare, packet)) for packet in packets)
    back = peers.decode(peer, packets)[:, : tiny.shape[1], : tiny.shape[2]]
    return size / len(tiny), psnr(back, tiny)


def run_ours(tiny: np.ndarray, mode: str, step: float) -> tuple[float, float]:
    data = texture.encode(tiny, TextureConfig(width=tiny.shape[2], step=step, lookahead=mode == "look-ahead"))
    return len(data) / len(tiny), psnr(texture.decode(data), tiny)


def curve(run, knobs) -> list[tuple[float, float]]:
    """Points (bytes a frame, PSNR) by rising rate, up to the first one beyond ENOUGH."""
    points = []
    for knob in knobs:
        points.append(run(knob))
        if points[-1][0] > ENOUGH:
            break
    return sorted(points)


def quality_at(points, rate: float) -> float | None:
    b, p = np.array(points).T
    return float(np.interp(np.log(rate), np.log(b), p)) if b[0] <= rate <= b[-1] else None


def bytes_at(points, quality: float) -> float | None:
    """Bytes a frame for that PSNR; the lowest point's when even that is better; None beyond the curve."""
    b, p = np.array(points).T
    p = np.maximum.accumulate(p)
    return None if quality > p[-1] else float(np.exp(np.interp(quality, p, np.log(b))))


def band_ratio(ours, peers, band) -> float | None:
    """Mean over nine rates of the band of (our bytes at the best peer's quality) / rate."""
    ratios = []
    for rate in np.linspace(*band, 9):
        best = [q for q in (quality_at(p, rate) for p in peers) if q is not None]
        need = bytes_at(ours, max(best)) if best else None
        if need is not None:
            ratios.append(need / rate)
    return float(np.mean(ratios)) if ratios else None


def rate_and_speed(tiny: np.ndarray, mode: str, rate: float = 10.0) -> tuple[float, float, float, float]:
    """(bytes a frame, PSNR, ms a frame to encode, to decode) with the rate given; processor time of one core."""
    cfg = TextureConfig(width=tiny.shape[2], bytes_per_frame=rate, lookahead=mode == "look-ahead")
    texture.decode(
        texture.encode(tiny[:4], TextureConfig(width=tiny.shape[2], step=50, lookahead=cfg.lookahead))
    )
    t0 = time.process_time()
    data = texture.encode(tiny, cfg)
    t1 = time.process_time()
    back = texture.decode(data)
    t2 = time.process_time()
    n = len(tiny)
    return len(data) / n, psnr(back, tiny), (t1 - t0) / n * 1e3, (t2 - t1) / n * 1e3


def row(values) -> str:
    return " | ".join("-" if v is None else f"{v:.3f}" for v in values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", help="folders of clips or video files")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write all curves here")
    parser.add_argument("--peers", type=Path, help="take the peers' curves from what --json wrote earlier")
    args = parser.parse_args()
    av.logging.set_level(av.logging.ERROR)
    known = json.loads(args.peers.read_text())["curves"] if args.peers else {}
    clips = {Path(c).name: read_tiny(c, args.width) for c in args.clips}
    curves = {}
    for mode, goals in GOALS.items():
        last = "at 10 B/frame: B | dB | ms encode | ms decode"
        print(f"\n| {mode} | 20-28 B | 30-45 B | 60-90 B | {last} |\n|{'---|' * 8}")
        table = []
        for name, tiny in clips.items():
            ours = curve(lambda s, t=tiny, m=mode: run_ours(t, m, s), STEPS)
            before = known.get(f"{name}/{mode}", {})
            rivals = {
                label: before.get(label)
                or curve(lambda q, t=tiny, m=mode, c=codec: run_peer(t, c, m, q), qualities)
                for label, (codec, qualities) in PEERS.items()
                if ffmpeg.carries(codec) and (codec, mode) != ("libvvenc", "low latency")
            }
            curves[f"{name}/{mode}"] = {"semjax": ours, **rivals}
            table.append([band_ratio(ours, rivals.values(), band) for band in BANDS])
            print(f"| {name} | {row(table[-1])} | {row(rate_and_speed(tiny, mode))} |", flush=True)
        means = [np.mean([t[k] for t in table if t[k] is not None]) for k in range(len(BANDS))]
        print(f"| mean | {row(means)} | | | | |\n| goal | {row(goals)} | | | | |")
    if args.json:
        args.json.write_text(json.dumps({"steps": STEPS, "peers": PEERS, "curves": curves}, indent=1))


if __name__ == "__main__":
    main()
