"""Single runs: a system or a peer on one clip at some points; each run is one dictionary, one line of runs.jsonl.

A point is a bitrate and, over a radio channel, an SNR. Over a channel a run is one seed of it; without one, peers have
no seeds.
"""

import dataclasses
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import link_peers
import link_sweep
import numpy as np
from PIL import Image

from evaluation.clips import Clip, ClipPaths, load
from evaluation.peers import PEERS, best_answers
from semjax import metrics, stream, video
from semjax.channel import LinkConfig
from semjax.errors import InputError, SemjaxError
from semjax.systems import generators, link, receiver, verbs
from semjax.systems.senders import SENDERS
from semjax.types import ClipInfo

SYSTEMS = tuple(SENDERS)
Point = tuple[float, float | None]  # bits a second, SNR in dB
SHEET_FRAMES, SHEET_WIDTH = 4, 240  # frames of a contact sheet and their width in pixels


@dataclasses.dataclass(frozen=True)
class Task:
    """A method on a clip. Systems take one point and a seed; peers take all points and seeds.

    `budgets` are what a peer may spend at each point, as much as the largest system stream took there: bytes, or over
    a radio channel symbols.
    """

    clip: ClipPaths
    method: str
    points: tuple[Point, ...]
    generator: str = "none"
    seeds: tuple[int, ...] = (0,)
    frames: int | None = None
    given_labels: bool = True
    channel: str = "none"
    loss: float = 0.0
    budgets: tuple[int, ...] = ()

    def key(self, point: Point, seed: int) -> str:
        """Names a run; equal for equal settings, whatever the order in which things are run."""
        parts = dataclasses.asdict(self) | {"points": point, "clip": self.clip.name, "seeds": seed}
        parts["budgets"] = dict(zip(self.points, self.budgets)).get(point)
        if self.method in PEERS:
            parts = {k: v for k, v in parts.items() if k not in ("generator", "given_labels")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def run_keys(self) -> list[str]:
        """Of all its runs."""
        return [self.key(point, seed) for point in self.points for seed in self.seeds]

    def link(self, point: Point) -> LinkConfig | None:
        """The link at a point; None where everything arrives."""
        if self.channel == "none":
            return None
        if self.channel == "loss":
            return LinkConfig("loss", loss=self.loss)
        return LinkConfig(self.channel, snr_db=point[1], protection=link_sweep.NARROW)


def work(task: Task, out: Path) -> list[dict]:
    """Do a task. A failure becomes a run with `error`, so that one bad clip does not end the evaluation."""
    start = time.perf_counter()
    try:
        clip = load(task.clip, task.frames, task.given_labels)
        way = _system if task.method in SYSTEMS else _peer if task.channel == "none" else _peer_over_link
        rows = list(way(task, clip, out))
    except Exception as error:  # whatever it is, the other runs of a long evaluation are worth having
        reason = str(error) if isinstance(error, SemjaxError) else f"{type(error).__name__}: {error}"
        rows = [{**_head(task, point, seed), "error": reason} for point in task.points for seed in task.seeds]
    for row in rows:
        row["seconds"] = round((time.perf_counter() - start) / len(rows), 2)
    return rows


def _head(task: Task, point: Point, seed: int) -> dict:
    kind = "peer" if task.method in PEERS else "system"
    name = task.method
    if kind == "system" and task.generator != "none":
        name = f"{task.method}:{Path(task.generator).name}"
    return {
        "key": task.key(point, seed),
        "clip": task.clip.name,
        "method": name,
        "kind": kind,
        "bitrate": point[0],
        "snr": point[1],
        "seed": seed if kind == "system" or task.channel != "none" else None,
    }


def _system(task: Task, clip: Clip, out: Path) -> Iterator[dict]:
    """A semjax system, at its point."""
    (point,), (seed,) = task.points, task.seeds
    info = _info(clip)
    words = (
        video.read_captions(task.clip.captions, info.frames, clip=task.clip.frames) if _words(task) else None
    )
    cfg = SENDERS[task.method].SenderConfig(bitrate=point[0])
    sent = verbs.encode(clip.frames, labels=clip.labels, captions=words, fps=clip.fps, cfg=cfg)
    data = stream.pack(sent)
    received, spent = data, {}
    if task.channel != "none":
        sent = link.send(data, task.link(point), jax.random.key(seed))
        received, spent = sent.received, _spent(sent.ledger, info)
    frames, maps = _paint(received, clip, generators.load_generator(task.generator), jax.random.key(seed))
    row = {**_head(task, point, seed), **_rate(len(data), info), **spent, "layers": stream.ledger(data)}
    row["quality"] = quality(clip, frames, None if clip.labels is None else maps)
    row["sheet"] = _sheet(out, row["key"], frames)
    yield row


def _paint(received: bytes | None, clip: Clip, generator, key) -> tuple[np.ndarray, np.ndarray]:
    """Frames and label maps of what arrived; a grey picture where nothing did."""
    if received is None:
        return np.full(clip.frames.shape, 128, np.uint8), np.zeros(clip.frames.shape[:3], np.uint8)
    parts = list(receiver.receive(stream.unpack(received), generator, key))
    return np.concatenate([p.frames for p in parts]), np.concatenate([p.conditions.labels for p in parts])


def _spent(ledger, info: ClipInfo) -> dict[str, float]:
    """What a transmission took, retries and repetitions too, and the share of packets that arrived."""
    symbols = {"symbols": ledger.symbols, "cbr": metrics.cbr(ledger.symbols, info)} if ledger.symbols else {}
    return {**symbols, "arrived": 1 - ledger.lost / max(ledger.packets, 1)}


def _words(task: Task) -> bool:
    # Captions of segments reach past the end of a shortened clip, so a shortened clip goes without.
    return task.clip.captions is not None and task.frames is None


def _peer(task: Task, clip: Clip, out: Path) -> Iterator[dict]:
    """A peer, within the bytes of every rate."""
    info = _info(clip)
    some = np.unique(np.linspace(0, len(clip.frames) - 1, 16).astype(int))
    answers = best_answers(
        PEERS[task.method],
        clip.frames,
        clip.fps,
        task.budgets,
        lambda frames: float(metrics.ms_ssim(clip.frames[some], frames[some])),
    )
    for point, budget in zip(task.points, task.budgets):
        answer = answers[budget]
        row = {**_head(task, point, task.seeds[0]), **_rate(answer.bytes, info), "settings": answer.settings}
        row["budget"], row["over_budget"] = budget, answer.bytes > budget
        row["quality"] = quality(clip, answer.frames, None)
        row["sheet"] = _sheet(out, row["key"], answer.frames)
        yield row


def _peer_over_link(task: Task, clip: Clip, out: Path) -> Iterator[dict]:
    """A peer over the channel, within the symbols (or over a lossy network the bytes) of every point.

    Encoded, cut into packets and concealed as in the SNR sweep; of the encodings that fit, the one of best PSNR.
    """
    info, radio = _info(clip), task.channel != "loss"
    most = max(task.budgets) * 5 // 8 if radio else max(task.budgets)  # bytes: at most 5 bits a symbol
    peer = link_sweep.Peer(
        link_sweep.Clip(task.clip.name, clip.frames, clip.labels, clip.fps), task.method, most
    )
    if not peer.choices:
        raise InputError(f"{task.method} has no encoding of {most} bytes or less, at any size and quality")
    for point, budget in zip(task.points, task.budgets):
        cfg = task.link(point)
        costs = {sent: peer.cost(sent, cfg)[radio] for _, sent in peer.choices}
        chosen = next((sent for sent, cost in costs.items() if cost <= budget), min(costs, key=costs.get))
        for seed in task.seeds:
            arrived, ledger = peer.deliver(chosen, cfg, seed)
            frames, _ = link_peers.decode(chosen, list(arrived), clip.frames.shape)
            row = {
                **_head(task, point, seed),
                **_rate(peer.cost(chosen, cfg)[0], info),
                **_spent(ledger, info),
            }
            row["settings"] = {"quality": chosen.crf, "width": chosen.size[0]}
            row["budget"], row["over_budget"] = budget, costs[chosen] > budget
            row["quality"] = quality(clip, frames, None)
            row["sheet"] = _sheet(out, row["key"], frames)
            yield row


def _info(clip: Clip) -> ClipInfo:
    return ClipInfo(len(clip.frames), clip.frames.shape[2], clip.frames.shape[1], clip.fps)


def _rate(size: int, info: ClipInfo) -> dict[str, float]:
    return {
        "bytes": size,
        "bpp": metrics.bpp(size, info),
        "bits_per_second": metrics.bits_per_second(size, info),
        "ratio_to_raw": metrics.ratio_to_raw(size, info),
    }


def quality(clip: Clip, frames: np.ndarray, labels: np.ndarray | None) -> dict[str, float | None]:
    """All weight-free measures; None in place of the infinite PSNR of a copy, which JSON cannot say."""
    given = {} if labels is None else {"reference_labels": clip.labels, "reconstruction_labels": labels}
    scores = metrics.compare(clip.frames, frames, **given)
    return {name: None if math.isinf(value) else value for name, value in scores.items()}


def original_sheet(paths: ClipPaths, most: int | None, out: Path) -> str:
    """The contact sheet of an original, made once."""
    name = hashlib.sha256(f"{paths.frames.resolve()} {most}".encode()).hexdigest()[:16]
    file = out / "sheets" / f"{name}.webp"
    return str(file.relative_to(out)) if file.exists() else _sheet(out, name, load(paths, most, False).frames)


def _sheet(out: Path, name: str, frames: np.ndarray) -> str:
    """A few frames side by side as a picture file; its path below `out`."""
    chosen = frames[np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int)]
    height = max(1, round(SHEET_WIDTH * frames.shape[1] / frames.shape[2]))
    small = [Image.fromarray(f).resize((SHEET_WIDTH, height), Image.Resampling.LANCZOS) for f in chosen]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([np.asarray(s) for s in small], 1)).save(buffer, "WEBP", quality=90)
    file = out / "sheets" / f"{name}.webp"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(buffer.getvalue())
    return str(file.relative_to(out))


class Ledger:
    """The runs of an output folder, a JSON line each; what is there is not run again."""

    def __init__(self, path: Path):
        self.path, self.rows = path, {}
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        for line in lines:
            if line.endswith("\n"):  # a line cut off by a kill is run again
                row = json.loads(line)
                self.rows[row["key"]] = row
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]))

    def done(self, key: str) -> bool:
        """Whether a run ended well."""
        return key in self.rows and "error" not in self.rows[key]

    def add(self, rows: list[dict]) -> None:
        """Keep runs, on disk before anything else happens."""
        with self.path.open("a") as file:
            for row in rows:
                self.rows[row["key"]] = row
                file.write(json.dumps(row) + "\n")

    def pick(self, wanted: Callable[[dict], bool]) -> list[dict]:
        """Runs that ended well and are wanted."""
        return [row for row in self.rows.values() if "error" not in row and wanted(row)]
