"""rANS in JAX: unsigned 32-bit integers only, works under jit, vmap, scan and inside other people's jitted
code.

Two interfaces:

- a message: `encode` and `decode` for arrays of symbols, in order (first in, first out): symbols are pushed
from
  the last to the first so that decoding pops them from the first to the last. One lane a call; `jax.vmap`
  makes any number of lanes, `pack` joins them into bytes. The host twin `rans_host` writes and reads the
  same bytes.
- a stack (last in, first out): `new_stack`, `push`, `pop`, for bits-back schemes and models that interleave.

A *row* is a cumulative table uint32 [K+1] from `tables.quantise`; a message uses one row for every symbol
([K+1]), a row of its own for each symbol ([N, K+1]), or rows [R, K+1] with an index [N].

Format of a lane (normative text in docs/entropy.md): state of 3 bytes up to precision 12, else 4, most
significant first; then the bytes that the decoder takes in, at most 2 a symbol, when its state falls below
2^16 (2^24). Past the end it takes in a hash of its own state, which lets the encoder leave the last byte
unsent. Source: Duda 2013 (arXiv:1311.2540), range variant with byte-wise renormalisation; end of message
ours.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, UInt8, UInt32

from semjax.entropy.tables import PRECISION

TRIES, REACH = 4096, 4096  # as in rans_host: the search for a payload one byte shorter
_MOST_SLOTS = 1 << 22  # above it a decoder compares with the row instead of looking the slot up


def _top(precision: int) -> int:
    """Bits of a lane's state."""
    return 24 if precision <= 12 else 32


class Stack(NamedTuple):
    """A rANS stack: `state` uint32 [], `size` int32 [] bytes used of `data` uint8 [capacity]."""

    state: UInt32[Array, ""]
    size: Int32[Array, ""]
    data: UInt8[Array, " C"]


def new_stack(capacity: int, precision: int = PRECISION) -> Stack:
    """Return an empty stack for `capacity` bytes (2 bytes a symbol are always enough)."""
    low = jnp.uint32(1 << (_top(precision) - 8))
    return Stack(low, jnp.int32(0), jnp.zeros(capacity, jnp.uint8))


def _spill(x, f, precision: int):
    """Return (x after writing, first byte, second byte, bytes written 0..2): make room for a symbol of f
    slots."""
    shift = jnp.uint32(_top(precision) - precision)
    b0 = x.astype(jnp.uint8)
    one = (x >> shift) >= f
    x = jnp.where(one, x >> 8, x)
    b1 = x.astype(jnp.uint8)
    two = (x >> shift) >= f
    x = jnp.where(two, x >> 8, x)
    return x, b0, b1, one.astype(jnp.int32) + two.astype(jnp.int32)


def _advance(x, start, f, precision: int):
    """Return the state after pushing a symbol with f slots from `start` on."""
    q = x // f
    return (q << precision) + start + (x - q * f)


def push(stack: Stack, start, freq, *, precision: int = PRECISION) -> Stack:
    """Push a symbol that owns slots start .. start+freq-1 (freq >= 1) of 2^precision.

    Bytes beyond the stack's capacity are lost: `size` > capacity tells.
    """
    start, freq = jnp.uint32(start), jnp.uint32(freq)
    x, b0, b1, count = _spill(stack.state, freq, precision)
    capacity = stack.data.shape[0]
    data = stack.data.at[jnp.where(count > 0, stack.size, capacity)].set(b0, mode="drop")
    data = data.at[jnp.where(count > 1, stack.size + 1, capacity)].set(b1, mode="drop")
    return Stack(_advance(x, start, freq, precision), stack.size + count, data)


def pop(stack: Stack, row, *, precision: int = PRECISION) -> tuple[Int32[Array, ""], Stack]:
    """Pop the last pushed symbol under its row (uint32 [K+1]): returns (symbol, stack). An empty stack
    yields zeros."""
    slot = stack.state & jnp.uint32((1 << precision) - 1)
    symbol = _owner(row, slot)
    x = (row[symbol + 1] - row[symbol]) * (stack.state >> precision) + slot - row[symbol]
    size = stack.size
    for _ in range(2):
        need = x < jnp.uint32(1 << (_top(precision) - 8))
        byte = jnp.where(size > 0, stack.data[jnp.maximum(size - 1, 0)], 0).astype(jnp.uint32)
        x = jnp.where(need, (x << 8) | byte, x)
        size = jnp.where(need, jnp.maximum(size - 1, 0), size)
    return symbol, Stack(x, size, stack.data)


