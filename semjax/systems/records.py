"""Units of the two sparse layers, caption and keyframe: a few records, each for some frame of the unit.

unit   := record*
record := varint offset, varint size, body     size 0: the body reaches to the end of the unit
"""

import contextlib
import math
from collections.abc import Iterator, Sequence

from semjax import entropy, stills
from semjax._varint import read_varint, write_varint
from semjax.errors import SemjaxError, StreamError
from semjax.stream import Stream
from semjax.types import Caption, ClipInfo, Keyframe

WHAT = "a record of the stream"
TOKENS, MOTION, NOTICE = (
    2,
    3,
    4,
)  # kinds of keyframe records that are no stills: the first byte of their bodies
_NOTICE_VERSION = 1
CUT = 255  # of a motion byte: the next keyframe shows another scene
_MOTION_STEPS = 16  # of a motion byte for a doubling of 1 + 8 times the score


def write_records(records: Sequence[tuple[int, bytes]]) -> bytes:
    """Join (offset, body) records to one unit; the last one's size is left out."""
    out = b""
    for i, (offset, body) in enumerate(records):
        out += write_varint(offset) + write_varint(0 if i == len(records) - 1 else len(body)) + body
    return out


def read_records(unit: bytes, frames: int) -> list[tuple[int, bytes]]:
    """The records of a unit of `frames` frames. Raises StreamError for sizes or offsets that cannot be."""
    at, records = 0, []
    while at < len(unit):
        offset, at = read_varint(unit, at, frames - 1, WHAT)
        size, at = read_varint(unit, at, len(unit), WHAT)
        end = at + size if size else len(unit)
        if end > len(unit):
            raise StreamError("a record of the stream is damaged")
        records.append((offset, unit[at:end]))
        at = end
    return records


def _units(entries: Sequence[tuple[int, bytes]], span: int) -> dict[int, bytes]:
    grouped: dict[int, list[tuple[int, bytes]]] = {}
    for frame, body in sorted(entries, key=lambda e: e[0]):
        grouped.setdefault(frame // span, []).append((frame % span, body))
    return {unit: write_records(records) for unit, records in grouped.items()}


def caption_units(captions: Sequence[Caption], info: ClipInfo, span: int) -> dict[int, bytes]:
    """Units of the caption layer. A body is varint duration (0: to the end of the clip) and the coded text."""
    entries = []
    for caption in captions:
        to_end = caption.last >= info.frames - 1
        duration = 0 if to_end else caption.last - caption.first + 1
        entries.append((caption.first, write_varint(duration) + entropy.encode_text(caption.text)))
    return _units(entries, span)


def keyframe_units(records: Sequence[tuple[int, bytes]], span: int) -> dict[int, bytes]:
    """Units of the keyframe layer from (frame number, body) pairs."""
    return _units(records, span)


def motion_byte(score: float) -> int:
    """The byte, 0 to 254, of a motion score (pixels from frame to frame at a width of 576)."""
    return min(CUT - 1, round(_MOTION_STEPS * math.log2(1 + 8 * max(score, 0.0))))


def motion_score(byte: int) -> float:
    """The score that a motion byte stands for."""
    return (2 ** (byte / _MOTION_STEPS) - 1) / 8


def read_captions(units: Sequence[bytes | None], info: ClipInfo, span: int) -> tuple[list[Caption], int]:
    """The captions that arrived, and how many units could not be read."""
    captions, bad = [], 0
    for number, unit in enumerate(units):
        first = number * span
        try:
            for offset, body in read_records(unit or b"", min(span, info.frames - first)):
                duration, at = read_varint(body, 0, info.frames, WHAT)
                start = first + offset
                last = min(start + duration - 1, info.frames - 1) if duration else info.frames - 1
                captions.append(Caption(start, last, entropy.decode_text(body[at:])))
        except SemjaxError:
            bad += 1
    return captions, bad


def read_keyframes(unit: bytes | None, first: int, frames: int, info: ClipInfo) -> tuple[list[Keyframe], int]:
    """The pictures of one unit of the keyframe layer that begins at frame `first`, and how many are damaged."""
    pictures, bad = [], 0
    try:
        records = read_records(unit or b"", frames)
    except StreamError:
        return [], 1
    for offset, body in records:
        if not is_still(body):
            continue
        try:
            pictures.append(Keyframe(first + offset, stills.decode_still(body, info.height, info.width)))
        except StreamError:
            bad += 1
    return pictures, bad


def is_still(body: bytes) -> bool:
    """Whether the body of a keyframe record is that of a picture."""
    return body[:1] in (b"\0", b"\1")


def notice_record(text: str) -> tuple[int, bytes]:
    """The record of the first frame that says what the sender hides."""
    return 0, bytes([NOTICE, _NOTICE_VERSION]) + entropy.encode_text(text)


def notices(stream: Stream) -> list[str]:
    """What the sender says that it hides: JSON of a few fields of its policy, mostly none."""
    found = []
    for _, body in keyframe_records(stream):
        if body[:2] == bytes([NOTICE, _NOTICE_VERSION]):
            with contextlib.suppress(StreamError):
                found.append(entropy.decode_text(body[2:]))
    return found


def keyframe_records(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """(frame, body) of the records of a stream's keyframe layer in order, those of damaged units left out."""
    span = stream.spans.get("keyframe", 1)
    for number, unit in sorted(stream.units.get("keyframe", {}).items()):
        first = number * span
        try:
            records = read_records(unit, min(span, stream.info.frames - first))
        except StreamError:
            continue
        yield from sorted(((first + offset, body) for offset, body in records), key=lambda r: r[0])
