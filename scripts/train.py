"""Train a generator: examples first, then the stages of a preset, then one file of weights.

    python scripts/train.py examples DATA --count 4000 --workers 14
    python scripts/train.py run DATA --preset tiny --out runs/tiny [--stages adapters distill] [--seconds 600]
    python scripts/train.py export runs/tiny --preset tiny --to semjax/assets/generator
    python scripts/train.py plot runs/tiny --to docs/images
    python scripts/train.py ablate runs/tiny DATA --preset tiny        # a table over the examples that are held back

Every command goes on where it was stopped. `run` may start while `examples` is still writing.
"""

import collections
import dataclasses
import itertools
import json
import multiprocessing
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from safetensors import safe_open

from semjax import generator
from semjax._progress import progress
from semjax.errors import InputError, SemjaxError
from semjax.training.ablation import ablation
from semjax.training.data import is_held_back
from semjax.training.examples import Example, ExampleConfig, read_example, write_examples
from semjax.training.loop import LoopConfig, run_stage
from semjax.training.recipes import Recipe, recipe
from semjax.training.samples import sampler
from semjax.training.state import load_parts, save_parts


@dataclasses.dataclass(frozen=True)
class ExamplesCommand:
    """Write examples: procedural scenes, and clip folders where given, through the real coders.

    count: examples of scenes. clips: folders. each: examples of each of them. codings: examples of each stretch.
    """

    data: tyro.conf.Positional[Path]
    count: int = 1000
    each: int = 3
    codings: int = 2
    workers: int = max(1, (os.cpu_count() or 2) - 2)
    seed: int = 0
    clips: tuple[Path, ...] = ()
    frames: int = 16
    side: int = 256


@dataclasses.dataclass(frozen=True)
class RunCommand:
    """Train the stages of a preset, each from the parameters of the one before.

    start: a safetensors file of parameter parts, by name as in `semjax.generator.param_shapes`, such as a converted
    backbone. seconds: at most so long for each stage. steps, batch, crop, rate, hold, threads: instead of the recipe's
    (hold: examples kept in memory; threads: that prepare batches). wait: begin when so many examples are there.
    quick_compile: on a CPU, half the time to compile.
    """

    data: tyro.conf.Positional[Path]
    preset: str = "tiny"
    out: Path = Path("runs/tiny")
    stages: tuple[str, ...] = ()
    start: Path | None = None
    seed: int = 0
    seconds: float | None = None
    steps: int | None = None
    batch: int | None = None
    crop: int | None = None
    rate: float | None = None
    save_every: int = 200
    log_every: int = 10
    sample_every: int = 500
    bf16: bool = False
    quick_compile: bool = False
    hold: int | None = None
    threads: int | None = None
    wait: int = 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """How weights are run where nobody asks for anything else: see semjax.generator.GeneratorConfig."""

    steps: int = 1
    consistency: float = 0.25
    shared_noise: float = 1.0


@dataclasses.dataclass(frozen=True)
class ExportCommand:
    """Write the newest parameters of a run as the weights of a generator."""

    out: tyro.conf.Positional[Path]
    preset: str = "tiny"
    to: Path = Path("semjax/assets/generator")
    run: tyro.conf.OmitArgPrefixes[Settings] = Settings()


@dataclasses.dataclass(frozen=True)
class PlotCommand:
    """Draw the losses of a run."""

    out: tyro.conf.Positional[Path]
    to: Path = Path("docs/images")


