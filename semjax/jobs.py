"""The jobs behind the command line: from files to files, with timings, measurements and nothing half-written."""

import contextlib
import dataclasses
import itertools
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from semjax import channel, metrics, video
from semjax import stream as container
from semjax._progress import progress
from semjax.errors import InputError, StreamError
from semjax.report import Preview, render
from semjax.systems import ahead, link, sources
from semjax.systems.generators import Generator, Received, load_generator, suited
from semjax.systems.policies import (
    NetworkPolicy,
    ReceiverPolicy,
    SenderPolicy,
    compose,
    from_json,
    to_json,
)
from semjax.systems.receiver import frames_at_once, receive
from semjax.systems.records import notices, read_captions
from semjax.systems.redaction import let_out, redact
from semjax.systems.senders import SenderConfig, sender_of
from semjax.systems.showing import hurried, resized, shown, size_of, styled
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


@dataclasses.dataclass(frozen=True)
class Terms:
    """Who has a say in a run (semjax.systems.policies), and the shared key that its streams are sealed with, if any."""

    sender: SenderPolicy = SenderPolicy()
    network: NetworkPolicy = NetworkPolicy()
    receiver: ReceiverPolicy = ReceiverPolicy()
    key: bytes | None = None

    @classmethod
    def read(cls, files: Sequence[Path] = (), key: Path | None = None) -> "Terms":
        """The terms of policy files (JSON, joined where several speak for one place) and of a key file.

        Raises InputError for files that cannot be read or used.
        """
        found = []
        for file in files:
            try:
                found += from_json(Path(file).read_text()).values()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"the policy {file} cannot be read: {error}") from error
        return cls(**compose(*found), key=None if key is None else container.read_key(key))

    def close(self, stream: container.Stream) -> bytes:
        """The bytes of a stream that may leave, sealed where there is a key."""
        stream = let_out(stream, self.sender)
        return container.pack(stream if self.key is None else container.seal(stream, self.key))

    def pass_on(self, data: bytes) -> bytes:
        """What a node on the way leaves of a stream's bytes."""
        policy = self.network
        if policy.bitrate is None and policy.packet is None:
            return data
        return container.prune(data, policy.bitrate or 1e300, packet=policy.packet, order=policy.order)

    def open(self, stream: container.Stream) -> container.Stream:
        """A stream as its layers wrote it. Raises StreamError for a sealed one without the key, or with another."""
        if self.key is not None:
            return container.unseal(stream, self.key)
        if stream.salt:
            raise StreamError("the stream is sealed: give the key that it was sealed with (--key)")
        return stream


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
    terms: Terms = Terms(),
) -> dict:
    """Video file to video file through the whole chain; writes the five files of a run into `out`.

    With `cbr` the sender's bitrate is what fits that many symbols / (C H W T) on a radio link. `steps`: denoising
    steps of a diffusion generator. The receiver's size is not asked for: what was sent and shown could not be compared.
    Returns the content of report.json. Raises StreamError when the stream's header does not arrive.
    """
    if cbr is not None and sender.bitrate is not None:
        raise InputError("a clip is coded for a bitrate or for a CBR: give --bitrate or --cbr, not both")
    generator = load_generator(suited(generator_name, sender.system), **_options(steps))
    if cfg.channel != "none" and sender.system == "causal":  # long units are easily lost
        sender = dataclasses.replace(sender, texture_period=min(sender.texture_period, sender.period))
    clock, texture_ready = Clock(), _texture_ready(sender)
    original, *given = inputs.open()
    frames, labels, captions = redact(original, *given, terms.sender)
    with _folder_in_place(out) as folder:
        with clock("semantics"):
            analysis = sender_of(sender).understand(frames, labels, captions, sender)
        with clock("encode"):
            data = terms.pass_on(_code(frames, analysis, sender, texture_ready, cfg, cbr, terms))
        (folder / "stream.smj").write_bytes(data)
        with clock("channel"):
            delivery = link.send(data, cfg, jax.random.key(seed))
        if delivery.received is None:
            raise StreamError(
                f"the stream's header did not arrive in {link.SESSION_TRIES} tries over {cfg.channel} at "
                f"{cfg.snr_db:g} dB, and nothing can be painted without it; use a higher --snr or a sturdier --mcs"
            )
        (folder / "received.smj").write_bytes(delivery.received)
        sent, stream = (terms.open(container.unpack(d)) for d in (data, delivery.received))
        measure, preview, info = Measure(), Preview(frames.info, folder), frames.info
        with video.VideoWriter(folder / "reconstruction.mp4", info.fps, info.width, info.height) as writer:
            painted = _paint(stream, generator, seed, clock, terms.receiver)
            chunks = original.read(frames_at_once(stream))
            for part, pictures, maps in zip(painted, chunks, analysis.labels(), strict=True):
                writer.write(part.frames)
                known = (part.conditions.contour_status != FrameStatus.MISSING).any()
                told = maps if known or "contour" in stream.spans else None
                measure.add(pictures, part.frames, told, part.conditions.labels)
                preview.add(pictures, part, maps)
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
            "captions": [dataclasses.asdict(c) for c in captions_sent(sent)],
            "policies": json.loads(to_json(terms.sender, terms.network, terms.receiver)),
            "hidden": [json.loads(text) for text in notices(stream)],
            "sealed": terms.key is not None,
            "settings": dataclasses.asdict(sender),
            "command": command,
            "versions": versions(),
        }
        write_json(report, folder / "report.json")
        (folder / "report.html").write_text(render(report, sent, stream, preview))
    return report


