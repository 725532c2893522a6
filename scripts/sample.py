"""Paint many received streams at once, on one device or a pod of hosts: the same script, the same videos.

    python scripts/sample.py received/ --generator runs/tiny --out videos
    python scripts/sample.py received/ --generator runs/sd15 --out videos --mesh data=-1,space=2 --dtype bfloat16
    python scripts/sample.py received/ --generator random:tiny --out videos           # measures; paints nothing of use

STREAMS are .smj files or folders of them. Each becomes OUT/NAME.mp4, under its final name only when it is complete; the
same command again goes on with those that are not there. A stream's video is what `semjax decode --seed SEED` paints,
whatever else is in the batch, on whatever mesh. OUT/run.json says what the run took.

On TPU pods and under Slurm start the same command on every host, without more ("--cluster" for other clusters that JAX
knows). Elsewhere say who is who:

    python scripts/sample.py received/ --out videos --coordinator host0:9911 --processes 2 --process 0
    python scripts/sample.py received/ --out videos --coordinator host0:9911 --processes 2 --process 1

When a process dies the others stop with an error within a minute; start all of them again to finish the job.
"""

import dataclasses
import json
import logging
import os
import platform
import shlex
import sys
import time
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from sampling import run as running
from sampling import work

from semjax import jobs, sharding
from semjax.errors import InputError, SemjaxError
from semjax.sharding.meshes import HEARTBEAT, on_cluster
from semjax.version import __version__

log = logging.getLogger("semjax.sample")
RANDOM = "random:"


