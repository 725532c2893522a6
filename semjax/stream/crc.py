"""CRC-8 of packets and its algebra, CRC-16 of the header.

The packet check uses the primitive polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x1D): it finds every error burst
of up to 8 bits, hence every changed byte. Because a CRC is linear, the check of any range of a buffer follows
from prefix values in constant time; the search for the next whole packet after damage rests on that.
"""

import binascii
import functools

import numpy as np

POLYNOMIAL = 0x1D


@functools.cache
def _table() -> bytes:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = ((byte << 1) ^ POLYNOMIAL) & 0xFF if byte & 0x80 else byte << 1
        table.append(byte)
    return bytes(table)


def crc8(data: bytes, start: int = 0) -> int:
    """CRC-8 of `data`, most significant bit first, register preset to `start`, no final xor."""
    table = _table()
    for byte in data:
        start = table[start ^ byte]
    return start


def crc16(data: bytes) -> int:
    """CRC-16/CCITT (polynomial 0x1021, preset 0xFFFF) of `data`."""
    return binascii.crc_hqx(data, 0xFFFF)


@functools.cache
def _advance_table() -> np.ndarray:
    """uint8 [255, 256]: the register after n zero bytes, for n modulo 255 (the order of x^8)."""
    table = np.frombuffer(_table(), np.uint8)
    rows = [np.arange(256, dtype=np.uint8)]
    for _ in range(254):
        rows.append(table[rows[-1]])
    return np.stack(rows)


def advance(register, count):
    """The CRC register(s) after `count` zero bytes more; arrays broadcast."""
    return _advance_table()[np.asarray(count) % 255, register]


def prefixes(data: bytes) -> np.ndarray:
    """uint8 [n + 1]: the CRC-8 of every prefix of `data`, register preset to 0."""
    table, value = _table(), 0
    out = bytearray(len(data) + 1)
    for i, byte in enumerate(data):
        value = table[value ^ byte]
        out[i + 1] = value
    return np.frombuffer(bytes(out), np.uint8)
