import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax.channel import (
    DecoderConfig,
    LdpcCode,
    RadioConfig,
    TransportCode,
    ldpc_decode,
    ldpc_decode_mixed,
    ldpc_encode,
    simulate_blocks,
    transport_decode,
    transport_encode,
)
from semjax.channel.check_nodes import min_sum, sum_product
from semjax.errors import InputError

CURVES = json.loads((pathlib.Path(__file__).parents[1] / "data/channel/bler.json").read_text())
SMALL = LdpcCode(60, 96)


def noisy(code, count, snr_db, seed=0):
    """(bits, LLRs) of `count` blocks over BPSK at Es/N0 = `snr_db`."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, code.k), dtype=np.uint8)
    sigma = np.sqrt(0.5 * 10 ** (-snr_db / 10))
    received = 1.0 - 2.0 * ldpc_encode(bits, code) + sigma * rng.normal(size=(count, code.n))
    return bits, (2 * received / sigma**2).astype(np.float32)


@pytest.mark.parametrize("degree", [2, 19])
def test_check_nodes_answer_by_definition(degree):
    rng = np.random.default_rng(degree)
    messages = rng.normal(0, 3, (degree, 500)).astype(np.float32)
    messages[:, :50] = np.round(messages[:, :50])  # ties and zeros
    exact = np.asarray(sum_product(list(jnp.asarray(messages)), 1.0, 0.0))
    least = np.asarray(min_sum(list(jnp.asarray(messages)), 0.8, 0.3))
    for i in range(degree):
        others = np.delete(messages, i, axis=0).astype(float)
        truth = 2 * np.arctanh(np.clip(np.prod(np.tanh(others / 2), axis=0), -1 + 1e-9, 1 - 1e-9))
        assert np.allclose(exact[i], truth, atol=0.02)
        sign = np.where(others < 0, -1, 1).prod(axis=0)
        assert np.allclose(least[i], sign * np.maximum(0.8 * np.abs(others).min(axis=0) - 0.3, 0), atol=1e-5)


@pytest.mark.parametrize("rule", ["sum-product", "min-sum"])
@pytest.mark.parametrize("schedule", ["layered", "flooding"])
def test_every_decoder_corrects_and_tells_when_it_could_not(rule, schedule):
    cfg = DecoderConfig(rule, schedule, 20)
    bits, llr = noisy(SMALL, 300, 1.8)
    good = ldpc_decode(llr, SMALL, cfg)
    wrong = np.any(np.asarray(good.bits) != bits, axis=1)
    assert good.bits.dtype == jnp.uint8 and good.bits.shape == (300, 60)
    assert np.any((llr < 0) != ldpc_encode(bits, SMALL), axis=1).mean() > 0.9  # nearly all arrive damaged
    assert wrong.mean() < 0.06
    assert np.all(np.asarray(good.iterations) <= 20) and np.median(good.iterations) < 8
    assert np.mean(wrong & np.asarray(good.ok)) < 0.03  # a claimed codeword is nearly always the right one
    _, junk = noisy(SMALL, 300, -12.0)
    assert np.mean(ldpc_decode(junk, SMALL, cfg).ok) < 0.3


def test_stopping_early_changes_nothing_and_neighbours_do_not_matter():
    _, llr = noisy(SMALL, 64, -1.0, seed=5)
    early = ldpc_decode(llr, SMALL, DecoderConfig(iterations=12))
    full = ldpc_decode(llr, SMALL, DecoderConfig(iterations=12, early_stop=False))
    for a, b in zip(early, full):
        assert np.array_equal(a, b)
    assert 0 < np.mean(early.ok) < 1
    _, others = noisy(SMALL, 57, -9.0, seed=6)
    among = ldpc_decode(np.concatenate([llr[:7], others]), SMALL, DecoderConfig(iterations=12))
    for a, b in zip(early, among):
        assert np.array_equal(a[:7], b[:7])


def test_jit_vmap_and_leading_axes_agree():
    _, llr = noisy(SMALL, 6, 0.0, seed=2)
    plain = ldpc_decode(llr, SMALL)
    shaped = ldpc_decode(llr.reshape(2, 3, -1), SMALL)
    assert shaped.bits.shape == (2, 3, 60) and shaped.ok.shape == (2, 3)
    mapped = jax.jit(jax.vmap(functools.partial(ldpc_decode, code=SMALL)))(jnp.asarray(llr))
    for other in (shaped.bits.reshape(6, 60), mapped.bits):
        assert np.array_equal(plain.bits, other)
    assert np.array_equal(mapped.iterations, plain.iterations)


def test_values_that_say_nothing_or_everything():
    bits, llr = noisy(SMALL, 4, 3.0)
    holes = llr.copy()
    holes[:, ::17] = np.nan
    sure = np.where(ldpc_encode(bits, SMALL) == 1, -np.inf, np.inf).astype(np.float32)
    for values in (holes, sure):
        decoded = ldpc_decode(values, SMALL)
        assert np.array_equal(decoded.bits, bits) and np.all(decoded.ok)


def test_mixed_codes_decode_as_each_alone():
    rng = np.random.default_rng(1)
    codes = [SMALL, LdpcCode(200, 333), LdpcCode(30, 400, bits_per_symbol=4), LdpcCode(333, 1000, version=2)]
    sent = [noisy(code, 1, 8 * code.rate - 5, seed=i) for i, code in enumerate(codes)]
    for cfg, members in (
        (DecoderConfig(iterations=8), [1, 2, 3]),
        (DecoderConfig("min-sum", iterations=8, offset=0.1), [0]),
    ):
        order = rng.permutation(np.repeat(members, 3))
        mixed = ldpc_decode_mixed([sent[i][1][0] for i in order], [codes[i] for i in order], cfg)
        for i in members:
            code = codes[i]
            alone = ldpc_decode(sent[i][1][0], code, cfg)
            for j in np.flatnonzero(order == i):
                assert np.array_equal(mixed[j][0], alone.bits) and mixed[j][1] == bool(alone.ok)


@pytest.mark.parametrize(
    ("payload", "coded", "order"), [(20, 60, 2), pytest.param(9000, 15000, 4, marks=pytest.mark.slow)]
)
def test_transport_blocks_there_and_back(payload, coded, order):
    code = TransportCode(payload, coded, order)
    bits = np.random.default_rng(payload).integers(0, 2, (2, payload), dtype=np.uint8)
    llr = 8.0 * (1.0 - 2.0 * transport_encode(bits, code))
    llr[1] = np.random.default_rng(1).normal(size=coded)
    decoded = transport_decode(llr.astype(np.float32), code)
    assert np.array_equal(decoded.bits[0], bits[0])
    assert np.array_equal(decoded.ok, [True, False])


def our_rate(curve, snr_db, blocks, seed):
    code = LdpcCode(curve["k"], curve["n"])
    rule = "sum-product" if curve["rule"] == "boxplus" else "min-sum"
    offset = 0.5 if curve["rule"] == "offset-minsum" else 0.0
    cfg = DecoderConfig(rule, curve["schedule"], curve["iterations"], scale=1.0, offset=offset)
    wrong = []
    for i in range(blocks // 250):
        bits, llr = noisy(code, 250, snr_db, seed=1000 * seed + i)
        wrong.append(np.any(np.asarray(ldpc_decode(llr, code, cfg).bits) != bits, axis=1))
    return float(np.mean(wrong))


def test_block_error_rate_is_the_references_at_one_point():
    curve = next(
        c for c in CURVES if c["n"] == 2048 and c["rule"] == "boxplus" and c["schedule"] == "flooding"
    )
    theirs = curve["bler"][2]
    ours = our_rate(curve, curve["snr_db"][2], 500, seed=9)
    assert 0.02 < theirs < 0.98
    assert abs(ours - theirs) < 4 * np.sqrt(theirs * (1 - theirs) * (1 / 500 + 1 / curve["blocks"]))


def snr_at(level, points, rates):
    """SNR at which the block error rate falls to `level`, by interpolation of its logarithm."""
    logs = np.log(np.maximum(rates, 1e-5))
    return float(np.interp(-np.log(level), -logs, points))


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES, ids=lambda c: f"{c['k']}-{c['n']}-{c['rule']}-{c['schedule']}")
def test_block_error_curves_lie_within_a_tenth_of_a_db_of_the_reference(curve):
    ours = [our_rate(curve, snr, 2000, seed=i) for i, snr in enumerate(curve["snr_db"])]
    level = 0.1
    assert min(ours) < level < max(ours) and min(curve["bler"]) < level < max(curve["bler"])
    shift = snr_at(level, curve["snr_db"], ours) - snr_at(level, curve["snr_db"], curve["bler"])
    print(curve["k"], curve["n"], curve["rule"], curve["schedule"], ours, curve["bler"], f"{shift:+.3f} dB")
    assert abs(shift) < 0.1


@pytest.mark.parametrize(
    ("cfg", "snr_db"),
    [
        (RadioConfig(), 2.5),
        (RadioConfig("rayleigh"), 4.0),
        (RadioConfig("rayleigh", 1, pilots=1), 9.0),
        (RadioConfig("rician", 8, k_factor_db=3.0, pilots=2), 5.0),
    ],
    ids=["awgn", "rayleigh-block", "rayleigh-fast-estimated", "rician"],
)
def test_a_thousand_seeds_at_a_hard_setting(cfg, snr_db):
    keys = jax.random.split(jax.random.key(0), 1000)
    run = functools.partial(
        simulate_blocks, code=SMALL, modulation="qpsk", count=1, cfg=cfg, decoder=DecoderConfig(iterations=8)
    )
    out = jax.vmap(lambda key: run(key, snr_db=snr_db))(keys)
    assert np.all(np.asarray(out.bits) <= 1) and np.all(np.asarray(out.iterations) <= 8)
    wrong, held = np.asarray(out.wrong), np.asarray(out.held)
    assert 0.2 < wrong.mean() < 0.9, "the setting is meant to be hard"
    assert np.mean(wrong & held) < 0.1  # a word that satisfies every check is hardly ever the wrong one


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DecoderConfig("bit-flipping"), "sum-product, min-sum"),
        (lambda: DecoderConfig(schedule="serial"), "layered, flooding"),
        (lambda: DecoderConfig(iterations=0), "iterations"),
        (lambda: DecoderConfig(scale=0.0), "scale"),
        (lambda: DecoderConfig(offset=float("nan")), "offset"),
        (lambda: ldpc_decode(np.zeros(95, np.float32), SMALL), "96 values"),
        (lambda: ldpc_decode(np.zeros(96, np.int32), SMALL), "floats"),
        (lambda: ldpc_decode_mixed([np.zeros(120)], [SMALL, SMALL]), "one code for each"),
        (lambda: ldpc_decode_mixed([np.zeros(12)], [SMALL]), "96 values"),
        (lambda: ldpc_decode_mixed([], [], DecoderConfig(schedule="flooding")), "layered"),
        (lambda: TransportCode(100, 110), "do not fit"),
        (lambda: TransportCode(0, 110), "payload"),
        (lambda: TransportCode(100, 211, 2), "multiple"),
        (lambda: transport_encode(np.zeros(9, np.uint8), TransportCode(10, 60)), "takes 10 bits"),
        (lambda: transport_decode(np.zeros(59, np.float32), TransportCode(10, 60)), "60 coded bits"),
        (lambda: simulate_blocks(jax.random.key(0), SMALL, "256qam", 3.0, 0), "number of blocks"),
        (lambda: simulate_blocks(jax.random.key(0), LdpcCode(60, 122), "16qam", 3.0, 1), "whole number of"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
