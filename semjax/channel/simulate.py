"""The whole physical layer as one function of a key: for error rate curves and for stress tests."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8

from semjax.channel import checks
from semjax.channel.codes import LdpcCode
from semjax.channel.decoder import DEFAULT_DECODER, DecoderConfig, ldpc_decode
from semjax.channel.encoder import ldpc_encode
from semjax.channel.fading import AWGN, RadioConfig, radio
from semjax.channel.modulation import bits_per_symbol, demodulate, modulate
from semjax.errors import InputError


class BlockOutcome(NamedTuple):
    """What became of `count` random code blocks."""

    wrong: Bool[Array, " count"]  # at least one information bit differs
    held: Bool[Array, " count"]  # the decoder claims a codeword
    iterations: Int[Array, " count"]
    bits: UInt8[Array, "count k"]  # as decoded


def simulate_blocks(
    key: jax.Array,
    code: LdpcCode,
    modulation: str,
    snr_db,
    count: int,
    cfg: RadioConfig = AWGN,
    decoder: DecoderConfig = DEFAULT_DECODER,
    rule: str = "exact",
) -> BlockOutcome:
    """Send `count` blocks of random bits over the radio channel `cfg` at Es/N0 = `snr_db` and decode them.

    Every block meets a channel of its own. jit-able with all but key and SNR static; map over those with jax.vmap.
    Raises InputError when the code's n is not a whole number of symbols, and for settings that its parts refuse.
    """
    checks.typed_key(key)
    checks.count(count, "the number of blocks", low=1)
    if code.n % bits_per_symbol(modulation):
        raise InputError(f"n = {code.n} is not a whole number of {modulation} symbols")
    return _simulate(key, code, modulation, jnp.asarray(snr_db, jnp.float32), count, cfg, decoder, rule)


@functools.partial(jax.jit, static_argnames=("code", "modulation", "count", "cfg", "decoder", "rule"))
def _simulate(key, code, modulation, snr_db, count, cfg, decoder, rule):
    bits_key, radio_key = jax.random.split(key)
    bits = jax.random.bernoulli(bits_key, shape=(count, code.k)).astype(jnp.uint8)
    got = radio(radio_key, modulate(ldpc_encode(bits, code), modulation), snr_db, cfg)
    llr = demodulate(got.symbols, got.noise, modulation, gain=got.gain, rule=rule)
    decoded = ldpc_decode(llr, code, decoder)
    return BlockOutcome(jnp.any(decoded.bits != bits, axis=-1), decoded.ok, decoded.iterations, decoded.bits)
