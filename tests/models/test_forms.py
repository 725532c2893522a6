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
TILED, DOUBLING = (
    functools.partial(convolution._tiled, form=form) for form in (convolution._TILES, convolution._DOUBLING)
)


@pytest.mark.parametrize(
    ("form", "plain"),
    [(GATHERED, plain), (TILED, plain), (DOUBLING, doubled)],
    ids=["gathered", "tiled", "doubling"],
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


@pytest.mark.parametrize("around", [AROUND, ((0, 1), (0, 1))])
@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7)])
def test_halving(around, height, width):
    x, kernel = numbers(2, height, width, 256), numbers(3, 3, 256, 256)
    layout = ("NHWC", "HWIO", "NHWC")
    both = parity.run(
        lambda x, k: (
            convolution.convolve(x, k, 2, around),
            jax.lax.conv_general_dilated(x, k, (2, 2), around, dimension_numbers=layout),
        ),
        x,
        kernel,
    )
    assert parity.error(*both) < 3e-6


@pytest.mark.parametrize("size", [(8, 12), (7, 12)])
def test_doubling(size):
    """A size that is not the double is brought there by repeating pixels first."""
    x, kernel = numbers(1, 4, 6, 256), numbers(3, 3, 256, 256)
    both = parity.run(
        lambda x, k: (convolution.convolve(x, k, 1, AROUND, size), plain(convolution.nearest(x, *size), k)),
        x,
        kernel,
    )
    assert both[0].shape[1:3] == size and parity.error(*both) < 5e-6


def test_the_form_follows_the_size():
    def form(side, channels, stride=1, doubled=False, batch=1):
        x = jax.ShapeDtypeStruct((batch, side, side, channels), jnp.float32)
        kernel = jax.ShapeDtypeStruct((3, 3, channels, channels), jnp.float32)
        found = convolution._form(x, kernel, stride, AROUND, doubled)
        return found and (found.func.__name__, found.keywords.get("form"))

    tiled, doubling = ("_tiled", convolution._TILES), ("_tiled", convolution._DOUBLING)
    assert form(8, 256) == form(8, 256, 2) == form(12, 256) == ("_gathered", None)
    assert form(16, 256) == form(8, 256, batch=4) == form(64, 128) == tiled
    assert form(4, 256, doubled=True) == form(16, 128, doubled=True) == doubling
    for plain in (form(8, 255), form(63, 127), form(32, 128), form(64, 256, 2), form(2, 256, doubled=True)):
        assert plain is None


def test_attention():
    inputs = numbers(2, 1024, 2, 6), 9 * numbers(2, 600, 2, 6), numbers(2, 600, 2, 6)[:, ::-1]
    assert attention._block(attention._KEYS, 600) == 300 and attention._block(attention._KEYS, 601) is None

    def both(f):
        return parity.run(
            lambda *a: (f(*a), *jax.grad(lambda *a: (f(*a) ** 2).sum(), (0, 1, 2))(*a)), *inputs
        )

    for one, other in zip(both(attention.attend), both(jax.nn.dot_product_attention)):
        assert parity.error(one, other) < 1e-5


def test_powers_of_two():
    x = np.linspace(-150, 0, 100_001, dtype=np.float32)
    power, slope = parity.run(lambda x: jax.jvp(attention._exp2, (x,), (jnp.ones_like(x),)), x)
    exact = np.exp2(np.maximum(x, -126).astype(np.float64))
    np.testing.assert_allclose(power, exact, 3e-7)
    np.testing.assert_allclose(slope, exact * np.log(2), 4e-7, atol=1e-37)  # subnormal numbers become 0


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
