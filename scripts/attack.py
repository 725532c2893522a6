"""Attacks on what a policy hides (docs/policies.md): can a stream, or what is painted from it, tell who it was?

    python scripts/attack.py --systems causal mirage lgvsc --identities 5 --known 10 --asked 10 [--json rows.json]

Procedural identities: figures with colours, stripes and, if asked for, a build of their own, in scenes that differ in
ground, place, size and path. For a part of the clips the attacker knows who it is; of the others two attacks (nearest
neighbour, trained linear probe) guess it from three views: the stream's bytes, its decoded layers, the painted clip.
The attacker is given the place of the figure. One line for each system, policy, view and attack.
"""

import argparse
import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from semjax import stream as sm
from semjax import tokens
from semjax.metrics import privacy
from semjax.systems import causal, lgvsc, mirage, records, sources, verbs
from semjax.systems.policies import SenderPolicy
from semjax.systems.receiver import conditions
from semjax.systems.redaction import let_out, redact

FRAMES, HEIGHT, WIDTH, FPS = 6, 72, 96, 12
SYSTEMS = {
    "causal": causal.SenderConfig(bitrate=12_000),
    "mirage": mirage.SenderConfig(bitrate=6000),
    "lgvsc": lgvsc.SenderConfig(bitrate=16_000, keyframes=2),
}
POLICIES = {
    "none": SenderPolicy(),
    "silhouette": SenderPolicy(silhouettes=(1,)),
    "withheld": SenderPolicy(withheld=(1,)),
}
ATTACKS = {"nearest neighbour": privacy.nearest_neighbour, "linear probe": privacy.linear_probe}
VIEWS = ("bytes", "layers", "painted")


@dataclasses.dataclass(frozen=True)
class Example:
    """A clip with a figure of a known identity: frames uint8 [T, H, W, 3], labels uint8 [T, H, W] (1: the figure)."""

    identity: int
    frames: np.ndarray
    labels: np.ndarray


def example(identity: int, seed: int, *, builds: bool = False, frames: int | None = None) -> Example:
    """A figure that crosses a scene in some frames (None: FRAMES). Colours and stripes are the identity's, with
    `builds` its proportions too; everything else comes from the seed.
    """
    look, rng = np.random.default_rng([7, identity]), np.random.default_rng([11, identity, seed])
    coat, stripe, skin = look.integers(20, 236, (3, 3))
    period, slope = look.uniform(2.5, 6), look.uniform(-1, 1)
    build = look.uniform(0.7, 1.4) if builds else 1.0
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ground = (
        rng.integers(40, 216, 3) + 30 * np.sin(x / rng.uniform(6, 15) + y / rng.uniform(6, 15))[..., None]
    )
    size, start, speed = rng.uniform(0.85, 1.15), rng.uniform(0.3, 0.5), rng.uniform(-1, 1)
    pictures, labels = [], []
    for t in range(frames or FRAMES):
        cx, cy = WIDTH * start + 2 * speed * t, HEIGHT * 0.42
        body = (np.abs(x - cx) < 9 * size * build) & (y > cy) & (y < cy + 28 * size)
        head = (x - cx) ** 2 + (y - cy + 8 * size) ** 2 < (7 * size) ** 2
        stripes = np.sin((y - cy + slope * (x - cx)) * 2 * np.pi / period) > 0
        picture = np.where((body & ~stripes)[..., None], coat, ground)
        picture = np.where((body & stripes)[..., None], stripe, picture)
        picture = np.where(head[..., None], skin, picture)
        pictures.append(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255))
        labels.append(body | head)
    return Example(identity, np.stack(pictures).astype(np.uint8), np.stack(labels).astype(np.uint8))


def views(shown: Example, system: str, policy: SenderPolicy) -> dict[str, np.ndarray]:
    """What an attacker sees of an example that is sent by a system under a policy: features by view."""
    frames = sources.frames_from_array(shown.frames, FPS)
    maps = sources.labels_from_array(shown.labels, frames.info)
    frames, maps, words = redact(frames, maps, None, policy)
    clip, labels = (np.concatenate(list(source.read(32))) for source in (frames, maps))
    coded = verbs.encode(clip, labels=labels, captions=words, fps=FPS, cfg=SYSTEMS[system])
    stream = let_out(coded, policy)
    data = sm.pack(stream)
    inside = shown.labels == 1
    return {
        "bytes": _of_bytes(data),
        "layers": _of_layers(stream, inside),
        "painted": _of_pictures(verbs.decode(stream), inside),
    }


def _of_bytes(data: bytes) -> np.ndarray:
    """The bytes themselves, their histogram and their number."""
    values = np.frombuffer(data, np.uint8)
    first = np.zeros(1024)
    first[: min(1024, len(values))] = values[:1024]
    return np.concatenate([first, np.bincount(values, minlength=256) / len(values), [len(values)]])


