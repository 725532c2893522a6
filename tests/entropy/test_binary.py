"""The range coder and its models: exact, minimal, safe, and the same in all three modes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from semjax.entropy import binary as eb
from semjax.entropy import logistic
from semjax.errors import InputError


@njit
def _static(coder, buf, bits, probs):
    for i in range(bits.size):
        buf = eb.reserve(coder, buf, 1)
        bits[i] = eb.code_bit(coder, buf, bits[i], probs[i])
    return buf


@njit
def _everything(coder, buf, values, models, pairs, weights, apm):
    """A kernel that uses every helper; values int64 [n, 4] are overwritten by what comes out."""
    inputs = np.zeros(3, np.int64)
    for i in range(values.shape[0]):
        buf = eb.reserve(coder, buf, 300)
        a = eb.code_golomb(coder, buf, values[i, 0], models, 0, 1, 100)
        b = eb.code_signed(coder, buf, values[i, 1], models, 50, 0, 60)
        c = eb.code_tree(coder, buf, values[i, 2], models, 100, 4, 1000)
        c += 16 * eb.code_unary(coder, buf, values[i, 2] >> 4, models, 120, 5, 255)
        inputs[0] = eb.stretch(eb.pair_p(pairs, c & 3))
        inputs[1] = eb.stretch(eb.bit_p(models, 130 + (a & 7)))
        inputs[2] = 256
        x = eb.mix(weights, c & 1, inputs)
        p = eb.squash(x)
        final = (p + 3 * eb.apm_p(apm, c & 3, x)) >> 2
        d = eb.code_bit(coder, buf, values[i, 3], final)
        eb.mix_update(weights, c & 1, inputs, p, d, 12)
        eb.apm_update(apm, c & 3, x, d, 6)
        eb.pair_update(pairs, c & 3, d, 20, 400)
        eb.bit_update(models, 130 + (a & 7), d, 255)
        eb.code_pair(coder, buf, 0, pairs, 4, 5, 50)
        values[i, 0], values[i, 1], values[i, 2], values[i, 3] = a, b, c, d
    return buf


def _state():
    return eb.new_bits(140), eb.new_pairs(5), eb.new_mixer(2, 3), eb.new_apm(4)


def _values(n: int, seed: int = 7) -> np.ndarray:
    x, out = seed, []
    for _ in range(4 * n):  # a generator of our own: goldens must not depend on numpy's
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(x >> 40)
    v = np.array(out, np.int64).reshape(n, 4)
    v[:, 0] >>= v[:, 0] % 23
    v[:, 1] = (v[:, 1] % 41 - 20) // (1 + v[:, 2] % 9)
    v[:, 2] %= 96
    v[:, 3] = (v[:, 3] % 100 < 10 + 80 * (v[:, 2] & 1)).astype(np.int64)
    return v


def _code(bits, probs) -> bytes:
    coder, buf = eb.new_encoder(16)
    return eb.finish(coder, _static(coder, buf, bits.copy(), probs))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.one_of(st.integers(1, 65535), st.sampled_from([1, 65535]))),
        max_size=300,
    )
)
def test_round_trip_and_length(pairs):
    bits = np.array([b for b, _ in pairs], np.int64)
    probs = np.array([p for _, p in pairs], np.int64)
    data = _code(bits, probs)
    out = np.ones_like(bits)
    _static(*eb.new_decoder(data), out, probs)
    assert (out == bits).all()
    ideal = -sum(math.log2((p if b else 65536 - p) / 65536) for b, p in pairs)
    assert 8 * len(data) <= ideal + 8.01
    coder, buf = eb.new_pricer()
    _static(coder, buf, bits.copy(), probs)
    assert abs(eb.cost(coder) / 65536 - ideal) <= 1e-3 * len(pairs) + 1e-9


def test_nothing_costs_nothing():
    assert _code(np.zeros(0, np.int64), np.zeros(0, np.int64)) == b""
    assert len(_code(np.ones(1000, np.int64), np.full(1000, 65535, np.int64))) <= 1


@pytest.mark.parametrize("p", [1, 300, 9000, 32768, 60000, 65535])
def test_overhead_of_long_messages(p):
    rng = np.random.default_rng(p)
    bits = (rng.random(1 << 20) < p / 65536).astype(np.int64)
    probs = np.full(bits.size, p, np.int64)
    data = _code(bits, probs)
    out = np.zeros_like(bits)
    _static(*eb.new_decoder(data), out, probs)
    assert (out == bits).all()
    ideal = -(bits.sum() * math.log2(p / 65536) + (1 - bits).sum() * math.log2(1 - p / 65536))
    assert 8 * len(data) <= ideal * 1.0002 + 8


def test_carries_run_back_through_the_buffer():
    """Aim for the code 0x7fff...: `low` rides just under a byte edge and the last decisions cross it."""
    n, bits, probs = 400, [], []
    low, width = 0, 1 << 4000
    target = (1 << 3999) - 1 + (1 << 100)
    for _ in range(n):
        bound = (width >> 16) * 32768
        bits.append(int(target < low + bound))
        probs.append(32768)
        low, width = (low, bound) if bits[-1] else (low + bound, width - bound)
    bits, probs = np.array([*bits, 0, 0, 0], np.int64), np.array([*probs, 65535, 65535, 65535], np.int64)
    for end in range(8, n + 3):
        data = _code(bits[:end], probs[:end])
        out = np.zeros(end, np.int64)
        _static(*eb.new_decoder(data), out, probs[:end])
        assert (out == bits[:end]).all()


def test_full_buffer_is_an_error_not_a_write_outside():
    coder, _ = eb.new_encoder(16)
    guard = np.full(64, 77, np.uint8)
    for _ in range(400):
        eb.code_bit(coder, guard[:16], 1, 1)
    assert (guard[16:] == 77).all()
    with pytest.raises(InputError, match="reserve"):
        eb.finish(coder, guard[:16])
    with pytest.raises(InputError, match="new_encoder"):
        eb.finish(*eb.new_decoder(b"abc"))


def test_one_kernel_encodes_decodes_and_prices():
    values = _values(3000)
    coder, buf = eb.new_encoder(16)
    data = eb.finish(coder, _everything(coder, buf, values.copy(), *_state()))
    out = np.zeros_like(values)
    _everything(*eb.new_decoder(data), out, *_state())
    assert (out == values).all()
    coder, buf = eb.new_pricer()
    _everything(coder, buf, values.copy(), *_state())
    assert abs(eb.cost(coder) / 65536 - 8 * len(data)) < 16


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200))
def test_any_bytes_decode_to_something_in_range(data):
    values = np.full((60, 4), -1, np.int64)
    _everything(*eb.new_decoder(data), values, *_state())
    assert (values[:, 0] >= 0).all() and (values[:, 0] < 1 << 26).all()
    assert (values[:, 2] >= 0).all() and (values[:, 2] < 96).all()
    assert set(values[:, 3]) <= {0, 1}


@pytest.mark.parametrize("value", [0, 1, 2, 1000, (1 << 25) - 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_golomb_extremes(value, sign):
    coder, buf = eb.new_encoder(1000)
    models = eb.new_bits(49)
    assert eb.code_signed(coder, buf, sign * value, models, 0, 0, 30) == sign * value
    data = eb.finish(coder, buf)
    assert eb.code_signed(*eb.new_decoder(data), 0, eb.new_bits(49), 0, 0, 30) == sign * value


def test_adaptive_model_learns_fast_then_exactly():
    rng = np.random.default_rng(1)
    bits = (rng.random(20000) < 0.03).astype(np.int64)
    coder, buf = eb.new_pricer()
    models = eb.new_bits(1)
    for b in bits[:10]:
        eb.code_adaptive(coder, buf, b, models, 0, 1023)
    assert eb.bit_count(models, 0) == 10 and eb.bit_p(models, 0) < 65536 * 0.2
    for b in bits[10:]:
        eb.code_adaptive(coder, buf, b, models, 0, 1023)
    h = bits.mean()
    entropy = -h * math.log2(h) - (1 - h) * math.log2(1 - h)
    assert eb.cost(coder) / 65536 / bits.size < entropy * 1.01


def test_mixing_beats_its_inputs():
    """Two noisy witnesses of the same bit: the mix must cost less than the better one alone."""
    rng = np.random.default_rng(2)
    truth = rng.random(8000) < 0.5
    seen = np.stack([truth ^ (rng.random(8000) < e) for e in (0.2, 0.25)])
    weights, pairs = eb.new_mixer(1, 2), eb.new_bits(4)
    costs = np.zeros(3)
    for t in range(8000):
        b = int(truth[t])
        slots = [int(seen[0, t]), 2 + int(seen[1, t])]
        ps = [eb.bit_p(pairs, s) for s in slots]
        inputs = np.array([eb.stretch(p) for p in ps], np.int64)
        p = eb.squash(eb.mix(weights, 0, inputs))
        costs += [eb.price(q if b else 65536 - q) for q in (*ps, p)]
        eb.mix_update(weights, 0, inputs, p, b, 8)
        for s in slots:
            eb.bit_update(pairs, s, b, 500)
    assert costs[2] < 0.9 * costs[:2].min()


def test_tables_are_the_functions_they_claim_to_be():
    x = np.arange(-2880, 2881)
    want = np.clip(np.round(65536 / (1 + np.exp(-x / 256))), 1, 65535)
    assert (np.abs(logistic.SQUASH - want) <= 0).all()
    p = np.arange(1, 65536)
    got = np.array([eb.stretch(int(q)) for q in p[::7]])
    want = 256 * np.log(p[::7] / (65536 - p[::7]))
    near_edge = np.minimum(p[::7], 65536 - p[::7]) < 2048
    assert np.abs(got - want)[near_edge].max() <= 0.5 and np.abs(got - want).max() <= 1.6
    cost = np.array([eb.price(int(q)) for q in p[::7]])
    assert np.abs(cost / 65536 + np.log2(p[::7] / 65536)).max() < 1 / 4000


def test_apm_starts_as_the_identity_and_learns():
    table = eb.new_apm(2)
    xs = np.arange(-2880, 2881, 45)
    p0 = np.array([eb.squash(int(x)) for x in xs])
    p1 = np.array([eb.apm_p(table, 1, int(x)) for x in xs])
    assert np.abs(p0 - p1).max() < 1200
    for _ in range(2000):
        eb.apm_update(table, 1, 0, 1, 6)
    assert eb.apm_p(table, 1, 0) > 65000 and eb.apm_p(table, 0, 0) == 32768
    for x in (-2880, 2880):
        for bit in (0, 1):
            eb.apm_update(table, 0, x, bit, 6)
            assert 1 <= eb.apm_p(table, 0, x) <= 65535
