"""The generator at a minuscule size: stream equals clip, absent conditions, cache, adapters, weights."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import generator
from semjax.errors import InputError
from semjax.generator.streaming import generate

SIZE, FRAMES, TINY = (20, 28), 7, (5, 7)
MODEL = generator.preset("minuscule")
# These tests compile for longer than they run.
QUICK = {"xla_backend_optimization_level": 0}


@functools.cache
def frame_step(cfg):
    return jax.jit(functools.partial(generator.generate_frame, cfg=cfg), compiler_options=QUICK)


@functools.cache
def clip_scan(cfg):
    return jax.jit(functools.partial(generate.__wrapped__, cfg=cfg), compiler_options=QUICK)


@pytest.fixture(scope="module")
def params():
    """Every adapter does something: what begins at zero is set to noise."""
    rng = np.random.default_rng(0)
    drawn = generator.init_params(jax.random.key(0), MODEL)
    return jax.tree.map(lambda x: x + 0.2 * rng.standard_normal(x.shape, np.float32), drawn)


@pytest.fixture(scope="module")
def clip():
    """Conditions of a clip of two streams with a keyframe and a cut at different frames."""
    rng = np.random.default_rng(1)
    batch = (FRAMES, 2)
    coin = lambda p: jnp.asarray(rng.random(batch) < p, jnp.float32)  # noqa: E731
    keyframe, cut = np.zeros(batch, np.float32), np.zeros(batch, np.float32)
    keyframe[2, 0], cut[4, 1] = 1, 1
    picture = lambda *size: jnp.asarray(rng.uniform(-1, 1, (*batch, *size, 3)), jnp.float32)  # noqa: E731
    return generator.FrameConditions(
        labels=jnp.asarray(rng.integers(0, 4, (*batch, *SIZE))),
        has_labels=coin(0.8),
        degraded=0.5 * picture(*SIZE),
        has_degraded=coin(0.8),
        tiny=0.5 * picture(*TINY),
        has_tiny=coin(0.8),
        keyframe=picture(*SIZE),
        has_keyframe=jnp.asarray(keyframe),
        text=jnp.asarray(rng.integers(0, 50, (*batch, MODEL.text_tokens))),
        cut=jnp.asarray(cut),
    )


def config(**changes):
    return generator.GeneratorConfig(MODEL, window=3, consistency=0.5, **changes)


def stream(params, clip, cfg, key, first=0, cache=None):
    cache = generator.init_cache(cfg, *SIZE, batch=2) if cache is None else cache
    frames = []
    for i in range(len(clip.cut)):
        given = jax.tree.map(lambda x, i=i: x[i], clip)
        frame, cache = frame_step(cfg)(params, cache, given, jax.random.fold_in(key, first + i))
        frames.append(frame)
    return jnp.stack(frames), cache


def test_stream_equals_clip_and_parts_equal_the_whole(params, clip):
    cfg, key = config(), jax.random.key(3)
    cache = generator.init_cache(cfg, *SIZE, batch=2)
    whole, end = clip_scan(cfg)(params, cache, clip, key)
    assert whole.shape == (FRAMES, 2, *SIZE, 3) and float(jnp.abs(whole).max()) <= 1
    frames, last = stream(params, clip, cfg, key)
    np.testing.assert_allclose(frames, whole, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), last, end)
    again, _ = clip_scan(cfg)(params, cache, clip, key)
    np.testing.assert_array_equal(again, whole)  # deterministic
    other, _ = clip_scan(cfg)(params, cache, clip, jax.random.key(4))
    assert float(jnp.abs(other - whole).max()) > 1e-2


def test_causal_and_windowed(params, clip):
    """A change of one frame's conditions shows in it and in the frames after it, not before, and not past a cut."""
    cfg, key = config(), jax.random.key(3)
    base, _ = stream(params, clip, cfg, key)
    changed = dataclasses.replace(clip, degraded=clip.degraded.at[1].multiply(-1.0))
    changed = dataclasses.replace(changed, has_degraded=clip.has_degraded.at[1].set(1.0))
    moved, _ = stream(params, changed, cfg, key)
    apart = np.abs(np.asarray(moved - base)).max((2, 3, 4))
    assert (apart[0] == 0).all() and (apart[1] > 1e-3).all()
    assert (apart[2] > 1e-6).all()
    assert (apart[4:, 1] == 0).all(), "the second stream was cut at frame 4"
    assert apart[4, 0] > 0, "the first was not"


def test_every_condition_may_be_absent(params):
    cfg, key = config(), jax.random.key(0)
    cache = generator.init_cache(cfg, *SIZE, batch=2)
    frame, _ = frame_step(cfg)(params, cache, generator.nothing(2, SIZE, TINY, MODEL.text_tokens), key)
    assert frame.shape == (2, *SIZE, 3) and bool(jnp.isfinite(frame).all())


@pytest.mark.parametrize("field", ["labels", "degraded", "tiny", "keyframe"])
def test_what_is_flagged_absent_is_not_looked_at(params, clip, field):
    cfg, key = config(), jax.random.key(0)
    cache = generator.init_cache(cfg, *SIZE, batch=2)
    given = jax.tree.map(lambda x: x[0], clip)
    given = dataclasses.replace(given, **{f"has_{field}": jnp.zeros(2)})
    frame, _ = frame_step(cfg)(params, cache, given, key)
    other = dataclasses.replace(given, **{field: jnp.zeros_like(getattr(given, field))})
    again, _ = frame_step(cfg)(params, cache, other, key)
    np.testing.assert_allclose(frame, again, atol=1e-6)
    seen = dataclasses.replace(given, **{f"has_{field}": jnp.ones(2)})
    _, unlike = frame_step(cfg)(params, cache, seen, key)
    _, plain = frame_step(cfg)(params, cache, given, key)
    shown, _ = frame_step(cfg)(params, cache, seen, key)
    assert float(jnp.abs(shown - frame).max()) > 1e-4, f"{field} has no influence"
    del unlike, plain


