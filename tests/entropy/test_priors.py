"""Learned priors: the training-time functions are what they claim, and exported tables code what they
promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.entropy import prior_tables as pt
from semjax.entropy import priors
from semjax.errors import InputError, StreamError


def _train(loss, params, steps, rate):
    """Plain Adam: the tests need no optimiser library."""
    value_and_grad = jax.value_and_grad(loss)

    @jax.jit
    def step(state, i):
        p, m, v = state
        value, g = value_and_grad(p, jax.random.fold_in(jax.random.key(1), i))
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.99 * a + 0.01 * b * b, v, g)
        p = jax.tree.map(lambda a, b, c: a - rate * b / (jnp.sqrt(c) + 1e-8), p, m, v)
        return (p, m, v), value

    zeros = jax.tree.map(jnp.zeros_like, params)
    (params, _, _), values = jax.lax.scan(step, (params, zeros, zeros), jnp.arange(steps))
    return params, np.asarray(values)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 5.0, 20.0])
def test_soft_rounding(alpha):
    y = jnp.linspace(-3, 3, 601)
    z = priors.soft_round(y, alpha)
    assert (jnp.diff(z) >= 0).all() and jnp.abs(z - y).max() <= 0.5 + 1e-6
    whole = jnp.arange(-3.0, 4.0)
    assert jnp.abs(priors.soft_round(whole + 0.5, alpha) - whole - 0.5).max() < 1e-5
    if alpha <= 5:
        assert jnp.abs(priors.soft_round_inverse(z, alpha) - y).max() < 2e-2
    if alpha == 20:
        away = jnp.abs(y - jnp.round(y)) < 0.35
        assert jnp.abs(z - jnp.round(y))[away].max() < 0.05


def test_relaxed_values_stay_near():
    y = jnp.linspace(-4, 4, 1000)
    for alpha in (None, 2.0, 8.0):
        x = priors.relax(y, jax.random.key(0), alpha)
        assert jnp.abs(x - y).max() <= 1.01 and abs(float((x - y).mean())) < 0.05
    assert jnp.isfinite(jax.grad(lambda v: priors.relax(v, jax.random.key(0), 8.0).sum())(y)).all()


def test_bits_are_probabilities_and_differentiable():
    params = priors.factorised_init(jax.random.key(0), 3)
    grid = jnp.arange(-400.0, 401.0)[:, None] * jnp.ones(3)
    mass = (2.0 ** -priors.factorised_bits(params, grid)).sum(0)
    assert jnp.abs(mass - 1).max() < 0.01
    grads = jax.grad(lambda p, y: priors.factorised_bits(p, y).sum(), (0, 1))(params, grid / 100)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(grads))
    bits = priors.gaussian_bits(jnp.arange(-60.0, 61.0), 0.3, 4.0)
    assert abs(float((2.0**-bits).sum()) - 1) < 1e-4
    assert jnp.isfinite(jax.grad(lambda s: priors.gaussian_bits(jnp.array(40.0), 0.0, s))(0.1))


def test_factorised_prior_learns_and_its_tables_keep_the_promise():
    rng = np.random.default_rng(0)
    data = np.stack([rng.laplace(5, 3, 4000), rng.normal(-20, 1, 4000)], -1)
    params = priors.factorised_init(jax.random.key(0), 2)
    y = jnp.asarray(data, jnp.float32)
    params, losses = _train(
        lambda p, k: priors.factorised_bits(p, priors.relax(y, k)).mean(), params, 400, 0.03
    )
    whole = np.round(data).astype(np.int64)
    entropy = 0.0
    for c in range(2):
        p = np.unique(whole[:, c], return_counts=True)[1] / 4000
        entropy -= (p * np.log2(p)).sum() * 4000
    promised = float(priors.factorised_bits(params, jnp.asarray(whole, jnp.float32)).sum())
    tables = pt.export_factorised(params)
    row = np.tile([0, 1], 4000)
    payload = pt.encode_values(whole, tables, row)
    assert losses[-1] < 0.6 * losses[0] and promised < 1.05 * entropy
    assert 8 * len(payload) < 1.02 * promised + 64
    assert (pt.decode_values(payload, 8000, tables, row).reshape(-1, 2) == whole).all()


def test_conditional_prior_uses_its_context():
    rng = np.random.default_rng(1)
    context = rng.integers(-6, 7, (6000, 2))
    y = np.round(2 * context[:, 0] + rng.normal(0, 0.3 + 0.5 * (context[:, 1] + 6), 6000)).astype(np.int64)
    ctx, target = jnp.asarray(context, jnp.float32), jnp.asarray(y, jnp.float32)

    def loss(p, k):
        return priors.conditional_bits(p, target, ctx).mean()

    params, losses = _train(loss, priors.conditional_init(jax.random.key(0), 2), 800, 0.02)
    promised = float(losses[-1]) * y.size
    counts = np.unique(y, return_counts=True)[1] / y.size
    blind = -(counts * np.log2(counts)).sum() * y.size
    tables = pt.export_conditional(params)
    row, offset = pt.conditional_rows(tables.net, context)
    row2, offset2 = jax.jit(lambda c: pt.conditional_rows(tables.net, c))(jnp.asarray(context))
    assert (np.asarray(row2) == row).all() and (np.asarray(offset2) == offset).all()
    payload = pt.encode_values(y, tables, row, offset)
    assert 8 * len(payload) < 0.85 * blind and 8 * len(payload) < 1.02 * promised + 64
    assert (pt.decode_values(payload, y.size, tables, row, offset) == y).all()


def _plain_tables():
    return pt.export_factorised(priors.factorised_init(jax.random.key(3), 2, scale=4.0), radius=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-12, 12), max_size=40))
def test_all_integers_come_back(values):
    tables = _TABLES
    row = np.arange(len(values)) % 2
    payload = pt.encode_values(values, tables, row, 3)
    assert (pt.decode_values(payload, len(values), tables, row, 3) == np.array(values, np.int64)).all()


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=40))
def test_damage_is_an_error_or_other_values(data):
    try:
        assert pt.decode_values(data, 20, _TABLES, np.zeros(20, np.int64)).shape == (20,)
    except StreamError as error:
        assert "damaged" in str(error) or "truncated" in str(error)


_TABLES = _plain_tables()


def test_wrong_input_is_told():
    with pytest.raises(InputError, match="2\\^31"):
        pt.encode_values([2**31], _TABLES, 0)
    params = priors.conditional_init(jax.random.key(0), 2)
    params["w0"] = params["w0"] * 1e9
    params["w1"] = params["w1"] * 1e9
    wide = {k: jnp.repeat(v, 4000, 0) if k == "w0" else v for k, v in params.items()}
    with pytest.raises(InputError, match="too large"):
        pt.export_conditional(wide)