def _owner(row, slot):
    """Return the symbol (int32) whose slots contain `slot`."""
    return jnp.sum(row[1:-1] <= slot).astype(jnp.int32)


def _spans(symbols, rows, index):
    """Return (first slot, slot count) uint32 [N] of each symbol in its row."""
    symbols = symbols.astype(jnp.int32)
    if index is not None:
        start, end = rows[index, symbols], rows[index, symbols + 1]
    elif rows.ndim == 2:
        start = jnp.take_along_axis(rows, symbols[:, None], 1)[:, 0]
        end = jnp.take_along_axis(rows, symbols[:, None] + 1, 1)[:, 0]
    else:
        start, end = rows[symbols], rows[symbols + 1]
    return start, end - start


def _past_end(x):
    """Return the byte (uint32) that a lane yields when it has none left, to a decoder whose state is x."""
    x = x * jnp.uint32(0x9E3779B1)
    return ((x ^ (x >> 15)) * jnp.uint32(0x85EBCA6B)) >> 24


def _start(start, freq, precision: int, count: int):
    """Return (the state after the last symbol, whether the lane's last byte need not be sent).

    Any state with the right slot would do; taken is the smallest of `count` whose lane ends in the byte
    that the decoder assumes past the end.
    """
    top, n = _top(precision), start.shape[0]
    base = jnp.uint32(1 << (top - 8 - precision))
    c, f = start[n - 1], freq[n - 1]
    if not count:
        return (base << precision) + c, jnp.bool_(False)
    tries = jnp.arange(count, dtype=jnp.uint32)
    x = ((base + tries // f) << precision) + c + tries % f

    def looking(carry):
        i, _, written = carry
        return (i >= max(n - 1 - REACH, 0)) & ~written.all()

    def step(carry):
        i, x, written = carry
        written |= (x >> (top - precision)) >= freq[i]
        return i - 1, jnp.where(written, x, _advance(x, start[i], freq[i], precision)), written

    _, end, written = lax.while_loop(looking, step, (jnp.int32(n - 2), x, jnp.zeros(count, bool)))
    good = ((end & 255) == _past_end(end >> 8)) & (tries // f < 15 * base)
    if n - 1 > REACH:  # in a shorter message, a lane that never writes ends in its state's last byte
        good &= written
    return jnp.where(good.any(), x[jnp.argmax(good)], (base << precision) + c), good.any()


@partial(jax.jit, static_argnames=("precision", "tries"))
def encode(symbols, rows, index=None, *, precision: int = PRECISION, tries: int = TRIES):
    """Encode symbols [N] (N >= 1) into one lane.

    Args:
        symbols: integers in 0..K-1, each with at least one slot (not checked: this is jitted code).
        rows: uint32 [K+1], [N, K+1], or [R, K+1] with index; from `tables.quantise`.
        index: integers [N] in 0..R-1, or None.
        tries: how long to search for a payload one byte shorter; 0 (the same for every lane) saves time
        where vmap
            makes many lanes.

    Returns: (data uint8 [2N+4], size int32): the payload is data[:size], everything after it is zero.
    """
    rows = jnp.asarray(rows).astype(jnp.uint32)
    return encode_spans(*_spans(jnp.asarray(symbols), rows, index), precision=precision, tries=tries)


@partial(jax.jit, static_argnames=("precision", "tries"))
def encode_spans(start, freq, *, precision: int = PRECISION, tries: int = TRIES):
    """Encode symbols given by their slots: symbol i owns start[i] .. start[i] + freq[i] - 1 (uint32 [N],
    freq >= 1).

    For models whose rows change from symbol to symbol. Returns what `encode` returns.
    """
    n, width = start.shape[0], _top(precision) // 8

    size = 2 * n + 4
    # The decoder reads the bytes last to first, after the state: they are written from the end of `data` down.
    # Two at a time, due or not: what was not due is overwritten by what comes next.

    def step(carry, span):
        x, at, data = carry
        x, b0, b1, count = _spill(x, span[1], precision)
        data = lax.dynamic_update_slice(data, jnp.stack([b1, b0]), (at - 2,))
        return (_advance(x, span[0], span[1], precision), at - count, data), None

    x, short = _start(start, freq, precision, tries)
    (x, at, data), _ = lax.scan(
        step, (x, jnp.int32(size), jnp.zeros(size, jnp.uint8)), (start[: n - 1], freq[: n - 1]), reverse=True
    )
    state = (x >> jnp.arange(8 * width - 8, -1, -8, dtype=jnp.uint32)).astype(jnp.uint8)
    data = lax.dynamic_update_slice(data, state, (at - width,))
    data = lax.dynamic_slice(jnp.concatenate([data, jnp.zeros(size, jnp.uint8)]), (at - width,), (size,))
    total = size - at + width - short.astype(jnp.int32)
    return jnp.where(jnp.arange(size) < total, data, 0), total


@partial(jax.jit, static_argnames=("count", "precision"))
def decode(data, size, count: int, rows, index=None, *, precision: int = PRECISION):
    """Decode `count` symbols (int32 [count]) from one lane.

    Args:
        data: uint8 [C], the payload and anything after it; size: how many of its bytes count (int).
        rows, index: as given to `encode`.

    Any payload decodes to something and nothing is read outside `data`.
    """
    rows = jnp.asarray(rows).astype(jnp.uint32)
    data = jnp.asarray(data).astype(jnp.uint32)
    size = jnp.minimum(jnp.asarray(size, jnp.int32), data.shape[0])
    mask = jnp.uint32((1 << precision) - 1)
    table = rows if index is not None else rows[None] if rows.ndim == 1 else None
    owners = spans = None
    if table is not None and table.shape[0] << precision <= _MOST_SLOTS:
        owners, spans = _slots(table, precision)

    def step(carry, row):
        x, at = carry
        slot = x & mask
        if spans is not None:  # which symbol it is can wait until all slots are known
            got = slot if index is None else slot + (row.astype(jnp.uint32) << precision)
            span = spans[got]
            x = ((span >> 16) + 1) * (x >> precision) + (span & 0xFFFF)
        else:
            row = row if table is None else table[row]
            got = _owner(row, slot)
            x = (row[got + 1] - row[got]) * (x >> precision) + slot - row[got]
        return refill(data, size, x, at, precision), got

    each = index if index is not None else (rows if rows.ndim == 2 else None)
    _, got = lax.scan(step, begin(data, size, precision), each, length=count)
    return got if owners is None else owners[got]


def _take(data, size, x, at, need):
    """Return (state, position) after taking in one byte where `need`."""
    byte = jnp.where(at < size, data.at[at].get(mode="fill", fill_value=0), _past_end(x))
    return jnp.where(need, (x << 8) | byte, x), at + jnp.where(need & (at < size), 1, 0)


def begin(data, size, precision: int):
    """Return a decoder's first (state uint32, position int32); data uint32 [C] holds bytes, `size` of them
    count."""
    x, at = jnp.uint32(0), jnp.int32(0)
    for _ in range(_top(precision) // 8):
        x, at = _take(data, size, x, at, True)
    return x, at


def refill(data, size, x, at, precision: int):
    """Return (state, position) with the bytes that are due after a symbol, at most two."""
    for _ in range(2):
        x, at = _take(data, size, x, at, x < jnp.uint32(1 << (_top(precision) - 8)))
    return x, at


def _slots(table, precision: int):
    """Return for every slot of every row: its symbol (int32), and slot count - 1 << 16 | slot - first slot
    (uint32)."""
    every = jnp.arange(1 << precision, dtype=jnp.uint32)
    owners = jax.vmap(lambda row: jnp.searchsorted(row[1:-1], every, side="right"))(table).astype(jnp.int32)
    start = jnp.take_along_axis(table, owners, 1)
    freq = jnp.take_along_axis(table, owners + 1, 1) - start
    return owners.ravel(), (((freq - 1) << 16) | (every - start)).ravel()


def pack(data, size) -> bytes:
    """Join lanes (data uint8 [lanes, C] or [C], size int [lanes] or []) into the bytes of `rans_host.encode`.

    Symbol i of the message belongs in lane i % lanes: give `jax.vmap(encode)` the array [N/lanes, lanes]
    transposed.
    """
    from semjax.entropy.rans_host import join_lanes

    data, size = np.atleast_2d(np.asarray(data)), np.atleast_1d(np.asarray(size))
    return join_lanes([d[:n].tobytes() for d, n in zip(data, size)])


def unpack(payload: bytes, lanes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Split joined bytes into (data uint8 [lanes, C], size int32 [lanes]); StreamError if that cannot be."""
    from semjax.entropy.rans_host import split_lanes

    start, end = split_lanes(payload, lanes)
    size = (end - start).astype(np.int32)
    data = np.zeros((lanes, max(int(size.max()), 4)), np.uint8)
    for k in range(lanes):
        data[k, : size[k]] = np.frombuffer(payload, np.uint8)[start[k] : end[k]]
    return data, size
