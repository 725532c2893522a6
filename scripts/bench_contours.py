"""The contour codec against what else can carry label maps, on folders of label-map PNGs.

    python scripts/bench_contours.py FOLDER... [--frames 30] [--targets 0.9 0.95 0.98] [--out DIR] [--no-peers]

A sequence is a folder of 8-bit PNG label maps (or one with a `labels/` folder of them); other folders are searched
for sequences. `meta.json` beside the sequences may name labels left out of the mIoU: {"ignore": [0]}.

For every sequence: bytes a frame of the real stream (decoded and checked) at each target mIoU and lossless, the
paper profile at several tolerances, and of the peers at every coded size and quality; peers' bytes at a target are
log-linear between their two nearest settings. One key frame, look-ahead allowed. Writes rows.json, table.md and
NAME.png; peers that an earlier rows.json in DIR has are not run again. Speeds are frames per second of processor
time.
"""

import dataclasses
import json
import lzma
import os
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np
import tyro
from evaluation import ffmpeg
from evaluation.scheduling import scheduling_kept
from PIL import Image

from semjax import contours, metrics

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_AOM = {"cpu-used": "2", "b:v": "0", "g": "9999", "lag-in-frames": "35", "pix_fmt": "gray"}
_VVENC = {"preset": "slow", "qpa": "0", "period": "20", "pix_fmt": "yuv420p10le"}
_SCREEN = "IBC=1:TransformSkip=1:BDPCM=1:threads=1:verbosity=0"
PEERS = {  # encoder, name of its quality, qualities, options
    "x264": ("libx264", "crf", (18, 26, 32, 38, 44), {"preset": "veryslow"}),
    "x265": (
        "libx265",
        "crf",
        (18, 26, 32, 38, 44),
        {"preset": "slow", "x265-params": "log-level=none:keyint=999"},
    ),
    "svtav1": ("libsvtav1", "crf", (20, 32, 42, 52, 60), {"preset": "4"}),
    "libaom": ("libaom-av1", "crf", (26, 38, 48, 56, 63), _AOM),
    "vvenc": ("libvvenc", "qp", (32, 40, 46, 52, 58), _VVENC | {"vvenc-params": _SCREEN}),
}
_DECODERS = {"libx264": "h264", "libx265": "hevc", "libvvenc": "vvc"}  # else libdav1d
OURS = ("best", "best-fixed", "paper")
SCALES = (1, 2, 3, 4, 6, 8)
SMALLEST = 66  # pixels a side below which SVT-AV1 cannot work
os.environ.setdefault("SVT_LOG", "1")  # errors only


