"""Semantic Control: what is known in place, injected into the backbone through zero-initialised projections.

Known in place are the decoded label map and the degraded picture. The label map gives every pixel the embedding of
its region's class and the signed distance to the nearest contour, whose sub-pixel shape survives the patches.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from semjax.generator.config import ModelConfig, places
from semjax.generator.layers import Params, conv, conv_shapes, dense, dense_shapes
from semjax.generator.pictures import to_patches

LABELS = 256


def control_shapes(model: ModelConfig) -> Params:
    """Shapes of the encoder and of the injections at every place."""
    widths = _widths(model)
    inputs = model.classes + model.factor**2 + model.unet.in_channels
    encoder = {"stem": conv_shapes(inputs, widths[0])}
    for i, width in enumerate(widths):
        encoder[f"level_{i}"] = conv_shapes(widths[max(i - 1, 0)], width)
        encoder[f"mix_{i}"] = conv_shapes(width, width)
    return {
        "classes": (LABELS, model.classes),
        "encoder": encoder,
        "inject": {
            place.name: dense_shapes(widths[place.level], place.channels) for place in places(model.unet)
        },
    }


def control_features(
    params: Params,
    model: ModelConfig,
    labels: Int[Array, "B H W"],
    known: Float[Array, " B"],
    degraded: Float[Array, "B h w C"],
) -> list[Float[Array, "B h w D"]]:
    """Features at every level. `known`: 1 where there is a label map; `degraded`: the picture's latents, 0 if none."""
    height, width = labels.shape[1:]
    rows, columns = degraded.shape[1] * model.factor, degraded.shape[2] * model.factor
    labels = jnp.pad(labels, ((0, 0), (0, rows - height), (0, columns - width)), mode="edge")
    told = known[:, None, None, None]
    distance = signed_distance(labels, model.reach)[..., None] / model.reach
    shares = _class_shares(params["classes"], labels, model.factor)
    place = jnp.concatenate([told * shares, told * to_patches(distance, model.factor)], -1)
    x = jnp.concatenate([place.astype(degraded.dtype), degraded], -1)
    encoder = params["encoder"]
    x, found = jax.nn.silu(conv(encoder["stem"], x)), []
    for i in range(len(model.unet.block_out_channels)):
        x = jax.nn.silu(conv(encoder[f"level_{i}"], x, stride=2 if i else 1))
        x = x + jax.nn.silu(conv(encoder[f"mix_{i}"], x))
        found.append(x)
    return found


def inject(
    params: Params, place: str, x: Float[Array, "B h w C"], features: Float[Array, "B h w D"]
) -> Array:
    """The backbone's picture at `place` with the projected features added."""
    return x + dense(params["inject"][place], features.astype(x.dtype))


def signed_distance(labels: Int[Array, "B H W"], reach: int) -> Float[Array, "B H W"]:
    """Pixels to the nearest contour between regions, at most `reach`: positive in objects, negative in label 0.

    A pixel at a contour is half a pixel away. Exact (Euclidean) up to `reach`: first along the rows, then the lower
    envelope over the column, as in Felzenszwalb and Huttenlocher 2012, cut off at `reach`.
    """
    far = float(reach) + 0.5
    edge = jnp.zeros(labels.shape, bool)
    for axis in (1, 2):
        differs = jnp.diff(labels, axis=axis) != 0
        before = [(0, 0)] * 3
        after = [(0, 0)] * 3
        before[axis], after[axis] = (0, 1), (1, 0)
        edge |= jnp.pad(differs, before) | jnp.pad(differs, after)
    column = jnp.arange(labels.shape[2], dtype=jnp.float32)
    left = jax.lax.cummax(jnp.where(edge, column, -2 * far), axis=2)
    right = jax.lax.cummin(jnp.where(edge, column, labels.shape[2] + 2 * far), axis=2, reverse=True)
    along = jnp.minimum(jnp.minimum(column - left, right - column), far) ** 2
    padded = jnp.pad(along, ((0, 0), (reach, reach), (0, 0)), constant_values=far**2)
    rows = labels.shape[1]

    def nearer(best, shift):
        part = jax.lax.dynamic_slice_in_dim(padded, shift, rows, 1)
        return jnp.minimum(best, part + (shift - reach).astype(jnp.float32) ** 2), None

    best, _ = jax.lax.scan(nearer, jnp.full_like(along, far**2), jnp.arange(2 * reach + 1))
    return jnp.where(labels > 0, 1.0, -1.0) * jnp.minimum(jnp.sqrt(best) + 0.5, reach)


def _widths(model: ModelConfig) -> list[int]:
    return [int(model.control * min(2**i, 4)) for i in range(len(model.unet.block_out_channels))]


def _class_shares(table: Float[Array, "K E"], labels: Int[Array, "B H W"], factor: int) -> Array:
    """Mean class embedding of every patch [B, h, w, E]."""
    seen = table[labels]
    batch, height, width, channels = seen.shape
    return seen.reshape(batch, height // factor, factor, width // factor, factor, channels).mean((2, 4))


def palette(labels: Int[Array, "B H W"]) -> Float[Array, "B H W 3"]:
    """Label maps as colours in [0, 1], for a ControlNet that reads segmentations: 0 black, others far apart (ours)."""
    index = np.arange(LABELS)
    hue = (index * 0.61803398875) % 1.0
    colour = np.clip(np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return jnp.asarray((0.25 + 0.75 * colour) * (index > 0)[:, None], jnp.float32)[labels]
