"""The receiver's policy at work: words of style, a time limit, replaced colours, another size."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import jax
import numpy as np

from semjax.stream import Stream
from semjax.systems import records
from semjax.systems.generators import Diffusion, Generator, Received
from semjax.systems.policies import ReceiverPolicy
from semjax.systems.sources import unit_frames
from semjax.types import Caption, Conditions, FrameStatus


@dataclasses.dataclass(frozen=True)
class Hurried(Diffusion):
    """A diffusion generator that gives way to painting without a network once `clock()` has reached `deadline`."""

    deadline: float = float("inf")
    clock: Callable[[], float] = time.monotonic

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames; see `Generator.step`."""
        if self.clock() < self.deadline:
            return super().step(conditions, state, key)
        frames, painted = self.painter.step(conditions, state[0] if state else None, key)
        return frames, (painted, None, None)


def hurried(
    generator: Generator, policy: ReceiverPolicy, clock: Callable[[], float] = time.monotonic
) -> Generator:
    """The generator with the policy's steps and, from now on, its seconds. Others than diffusion need no limits."""
    if not isinstance(generator, Diffusion):
        return generator
    cfg = generator.cfg
    if policy.steps is not None:
        cfg = dataclasses.replace(cfg, steps=min(policy.steps, cfg.steps))
    if policy.seconds is None:
        return dataclasses.replace(generator, cfg=cfg)
    fields = {f.name: getattr(generator, f.name) for f in dataclasses.fields(Diffusion)}
    return Hurried(**{**fields, "cfg": cfg}, deadline=clock() + policy.seconds, clock=clock)


def styled(stream: Stream, policy: ReceiverPolicy) -> Stream:
    """The stream as if its captions had been sent with the policy's words of style behind them."""
    if not policy.style:
        return stream
    info, span = stream.info, stream.spans.get("caption", 4 * unit_frames(stream.info))
    captions, _ = records.read_captions(stream.layer("caption"), info, span)
    captions = captions or [Caption(0, info.frames - 1, "")]
    told = [
        dataclasses.replace(c, text=", ".join(filter(None, [c.text.rstrip("."), policy.style])))
        for c in captions
    ]
    units = {**stream.units, "caption": records.caption_units(told, info, span)}
    return dataclasses.replace(stream, spans={**stream.spans, "caption": span}, units=units)


def shown(parts: Iterator[Received], policy: ReceiverPolicy) -> Iterator[Received]:
    """What was painted, with the looks that the policy asks for; without label maps there are no things to change."""
    for part in parts:
        told, frames = part.conditions, part.frames
        if policy.looks and (told.contour_status != FrameStatus.MISSING).any():
            frames = np.stack([recolour(f, m, policy) for f, m in zip(frames, told.labels)])
        yield dataclasses.replace(part, frames=frames)


def recolour(frame: np.ndarray, labels: np.ndarray, policy: ReceiverPolicy) -> np.ndarray:
    """A frame uint8 [H, W, 3] whose things have the policy's colours, each one's lightness varying as before."""
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB).astype(np.float32)
    changed = np.zeros(labels.shape, bool)
    for label, colour in policy.looks:
        inside = labels == label
        if not inside.any():
            continue
        wanted = cv2.cvtColor(np.array([[colour]], np.uint8), cv2.COLOR_RGB2LAB)[0, 0].astype(np.float32)
        new = np.broadcast_to(wanted, lab.shape).copy()
        new[..., 0] += lab[..., 0] - lab[inside][:, 0].mean()
        weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)[..., None]
        lab = lab * (1 - weight) + new * weight
        changed |= weight[..., 0] > 0.01
    out = cv2.cvtColor(np.clip(np.rint(lab), 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return np.where(changed[..., None], out, frame)


def size_of(width: int, height: int, policy: ReceiverPolicy) -> tuple[int, int]:
    """(width, height) of the video to write: even sides, no larger than the clip's."""
    if policy.width is None or policy.width >= width:
        return width, height
    wide = 2 * max(1, policy.width // 2)
    return wide, 2 * max(1, round(height * wide / width / 2))


def resized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames uint8 [n, H, W, 3] at another (width, height), by an area filter."""
    if frames.shape[2:0:-1] == size:
        return frames
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
