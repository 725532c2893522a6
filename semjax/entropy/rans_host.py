"""rANS on the host: the same bytes as `rans` (JAX), for arrays that are already in NumPy.

`encode` and `decode` are one call for one message; see `rans` for the format and the order of symbols.
Source: Duda 2013 (arXiv:1311.2540), range variant; byte-wise renormalisation; end of message ours.
"""

import numpy as np
from numba import njit

from semjax._varint import read_varint, write_varint
from semjax.entropy.binary import leaf
from semjax.entropy.tables import PRECISION, check_rows
from semjax.errors import InputError, StreamError

TRIES, REACH = 4096, 4096  # the search for a payload one byte shorter: starts tried, symbols looked at
_MOST_SLOTS = 1 << 20  # above it (rows times 2^precision) a decoder searches its rows instead of slots
_kernel = njit(cache=True, error_model="numpy")


def state_bytes(precision: int) -> int:
    """Return the bytes of a lane's state: 3 up to precision 12, else 4 (the state stays 16 times the
    table)."""
    return 3 if precision <= 12 else 4


@leaf
def _past_end(x):
    """Return the byte that a lane yields when it has none left, to a decoder whose state is x."""
    x = (x * 0x9E3779B1) & 0xFFFFFFFF
    return (((x ^ (x >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF) >> 24


@leaf
def _advance(x, start, f, inverse, precision):
    """Return the state after pushing a symbol of f slots; inverse = 2^36 // f replaces the division."""
    q = (x * inverse) >> 36
    r = x - q * f
    if r >= f:
        q += 1
        r -= f
    return (q << precision) + start + r


@_kernel
def _is_short(owned, lanes, i, start, freq, inverse, precision, top, x):
    """Tell whether the lane of symbol i, its last, when in state x after it ends in the byte past its end."""
    for _ in range(REACH):
        i -= lanes
        if i < 0 or (x >> (top - precision)) >= freq[owned[i]]:
            return (x & 255) == _past_end(x >> 8)
        k = owned[i]
        x = _advance(x, start[k], freq[k], inverse[k], precision)
    return False


@_kernel
def _begin(owned, lanes, i, start, freq, inverse, precision, top, tries):
    """Return the state after symbol i, the last of its lane, negative if the lane's last byte is to be left
    out.

    Any state with the right slot would do; taken is the smallest of `tries` whose lane ends in the byte
    that the decoder assumes past the end.
    """
    k = owned[i]
    base = 1 << (top - 8 - precision)
    for j in range(min(tries, 15 * base * freq[k])):
        x = ((base + j // freq[k]) << precision) + start[k] + j % freq[k]
        if _is_short(owned, lanes, i, start, freq, inverse, precision, top, x):
            return -x
    return (base << precision) + start[k]


@_kernel
def _push_all(owned, start, freq, inverse, precision, top, tries, out, at, end):
    """Code all lanes backwards; lane k's payload is out[k, at[k]:end[k]].

    owned int32 [N]: row * K + symbol, symbol i in lane i % lanes; start, freq, inverse int64 [R*K]; out uint8
    [lanes, C]; at, end int64 [lanes].
    """
    lanes = at.size
    state = np.zeros(lanes, np.int64)
    at[:], end[:] = out.shape[1], out.shape[1]
    k = owned.size % lanes
    for i in range(owned.size - 1, -1, -1):
        k = k - 1 if k else lanes - 1
        s = owned[i]
        x, f = state[k], freq[s]
        if x == 0:
            x = _begin(owned, lanes, i, start, freq, inverse, precision, top, tries)
            if x < 0:
                x = -x
                end[k] -= 1
        else:
            while (x >> (top - precision)) >= f:
                at[k] -= 1
                out[k, at[k]] = x & 255
                x >>= 8
            x = _advance(x, start[s], f, inverse[s], precision)
        state[k] = x
    for k in range(min(lanes, owned.size)):
        for b in range(0, top, 8):
            at[k] -= 1
            out[k, at[k]] = (state[k] >> b) & 255


@leaf
def _take(data, at, end, k, x):
    """Return x with one more byte of lane k."""
    if at[k] < end[k]:
        at[k] += 1
        return (x << 8) | np.int64(data[at[k] - 1])
    return (x << 8) | _past_end(x)


@leaf
def _search(rows, row, slot):
    """Return the symbol whose slots contain `slot`, by bisection."""
    low, high = 0, rows.shape[1] - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if rows[row, middle] <= slot:
            low = middle
        else:
            high = middle
    return low


@_kernel
def _pop_near_end(data, at, end, state, out, first, last, rows, index, precision):
    """Decode symbols first..last-1, checking every byte taken; symbol i is in lane i % lanes."""
    low = 1 << (16 if precision <= 12 else 24)
    mask = (1 << precision) - 1
    for i in range(first, last):
        k = i % at.size
        x = state[k]
        row = index[i] if index.size else 0
        slot = x & mask
        s = _search(rows, row, slot)
        out[i] = s
        x = (rows[row, s + 1] - rows[row, s]) * (x >> precision) + slot - rows[row, s]
        for _ in range(2):
            if x < low:
                x = _take(data, at, end, k, x)
        state[k] = x


@_kernel
def _pop_far_from_end(data, at, state, out, first, steps, slots, index, precision):
    """Decode `steps` symbols of every lane without looking for the end: each lane has 2 * steps bytes left.

    slots int64 [R * 2^precision]: symbol << 40 | its slot count << 20 | slot - its first slot.
    """
    low = 1 << (16 if precision <= 12 else 24)
    mask = (1 << precision) - 1
    i = first
    for _ in range(steps):
        for k in range(at.size):
            x = state[k]
            entry = slots[(index[i] << precision) + (x & mask)] if index.size else slots[x & mask]
            out[i] = entry >> 40
            i += 1
            x = ((entry >> 20) & 0xFFFFF) * (x >> precision) + (entry & 0xFFFFF)
            need = (x - low) >> 63  # all ones if a byte is due: no branch, it could not be predicted
            x = (x << (8 & need)) | (np.int64(data[at[k]]) & need)
            at[k] -= need
            if x < low:
                x = (x << 8) | np.int64(data[at[k]])
                at[k] += 1
            state[k] = x


@_kernel
def _pop_all(data, at, end, state, out, slots, rows, index, precision):
    """Decode all symbols: in long safe runs while every lane has bytes to spare, then carefully."""
    lanes = at.size
    for k in range(lanes):
        for _ in range(3 if precision <= 12 else 4):
            state[k] = _take(data, at, end, k, state[k])
    i = 0
    while i < out.size:
        steps = (out.size - i) // lanes if slots.size else 0
        for k in range(lanes):
            steps = min(steps, (end[k] - at[k]) >> 1)
        if steps:
            _pop_far_from_end(data, at, state, out, i, steps, slots, index, precision)
            i += steps * lanes
        else:
            last = min(i + lanes, out.size)
            _pop_near_end(data, at, end, state, out, i, last, rows, index, precision)
            i = last


def _slots(rows: np.ndarray, precision: int) -> np.ndarray:
    """Return the decoder's table of slots (see `_pop_far_from_end`), empty if it would be too large."""
    if rows.shape[0] << precision > _MOST_SLOTS:
        return np.zeros(0, np.int64)
    freq = np.diff(rows)
    owner = np.concatenate([np.repeat(np.arange(f.size), f) for f in freq])
    row = np.repeat(np.arange(rows.shape[0]), 1 << precision)
    offset = np.tile(np.arange(1 << precision), rows.shape[0]) - rows[row, owner]
    return (owner << 40) | (freq[row, owner] << 20) | offset


def _prepare(count: int, cum, index, precision: int):
    rows = check_rows(cum, precision)
    if index is None:
        if rows.shape[0] != 1:
            raise InputError(
                f"{rows.shape[0]} table rows need an index [N] that says which row each symbol uses."
            )
        return rows, np.zeros(0, np.int32)
    index = np.asarray(index)
    if index.shape != (count,) or (count and not 0 <= index.min() <= index.max() < rows.shape[0]):
        raise InputError(
            f"index must be {count} integers in 0..{rows.shape[0] - 1}, got shape {index.shape}."
        )
    return rows, np.ascontiguousarray(index, np.int32)


def encode(
    symbols, cum, index=None, *, precision: int = PRECISION, lanes: int = 1, tries: int = TRIES
) -> bytes:
    """Encode symbols [N] into bytes; `decode` gives them back in the same order.

    Args:
        symbols: integers in 0..K-1.
        cum: table rows, integers [K+1] or [R, K+1], from `quantise`.
        index: which row each symbol uses, integers [N]; None if there is one row.
        precision: of the rows, 1..16.
        lanes: independent coders, symbol i in lane i % lanes; more lanes decode faster and cost 3 bytes each.
        tries: how long to search for a payload one byte shorter a lane; 0 to save the time.

    Raises InputError for symbols without a slot. Costs at most 2 bytes a lane over the ideal code length up
    to precision 12 (3 above). Source: Duda 2013, end of message ours.
    """
    symbols = np.asarray(symbols)
    rows, index = _prepare(symbols.size, cum, index, precision)
    known = symbols.ndim == 1 and (not symbols.size or np.issubdtype(symbols.dtype, np.integer))
    if not known or (symbols.size and not 0 <= symbols.min() <= symbols.max() < rows.shape[1] - 1):
        raise InputError(
            f"symbols must be a list of integers in 0..{rows.shape[1] - 2}, got shape {symbols.shape}."
        )
    owned = np.ascontiguousarray(symbols, np.int32)
    if index.size:
        owned = owned + index * np.int32(rows.shape[1] - 1)
    freq = np.diff(rows).ravel()
    if not freq.all() and symbols.size and (freq[owned] == 0).any():
        raise InputError(
            "a symbol has no slot in its table row and cannot be coded; see quantise(keep_zeros=)."
        )
    spans = np.ascontiguousarray(rows[:, :-1]).ravel(), freq, (1 << 36) // np.maximum(freq, 1)
    out = np.empty((lanes, 2 * (symbols.size // lanes + 1) + 4), np.uint8)
    at, end = np.zeros((2, lanes), np.int64)
    _push_all(owned, *spans, precision, 8 * state_bytes(precision), tries, out, at, end)
    return join_lanes([out[k, at[k] : end[k]].tobytes() for k in range(lanes)])


def decode(
    payload: bytes, count: int, cum, index=None, *, precision: int = PRECISION, lanes: int = 1
) -> np.ndarray:
    """Decode `count` symbols (int32 [count]) from what `encode` (or `rans.encode`) wrote with the same
    tables.

    Any payload decodes to something: rANS has no redundancy that would show damage. Raises StreamError if the
    lanes' lengths do not fit the payload, InputError for tables that are none.
    """
    rows, index = _prepare(count, cum, index, precision)
    data = np.frombuffer(payload, np.uint8)
    at, end = split_lanes(payload, lanes)
    out = np.empty(count, np.int32)
    state = np.zeros(lanes, np.int64)
    _pop_all(data, at, end, state, out, _slots(rows, precision), rows, index, precision)
    return out


def join_lanes(parts: list[bytes]) -> bytes:
    """Join lane payloads: the length of each but the last as a varint, then the lanes."""
    return b"".join([write_varint(len(part)) for part in parts[:-1]] + parts)


def split_lanes(payload: bytes, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where each lane starts and ends (int64 [lanes] each); StreamError if that cannot be."""
    at, sizes = 0, []
    for _ in range(lanes - 1):
        size, at = read_varint(payload, at, len(payload), "a rANS payload's list of lane lengths")
        sizes.append(size)
    start = at + np.cumsum([0, *sizes], dtype=np.int64)
    if start[-1] > len(payload):
        raise StreamError(
            f"rANS payload of {len(payload)} bytes is damaged: its lanes need {int(start[-1])}."
        )
    return start, np.append(start[1:], len(payload))
