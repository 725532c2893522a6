"""Temporal Adapter: attention along time at every place of the backbone, and the cache that makes it causal.

At each place the features of the current frame attend to those of other frames at the same pixel. Keys and values
are low-rank projections, and what tells frames apart is a learned bias for every head and relative position. In use
the other frames are the last W, whose keys and values wait in a ring; in training they are the other frames of a
clip, all of them for the bidirectional teacher and the earlier ones for a causal student. One set of parameters
serves every W, every number of steps and every resolution.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from semjax.generator.config import GeneratorConfig, ModelConfig, latent_size, level_size, places
from semjax.generator.layers import Params, dense, dense_shapes, rms

EMPTY = -(1 << 30)  # frame number of a slot that holds nothing


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """What the generator remembers of earlier frames, in arrays whose shapes never change.

    keys, values: by place, [B, W, h, w, D] in ring order. frames: int32 [B, W], the number of the frame in each
    slot, EMPTY where there is none. count: int32 [B], frames so far. noise: [B, h, w, C], the share of the noise
    that stays; drawn at the first frame and after every cut.
    """

    keys: dict[str, Array]
    values: dict[str, Array]
    frames: Int[Array, "B W"]
    count: Int[Array, " B"]
    noise: Float[Array, "B h w C"]


def init_cache(cfg: GeneratorConfig, height: int, width: int, batch: int = 1) -> Cache:
    """An empty cache for pictures of this size."""
    model = cfg.model
    size = latent_size(model, height, width)

    def blank(place):
        return jnp.zeros((batch, cfg.window, *level_size(size, place.level), model.temporal), model.dtype)

    found = places(model.unet) if cfg.temporal else []
    # Two separate sets of zeros: a buffer that occurs twice cannot be donated.
    return Cache(
        keys={p.name: blank(p) for p in found},
        values={p.name: blank(p) for p in found},
        frames=jnp.full((batch, cfg.window), EMPTY, jnp.int32),
        count=jnp.zeros(batch, jnp.int32),
        noise=jnp.zeros((batch, *size, model.unet.in_channels)),
    )


def temporal_shapes(model: ModelConfig) -> Params:
    """Shapes of the projections and relative biases for every place."""
    return {
        place.name: {
            "query": dense_shapes(place.channels, model.temporal),
            "pair": dense_shapes(place.channels, 2 * model.temporal),
            "out": dense_shapes(model.temporal, place.channels),
            "bias": (model.heads, 2 * model.relative + 1),
        }
        for place in places(model.unet)
    }


def keys_values(params: Params, x: Float[Array, "*batch C"]) -> tuple[Array, Array]:
    """Keys and values [*batch, D] of features at one place."""
    keys, values = jnp.split(dense(params["pair"], rms(x)), 2, -1)
    return keys, values


def look(
    params: Params,
    model: ModelConfig,
    x: Float[Array, "B Q h w C"],
    keys: Float[Array, "B K h w D"],
    values: Float[Array, "B K h w D"],
    apart: Int[Array, "B Q K"],
    seen: Int[Array, "B Q K"],
) -> Float[Array, "B Q h w C"]:
    """What frames see of others at one place, mapped back to its channels.

    apart: number of the other frame minus that of the looking one. seen: whether it may be looked at.
    """
    depth = model.temporal // model.heads
    # One frame after the other, with the sums over a head's channels as products with a matrix of zeros and ones:
    # on CPUs fourteen times as fast as an attention over short axes.
    members = jnp.repeat(jnp.eye(model.heads, dtype=x.dtype), depth, 0)
    query = dense(params["query"], rms(x))
    reach = model.relative
    bias = params["bias"].T[jnp.clip(apart, -reach, reach) + reach]  # [B, Q, K, heads]

    def score(k):
        found = ((query * keys[:, k : k + 1].astype(x.dtype)) @ members).astype(jnp.float32)
        found = found * depth**-0.5 + bias[:, :, k, None, None]
        return jnp.where(seen[:, :, k, None, None, None], found, -1e9)

    scores = [score(k) for k in range(keys.shape[1])]
    most = functools.reduce(jnp.maximum, scores)
    weights = [jnp.exp(s - most) for s in scores]
    total = sum(weights)
    shares = [(w / total).astype(x.dtype) @ members.T for w in weights]
    found = sum(share * values[:, k : k + 1].astype(x.dtype) for k, share in enumerate(shares))
    return dense(params["out"], found)


def begin_frame(cache: Cache, cut: Float[Array, " B"], noise: Float[Array, "B h w C"]) -> Cache:
    """The cache at the start of a frame: emptied, and with new lasting noise, where there was a cut."""
    fresh = (cut > 0) | (cache.count == 0)
    return dataclasses.replace(
        cache,
        frames=jnp.where(fresh[:, None], EMPTY, cache.frames),
        noise=jnp.where(fresh[:, None, None, None], noise, cache.noise),
    )


def write(cache: Cache, seen: dict[str, tuple[Array, Array]], where: Float[Array, " B"]) -> Cache:
    """The cache with the current frame's keys and values in its slot, for those streams where `where` is 1."""
    window = cache.frames.shape[1]
    slot = jax.nn.one_hot(cache.count % window, window) * where[:, None] > 0

    def put(ring, new):
        return jnp.where(slot[:, :, None, None, None], new[:, None].astype(ring.dtype), ring)

    return dataclasses.replace(
        cache,
        keys={place: put(ring, seen[place][0]) for place, ring in cache.keys.items()},
        values={place: put(ring, seen[place][1]) for place, ring in cache.values.items()},
        frames=jnp.where(slot, cache.count[:, None], cache.frames),
    )


def end_frame(cache: Cache) -> Cache:
    """The cache for the frame after this one."""
    return dataclasses.replace(cache, count=cache.count + 1)
