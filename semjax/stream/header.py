"""The header of a stream: size, rate, spans, and what its packets' checks start from."""

import dataclasses
from fractions import Fraction

from semjax._varint import read_varint, write_varint
from semjax.errors import StreamError
from semjax.stream import crc
from semjax.types import LAYERS, ClipInfo

MAGIC = b"SMJ"
VERSION = 1
SYSTEMS = ("causal", "mirage", "lgvsc")
FLAG_PARTIAL = 0x01  # packets were dropped on purpose or lost: the body length is that of what is left
FLAG_SEALED = 0x80  # units are sealed (semjax.stream.sealed), and the header ends in their salt
HEADER_LIMIT, SALT_BYTES = 32, 16  # the salt comes on top
MAX_SIDE = 16383
MAX_FRAMES = (1 << 21) - 1
MAX_SPAN = 16383
MAX_PIXELS_PER_UNIT = 1 << 28  # bounds what a decoder holds at once: 4096 x 4096 x 16 frames
MAX_BODY = (1 << 28) - 1


@dataclasses.dataclass(frozen=True)
class Header:
    """What a header says. body: bytes of the packets; size: the header's own; check: its CRC, as read."""

    info: ClipInfo
    spans: dict[str, int]
    system: str
    partial: bool
    salt: bytes = b""
    body: int = 0
    size: int = 0
    check: int = 0


def check_span(layer: str, span: int, info: ClipInfo, error: type[Exception]) -> None:
    """Raise `error` for a span that the format, or a decoder's memory, does not allow."""
    if not 1 <= span <= MAX_SPAN:
        raise error(f"a unit of the {layer} layer spans 1 to {MAX_SPAN} frames, not {span}")
    dense = layer in ("contour", "texture")
    if dense and min(span, info.frames) * info.width * info.height > MAX_PIXELS_PER_UNIT:
        raise error(
            f"units of {span} frames of {info.width}x{info.height} are too large for the {layer} layer; "
            f"use shorter units (at most {MAX_PIXELS_PER_UNIT} pixels a unit)"
        )


def write_header(header: Header) -> bytes:
    """The bytes of a header."""
    info = header.info
    flags = (
        SYSTEMS.index(header.system) << 1 | FLAG_PARTIAL * header.partial | FLAG_SEALED * bool(header.salt)
    )
    numbers = [info.width, info.height, info.frames, info.fps.numerator, info.fps.denominator]
    numbers += [header.spans.get(layer, 0) for layer in LAYERS]
    out = MAGIC + bytes([VERSION, flags]) + b"".join(map(write_varint, [*numbers, header.body])) + header.salt
    return out + crc.crc16(out).to_bytes(2, "big")


def read_header(data: bytes) -> Header:
    """The header at the beginning of some bytes. Raises StreamError for anything else, and for damage."""
    if len(data) < 5 or data[:3] != MAGIC:
        raise StreamError("this is not a semjax stream (it does not begin with SMJ)")
    if data[3] != VERSION:
        raise StreamError(f"the stream is of version {data[3]}; this semjax reads version {VERSION}")
    at, numbers = 5, []
    limits = [MAX_SIDE, MAX_SIDE, MAX_FRAMES, MAX_FRAMES, MAX_SIDE, *[MAX_SPAN] * 4, MAX_BODY]
    for limit in limits:
        value, at = read_varint(data, at, limit, "the stream's header")
        numbers.append(value)
    salt = data[at : at + SALT_BYTES] if data[4] & FLAG_SEALED else b""
    at += SALT_BYTES * bool(data[4] & FLAG_SEALED)
    if len(data) < at + 2:
        raise StreamError("the stream is truncated inside its header; fetch it again")
    check = int.from_bytes(data[at : at + 2], "big")
    width, height, frames, num, den = numbers[:5]
    system = (data[4] & ~FLAG_SEALED) >> 1
    if check != crc.crc16(data[:at]) or not all(numbers[:5]) or system >= len(SYSTEMS):
        raise StreamError("the stream's header is damaged; fetch it again")
    info = ClipInfo(frames, width, height, Fraction(num, den))
    spans = {layer: span for layer, span in zip(LAYERS, numbers[5:9]) if span}
    for layer, span in spans.items():
        check_span(layer, span, info, StreamError)
    partial = bool(data[4] & FLAG_PARTIAL)
    return Header(info, spans, SYSTEMS[system], partial, salt, numbers[9], at + 2, check)


def preset(header: Header) -> int:
    """The register every packet check starts from: packets of another clip do not pass for this one's."""
    numbers = [header.info.width, header.info.height, header.info.frames]
    numbers += [header.spans.get(layer, 0) for layer in LAYERS]
    return crc.crc8(b"".join(map(write_varint, numbers)))
