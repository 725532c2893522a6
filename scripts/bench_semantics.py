"""What understanding a clip costs and how well it goes: `bench.py semantics cost`, `regions FOLDER...` and others.

cost     PSSS by InternVL: model FLOPs and wall time of a pair, direct against the published two rounds
regions  label maps without weights against true ones: boundary recall, identity, flicker, bytes, time a frame
steady   what smoothing over time does to label maps of a network that hesitates (true maps with errors put in)
sender   frames a second of everything a sender without weights computes
sheet    the chosen keyframes of clips as one picture each, for a person to look at

A FOLDER holds video.mp4, frames/*.png or *.png and, for `regions` and `steady`, labels/*.png; "scenes:3+7" are
procedural scenes one after the other.
"""

import argparse
import functools
import time
from pathlib import Path

import numpy as np
from psss_cost import cost

# --- regions ------------------------------------------------------------------------------------------------------


def read_clip(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(frames, true label maps or None) of a clip's folder, or of a procedural scene."""
    import semjax as sj

    if str(folder).startswith("scenes:"):
        cfg = sj.scenes.SceneConfig(frames=32)
        clips = [
            sj.scenes.make_clip(int(seed), cfg) for seed in str(folder).removeprefix("scenes:").split("+")
        ]
        return np.concatenate([clip.frames for clip in clips]), np.concatenate(
            [clip.labels for clip in clips]
        )
    film, source = folder / "video.mp4", folder / "frames"
    video = sj.read_video(film if film.exists() else source if source.is_dir() else folder)
    labels = folder / "labels"
    return video, sj.read_labels(labels) if labels.is_dir() else None


def outline(labels: np.ndarray) -> np.ndarray:
    """bool: a pixel whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    edge[:, :, :-1] |= labels[:, :, 1:] != labels[:, :, :-1]
    return edge


def boundary_recall(truth: np.ndarray, found: np.ndarray, tolerance: int = 2) -> float:
    """Share of the true outlines' pixels that have an outline of the found map within some pixels."""
    import cv2

    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    hit = total = 0
    for a, b in zip(outline(truth), outline(found)):
        hit += int((a & (cv2.dilate(b.astype(np.uint8), disk) > 0)).sum())
        total += int(a.sum())
    return hit / max(total, 1)


def identity(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """(share of frames in which a true object's main found label is the one before, the same from the first frame on
    in which that is not the background's, IoU of its best label).

    Means over objects; the IoU is over the whole clip, frames before the object was found included.
    """

    def same(main: list[int]) -> float:
        return float(np.mean(np.diff(main) == 0)) if len(main) > 1 else 1.0

    kept, after, overlap = [], [], []
    for thing in np.unique(truth[truth > 0]):
        mine = truth == thing
        main = [np.bincount(f[m], minlength=256).argmax() for f, m in zip(found, mine) if m.any()]
        kept.append(same(main))
        after.append(same(main[int(np.argmax(np.array(main) > 0)) :]))
        best = [((found == k) & mine).sum() / ((found == k) | mine).sum() for k in np.unique(found[mine])]
        overlap.append(max(best))
    return float(np.mean(kept)), float(np.mean(after)), float(np.mean(overlap))


def flicker(video: np.ndarray, labels: np.ndarray) -> float:
    """Share of pixels whose label is not that of the frame before, carried along by dense flow."""
    import cv2

    from semjax.semantics import motion

    off = []
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in video]
    for before, now, old, new in zip(grey, grey[1:], labels, labels[1:]):
        flow = motion.dense_flow(now, before)
        off.append((motion.warp(old, flow, cv2.INTER_NEAREST) != new).mean())
    return float(np.mean(off)) if off else 0.0


def regions(args: argparse.Namespace) -> None:
    """One line a clip."""
    from semjax import semantics

    print("clip                boundary  identity  once found    IoU  flicker  bytes/frame  ms/frame  labels")
    clock = time.process_time if args.processor_time else time.perf_counter
    rows = []
    for folder in args.folders:
        video, truth = read_clip(folder)
        video = video[: args.frames]
        start = clock()
        found = semantics.segment(video)
        taken = clock() - start
        row = [np.nan] * 4
        if truth is not None:
            row = [boundary_recall(truth[: len(found)], found), *identity(truth[: len(found)], found)]
        row += [flicker(video, found), coded(found), 1000 * taken / len(found)]
        row.append(np.mean([len(np.unique(f)) for f in found]))
        rows.append(row)
        print(_line(folder.name, row), flush=True)
        if args.bytes and truth is not None:
            size, recall = at_rate(truth[: len(found)], found, args.bytes)
            print(f"{'':19} boundary {recall:.3f} after coding in {size:.1f} bytes a frame", flush=True)
    print(_line("mean", np.nanmean(rows, axis=0)))


def coded(labels: np.ndarray) -> float:
    """Bytes a frame that the contour layer takes at its default tolerance."""
    from semjax import contours

    return len(contours.encode(labels, contours.ContourConfig())) / len(labels)


def at_rate(truth: np.ndarray, found: np.ndarray, size: float) -> tuple[float, float]:
    """(bytes a frame, boundary recall) of what a receiver has of a label map at a rate."""
    from semjax import contours

    data = contours.encode(found, contours.ContourConfig(bytes_per_frame=size, period=len(found)))
    return len(data) / len(found), boundary_recall(truth, contours.decode(data))


def _line(clip: str, row) -> str:
    recall, kept, after, iou, unsteady, size, spent, count = row
    shares = f"{recall:8.3f} {kept:9.3f} {after:11.3f} {iou:6.3f} {100 * unsteady:7.2f}%"
    return f"{clip:19} {shares} {size:12.1f} {spent:9.1f} {count:7.1f}"


def steady(args: argparse.Namespace) -> None:
    """Flicker, outlines and bytes before and after smoothing label scores over time.

    The scores are what a network that hesitates would give for the true label maps at a quarter of the size: blunt
    outlines, and smooth noise that is new in every frame.
    """
    import cv2

    from semjax.semantics import steady as smoothing

    print("clip                share  boundary  flicker  bytes/frame")
    for folder in args.folders:
        video, truth = read_clip(folder)
        video, truth = video[: args.frames], truth[: args.frames]
        names, size = np.unique(truth), truth.shape[2:0:-1]
        small = (size[0] // 4, size[1] // 4)
        for share in args.shares:
            draw, state, maps = np.random.default_rng(0), smoothing.SteadyState(), []
            for frame, labels in zip(video, truth):
                planes = [
                    cv2.resize((labels == k).astype(np.float32), small, interpolation=cv2.INTER_AREA)
                    for k in names
                ]
                planes = [cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in planes]
                noise = [cv2.GaussianBlur(draw.standard_normal(small[::-1]), (0, 0), 1.5) for _ in names]
                scores = np.log(np.stack(planes, -1) + 0.03) + args.noise * np.stack(noise, -1)
                scores, state = smoothing.steady(scores, frame, state, share=share)
                maps.append(names[cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR).argmax(-1)])
            found = np.stack(maps).astype(np.uint8)
            recall, unsteady = boundary_recall(truth, found), 100 * flicker(video, found)
            print(
                f"{folder.name:19} {share:5.2f} {recall:9.3f} {unsteady:7.2f}% {coded(found):12.1f}",
                flush=True,
            )


# --- sender and sheets --------------------------------------------------------------------------------------------


def sender(args: argparse.Namespace) -> None:
    """Frames a second of each part and of whole senders, the second of two passes (the first compiles), by the clock
    and by the time of a processor: on two cores a sender may be up to twice as fast by the clock as by its processors.
    """
    import cv2

    import semjax as sj
    from semjax import semantics
    from semjax.systems.senders import SENDERS

    def timed(work) -> tuple[object, float, float]:
        work()
        start, spent = time.perf_counter(), time.process_time()
        found = work()
        return found, time.perf_counter() - start, time.process_time() - spent

    for folder in args.folders:
        video = read_clip(folder)[0][: args.frames]
        video = np.stack([cv2.resize(frame, (512, 288), interpolation=cv2.INTER_AREA) for frame in video])
        labels = semantics.segment(video)
        parts = {
            "label maps": functools.partial(semantics.segment, video),
            "tracks and caption": functools.partial(semantics.caption, video, labels),
            "views and keyframes": functools.partial(semantics.skem, video, labels=labels),
        }
        for name in args.systems:
            cfg = SENDERS[name].SenderConfig()
            parts[f"encode, {name}"] = functools.partial(sj.encode, video, cfg=cfg)
        print(
            f"{folder.name}: {len(video)} frames of 512x288; frames a second by the clock, and of processor time"
        )
        for name, work in parts.items():
            found, clock, processor = timed(work)
            size = f", {len(sj.stream.pack(found))} bytes" if isinstance(found, sj.Stream) else ""
            print(f"{name:21} {len(video) / clock:7.1f} {len(video) / processor:7.1f}{size}", flush=True)


def sheet(args: argparse.Namespace) -> None:
    """Keyframes of clips by the structural scorer on label maps found without weights, as PNGs in a folder."""
    import cv2
    from PIL import Image

    from semjax import semantics

    args.out.mkdir(parents=True, exist_ok=True)
    for folder in args.folders:
        video, _ = read_clip(folder)
        labels = semantics.segment(video)
        cuts = list(semantics.scene_cuts(video))
        cfg = semantics.SkemConfig(last=not args.causal, stride=args.stride)
        keys = semantics.skem(video, labels=labels, cfg=cfg, cuts=cuts)
        pictures = []
        for key in keys:
            height = round(args.width * video.shape[1] / video.shape[2])
            small = cv2.resize(video[key], (args.width, height), interpolation=cv2.INTER_AREA)
            for shade, thickness in ((0, 3), (255, 1)):  # white with a dark rim
                font = cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(small, str(key), (5, height - 6), font, 0.5, (shade,) * 3, thickness, cv2.LINE_AA)
            pictures.append(small)
        columns = min(args.columns, len(pictures))
        pictures += [np.full_like(pictures[0], 255)] * (-len(pictures) % columns)
        rows = [np.hstack(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
        name = folder.name.replace(":", "_")
        Image.fromarray(np.vstack(rows)).save(args.out / f"keyframes_{name}.png")
        print(f"{folder.name}: {len(video)} frames, keyframes {keys.tolist()}, cuts {cuts}", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("cost")
    part.add_argument("--sizes", nargs="*", default=["1b", "2b", "8b"])
    part.add_argument(
        "--sizes-seen",
        nargs="*",
        default=["448x448", "252x448", "336x336", "140x252"],
        help="HEIGHTxWIDTH of a frame",
    )
    part.add_argument("--picture", nargs=2, type=int, default=[288, 512], help="height and width")
    part.add_argument("--words", type=int, default=300, help="tokens of the two descriptions together")
    part.add_argument("--candidates", type=int, default=20, help="candidates from one keyframe to the next")
    part.add_argument("--wall", action="store_true", help="measure time, too")
    part.add_argument("--pairs", type=int, default=16)
    part.add_argument("--batch", type=int, default=4)
    part.set_defaults(run=cost)
    part = parts.add_parser("regions")
    part.add_argument("folders", nargs="+", type=Path)
    part.add_argument("--frames", type=int, default=60, help="most frames of a clip")
    part.add_argument(
        "--bytes", type=float, help="measure outlines after coding at so many bytes a frame, too"
    )
    part.add_argument("--processor-time", action="store_true", help="count processor time, not the clock's")
    part.set_defaults(run=regions)
    part = parts.add_parser("steady")
    part.add_argument("folders", nargs="+", type=Path)
    part.add_argument("--frames", type=int, default=40)
    part.add_argument("--noise", type=float, default=4.0, help="how much the network hesitates")
    part.add_argument("--shares", nargs="*", type=float, default=[0.0, 0.7, 0.85], help="weight of the past")
    part.set_defaults(run=steady)
    part = parts.add_parser("sender")
    part.add_argument("folders", nargs="+", type=Path)
    part.add_argument("--frames", type=int, default=60)
    part.add_argument("--systems", nargs="*", default=["causal", "mirage", "lgvsc"])
    part.set_defaults(run=sender)
    part = parts.add_parser("sheet")
    part.add_argument("folders", nargs="+", type=Path)
    part.add_argument("--out", type=Path, required=True)
    part.add_argument("--width", type=int, default=192, help="pixels of a keyframe's width")
    part.add_argument("--columns", type=int, default=5)
    part.add_argument(
        "--stride", type=int, default=5, help="every so many frames is a candidate (0.2 s in LGVSC)"
    )
    part.add_argument(
        "--causal", action="store_true", help="the last frame is no keyframe for being the last"
    )
    part.set_defaults(run=sheet)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
