"""Dropping packets at a node: whole units in a stated order, from the bytes alone (docs/policies.md).

A node sees framing (layer, sequence, length) and nothing else; it needs no key and decodes no layer, so sealed streams
are pruned like others. Units go as a whole, since a unit without all its packets is of no use.
"""

from collections.abc import Sequence

from semjax.errors import InputError, RateError
from semjax.stream.container import join, split, unpack, waymark_packet, waymarks
from semjax.stream.parser import PACKET_OVERHEAD, PART_BYTES, SEQUENCES
from semjax.types import LAYERS

ORDER = ("texture", "keyframe", "caption", "contour")  # layers in the order in which they give way

Unit = tuple[str, int, list[bytes]]  # layer, unit number, packets


def units_of(data: bytes) -> tuple[bytes, list[Unit]]:
    """The header of a stream and its units in sending order, those without content left out.

    Raises StreamError when the stream is damaged.
    """
    header, pieces = split(data)
    units: list[Unit] = []
    latest, going_on = dict.fromkeys(LAYERS, -1), {}
    for piece in pieces:
        layer = LAYERS[piece[0] >> 6]
        if layer in going_on:
            going_on[layer].append(piece)
        else:
            sequence = (piece[0] << 8 | piece[1]) >> 9 & (SEQUENCES - 1)
            latest[layer] += 1 + (sequence - latest[layer] - 1) % SEQUENCES
            units.append((layer, latest[layer], [piece]))
            going_on[layer] = units[-1][2]
        if len(piece) - PACKET_OVERHEAD < PART_BYTES:
            del going_on[layer]
    return header, [u for u in units if sum(map(len, u[2])) > PACKET_OVERHEAD]


def prune(data: bytes, bitrate: float, *, packet: int | None = None, order: Sequence[str] = ORDER) -> bytes:
    """The stream with as few units dropped as bring it to `bitrate` bits a second; its bytes if it is small enough.

    Layers give way as `order` says, one after the other (ORDER: texture, keyframe, caption, contour). Within a layer
    every other unit goes first, then every other one of the rest, later ones first, and the very first unit last, so
    that what is left stays evenly spread; contours go from the end. packet: units with packets of more bytes than
    this (their headers included) cannot pass at all.

    Raises InputError for an impossible rate, packet size or order, RateError when even the header is too much, and
    StreamError when the stream is damaged.
    """
    if not 0 < bitrate < float("inf"):
        raise InputError(f"the bitrate must be a positive number of bits a second, not {bitrate}")
    if packet is not None and packet <= PACKET_OVERHEAD:
        raise InputError(f"a packet has more than {PACKET_OVERHEAD} bytes, {packet} are too few")
    if sorted(order) != sorted(LAYERS):
        raise InputError(f"the order must name each of {', '.join(LAYERS)} once, not {list(order)}")
    header, units = units_of(data)
    room = int(bitrate * unpack(data).info.seconds / 8)
    left = [u for u in units if packet is None or max(map(len, u[2])) <= packet]
    doomed = sorted(left, key=lambda u: _rank(u[0], u[1], order), reverse=True)
    if len(left) == len(units) and len(data) <= room:
        return data
    while len(pruned := _joined(header, left)) > room:
        if not doomed:
            raise RateError(
                f"{bitrate:g} bit/s is too little for this stream: its header alone takes {len(header)} bytes, "
                f"and {room} are allowed"
            )
        excess, gone = len(pruned) - room, set()
        while doomed and excess > 0:
            layer, number, packets = doomed.pop()
            gone.add((layer, number))
            excess -= sum(map(len, packets))
        left = [u for u in left if u[:2] not in gone]
    return pruned


def _joined(header: bytes, units: Sequence[Unit]) -> bytes:
    """A stream of some of its units; empty ones lead through gaps that sequence numbers do not bridge."""
    packets, last = [], dict.fromkeys(LAYERS, -1)
    for layer, number, own in units:
        packets += [waymark_packet(header, layer, mark) for mark in waymarks(last[layer], number)]
        packets += own
        last[layer] = number
    return join(header, packets, partial=True)


def _rank(layer: str, unit: int, order: Sequence[str]) -> tuple[int, int, int]:
    """Sorts units by when they give way, the first to go first."""
    if layer == "contour":
        return order.index(layer), 0, -unit
    return (
        order.index(layer),
        unit & -unit if unit else 1 << 30,
        -unit,
    )  # the largest power of two that divides it
