"""Adaptive multi-symbol models: exact, never without a slot, and close to the entropy of what they code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.entropy import adaptive
from semjax.errors import InputError


def _previous(context, symbol):
    return symbol


def test_order_one_source_costs_about_its_entropy():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(6, 0.3), 6)
    symbols, s = [], 0
    for u in rng.random(6000):
        s = min(int(np.searchsorted(np.cumsum(chances[s]), u)), 5)
        symbols.append(s)
    symbols = np.array(symbols)
    before = np.concatenate([[0], symbols[:-1]])
    entropy = -np.log2(chances[before, symbols]).sum()
    data, size, after = adaptive.encode(symbols, adaptive.new_model(6, 6), _previous)
    out, again = adaptive.decode(data, size, symbols.size, adaptive.new_model(6, 6), _previous)
    assert (np.asarray(out) == symbols).all() and (again.rows == after.rows).all()
    assert 8 * int(size) < 1.05 * entropy + 6 * 60
    blind = adaptive.encode(symbols, adaptive.new_model(1, 6))[1]
    assert int(size) < 0.9 * int(blind)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 4), min_size=30, max_size=30), st.integers(0, 30))
def test_every_message_comes_back(symbols, same):
    symbols = np.array(symbols)
    symbols[:same] = symbols[0]
    data, size, _ = adaptive.encode(symbols, adaptive.new_model(5, 5), _previous)
    out, _ = adaptive.decode(data, size, 30, adaptive.new_model(5, 5), _previous)
    assert (np.asarray(out) == symbols).all()


@pytest.mark.parametrize("symbols", [1, 2, 700])
def test_no_symbol_ever_loses_its_slot(symbols):
    model = adaptive.new_model(1, symbols)

    @jax.jit
    def many(model):
        return jax.lax.fori_loop(0, 3000, lambda i, m: adaptive.learn(m, 0, symbols - 1), model)

    rows = np.asarray(many(model).rows[0]).astype(int)
    assert rows[0] == 0 and rows[-1] == 1 << 16 and (np.diff(rows) >= 1).all()
    assert rows[-1] - rows[-2] > (1 << 16) - 130 * symbols


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=12, max_size=12), st.integers(0, 12))
def test_garbage_decodes_to_symbols(data, size):
    lane = jnp.asarray(np.frombuffer(data, np.uint8))
    out, _ = adaptive.decode(lane, size, 30, adaptive.new_model(5, 5), _previous)
    assert ((np.asarray(out) >= 0) & (np.asarray(out) < 5)).all()


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="1 to 4096"):
        adaptive.new_model(1, 5000)
