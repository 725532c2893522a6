"""Writes tests/data/metrics/oracles.json: scores that other people's programs give to the pictures beside it.

    python tests/metrics/record_oracles.py        (needs torch, piq, pytorch-msssim, torchmetrics)

The tests compare with the recorded numbers and so need none of these packages. The pictures are a real-looking
pair of pictures, made by `natural` and `damaged` of metric_inputs and kept as PNGs, so that they never change.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
import piq
import pytorch_msssim
import torch
import torchmetrics
from metric_inputs import damaged, natural
from PIL import Image

FOLDER = pathlib.Path(__file__).parents[1] / "data" / "metrics"


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    reference = natural(1, 178, 214, seed=5)
    pair = {"reference": reference, "reconstruction": damaged(reference, 9, seed=6)}
    for name, clip in pair.items():
        for i, frame in enumerate(clip):
            Image.fromarray(frame).save(FOLDER / f"{name}_{i}.png", optimize=True)
    x, y = (torch.tensor(c).permute(0, 3, 1, 2).double() for c in pair.values())
    even = (..., slice(0, 176), slice(0, 208))  # MS-SSIM programs differ in how they halve odd sizes
    functional = torchmetrics.functional
    scores = {
        "psnr/torchmetrics": [functional.peak_signal_noise_ratio(b, a, 255.0) for a, b in zip(x, y)],
        "ssim/pytorch_msssim": pytorch_msssim.ssim(x, y, data_range=255, size_average=False),
        "ms_ssim_even/pytorch_msssim": pytorch_msssim.ms_ssim(
            x[even], y[even], data_range=255, size_average=False
        ),
        "gmsd/piq": piq.gmsd(x, y, data_range=255, reduction="none"),
        "haarpsi/piq": piq.haarpsi(x, y, data_range=255, reduction="none"),
    }
    packages = ("piq", "pytorch-msssim", "torch", "torchmetrics")
    record = {
        "versions": {p: importlib.metadata.version(p) for p in packages},
        "scores": {k: np.array([float(s) for s in v]).round(7).tolist() for k, v in scores.items()},
    }
    (FOLDER / "oracles.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
