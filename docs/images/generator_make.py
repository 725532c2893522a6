"""Pictures of what the bundled generator paints, from the bundled sample alone: python docs/images/generator_make.py

sample.jpg: original, decoded contours, painted, at the default rate. generator.jpg: at 4 kbit/s, rows from top to
bottom: original, `none`, `tiny`, x265 at as many bytes (free to choose picture size and frame rate).
"""

import sys
from fractions import Fraction
from pathlib import Path

import cv2
import jax
import numpy as np

import semjax as sj
from semjax import metrics, stream
from semjax.painting import PALETTE
from semjax.systems import causal
from semjax.systems.receiver import conditions

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "scripts"))
from evaluation.peers import PEERS, best_answers  # noqa: E402

FRAMES, AT, COLUMNS = 60, 40, (10, 30, 50)


def grid(name: str, rows: list[list[np.ndarray]], width: int) -> None:
    """Pictures in rows and columns, `width` pixels wide each."""
    size = width, width * rows[0][0].shape[0] // rows[0][0].shape[1]
    small = [
        np.concatenate([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in row], 1) for row in rows
    ]
    cv2.imwrite(str(HERE / name), np.concatenate(small)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def main() -> None:
    """Make both."""
    sample = sj.sample_clip()
    frames, labels = sj.read_video(sample.video_path), sj.read_labels(sample.labels_path)
    sent = sj.encode(frames, labels=labels, fps=25, cfg=causal.SenderConfig())
    maps = np.concatenate([given.labels for given in conditions(sent)])
    painted = sj.decode(sent, sj.load_generator("tiny"), jax.random.key(0))
    print(f"{len(stream.pack(sent))} bytes, MS-SSIM {float(metrics.ms_ssim(frames, painted)):.3f}")
    grid("sample.jpg", [[frames[AT], PALETTE[maps[AT] % len(PALETTE)], painted[AT]]], 400)

    frames, labels = frames[:FRAMES], labels[:FRAMES]
    sent = sj.encode(frames, labels=labels, fps=25, cfg=causal.SenderConfig(bitrate=4000))
    ours = [sj.decode(sent, sj.load_generator(name), jax.random.key(0)) for name in ("none", "tiny")]
    size = len(stream.pack(sent))
    peer = best_answers(
        PEERS["x265"], frames, Fraction(25), [size], lambda shown: float(metrics.ms_ssim(frames, shown))
    )[size]
    grid("generator.jpg", [[clip[i] for i in COLUMNS] for clip in (frames, *ours, peer.frames)], 400)


if __name__ == "__main__":
    main()
