"""Pipelined denoising: each step of the sampler works on another frame, all of them in one batch.

With S steps a frame enters at every tick and leaves S - 1 ticks later (Kodaira et al. 2023, StreamDiffusion; Liang et
al. 2024, Live2Diff). A network that few streams do not fill is then called once a frame rather than S times.

Frames on their way have written nothing into the cache: step s of frame f sees frames up to f - S + s finished, where
`generate_frame` sees all before f. The last step, whose features are remembered, sees the same frames as there. So
the two are equal without the Temporal Adapter, and differ with it: what an earlier frame puts into the cache comes
from its last step, which has not been taken when the next frame's first step needs it; no order of the same
evaluations avoids that.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from semjax import diffusion
from semjax.errors import InputError
from semjax.generator import pictures
from semjax.generator.conditions import FrameConditions
from semjax.generator.config import GeneratorConfig
from semjax.generator.layers import Params
from semjax.generator.network import Scene, denoise_step, prepare
from semjax.generator.streaming import _around, _hold_latents, _normal, _see_keyframe, hold
from semjax.generator.temporal import EMPTY, Cache, begin_frame, end_frame, write


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flight:
    """Frames on their way, [S - 1, B, ...]: the first has one step behind it, the last all but one.

    x: latents. scene, given: what `prepare` made of their conditions, and the conditions. noise: their lasting noise.
    keys: of their steps. since: number of the first frame after their last cut.
    """

    x: Float[Array, "S B h w C"]
    scene: Scene
    given: FrameConditions
    noise: Float[Array, "S B h w C"]
    keys: jax.Array
    since: Int[Array, "S B"]


def init_flight(params: Params, cache: Cache, like: FrameConditions, cfg: GeneratorConfig) -> Flight:
    """Nothing on its way yet. like: conditions of any frame, for their shapes. Raises InputError for settings that
    need more than the steps of their own frame."""
    steps = len(diffusion.plan(cfg.sampling()).time)
    if cfg.clean_cache:
        raise InputError("pipelined denoising has no evaluation for a clean cache; set clean_cache=False")
    scene = jax.eval_shape(lambda p, g: prepare(p, g, cfg), params, like)

    def blank(tree):
        return jax.tree.map(lambda s: jnp.zeros((steps - 1, *s.shape), s.dtype), tree)

    batch = len(cache.count)
    keys = jnp.broadcast_to(jax.random.key(0), (steps - 1, batch))
    return Flight(blank(cache.noise), blank(scene), blank(like), blank(cache.noise), keys, blank(cache.count))


def generate_pipelined(
    params: Params,
    cache: Cache,
    flight: Flight,
    conditions: FrameConditions,
    keys: jax.Array,
    *,
    cfg: GeneratorConfig,
) -> tuple[Float[Array, "B H W 3"], Cache, Flight]:
    """One tick: `conditions` (with keys [B]) enter, and the frame that entered S - 1 ticks ago comes out.

    The pictures of the first S - 1 ticks are of no frame; S - 1 ticks with any conditions bring the last ones out.
    """
    model, rows = cfg.model, diffusion.plan(cfg.sampling())
    steps, batch = len(rows.time), len(cache.count)
    lasting, passing, own = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
    fresh = (conditions.cut > 0) | (cache.count == 0)
    before = flight.since[0] if steps > 1 else cache.count
    # Frames on their way still look at what was before the cut, so the cache is not emptied but masked, row by row.
    noise = begin_frame(cache, conditions.cut, _normal(lasting, cache.noise.shape)).noise
    cache = dataclasses.replace(cache, noise=noise)
    since = jnp.where(fresh, cache.count, before)
    scene = prepare(params, conditions, cfg)
    seen_by_new = dataclasses.replace(cache, frames=_seen(cache.frames, cache.count, since))
    cache = dataclasses.replace(
        _see_keyframe(params, seen_by_new, conditions, scene, cfg),
        frames=_written(cache, conditions),
    )

    def mixed(noise, key):
        drawn = _normal(key, noise.shape)
        return cfg.shared_noise**0.5 * noise + (1 - cfg.shared_noise) ** 0.5 * drawn

    begun = _around(model, scene, mixed(cache.noise, passing))
    x = diffusion.start(rows, begun, scene.degraded if cfg.begin else None)
    new = Flight(x, scene, conditions, cache.noise, own, since)
    every = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), new, flight)
    flat = jax.tree.map(lambda a: a.reshape(steps * batch, *a.shape[2:]), every)
    place = jnp.repeat(jnp.arange(steps), batch)  # the step that each row is at
    number = jnp.tile(cache.count, steps) - place
    look = _rows(cache, steps, number, flat.since)
    row = jax.tree.map(lambda r: jnp.asarray(r)[place][:, None, None, None], rows)
    out, seen = denoise_step(params, cfg, flat.scene, look, row.scale * flat.x, jnp.asarray(rows.time)[place])
    drawn = mixed(flat.noise, jax.vmap(jax.random.fold_in)(flat.keys, place))
    x, _ = diffusion.step(
        row,
        flat.x,
        out,
        _around(model, flat.scene, drawn),
        lambda x0: _hold_latents(x0, flat.given, flat.scene, cfg),
    )
    every = dataclasses.replace(every, x=x.reshape(every.x.shape).astype(every.x.dtype))
    done = jax.tree.map(lambda a: a[-1], every)
    cache = _remember(cache, done, {p: (k[-batch:], v[-batch:]) for p, (k, v) in seen.items()}, steps, cfg)
    picture = pictures.decode(params, model, done.x, conditions.degraded.shape[1:3])
    flight = jax.tree.map(lambda a: a[:-1], every)
    return jnp.clip(hold(picture, done.given, cfg), -1, 1), end_frame(cache), flight


def _seen(frames: Int[Array, "B W"], number: Int[Array, " B"], since: Int[Array, " B"]) -> Array:
    """Numbers of the frames that frame `number` may look at: none of its future, none before its cut."""
    return jnp.where((frames >= since[:, None]) & (frames <= number[:, None]), frames, EMPTY)


def _written(cache: Cache, given: FrameConditions) -> Array:
    """Frame numbers of the ring after a keyframe of the frame that enters has taken its slot."""
    window = cache.frames.shape[1]
    slot = jax.nn.one_hot(cache.count % window, window) * given.has_keyframe[:, None] > 0
    return jnp.where(slot, cache.count[:, None], cache.frames)


def _rows(cache: Cache, steps: int, number: Array, since: Array) -> Cache:
    """The cache as the rows of a batch see it."""
    many = jax.tree.map(lambda a: jnp.tile(a, (steps,) + (1,) * (a.ndim - 1)), cache)
    return dataclasses.replace(many, frames=_seen(many.frames, number, since), count=number)


def _remember(cache: Cache, done: Flight, seen: dict, steps: int, cfg: GeneratorConfig) -> Cache:
    """The frame that is done in the cache, unless it is none or a received picture of it is there."""
    if not cfg.temporal:
        return cache
    number = cache.count - (steps - 1)
    where = (1 - done.given.has_keyframe) * (number >= 0)
    held = write(dataclasses.replace(cache, count=jnp.maximum(number, 0)), seen, where)
    return dataclasses.replace(held, count=cache.count)
