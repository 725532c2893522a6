"""The 5G NR LDPC encoder (TS 38.212, sections 5.3.2 and 5.4.2) for whole batches."""

import functools

import jax
import numpy as np

from semjax.channel.codes import LdpcCode, read_table
from semjax.channel.crc import Bits, namespace
from semjax.errors import InputError


def ldpc_encode(bits: Bits, code: LdpcCode) -> Bits:
    """uint8 [..., k] -> uint8 [..., n]: encode, rate-match and interleave.

    NumPy bits are encoded by NumPy (nothing is compiled), JAX bits by a jitted function. jit- and vmap-able
    with `code` static. Raises InputError for bits of another length or, in NumPy, values other than 0 and 1.
    """
    xp, bits = namespace(bits)
    if bits.shape[-1] != code.k:
        raise InputError(f"this code takes {code.k} bits along the last axis, got {bits.shape[-1]}")
    return _encode_numpy(bits, code) if xp is np else _encode_jax(bits, code)


def mother_code(xp, bits, code: LdpcCode):
    """The whole codeword uint8 [..., columns * Z]; columns that the code does not use are 0."""
    layout = code.layout
    z, known = layout.z, layout.known
    head = xp.concatenate([bits, xp.zeros((*bits.shape[:-1], known * z - code.k), np.uint8)], axis=-1)
    core_rows, other_rows = layout.rows[:4], layout.rows[4:]
    partial = _parities(xp, head, [[e for e in row if e[0] < known] for row in core_rows], z)
    head = xp.concatenate([head, *_core_parity(xp, partial, layout)], axis=-1)
    extension = _parities(xp, head, [row[:-1] for row in other_rows], z)
    unused = xp.zeros_like(head[..., :z])
    own = dict(zip((row[-1][0] for row in other_rows), extension))
    return xp.concatenate([head, *(own.get(c, unused) for c in range(known + 4, layout.columns))], axis=-1)


def _parities(xp, head, rows, z):
    """What each row's bits of `head` add up to: a list of uint8 [..., Z]."""
    table = read_table(rows, z, head.shape[-1])
    padded = xp.concatenate([head, xp.zeros_like(head[..., :1])], axis=-1)
    zeros = xp.zeros((*head.shape[:-1], len(rows) * z), np.uint8)
    total = functools.reduce(lambda a, b: a ^ b, (padded[..., read.ravel()] for read in table), zeros)
    return [total[..., i * z : (i + 1) * z] for i in range(len(rows))]


def _core_parity(xp, partial, layout):
    """The four parity columns that the first four rows tie together, from what the rows' other bits add up to.

    In the sum of the four rows all but the first of them cancel, and so do two of its three shifts; then each
    row in turn has one unknown left, always with shift 0.
    """
    known, rows = layout.known, layout.rows[:4]
    shifts = [s for row in rows for c, s in row if c == known]
    shift = next(s for s in shifts if shifts.count(s) % 2)
    total = functools.reduce(lambda a, b: a ^ b, partial)
    found = {known: xp.roll(total, shift, axis=-1)}
    pending = list(range(4))
    while len(found) < 4:
        for i in pending:
            unknown = [c for c, _ in rows[i] if c >= known and c not in found and c < known + 4]
            if len(unknown) == 1:
                terms = [xp.roll(found[c], -s, axis=-1) for c, s in rows[i] if c in found]
                found[unknown[0]] = functools.reduce(lambda a, b: a ^ b, terms, partial[i])
                pending.remove(i)
                break
    return [found[known + i] for i in range(4)]


def _encode(xp, bits, code):
    return mother_code(xp, bits, code)[..., code.layout.sent]


def _encode_numpy(bits, code):
    return _encode(np, bits, code)


@functools.partial(jax.jit, static_argnames="code")
def _encode_jax(bits, code):
    return _encode(jax.numpy, bits, code)
