"""Decoding many codewords of different codes at once, with one compilation for all.

`ldpc_decode` is unrolled for one code: fast, but compiled anew for every pair of k and n, and the packets of a clip
come in dozens of sizes. Here the code is data: tables of positions, padded to a few shapes. The answers are those
of `ldpc_decode` with the layered schedule; a codeword takes a few times longer.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from semjax.channel.check_nodes import RULES
from semjax.channel.codes import LdpcCode, read_table
from semjax.channel.decoder import DEFAULT_DECODER, DecoderConfig, iterate, rate_recover
from semjax.errors import InputError

# What codes and batches are padded to: few shapes, because each is compiled once.
_Z_STEPS = (64, 160, 384)
_ROW_STEPS = (16, 46)
_BATCH_STEPS = (8, 32)


def ldpc_decode_mixed(
    llrs: Sequence[np.ndarray], codes: Sequence[LdpcCode], cfg: DecoderConfig = DEFAULT_DECODER
) -> list[tuple[np.ndarray, bool]]:
    """For each codeword float [n] and its code: (uint8 [k] information bits, all checks hold).

    Not for use under jit. Raises InputError for lists of different length, a codeword of another length than its
    code's, or a schedule other than "layered".
    """
    if len(llrs) != len(codes):
        raise InputError(f"there must be one code for each codeword, got {len(codes)} for {len(llrs)}")
    if cfg.schedule != "layered":
        raise InputError(
            f"codewords of different codes are decoded in the layered schedule, not {cfg.schedule!r}"
        )
    groups: dict[tuple, list[int]] = {}
    for i, (llr, code) in enumerate(zip(llrs, codes)):
        if np.shape(llr) != (code.n,):
            raise InputError(f"codeword {i} must have {code.n} values, got shape {np.shape(llr)}")
        groups.setdefault(_shape(code), []).append(i)
    answers: list = [None] * len(llrs)
    for shape, members in groups.items():
        for start in range(0, len(members), _BATCH_STEPS[-1]):
            part = members[start : start + _BATCH_STEPS[-1]]
            bits, ok = _decode_group([llrs[i] for i in part], [codes[i] for i in part], shape, cfg)
            for i, word, holds in zip(part, bits, ok):
                answers[i] = word, bool(holds)
    return answers


def _shape(code):
    """(lifting size, rows, widest row, columns) that this code is padded to."""
    layout = code.layout
    z = _at_least(layout.z, _Z_STEPS)
    rows = _at_least(layout.columns - layout.known, _ROW_STEPS)  # also when rows in between are left out
    return z, rows, 19 if code.base_graph == 1 else 10, layout.known + rows


def _at_least(value, steps):
    return next(step for step in steps if step >= value)


def _decode_group(llrs, codes, shape, cfg):
    z, rows, widest, columns = shape
    count = _at_least(len(codes), _BATCH_STEPS)
    channel = np.zeros((count, columns * z + 1), np.float32)
    channel[:, -1] = (
        cfg.llr_limit
    )  # the last place is a bit known to be 0: what rows read that have no more bits
    table = np.full((rows, count, widest, z), columns * z, np.int32)
    for b, (llr, code) in enumerate(zip(llrs, codes)):
        layout = code.layout
        values = rate_recover(np.asarray(llr, np.float32), code, cfg.llr_limit)
        channel[b, : values.size] = values
        reads = read_table(layout.rows, layout.z, columns * z)
        table[: len(layout.rows), b, : reads.shape[0], : layout.z] = reads.transpose(1, 0, 2)
    bits, ok = _decode_tables(channel, table, cfg)
    bits = np.asarray(bits).astype(np.uint8)
    return [bits[: code.k, b] for b, code in enumerate(codes)], np.asarray(ok)


@functools.partial(jax.jit, static_argnames="cfg")
def _decode_tables(channel, table, cfg):
    """Layered decoding of channel [B, N + 1] by table [rows, B, D, Z]: bool [N + 1, B] and bool [B]."""
    count, nothing = channel.shape[0], channel.shape[1] - 1
    lanes, limit, rule = jnp.arange(count)[:, None, None], cfg.llr_limit, RULES[cfg.rule]

    def row(totals, inputs):
        reads, old = inputs
        rest = totals[lanes, reads] - old
        messages = list(jnp.clip(rest, -limit, limit).swapaxes(0, 1))
        news = jnp.stack(rule(messages, cfg.scale, cfg.offset), axis=1)
        news = jnp.where(reads == nothing, 0.0, news)
        return totals.at[lanes, reads].set(rest + news), news

    def step(state):
        return jax.lax.scan(row, state[0], (table, state[1]))

    def check(state):
        hard = state[0] < 0
        parity = jax.lax.reduce(hard[lanes, table], False, jnp.logical_xor, (2,))
        return hard.T, ~jnp.any(parity, axis=(0, 2))

    start = channel, jnp.zeros(table.shape, jnp.float32)
    return iterate(start, step, check, cfg, count)[:2]
