"""The container: layers in units, units in packets, packets in bytes (docs/bitstream.md is normative).

Stream             a clip's layers as units of bytes, with size, rate and spans
pack, unpack       Stream <-> bytes
split, join        bytes <-> header and packets, for a channel or a node that drops packets
ledger             where every byte went
seal, unseal       end-to-end encryption and authentication of every unit (semjax.stream.sealed)
prune              packets dropped in a stated order until a rate is met, without decoding anything
"""

from semjax.stream.container import Stream, join, ledger, pack, split, unpack
from semjax.stream.header import HEADER_LIMIT, MAX_PIXELS_PER_UNIT, SYSTEMS, VERSION
from semjax.stream.parser import PACKET_OVERHEAD, Damage
from semjax.stream.pruning import ORDER, prune
from semjax.stream.sealed import read_key, seal, unseal

__all__ = [
    "HEADER_LIMIT",
    "MAX_PIXELS_PER_UNIT",
    "ORDER",
    "PACKET_OVERHEAD",
    "SYSTEMS",
    "VERSION",
    "Damage",
    "Stream",
    "join",
    "ledger",
    "pack",
    "prune",
    "read_key",
    "seal",
    "split",
    "unpack",
    "unseal",
]
