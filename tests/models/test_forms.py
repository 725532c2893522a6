"""What CPUs compute in other forms agrees with the plain form, forwards and backwards."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from semjax.models import attention, convolution

AROUND = ((1, 1), (1, 1))


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), AROUND, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def doubled(x, kernel):
    return plain(convolution.nearest(x, 2 * x.shape[1], 2 * x.shape[2]), kernel)


GATHERED = functools.partial(convolution._gathered, stride=1, around=AROUND)
SMALL, LARGE, DOUBLING = (
    functools.partial(convolution._tiled, form=form)
    for form in (convolution._SMALL_TILES, convolution._LARGE_TILES, convolution._DOUBLING)
)


@pytest.mark.parametrize(
    ("form", "plain"),
    [(GATHERED, plain), (SMALL, plain), (LARGE, plain), (DOUBLING, doubled)],
    ids=["gathered", "2x2", "4x4", "doubling"],
)
@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7), (70, 66)])
@pytest.mark.parametrize("channels", [5, 64])  # 64 go by parts where the tiles are few
def test_convolutions(form, plain, height, width, channels):
    x, kernel = numbers(2, height, width, channels), numbers(3, 3, channels, 4)

    def both(f):
        def loss(x, kernel):
            return (f(x, kernel) ** 2).sum()

        return parity.run(lambda *a: (f(*a), *jax.grad(loss, (0, 1))(*a)), x, kernel)

    for one, other in zip(both(form), both(plain)):
        assert parity.error(one, other) < 3e-6


def test_the_form_follows_the_size(monkeypatch):
    taken = []
    monkeypatch.setattr(convolution, "_gathered", lambda x, k: taken.append("gathered") or plain(x, k))
    monkeypatch.setattr(convolution, "_tiled", lambda x, k, form: taken.append(form.size) or plain(x, k))
    kernel = jax.ShapeDtypeStruct((3, 3, 256, 256), jnp.float32)
    for size in (16, 32, 128):
        taken.append(size)
        x = jax.ShapeDtypeStruct((1, size, size, 256), jnp.float32)
        jax.eval_shape(lambda x, k: convolution.convolve(x, k, 1, AROUND), x, kernel)
    assert taken == [16, "gathered", 32, 2, 128, 4]


def test_attention():
    inputs = numbers(2, 1024, 2, 6), 9 * numbers(2, 600, 2, 6), numbers(2, 600, 2, 6)[:, ::-1]
    assert attention._block(attention._KEYS, 600) == 300 and attention._block(attention._KEYS, 601) is None

    def both(f):
        return parity.run(
            lambda *a: (f(*a), *jax.grad(lambda *a: (f(*a) ** 2).sum(), (0, 1, 2))(*a)), *inputs
        )

    for one, other in zip(both(attention.attend), both(jax.nn.dot_product_attention)):
        assert parity.error(one, other) < 1e-5


def test_networks_export_for_all_platforms():
    """A GPU's program does not hold the forms for CPUs."""
    from semjax.models.unet_blocks import Resnet

    net = Resnet(256, 8)
    x = jax.ShapeDtypeStruct((1, 32, 32, 256), jnp.float32)
    params = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), x)
    run = jax.jit(net.apply)
    texts = {
        platform: jax.export.export(run, platforms=[platform])(params, x).mlir_module()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert "stablehlo.convolution" in texts["cuda"] and "stablehlo.convolution" in texts["tpu"]
    assert "stablehlo.convolution" not in texts["cpu"]
    assert jax.export.export(run, platforms=("cpu", "cuda", "tpu"))(params, x).platforms == (
        "cpu",
        "cuda",
        "tpu",
    )
