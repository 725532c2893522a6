"""semjax's functions on a mesh that somebody else made with Explicit axes."""

from collections.abc import Callable
from typing import Any

import jax


def on_explicit_mesh(function: Callable, out_shardings: Any) -> Callable:
    """`function` for callers whose mesh has Explicit axes, as `jax.make_mesh` makes them by default.

    On such a mesh shardings are part of every array's type, and networks that say nothing of them raise
    ShardingTypeError as soon as a contraction is cut. Inside of the wrapper all axes are Auto: the compiler chooses,
    and the results come out as `out_shardings` (a PartitionSpec or NamedSharding for each result, or one for a whole
    subtree) says. Call it under `jax.set_mesh(mesh)` or inside a `jax.jit` whose arguments live on the mesh; rules
    for other axis names come from `renamed`.

        step = on_explicit_mesh(functools.partial(generate_frame, cfg=cfg), (P("batch"), cache_specs))
        with jax.set_mesh(mesh):
            picture, cache = jax.jit(step)(params, cache, conditions, key)
    """
    return jax.sharding.auto_axes(function, out_sharding=out_shardings)
