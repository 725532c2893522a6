"""Counts and shapes of the large presets, without their weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import generator
from semjax.generator.config import places
from semjax.training.stages import StageConfig


@pytest.mark.parametrize("name", ["sd15", "sd21", "turbo"])
def test_distillation_trains_a_three_hundredth(name):
    shapes = generator.param_shapes(generator.preset(name))
    trained = StageConfig("distill", generator.preset(name)).trains()
    assert trained == ("temporal",)
    part = sum(generator.count(shapes[name]) for name in trained)
    whole = generator.count(shapes)
    assert part > 0 and whole >= 300 * part, f"1/{whole / part:.0f}"


def test_stable_diffusion_size_is_that_of_the_original():
    shapes = generator.param_shapes(generator.preset("sd15"))
    assert generator.count(shapes["unet"]) == 859_520_964
    assert generator.count(shapes["text"]) == 123_060_480


def test_tiny_fits_into_the_package():
    assert 2 * generator.count(generator.param_shapes(generator.preset("tiny"))) < 20e6


def test_places_are_those_of_the_backbone():
    """The list of places, made from the config alone, is what the backbone calls its hooks with."""
    from semjax.models.unet import UNet2DCondition

    class Record:
        def __init__(self):
            self.layers, self.attends = [], []

        def layer(self, place, x):
            self.layers.append((place, x.shape[-1], x.shape[1]))
            return x

        def attend(self, place, hidden, key, value):
            self.attends.append((place, hidden.shape[-1]))
            return jnp.zeros_like(hidden)

    for name in ("tiny", "minuscule", "sd15", "sd21"):
        model, seen = generator.preset(name), Record()
        net = UNet2DCondition(model.unet, hooks=seen)
        x, text = jnp.zeros((1, 32, 32, model.unet.in_channels)), jnp.zeros((1, 2, model.text_width))
        jax.eval_shape(net.init, jax.random.key(0), x, 0, text)
        found = places(model.unet)
        assert seen.layers == [(p.name, p.channels, 32 >> p.level) for p in found]
        assert seen.attends == [(p.name, p.channels) for p in found if p.attends]


def test_sd15_traces_at_512_and_its_cache_does_not_depend_on_the_clip():
    model = generator.preset("sd15")
    cfg = generator.GeneratorConfig(model, steps=2, window=4)
    size, params = (512, 512), generator.param_shapes(model)
    given = jax.eval_shape(lambda: generator.nothing(1, size, (32, 32), model.text_tokens))
    cache = jax.eval_shape(lambda: generator.init_cache(cfg, *size))
    frame, after = jax.eval_shape(
        lambda *a: generator.generate_frame(*a, jax.random.key(0), cfg=cfg), params, cache, given
    )
    assert frame.shape == (1, 512, 512, 3)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, cache)


def test_words_are_told_apart_and_captions_may_be_long_or_empty():
    model = generator.preset("tiny")
    a, b, none, long = generator.tokens(model, ["A red mug!", "a red mug", "", "word " * 100])
    np.testing.assert_array_equal(a, b)
    assert not none.any() and (long > 0).all()
    assert len(set(a[:3].tolist())) == 3


@pytest.mark.slow
def test_converted_parts_can_stand_in():
    """A ControlNet beside Semantic Control, AnimateDiff as the teacher: shapes, and no effect at first."""
    import dataclasses

    from semjax.generator.network import MotionTime, denoise_clip, prepare
    from semjax.models.autoencoder_tiny import TinyConfig
    from semjax.models.controlnet import ControlNetConfig
    from semjax.models.motion import MotionConfig

    base = generator.preset("minuscule")
    unet = dataclasses.replace(base.unet, in_channels=4, out_channels=4)
    small = TinyConfig(encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4)
    model = dataclasses.replace(
        base,
        unet=unet,
        factor=8,
        anchored=False,
        schedule=generator.preset("sd15").schedule,
        autoencoder=small,
        controlnet=ControlNetConfig(unet, conditioning_embedding_out_channels=(4, 4, 4, 4)),
        motion=MotionConfig(
            unet.block_out_channels, 1, motion_norm_num_groups=4, motion_num_attention_heads=2
        ),
    )
    params = generator.init_params(jax.random.key(0), model)
    cfg = generator.GeneratorConfig(model)
    given = generator.nothing(2, (32, 24), (4, 4), model.text_tokens)
    given = dataclasses.replace(given, labels=given.labels.at[:, 4:].set(3), has_labels=jnp.ones(2))
    scene = prepare(params, given, cfg)
    x = jax.random.normal(jax.random.key(1), scene.degraded.shape)
    assert x.shape == (2, 4, 3, 4)
    time = jnp.array([500.0, 500.0])
    alone = denoise_clip(params, cfg, scene, x, time)
    together = denoise_clip(params, cfg, scene, x, time, MotionTime(params["motion"], model, 2))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    moved = jax.tree.map(lambda p: p + 0.1, {k: params[k] for k in ("motion", "controlnet")})
    shown = denoise_clip({**params, "controlnet": moved["controlnet"]}, cfg, scene, x, time)
    looked = denoise_clip(params, cfg, scene, x, time, MotionTime(moved["motion"], model, 2))
    assert float(jnp.abs(shown - alone).max()) > 1e-4 and float(jnp.abs(looked - alone).max()) > 1e-4


def test_looking_at_other_frames_is_softmax_attention():
    """Against the formula, written with einsum: relative biases, hidden frames, heads."""
    import dataclasses

    from semjax.generator.layers import dense, rms
    from semjax.generator.temporal import keys_values, look

    model = dataclasses.replace(generator.preset("minuscule"), temporal=6, heads=3, relative=2)
    rng = np.random.default_rng(0)
    shapes = generator.param_shapes(model)["temporal"]["mid_0"]
    params = jax.tree.map(lambda s: jnp.asarray(rng.standard_normal(s.shape), jnp.float32), shapes)
    x, other = (jnp.asarray(rng.standard_normal((2, n, 3, 2, 16)), jnp.float32) for n in (2, 4))
    apart = jnp.asarray(rng.integers(-4, 5, (2, 2, 4)))
    seen = jnp.asarray(rng.random((2, 2, 4)) < 0.7).at[..., 0].set(True)
    keys, values = keys_values(params, other)
    got = look(params, model, x, keys, values, apart, seen)
    split = lambda y: y.reshape(*y.shape[:-1], 3, 2)  # noqa: E731
    scores = jnp.einsum("bqyxnd,bkyxnd->byxnqk", split(dense(params["query"], rms(x))), split(keys)) / 2**0.5
    bias = jnp.moveaxis(params["bias"][:, jnp.clip(apart, -2, 2) + 2], 0, 1)
    scores = jnp.where(seen[:, None, None, None], scores + bias[:, None, None], -jnp.inf)
    want = jnp.einsum("byxnqk,bkyxnd->bqyxnd", jax.nn.softmax(scores, -1), split(values))
    np.testing.assert_allclose(got, dense(params["out"], want.reshape(2, 2, 3, 2, 6)), atol=2e-5)