def _code(frames, analysis, sender, texture_ready, cfg, cbr, terms) -> bytes:
    coder = sender_of(sender).coder(frames, analysis, sender, texture_ready)
    if cbr is None:
        return terms.close(coder(sender.bitrate))
    return link.fit_symbols(lambda bitrate: terms.close(coder(bitrate)), frames.info, cfg, cbr)


def _texture_ready(sender: SenderConfig):
    """Systems without a texture layer have nothing to compile ahead."""
    return ahead.compile_texture() if sender.system == "causal" else lambda: None


def captions_sent(stream: container.Stream) -> list[Caption]:
    """The captions that a stream carries."""
    return read_captions(stream.layer("caption"), stream.info, stream.spans.get("caption", 1))[0]


def encode(inputs: Inputs, sender: SenderConfig, out: Path, terms: Terms = Terms()) -> container.Stream:
    """Video file to stream file."""
    frames, labels, captions = redact(*inputs.open(), terms.sender)
    texture_ready = _texture_ready(sender)
    analysis = sender_of(sender).understand(frames, labels, captions, sender)
    stream = sender_of(sender).coder(frames, analysis, sender, texture_ready)(sender.bitrate)
    with _file_in_place(out) as partial:
        partial.write_bytes(terms.pass_on(terms.close(stream)))
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
    terms: Terms = Terms(),
) -> container.Stream:
    """Stream file to video file."""
    stream = terms.open(container.unpack(read_stream(path), allow_truncated=allow_truncated))
    generator = load_generator(suited(generator_name, stream.system), **_options(steps))
    info = stream.info
    size = size_of(info.width, info.height, terms.receiver)
    with video.VideoWriter(out, info.fps, *size) as writer:
        for part in _paint(stream, generator, seed, Clock(), terms.receiver):
            writer.write(resized(part.frames, size))
    return stream


def prune(path: Path, out: Path, terms: Terms) -> tuple[int, int]:
    """Stream file to stream file at a node that decodes nothing; bytes before and after.

    Raises InputError when the network's policy asks for nothing, and as semjax.stream.prune.
    """
    if terms.network.bitrate is None and terms.network.packet is None:
        raise InputError("nothing says what may pass: give --bitrate, --packet or a --policy for the network")
    data = read_stream(path)
    pruned = terms.pass_on(data)
    with _file_in_place(out) as partial:
        partial.write_bytes(pruned)
    return len(data), len(pruned)


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


def _paint(stream, generator: Generator, seed: int, clock: Clock, policy) -> Iterator[Received]:
    generator, stream = hurried(generator, policy), styled(stream, policy)
    parts = shown(receive(stream, generator, jax.random.key(seed), timed=clock), policy)
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
        "sealed": bool(stream.salt),
        "damaged_bytes": sum(d.length for d in stream.damage),
    }


def write_json(value: dict, path: Path) -> None:
    """Write JSON in one go."""
    with _file_in_place(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
