"""Packets out of a body that may be damaged: one pass, finding its way back behind what does not check."""

import dataclasses

import numpy as np

from semjax.stream import crc
from semjax.stream.header import Header, preset
from semjax.types import LAYERS

PACKET_OVERHEAD = 3
PART_BYTES = 511
SEQUENCES = 32
_PART_WINDOW = 16  # parts missing at the head of a unit that still let its packet be recognised as one


@dataclasses.dataclass(frozen=True)
class Damage:
    """A stretch of the body that belongs to no whole packet, in bytes from the start of the body."""

    offset: int
    length: int


class Parser:
    """One pass over a body. `parts[o]` is the part number that the check of a packet at offset o implies."""

    BLOCK = 1 << 16

    def __init__(self, body: bytes, header: Header):
        self.body, self.header, self.preset = body, header, preset(header)
        self.units: dict[str, dict[int, bytes]] = {layer: {} for layer in header.spans}
        self.extents: list[tuple[int, int]] = []
        self.damage: list[Damage] = []
        self.last = dict.fromkeys(header.spans, -1)  # last unit begun, by layer
        self.open: dict[str, list[bytes]] = {}  # parts of the last unit where it goes on
        self.block, self.parts = -1, np.zeros(0, np.uint8)

    def run(self) -> tuple[dict[str, dict[int, bytes]], list[Damage]]:
        """The units by layer and number, and the damage."""
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
            self.parts = implied_parts(self.body, self.block * self.BLOCK, self.BLOCK, self.preset)
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


def implied_parts(body: bytes, start: int, count: int, register: int) -> np.ndarray:
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
    zero_part = crc.advance(np.uint8(register), 1)
    head = crc.advance(crc.advance(zero_part ^ h0, 1) ^ h1, 1)
    payload = prefix[end] ^ crc.advance(prefix[at + PACKET_OVERHEAD], length)
    difference = check ^ crc.advance(head, length) ^ payload
    parts = crc.advance(difference, -(length + 3))
    out[:n] = np.where(fits, parts, 255)
    return out
