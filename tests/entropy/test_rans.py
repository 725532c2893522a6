"""rANS: the JAX coder and its host twin write the same bytes, read them back, and waste next to nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.entropy import rans, rans_host
from semjax.entropy.tables import ideal_bits, quantise
from semjax.errors import InputError, StreamError


def _draw(rng, cum, n, precision=12):
    return (np.searchsorted(cum, rng.integers(0, 1 << precision, n), side="right") - 1).astype(np.int32)


@st.composite
def _messages(draw):
    precision = draw(st.sampled_from([1, 4, 8, 12, 14, 16]))
    size = draw(st.integers(1, min(40, 1 << precision)))
    weights = draw(st.lists(st.sampled_from([0.0, 1e-6, 0.5, 1.0, 3.0, 1e6]), min_size=size, max_size=size))
    weights[draw(st.integers(0, size - 1))] = 1.0
    cum = quantise(weights, precision, keep_zeros=draw(st.booleans()))
    alive = np.flatnonzero(np.diff(cum))
    symbols = draw(st.lists(st.sampled_from(list(alive)), max_size=120))
    return np.array(symbols, np.int32), cum, precision, draw(st.integers(1, 5))


@settings(deadline=None, max_examples=150)
@given(_messages())
def test_host_round_trip(message):
    symbols, cum, precision, lanes = message
    data = rans_host.encode(symbols, cum, precision=precision, lanes=lanes)
    out = rans_host.decode(data, symbols.size, cum, precision=precision, lanes=lanes)
    assert (out == symbols).all()
    waste = 2 if precision <= 12 else 3
    used = min(lanes, symbols.size)
    assert len(data) - (lanes - 1) <= ideal_bits(symbols, cum, None, precision) / 8 + (waste + 1) * used


@pytest.mark.parametrize("precision", [12, 16])
@pytest.mark.parametrize("kind", ["one row", "indexed rows", "own rows"])
def test_twins_write_the_same_bytes(precision, kind):
    rng = np.random.default_rng(precision)
    n, many = 333, {"one row": 1, "indexed rows": 7, "own rows": 333}[kind]
    rows = quantise(rng.random((many, 11)) ** 6, precision)
    index = np.arange(n) if kind == "own rows" else rng.integers(0, many, n)
    symbols = np.array([_draw(rng, rows[r], 1, precision)[0] for r in index])
    given_index = None if many == 1 else index
    data = rans_host.encode(symbols, rows, given_index, precision=precision)
    jax_rows = jnp.asarray(rows[0] if many == 1 else rows, jnp.uint32)
    jax_index = jnp.asarray(index) if kind == "indexed rows" else None
    lane, size = rans.encode(symbols, jax_rows, jax_index, precision=precision)
    assert rans.pack(lane, size) == data
    assert (rans_host.decode(data, n, rows, given_index, precision=precision) == symbols).all()
    lane, size = rans.unpack(data)
    out = rans.decode(lane[0], size[0], n, jax_rows, jax_index, precision=precision)
    assert (np.asarray(out) == symbols).all()


@pytest.mark.parametrize("n", [1, 2, 5000])
def test_twins_agree_on_short_and_nearly_certain_messages(n):
    cum = quantise([1.0, 4000.0, 2.0])
    symbols = np.ones(n, np.int32)
    symbols[n // 3] = 2
    lane, size = rans.encode(symbols, cum.astype(np.uint32))
    assert rans.pack(lane, size) == rans_host.encode(symbols, cum)
    assert (np.asarray(rans.decode(lane, size, n, cum.astype(np.uint32))) == symbols).all()


def test_lanes_by_vmap():
    rng = np.random.default_rng(4)
    cum = quantise(rng.random(20))
    symbols = _draw(rng, cum, 8 * 100)
    rows = jnp.asarray(cum, jnp.uint32)
    lanes, sizes = jax.vmap(lambda s: rans.encode(s, rows))(symbols.reshape(100, 8).T)
    data = rans.pack(lanes, sizes)
    assert data == rans_host.encode(symbols, cum, lanes=8)
    lanes, sizes = rans.unpack(data, 8)
    out = jax.jit(jax.vmap(lambda d, n: rans.decode(d, n, 100, rows)))(lanes, sizes)
    assert (np.asarray(out).T.ravel() == symbols).all()
    untrimmed, sizes = jax.vmap(lambda s: rans.encode(s, rows, tries=0))(symbols.reshape(100, 8).T)
    assert rans.pack(untrimmed, sizes) == rans_host.encode(symbols, cum, lanes=8, tries=0)


def test_inside_other_jitted_code():
    """Code what another function computes, in one jit, and get it back."""
    rows = jnp.asarray(quantise(np.ones(16)), jnp.uint32)

    @jax.jit
    def there_and_back(key):
        symbols = jnp.clip(jnp.round(jax.random.normal(key, (64,)) * 3 + 8), 0, 15).astype(jnp.int32)
        data, size = rans.encode(symbols, rows)
        return (rans.decode(data, size, 64, rows) == symbols).all()

    assert there_and_back(jax.random.key(0))


def test_stack_is_last_in_first_out():
    rng = np.random.default_rng(5)
    rows = quantise(rng.random((3, 9)))
    order = [(int(r), int(_draw(rng, rows[r], 1)[0])) for r in rng.integers(0, 3, 200)]
    push, pop = jax.jit(rans.push), jax.jit(rans.pop)
    stack = rans.new_stack(500)
    for r, s in order:
        stack = push(stack, rows[r, s], rows[r, s + 1] - rows[r, s])
    assert 0 < int(stack.size) <= 500
    for r, s in reversed(order):
        got, stack = pop(stack, jnp.asarray(rows[r], jnp.uint32))
        assert int(got) == s
    assert int(stack.size) == 0 and int(stack.state) == int(rans.new_stack(1).state)


def test_full_stack_tells():
    stack = rans.new_stack(3)
    for _ in range(8):
        stack = rans.push(stack, 7, 1)
    assert int(stack.size) > 3


def test_overhead_of_short_messages():
    """10 to 100 bytes: at most 2 bytes over the ideal length, whatever the table."""
    rng = np.random.default_rng(6)
    worst = 0.0
    for _ in range(400):
        cum = quantise(rng.random(rng.integers(2, 80)) ** rng.integers(1, 7))
        symbols = _draw(rng, cum, int(rng.integers(20, 300)))
        ideal = ideal_bits(symbols, cum) / 8
        if 10 <= ideal <= 100:
            worst = max(worst, len(rans_host.encode(symbols, cum)) - ideal)
    assert 0 < worst <= 2.0


@pytest.mark.parametrize("weights", [[1, 1], [1, 4095], np.exp(-np.abs(np.arange(64) - 20) / 4)])
def test_overhead_of_long_messages(weights):
    rng = np.random.default_rng(7)
    cum = quantise(weights)
    symbols = _draw(rng, cum, 1 << 20)
    data = rans_host.encode(symbols, cum)
    assert (rans_host.decode(data, symbols.size, cum) == symbols).all()
    assert 8 * len(data) <= ideal_bits(symbols, cum) * 1.0002 + 16


def test_certain_symbols_cost_next_to_nothing():
    cum = quantise([0, 5, 0], keep_zeros=True)
    data = rans_host.encode(np.ones(1 << 20, np.int32), cum)
    assert len(data) <= 3
    assert (rans_host.decode(data, 1 << 20, cum) == 1).all()
    assert rans_host.encode(np.zeros(0, np.int32), cum) == b""
    assert rans_host.decode(b"", 0, cum).size == 0


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=40), st.integers(0, 100), st.sampled_from([12, 16]))
def test_any_bytes_decode_alike(data, count, precision):
    """Garbage decodes to symbols of the alphabet, the same on both sides, reading nothing outside."""
    cum = quantise([3.0, 1.0, 1e-9, 7.0], precision)
    out = rans_host.decode(data, count, cum, precision=precision)
    assert out.shape == (count,) and ((out >= 0) & (out < 4)).all()
    lane = np.frombuffer(data.ljust(40, b"\x07"), np.uint8)
    twin = rans.decode(lane, len(data), 100, cum.astype(np.uint32), precision=precision)[:count]
    assert (np.asarray(twin) == out).all()


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=30), st.integers(2, 300))
def test_damaged_lane_lengths_are_told(data, lanes):
    cum = quantise([1.0, 1.0])
    try:
        assert rans_host.decode(data, 50, cum, lanes=lanes).size == 50
    except StreamError as error:
        assert "damaged" in str(error) or "truncated" in str(error)


def test_wrong_input_is_told():
    cum = quantise([1.0, 0.0, 2.0], keep_zeros=True)
    with pytest.raises(InputError, match="no slot"):
        rans_host.encode([0, 1], cum)
    with pytest.raises(InputError, match=r"in 0\.\.2"):
        rans_host.encode([3], cum)
    with pytest.raises(InputError, match=r"in 0\.\.2"):
        rans_host.encode(np.array([0.5]), cum)
    with pytest.raises(InputError, match="rising from 0"):
        rans_host.encode([0], cum + 1)
    with pytest.raises(InputError, match="need an index"):
        rans_host.encode([0], np.stack([cum, cum]))
    with pytest.raises(InputError, match="index must be"):
        rans_host.decode(b"", 2, np.stack([cum, cum]), [0, 5])
    for bad in ([], [np.nan, 1], [-1, 2], [0, 0]):
        with pytest.raises(InputError):
            quantise(bad)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(0, 1e300), min_size=1, max_size=64).filter(lambda w: max(w) > 0),
    st.integers(6, 16),
    st.booleans(),
)
def test_quantise_fills_the_table(weights, precision, keep_zeros):
    cum = quantise(weights, precision, keep_zeros=keep_zeros)
    slots = np.diff(cum)
    assert cum[0] == 0 and cum[-1] == 1 << precision
    alive = (np.array(weights) / max(weights) > 0) if keep_zeros else np.ones(len(weights), bool)
    assert (slots[alive] >= 1).all() and (slots[~alive] == 0).all()
