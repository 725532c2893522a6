"""Writes tests/data/models/perception.json: what the authors' LPIPS and DISTS say at weights anyone can make.

    python tests/models/record_perception.py        (needs torch, torchvision, lpips, DISTS-pytorch)

Weights and pictures come from `seeded` below by name and shape, so only names, shapes and results are stored.
"""

import functools
import importlib.metadata
import json
import pathlib
from unittest import mock

import lpips
import torch
import torchvision
from DISTS_pytorch.DISTS_pt import DISTS
from test_perception import pictures, seeded

TARGET = pathlib.Path(__file__).parents[1] / "data" / "models" / "perception.json"
BACKBONES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def seeded_state(shapes):
    return {key: torch.tensor(value) for key, value in seeded(shapes).items()}


def shapes_of(module):
    return {key: list(value.shape) for key, value in module.state_dict().items() if "classifier" not in key}


def main():
    x, y = (torch.tensor(p).permute(0, 3, 1, 2) for p in pictures())
    record = {"versions": {p: importlib.metadata.version(p) for p in ("torch", "torchvision", "lpips")}}
    for name, function in BACKBONES.items():
        backbone = getattr(torchvision.models, function)(weights=None)
        network = lpips.LPIPS(net=name, pretrained=False, pnet_rand=True, verbose=False)
        heads = {
            k: list(v.shape)
            for k, v in network.state_dict().items()
            if k.startswith("lin") and "lins" not in k
        }
        trunk = seeded_state(shapes_of(backbone))
        backbone.load_state_dict(trunk, strict=False)
        for part in network.net.children():
            for index, layer in part.named_children():
                layer.load_state_dict(backbone.features[int(index)].state_dict())
        network.load_state_dict(seeded_state(heads), strict=False)
        with torch.no_grad():
            value = network.eval()(x, y).flatten().tolist()
        record[name] = {"backbone": shapes_of(backbone), "heads": heads, "value": value}
    without = functools.partial(torchvision.models.vgg16, weights=None)  # the original would download them
    with mock.patch("torchvision.models.vgg16", lambda pretrained: without()):
        network = DISTS(load_weights=False).eval()
    heads = {k: list(network.state_dict()[k].shape) for k in ("alpha", "beta")}
    trunk = seeded_state(record["vgg"]["backbone"])
    for part in (network.stage1, network.stage2, network.stage3, network.stage4, network.stage5):
        for index, layer in part.named_children():
            if f"features.{index}.weight" in trunk:
                kinds = ("weight", "bias")
                layer.load_state_dict({k: trunk[f"features.{index}.{k}"] for k in kinds})
    network.load_state_dict(seeded_state(heads), strict=False)
    with torch.no_grad():
        value = network((x + 1) / 2, (y + 1) / 2).tolist()
    record["dists"] = {"heads": heads, "value": value}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
