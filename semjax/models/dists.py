"""DISTS: deep image structure and texture similarity (Ding, Ma, Wang, Simoncelli, TPAMI 2022).

    params = from_torch(backbone, heads)     # torchvision's VGG-16; alpha and beta of the authors' weights.pt
    value = distance(params, x, y)           # x, y float [B, H, W, 3] in [-1, 1] -> [B]

Range [0, 1] for positive weights and like pictures, lower is better, 0 for a copy. It forgives texture that is
drawn anew, which makes it the measure of choice for generated video.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models import image_features
from semjax.models._strict import fill

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet
_CHANNELS = (3, 64, 128, 256, 512, 512)
_C = 1e-6
_SMALLEST = 16


def l2_pool(x: jax.Array) -> jax.Array:
    """Halves [B, H, W, C]: root of the Hann-weighted mean square over 3x3 (Henaff, Simoncelli 2016)."""
    hann = np.hanning(5)[1:-1]
    kernel = np.outer(hann, hann)
    kernel = jnp.asarray(kernel / kernel.sum(), x.dtype)[..., None, None]
    mean = jax.lax.conv_general_dilated(
        x**2,
        jnp.tile(kernel, (1, 1, 1, x.shape[-1])),
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.sqrt(mean + 1e-12)


class Dists(nn.Module):
    """Two batches of pictures in [-1, 1] -> 1 minus the weighted similarity of means and of structures."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W 3"], y: Float[Array, "B H W 3"]) -> Float[Array, " B"]:
        """DISTS of every pair."""
        pictures = (jnp.concatenate([x, y]) + 1) / 2
        features = image_features.VggFeatures(l2_pool, name="net")
        maps = [pictures, *features((pictures - jnp.asarray(_MEAN)) / jnp.asarray(_STD))]
        alpha, beta = (
            self.param(n, nn.initializers.constant(0.1), (sum(_CHANNELS),)) for n in ("alpha", "beta")
        )
        similar = []
        for z in maps:
            a, b = z[: len(x)], z[len(x) :]
            mean_a, mean_b = a.mean((1, 2), keepdims=True), b.mean((1, 2), keepdims=True)
            var_a, var_b = jnp.mean((a - mean_a) ** 2, (1, 2)), jnp.mean((b - mean_b) ** 2, (1, 2))
            cov = jnp.mean((a - mean_a) * (b - mean_b), (1, 2))
            mean_a, mean_b = mean_a[:, 0, 0], mean_b[:, 0, 0]
            light = (2 * mean_a * mean_b + _C) / (mean_a**2 + mean_b**2 + _C)
            similar.append((light, (2 * cov + _C) / (var_a + var_b + _C)))
        light, structure = (jnp.concatenate(s, -1) for s in zip(*similar))
        return 1 - jnp.sum(alpha * light + beta * structure, -1) / (alpha.sum() + beta.sum())


@jax.jit
def distance(params: dict, x: Float[Array, "B H W 3"], y: Float[Array, "B H W 3"]) -> Float[Array, " B"]:
    """DISTS of pairs of pictures, floats in [-1, 1]. The authors scale the shorter side to 256 first; do so for
    figures to compare with theirs. `InputError` when the pictures do not fit or are below 16 pixels."""
    if x.shape != y.shape or x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < _SMALLEST:
        raise InputError(
            f"DISTS compares batches [B, H, W, 3] of one shape, at least {_SMALLEST} pixels high and wide, "
            f"got {x.shape} and {y.shape}."
        )
    return Dists().apply({"params": params}, x, y)


def init(key: jax.Array) -> dict:
    """Random parameters; every channel weighs alike."""
    picture = jnp.zeros((1, _SMALLEST, _SMALLEST, 3))
    return Dists().init(key, picture, picture)["params"]


def from_torch(backbone: Mapping[str, np.ndarray], heads: Mapping[str, np.ndarray]) -> dict:
    """Parameters from published tensors; strict, `InputError` lists everything that does not fit.

    `backbone`: torchvision's state dict of vgg16 (its classifier is left out); `heads`: `alpha` and `beta`
    [1, 1475, 1, 1], as in the authors' `weights.pt`.
    """
    state = {f"net.{k}": v for k, v in backbone.items()}
    state |= {k: np.asarray(v).reshape(-1) for k, v in heads.items()}

    def name(path):
        return "net." + image_features.torch_name(path[1:]) if path[0] == "net" else path[0]

    return fill(jax.eval_shape(init, jax.random.key(0)), state, name, unused=(r"net\.classifier\.",))