def _of_layers(stream: sm.Stream, inside: np.ndarray) -> np.ndarray:
    """Words, and what texture, stills or tokens say of the place where the figure is."""
    info, found = stream.info, []
    captions, _ = records.read_captions(stream.layer("caption"), info, stream.spans.get("caption", 1))
    words = np.zeros(64)
    for word in " ".join(c.text for c in captions).lower().split():
        words[zlib.crc32(word.strip(".,;").encode()) % 64] += 1
    found.append(words)
    if stream.system == "causal":
        (given,) = conditions(stream)
        where = [
            cv2.resize(m.astype(np.float32), given.tiny.shape[2:0:-1], interpolation=cv2.INTER_AREA) > 0.5
            for m in inside
        ]
        found += [_of_pictures(given.tiny, np.stack(where)), _shape(given.labels == 1)]
    elif stream.system == "mirage":
        ((_, group),) = mirage.groups(stream)
        marked = [t for t, label in group.labels.items() if label == 1 and (0, t) in group.features]
        codes = [tokens.restore(group.features[0, t]) for t in marked] or [np.zeros(len(tokens.FEATURES))]
        whole = [tokens.restore(group.features[0, t]) for t in map(int, np.unique(group.layouts[0]))]
        found += [np.mean(codes, 0), np.std(codes, 0), np.mean(whole, 0)]
    else:
        pictures = np.stack([s.start for s in lgvsc.segments(stream)])
        numbers = [s.first for s in lgvsc.segments(stream)]
        found.append(_of_pictures(pictures, inside[numbers]))
    return np.concatenate(found)


def _shape(inside: np.ndarray) -> np.ndarray:
    """The first frame's outline in its own box, 8 x 8, and its sides."""
    if not inside[0].any():
        return np.zeros(66)
    rows, columns = np.flatnonzero(inside[0].any(1)), np.flatnonzero(inside[0].any(0))
    box = inside[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    return np.append(cv2.resize(box, (8, 8), interpolation=cv2.INTER_AREA).ravel(), box.shape)


def _of_pictures(pictures: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Colours (mean, spread, histogram) where the figure is, and the crop around it, 12 x 12."""
    if not inside.any():
        inside = np.ones_like(inside)
    pixels = pictures[inside].astype(np.float64)
    histogram = np.histogramdd(pixels, bins=(4, 4, 4), range=[(0, 256)] * 3)[0].ravel() / len(pixels)
    k = int(inside.any((1, 2)).argmax())
    rows, columns = np.flatnonzero(inside[k].any(1)), np.flatnonzero(inside[k].any(0))
    crop = pictures[k, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    crop = cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.concatenate([pixels.mean(0), pixels.std(0), 256 * histogram, crop.ravel()])


def attack(
    system: str,
    policy: SenderPolicy,
    identities: int,
    known: int,
    asked: int,
    *,
    builds: bool = False,
    frames: int | None = None,
) -> Iterator[dict]:
    """Rows of one system and policy: for each view and attack, how many guesses were right and what that says."""
    owners = np.repeat(np.arange(identities), known + asked)
    seeds = np.tile(np.arange(known + asked), identities)
    seen = [
        views(example(i, s, builds=builds, frames=frames), system, policy)
        for i, s in zip(owners.tolist(), seeds.tolist())
    ]
    teach = seeds < known
    for view in VIEWS:
        features = np.stack([s[view] for s in seen])
        for name, guess in ATTACKS.items():
            guesses = guess(features[teach], owners[teach], features[~teach])
            right = int((guesses == owners[~teach]).sum())
            low, high = privacy.interval(right, int((~teach).sum()))
            yield {
                "system": system,
                "view": view,
                "attack": name,
                "right": right,
                "asked": int((~teach).sum()),
                "chance": 1 / identities,
                "accuracy": right / int((~teach).sum()),
                "interval": (low, high),
                "p": privacy.tail(right, int((~teach).sum()), 1 / identities),
            }


def main() -> None:
    """Attack, print a table, keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--identities", type=int, default=5)
    parser.add_argument("--known", type=int, default=10)
    parser.add_argument("--asked", type=int, default=10)
    parser.add_argument("--builds", action="store_true", help="identities have proportions of their own, too")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of every clip")
    parser.add_argument("--bitrate", type=int, help="instead of each system's own in these attacks")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    if args.bitrate:
        SYSTEMS.update(
            {name: dataclasses.replace(cfg, bitrate=args.bitrate) for name, cfg in SYSTEMS.items()}
        )
    print(
        "| system | policy | view | attack | right | accuracy (95 %) | chance | p |\n|---|---|---|---|--:|--:|--:|--:|"
    )
    for system in args.systems:
        for policy in args.policies:
            counts = (args.identities, args.known, args.asked)
            for row in attack(system, POLICIES[policy], *counts, builds=args.builds, frames=args.frames):
                rows.append({"policy": policy, "builds": args.builds, **row})
                low, high = row["interval"]
                print(
                    f"| {system} | {policy} | {row['view']} | {row['attack']} | {row['right']} of {row['asked']} | "
                    f"{row['accuracy']:.2f} ({low:.2f} to {high:.2f}) | {row['chance']:.2f} | {row['p']:.2g} |",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
