"""Radio channels: additive noise, Rayleigh and Rician fading, known or estimated channels.

Symbols have unit mean energy and gains unit mean power, so the signal-to-noise ratio (Es/N0) alone sets the noise.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from semjax.channel import checks
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class RadioConfig:
    """A radio channel.

    fading      "none" (AWGN), "rayleigh" or "rician"
    coherence   symbols over which the gain stays the same: 1 is fast fading; None one gain for the whole call
    k_factor_db power of the direct path over that of the scattered ones, in dB (Rician only)
    pilots      known symbols sent in each coherence block to estimate its gain, at least 1; they are extra symbols.
                0: the receiver is told the gains (perfect channel knowledge)
    Raises InputError for settings outside these limits.
    """

    fading: str = "none"
    coherence: int | None = None
    k_factor_db: float = 6.0
    pilots: int = 0

    def __post_init__(self):
        checks.choice(self.fading, "fading", ("none", "rayleigh", "rician"))
        if self.coherence is not None:
            checks.count(self.coherence, "coherence", low=1)
        checks.number(self.k_factor_db, "k_factor_db", low=-100, high=100)
        checks.count(self.pilots, "pilots", high=1 << 16)
        if self.fading == "none" and self.pilots:
            raise InputError("pilots estimate a fading gain; with fading 'none' leave them at 0")

    @property
    def direct_power(self) -> float:
        """Share of the mean power that arrives by the direct path."""
        if self.fading == "rayleigh":
            return 0.0
        ratio = 10.0 ** (self.k_factor_db / 10.0)
        return ratio / (1.0 + ratio)

    def blocks(self, symbols: int) -> int:
        """Coherence blocks that `symbols` symbols touch."""
        return -(-symbols // (self.coherence or max(symbols, 1)))

    def pilot_symbols(self, symbols: int) -> int:
        """Pilot symbols sent along with `symbols` data symbols."""
        return self.pilots * self.blocks(symbols)


AWGN = RadioConfig()


class Received(NamedTuple):
    """What the receiver has: its fields are the arguments of `demodulate`."""

    symbols: Complex[Array, "... s"]
    noise: Float[Array, "... s"]  # variance to reckon with, errors of the channel estimate included
    gain: Complex[Array, "... s"]  # as known or as estimated


def noise_variance(snr_db):
    """N0 of complex noise for symbols of unit energy at Es/N0 = `snr_db` (number or array, may be traced).

    Raises InputError where the value is known and not a finite number in -100 to 100.
    """
    if not isinstance(snr_db, jax.core.Tracer):
        if getattr(snr_db, "shape", None) == ():
            snr_db = snr_db.item()
        if not getattr(snr_db, "shape", None):
            snr_db = checks.number(snr_db, "the SNR in dB", low=-100.0, high=100.0)
    return 10.0 ** (-jnp.asarray(snr_db, jnp.float32) / 10.0)


def radio(key: jax.Array, symbols: Complex[Array, "... s"], snr_db, cfg: RadioConfig = AWGN) -> Received:
    """Send symbols complex [..., s] of unit mean energy over the channel at Es/N0 = `snr_db`.

    Leading axes fade independently. With estimated gains each coherence block's LMMSE estimate from its pilots is
    simulated, and its error variance is added to the noise. jit- and vmap-able over keys, symbols and SNR with
    `cfg` static. Raises InputError for an untyped key or an SNR that is not a number.
    """
    checks.typed_key(key)
    noise = noise_variance(snr_db)
    symbols = jnp.asarray(symbols)
    if symbols.ndim == 0 or not jnp.issubdtype(symbols.dtype, jnp.complexfloating):
        raise InputError(
            f"symbols must be complex with at least one axis, got {symbols.dtype} {symbols.shape}"
        )
    if noise.ndim:
        raise InputError("the SNR must be one number; map over several with jax.vmap")
    return _radio(key, symbols.astype(jnp.complex64), noise, cfg)


@functools.partial(jax.jit, static_argnames="cfg")
def _radio(key, symbols, noise, cfg):
    noise_key, gain_key, pilot_key = jax.random.split(key, 3)
    added = jnp.sqrt(noise) * complex_normal(noise_key, symbols.shape)
    if cfg.fading == "none":
        ones = jnp.ones_like(symbols)
        return Received(symbols + added, jnp.full(symbols.shape, noise), ones)
    size = symbols.shape[-1]
    shape = (*symbols.shape[:-1], cfg.blocks(size))
    mean, scattered = cfg.direct_power**0.5, 1.0 - cfg.direct_power
    deviation = jnp.sqrt(scattered) * complex_normal(gain_key, shape)
    known, error = deviation, 0.0
    if cfg.pilots:
        pilot_noise = noise / cfg.pilots
        weight = scattered / (scattered + pilot_noise)
        known = weight * (deviation + jnp.sqrt(pilot_noise) * complex_normal(pilot_key, shape))
        error = weight * pilot_noise
    length = cfg.coherence or max(size, 1)
    gain, estimate = (mean + jnp.repeat(x, length, axis=-1)[..., :size] for x in (deviation, known))
    return Received(gain * symbols + added, jnp.full(symbols.shape, noise + error), estimate)


def complex_normal(key: jax.Array, shape: tuple[int, ...]) -> Complex[Array, "..."]:
    """Circular complex Gaussian numbers of unit variance."""
    parts = jax.random.normal(key, (2, *shape)) * 0.5**0.5
    return jax.lax.complex(parts[0], parts[1])
