"""Single runs: a system or a peer on one clip at some rates; each run is one dictionary, one line of runs.jsonl."""

import dataclasses
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from evaluation.clips import Clip, ClipPaths, load
from evaluation.peers import PEERS, best_answers
from semjax import metrics, stream, video
from semjax.errors import SemjaxError
from semjax.systems import causal, generators, receiver, verbs
from semjax.types import ClipInfo

SYSTEMS = ("causal",)
SHEET_FRAMES, SHEET_WIDTH = 4, 240  # frames of a contact sheet and their width in pixels


@dataclasses.dataclass(frozen=True)
class Task:
    """A method on a clip. Systems take one bitrate and a seed; peers take all bitrates, and bytes for each.

    `budgets` are those bytes by bitrate: what the largest system stream of that clip and rate took.
    """

    clip: ClipPaths
    method: str
    bitrates: tuple[float, ...]
    generator: str = "none"
    seed: int = 0
    frames: int | None = None
    given_labels: bool = True
    budgets: tuple[int, ...] = ()

    def key(self, bitrate: float) -> str:
        """Names a run; equal for equal settings, whatever the order in which things are run."""
        parts = dataclasses.asdict(self) | {"bitrates": bitrate, "clip": self.clip.name}
        parts["budgets"] = dict(zip(self.bitrates, self.budgets)).get(bitrate)
        if self.method in PEERS:
            parts = {k: v for k, v in parts.items() if k not in ("generator", "seed", "given_labels")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def work(task: Task, out: Path) -> list[dict]:
    """Do a task. A failure becomes a run with `error`, so that one bad clip does not end the evaluation."""
    start = time.perf_counter()
    try:
        clip = load(task.clip, task.frames, task.given_labels)
        rows = list(_peer(task, clip, out) if task.method in PEERS else _system(task, clip, out))
    except Exception as error:  # whatever it is, the other runs of a long evaluation are worth having
        reason = str(error) if isinstance(error, SemjaxError) else f"{type(error).__name__}: {error}"
        rows = [{**_head(task, rate), "error": reason} for rate in task.bitrates]
    for row in rows:
        row["seconds"] = round((time.perf_counter() - start) / len(rows), 2)
    return rows


def _head(task: Task, bitrate: float) -> dict:
    kind = "peer" if task.method in PEERS else "system"
    name = task.method
    if kind == "system" and task.generator != "none":
        name = f"{task.method}:{Path(task.generator).name}"
    return {
        "key": task.key(bitrate),
        "clip": task.clip.name,
        "method": name,
        "kind": kind,
        "bitrate": bitrate,
        "seed": task.seed if kind == "system" else None,
    }


def _system(task: Task, clip: Clip, out: Path) -> Iterator[dict]:
    """A semjax system, at its bitrate."""
    (bitrate,) = task.bitrates
    info = _info(clip)
    words = (
        video.read_captions(task.clip.captions, info.frames, clip=task.clip.frames) if _words(task) else None
    )
    cfg = causal.SenderConfig(bitrate=bitrate)
    sent = verbs.encode(clip.frames, labels=clip.labels, captions=words, fps=clip.fps, cfg=cfg)
    data = stream.pack(sent)
    generator = generators.load_generator(task.generator)
    parts = list(receiver.receive(stream.unpack(data), generator, jax.random.key(task.seed)))
    frames = np.concatenate([part.frames for part in parts])
    maps = np.concatenate([part.conditions.labels for part in parts])
    row = {**_head(task, bitrate), **_rate(len(data), info), "layers": stream.ledger(data)}
    row["quality"] = quality(clip, frames, None if clip.labels is None else maps)
    row["sheet"] = _sheet(out, row["key"], frames)
    yield row


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
    for bitrate, budget in zip(task.bitrates, task.budgets):
        answer = answers[budget]
        row = {**_head(task, bitrate), **_rate(answer.bytes, info), "settings": answer.settings}
        row["budget"], row["over_budget"] = budget, answer.bytes > budget
        row["quality"] = quality(clip, answer.frames, None)
        row["sheet"] = _sheet(out, row["key"], answer.frames)
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
