"""Time the generator with random weights, whole and with its adapters off, on whatever device JAX finds.

    python scripts/bench_generator.py --preset tiny --side 256 --steps 2
    python scripts/bench_generator.py --preset sd15 --side 512 --steps 2 --batch 1 8 --peak 989

Frames a second count after warm-up. Arithmetic is XLA's count for one frame, with the evaluation for a keyframe, which
is compiled in but not run. --peak: the chip's TFLOP/s at the precision used, for the share of it that is reached.
"""

import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from semjax import generator

VARIANTS = {
    "whole": {},
    "without Temporal Adapter": {"temporal": False},
    "without Restoration Adapter": {"restoration": False},
    "without Semantic Control": {"control": False},
    "backbone alone": {"temporal": False, "restoration": False, "control": False},
}


@dataclasses.dataclass(frozen=True)
class Args:
    """What to time."""

    preset: str = "tiny"
    side: int = 256
    steps: int = 2
    window: int = 4
    batch: tuple[int, ...] = (1,)
    frames: int = 8
    peak: float | None = None


def conditions(args: Args, batch: int, text_tokens: int) -> generator.FrameConditions:
    """Everything there is about a frame but a keyframe."""
    size, one = (args.side, args.side), jnp.ones(batch)
    blocks = np.random.default_rng(0).integers(0, 5, (batch, 8, 8)).repeat(args.side // 8, 1)
    blank = generator.nothing(batch, size, (args.side // 5, args.side // 5), text_tokens)
    return dataclasses.replace(
        blank,
        labels=jnp.asarray(blocks.repeat(args.side // 8, 2), jnp.int32),
        has_labels=one,
        has_degraded=one,
        has_tiny=one,
    )


def row(args: Args, batch: int, name: str, params) -> str:
    model = generator.preset(args.preset)
    cfg = generator.GeneratorConfig(model, steps=args.steps, window=args.window, **VARIANTS[name])
    step = jax.jit(functools.partial(generator.generate_frame, cfg=cfg), donate_argnums=1)
    cache = generator.init_cache(cfg, args.side, args.side, batch)
    given, key = conditions(args, batch, model.text_tokens), jax.random.key(0)
    began = time.perf_counter()
    ready = step.lower(params, cache, given, key).compile()
    compiled = time.perf_counter() - began
    cost = ready.cost_analysis()
    work = (cost[0] if isinstance(cost, list) else cost).get("flops", float("nan")) / 1e9
    times = []
    for i in range(args.frames + 2):
        began = time.perf_counter()
        frame, cache = ready(params, cache, given, jax.random.fold_in(key, i))
        frame.block_until_ready()
        times.append(time.perf_counter() - began)
    best, cpu = min(times[2:]), time.process_time()
    frame, cache = ready(params, cache, given, key)
    frame.block_until_ready()
    cpu = time.process_time() - cpu
    share = f"{work / best / 10 / args.peak:.1f} %" if args.peak else ""
    memory = ready.memory_analysis().temp_size_in_bytes / 1e6
    cells = [
        name,
        batch,
        f"{batch / best:.2f}",
        f"{cpu / batch:.3f}",
        f"{work:.1f}",
        f"{memory:.0f}",
        f"{compiled:.0f}",
    ]
    return "| " + " | ".join(map(str, [*cells, share])) + " |"


def main(args: Args) -> None:
    params = generator.init_params(jax.random.key(0), generator.preset(args.preset))
    params = jax.tree.map(lambda x: x.astype(generator.preset(args.preset).dtype), params)
    head = ["variant", "batch", "frames/s", "CPU s/frame", "GFLOP", "scratch MB", "compile s", "of peak"]
    print(
        f"{jax.devices()[0].device_kind}, {args}\n\n| "
        + " | ".join(head)
        + " |\n|---|"
        + "--:|" * (len(head) - 1)
    )
    for batch in args.batch:
        for name in VARIANTS:
            print(row(args, batch, name, params), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
