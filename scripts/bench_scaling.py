"""Sampling at scale: what each trick brings, what a host can feed, and what the cost model says of other devices.

    python scripts/bench.py scaling tricks --preset tiny --side 128     # on the device at hand; ratios
    python scripts/bench.py scaling sweep --preset sd15 --side 512 --dtype bfloat16 --streams 1 4 16 64 --peak 989
    python scripts/bench.py scaling host --side 512                 # processor time of decoding and encoding
    python scripts/bench.py scaling count --preset tiny --side 64 --mesh data=1,model=2,space=1  # model and HLO
    python scripts/bench.py scaling predict --preset sd15 tiny      # no device needed

Weights are random: speeds do not depend on them. `tricks` calls the two sides of every comparison in turns in one
process, and takes the best of each; `count` wants as many devices as the mesh has, which on a CPU
XLA_FLAGS=--xla_force_host_platform_device_count=8 gives. Everything printed by `predict` is a prediction.
"""

import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import tyro

from semjax import generator, sharding, video
from semjax.sharding import DEVICES, cost

TINY = (36, 64)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A generator with random weights, and pictures."""

    preset: str = "tiny"
    side: int = 128
    steps: int = 2
    window: int = 4
    dtype: str = ""

    def config(self, **changes) -> generator.GeneratorConfig:
        """The generator's settings."""
        model = generator.preset(self.preset)
        model = dataclasses.replace(model, dtype=changes.pop("dtype", self.dtype) or model.dtype)
        return generator.GeneratorConfig(model, **{"steps": self.steps, "window": self.window, **changes})

    @property
    def size(self) -> tuple[int, int]:
        """Of pictures."""
        return self.side, self.side

    @property
    def tiny(self) -> tuple[int, int]:
        """Of tiny frames."""
        return min(TINY[0], self.side // 4), min(TINY[1], self.side // 4)


def conditions(like) -> generator.FrameConditions:
    """Bytes of everything there is about a frame but a keyframe."""
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda s: rng.integers(0, 4, s.shape).astype(s.dtype), like)
    one, none = np.ones(like.cut.shape, np.float32), np.zeros(like.cut.shape, np.float32)
    told = {"has_labels": one, "has_degraded": one, "has_tiny": one, "has_keyframe": none, "cut": none}
    return dataclasses.replace(drawn, **told)


class Stepper:
    """The step of scripts/sample.py for `batch` streams on the first device, ready to be called again and again."""

    def __init__(self, setting: Setting, batch: int, **changes):
        self.cfg, self.batch = setting.config(**changes), batch
        mesh = sharding.make_mesh("data=1")
        like = sharding.placed(self.cfg, mesh, setting.size, setting.tiny, batch)
        at = jax.tree.map(lambda s: s.sharding, like)
        began = time.perf_counter()
        self.step = sharding.compile_step(self.cfg, mesh, like)
        self.compiled = time.perf_counter() - began
        self.params = sharding.put_params(random_weights(setting.preset), like)
        self.cache, self.key = sharding.first_cache(self.cfg, like), sharding.put_key(jax.random.key(0), mesh)
        self.given = sharding.put(conditions(like.given), at.given)
        turn = sharding.Turn(*(np.full(batch, n, np.int32) for n in (0, 0, 1)))
        self.turn = sharding.put(turn, at.turn)

    def __call__(self) -> jax.Array:
        """A frame of every stream, waited for."""
        pictures, self.cache = self.step(self.params, self.cache, self.given, self.turn, self.key)
        return jax.block_until_ready(pictures)


class Pipelined:
    """The same for pipelined denoising."""

    def __init__(self, setting: Setting, batch: int):
        from semjax.generator.pipelined import generate_pipelined, init_flight

        plain = Stepper(setting, batch)
        self.params, self.cache, self.batch = plain.params, plain.cache, batch
        self.given = jax.jit(generator.from_bytes)(plain.given)
        self.flight = init_flight(self.params, self.cache, self.given, plain.cfg)
        self.keys = jax.random.split(jax.random.key(0), batch)
        self.step = jax.jit(functools.partial(generate_pipelined, cfg=plain.cfg), donate_argnums=(1, 2))

    def __call__(self) -> jax.Array:
        """A tick, waited for."""
        args = (self.params, self.cache, self.flight, self.given, self.keys)
        picture, self.cache, self.flight = self.step(*args)
        return jax.block_until_ready(picture)


