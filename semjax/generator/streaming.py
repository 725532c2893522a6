"""One frame after another: the step function, and whole clips as a scan of it."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax import diffusion
from semjax.generator import pictures
from semjax.generator.conditions import FrameConditions
from semjax.generator.config import GeneratorConfig
from semjax.generator.layers import Params
from semjax.generator.network import Scene, denoise_step, prepare
from semjax.generator.temporal import Cache, begin_frame, end_frame, write


def generate_frame(
    params: Params, cache: Cache, conditions: FrameConditions, key: jax.Array, *, cfg: GeneratorConfig
) -> tuple[Float[Array, "B H W 3"], Cache]:
    """The next frame of B streams, in [-1, 1], and the cache for the one after it.

    The one step function of the generator: streaming calls it, `generate` scans it. Its time and memory do not
    depend on how many frames there were. cfg is static; conditions: see FrameConditions; key: this frame's own, or
    keys [B], with which every stream gets the noise that it would get alone under its key.
    """
    model, size = cfg.model, conditions.degraded.shape[1:3]
    if key.ndim:
        lasting, passing, steps = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(key), 1, 0)
    else:
        lasting, passing, steps = jax.random.split(key, 3)
    shape = cache.noise.shape
    cache = begin_frame(cache, conditions.cut, _normal(lasting, shape))
    scene = prepare(params, conditions, cfg)
    cache = _see_keyframe(params, cache, conditions, scene, cfg)

    def noise(key):
        fresh = _normal(key, shape)
        mixed = cfg.shared_noise**0.5 * cache.noise + (1 - cfg.shared_noise) ** 0.5 * fresh
        return _around(model, scene, mixed)

    rows = diffusion.plan(cfg.sampling())
    x = diffusion.start(rows, noise(passing), scene.degraded if cfg.begin else None)
    x, seen = diffusion.sample(
        lambda x, time: denoise_step(params, cfg, scene, cache, x, time),
        rows,
        x,
        steps,
        noise=noise,
        correct=lambda x0: _hold_latents(x0, conditions, scene, cfg),
    )
    cache = _remember(params, cache, conditions, scene, x, seen, cfg)
    picture = pictures.decode(params, model, x, size)
    return jnp.clip(hold(picture, conditions, cfg), -1, 1), end_frame(cache)


@functools.partial(jax.jit, static_argnames="cfg")
def generate(
    params: Params,
    cache: Cache,
    conditions: FrameConditions,
    key: jax.Array,
    *,
    cfg: GeneratorConfig,
    first: int | Array = 0,
) -> tuple[Float[Array, "T B H W 3"], Cache]:
    """Consecutive frames: the scan of `generate_frame` over conditions with a leading axis T.

    Frame i gets the key folded with `first` + i, so that a clip made in parts is the same clip.
    """

    def one(cache, given, key):
        return generate_frame(params, cache, given, key, cfg=cfg)

    return diffusion.rollout(one, cache, conditions, key, first=first)


def _normal(key: jax.Array, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers [B, ...] of one key, or of B keys."""
    if key.ndim:
        return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(key)
    return jax.random.normal(key, shape)


def _around(model, scene: Scene, noise: Array) -> Array:
    """Where the sampler's lines begin: noise, around the degraded picture for anchored models."""
    return scene.degraded + model.noise * noise if model.anchored else noise


def hold(picture: Array, given: FrameConditions, cfg: GeneratorConfig) -> Array:
    """Pictures [B, H, W, 3] held to the received tiny frames."""
    if not cfg.consistency:
        return picture
    strength = _strength(cfg, given.tiny.shape[2], picture.shape[2])
    return diffusion.project(picture, given.tiny, strength * given.has_tiny[:, None, None, None])


def _strength(cfg: GeneratorConfig, tiny: int, picture: int) -> float:
    """The consistency for tiny frames and pictures of these widths: the finer what arrived, the less there is to add.
    See `GeneratorConfig.consistency`."""
    return max(cfg.consistency, min(0.5, 4 * tiny / picture - 1))


def _hold_latents(x0: Array, given: FrameConditions, scene: Scene, cfg: GeneratorConfig) -> Array:
    """The same during sampling. Latents of an autoencoder are held to those of the degraded picture, on a grid no
    finer than the tiny frame's, since decoding and encoding at every step would cost more than the step."""
    model = cfg.model
    if not cfg.consistency:
        return x0
    if model.autoencoder is None:
        size = given.degraded.shape[1:3]
        rows, columns = (side * model.factor for side in x0.shape[1:3])
        picture = pictures.from_patches(x0, model.factor)
        held = hold(picture[:, : size[0], : size[1]], given, cfg)
        fill = ((0, 0), (0, rows - size[0]), (0, columns - size[1]), (0, 0))
        # What fills the last patches is no part of the picture; it is left as it is.
        inside = jnp.pad(jnp.ones((1, *size, 1)), fill)
        return pictures.to_patches(jnp.where(inside > 0, jnp.pad(held, fill), picture), model.factor)
    grid = tuple(min(t, max(1, s // 2)) for t, s in zip(given.tiny.shape[1:3], x0.shape[1:3]))
    known = _shrink(scene.degraded, grid)
    told = given.has_tiny * given.has_degraded
    strength = _strength(cfg, given.tiny.shape[2], given.degraded.shape[2])
    return diffusion.project(x0, known, strength * told[:, None, None, None])


def _shrink(x: Array, grid: tuple[int, int]) -> Array:
    down_y, down_x = (jnp.asarray(diffusion.grid_weights(g, s)[0]) for g, s in zip(grid, x.shape[1:3]))
    return jnp.einsum("ay,byxc,dx->badc", down_y, x, down_x)


def _see_keyframe(
    params: Params, cache: Cache, given: FrameConditions, scene: Scene, cfg: GeneratorConfig
) -> Cache:
    """Received pictures enter the cache as clean context of their own frame, by an evaluation at time 0."""
    if not cfg.temporal:
        return cache

    def see(cache):
        latents = pictures.encode(params, cfg.model, given.keyframe)
        _, seen = denoise_step(params, cfg, scene, cache, latents, jnp.float32(0))
        return write(cache, seen, given.has_keyframe)

    return jax.lax.cond(jnp.any(given.has_keyframe > 0), see, lambda cache: cache, cache)


def _remember(params, cache, given, scene, x, seen, cfg: GeneratorConfig) -> Cache:
    """The frame in the cache; a received picture of it, being better, stays in its place."""
    if not cfg.temporal:
        return cache
    if cfg.clean_cache:
        _, seen = denoise_step(params, cfg, scene, cache, x, jnp.float32(0))
    return write(cache, seen, 1 - given.has_keyframe)