@dataclasses.dataclass(frozen=True)
class Args:
    """What to paint, with what, where."""

    streams: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="STREAMS...")]
    """Stream files, or folders with .smj files in them and their subfolders."""
    out: Path
    """Folder for the videos, run.json and settings.json."""
    generator: str = "tiny"
    """tiny (the bundled weights), a folder of weights, or random:PRESET: untrained weights, for measuring alone."""
    mesh: str = "data=-1,model=1,space=1"
    """Devices by axis: data (streams), model (heads, channels), space (rows of pictures); one may be -1, the rest."""
    batch: int = 4
    """Streams at once on each device of the axis data, when there are so many."""
    steps: int = 2
    """Denoising steps."""
    window: int = 4
    """Frames that the Temporal Adapter looks back on."""
    seed: int = 0
    """Seed of the noise."""
    dtype: Literal["", "float32", "bfloat16"] = ""
    """What the networks compute in; without it what the generator's preset says."""
    format: Literal["mp4", "webm", "mkv"] = "mp4"
    """Kind of video."""
    tokenizer: Path | None = None
    """Folder of a Stable Diffusion pipeline whose CLIP tokenizer reads the captions (generators with CLIP)."""
    allow_truncated: bool = False
    """Paint what is there of streams whose end is missing."""
    writers: int | None = None
    """Threads that encode videos; without it one for each core, at most one a stream."""
    compile_cache: Path | None = None
    """Folder in which compiled programs are kept between runs."""
    coordinator: str | None = None
    """host:port of process 0, reachable from all; with --processes and --process."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """Which of them this is, from 0."""
    cluster: bool = False
    """Let JAX find the other processes; on TPU pods and under Slurm this is so without asking."""
    heartbeat: int = HEARTBEAT
    """Seconds after which a silent process counts as dead."""
    explain: bool = False
    """Print where every array would live, and stop."""


def load(args: Args) -> tuple[Any, bool]:
    """The generator, on the host, and whether its weights are random."""
    from semjax import generator
    from semjax.systems.generators import Diffusion, load_generator

    options = {"steps": args.steps, "window": args.window}
    untrained = args.generator.startswith(RANDOM)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        if untrained:
            model = generator.preset(args.generator.removeprefix(RANDOM))
            params = generator.init_params(jax.random.key(0), model)
            made = Diffusion(args.generator, generator.GeneratorConfig(model, **options), params)
        else:
            made = load_generator(args.generator, **options)
    if not isinstance(made, Diffusion):
        raise InputError(
            "the generator 'none' has no network to place on devices; use `semjax decode` for it"
        )
    model = made.cfg.model
    if args.dtype:
        model = dataclasses.replace(model, dtype=args.dtype)
    cfg = dataclasses.replace(made.cfg, model=model)
    return dataclasses.replace(made, cfg=cfg, tokenizer=_tokenizer(args, model, untrained)), untrained


def _tokenizer(args: Args, model, untrained: bool):
    if model.clip is None:
        return None
    if args.tokenizer is not None:
        from semjax.text_to_image import tokenize

        return lambda texts: tokenize(args.tokenizer, list(texts))
    if not untrained:
        raise InputError(f"the generator {args.generator} reads captions with CLIP; give --tokenizer FOLDER")
    return lambda texts: np.array([[zlib.crc32(t.encode()) % 49408] * model.text_tokens for t in texts])


def main(args: Args) -> int:
    """Do it; the exit status."""
    began = time.perf_counter()
    sharding.start(
        args.coordinator,
        args.processes,
        args.process,
        cluster=args.cluster or on_cluster(),
        heartbeat=args.heartbeat,
    )
    if args.compile_cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(args.compile_cache))
    if args.batch < 1:
        raise InputError(f"--batch must be 1 or more, not {args.batch}")
    mesh = sharding.make_mesh(args.mesh)
    generator, untrained = load(args)
    if untrained:
        log.warning(
            "RANDOM WEIGHTS: %s is untrained; the videos measure speed and show nothing", args.generator
        )
    if args.explain:
        print(explain(generator.cfg, mesh))
        return 0
    settings = {
        "generator": generator.name,
        "random_weights": untrained,
        "seed": args.seed,
        "steps": args.steps,
        "window": args.window,
        "dtype": generator.cfg.model.dtype,
    }
    found = work.find(args.streams, args.out, f".{args.format}", args.allow_truncated)
    work.keep_settings(args.out, settings)
    todo = work.agree(found, settings)
    unreadable = {str(job.path): job.problem for job in found if job.problem}
    for path, problem in unreadable.items():
        log.warning("left out: %s: %s", path, problem)
    log.info("%d streams, %d to do, on %s", len(found), len(todo), dict(mesh.shape))
    run = running.Run(
        generator, mesh, args.seed, args.batch, threads=args.writers, allow_truncated=args.allow_truncated
    )
    run.clock.seconds["load"] = time.perf_counter() - began
    run.do(todo)
    return _finish(args, run, mesh, settings, len(found), len(todo), unreadable)


def _finish(args, run, mesh, settings: dict, found: int, todo: int, unreadable: dict) -> int:
    """Put everybody's reports into one file; the exit status."""
    parts = [json.loads(part) for part in running.gather(json.dumps(running.report(run)).encode())]
    frames, slowest = sum(p["frames"] for p in parts), max(p["seconds"]["generate"] for p in parts)
    failed = sorted(name for p in parts for name in p["failed"])
    result = {
        **settings,
        "streams": {
            "found": found,
            "finished_before": found - todo - len(unreadable),
            "done": todo - len(failed),
        },
        "failed": failed,
        "unreadable": unreadable,
        "mesh": dict(mesh.shape),
        "device": jax.devices()[0].device_kind,
        "processes": parts,
        "frames": frames,
        "frames_per_second": frames / slowest if slowest else None,
        "occupancy": frames / run.tally.slot_steps if run.tally.slot_steps else None,
        "command": shlex.join(["python", *sys.argv]),
        "versions": {"semjax": __version__, "jax": jax.__version__, "python": platform.python_version()},
    }
    if jax.process_index() == 0:
        jobs.write_json(result, args.out / "run.json")
        rate = "" if not frames else f", {result['frames_per_second']:.2f} frames a second"
        log.info("%d of %d streams done now%s: %s", todo - len(failed), found, rate, args.out / "run.json")
    return 1 if failed or unreadable else 0


def explain(cfg, mesh) -> str:
    """Where parameters and caches live; caches for one stream a device of pictures of 512x512."""
    from semjax.generator import init_cache, param_shapes

    size = (512, 512)
    cache = jax.eval_shape(lambda: init_cache(cfg, *size, mesh.shape["data"]))
    params = param_shapes(cfg.model)
    parts = {
        "parameters": sharding.explain(params, sharding.parameter_rules(cfg.model, mesh), mesh),
        "cache, one 512x512 stream for each device of data": sharding.explain(
            cache, sharding.cache_rules(cfg, *size, mesh), mesh
        ),
    }
    return "\n\n".join(f"{title}\n{table}" for title, table in parts.items())


def entry() -> None:
    """Run, with a sentence and a status for what the user can put right or start again."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    log.setLevel(logging.INFO)
    try:
        status = main(tyro.cli(Args, description=__doc__))
    except SemjaxError as error:
        print(f"sample.py: {error}", file=sys.stderr)
        status = 2
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        print(
            f"sample.py: a step failed, most likely because another process is gone: {error}\n"
            "Start the same command on every host again; finished videos are kept.",
            file=sys.stderr,
        )
        status = 3
    if status and jax.distributed.is_initialized():
        sys.stderr.flush()
        os._exit(status)  # leaving in order would wait for processes that may never come
    sys.exit(status)


if __name__ == "__main__":
    entry()
