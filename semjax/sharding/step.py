"""One compiled step for every frame of every stream: B slots, each with the stream that is its turn."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, UInt8

from semjax.errors import InputError
from semjax.generator import (
    FrameConditions,
    GeneratorConfig,
    ModelConfig,
    from_bytes,
    generate_frame,
    init_cache,
    nothing,
    param_shapes,
)
from semjax.generator.temporal import EMPTY, Cache
from semjax.sharding.presets import cache_rules, condition_rules, parameter_rules
from semjax.sharding.rules import place, put


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Turn:
    """What a step does in each slot, beside the conditions.

    restart: 1 where a stream begins, and what its slot remembers is another's. part, frame: numbers that are folded
    into the key, one after the other: as `semjax.systems.receive` does it, the first frame of a step of the contour
    layer and the frame's place in it.
    """

    restart: Int[Array, " B"]
    part: Int[Array, " B"]
    frame: Int[Array, " B"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Placed:
    """Shapes and shardings of a step's arguments: trees of ShapeDtypeStructs that carry both."""

    params: Any
    cache: Cache
    given: FrameConditions
    turn: Turn


def step(
    params: Any,
    cache: Cache,
    given: FrameConditions,
    turn: Turn,
    key: jax.Array,
    *,
    cfg: GeneratorConfig,
    floats: bool = False,
) -> tuple[UInt8[Array, "B H W 3"] | Float[Array, "B H W 3"], Cache]:
    """The next frame of B streams as bytes, or as `floats` in [-1, 1]. given: conditions as bytes (`from_bytes`);
    key: of the whole run.

    A stream's frames depend on nothing but its own conditions, the key and its turns: not on its slot, on what else
    is in the batch, or on what its slot held before.
    """
    begins = turn.restart > 0
    cache = dataclasses.replace(
        cache,
        count=jnp.where(begins, 0, cache.count),
        frames=jnp.where(begins[:, None], EMPTY, cache.frames),
    )
    keys = jax.vmap(lambda part, frame: jax.random.fold_in(jax.random.fold_in(key, part), frame))(
        turn.part, turn.frame
    )
    picture, cache = generate_frame(params, cache, from_bytes(given), keys, cfg=cfg)
    return picture if floats else jnp.rint((picture + 1) * 127.5).astype(jnp.uint8), cache


def placed(
    cfg: GeneratorConfig, mesh: Mesh, size: tuple[int, int], tiny: tuple[int, int], batch: int
) -> Placed:
    """The arguments of `step` on a mesh for pictures of `size` and tiny frames of `tiny` (height, width).

    Raises InputError when the slots cannot be shared out equally, or when a rule does not fit.
    """
    ways, model = mesh.shape["data"], cfg.model
    if batch % ways:
        raise InputError(f"{batch} slots do not divide among {ways} devices of the axis data")
    params = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, model.dtype), param_shapes(model))
    cache = jax.eval_shape(lambda: init_cache(cfg, *size, batch))
    given = jax.eval_shape(functools.partial(blank_conditions, model, size, tiny, batch))
    numbers = jax.ShapeDtypeStruct((batch,), jnp.int32)
    along = NamedSharding(mesh, PartitionSpec("data"))

    def located(tree, shardings):
        return jax.tree.map(
            lambda s, at: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=at), tree, shardings
        )

    one = jax.ShapeDtypeStruct(numbers.shape, numbers.dtype, sharding=along)
    return Placed(
        params=located(params, place(params, parameter_rules(model, mesh), mesh)),
        cache=located(cache, place(cache, cache_rules(cfg, *size, mesh), mesh)),
        given=located(given, place(given, condition_rules(size[0], mesh, model), mesh)),
        turn=Turn(one, one, one),
    )


def compile_step(
    cfg: GeneratorConfig, mesh: Mesh, like: Placed, *, floats: bool = False, options: dict | None = None
) -> Any:
    """`step`, compiled ahead of time for arguments like these; the cache that goes in is used up.

    What comes back takes (params, cache, given, turn, key) of exactly these shapes, and never compiles again.
    Pictures are cut along data alone, so that every process can write whole ones. options: for the compiler.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    out = (NamedSharding(mesh, PartitionSpec("data")), jax.tree.map(lambda s: s.sharding, like.cache))
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype, sharding=whole)
    jitted = jax.jit(functools.partial(step, cfg=cfg, floats=floats), donate_argnums=1, out_shardings=out)
    lowered = jitted.lower(like.params, like.cache, like.given, like.turn, key)
    return lowered.compile(compiler_options=options)


def first_cache(cfg: GeneratorConfig, like: Placed) -> Cache:
    """An empty cache where `like` says, never whole on any one device."""
    blank = functools.partial(_filled, like.cache)
    return jax.jit(blank, out_shardings=jax.tree.map(lambda s: s.sharding, like.cache))()


def put_key(key: jax.Array, mesh: Mesh) -> jax.Array:
    """The run's key on every device."""
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.random.wrap_key_data(put(jax.random.key_data(key), whole))


def put_params(params: Any, like: Placed) -> Any:
    """Parameters in the precision and at the places that `like` says."""

    def one(value, to):
        return put(jnp.asarray(value).astype(to.dtype), to.sharding)

    return jax.tree.map(one, params, like.params)


def _filled(like: Cache) -> Cache:
    blank = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), like)
    return dataclasses.replace(blank, frames=jnp.full_like(blank.frames, EMPTY))


def blank_conditions(
    model: ModelConfig, size: tuple[int, int], tiny: tuple[int, int], batch: int
) -> FrameConditions:
    """Conditions that say nothing, as bytes."""
    given = nothing(batch, size, tiny, model.text_tokens)
    names = ("labels", "degraded", "tiny", "keyframe")
    return dataclasses.replace(given, **{name: getattr(given, name).astype(jnp.uint8) for name in names})
