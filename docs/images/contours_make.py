"""Draw the pictures of docs/contours.md: `python docs/images/contours_make.py FOLDER` (8-bit PNG label maps)."""

import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image

from semjax import contours
from semjax.contours import best, rate, trace
from semjax.contours.best_encoder import Plan, Sender
from semjax.entropy import binary as eb

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
COLOURS = np.random.default_rng(4).integers(70, 230, (256, 3)).astype(np.uint8)
COLOURS[0] = 30


def outlines(labels, truth):
    """A label map in colours with the true outlines in white."""
    picture = cv2.resize(COLOURS[labels], None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    for v in np.unique(truth):
        for contour in trace(truth == v):
            cv2.polylines(picture, [contour * 2], True, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def tolerances(maps):
    """One frame at several tolerances, both profiles, true outlines in white."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2))
    for row, profile in zip(axes, ("best", "paper")):
        for axis, tolerance in zip(row, (0, 1, 2, 4)):
            data = contours.encode(
                maps, contours.ContourConfig(profile=profile, tolerance=tolerance, period=99)
            )
            at = len(maps) // 2
            axis.imshow(outlines(contours.decode(data)[at], maps[at]))
            axis.set_title(
                f"{profile}, tolerance {tolerance}: {len(data) / len(maps):.0f} B/frame", fontsize=9
            )
            axis.axis("off")
    figure.savefig(HERE / "contours_tolerance.png", dpi=80, bbox_inches="tight")


def parts(maps):
    """Where the bytes of profile best go."""
    figure, axis = plt.subplots(figsize=(6, 3.2))
    names, bottoms = ("map", "motion", "flags"), np.zeros(4)
    cfg = contours.ContourConfig()
    weights, values = rate.pixel_weights(maps, cfg), []
    for scale in (2, 3, 5, 8):
        codec = best.Codec(*eb.new_pricer(), *maps.shape[1:])
        Sender(maps, weights, Plan(scale, 0.15 * scale**2, 16, 99), rate.rate_table(), codec).run()
        values.append([codec.bits[n] / 65536 / 8 / len(maps) for n in names])
    for k, name in enumerate(names):
        heights = [v[k] for v in values]
        axis.bar(("2", "3", "5", "8"), heights, bottom=bottoms, label=name)
        bottoms += heights
    axis.set(xlabel="pixels a cell", ylabel="bytes a frame")
    axis.legend()
    figure.savefig(HERE / "contours_parts.png", dpi=80, bbox_inches="tight")


if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).glob("*.png"))[:24]
    clip = np.stack([np.asarray(Image.open(f)) for f in files])
    tolerances(clip)
    parts(clip)
