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
from fractions import Fraction

import numpy as np

from semjax._varint import read_varint, write_varint
from semjax.errors import InputError, StreamError
from semjax.stream import crc
from semjax.types import LAYERS, ClipInfo

MAGIC = b"SMJ"
VERSION = 1
SYSTEMS = ("causal", "mirage", "lgvsc")
FLAG_PARTIAL = 0x01  # packets were dropped on purpose or lost: the body length is that of what is left
FLAG_SEALED = 0x80  # units are sealed (semjax.stream.sealed), and the header ends in their salt
HEADER_LIMIT, SALT_BYTES = 32, 16  # the salt comes on top
PACKET_OVERHEAD = 3
PART_BYTES = 511
SEQUENCES = 32
MAX_SIDE = 16383
MAX_FRAMES = (1 << 21) - 1
MAX_SPAN = 16383
MAX_PIXELS_PER_UNIT = 1 << 28  # bounds what a decoder holds at once: 4096 x 4096 x 16 frames
MAX_BODY = (1 << 28) - 1
_PART_WINDOW = 16  # parts missing at the head of a unit that still let its packet be recognised as one


@dataclasses.dataclass(frozen=True)
class Damage:
    """A stretch of the body that belongs to no whole packet, in bytes from the start of the body."""

    offset: int
    length: int


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
    header = _read_header(data)
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
    units, damage = _Parser(body, header).run()
    partial = header.partial or len(body) < header.body
    return Stream(header.info, header.spans, units, header.system, partial, tuple(damage), header.salt)


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """Cut the bytes of an undamaged stream into its header and its packets, without decoding any of them.

    Raises StreamError when a packet does not check.
    """
    header = _read_header(data)
    parser = _Parser(data[header.size :], header)
    parser.run()
    if parser.damage:
        raise StreamError(f"the stream is damaged at byte {header.size + parser.damage[0].offset}")
    return data[: header.size], [parser.body[a:b] for a, b in parser.extents]


def join(header, packets: Iterable[bytes], *, partial: bool | None = None) -> bytes:
    """Put packets behind a header again (the inverse of `split`), setting the length that it announces.

    `header` is the bytes that `split` gave; packets left out need `partial=True`.
    """
    fields = _read_header(header) if isinstance(header, bytes) else header
    body = b"".join(packets)
    if len(body) > MAX_BODY:
        raise InputError(f"a stream holds at most {MAX_BODY} bytes, this one would have {len(body)}")
    partial = fields.partial if partial is None else partial
    return _write_header(dataclasses.replace(fields, body=len(body), partial=partial)) + body


def ledger(data: bytes) -> dict[str, int]:
    """Bytes by use: one entry a layer, `container` (header, packet headers, damage) and `total`."""
    stream = unpack(data, allow_truncated=True)
    counts = {layer: sum(len(p) for p in stream.units.get(layer, {}).values()) for layer in LAYERS}
    return {"total": len(data), "container": len(data) - sum(counts.values()), **counts}


# ----------------------------------------------------------------------------------------------- header


@dataclasses.dataclass(frozen=True)
class _Header:
    info: ClipInfo
    spans: dict[str, int]
    system: str
    partial: bool
    salt: bytes = b""
    body: int = 0
    size: int = 0
    check: int = 0


def _header_fields(stream: Stream) -> _Header:
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
        _check_span(layer, span, info, InputError)
    if len(stream.salt) not in (0, SALT_BYTES):
        raise InputError(f"the salt of a sealed stream has {SALT_BYTES} bytes, not {len(stream.salt)}")
    return _Header(info, spans, stream.system, stream.partial, stream.salt)


def _check_span(layer: str, span: int, info: ClipInfo, error) -> None:
    if not 1 <= span <= MAX_SPAN:
        raise error(f"a unit of the {layer} layer spans 1 to {MAX_SPAN} frames, not {span}")
    dense = layer in ("contour", "texture")
    if dense and min(span, info.frames) * info.width * info.height > MAX_PIXELS_PER_UNIT:
        raise error(
            f"units of {span} frames of {info.width}x{info.height} are too large for the {layer} layer; "
            f"use shorter units (at most {MAX_PIXELS_PER_UNIT} pixels a unit)"
        )