@dataclasses.dataclass
class Args:
    """What to measure."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    frames: int = 30
    targets: tuple[float, ...] = (0.9, 0.95, 0.98)
    out: Path = Path("bench-contours")
    peers: bool = True
    scales: tuple[int, ...] = SCALES  # the sizes that video codecs are tried at: a side is divided by these


def sequences(folder: Path):
    """(name, label maps' folder, ignored labels) of every sequence under a folder."""
    here = folder / "labels" if (folder / "labels").is_dir() else folder
    first = min(here.glob("*.png"), default=None)
    if first is not None:
        if Image.open(first).mode not in ("L", "P"):
            return []  # pictures, not label maps
        ignore = []
        for meta in (folder / "meta.json", folder.parent / "meta.json"):
            if meta.exists():
                ignore = ignore or json.loads(meta.read_text()).get("ignore", [])
        return [(f"{folder.parent.name}-{folder.name}", here, ignore or [0])]
    return [s for sub in sorted(p for p in folder.iterdir() if p.is_dir()) for s in sequences(sub)]


def read(folder: Path, frames: int) -> np.ndarray:
    """Label maps uint8 [T, H, W]."""
    return np.stack([np.asarray(Image.open(p)) for p in sorted(folder.glob("*.png"))[:frames]])


def quality(truth, decoded, ignore) -> dict:
    """Pooled mIoU over labels of at least 0.02 % of the pixels, and boundary F at 2 px."""
    return {
        "miou": float(metrics.miou(truth, decoded, ignore=ignore, min_share=2e-4)),
        "bf": float(metrics.boundary_f(truth, decoded, tolerance=2)),
    }


def ours(truth, ignore, targets):
    """Rows of this codec; every payload is decoded."""
    out = []
    period = len(truth)
    weights = tuple((k, 0.0) for k in ignore)
    settings = [
        ("best", contours.ContourConfig(target_miou=t, weights=weights, period=period)) for t in targets
    ]
    settings += [("best", contours.ContourConfig(tolerance=0, period=period))]
    settings += [
        ("best-fixed", contours.ContourConfig(tolerance=t, period=period)) for t in (1.0, 1.5, 2.5, 4.0)
    ]
    settings += [
        ("paper", contours.ContourConfig(profile="paper", tolerance=t, period=p))
        for t, p in ((1, 8), (2, 8), (4, 8), (2, 1))
    ]
    for name, cfg in settings:
        start = time.process_time()
        (unit,) = contours.encode_units([truth], cfg)
        middle = time.process_time()
        shape = dict(frames=len(truth), height=truth.shape[1], width=truth.shape[2], span=len(truth))
        ((decoded, _),) = contours.decode_units([unit], **shape)
        end = time.process_time()
        speed = {"encode_fps": len(truth) / (middle - start), "decode_fps": len(truth) / (end - middle)}
        setting = f"{cfg.target_miou or cfg.tolerance:g} P{cfg.period}"
        out.append({"peer": name, "setting": setting, "bytes": len(unit) / len(truth), **speed})
        out[-1] |= quality(truth, decoded, ignore)
    return out


def shrink(labels, s, count):
    """Majority label of s x s pixels."""
    h, w = -(-labels.shape[1] // s), -(-labels.shape[2] // s)
    padded = np.pad(labels, ((0, 0), (0, h * s - labels.shape[1]), (0, w * s - labels.shape[2])), mode="edge")
    area = partial(cv2.resize, dsize=(w, h), interpolation=cv2.INTER_AREA)
    maps = [np.argmax([area((f == k).astype(np.float32)) for k in range(count)], axis=0) for f in padded]
    return np.stack(maps).astype(np.uint8)


def enlarge(labels, s, shape, count):
    """Smooth enlargement: blurred indicator pictures, bicubic, the largest wins."""
    size = (labels.shape[2] * s, labels.shape[1] * s)
    out = np.empty((len(labels), *shape), np.uint8)
    blur = partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=0.5)
    for t, frame in enumerate(labels):
        share = [
            cv2.resize(
                blur((frame == k).astype(np.float32)),
                size,
                interpolation=cv2.INTER_CUBIC,
            )
            for k in range(count)
        ]
        out[t] = np.argmax(share, axis=0)[: shape[0], : shape[1]]
    return out


def video(frames, codec, options):
    """Grey frames uint8 [T, h, w] through a video codec: (bytes of the packets, decoded frames)."""
    height, width = (n + n % 2 for n in frames.shape[1:])
    padded = np.pad(
        frames, ((0, 0), (0, height - frames.shape[1]), (0, width - frames.shape[2])), mode="edge"
    )
    packets, extradata = packed(padded, codec, options)
    decoder = av.CodecContext.create(_DECODERS.get(codec, "libdav1d"), "r")
    if extradata:
        decoder.extradata = extradata
    decoded = [f for p in [*packets, None] for f in decoder.decode(p)]
    # Eight bits are ours as they are; ten are of the range that the program chose.
    grey = [f.to_ndarray(format="gray" if "10" in f.format.name else None) for f in decoded]
    out = np.stack([f[: frames.shape[1], : frames.shape[2]] for f in grey])
    return sum(coded_size(bytes(p), codec) for p in packets), out


@scheduling_kept()
def packed(frames, codec, options):
    """Grey frames of even size: (packets, extradata or None)."""
    if codec not in av.codecs_available:
        return [av.Packet(data) for data in ffmpeg.encode(frames, codec, options)], None
    height, width = frames.shape[1:]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.gop_size, encoder.thread_count = 999, 1
    encoder.options = dict(options)
    packets = []
    for grey in [*frames, None]:
        picture = None
        if grey is not None:
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = grey
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.color_range = 2
        packets += encoder.encode(picture)
    return packets, encoder.extradata


def coded_size(packet: bytes, codec: str) -> int:
    """Bytes of a packet without what no decoder needs: comments and delimiters."""
    extra = {
        "libx264": lambda u: u[0] & 31 == 6,
        "libx265": lambda u: u[0] >> 1 & 63 in (39, 40),
        "libvvenc": lambda u: u[1] >> 3 in (20, 23, 24),
    }.get(codec)
    if extra is None:
        return len(packet.removeprefix(b"\x12\x00"))
    units = packet.split(b"\x00\x00\x01")
    return sum(len(u) + 3 for u in units[1:] if not extra(u))


def peers(truth, ignore, scales=SCALES, known=()):
    """Rows of the lossless still-picture codes, and of the video codecs that are not in the rows `known`."""
    labels, compact = np.unique(truth, return_inverse=True)
    compact, count, shape = compact.reshape(truth.shape).astype(np.uint8), len(labels), truth.shape[1:]
    levels = np.linspace(0, 255, count) if count > 1 else np.zeros(1)
    out = list(known)
    if not out:
        sizes = {"png": png_bytes(truth), "rle+lzma": rle_bytes(truth)}
        out = [{"peer": k, "setting": "", "bytes": n, "miou": 1.0, "bf": 1.0} for k, n in sizes.items()]
    names = {r["peer"] for r in known}
    for s in scales:
        small = shrink(compact, s, count)
        grey = np.round(levels)[small].astype(np.uint8)
        if count == 2 and s > 1:
            size = (small.shape[2], small.shape[1])
            grey = np.stack([cv2.resize(f * 255, size, interpolation=cv2.INTER_AREA) for f in compact])
        for name, (codec, dial, qualities, options) in PEERS.items():
            if name in names or not ffmpeg.carries(codec) or min(grey.shape[1:]) < SMALLEST:
                continue
            for setting in qualities:
                start = spent_so_far()
                size, back = video(grey, codec, options | {dial: str(setting)})
                spent = spent_so_far() - start
                if count == 2:
                    full = [
                        cv2.resize(f, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) > 127 for f in back
                    ]
                    decoded = np.stack(full).astype(np.uint8)
                else:
                    near = np.abs(back[..., None].astype(np.float32) - levels).argmin(-1).astype(np.uint8)
                    decoded = enlarge(near, s, shape, count) if s > 1 else near
                row = {"peer": name, "setting": f"scale {s} {dial} {setting}", "bytes": size / len(truth)}
                out.append(row | {"encode_fps": len(truth) / spent} | quality(truth, labels[decoded], ignore))
    return out


def spent_so_far() -> float:
    """Processor time in seconds of this process and of the programs that it has run."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def png_bytes(truth) -> float:
    """Bytes a frame as optimised PNGs."""
    return float(np.mean([len(cv2.imencode(".png", f, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]) for f in truth]))


def rle_bytes(truth) -> float:
    """Bytes a frame of all runs (label, length) of the clip, compressed together."""
    flat = truth.reshape(len(truth), -1)
    parts = []
    for frame in flat:
        at = np.flatnonzero(np.diff(frame, prepend=frame[0] ^ 1))
        parts += [np.diff(at, append=frame.size).astype(np.uint32).tobytes(), frame[at].tobytes()]
    return len(lzma.compress(b"".join(parts), preset=9)) / len(truth)


def at_target(rows, target):
    """Bytes a frame and boundary F where a peer's best settings meet a mIoU; None if they never do."""
    close = [r for r in rows if target <= r["miou"] <= target + 0.005]
    best = min(((r["bytes"], r["bf"]) for r in close), default=None)
    for low in rows:
        for high in rows:
            if not low["miou"] <= target <= high["miou"] < 1:  # on the way to no loss at all the curve bends
                continue
            part = (
                0.0 if high["miou"] == low["miou"] else (target - low["miou"]) / (high["miou"] - low["miou"])
            )
            size = np.exp(np.log(low["bytes"]) * (1 - part) + np.log(high["bytes"]) * part)
            if high["miou"] - low["miou"] < 0.1 and (best is None or size < best[0]):
                best = (float(size), low["bf"] * (1 - part) + high["bf"] * part)
    return best


def envelope(rows):
    """The settings that no other setting of the same peer beats in both bytes and mIoU."""
    return [r for r in rows if not any(o["bytes"] < r["bytes"] and o["miou"] >= r["miou"] for o in rows)]


def summary(rows, targets):
    """{peer: {target: (bytes a frame, boundary F) or None}} of one sequence."""
    out = {}
    for name in dict.fromkeys(r["peer"] for r in rows):
        mine = envelope([r for r in rows if r["peer"] == name])
        out[name] = {t: at_target(mine, t) for t in targets}
        exact = [r["bytes"] for r in mine if r["miou"] == 1.0]
        out[name][1.0] = (min(exact), 1.0) if exact else None
    return out


def plot(rows, name, path):
    """Rate curve of one sequence."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for peer in dict.fromkeys(r["peer"] for r in rows):
        mine = sorted(envelope([r for r in rows if r["peer"] == peer]), key=lambda r: r["bytes"])
        axes.plot([r["bytes"] for r in mine], [r["miou"] for r in mine], "o-", label=peer, markersize=3)
    axes.set(xscale="log", xlabel="bytes a frame", ylabel="mIoU", title=name, ylim=(0.7, 1.005))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def main(args: Args):
    """Measure, print and write everything."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows, lines = {}, []
    done = args.out / "rows.json"
    before = json.loads(done.read_text()) if done.exists() else {}
    for name, folder, ignore in [s for f in args.folders for s in sequences(f)]:
        truth = read(folder, args.frames)
        known = [r for r in before.get(name, ()) if r["peer"] not in OURS]
        if args.peers:
            known = peers(truth, ignore, args.scales, known)
        rows[name] = ours(truth, ignore, args.targets) + known
        lines += [f"### {name} ({truth.shape[2]}x{truth.shape[1]}, {len(truth)} frames)", ""]
        header = [*(f"mIoU {t:g}" for t in args.targets), "lossless"]
        lines += [
            "| bytes a frame (boundary F) | " + " | ".join(header) + " |",
            "|---|" + "--:|" * len(header),
        ]
        for peer, values in summary(rows[name], args.targets).items():
            cells = [f"{v[0]:.1f} ({v[1]:.2f})" if v else "–" for v in values.values()]
            lines.append(f"| {peer} | " + " | ".join(cells) + " |")
        lines.append("")
        plot(rows[name], name, args.out / f"{name}.png")
        done.write_text(json.dumps(before | rows, indent=1))
        (args.out / "table.md").write_text("\n".join(lines))
        print("\n".join(lines[-3 - len(summary(rows[name], args.targets)) :]), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
