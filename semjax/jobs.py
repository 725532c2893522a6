"""The jobs behind the command line: from files to files, with timings, measurements and nothing half-written."""

import contextlib
import dataclasses
import itertools
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from semjax import channel, metrics, video
from semjax import stream as container
from semjax._progress import progress
from semjax.errors import InputError, StreamError
from semjax.report import Preview, render
from semjax.systems import ahead, link, sources
from semjax.systems.generators import Generator, Received, load_generator
from semjax.systems.receiver import frames_at_once, receive
from semjax.systems.records import read_captions
from semjax.systems.senders import SenderConfig, sender_of
from semjax.types import LAYERS, Caption, FrameStatus
from semjax.version import __version__


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a sender job starts from; without `clip` the bundled sample with its label maps and captions."""

    clip: Path | None = None
    labels: Path | None = None
    captions: Path | None = None

    def open(self) -> tuple[sources.Source, sources.Source | None, list[Caption] | None]:
        """Frames, label maps and captions. Raises InputError when something is missing or does not fit."""
        clip, labels, captions = self.clip, self.labels, self.captions
        if clip is None:
            sample = video.sample_clip()
            clip, labels, captions = (
                sample.video_path,
                labels or sample.labels_path,
                captions or sample.captions_path,
            )
        frames = sources.frames_from_file(clip)
        maps = sources.labels_from_folder(labels, frames.info) if labels else None
        words = video.read_captions(captions, frames.info.frames, clip=clip) if captions else None
        return frames, maps, words


def transmit(
    inputs: Inputs,
    sender: SenderConfig,
    cfg: channel.LinkConfig,
    generator_name: str,
    seed: int,
    out: Path,
    command: str,
    cbr: float | None = None,
    steps: int | None = None,
) -> dict:
    """Video file to video file through the whole chain; writes the five files of a run into `out`.

    With `cbr` the sender's bitrate is what fits that many symbols / (C H W T) on a radio link. `steps`: denoising
    steps of a diffusion generator.
    Returns the content of report.json. Raises StreamError when the stream's header does not arrive.
    """
    if cbr is not None and sender.bitrate is not None:
        raise InputError("a clip is coded for a bitrate or for a CBR: give --bitrate or --cbr, not both")
    generator = load_generator(generator_name, **_options(steps))
    clock, texture_ready = Clock(), ahead.compile_texture()
    frames, labels, captions = inputs.open()
    with _folder_in_place(out) as folder:
        with clock("semantics"):
            analysis = sender_of(sender).understand(frames, labels, captions, sender)
        with clock("encode"):
            data = _code(frames, analysis, sender, texture_ready, cfg, cbr)
        (folder / "stream.smj").write_bytes(data)
        with clock("channel"):
            delivery = link.send(data, cfg, jax.random.key(seed))
        if delivery.received is None:
            raise StreamError(
                f"the stream's header did not arrive in {link.SESSION_TRIES} tries over {cfg.channel} at "
                f"{cfg.snr_db:g} dB, and nothing can be painted without it; use a higher --snr or a sturdier --mcs"
            )
        (folder / "received.smj").write_bytes(delivery.received)
        stream = container.unpack(delivery.received)
        measure, preview, info = Measure(), Preview(frames.info, folder), frames.info
        with video.VideoWriter(folder / "reconstruction.mp4", info.fps, info.width, info.height) as writer:
            painted = _paint(stream, generator, seed, clock)
            for part, original, maps in zip(
                painted, frames.read(frames_at_once(stream)), analysis.labels(), strict=True
            ):
                writer.write(part.frames)
                known = (
                    part.conditions.contour_status != FrameStatus.MISSING
                ).any() or "contour" in stream.spans
                measure.add(original, part.frames, maps if known else None, part.conditions.labels)
                preview.add(original, part, maps)
        report = {
            **accounts(info, data, delivery.ledger),
            "quality": measure.result(),
            "seconds": {phase: round(s, 3) for phase, s in clock.seconds.items()},
            "generator": generator.name,
            "system": stream.system,
            "seed": seed,
            "channel": link.describe(cfg, delivery),
            "lost": delivery.lost(),
            "received": preview.frame_counts(),
            "captions": [dataclasses.asdict(c) for c in captions_sent(container.unpack(data))],
            "settings": dataclasses.asdict(sender),
            "command": command,
            "versions": versions(),
        }
        write_json(report, folder / "report.json")
        (folder / "report.html").write_text(render(report, container.unpack(data), stream, preview))
    return report


def _code(frames, analysis, sender, texture_ready, cfg, cbr) -> bytes:
    coder = sender_of(sender).coder(frames, analysis, sender, texture_ready)
    if cbr is None:
        return container.pack(coder(sender.bitrate))
    return link.fit_symbols(lambda bitrate: container.pack(coder(bitrate)), frames.info, cfg, cbr)


def captions_sent(stream: container.Stream) -> list[Caption]:
    """The captions that a stream carries."""
    return read_captions(stream.layer("caption"), stream.info, stream.spans.get("caption", 1))[0]


def encode(inputs: Inputs, sender: SenderConfig, out: Path) -> container.Stream:
    """Video file to stream file."""
    frames, labels, captions = inputs.open()
    texture_ready = ahead.compile_texture()
    analysis = sender_of(sender).understand(frames, labels, captions, sender)
    stream = sender_of(sender).coder(frames, analysis, sender, texture_ready)(sender.bitrate)
    with _file_in_place(out) as partial:
        partial.write_bytes(container.pack(stream))
    return stream


def _options(steps: int | None) -> dict:
    if steps is not None and steps < 1:
        raise InputError(f"a generator takes at least 1 step, not {steps}")
    return {} if steps is None else {"steps": steps}


def decode(
    path: Path,
    generator_name: str,
    seed: int,
    out: Path,
    allow_truncated: bool,
    steps: int | None = None,
) -> container.Stream:
    """Stream file to video file."""
    generator = load_generator(generator_name, **_options(steps))
    stream = container.unpack(read_stream(path), allow_truncated=allow_truncated)
    info = stream.info
    with video.VideoWriter(out, info.fps, info.width, info.height) as writer:
        for part in _paint(stream, generator, seed, Clock()):
            writer.write(part.frames)
    return stream


def read_stream(path: Path) -> bytes:
    """The bytes of a stream file. Raises InputError when it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the stream {path} cannot be read: {error.strerror or error}") from error


