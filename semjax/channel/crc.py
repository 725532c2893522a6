"""Cyclic redundancy checks of TS 38.212, section 5.1: attach to bits, check bits.

A CRC is linear over GF(2), so it is one product with a table of the remainders of x^i: the same few lines serve
NumPy and JAX, single words and batches, eager and jit.
"""

import functools
from typing import TypeVar

import jax.numpy as jnp
import numpy as np

from semjax.channel import checks
from semjax.errors import InputError

Bits = TypeVar("Bits")  # a NumPy or JAX array of 0 and 1; the answer is of the same kind

# Generator polynomials without their leading term, TS 38.212 section 5.1.
POLYNOMIALS = {
    "24A": (24, 0x864CFB),
    "24B": (24, 0x800063),
    "24C": (24, 0xB2B117),
    "16": (16, 0x1021),
    "11": (11, 0x621),
    "6": (6, 0x21),
}


def crc_length(kind: str) -> int:
    """Number of check bits of the CRC `kind` ("24A", "24B", "24C", "16", "11" or "6")."""
    return POLYNOMIALS[checks.choice(kind, "the CRC", tuple(POLYNOMIALS))][0]


def crc_attach(bits: Bits, kind: str = "24A") -> Bits:
    """uint8 [..., A] -> uint8 [..., A + L]: the bits and behind them their check bits (register starts at 0)."""
    xp, bits = namespace(bits)
    return xp.concatenate([bits, _remainder(xp, bits, kind)], axis=-1)


def crc_check(bits: Bits, kind: str = "24A"):
    """uint8 [..., A + L] -> bool [...]: whether the last L bits are the check bits of those before them."""
    xp, bits = namespace(bits)
    length = crc_length(kind)
    if bits.shape[-1] < length:
        raise InputError(f"a word with a CRC-{kind} has at least {length} bits, got {bits.shape[-1]}")
    split = bits.shape[-1] - length
    return xp.all(_remainder(xp, bits[..., :split], kind) == bits[..., split:], axis=-1)


def namespace(bits):
    """(numpy, bits) for a NumPy array or a list, (jax.numpy, bits) for JAX; bits as uint8 with an axis.

    Raises InputError for anything that is not whole numbers, and (NumPy only) for values above 1.
    """
    xp = np if isinstance(bits, np.ndarray | list | tuple) else jnp
    array = xp.asarray(bits)
    if array.ndim == 0 or not (xp.issubdtype(array.dtype, xp.integer) or array.dtype == bool):
        raise InputError(f"bits must be whole numbers 0 and 1 along an axis, got {array.dtype} {array.shape}")
    if xp is np and array.size and not (array.min() >= 0 and array.max() <= 1):
        raise InputError(f"bits must be 0 or 1, got values {array.min()} to {array.max()}")
    return xp, array.astype(np.uint8)


def _remainder(xp, bits, kind):
    table = xp.asarray(_table(bits.shape[-1], kind))
    return (bits.astype(np.int32) @ table % 2).astype(np.uint8)


@functools.lru_cache(maxsize=256)
def _table(size: int, kind: str) -> np.ndarray:
    """int32 [size, L]: row i holds the remainder of x^(L + size - 1 - i), most significant bit first."""
    length, polynomial = POLYNOMIALS[checks.choice(kind, "the CRC", tuple(POLYNOMIALS))]
    rows = np.zeros((size, length), np.int32)
    remainder = polynomial
    for i in range(size - 1, -1, -1):
        rows[i] = [remainder >> (length - 1 - j) & 1 for j in range(length)]
        remainder = remainder << 1 ^ (polynomial | 1 << length if remainder >> (length - 1) & 1 else 0)
    return rows
