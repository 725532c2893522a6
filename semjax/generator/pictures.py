"""Pictures and latents: squares of pixels as channels, or one of the autoencoders of semjax.models."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.generator.config import ModelConfig
from semjax.models.autoencoder_kl import AutoencoderKL, KlConfig
from semjax.models.autoencoder_tiny import AutoencoderTiny


def to_patches(x: Float[Array, "B H W C"], factor: int) -> Float[Array, "B h w D"]:
    """Squares of `factor` pixels as channels; H and W must be multiples of it."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // factor, width // factor, -1)


def from_patches(x: Float[Array, "B h w D"], factor: int) -> Float[Array, "B H W C"]:
    """The inverse of `to_patches`."""
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height, width, factor, factor, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * factor, width * factor, -1)


def encode(params: Any, model: ModelConfig, picture: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
    """Latents of pictures in [-1, 1]; the sides are filled up to multiples of `model.factor` at the far ends."""
    height, width = picture.shape[1:3]
    fill = ((0, 0), (0, -height % model.factor), (0, -width % model.factor), (0, 0))
    picture = jnp.pad(picture, fill, mode="edge")
    if model.autoencoder is None:
        return to_patches(picture, model.factor)
    found = _autoencoder(model).apply({"params": params["picture"]}, picture, method="encode")
    if isinstance(model.autoencoder, KlConfig):
        found = (found[0] - (model.autoencoder.shift_factor or 0)) * model.autoencoder.scaling_factor
    return found.astype(jnp.float32)


def decode(
    params: Any, model: ModelConfig, latents: Float[Array, "B h w C"], size: tuple[int, int]
) -> Float[Array, "B H W 3"]:
    """Pictures of `size` in [-1, 1], not clipped."""
    if model.autoencoder is None:
        return from_patches(latents, model.factor)[:, : size[0], : size[1]]
    if isinstance(model.autoencoder, KlConfig):
        latents = latents / model.autoencoder.scaling_factor + (model.autoencoder.shift_factor or 0)
    picture = _autoencoder(model).apply({"params": params["picture"]}, latents, method="decode")
    return picture[:, : size[0], : size[1]].astype(jnp.float32)


def picture_shapes(model: ModelConfig) -> dict:
    """Shapes of the autoencoder's parameters; none for patches."""
    if model.autoencoder is None:
        return {}
    blank = jnp.zeros((1, 8 * model.factor, 8 * model.factor, 3))
    return jax.eval_shape(_autoencoder(model).init, jax.random.key(0), blank)["params"]


def _autoencoder(model: ModelConfig):
    kind = AutoencoderKL if isinstance(model.autoencoder, KlConfig) else AutoencoderTiny
    return kind(model.autoencoder, dtype=jnp.dtype(model.dtype))
