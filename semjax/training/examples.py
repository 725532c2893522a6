"""What a receiver gets, made by the real coders: clips with their decoded conditions, kept on disk.

An example is a clip, the label maps and tiny frames that arrive when the `causal` sender codes it at a random rate,
and what `semjax.painting` makes of them. Coding costs more than a training step, so examples are written once, by as
many processes as there are cores, and read again and again; training may begin while they are still being written.
"""

import dataclasses
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from semjax import painting, scenes, stills, texture, video
from semjax.errors import InputError, RateError
from semjax.systems import causal, encode
from semjax.systems.receiver import conditions

# numpy parses the headers of arrays with `ast`, which CPython 3.11 does not do right in two threads at once
# (python/cpython#106905): one read in some thousands failed.
_READING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class ExampleConfig:
    """What examples are like.

    side: pixels of the square pictures. frames: of each clip. codings: examples made from one clip.
    bitrate: range of the rates that clips are sent at, in bits a second at 25 frames a second, drawn evenly on a
    logarithmic scale. found: share of the clips whose regions are found by the sender rather than known.
    keyframes: share of the examples with a received picture.
    """

    side: int = 256
    frames: int = 16
    codings: int = 2
    bitrate: tuple[float, float] = (1_200.0, 40_000.0)
    found: float = 0.3
    keyframes: float = 0.15


class Example(NamedTuple):
    """A clip and what arrived of it. keyframe: number of the frame that was sent as a picture, -1 for none."""

    frames: UInt8[np.ndarray, "T H W 3"]
    labels: UInt8[np.ndarray, "T H W"]
    tiny: UInt8[np.ndarray, "T h w 3"]
    painted: UInt8[np.ndarray, "T H W 3"]
    picture: UInt8[np.ndarray, "H W 3"]
    keyframe: int
    caption: str


def degrade(
    frames: UInt8[np.ndarray, "T H W 3"],
    labels: UInt8[np.ndarray, "T H W"] | None,
    caption: str,
    rng: np.random.Generator,
    cfg: ExampleConfig,
) -> Example:
    """A clip through the coders at a random rate and back. Without label maps the sender finds its own."""
    height, width = frames.shape[1:3]
    rate = _log_uniform(rng, cfg.bitrate)
    while True:
        try:
            stream = encode(frames, labels=labels, cfg=causal.SenderConfig(bitrate=rate, period=len(frames)))
            break
        except RateError:  # a busy clip, which takes more
            rate *= 1.5
    (given,) = conditions(stream)
    number, picture = -1, np.zeros_like(frames[0])
    if rng.random() < cfg.keyframes:
        number = int(rng.integers(len(frames)))
        room = max(1000, int(height * width * _log_uniform(rng, (0.02, 0.1))))
        sent = stills.encode_still(frames[number], room)
        picture = stills.decode_still(sent, height, width)
    keyframes = {number: picture} if number >= 0 else {}
    painted, _ = painting.paint(given.labels, given.tiny, keyframes, texture_status=given.texture_status)
    return Example(frames, given.labels, given.tiny, painted, picture, number, caption)


def scene_examples(seed: int, cfg: ExampleConfig) -> Iterator[Example]:
    """Examples from procedural scenes, without end; theme after theme, since each compiles its own renderer."""
    rng = np.random.default_rng(seed)
    while True:
        for theme in rng.permutation(scenes.THEMES):
            # One rate and one theme to a renderer: 12 clips repay the time it takes to compile.
            setting = scenes.SceneConfig(
                frames=cfg.frames, height=cfg.side, width=cfg.side, fps=20.0, themes=(str(theme),)
            )
            for _ in range(12):
                clip = scenes.make_clip(int(rng.integers(1 << 30)), setting)
                yield from _examples(clip.frames, clip.labels, clip.captions[0].text, rng, cfg)


def folder_examples(folder: Path, seed: int, cfg: ExampleConfig) -> Iterator[Example]:
    """Examples from a clip folder (video.mp4 or frames/, perhaps labels/ and caption.txt), without end.

    Random stretches of `cfg.frames` frames, cropped to squares and shrunk. Raises InputError for clips too short.
    """
    rng, folder = np.random.default_rng(seed), Path(folder)
    path = next((p for p in (folder / "video.mp4", folder / "frames") if p.exists()), folder)
    clip = video.read_video(path)
    maps = video.read_labels(folder / "labels") if (folder / "labels").is_dir() else None
    words = folder / "caption.txt"
    caption = words.read_text().strip() if words.exists() else ""
    if len(clip) < cfg.frames:
        raise InputError(f"{folder} has {len(clip)} frames, examples have {cfg.frames}")
    while True:
        first = int(rng.integers(len(clip) - cfg.frames + 1))
        part = slice(first, first + cfg.frames)
        frames, rows, columns = _square(clip[part], cfg.side, rng)
        given = None if maps is None else maps[part][:, rows[:, None], columns[None]]
        yield from _examples(frames, given, caption, rng, cfg)


def _examples(frames, labels, caption, rng, cfg: ExampleConfig) -> Iterator[Example]:
    if rng.random() < cfg.found:
        labels = None
    for _ in range(cfg.codings):
        yield degrade(frames, labels, caption, rng, cfg)


def _square(clip: np.ndarray, side: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random square of a clip at `side` pixels, and the rows and columns to take label maps at."""
    height, width = clip.shape[1:3]
    edge = min(height, width)
    top, left = (int(rng.integers(length - edge + 1)) for length in (height, width))
    square = clip[:, top : top + edge, left : left + edge]
    at = ((np.arange(side) + 0.5) * edge / side).astype(int)
    frames = (
        square if edge == side else texture.shrink(square, side) if edge > side else square[:, at][:, :, at]
    )
    return np.ascontiguousarray(frames), top + at, left + at


def _log_uniform(rng, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


def write_example(folder: Path, name: str, example: Example) -> None:
    """One example as a file, which appears all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=folder, suffix=".partial")
    with os.fdopen(handle, "wb") as file:
        np.savez(file, **example._asdict())
    os.replace(partial, folder / f"{name}.npz")


def read_example(path: Path) -> Example:
    """One example of a folder; by one thread at a time, whichever call."""
    with _READING, np.load(path) as data:
        whole = {name: data[name] for name in Example._fields}
    return Example(**{**whole, "keyframe": int(whole["keyframe"]), "caption": str(whole["caption"])})


def write_examples(folder: Path, count: int, seed: int, cfg: ExampleConfig, clip: Path | None = None) -> None:
    """Write `count` examples from scenes or from one clip folder; those of this seed that are there are kept."""
    source = f"{clip.name}-" if clip else "scene-"
    missing = [i for i in range(count) if not (folder / f"{source}{seed}-{i}.npz").exists()]
    # A seed's examples cannot be made out of turn: the rest is drawn from a seed of its own.
    start = seed * 100_003 + (count - len(missing))
    examples = scene_examples(start, cfg) if clip is None else folder_examples(clip, start, cfg)
    for i, example in zip(missing, examples):
        write_example(folder, f"{source}{seed}-{i}", example)
