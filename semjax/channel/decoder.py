"""Belief-propagation decoding of 5G NR LDPC codes, unrolled over the base graph.

Lifted codes consist of Z x Z cyclic shifts, so a check node never gathers single messages: it reads whole columns,
rotated. A column is a flat array of Z * B messages (lifting index major, codeword minor) in which a rotation is
two slices, whatever Z, the batch B or a surrounding vmap.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from semjax.channel import checks
from semjax.channel.check_nodes import RULES
from semjax.channel.codes import LdpcCode, read_table
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """How to decode.

    rule        "sum-product" (exact) or "min-sum" (see `scale` and `offset`)
    schedule    "layered" (each row of the base graph sees the news of the rows before it; converges in about half
                the iterations) or "flooding" (all rows see the same state)
    iterations  at most so many
    early_stop  stop when every codeword of the batch satisfies its checks; a codeword that does is frozen
    scale       normalised min-sum: factor on every message of a check, in (0, 1]
    offset      offset min-sum: taken off every such message, at least 0
    llr_limit   channel values and messages into checks are clipped to this magnitude
    Raises InputError for settings outside these limits.
    """

    rule: str = "sum-product"
    schedule: str = "layered"
    iterations: int = 20
    early_stop: bool = True
    scale: float = 0.75
    offset: float = 0.0
    llr_limit: float = 20.0

    def __post_init__(self):
        checks.choice(self.rule, "the decoding rule", tuple(RULES))
        checks.choice(self.schedule, "the decoding schedule", ("layered", "flooding"))
        checks.count(self.iterations, "the number of iterations", low=1, high=1000)
        checks.number(self.scale, "scale", low=1e-3, high=1.0)
        checks.number(self.offset, "offset", low=0.0, high=100.0)
        checks.number(self.llr_limit, "llr_limit", low=1.0, high=1000.0)


DEFAULT_DECODER = DecoderConfig()


class Decoded(NamedTuple):
    """What the decoder says of each codeword."""

    bits: UInt8[Array, "... k"]  # the information bits
    ok: Bool[Array, "..."]  # all parity checks hold
    iterations: Int[Array, "..."]  # after which they first did, or the number done


def ldpc_decode(llr: Float[Array, "... n"], code: LdpcCode, cfg: DecoderConfig = DEFAULT_DECODER) -> Decoded:
    """Bits from log-likelihood ratios log P(0) / P(1) of the bits on the air, as `demodulate` gives them.

    `llr` is float [..., n]; NaN counts as "nothing received". jit- and vmap-able with `code` and `cfg` static;
    compiled once for each code, configuration and batch shape. Raises InputError for another length.
    Sources: Gallager 1962; Chen, Fossorier 2002 (normalised and offset min-sum); Hocevar 2004 (layered schedule).
    """
    llr = jnp.asarray(llr)
    if llr.ndim == 0 or llr.shape[-1] != code.n:
        raise InputError(
            f"this code has {code.n} values along the last axis, got an array of shape {llr.shape}"
        )
    if not jnp.issubdtype(llr.dtype, jnp.floating):
        raise InputError(f"log-likelihood ratios must be floats, got {llr.dtype}")
    return _decode(llr, code, cfg)


def rate_recover(llr, code: LdpcCode, limit: float):
    """float [..., n] -> float32 [..., columns * Z], NumPy or JAX: channel values of the columns in use.

    Repeats are added up; 0 where nothing was sent; `limit` (certainly 0) for fillers.
    """
    xp = np if isinstance(llr, np.ndarray) else jnp
    layout, batch = code.layout, llr.shape[:-1]
    size = layout.order.size
    llr = xp.nan_to_num(llr.astype(np.float32), nan=0.0, posinf=limit, neginf=-limit)
    plain = xp.swapaxes(llr.reshape(*batch, -1, code.bits_per_symbol), -1, -2).reshape(*batch, code.n)
    laps = -(-code.n // size)
    padded = xp.concatenate([plain, xp.zeros((*batch, laps * size - code.n), plain.dtype)], axis=-1)
    total = xp.clip(padded.reshape(*batch, laps, size).sum(axis=-2), -limit, limit)
    # one table look-up places the sums: the two entries appended are "not sent" and "known to be 0"
    source = np.full(layout.columns * layout.z, size)
    source[code.k : layout.known * layout.z] = size + 1
    inside = layout.order < source.size
    source[layout.order[inside]] = np.flatnonzero(inside)
    constants = xp.broadcast_to(xp.asarray([0.0, limit], total.dtype), (*batch, 2))
    return xp.concatenate([total, constants], axis=-1)[..., source]


@functools.partial(jax.jit, static_argnames=("code", "cfg"))
def _decode(llr, code, cfg):
    layout, batch = code.layout, llr.shape[:-1]
    channel = rate_recover(llr.reshape(-1, code.n), code, cfg.llr_limit)
    count = channel.shape[0]
    columns = list(channel.T.reshape(layout.columns, -1))
    schedule = (_Layered if cfg.schedule == "layered" else _Flooding)(layout, cfg, columns)
    kept = range(-(-code.k // layout.z))

    def check(state):
        hard = jnp.stack(state[0]) < 0
        return hard[: len(kept)], _checks_hold(layout, schedule.turn, hard, count)

    bits, ok, used = iterate(schedule.start(columns), schedule.step, check, cfg, count)
    bits = jnp.concatenate([_rotate(bits[c], -schedule.turn[c], layout.z) for c in kept])
    bits = bits.reshape(-1, count)[: code.k].T.astype(jnp.uint8)
    return Decoded(bits.reshape(*batch, code.k), ok.reshape(batch), used.reshape(batch))


def iterate(state, step, check, cfg: DecoderConfig, count: int):
    """Iterate on `count` codewords; the bits of a codeword are frozen once its checks hold.

    step(state) -> state; check(state) -> (bool bits [..., M * count], count the fastest index; bool holds [count]).
    Returns (bits, ok [count], iterations [count]).
    """

    def body(carry):
        done, state, bits, ok, used = carry
        state = step(state)
        fresh, holds = check(state)
        frozen = jnp.broadcast_to(ok, (fresh.size // count, count)).reshape(fresh.shape)
        return done + 1, state, jnp.where(frozen, bits, fresh), ok | holds, used + ~ok

    def unfinished(carry):
        return (carry[0] < cfg.iterations) & ~(cfg.early_stop & jnp.all(carry[3]))

    bits = jnp.zeros_like(check(state)[0])
    start = (0, state, bits, jnp.zeros(count, bool), jnp.zeros(count, jnp.int32))
    return jax.lax.while_loop(unfinished, body, start)[2:]


def _checks_hold(layout, turn, hard, count):
    """bool [count]: which codewords satisfy every row, from hard decisions bool [columns, Z * count].

    32 codewords are tested at once, as the bits of one word.
    """
    z, lanes = layout.z, -(-count // 32)
    bits = jnp.pad(hard.reshape(-1, count), ((0, 1), (0, 32 * lanes - count)))  # the row added is the known 0
    shifts = jnp.arange(32, dtype=jnp.uint32)
    words = jnp.sum(bits.reshape(-1, lanes, 32).astype(jnp.uint32) << shifts, axis=-1, dtype=jnp.uint32)
    table = read_table(layout.rows, z, layout.columns * z, turn)
    parity = functools.reduce(jnp.bitwise_xor, (words[read.ravel()] for read in table))
    failed = jax.lax.reduce(parity, np.uint32(0), jax.lax.bitwise_or, (0,))
    return ((failed[:, None] >> shifts) & 1 == 0).reshape(-1)[:count]


def _rotate(column, shift, z):
    """Element i of the answer is element (i + shift) mod Z of the column, along the lifting index."""
    cut = shift % z * (column.shape[-1] // z)
    return column if cut == 0 else jnp.concatenate([column[cut:], column[:cut]])


class _Schedule:
    """State: the total of each column, and for each edge the message that its check sent last."""

    def __init__(self, layout, cfg, columns):
        self.layout, self.cfg, self.channel = layout, cfg, columns
        self.turn = dict.fromkeys(range(layout.columns), 0)  # where each column stands between iterations

    def start(self, columns):
        totals = [_rotate(column, self.turn[c], self.layout.z) for c, column in enumerate(columns)]
        return totals, [[jnp.zeros_like(columns[0])] * len(row) for row in self.layout.rows]

    def answers(self, messages):
        limit = self.cfg.llr_limit
        rule = RULES[self.cfg.rule]
        return rule([jnp.clip(x, -limit, limit) for x in messages], self.cfg.scale, self.cfg.offset)


class _Flooding(_Schedule):
    """Every row answers to the same totals; then the totals are summed up afresh."""

    def step(self, state):
        z, (old_totals, sent) = self.layout.z, state
        news = [
            self.answers([_rotate(old_totals[c], s, z) - old for (c, s), old in zip(row, olds)])
            for row, olds in zip(self.layout.rows, sent)
        ]
        totals = list(self.channel)
        for row, messages in zip(self.layout.rows, news):
            for (c, s), message in zip(row, messages):
                totals[c] = totals[c] + _rotate(message, -s, z)
        return totals, news


class _Layered(_Schedule):
    """Every row answers to totals that hold the answers of the rows before it.

    A column is left in the order of the row that wrote it last and turned from there to the next row's order: one
    rotation for each edge, not two.
    """

    def __init__(self, layout, cfg, columns):
        super().__init__(layout, cfg, columns)
        self.turn.update(edge for row in layout.rows for edge in row)

    def step(self, state):
        totals, sent, turn = list(state[0]), [], dict(self.turn)
        for row, olds in zip(self.layout.rows, state[1]):
            rests = [_rotate(totals[c], s - turn[c], self.layout.z) - old for (c, s), old in zip(row, olds)]
            news = self.answers(rests)
            for (c, s), rest, new in zip(row, rests, news):
                totals[c], turn[c] = rest + new, s
            sent.append(news)
        return totals, sent
