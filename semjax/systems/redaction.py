"""The sender's policy on a clip: pixels, label maps and captions changed before anything is measured."""

import dataclasses
import json
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from semjax.errors import InputError
from semjax.stream import Stream
from semjax.systems import records
from semjax.systems.policies import SenderPolicy
from semjax.systems.sources import Source, unit_frames
from semjax.types import Caption

FLAT = (128, 128, 128)  # of everything hidden: no colour that depends on what is behind it
_MARGIN = 4  # pixels around a hidden thing that are hidden, too: its colours bleed into them


def redact(
    frames: Source, labels: Source | None, captions: Sequence[Caption] | None, policy: SenderPolicy
) -> tuple[Source, Source | None, Sequence[Caption] | None]:
    """Frames, label maps and captions as the policy lets them be seen.

    Captions that came with a clip may name what is hidden: they are kept only where nothing is. Raises InputError for
    labels to hide without label maps, and for a policy under which no layer may leave.
    """
    if not policy.layers:
        raise InputError("the sender's policy lets no layer leave: there is nothing to send")
    hidden = (*policy.silhouettes, *policy.withheld)
    if hidden and labels is None:
        raise InputError(
            f"the sender's policy hides the labels {list(hidden)}: give the label maps that say where they are"
        )
    return _seen(frames, labels, policy), _mapped(labels, policy), _said(frames, captions, policy)


def _said(frames: Source, captions, policy: SenderPolicy):
    if policy.words == "none":
        return ()
    if policy.words != "auto":
        return (Caption(0, frames.info.frames - 1, policy.words),)
    return None if policy.hides else captions


def _seen(frames: Source, labels: Source | None, policy: SenderPolicy) -> Source:
    if not policy.hides:
        return frames

    def read(n: int) -> Iterator[np.ndarray]:
        maps = iter(()) if labels is None else labels.read(n)
        for chunk in frames.read(n):
            given = next(maps, None)
            yield np.stack(
                [_picture(f, None if given is None else given[i], policy) for i, f in enumerate(chunk)]
            )

    return dataclasses.replace(frames, read=read)


def _mapped(labels: Source | None, policy: SenderPolicy) -> Source | None:
    if labels is None or not (policy.withheld or policy.boxes):
        return labels
    table = np.arange(256, dtype=np.uint8)
    table[list(policy.withheld)] = 0

    def read(n: int) -> Iterator[np.ndarray]:
        for chunk in labels.read(n):
            maps = table[chunk]
            for rows, columns in _boxes(policy, *maps.shape[1:]):
                maps[:, rows, columns] = 0
            yield maps

    return dataclasses.replace(labels, read=read)


def _picture(frame: np.ndarray, labels: np.ndarray | None, policy: SenderPolicy) -> np.ndarray:
    out = frame.copy()
    if labels is not None:
        out = _without(out, np.isin(labels, policy.withheld))
        inside = np.isin(labels, policy.silhouettes)
        if inside.any():
            # Its rim first: there its colours are mixed with the background's.
            rim = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=_MARGIN) > 0
            out = _without(out, rim, around=~rim)
            out[inside] = FLAT
    for rows, columns in _boxes(policy, *frame.shape[:2]):
        out[rows, columns] = FLAT
    if policy.detail and policy.detail < frame.shape[1]:
        height, width = frame.shape[:2]
        small = (policy.detail, max(1, round(height * policy.detail / width)))
        out = cv2.resize(out, small, interpolation=cv2.INTER_AREA)
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
    return out


def _without(picture: np.ndarray, inside: np.ndarray, around: np.ndarray | None = None) -> np.ndarray:
    """A picture whose pixels `inside` (and a margin) are filled in smoothly from the others."""
    if not inside.any():
        return picture
    if around is None:
        hidden = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=_MARGIN) > 0
        inside, around = hidden, ~hidden
    if not around.any():
        return np.full_like(picture, FLAT)
    weight, filled = around.astype(np.float32), picture * around[..., None].astype(np.float32)
    total, share = filled.copy(), weight.copy()
    sigma, factor = 2.0, 1.0
    while sigma < 2 * max(inside.shape):
        factor *= 1e-3  # nearer pixels decide wherever there are any
        total += factor * cv2.GaussianBlur(filled, (0, 0), sigma)
        share += factor * cv2.GaussianBlur(weight, (0, 0), sigma)
        sigma *= 4
    out = picture.copy()
    out[inside] = np.clip(np.rint((total / np.maximum(share, 1e-30)[..., None])[inside]), 0, 255)
    return out


def _boxes(policy: SenderPolicy, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for left, top, right, bottom in policy.boxes:
        yield (
            slice(int(top * height), max(int(top * height) + 1, int(np.ceil(bottom * height)))),
            slice(int(left * width), max(int(left * width) + 1, int(np.ceil(right * width)))),
        )


def let_out(stream: Stream, policy: SenderPolicy) -> Stream:
    """The stream without the layers that may not leave, with a notice of what is hidden where there is a place for it.

    The notice is a record of the keyframe layer; it tells the receiver that a grey thing is a policy, not a look.
    """
    kept_back = tuple(layer for layer in stream.spans if layer not in policy.layers)
    stream = stream.without(*kept_back) if kept_back else stream
    if not (policy.silhouettes or policy.withheld or policy.boxes) or "keyframe" not in policy.layers:
        return stream
    spans = {"keyframe": unit_frames(stream.info), **stream.spans}
    told = {
        name: getattr(policy, name) for name in ("silhouettes", "withheld", "boxes") if getattr(policy, name)
    }
    record = records.notice_record(json.dumps(told))
    units = dict(stream.units.get("keyframe", {}))
    before = records.read_records(units.get(0, b""), min(spans["keyframe"], stream.info.frames))
    units[0] = records.write_records([record, *before])
    return dataclasses.replace(stream, spans=spans, units={**stream.units, "keyframe": units})