@functools.cache
def random_weights(preset: str):
    """Untrained parameters."""
    return generator.init_params(jax.random.key(0), generator.preset(preset))


def best(calls: dict[str, Callable], rounds: int, clock=time.perf_counter) -> dict[str, float]:
    """Least seconds of each, called in turns."""
    for call in calls.values():
        call()
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = clock()
            call()
            times[name].append(clock() - began)
    return {name: min(taken) for name, taken in times.items()}


@dataclasses.dataclass(frozen=True)
class Tricks:
    """What each trick brings on the device at hand, as ratios of times in one process."""

    setting: tyro.conf.OmitArgPrefixes[Setting] = Setting()
    streams: tuple[int, ...] = (1, 4, 16)
    rounds: int = 5
    only: tuple[str, ...] = ("batching", "reuse", "pipelined", "bfloat16", "compile", "writing")
    processor_time: bool = False
    """Compare seconds of all cores together rather than of the clock: on a CPU that others use as well."""

    def run(self) -> None:
        """Do it."""
        what = "processor time" if self.processor_time else "time"
        print(f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {what}, {self.setting}")
        for name in self.only:
            for line in getattr(self, name)():
                print(f"{name}: {line}", flush=True)

    def _best(self, calls: dict[str, Callable]) -> dict[str, float]:
        return best(calls, self.rounds, time.process_time if self.processor_time else time.perf_counter)

    def batching(self):
        """Frames a second with several streams in one step, over those with one."""
        steps = {str(n): Stepper(self.setting, n) for n in self.streams}
        took = self._best(steps)
        first = self.streams[0]
        for n in self.streams[1:]:
            gain = n / took[str(n)] / (first / took[str(first)])
            yield f"{n} streams in one step give {gain:.2f} times the frames a second of {first}"

    def reuse(self):
        """What would be computed again at every step if nothing were kept for the frame."""
        from semjax.generator.network import prepare

        whole = Stepper(self.setting, 1)
        told = jax.jit(generator.from_bytes)(whole.given)
        shared = jax.jit(functools.partial(prepare, cfg=whole.cfg))
        took = self._best(
            {"frame": whole, "shared": lambda: jax.block_until_ready(shared(whole.params, told))}
        )
        again = (whole.cfg.steps - 1) * took["shared"] / took["frame"]
        yield (
            f"control, queries and text take {took['shared'] / took['frame']:.2f} of a frame of {whole.cfg.steps} "
            f"steps; without keeping them a frame would take {1 + again:.2f} times as long"
        )

    def pipelined(self):
        """Frames a second of pipelined denoising over those of one frame after another."""
        for batch in self.streams[:2]:
            took = self._best(
                {"plain": Stepper(self.setting, batch), "pipelined": Pipelined(self.setting, batch)}
            )
            yield f"{batch} streams, {self.setting.steps} steps: {took['plain'] / took['pipelined']:.2f} times the rate"

    def bfloat16(self):
        """Frames a second in bfloat16 over those in float32."""
        took = self._best({d: Stepper(self.setting, 1, dtype=d) for d in ("float32", "bfloat16")})
        yield f"{took['float32'] / took['bfloat16']:.2f} times the rate of float32"

    def compile(self):
        """Seconds to compile the step with an empty and with a filled folder of compiled programs."""
        with tempfile.TemporaryDirectory() as folder:
            code = (
                "import sys, jax; sys.path.insert(0, sys.argv[1]); import bench_scaling as bench;"
                "jax.config.update('jax_compilation_cache_dir', sys.argv[2]);"
                "print(bench.Stepper(bench.Setting(*eval(sys.argv[3])), 1).compiled)"
            )
            values = repr(dataclasses.astuple(self.setting))
            command = [sys.executable, "-c", code, str(Path(__file__).parent), folder, values]
            cold, warm = (float(subprocess.check_output(command, text=True).split()[-1]) for _ in range(2))
        yield f"a filled compilation cache takes {warm / cold:.2f} of the time to compile"

    def writing(self):
        """A run that encodes its videos beside the device, over one that waits for the encoder after every step."""
        frames = 24
        step = Stepper(self.setting, 4)
        with tempfile.TemporaryDirectory() as folder:
            took = best(
                {
                    "waiting": lambda: write_in_line(step, frames, Path(folder)),
                    "beside": lambda: write_beside(step, frames, Path(folder)),
                },
                max(2, self.rounds // 2),
            )
        yield f"encoding beside the device takes {took['beside'] / took['waiting']:.2f} of the time of waiting for it"


def write_in_line(step: Stepper, frames: int, folder: Path) -> None:
    """Generate and encode in turns."""
    height, width = step.given.labels.shape[1:]
    writers = [video.VideoWriter(folder / f"{i}.mp4", 25, width, height) for i in range(step.batch)]
    for _ in range(frames):
        for writer, picture in zip(writers, np.asarray(step())):
            writer.write(picture)
    for writer in writers:
        writer.close()


def write_beside(step: Stepper, frames: int, folder: Path) -> None:
    """Generate while the threads of scripts/sample.py encode."""
    from sampling.feed import Item
    from sampling.work import Job
    from sampling.write import Writers

    from semjax.stream import Stream, pack
    from semjax.types import ClipInfo

    height, width = step.given.labels.shape[1:]
    stream = folder / "any.smj"
    stream.write_bytes(pack(Stream(ClipInfo(frames, width, height, 25), {}, {})))
    jobs = [Job(str(i), stream, folder / f"{i}.mp4", frames) for i in range(step.batch)]
    writers = Writers(sharding.make_mesh("data=1"), step.batch)
    for number in range(frames):
        pictures, step.cache = step.step(step.params, step.cache, step.given, step.turn, step.key)
        writers.put(pictures, {i: Item(job, number, 0, number, None) for i, job in enumerate(jobs)})
    writers.close()


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Frames a second and share of the peak for numbers of streams on the device at hand."""

    setting: tyro.conf.OmitArgPrefixes[Setting] = Setting()
    streams: tuple[int, ...] = (1, 4, 16, 64)
    rounds: int = 10
    peak: float | None = None
    """TFLOP/s of the device at this precision, for the share of it that is reached."""

    def run(self) -> None:
        """Print a table."""
        print(f"{jax.devices()[0].device_kind}, {self.setting}\n")
        print(
            "| streams | frames/s | of them for each | compile s | GFLOP a frame | of peak |\n|--:|--:|--:|--:|--:|--:|"
        )
        for streams in self.streams:
            step = Stepper(self.setting, streams)
            seconds = best({"step": step}, self.rounds)["step"]
            work = cost.work(step.cfg, self.setting.size, self.setting.tiny).flops / 1e9
            share = f"{work * streams / seconds / 1e3 / self.peak:.1%}" if self.peak else ""
            rate = streams / seconds
            print(
                f"| {streams} | {rate:.1f} | {rate / streams:.2f} | {step.compiled:.1f} | {work:.1f} | {share} |",
                flush=True,
            )


@dataclasses.dataclass(frozen=True)
class Host:
    """Processor seconds of a core for one frame: decoding and painting what arrived, and encoding the video."""

    side: int = 512
    frames: int = 24

    def run(self) -> None:
        """Print both, and the cores that a viewer at 25 frames a second takes."""
        from semjax import encode
        from semjax.systems.generators import Diffusion
        from semjax.systems.receiver import conditions as received

        frames, labels = moving_disc(self.frames, self.side)
        stream = encode(frames, labels=labels, fps=25)
        model = generator.preset("tiny")
        made = Diffusion("", generator.GeneratorConfig(model), None)

        def tell():
            state = None
            for part in received(stream):
                _, state = made.tell(part, state)

        def write():
            with tempfile.TemporaryDirectory() as folder:
                video.write_video(Path(folder) / "a.mp4", frames, 25)

        result = {}
        for name, work in (("decode and paint", tell), ("encode H.264", write)):
            work()
            began = time.process_time()
            work()
            result[name] = (time.process_time() - began) / self.frames
        for name, seconds in result.items():
            print(f"{name}: {seconds * 1e3:.1f} ms of a core for a frame of {self.side}x{self.side}")
        print(f"one viewer at 25 frames a second: {25 * sum(result.values()):.2f} cores")


def moving_disc(frames: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(a disc that crosses a gradient, its label maps)."""
    y, x = np.mgrid[:side, :side]
    centre = np.linspace(0.3, 0.7, frames)[:, None, None] * side
    labels = ((x - centre) ** 2 + (y - side / 2) ** 2 < (side / 5) ** 2).astype(np.uint8)
    ground = np.stack([x * 200 / side, y * 200 / side, 0 * x + 90], -1)
    return np.where(labels[..., None], (220, 80, 30), ground).astype(np.uint8), labels


@dataclasses.dataclass(frozen=True)
class Count:
    """The cost model's traffic against the compiled program's, for a mesh of the (virtual) devices at hand."""

    setting: tyro.conf.OmitArgPrefixes[Setting] = Setting()
    mesh: str = "data=1,model=2,space=1"
    batch: int = 1

    def run(self) -> None:
        """Print both as JSON."""
        cfg, mesh = self.setting.config(), sharding.make_mesh(self.mesh)
        slots = self.batch * mesh.shape["data"]
        like = sharding.placed(cfg, mesh, self.setting.size, self.setting.tiny, slots)
        text = sharding.compile_step(cfg, mesh, like).as_text()
        done = cost.work(cfg, self.setting.size, self.setting.tiny).of(self.batch)
        found = sharding.by_axis(sharding.traffic(text, mesh, rare=False))
        told = {
            a: {"count": n, "bytes": round(b)}
            for a, (n, b) in cost.traffic_of(done, cfg, mesh.shape).by_axis.items()
        }
        print(json.dumps({"mesh": dict(mesh.shape), "compiled": found, "predicted": told}, indent=1))


@dataclasses.dataclass(frozen=True)
class Predict:
    """Frames a second and viewers on named devices. Predictions, from public peaks and assumed efficiency."""

    preset: tuple[str, ...] = ("tiny", "sd15")
    side: int = 512
    steps: int = 2
    fps: float = 25.0
    efficiency: float = cost.EFFICIENCY
    streaming: float = cost.STREAMING
    latency: float = cost.LATENCY
    meshes: tuple[str, ...] = (
        "data=1,model=1,space=1",
        "data=1,model=2,space=1",
        "data=1,model=1,space=4",
        "data=1,model=1,space=8",
    )

    def run(self) -> None:
        """Print a table for each preset."""
        print(
            f"PREDICTED, not measured: {self.efficiency:.0%} of peak arithmetic, {self.streaming:.0%} of memory "
            f"bandwidth, {self.latency * 1e6:.0f} us a collective\n"
        )
        for preset in self.preset:
            self._table(preset)

    def _table(self, preset: str) -> None:
        setting = Setting(preset, self.side, self.steps, dtype="bfloat16")
        cfg, tiny = setting.config(), setting.tiny
        done = cost.work(cfg, setting.size, tiny)
        print(
            f"{preset}, {self.side}x{self.side}, {self.steps} steps: {done.flops / 1e9:.0f} GFLOP a frame, "
            f"{done.parameters / 1e6:.0f} MB of parameters, {done.cache / 1e6:.1f} MB of cache a stream"
        )
        print(
            "\n| device | mesh of one group | step of one stream, ms | sending, ms | ceiling, ms | viewers a chip |"
        )
        print("|---|---|--:|--:|--:|--:|")
        settings = {"size": setting.size, "tiny": tiny}
        for device in DEVICES.values():
            for text in self.meshes:
                mesh = dataclasses.asdict(sharding.MeshShape.parse(text))
                chips = mesh["model"] * mesh["space"]
                assumed = {**settings, "efficiency": self.efficiency, "streaming": self.streaming}
                assumed["latency"] = self.latency
                one = cost.predict(cfg, device, mesh, **assumed)
                ceiling = cost.predict(
                    cfg, device, mesh, **settings, efficiency=1.0, streaming=1.0, latency=0.0
                )
                served, _ = cost.viewers(cfg, device, mesh, self.fps, **assumed)
                cells = (device.name, text, f"{one.step * 1e3:.2f}", f"{one.send * 1e3:.2f}")
                print(
                    "| " + " | ".join((*cells, f"{ceiling.step * 1e3:.2f}", f"{served / chips:.2f}")) + " |"
                )
        print()


def main() -> None:
    """Run the chosen benchmark."""
    commands = {"tricks": Tricks, "sweep": Sweep, "host": Host, "count": Count, "predict": Predict}
    tyro.extras.subcommand_cli_from_dict(commands, description=__doc__).run()


if __name__ == "__main__":
    main()
