"""Gray-mapped QPSK and QAM of TS 38.211, section 5.1, and the log-likelihood ratios of their bits.

Real and imaginary part carry separate bits, so a symbol with M bits is two amplitudes with M / 2 bits each.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, UInt8

from semjax.channel import checks
from semjax.channel.crc import namespace
from semjax.errors import InputError

BITS_PER_SYMBOL = {"qpsk": 2, "16qam": 4, "64qam": 6, "256qam": 8}
MODULATIONS = tuple(BITS_PER_SYMBOL)
_LLR_RULES = ("exact", "max-log")


def bits_per_symbol(modulation: str) -> int:
    """Bits that one symbol of "qpsk", "16qam", "64qam" or "256qam" carries; InputError for any other name."""
    return BITS_PER_SYMBOL[checks.choice(modulation, "the modulation", MODULATIONS)]


@functools.cache
def _amplitudes(modulation: str) -> np.ndarray:
    """float32 [2 ** (M / 2)]: amplitude for each word of M / 2 bits, first bit highest; unit energy."""
    half = bits_per_symbol(modulation) // 2
    words = np.arange(1 << half)
    bits = words[:, None] >> np.arange(half - 1, -1, -1) & 1
    amplitude = np.ones(1 << half)
    for i in range(half - 1, 0, -1):
        amplitude = 2 ** (half - i) - (1 - 2 * bits[:, i]) * amplitude
    amplitude = (1 - 2 * bits[:, 0]) * amplitude
    return (amplitude / np.sqrt(2 * np.mean(amplitude**2))).astype(np.float32)


def modulate(bits: UInt8[Array, "... n"], modulation: str) -> Complex[Array, "... n/M"]:
    """Bits to symbols of unit mean energy: complex64 [..., n / M].

    jit- and vmap-able with `modulation` static. Raises InputError for an unknown modulation, a number of bits that
    is not a multiple of M or, for NumPy bits, values other than 0 and 1.
    """
    order = bits_per_symbol(modulation)
    bits = jnp.asarray(namespace(bits)[1])
    if bits.shape[-1] % order:
        raise InputError(f"{modulation} takes a multiple of {order} bits, got {bits.shape[-1]}")
    return _modulate(bits, modulation)


@functools.partial(jax.jit, static_argnames="modulation")
def _modulate(bits, modulation):
    half = bits_per_symbol(modulation) // 2
    pairs = bits.reshape(*bits.shape[:-1], -1, half, 2).astype(
        jnp.int32
    )  # even bits: real, odd bits: imaginary
    words = jnp.tensordot(pairs, jnp.asarray(1 << np.arange(half - 1, -1, -1)), axes=(-2, 0))
    parts = jnp.asarray(_amplitudes(modulation))[words]
    return jax.lax.complex(parts[..., 0], parts[..., 1])


def demodulate(
    symbols: Complex[Array, "... s"],
    noise: Float[Array, "... s"] | float,
    modulation: str,
    *,
    gain: Complex[Array, "... s"] | float = 1.0,
    rule: str = "exact",
) -> Float[Array, "... s*M"]:
    """Received symbols to log-likelihood ratios log P(0) / P(1) of their bits: float32 [..., s * M].

    The model is symbols = gain * sent + noise, with complex Gaussian noise of variance `noise` (a number or one for
    each symbol); a gain of 0 gives ratios of 0. `rule` is "exact" or "max-log" (only the nearest points count).
    jit- and vmap-able with `modulation` and `rule` static. Raises InputError for unknown names or noise not above 0
    (where its value is known).
    """
    bits_per_symbol(modulation)
    checks.choice(rule, "the demapping rule", _LLR_RULES)
    if not isinstance(noise, jax.core.Tracer) and not np.all(np.asarray(noise) > 0):
        raise InputError("the noise variance must be above 0 everywhere")
    symbols = jnp.asarray(symbols)
    if not jnp.issubdtype(symbols.dtype, jnp.complexfloating):
        raise InputError(f"symbols must be complex, got {symbols.dtype}")
    gain = jnp.broadcast_to(jnp.asarray(gain, jnp.complex64), symbols.shape)
    noise = jnp.broadcast_to(jnp.asarray(noise, jnp.float32), symbols.shape)
    return _demodulate(symbols.astype(jnp.complex64), noise, gain, modulation, rule)


@functools.partial(jax.jit, static_argnames=("modulation", "rule"))
def _demodulate(symbols, noise, gain, modulation, rule):
    levels = jnp.asarray(_amplitudes(modulation))
    half = bits_per_symbol(modulation) // 2
    # matched filter: conj(g) y = |g|^2 x + noise of variance |g|^2 N0, so no division by a gain that may be 0
    power = jnp.real(gain) ** 2 + jnp.imag(gain) ** 2
    matched = jnp.conj(gain) * symbols
    parts = jnp.stack([jnp.real(matched), jnp.imag(matched)], axis=-1)[..., None]
    fit = (2.0 * parts * levels - (power[..., None, None] * levels**2)) / noise[..., None, None]
    reduce = jax.nn.logsumexp if rule == "exact" else jnp.max
    ratios = []
    for i in range(half):
        ones = np.arange(1 << half) >> (half - 1 - i) & 1
        zero, one = np.flatnonzero(ones == 0), np.flatnonzero(ones)
        ratios.append(reduce(fit[..., zero], axis=-1) - reduce(fit[..., one], axis=-1))
    return jnp.stack(ratios, axis=-2).reshape(*symbols.shape[:-1], -1)


def hard_bits(llr: Float[Array, "..."]) -> UInt8[Array, "..."]:
    """The likelier value of each bit; 0 where both are equally likely."""
    return (jnp.asarray(llr) < 0).astype(jnp.uint8)


def interleaver(n: int, rows: int | None = None) -> Int[np.ndarray, " n"]:
    """The order int [n] in which a row-column interleaver sends n items: written by rows, read by columns.

    `rows` defaults to about sqrt(n). Neighbours on the air come from places `n / rows` apart, so a fade is spread
    over many code blocks. Undo with `deinterleave`.
    """
    n = checks.count(n, "the number of items")
    rows = checks.count(rows, "rows", low=1) if rows is not None else max(1, round(n**0.5))
    columns = -(-n // rows)
    order = np.arange(rows * columns).reshape(rows, columns).T.ravel()
    return order[order < n]


def interleave(values, order):
    """values [..., n] in the order int [n] of sending."""
    return values[..., order]


def deinterleave(values, order):
    """The inverse of `interleave` with the same order."""
    return values[..., np.argsort(order)]
