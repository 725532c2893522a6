"""LPIPS and DISTS against the authors' programs, at weights made from a seed, and their converters."""

import json
import pathlib
import zlib

import numpy as np
import pytest


def seeded(shapes):
    """PyTorch tensors by name: the same on every machine, of a scale that keeps activations alive."""
    state = {}
    for key, shape in shapes.items():
        rng = np.random.RandomState(zlib.crc32(key.encode()))  # this generator's stream is frozen by NumPy
        fan_in = int(np.prod(shape[1:])) or 1
        if len(shape) == 4 and shape[2:] == [1, 1] and shape[0] == 1:
            state[key] = rng.uniform(0, 1, shape).astype(np.float32)  # heads: weights of channels
        else:
            state[key] = (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    return state


def pictures():
    """Two batches [2, 67, 90, 3] in [-1, 1]; an odd size, so that every pooling has an edge to get right."""
    rng = np.random.RandomState(7)
    x = np.cumsum(rng.uniform(-0.4, 0.4, (2, 67, 90, 3)), 1)
    y = x + rng.uniform(-0.3, 0.3, x.shape)
    return [np.clip(z, -1, 1).astype(np.float32) for z in (x, y)]


@pytest.fixture(scope="module")
def recorded():
    path = pathlib.Path(__file__).parents[1] / "data" / "models" / "perception.json"
    return json.loads(path.read_text())


jax = pytest.importorskip("jax")
pytest.importorskip("flax")

from semjax.errors import InputError  # noqa: E402
from semjax.models import dists, lpips  # noqa: E402


@pytest.mark.parametrize("backbone", ["alex", "vgg", "squeeze"])
def test_lpips_is_that_of_its_authors(recorded, backbone):
    case = recorded[backbone]
    cfg = lpips.LpipsConfig(backbone)
    params = lpips.from_torch(cfg, seeded(case["backbone"]), seeded(case["heads"]))
    np.testing.assert_allclose(lpips.distance(params, *pictures(), cfg=cfg), case["value"], rtol=1e-4)
    x, _ = pictures()
    np.testing.assert_allclose(lpips.distance(params, x, x, cfg=cfg), 0, atol=1e-7)


def test_dists_is_that_of_its_authors(recorded):
    case = recorded["dists"]
    params = dists.from_torch(seeded(recorded["vgg"]["backbone"]), seeded(case["heads"]))
    np.testing.assert_allclose(dists.distance(params, *pictures()), case["value"], rtol=1e-4)
    x, _ = pictures()
    np.testing.assert_allclose(dists.distance(params, x, x), 0, atol=1e-6)


def test_weights_that_do_not_fit_are_all_listed(recorded):
    cfg = lpips.LpipsConfig("squeeze")
    case = recorded["squeeze"]
    backbone, heads = seeded(case["backbone"]), seeded(case["heads"])
    lpips.from_torch(cfg, backbone | {"classifier.1.weight": np.zeros(3)}, heads)
    del backbone["features.0.bias"]
    backbone["features.4.squeeze.weight"] = np.zeros((16, 5, 1, 1))
    backbone["features.99.weight"] = np.zeros(3)
    with pytest.raises(InputError) as caught:
        lpips.from_torch(cfg, backbone, heads)
    for problem in (
        "features.0.bias is missing",
        "features.4.squeeze.weight has the shape",
        "features.99.weight is",
    ):
        assert problem in str(caught.value)
    with pytest.raises(InputError, match=r"1x1 convolutions.*lin0"):
        lpips.from_torch(
            cfg, seeded(case["backbone"]), heads | {"lin0.model.1.weight": np.zeros((1, 64, 3, 3))}
        )
    with pytest.raises(InputError, match="beta is missing"):
        dists.from_torch(seeded(recorded["vgg"]["backbone"]), {"alpha": np.zeros((1, 1475, 1, 1))})


@pytest.mark.parametrize("backbone, smallest", [("alex", 31), ("vgg", 16), ("squeeze", 17)])
def test_the_smallest_pictures(backbone, smallest):
    cfg = lpips.LpipsConfig(backbone)
    shapes = jax.eval_shape(lambda: lpips.init(cfg, jax.random.key(0)))
    params = jax.tree.map(lambda s: np.full(s.shape, 0.01, s.dtype), shapes)
    x, y = (p[:, :smallest, :smallest] for p in pictures())
    assert np.isfinite(lpips.distance(params, x, y, cfg=cfg)).all()
    with pytest.raises(InputError, match=f"at least {smallest}"):
        lpips.distance(params, x[:, 1:], y[:, 1:], cfg=cfg)
    with pytest.raises(InputError, match="one shape"):
        lpips.distance(params, x, y[:1], cfg=cfg)


def test_settings_that_are_none():
    with pytest.raises(InputError, match="alex, vgg, squeeze"):
        lpips.LpipsConfig("resnet")