def _write_header(header: _Header) -> bytes:
    info = header.info
    flags = (
        SYSTEMS.index(header.system) << 1 | FLAG_PARTIAL * header.partial | FLAG_SEALED * bool(header.salt)
    )
    numbers = [info.width, info.height, info.frames, info.fps.numerator, info.fps.denominator]
    numbers += [header.spans.get(layer, 0) for layer in LAYERS]
    out = MAGIC + bytes([VERSION, flags]) + b"".join(map(write_varint, [*numbers, header.body])) + header.salt
    return out + crc.crc16(out).to_bytes(2, "big")


def _read_header(data: bytes) -> _Header:
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
        _check_span(layer, span, info, StreamError)
    partial = bool(data[4] & FLAG_PARTIAL)
    return _Header(info, spans, SYSTEMS[system], partial, salt, numbers[9], at + 2, check)


# ---------------------------------------------------------------------------------------------- packets


def _preset(header: _Header) -> int:
    """The register every packet check starts from: packets of another clip do not pass for this one's."""
    numbers = [header.info.width, header.info.height, header.info.frames]
    numbers += [header.spans.get(layer, 0) for layer in LAYERS]
    return crc.crc8(b"".join(map(write_varint, numbers)))


def _packets(stream: Stream) -> list[bytes]:
    preset = _preset(_header_fields(stream))
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
                    packets = list(_unit_packets(preset, index, number, content))
                    keyed.append((number * stream.spans[layer], index, packets))
                last = unit
    return [packet for *_, packets in sorted(keyed, key=lambda k: k[:2]) for packet in packets]


def waymarks(last: int, unit: int) -> range:
    """The empty units that lead a reader from the unit `last` of a layer to `unit`: sequence numbers bridge 31."""
    return range(last + SEQUENCES, unit, SEQUENCES)


def waymark_packet(header: bytes, layer: str, unit: int) -> bytes:
    """The packet of an empty unit of the stream that `header` (as `split` gives it) belongs to."""
    return next(_unit_packets(_preset(_read_header(header)), LAYERS.index(layer), unit, b""))


def _unit_packets(preset: int, layer: int, unit: int, payload: bytes):
    # A payload that fills its last packet is followed by an empty one, so that its end is known.
    for part, at in enumerate(range(0, len(payload) + 1, PART_BYTES)):
        piece = payload[at : at + PART_BYTES]
        head = (layer << 14 | unit % SEQUENCES << 9 | len(piece)).to_bytes(2, "big")
        check = crc.crc8(bytes([part % 256]) + head + piece, preset)
        yield head + bytes([check]) + piece


