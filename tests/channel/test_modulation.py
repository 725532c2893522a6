"""Modulation and radio channels against the closed forms of the textbooks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.channel import (
    MODULATIONS,
    RadioConfig,
    bits_per_symbol,
    deinterleave,
    demodulate,
    hard_bits,
    interleave,
    interleaver,
    modulate,
    noise_variance,
    radio,
)
from semjax.errors import InputError

KEY = jax.random.key(3)
COUNT = 600_000  # symbols of a Monte-Carlo run


def q(x):
    return 0.5 * np.vectorize(math.erfc)(np.asarray(x) / math.sqrt(2))


def error_rate(order, tail):
    """BER of Gray square QAM with M bits a symbol (Cho and Yoon, IEEE Trans. Comm. 50(7), 2002, eq. 16).

    `tail(a)` is the mean of Q(sqrt(a * SNR)) over the channel's SNRs, so the same sum serves AWGN and fading.
    """
    levels = 2 ** (order // 2)
    spacing = 3 / (2**order - 1)  # distance to the nearest threshold, squared, over N0 / 2, a unit of Es / N0
    total = 0.0
    for k in range(1, order // 2 + 1):
        step = 2 ** (k - 1)
        for i in range(int((1 - 2**-k) * levels)):
            weight = (-1) ** (i * step // levels) * (step - math.floor(i * step / levels + 0.5))
            total += weight * 2 * tail((2 * i + 1) ** 2 * spacing) / levels
    return total / (order // 2)


def measured(modulation, snr_db, cfg, rule="max-log", count=COUNT):
    bits_key, radio_key = jax.random.split(KEY)
    bits = jax.random.bernoulli(bits_key, shape=(count * bits_per_symbol(modulation),)).astype(jnp.uint8)
    got = radio(radio_key, modulate(bits, modulation), snr_db, cfg)
    llr = demodulate(got.symbols, got.noise, modulation, gain=got.gain, rule=rule)
    return float(jnp.mean(hard_bits(llr) != bits))


@pytest.mark.parametrize(
    ("modulation", "snr_db"),
    [("qpsk", 2.0), ("qpsk", 7.0), ("16qam", 8.0), ("16qam", 14.0), ("64qam", 15.0), ("256qam", 20.0)],
)
def test_awgn_error_rate_is_the_theory(modulation, snr_db):
    order, snr = bits_per_symbol(modulation), 10 ** (snr_db / 10)
    theory = error_rate(order, lambda a: q(math.sqrt(a * snr)))
    rate = measured(modulation, snr_db, RadioConfig())
    # bits of a symbol err together, at most all of them: that bounds how much the variance grows
    assert abs(rate - theory) < 5 * math.sqrt(theory / COUNT)
    assert abs(rate / theory - 1) < 0.05
    assert measured(modulation, snr_db, RadioConfig(), "exact") <= rate * 1.01


def rayleigh_tail(snr):
    return lambda a: 0.5 * (1 - math.sqrt(a * snr / (2 + a * snr)))


def rician_tail(snr, k_factor):
    """Craig's form of Q, averaged with the moment generating function of the Rician power."""
    angle = (np.arange(4000) + 0.5) * math.pi / 8000

    def tail(a):
        s = a * snr / (2 * np.sin(angle) ** 2)
        return (
            float(np.mean((1 + k_factor) / (1 + k_factor + s) * np.exp(-k_factor * s / (1 + k_factor + s))))
            / 2
        )

    return tail


@pytest.mark.parametrize("modulation", ["qpsk", "16qam", "256qam"])
@pytest.mark.parametrize("coherence", [1, 4])
def test_rayleigh_error_rate_is_the_theory(modulation, coherence):
    theory = error_rate(bits_per_symbol(modulation), rayleigh_tail(10**1.5))
    rate = measured(modulation, 15.0, RadioConfig("rayleigh", coherence))
    assert abs(rate - theory) < 5 * math.sqrt(theory * coherence * 2 / COUNT)
    assert abs(rate / theory - 1) < 0.03


