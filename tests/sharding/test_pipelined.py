"""Pipelined denoising: equal to one frame after another where it can be, causal and close where it cannot."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sharding_cases

from semjax import generator
from semjax.errors import InputError
from semjax.generator.pipelined import generate_pipelined, init_flight

SIZE, TINY, BATCH, FRAMES, STEPS = (16, 16), (4, 4), 2, 6, 3
QUICK = {"xla_backend_optimization_level": 0}


def config(**changes):
    settings = {
        "steps": STEPS,
        "window": 3,
        "consistency": 0.5,
        "restoration": False,
        "control": False,
        **changes,
    }
    return generator.GeneratorConfig(sharding_cases.MODEL, **settings)


@pytest.fixture(scope="module")
def params():
    return sharding_cases.weights()


@pytest.fixture(scope="module")
def clip():
    """Six frames of two streams, with a keyframe in one at frame 2 and a cut in the other at frame 3."""
    rng = np.random.default_rng(0)
    some = lambda *s: jnp.asarray(rng.uniform(-1, 1, (FRAMES, BATCH, *s)), jnp.float32)  # noqa: E731
    ones, rare = jnp.ones((FRAMES, BATCH)), np.zeros((2, FRAMES, BATCH), np.float32)
    rare[0, 2, 0] = rare[1, 3, 1] = 1
    return generator.FrameConditions(
        labels=jnp.asarray(rng.integers(0, 4, (FRAMES, BATCH, *SIZE))),
        has_labels=ones,
        degraded=some(*SIZE, 3),
        has_degraded=ones,
        tiny=some(*TINY, 3),
        has_tiny=ones,
        keyframe=some(*SIZE, 3),
        has_keyframe=jnp.asarray(rare[0]),
        text=jnp.asarray(rng.integers(0, 50, (FRAMES, BATCH, sharding_cases.MODEL.text_tokens))),
        cut=jnp.asarray(rare[1]),
    )


def keys(frame):
    return jax.vmap(lambda s: jax.random.fold_in(jax.random.key(s), frame))(jnp.arange(BATCH))


@functools.cache
def compiled(function, cfg):
    return jax.jit(functools.partial(function, cfg=cfg), compiler_options=QUICK)


def one_by_one(params, clip, cfg):
    cache, frames = generator.init_cache(cfg, *SIZE, BATCH), []
    for i in range(FRAMES):
        given = jax.tree.map(lambda x, i=i: x[i], clip)
        frame, cache = compiled(generator.generate_frame, cfg)(params, cache, given, keys(i))
        frames.append(frame)
    return np.stack(frames)


def pipelined(params, clip, cfg, frames=FRAMES):
    first = jax.tree.map(lambda x: x[0], clip)
    cache = generator.init_cache(cfg, *SIZE, BATCH)
    flight, out = init_flight(params, cache, first, cfg), []
    for i in range(frames + STEPS - 1):
        given = jax.tree.map(lambda x, i=i: x[min(i, frames - 1)], clip)
        frame, cache, flight = compiled(generate_pipelined, cfg)(params, cache, flight, given, keys(i))
        out.append(frame)
    return np.stack(out[STEPS - 1 :])


def test_equal_without_the_temporal_adapter(params, clip):
    cfg = config(temporal=False)
    np.testing.assert_allclose(pipelined(params, clip, cfg), one_by_one(params, clip, cfg), atol=1e-5)


def test_with_it_close_and_strictly_causal(params, clip):
    cfg = config()
    whole, reference = pipelined(params, clip, cfg), one_by_one(params, clip, cfg)
    # A stream's first frame, and the first after a cut, have nothing to look back on: there the two are equal.
    np.testing.assert_allclose(whole[0], reference[0], atol=1e-5)
    np.testing.assert_allclose(whole[3, 1], reference[3, 1], atol=1e-5)
    apart = np.abs(whole - reference).mean() / np.abs(np.diff(reference, axis=0)).mean()
    assert 0 < apart < 0.5
    later = jax.tree.map(lambda x: x.at[4:].set(0), clip)
    np.testing.assert_array_equal(pipelined(params, later, cfg)[:4], whole[:4])


def test_a_clean_cache_needs_its_own_evaluation(params, clip):
    cfg = dataclasses.replace(config(), clean_cache=True)
    with pytest.raises(InputError, match="clean_cache"):
        init_flight(params, generator.init_cache(cfg, *SIZE, BATCH), jax.tree.map(lambda x: x[0], clip), cfg)
