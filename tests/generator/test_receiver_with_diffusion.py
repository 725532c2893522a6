"""A clip through the whole chain with a diffusion generator: names, determinism, loss, any size."""

import jax
import numpy as np
import pytest

import semjax as sj
from semjax import generator
from semjax.errors import InputError
from semjax.generator.control import signed_distance


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A minuscule generator whose adapters all do a little."""
    model, rng = generator.preset("minuscule"), np.random.default_rng(0)
    params = generator.init_params(jax.random.key(0), model)
    params = jax.tree.map(lambda x: x + 0.2 * rng.standard_normal(x.shape, np.float32), params)
    folder = tmp_path_factory.mktemp("weights")
    generator.save(folder, params, model)
    return folder


@pytest.fixture(scope="module")
def stream():
    y, x = np.mgrid[:24, :36]
    labels = np.stack([((x - 10 - t) ** 2 + (y - 12) ** 2 < 60) for t in range(6)]).astype(np.uint8)
    frames = np.where(labels[..., None], (220, 80, 30), np.stack([5 * x, 6 * y, 90 + 0 * x], -1)).astype(
        np.uint8
    )
    return sj.encode(frames, labels=labels, fps=12)


def test_a_folder_of_weights_paints_a_stream(weights, stream):
    made = sj.load_generator(weights, consistency=0.2)
    assert made.name.startswith("minuscule@") and len(made.name.split("@")[1]) == 16
    frames = sj.decode(stream, made, jax.random.key(1))
    plain = sj.decode(stream)
    assert frames.shape == plain.shape and frames.dtype == np.uint8
    assert 0.5 < np.abs(frames.astype(float) - plain).mean() < 60
    np.testing.assert_array_equal(
        sj.decode(stream, sj.load_generator(weights, consistency=0.2), jax.random.key(1)), frames
    )
    assert np.any(sj.decode(stream, made, jax.random.key(2)) != frames)


def test_settings_and_bad_weights(weights, tmp_path):
    assert sj.load_generator(weights, steps=1, window=2).cfg.window == 2
    with pytest.raises(InputError, match="there is no generator"):
        sj.load_generator(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        sj.load_generator(tmp_path)
    with pytest.raises(InputError, match="steps"):
        sj.load_generator(weights, steps=0)


def test_distance_to_contours_is_exact():
    rng = np.random.default_rng(2)
    labels = np.kron(rng.integers(0, 3, (1, 4, 5)), np.ones((1, 6, 6))).astype(np.int32)
    got = np.asarray(signed_distance(jax.numpy.asarray(labels), 5))[0]
    height, width = labels.shape[1:]
    edge = np.zeros((height, width), bool)
    edge[:, 1:] |= np.diff(labels[0], axis=1) != 0
    edge[:, :-1] |= np.diff(labels[0], axis=1) != 0
    edge[1:] |= np.diff(labels[0], axis=0) != 0
    edge[:-1] |= np.diff(labels[0], axis=0) != 0
    at = np.argwhere(edge)
    y, x = np.mgrid[:height, :width]
    far = np.sqrt(((np.stack([y, x], -1)[:, :, None] - at) ** 2).sum(-1)).min(-1) + 0.5
    np.testing.assert_allclose(got, np.where(labels[0] > 0, 1, -1) * np.minimum(far, 5), atol=1e-5)