@pytest.mark.parametrize("modulation", ["qpsk", "64qam"])
def test_rician_error_rate_is_the_theory(modulation):
    theory = error_rate(bits_per_symbol(modulation), rician_tail(10**1.2, 10**0.5))
    rate = measured(modulation, 12.0, RadioConfig("rician", 1, k_factor_db=5.0))
    assert abs(rate / theory - 1) < 0.03


def test_estimated_gains_cost_what_theory_says_and_more_pilots_cost_less():
    # QPSK with an LMMSE estimate is QPSK with correlation rho^2 = snr' / (1 + snr') between gain and estimate
    # (Proakis, Digital Communications, app. C: coherent detection with a noisy reference)
    snr = 10.0
    rates = []
    for pilots in (1, 4):
        reference = pilots * snr / (1 + pilots * snr)
        mu = math.sqrt(reference * snr / (snr + 1))
        theory = 0.5 * (1 - mu / math.sqrt(2 - mu**2))
        rates.append(measured("qpsk", 10.0, RadioConfig("rayleigh", 1, pilots=pilots)))
        assert rates[-1] == pytest.approx(theory, rel=0.03)
    perfect = measured("qpsk", 10.0, RadioConfig("rayleigh", 1))
    assert rates[0] > rates[1] > perfect


def test_block_fading_holds_one_gain_a_block_of_unit_mean_power():
    keys = jax.random.split(KEY, 4000)
    for cfg in (RadioConfig("rayleigh", 5), RadioConfig("rician", 5, k_factor_db=3.0)):
        gain = np.asarray(
            jax.vmap(lambda key, cfg=cfg: radio(key, jnp.ones(12, jnp.complex64), 10.0, cfg).gain)(keys)
        )
        assert (
            np.all(gain[:, 0] == gain[:, 4])
            and np.all(gain[:, 4] != gain[:, 5])
            and np.all(gain[:, 10] == gain[:, 11])
        )
        assert np.mean(np.abs(gain) ** 2) == pytest.approx(1.0, abs=0.05)
        assert np.abs(gain.mean()) ** 2 == pytest.approx(cfg.direct_power, abs=0.05)
    whole = radio(KEY, jnp.ones((3, 12), jnp.complex64), 10.0, RadioConfig("rayleigh")).gain
    assert np.all(whole == whole[:, :1]) and len(set(np.asarray(whole[:, 0]))) == 3


@pytest.mark.parametrize("modulation", MODULATIONS)
def test_ratios_are_the_logarithm_of_the_posterior(modulation):
    order = bits_per_symbol(modulation)
    words = (np.arange(2**order)[:, None] >> np.arange(order)[::-1] & 1).astype(np.uint8)
    points = np.asarray(modulate(words, modulation))[:, 0]
    assert (
        np.mean(np.abs(points) ** 2) == pytest.approx(1, abs=1e-5)
        and len(set(np.round(points, 4))) == 2**order
    )
    nearest = np.abs(points[:, None] - points) + 9 * np.eye(points.size)
    gray = [
        np.sum(words[i] != words[j])
        for i in range(points.size)
        for j in np.flatnonzero(nearest[i] < nearest.min() * 1.01)
    ]
    assert set(gray) == {1}
    rng = np.random.default_rng(1)
    y, g = (rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))).astype(np.complex64)
    noise = rng.uniform(0.05, 2, 50).astype(np.float32)
    fit = -(np.abs(y[:, None] - g[:, None] * points) ** 2) / noise[:, None].astype(float)
    for rule, reduce in (
        ("exact", lambda x: np.log(np.sum(np.exp(x), axis=1))),
        ("max-log", lambda x: np.max(x, axis=1)),
    ):
        expected = np.stack(
            [reduce(fit[:, words[:, i] == 0]) - reduce(fit[:, words[:, i] == 1]) for i in range(order)], 1
        )
        got = np.asarray(demodulate(jnp.asarray(y), noise, modulation, gain=g, rule=rule)).reshape(50, order)
        assert np.allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_constellations_are_those_of_the_standard():
    # first symbols of TS 38.211 section 5.1.3 to 5.1.6, worked out by hand
    assert np.allclose(
        modulate(np.array([0, 0, 1, 0, 0, 1], np.uint8), "qpsk"), np.array([1 + 1j, -1 + 1j, 1 - 1j]) / 2**0.5
    )
    assert np.allclose(
        modulate(np.array([0, 0, 0, 0, 1, 0, 1, 1], np.uint8), "16qam"), np.array([1 + 1j, -3 + 3j]) / 10**0.5
    )
    assert np.allclose(
        modulate(np.array([0, 1, 1, 0, 1, 0], np.uint8), "64qam"), np.array([7 - 3j]) / 42**0.5
    )
    assert np.allclose(
        modulate(np.array([1, 0, 1, 0, 1, 0, 1, 1], np.uint8), "256qam"), np.array([-15 + 7j]) / 170**0.5
    )