def test_untrained_adapters_do_nothing_and_an_anchored_model_begins_at_the_degraded_picture(clip):
    fresh = generator.init_params(jax.random.key(0), MODEL)
    cfg = dataclasses.replace(config(), consistency=0.0)
    given = jax.tree.map(lambda x: x[0], clip)
    given = dataclasses.replace(given, has_degraded=jnp.ones(2))
    frame, _ = frame_step(cfg)(fresh, generator.init_cache(cfg, *SIZE, batch=2), given, jax.random.key(1))
    np.testing.assert_allclose(frame, given.degraded, atol=1e-5)


def test_full_consistency_reaches_the_tiny_frame(params, clip):
    from semjax.diffusion import grid_weights

    cfg = dataclasses.replace(config(), consistency=1.0)
    given = jax.tree.map(lambda x: x[0], clip)
    given = dataclasses.replace(given, has_tiny=jnp.ones(2), tiny=0.3 * given.tiny)
    frame, _ = frame_step(cfg)(params, generator.init_cache(cfg, *SIZE, batch=2), given, jax.random.key(1))
    down_y, down_x = (grid_weights(t, s)[0] for t, s in zip(TINY, SIZE))
    low = jnp.einsum("ay,byxc,dx->badc", down_y, frame, down_x)
    inside = np.abs(np.asarray(frame)).max() < 1
    error = np.abs(np.asarray(low - given.tiny))
    assert error.max() < 1e-4 if inside else np.median(error) < 1e-3


@pytest.mark.parametrize("parts, same_as", [(2, 0.5), (4, 0.1)])
def test_fine_tiny_frames_are_held_to_by_half_at_least(params, clip, parts, same_as):
    given = jax.tree.map(lambda x: x[0], clip)
    tiny = 0.3 * given.degraded[:, ::parts, ::parts]
    given = dataclasses.replace(given, has_tiny=jnp.ones(2), tiny=tiny)

    def frame(consistency):
        cfg = dataclasses.replace(config(), consistency=consistency)
        return frame_step(cfg)(params, generator.init_cache(cfg, *SIZE, batch=2), given, jax.random.key(1))[0]

    loose = frame(0.1)
    np.testing.assert_allclose(loose, frame(same_as), atol=1e-6)
    assert float(jnp.abs(loose - frame(0.0)).max()) > 1e-3
    assert float(jnp.abs(loose - frame(0.5 if parts == 4 else 1.0)).max()) > 1e-3


def test_weights_come_back_and_bad_files_are_refused(params, tmp_path):
    file = generator.save(tmp_path, params, MODEL, dtype="float32", seed="0")
    model, back = generator.load(tmp_path)
    assert model == MODEL
    jax.tree.map(np.testing.assert_array_equal, back, params)
    assert generator.fingerprint(back) == generator.fingerprint(params)
    half = generator.save(tmp_path / "half", params, MODEL)
    assert half.stat().st_size < 0.6 * file.stat().st_size
    assert generator.fingerprint(generator.load(half)[1]) != generator.fingerprint(params)
    without = {**params, "control": {}}
    with pytest.raises(InputError, match=r"control/classes is missing"):
        generator.load(generator.save(tmp_path / "part", without, MODEL))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        generator.load(file)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"window": 0}, "window"), ({"consistency": 2.0}, "consistency"), ({"steps": 0}, "steps"),
     ({"sampler": "heun"}, "heun")],
)  # fmt: skip
def test_bad_settings_are_refused(change, text):
    with pytest.raises(InputError, match=text):
        generator.GeneratorConfig(MODEL, **change)


@pytest.mark.slow
def test_two_thousand_frames_take_constant_time_and_memory(params):
    """The step is compiled once, its cache keeps its shapes, and late frames take no longer than early ones."""
    import time

    cfg, key = config(), jax.random.key(0)
    step = jax.jit(functools.partial(generator.generate_frame, cfg=cfg), donate_argnums=1)
    cache = generator.init_cache(cfg, *SIZE)
    shapes = jax.tree.map(jnp.shape, cache)
    given = generator.nothing(1, SIZE, TINY, MODEL.text_tokens)
    given = dataclasses.replace(given, degraded=0.1 * jnp.ones((1, *SIZE, 3)), has_degraded=jnp.ones(1))
    live = []
    for number in range(2000):
        frame, cache = step(params, cache, given, jax.random.fold_in(key, number))
        if number in (100, 1999):
            frame.block_until_ready()
            live.append(sum(a.nbytes for a in jax.live_arrays()))
    assert step._cache_size() == 1
    assert jax.tree.map(jnp.shape, cache) == shapes and int(cache.count[0]) == 2000
    assert live[1] <= live[0] * 1.01
    # A young and an old stream take turns, so that whatever else the machine does slows both alike.
    caches = {"young": generator.init_cache(cfg, *SIZE), "old": cache}
    times: dict[str, list[float]] = {name: [] for name in caches}
    for number in range(400):
        for name in caches:
            began = time.perf_counter()
            frame, caches[name] = step(params, caches[name], given, jax.random.fold_in(key, number))
            frame.block_until_ready()
            times[name].append(time.perf_counter() - began)
    assert np.median(times["old"]) < 1.25 * np.median(times["young"])


def test_names_are_functions_whatever_was_imported_before():
    for name in generator.__all__:
        assert not isinstance(getattr(generator, name), types.ModuleType), name
