"""Write the golden streams of tests/data/stream: small streams and the SHA-256 of what they decode to.

    python scripts/make_goldens.py tests/data/stream

Run it when the stream version changes, and only then: a stream that was written once decodes for ever.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from semjax import stream as container
from semjax.systems.causal import SenderConfig
from semjax.systems.receiver import conditions
from semjax.systems.verbs import encode
from semjax.types import Caption


def scene(frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two balls that cross over a shaded ground: frames uint8 [T, H, W, 3] and labels uint8 [T, H, W]."""
    y, x = np.mgrid[:height, :width]
    clip, labels = [], []
    for t in range(frames):
        picture = np.stack([60 + 80 * x / width, 90 + 60 * y / height, 150 - 70 * x / width], -1)
        label = np.zeros((height, width), np.uint8)
        phase = t / max(frames - 1, 1)
        for number, (cx, cy, radius, colour) in enumerate(
            [(0.2 + 0.6 * phase, 0.45, 0.22, (200, 70, 50)), (0.8 - 0.6 * phase, 0.6, 0.16, (240, 220, 90))],
            1,
        ):
            inside = (x - cx * width) ** 2 + (y - cy * height) ** 2 < (radius * height) ** 2
            picture[inside] = np.array(colour) + 20 * np.sin(x[inside] / 4)[:, None]
            label[inside] = number
        clip.append(picture)
        labels.append(label)
    return np.clip(np.stack(clip), 0, 255).astype(np.uint8), np.stack(labels)


def digests(stream: container.Stream) -> dict:
    """SHA-256 of the decoded integer layers, and the captions, of a stream."""
    steps = list(conditions(stream, steadied=False))
    tiny = [s.tiny for s in steps if s.tiny is not None]
    captions = dict.fromkeys((c.first, c.last, c.text) for s in steps for c in s.captions)
    return {
        "labels": _sha(np.concatenate([s.labels for s in steps])),
        "tiny": _sha(np.concatenate(tiny)) if tiny else None,
        "status": _sha(np.concatenate([np.stack([s.contour_status, s.texture_status]) for s in steps], 1)),
        "captions": [list(c) for c in captions],
        "keyframes": [k.frame for s in steps for k in s.keyframes],
    }


def _sha(array: np.ndarray) -> str:
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def streams() -> dict[str, bytes]:
    """The golden streams: every layer, odd sizes, one frame, losses, damage."""
    clip, labels = scene(20, 72, 96)
    words = [
        Caption(0, 9, "A red ball rolls to the right."),
        Caption(10, 19, "It passes a yellow one – élan!"),
    ]
    cfg = SenderConfig(bitrate=26000, period=8)
    every = container.pack(encode(clip, labels=labels, captions=words, fps=20, cfg=cfg))
    header, packets = container.split(every)
    odd_clip, odd_labels = scene(5, 37, 53)
    odd = encode(odd_clip, labels=odd_labels, cfg=SenderConfig(tolerance=0))
    single = encode(clip[:1], labels=labels[:1], fps=1)
    damaged = bytearray(every)
    damaged[len(every) // 2] ^= 0x40
    return {
        "every_layer": every,
        "odd_lossless": container.pack(odd),
        "one_frame": container.pack(single),
        "lost": container.join(header, packets[::2], partial=True),
        "damaged": bytes(damaged),
    }


def main(folder: Path) -> None:
    """Write NAME.smj for each stream and golden.json beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {}
    for name, data in streams().items():
        (folder / f"{name}.smj").write_bytes(data)
        facts[name] = {"stream": hashlib.sha256(data).hexdigest(), **digests(container.unpack(data))}
    (folder / "golden.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