def test_dead_channel_says_nothing_and_certain_channel_everything():
    bits = np.random.default_rng(0).integers(0, 2, 240, dtype=np.uint8)
    for modulation in MODULATIONS:
        symbols = modulate(bits, modulation)
        assert np.all(np.asarray(demodulate(symbols, 0.1, modulation, gain=0.0)) == 0)
        for rule in ("exact", "max-log"):
            llr = demodulate(symbols, 1e-6, modulation, rule=rule)
            assert np.all(np.isfinite(llr)) and np.array_equal(hard_bits(llr), bits)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 500), st.integers(1, 40) | st.none())
def test_interleaver_is_a_permutation_that_parts_neighbours(n, rows):
    order = interleaver(n, rows)
    assert np.array_equal(np.sort(order), np.arange(n))
    values = np.arange(n) * 3
    assert np.array_equal(deinterleave(interleave(values, order), order), values)
    if rows is None and n > 30:
        assert np.median(np.abs(np.diff(order))) >= math.floor(n**0.5) - 1


def test_jit_vmap_and_keys():
    bits = jnp.asarray(np.random.default_rng(0).integers(0, 2, 48, dtype=np.uint8))
    cfg = RadioConfig("rician", 3, pilots=1)

    def link(key, snr):
        got = radio(key, modulate(bits, "16qam"), snr, cfg)
        return demodulate(got.symbols, got.noise, "16qam", gain=got.gain)

    keys = jax.random.split(KEY, 3)
    many = jax.jit(jax.vmap(link))(keys, jnp.array([0.0, 5.0, 10.0]))
    assert np.allclose(many[1], link(keys[1], 5.0), rtol=1e-4, atol=1e-4)
    assert np.array_equal(link(keys[1], 5.0), link(keys[1], 5.0))


@pytest.mark.parametrize("snr", [float("nan"), float("inf"), "3", None, 1e9, np.float32("nan")])
def test_snr_that_is_not_a_number_is_refused(snr):
    with pytest.raises(InputError, match="SNR"):
        noise_variance(snr)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modulate(np.zeros(4, np.uint8), "8psk"), "qpsk, 16qam, 64qam, 256qam"),
        (lambda: modulate(np.zeros(5, np.uint8), "16qam"), "multiple of 4"),
        (lambda: demodulate(jnp.zeros(3, jnp.complex64), 0.0, "qpsk"), "above 0"),
        (lambda: demodulate(jnp.zeros(3), 1.0, "qpsk"), "complex"),
        (lambda: demodulate(jnp.zeros(3, jnp.complex64), 1.0, "qpsk", rule="soft"), "exact, max-log"),
        (lambda: RadioConfig("nakagami"), "none, rayleigh, rician"),
        (lambda: RadioConfig("rayleigh", 0), "coherence"),
        (lambda: RadioConfig("none", pilots=1), "leave them at 0"),
        (lambda: RadioConfig("rician", k_factor_db=float("nan")), "k_factor_db"),
        (lambda: radio(jax.random.PRNGKey(0), jnp.zeros(3, jnp.complex64), 0.0), "typed JAX key"),
        (lambda: radio(KEY, jnp.zeros(3), 0.0), "complex"),
        (lambda: radio(KEY, jnp.zeros(3, jnp.complex64), jnp.zeros(2)), "one number"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