class _Parser:
    """One pass over a body. `parts[o]` is the part number that the check of a packet at offset o implies."""

    BLOCK = 1 << 16

    def __init__(self, body: bytes, header: _Header):
        self.body, self.header, self.preset = body, header, _preset(header)
        self.units: dict[str, dict[int, bytes]] = {layer: {} for layer in header.spans}
        self.extents: list[tuple[int, int]] = []
        self.damage: list[Damage] = []
        self.last = dict.fromkeys(header.spans, -1)  # last unit begun, by layer
        self.open: dict[str, list[bytes]] = {}  # parts of the last unit where it goes on
        self.block, self.parts = -1, np.zeros(0, np.uint8)

    def run(self):
        at, size = 0, len(self.body)
        while at < size:
            end = self._end(at)
            if end is not None and self._take(at, end):
                self.extents.append((at, end))
                at = end
                continue
            after = self._resync(at, end)
            self.damage.append(Damage(at, after - at))
            at = after
        self.open.clear()
        return self.units, self.damage

    def _head(self, at: int) -> tuple[int, int, int]:
        head = self.body[at] << 8 | self.body[at + 1]
        return head >> 14, head >> 9 & 31, head & 511

    def _end(self, at: int) -> int | None:
        if at + PACKET_OVERHEAD > len(self.body):
            return None
        end = at + PACKET_OVERHEAD + self._head(at)[2]
        return end if end <= len(self.body) else None

    def _part(self, at: int) -> int:
        if at // self.BLOCK != self.block:
            self.block = at // self.BLOCK
            self.parts = _implied_parts(self.body, self.block * self.BLOCK, self.BLOCK, self.preset)
        return int(self.parts[at % self.BLOCK])

    def _unit(self, layer: str, sequence: int) -> int | None:
        """The unit that a packet beginning one would belong to, or None when the clip has no such unit."""
        unit = self.last[layer] + 1
        unit += (sequence - unit) % SEQUENCES
        return unit if unit * self.header.spans[layer] < self.header.info.frames else None

    def _take(self, at: int, end: int) -> bool:
        """Use the packet at `at` if it is the one expected next in its layer or begins a later unit."""
        index, sequence, _ = self._head(at)
        layer = LAYERS[index]
        if layer not in self.header.spans:
            return False
        part, pieces = self._part(at), self.open.get(layer)
        payload = self.body[at + PACKET_OVERHEAD : end]
        if pieces and sequence == self.last[layer] % SEQUENCES and part == len(pieces) % 256:
            pieces.append(payload)
        else:
            unit = self._unit(layer, sequence)
            if part != 0 or unit is None:
                return False
            self.last[layer] = unit
            pieces = self.open[layer] = [payload]
        if len(payload) < PART_BYTES:
            if any(pieces):
                self.units[layer][self.last[layer]] = b"".join(pieces)
            del self.open[layer]
        return True

    def _plausible(self, at: int, depth: int) -> bool:
        """Whether packets of this stream seem to follow from `at` on, looking `depth` packets ahead."""
        for _ in range(depth):
            if at == len(self.body):
                return True
            end = self._end(at)
            if end is None or self._part(at) >= _PART_WINDOW:
                return False
            index, sequence, _length = self._head(at)
            layer = LAYERS[index]
            if layer not in self.header.spans:
                return False
            going_on = sequence == self.last[layer] % SEQUENCES and self._part(at) > 0
            if not going_on and self._unit(layer, sequence) is None:
                return False
            at = end
        return True

    def _resync(self, at: int, end: int | None) -> int:
        """Offset of the next whole packet after damage at `at`; the end of the body if there is none."""
        if end is not None and self._plausible(end, 2):
            return end  # the length survived: only this packet is lost
        for after in range(at + 1, len(self.body)):
            if self._plausible(after, 3):
                return after
        return len(self.body)


def _implied_parts(body: bytes, start: int, count: int, preset: int) -> np.ndarray:
    """uint8 [count]: the part number for which a packet at each offset from `start` would check.

    255 where no packet fits. The part byte enters the check linearly, so the difference between the check that
    is there and the one for part 0, taken back over the bytes since, is the part.
    """
    window = body[start : start + count + PACKET_OVERHEAD + PART_BYTES]
    data = np.frombuffer(window, np.uint8)
    prefix = crc.prefixes(window)
    out = np.full(count, 255, np.uint8)
    n = min(count, len(data) - PACKET_OVERHEAD + 1)
    if n <= 0:
        return out
    at = np.arange(n)
    h0, h1, check = data[at], data[at + 1], data[at + 2]
    length = (h0.astype(np.int64) << 8 | h1) & 511
    end = at + PACKET_OVERHEAD + length
    fits = end <= len(data)
    end = np.where(fits, end, 0)
    zero_part = crc.advance(np.uint8(preset), 1)
    head = crc.advance(crc.advance(zero_part ^ h0, 1) ^ h1, 1)
    payload = prefix[end] ^ crc.advance(prefix[at + PACKET_OVERHEAD], length)
    difference = check ^ crc.advance(head, length) ^ payload
    parts = crc.advance(difference, -(length + 3))
    out[:n] = np.where(fits, parts, 255)
    return out
