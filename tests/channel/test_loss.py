import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.channel import GilbertElliott, bursty_loss, packet_loss
from semjax.errors import InputError

KEY = jax.random.key(7)


def test_independent_loss_has_the_rate_asked_for():
    n, p = 200_000, 0.137
    lost = np.asarray(packet_loss(KEY, n, p))
    assert lost.shape == (n,) and lost.dtype == bool
    assert abs(lost.mean() - p) < 5 * np.sqrt(p * (1 - p) / n)
    pairs = np.mean(lost[1:] & lost[:-1])
    assert abs(pairs - p * p) < 5 * np.sqrt(p * p / n)


@pytest.mark.parametrize(("p", "expected"), [(0, 0), (0.0, 0), (1, 50), (np.float32(1.0), 50)])
def test_ends_of_the_range_are_certain(p, expected):
    assert int(packet_loss(KEY, 50, p).sum()) == expected


def test_same_key_same_loss_and_no_packets_is_fine():
    assert np.array_equal(packet_loss(KEY, 99, 0.3), packet_loss(KEY, 99, 0.3))
    assert not np.array_equal(packet_loss(KEY, 99, 0.3), packet_loss(jax.random.key(8), 99, 0.3))
    assert packet_loss(KEY, 0, 0.3).shape == (0,)
    assert bursty_loss(KEY, 0, GilbertElliott(0.1, 0.5)).shape == (0,)


def test_jit_and_vmap_agree_with_single_calls():
    keys = jax.random.split(KEY, 5)
    many = jax.vmap(lambda key, p: packet_loss(key, 64, p), in_axes=(0, None))(keys, 0.4)
    for key, row in zip(keys, many):
        assert np.array_equal(row, jax.jit(packet_loss, static_argnums=1)(key, 64, 0.4))
    chain = GilbertElliott.from_rate(0.2, 4)
    many = jax.vmap(lambda key: bursty_loss(key, 64, chain))(keys)
    for key, row in zip(keys, many):
        assert np.array_equal(row, bursty_loss(key, 64, chain))


@settings(deadline=None, max_examples=40)
@given(rate=st.floats(0, 0.9), burst=st.floats(1, 50))
def test_from_rate_gives_rate_and_burst_or_refuses(rate, burst):
    if rate > burst / (burst + 1):
        with pytest.raises(InputError, match="possible"):
            GilbertElliott.from_rate(rate, burst)
        return
    chain = GilbertElliott.from_rate(rate, burst)
    assert chain.rate == pytest.approx(rate, abs=1e-9)
    assert 1 / chain.recover == pytest.approx(burst)


def test_bursty_loss_has_its_rate_and_its_burst_length():
    chain = GilbertElliott.from_rate(0.1, 5)
    lost = np.concatenate([bursty_loss(key, 4000, chain) for key in jax.random.split(KEY, 100)])
    memory = 1 - chain.worsen - chain.recover  # bursts inflate the variance of the mean
    assert abs(lost.mean() - 0.1) < 5 * np.sqrt(0.09 / lost.size * (1 + memory) / (1 - memory))
    starts = np.sum(lost[1:] & ~lost[:-1])
    assert lost.sum() / starts == pytest.approx(5, rel=0.05)


def test_first_packet_meets_the_long_run_chain():
    chain = GilbertElliott(0.02, 0.08, loss_good=0.0, loss_bad=1.0)
    first = np.asarray(jax.vmap(lambda key: bursty_loss(key, 1, chain)[0])(jax.random.split(KEY, 20_000)))
    assert abs(first.mean() - 0.2) < 5 * np.sqrt(0.16 / 20_000)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf"), "0.1", None, True])
def test_bad_probabilities_are_refused(p):
    with pytest.raises(InputError, match="loss probability"):
        packet_loss(KEY, 3, p)
    with pytest.raises(InputError, match="worsen"):
        GilbertElliott(p, 0.5)


def test_other_bad_settings_are_refused():
    with pytest.raises(InputError, match="typed JAX key"):
        packet_loss(jax.random.PRNGKey(0), 3, 0.1)
    with pytest.raises(InputError, match="typed JAX key"):
        packet_loss(0, 3, 0.1)
    with pytest.raises(InputError, match="number of packets"):
        packet_loss(KEY, -1, 0.1)
    with pytest.raises(InputError, match="both be 0"):
        GilbertElliott(0, 0)
    with pytest.raises(InputError, match="burst length"):
        GilbertElliott.from_rate(0.1, 0.5)
