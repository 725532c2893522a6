"""Learned priors as integers: export once, then code with integer arithmetic only.

`export_factorised` and `export_conditional` turn trained parameters into a `PriorTables`, whose arrays are
what a decoder ships. Which table row a value uses is integer arithmetic on integer contexts
(`conditional_rows`), the rows are integers, and `encode_values`/`decode_values` code any integers: those
outside a row's window escape.

Source: integer networks Ballé, Johnston, Minnen 2019 (ICLR); the form is ours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from semjax._varint import read_varint, write_varint
from semjax.entropy import rans_host
from semjax.entropy.priors import CONTEXT_LIMIT, SCALES, factorised_bits, gaussian_bits, scale_of_step
from semjax.entropy.tables import quantise
from semjax.errors import InputError, StreamError

_FRACTION = 3  # means are exported in eighths
_WEIGHT = 8  # fractional bits of exported weights
_HIDDEN = 4  # fractional bits of exported hidden values
_PRECISION = 16
_MOST = 1 << 31  # values lie within +- this
_HEAD = "the list of escaped values"


class PriorTables(NamedTuple):
    """A prior as integers.

    rows int64 [R, K+1]: cumulative tables of precision 16; symbol k of row r stands for the value low[r] +
    k plus the value's own offset, the first and the last symbol for everything beyond. net: int32 arrays w0
    b0 w1 b1 of a conditional model, empty for a factorised one.
    """

    rows: np.ndarray
    low: np.ndarray
    net: dict


def _rows(bits) -> np.ndarray:
    """Quantise probabilities [R, K] given in bits; the ends take what lies beyond them."""
    mass = np.exp2(-np.asarray(bits, np.float64))
    spare = np.maximum(1 - mass.sum(-1), 2.0**-_PRECISION)
    mass[:, 0] += spare / 2
    mass[:, -1] += spare / 2
    return quantise(mass, _PRECISION)


def export_factorised(params: dict, radius: int = 32) -> PriorTables:
    """Export a factorised prior: one row a channel, window median - radius .. median + radius."""
    channels = params["matrix0"].shape[0]
    grid = jnp.arange(-4096, 4097, dtype=jnp.float32)[:, None] * jnp.ones(channels)
    mass = np.exp2(-np.asarray(factorised_bits(params, grid), np.float64))
    median = np.argmax(np.cumsum(mass, 0) >= 0.5 * mass.sum(0), 0) - 4096
    low = median - radius
    values = low[:, None] + np.arange(2 * radius + 1)
    bits = factorised_bits(params, jnp.asarray(values.T, jnp.float32)).T
    return PriorTables(_rows(bits), low.astype(np.int64), {})


def export_conditional(params: dict, radius: int = 64) -> PriorTables:
    """Export a conditional prior: a row for each (scale step, eighth of a mean), and its network as
    integers."""
    one = 1 << _WEIGHT
    net = {
        "w0": np.clip(np.round(np.asarray(params["w0"]) * one), -32767, 32767),
        "b0": np.round(np.asarray(params["b0"]) * one),
        "w1": np.clip(np.round(np.asarray(params["w1"]) * one), -32767, 32767),
        "b1": np.round(np.asarray(params["b1"]) * (one << _HIDDEN)),
    }
    reach = max(
        CONTEXT_LIMIT * np.abs(net["w0"]).sum(0).max() + np.abs(net["b0"]).max(),
        (CONTEXT_LIMIT << _HIDDEN) * np.abs(net["w1"]).sum(0).max() + np.abs(net["b1"]).max(),
    )
    if not reach < 2**30:
        raise InputError(
            f"the conditional prior's weights are too large for 32-bit integers (sums reach {reach:.3g}); "
            "train with weight decay or fewer hidden units."
        )
    eighth, step = np.meshgrid(np.arange(1 << _FRACTION) / (1 << _FRACTION), np.arange(SCALES))
    values = np.arange(-radius, radius + 1, dtype=np.float32)
    bits = gaussian_bits(values, eighth.reshape(-1, 1), scale_of_step(step.reshape(-1, 1).astype(np.float32)))
    low = np.full(eighth.size, -radius, np.int64)
    return PriorTables(_rows(bits), low, {k: v.astype(np.int32) for k, v in net.items()})


def conditional_rows(net: dict, context):
    """Return (row, offset) int32 [...] for integer contexts [..., D]: integers only, the same in NumPy and
    JAX.

    offset is the integer part of the mean: the value's symbol is value - offset - low[row].
    """
    xp = jnp if isinstance(context, jax.Array) else np
    x = xp.clip(context, -CONTEXT_LIMIT, CONTEXT_LIMIT).astype(xp.int32)
    h = xp.matmul(x, xp.asarray(net["w0"])) + xp.asarray(net["b0"])
    h = xp.clip(h >> (_WEIGHT - _HIDDEN), 0, CONTEXT_LIMIT << _HIDDEN)
    out = xp.matmul(h, xp.asarray(net["w1"])) + xp.asarray(net["b1"])
    half = 1 << (_WEIGHT + _HIDDEN - _FRACTION - 1)
    mean = (out[..., 0] + half) >> (_WEIGHT + _HIDDEN - _FRACTION)
    step = xp.clip((out[..., 1] + (1 << (_WEIGHT + _HIDDEN - 1))) >> (_WEIGHT + _HIDDEN), 0, SCALES - 1)
    return (step << _FRACTION) + (mean & ((1 << _FRACTION) - 1)), mean >> _FRACTION


def encode_values(values, tables: PriorTables, row, offset=0) -> bytes:
    """Encode integers [N] (|v| < 2^31), value i under table row[i] shifted by offset[i] (int or [N]).

    The payload: how many symbols are a row's first or last and how far beyond each of their values lies
    (base-128 numbers), then a rANS lane.
    """
    values = np.asarray(values, np.int64).ravel()
    row = np.broadcast_to(np.asarray(row, np.int64), values.shape)
    if values.size and np.abs(values).max() >= _MOST:
        raise InputError(f"values must lie within +-2^31, got {int(values[np.abs(values).argmax()])}.")
    last = tables.rows.shape[1] - 2
    wanted = values - offset - tables.low[row]
    symbols = np.clip(wanted, 0, last)
    beyond = np.abs(wanted - symbols)[(symbols == 0) | (symbols == last)]
    head = b"".join(write_varint(number) for number in [beyond.size, *beyond.tolist()])
    return head + rans_host.encode(symbols, tables.rows, row, precision=_PRECISION)


def decode_values(payload: bytes, count: int, tables: PriorTables, row, offset=0) -> np.ndarray:
    """Decode int64 [count] from what `encode_values` wrote with the same tables, rows and offsets.

    Raises StreamError if the numbers of escaped values do not fit the payload.
    """
    row = np.broadcast_to(np.asarray(row, np.int64), (count,))
    escapes, at = read_varint(payload, 0, min(count, len(payload)), _HEAD)
    beyond = np.zeros(escapes, np.int64)
    for k in range(escapes):
        beyond[k], at = read_varint(payload, at, 2 * _MOST, _HEAD)
    symbols = rans_host.decode(payload[at:], count, tables.rows, row, precision=_PRECISION).astype(np.int64)
    last = tables.rows.shape[1] - 2
    ends = np.flatnonzero((symbols == 0) | (symbols == last))
    if ends.size != escapes:
        raise StreamError(f"value payload is damaged: {ends.size} values escape, {escapes} were announced.")
    symbols[ends] += np.where(symbols[ends] == 0, -beyond, beyond)
    return symbols + offset + tables.low[row]
