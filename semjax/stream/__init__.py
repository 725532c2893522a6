"""The container: layers in units, units in packets, packets in bytes (docs/bitstream.md is normative).

Stream             a clip's layers as units of bytes, with size, rate and spans
pack, unpack       Stream <-> bytes
split, join        bytes <-> header and packets, for a channel or a node that drops packets
ledger             where every byte went
"""

from semjax.stream.container import (
    HEADER_LIMIT,
    MAX_PIXELS_PER_UNIT,
    PACKET_OVERHEAD,
    SYSTEMS,
    VERSION,
    Damage,
    Stream,
    join,
    ledger,
    pack,
    split,
    unpack,
)

__all__ = [
    "HEADER_LIMIT",
    "MAX_PIXELS_PER_UNIT",
    "PACKET_OVERHEAD",
    "SYSTEMS",
    "VERSION",
    "Damage",
    "Stream",
    "join",
    "ledger",
    "pack",
    "split",
    "unpack",
]