def evaluate(original: Path, reconstruction: Path, labels: Path | None) -> dict:
    """Compare two clips frame by frame; with the original's label maps also by region (psnr_by_label)."""
    frames, other = sources.frames_from_file(original), sources.frames_from_file(reconstruction)
    a, b = frames.info, other.info
    if (a.frames, a.width, a.height) != (b.frames, b.width, b.height):
        raise InputError(
            f"{original} has {a.frames} frames of {a.width}x{a.height}, "
            f"{reconstruction} {b.frames} of {b.width}x{b.height}: they must be equal to be compared"
        )
    maps = sources.labels_from_folder(labels, a).read(16) if labels else itertools.repeat(None)
    measure = Measure()
    by_label = np.zeros((2, 256))
    pairs = zip(frames.read(16), other.read(16), strict=True)
    for before, after in progress(pairs, a.frames, "comparing", steps=lambda pair: len(pair[0])):
        measure.add(before, after)
        region = next(maps)
        if region is not None:
            squares = np.mean((after.astype(np.float64) - before) ** 2, axis=-1)
            by_label[0] += np.bincount(region.ravel(), squares.ravel(), minlength=256)
            by_label[1] += np.bincount(region.ravel(), minlength=256)
    result = measure.result()
    if labels:
        present = np.flatnonzero(by_label[1])
        result["psnr_by_label"] = {int(k): _psnr(by_label[0, k] / by_label[1, k]) for k in present}
    return result


def _psnr(mean_square: float) -> float | None:
    """Decibels; None for a perfect copy, since JSON has no infinity."""
    return float(10 * np.log10(255**2 / mean_square)) if mean_square else None