def examples(args: ExamplesCommand) -> None:
    cfg = ExampleConfig(side=args.side, frames=args.frames, codings=args.codings)
    share = -(-args.count // args.workers)
    jobs = [(args.data, share, args.seed * 1000 + i, cfg, None) for i in range(args.workers if share else 0)]
    jobs += [(args.data, args.each, args.seed * 1000 + i, cfg, clip) for i, clip in enumerate(args.clips)]
    # Fresh processes: forked ones would share the parent's XLA and Numba threads. They need no accelerator.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        done = [pool.apply_async(write_examples, job) for job in jobs]
        for job in progress(done, len(done), "examples"):
            job.get()


def run(args: RunCommand) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    stages = recipe(args.preset)
    params = generator.init_params(jax.random.key(args.seed), stages[0].stage.model)
    if args.start:
        params |= jax.tree.map(lambda x: x.astype(np.float32), load_parts(args.start))
        inherit(args)
    shown = read_example(waited_for(args.data, args.wait))
    for number, plan in enumerate(stages):
        folder = args.out / f"{number}-{plan.stage.stage}"
        left = folder / "parameters.safetensors"
        wanted = plan.stage.stage in args.stages if args.stages else not plan.asked
        # What an earlier call has left is where the stages after it begin, asked for or not.
        if not wanted and not left.exists():
            continue
        if not left.exists():
            save_parts(left, train_stage(params, args, folder, adjusted(plan, args), shown))
            note(args, plan.stage.stage, folder)
        params |= load_parts(left)
        print(f"{plan.stage.stage}: {left}", flush=True)


def train_stage(params: dict, args: RunCommand, folder: Path, plan: Recipe, shown: Example) -> dict:
    """One stage of a run; the parameters that it leaves."""
    every = {"save_every": args.save_every, "log_every": args.log_every, "sample_every": args.sample_every}
    swift = (("xla_backend_optimization_level", 0),) if args.quick_compile else ()
    loop = LoopConfig(seed=args.seed, seconds=args.seconds, compiler=swift, **every)
    draw = sampler(shown, dataclasses.replace(plan.stage.run(), consistency=1.0))
    parts = {"stage": plan.stage, "data": plan.data, "optim": plan.optim, "loop": loop, "sample": draw}
    return run_stage(params, args.data, folder, **parts)


def inherit(args: RunCommand) -> None:
    """Begin a run's history with that of the weights that it starts from."""
    file = args.out / "history.jsonl"
    with safe_open(args.start, "numpy") as weights:
        before = (weights.metadata() or {}).get("history", "")
    if before and not file.exists():
        file.write_text(before)


def note(args: RunCommand, stage: str, folder: Path) -> None:
    """Add to a run's history what a stage was trained with."""
    names = [file.name.split("-")[0] for file in args.data.glob("*.npz")]
    sources = collections.Counter(name.rstrip("0123456789").rstrip("_") for name in names)
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    times = [line["seconds"] for line in lines] + [0]
    line = {
        "stage": stage,
        "command": shlex.join(sys.argv),
        "seed": args.seed,
        "steps": lines[-1]["step"],
        "examples": dict(sorted(sources.items())),
        # The clock of the log starts anew whenever the stage was resumed.
        "seconds": round(sum(now for now, later in itertools.pairwise(times) if later < now)),
        "jax": jax.__version__,
    }
    with open(args.out / "history.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")


def waited_for(data: Path, count: int) -> Path:
    """An example to look at, once there are `count`: one that is held back, where there is one."""
    while len(files := sorted(data.glob("*.npz"))) < count:
        print(f"{len(files)} of {count} examples in {data}", flush=True)
        time.sleep(10)
    return next(filter(is_held_back, files), files[0])


def adjusted(plan: Recipe, args: RunCommand) -> Recipe:
    """A recipe with what the command line says instead."""
    data = {"batch": args.batch, "crop": args.crop, "hold": args.hold, "threads": args.threads}
    optim = {"steps": args.steps, "rate": args.rate, "bf16": args.bf16 or None}

    def changed(cfg, values):
        return dataclasses.replace(cfg, **{name: v for name, v in values.items() if v is not None})

    return Recipe(plan.stage, changed(plan.data, data), changed(plan.optim, optim))


def export(args: ExportCommand) -> None:
    params = load_parts(newest(args.out))
    model = generator.preset(args.preset)
    params = {part: params.get(part, {}) for part in generator.param_shapes(model)}
    history = (args.out / "history.jsonl").read_text()
    file = generator.save(args.to, params, model, run=dataclasses.asdict(args.run), history=history)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB, {generator.fingerprint(generator.load(file)[1])}")


def plot(args: PlotCommand) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logs = sorted(args.out.glob("*-*/log.jsonl"))
    figure, axes = pyplot.subplots(1, len(logs), figsize=(4 * len(logs), 3), squeeze=False)
    for axis, file in zip(axes[0], logs):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for name in ("loss", "pixels", "matching", "critic"):
            if name in lines[0]:
                values, steps = (np.array([line[key] for line in lines]) for key in (name, "step"))
                (thin,) = axis.plot(steps, values, lw=0.5, alpha=0.3)
                wide = max(1, len(lines) // 30)
                mean = np.convolve(values, np.full(wide, 1 / wide), "valid")
                axis.plot(steps[wide - 1 :], mean, color=thin.get_color(), label=name)
        speed = lines[-1]["clips_per_second"]
        axis.set(title=f"{file.parent.name}, {speed:.2g} clips/s", xlabel="step", yscale="log")
        axis.legend()
    args.to.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.to / f"training-{args.out.name}.png", dpi=120, bbox_inches="tight")


@dataclasses.dataclass(frozen=True)
class AblateCommand:
    """Measure the newest parameters of a run with parts switched off, on the examples that are held back.

    most: at most so many. source: what their names begin with.
    """

    out: tyro.conf.Positional[Path]
    data: tyro.conf.Positional[Path]
    preset: str = "tiny"
    most: int = 8
    source: str = "scene"
    run: tyro.conf.OmitArgPrefixes[Settings] = Settings()


def ablate(args: AblateCommand) -> None:
    cfg = generator.GeneratorConfig(generator.preset(args.preset), **dataclasses.asdict(args.run))
    print(ablation(load_parts(newest(args.out)), cfg, args.data, args.most, args.source))


def newest(out: Path) -> Path:
    """The parameters that the last finished stage of a run has left."""
    found = sorted(out.glob("*-*/parameters.safetensors"))
    if not found:
        raise InputError(f"no stage of {out} has ended yet")
    return found[-1]


Command = (
    Annotated[ExamplesCommand, tyro.conf.subcommand("examples")]
    | Annotated[RunCommand, tyro.conf.subcommand("run")]
    | Annotated[ExportCommand, tyro.conf.subcommand("export")]
    | Annotated[PlotCommand, tyro.conf.subcommand("plot")]
    | Annotated[AblateCommand, tyro.conf.subcommand("ablate")]
)

if __name__ == "__main__":
    given = tyro.cli(Command, description=__doc__)
    jobs = {
        ExamplesCommand: examples,
        RunCommand: run,
        ExportCommand: export,
        PlotCommand: plot,
        AblateCommand: ablate,
    }
    try:
        jobs[type(given)](given)
    except SemjaxError as error:
        sys.exit(f"{error}")
