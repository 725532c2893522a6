"""LPIPS: learned perceptual distance between pictures (Zhang et al., CVPR 2018), version 0.1.

    cfg = LpipsConfig("alex")
    params = from_torch(cfg, backbone, heads)    # torchvision's AlexNet and the heads of the lpips package
    value = distance(params, x, y, cfg=cfg)      # x, y float [B, H, W, 3] in [-1, 1] -> [B]

Range [0, inf), lower is better, 0 for a copy.
"""

import dataclasses
import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models import image_features
from semjax.models._strict import fill

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # the lpips package's scaling layer
_BACKBONES = {
    "alex": image_features.AlexFeatures,
    "vgg": image_features.VggFeatures,
    "squeeze": image_features.SqueezeFeatures,
}
_SMALLEST = {"alex": 31, "vgg": 16, "squeeze": 17}


@dataclasses.dataclass(frozen=True)
class LpipsConfig:
    """`backbone`: "alex" (what papers report as LPIPS most often), "vgg" or "squeeze"."""

    backbone: str = "alex"

    def __post_init__(self):
        if self.backbone not in _BACKBONES:
            raise InputError(f"LPIPS has the backbones {', '.join(_BACKBONES)}, got {self.backbone!r}.")


class Lpips(nn.Module):
    """Two batches of pictures in [-1, 1] -> their distances: unit-length features, weighted squared differences."""

    cfg: LpipsConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B H W 3"], y: Float[Array, "B H W 3"]) -> Float[Array, " B"]:
        """LPIPS of every pair."""
        features = _BACKBONES[self.cfg.backbone](name="net")
        pictures = (jnp.concatenate([x, y]) - jnp.asarray(_SHIFT)) / jnp.asarray(_SCALE)
        total = jnp.zeros(len(x))
        for i, maps in enumerate(features(pictures)):
            maps = maps / (jnp.sqrt(jnp.sum(maps**2, -1, keepdims=True)) + 1e-10)
            apart = (maps[: len(x)] - maps[len(x) :]) ** 2
            weight = self.param(f"lin{i}", nn.initializers.ones, (maps.shape[-1],))
            total += jnp.mean(jnp.sum(apart * weight, -1), (1, 2))
        return total


@functools.partial(jax.jit, static_argnames="cfg")
def distance(
    params: dict, x: Float[Array, "B H W 3"], y: Float[Array, "B H W 3"], *, cfg: LpipsConfig
) -> Float[Array, " B"]:
    """LPIPS of pairs of pictures, floats in [-1, 1]. `InputError` when they are too small for the backbone."""
    smallest = _SMALLEST[cfg.backbone]
    if x.shape != y.shape or x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < smallest:
        raise InputError(
            f"LPIPS ({cfg.backbone}) compares batches [B, H, W, 3] of one shape, at least {smallest} pixels high "
            f"and wide, got {x.shape} and {y.shape}."
        )
    return Lpips(cfg).apply({"params": params}, x, y)


def init(cfg: LpipsConfig, key: jax.Array) -> dict:
    """Random parameters; the heads weigh every channel alike."""
    side = _SMALLEST[cfg.backbone]
    picture = jnp.zeros((1, side, side, 3))
    return Lpips(cfg).init(key, picture, picture)["params"]


def from_torch(cfg: LpipsConfig, backbone: Mapping[str, np.ndarray], heads: Mapping[str, np.ndarray]) -> dict:
    """Parameters from published tensors; strict, `InputError` lists everything that does not fit.

    `backbone`: torchvision's state dict of alexnet, vgg16 or squeezenet1_1 (its classifier is left out); `heads`:
    the state dict that the lpips package keeps in `weights/v0.1/NAME.pth`.
    """
    heads = {key: np.asarray(value) for key, value in heads.items()}
    wrong = [key for key, value in heads.items() if value.ndim != 4 or value.shape[::2] != (1, 1)]
    if wrong:
        raise InputError(
            f"LPIPS heads are 1x1 convolutions to one channel; these are not: {', '.join(wrong)}."
        )
    state = {f"net.{k}": v for k, v in backbone.items()} | {k: v[0, :, 0, 0] for k, v in heads.items()}

    def name(path):
        return (
            "net." + image_features.torch_name(path[1:]) if path[0] == "net" else f"{path[0]}.model.1.weight"
        )

    template = jax.eval_shape(functools.partial(init, cfg), jax.random.key(0))
    return fill(template, state, name, unused=(r"net\.classifier\.",))