class Measure:
    """Quality of a reconstruction, chunk by chunk in bounded memory."""

    def __init__(self):
        self.error, self.similarity, self.frames = 0.0, 0.0, 0
        self.labels = np.zeros((3, 256))

    def add(self, original, picture, labels=None, decoded=None) -> None:
        """Take in n frames uint8 [n, H, W, 3] and, where there are, the label maps sent and decoded [n, H, W]."""
        self.error += float(metrics.mse(original, picture)) * len(original)
        self.similarity += float(metrics.ms_ssim(original, picture)) * len(original)
        self.frames += len(original)
        if labels is not None:
            self.labels += np.asarray(metrics.label_counts(labels, decoded))

    def result(self) -> dict[str, float | None]:
        """psnr (dB over the whole clip; None: identical), ms_ssim (mean over frames), miou (or None)."""
        return {
            "psnr": _psnr(self.error / self.frames),
            "ms_ssim": self.similarity / self.frames,
            "miou": float(metrics.miou_from_counts(self.labels)) if self.labels.any() else None,
        }


class Clock:
    """Wall seconds by phase: `with clock("encode"): ...`."""

    def __init__(self):
        self.seconds = dict.fromkeys(("semantics", "encode", "channel", "decode", "generate"), 0.0)

    @contextlib.contextmanager
    def __call__(self, phase: str):
        """Add what the body takes to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - start


def _paint(stream, generator: Generator, seed: int, clock: Clock) -> Iterator[Received]:
    parts = receive(stream, generator, jax.random.key(seed), timed=clock)
    return progress(parts, stream.info.frames, "painting", steps=lambda part: len(part.frames))


def versions() -> dict[str, str]:
    """What produced a result: semjax, the stream version, jax, numpy, Python."""
    return {
        "semjax": __version__,
        "stream": str(container.VERSION),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@contextlib.contextmanager
def _folder_in_place(out: Path) -> Iterator[Path]:
    """A scratch folder beside `out` whose files move into `out` when all went well, and vanish otherwise."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"nothing can be written to {out}: {error.strerror}") from error
    try:
        yield scratch
        out.mkdir(exist_ok=True)
        for file in sorted(scratch.iterdir()):
            file.replace(out / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _file_in_place(out: Path) -> Iterator[Path]:
    """A temporary name beside `out` that is renamed to it when all went well."""
    out = Path(out)
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def accounts(info, data: bytes, ledger: channel.LinkLedger) -> dict:
    """The parts of a report that follow from the clip's size, the stream and the link: clip, bytes, rate, link."""
    bits, costs = 8 * len(data), link.account(data, info, ledger)
    return {
        "clip": {"frames": info.frames, "width": info.width, "height": info.height, "fps": float(info.fps)},
        "bytes": container.ledger(data),
        "rate": {
            "bpp": bits / (info.frames * info.width * info.height),
            "bits_per_second": bits / info.seconds,
            "ratio_to_raw": info.raw_bytes / len(data),
            # Symbols exist once a modulation does; the channels none and loss carry bytes.
            "cbr": costs["cbr"],
            "symbols": None if costs["cbr"] is None else costs["symbols"],
        },
        "link": costs,
    }


def summary(path: Path, cfg: channel.LinkConfig = channel.LinkConfig("none")) -> dict:
    """What a stream file holds, without decoding any layer, and what it costs to send it once over the link `cfg`.

    Only whole streams have a price: "link" is None for one that is damaged or cut short.
    """
    data = read_stream(path)
    stream = container.unpack(data, allow_truncated=True)
    layers = {
        layer: {
            "units": stream.unit_count(layer),
            "arrived": len(stream.units.get(layer, {})),
            "span": stream.spans[layer],
        }
        for layer in LAYERS
        if layer in stream.spans
    }
    try:
        ledger = link.price(data, cfg)
    except StreamError:
        ledger = channel.LinkLedger(cfg.channel)
    return {
        "system": stream.system,
        **accounts(stream.info, data, ledger),
        "layers": layers,
        "partial": stream.partial,
        "damaged_bytes": sum(d.length for d in stream.damage),
    }


def write_json(value: dict, path: Path) -> None:
    """Write JSON in one go."""
    with _file_in_place(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
