"""Streams to bytes and back (normative description: docs/bitstream.md).

    stream  := header packet*
    header  := "SMJ" version flags varint{width height frames fps_num fps_den span*4 body} salt? crc16
    packet  := layer:2 sequence:5 length:9 check:8 payload[length]

A layer's frames are divided into units of `span` frames; unit u holds frames [u * span, (u + 1) * span). A
packet names its unit by the unit number modulo 32 and its place in the unit by the check, whose register is
preset with the part number. A payload of 511 bytes says that the unit goes on in the layer's next packet.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from semjax.errors import InputError, StreamError
from semjax.stream import crc
from semjax.stream.header import (
    MAX_BODY,
    MAX_FRAMES,
    MAX_SIDE,
    SALT_BYTES,
    SYSTEMS,
    Header,
    check_span,
    preset,
    read_header,
    write_header,
)
from semjax.stream.parser import PART_BYTES, SEQUENCES, Damage, Parser
from semjax.types import LAYERS, ClipInfo


@dataclasses.dataclass(frozen=True)
class Stream:
    """A clip's layers, each cut into units.

    spans: frames per unit, one entry for each layer that may occur.
    units: for each layer, unit number -> payload; what is not there is missing or was never sent.
    partial: packets were dropped or lost on the way. damage: what `unpack` could not read. salt: of sealed units
    (semjax.stream.sealed), 16 bytes; empty: the units are as the layers wrote them.
    """

    info: ClipInfo
    spans: Mapping[str, int]
    units: Mapping[str, Mapping[int, bytes]]
    system: str = "causal"
    partial: bool = False
    damage: tuple[Damage, ...] = ()
    salt: bytes = b""

    def unit_count(self, layer: str) -> int:
        """Number of units that the layer's frames make, sent or not; 0 for an absent layer."""
        span = self.spans.get(layer, 0)
        return -(-self.info.frames // span) if span else 0

    def layer(self, layer: str) -> list[bytes | None]:
        """The layer's units in order; None where nothing (whole) arrived."""
        units = self.units.get(layer, {})
        return [units.get(u) for u in range(self.unit_count(layer))]

    def without(self, *layers: str) -> "Stream":
        """The same stream with the named layers dropped."""
        kept = {name: units for name, units in self.units.items() if name not in layers}
        spans = {name: span for name, span in self.spans.items() if name not in layers}
        return dataclasses.replace(self, units=kept, spans=spans, partial=True)


def pack(stream: Stream) -> bytes:
    """Write a stream as bytes: the header, then packets ordered by first frame and layer.

    Raises InputError when a size is outside the format's limits.
    """
    return join(_header_fields(stream), _packets(stream))


def unpack(data: bytes, *, allow_truncated: bool = False) -> Stream:
    """Read a stream; damaged packets are left out and listed in `damage`.

    Raises StreamError for no semjax stream, another version, a damaged header, or (unless `allow_truncated`)
    fewer bytes than the header announces.
    """
    header = read_header(data)
    body = data[header.size :]
    if len(body) < header.body and not allow_truncated:
        raise StreamError(
            f"the stream is truncated: {len(data)} bytes are here, {header.size + header.body} were written; "
            "fetch it again, or decode what is there with --allow-truncated"
        )
    if len(body) > header.body:
        raise StreamError(
            f"{len(body) - header.body} bytes follow the end of the stream: the file is not one stream"
        )
    units, damage = Parser(body, header).run()
    partial = header.partial or len(body) < header.body
    return Stream(header.info, header.spans, units, header.system, partial, tuple(damage), header.salt)


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """Cut the bytes of an undamaged stream into its header and its packets, without decoding any of them.

    Raises StreamError when a packet does not check.
    """
    header = read_header(data)
    parser = Parser(data[header.size :], header)
    parser.run()
    if parser.damage:
        raise StreamError(f"the stream is damaged at byte {header.size + parser.damage[0].offset}")
    return data[: header.size], [parser.body[a:b] for a, b in parser.extents]


def join(header, packets: Iterable[bytes], *, partial: bool | None = None) -> bytes:
    """Put packets behind a header again (the inverse of `split`), setting the length that it announces.

    `header` is the bytes that `split` gave; packets left out need `partial=True`.
    """
    fields = read_header(header) if isinstance(header, bytes) else header
    body = b"".join(packets)
    if len(body) > MAX_BODY:
        raise InputError(f"a stream holds at most {MAX_BODY} bytes, this one would have {len(body)}")
    partial = fields.partial if partial is None else partial
    return write_header(dataclasses.replace(fields, body=len(body), partial=partial)) + body


def ledger(data: bytes) -> dict[str, int]:
    """Bytes by use: one entry a layer, `container` (header, packet headers, damage) and `total`."""
    stream = unpack(data, allow_truncated=True)
    counts = {layer: sum(len(p) for p in stream.units.get(layer, {}).values()) for layer in LAYERS}
    return {"total": len(data), "container": len(data) - sum(counts.values()), **counts}


def _header_fields(stream: Stream) -> Header:
    info, spans = stream.info, {k: v for k, v in stream.spans.items() if v}
    unknown = set(spans) | set(stream.units)
    unknown -= set(LAYERS)
    if unknown:
        raise InputError(f"unknown layers {sorted(unknown)}; a stream has {', '.join(LAYERS)}")
    if stream.system not in SYSTEMS:
        raise InputError(f"unknown system {stream.system!r}; one of {', '.join(SYSTEMS)}")
    if not (1 <= info.width <= MAX_SIDE and 1 <= info.height <= MAX_SIDE):
        raise InputError(f"pictures are 1 to {MAX_SIDE} pixels a side, not {info.width}x{info.height}")
    if not 1 <= info.frames <= MAX_FRAMES:
        raise InputError(f"a stream holds 1 to {MAX_FRAMES} frames, not {info.frames}")
    if not (0 < info.fps.numerator <= MAX_FRAMES and info.fps.denominator <= MAX_SIDE):
        raise InputError(f"the frame rate {info.fps} cannot be written; give a simpler fraction")
    for layer, span in spans.items():
        check_span(layer, span, info, InputError)
    if len(stream.salt) not in (0, SALT_BYTES):
        raise InputError(f"the salt of a sealed stream has {SALT_BYTES} bytes, not {len(stream.salt)}")
    return Header(info, spans, stream.system, stream.partial, stream.salt)


def _packets(stream: Stream) -> list[bytes]:
    register = preset(_header_fields(stream))
    keyed = []
    for index, layer in enumerate(LAYERS):
        last = -1
        for unit, payload in sorted(stream.units.get(layer, {}).items()):
            if not 0 <= unit < stream.unit_count(layer):
                raise InputError(
                    f"the {layer} layer has {stream.unit_count(layer)} units, none has number {unit}"
                )
            if payload:
                for number, content in (*((m, b"") for m in waymarks(last, unit)), (unit, bytes(payload))):
                    packets = list(_unit_packets(register, index, number, content))
                    keyed.append((number * stream.spans[layer], index, packets))
                last = unit
    return [packet for *_, packets in sorted(keyed, key=lambda k: k[:2]) for packet in packets]


def waymarks(last: int, unit: int) -> range:
    """The empty units that lead a reader from the unit `last` of a layer to `unit`: sequence numbers bridge 31."""
    return range(last + SEQUENCES, unit, SEQUENCES)


def waymark_packet(header: bytes, layer: str, unit: int) -> bytes:
    """The packet of an empty unit of the stream that `header` (as `split` gives it) belongs to."""
    return next(_unit_packets(preset(read_header(header)), LAYERS.index(layer), unit, b""))


def _unit_packets(register: int, layer: int, unit: int, payload: bytes):
    # A payload that fills its last packet is followed by an empty one, so that its end is known.
    for part, at in enumerate(range(0, len(payload) + 1, PART_BYTES)):
        piece = payload[at : at + PART_BYTES]
        head = (layer << 14 | unit % SEQUENCES << 9 | len(piece)).to_bytes(2, "big")
        check = crc.crc8(bytes([part % 256]) + head + piece, register)
        yield head + bytes([check]) + piece
