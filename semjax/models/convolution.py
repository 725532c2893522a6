"""Convolutions of pictures: XLA's, and on CPUs forms made of matrix products where those are faster."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_CHANNELS, _CHANNELS_OF_MANY = 256, 128  # from which the matrix products pay, in few and in many tiles
_FEW, _MANY = 16, 256  # tiles from which they pay; tiles that are transformed at a time, to stay in the cache
_PARTED, _PART = 64, 32  # tiles up to which the kernel goes by parts, and the channels of one

Around = tuple[tuple[int, int], tuple[int, int]]


class _Winograd(NamedTuple):
    """F(size x size, 3x3) of Lavin and Gray 2016, in one dimension: out = output @ ((kernel @ k) * (input @ d))."""

    size: int  # of a tile of the output
    step: int  # of the input from tile to tile
    input: np.ndarray  # [places, window]
    kernel: np.ndarray  # [places, 3]
    output: np.ndarray  # [size, places]


def _winograd(size: int, points: tuple[float, ...]) -> _Winograd:
    """Toom and Cook's construction: polynomials are multiplied by way of their values at `points` and at infinity."""
    others = [[q for q in points if q != p] for p in points]
    scales = [np.prod([p - q for q in rest]) for p, rest in zip(points, others)]
    kernel = [[1 / s, p / s, p * p / s] for p, s in zip(points, scales)] + [[0, 0, 1]]
    output = [[p**power for p in points] + [float(power == size - 1)] for power in range(size)]
    inputs = [np.append(np.poly(rest)[::-1], 0) for rest in others] + [np.poly(points)[::-1]]
    return _Winograd(size, size, *(np.array(matrix, np.float32) for matrix in (inputs, kernel, output)))


# With these points the tiles lose two bits of float32; with the usual 0, 1, -1, 2, -2 it would be four.
_TILES = _winograd(4, (0.0, 0.75, -0.75, 1.5, -1.5))
# Of a picture doubled before: pixel i with its neighbours gives the outputs 2 i and 2 i + 1 in three products, not six:
# k0 d[i-1] + (k1 + k2) d[i] = k0 (d[i-1] - d[i]) + (k0 + k1 + k2) d[i], and the same from the other side.
_DOUBLING = _Winograd(
    2,
    1,
    np.array([[1, -1, 0], [0, 1, 0], [0, -1, 1]], np.float32),
    np.array([[1, 0, 0], [1, 1, 1], [0, 0, 1]], np.float32),
    np.array([[1, 1, 0], [0, 1, 1]], np.float32),
)


def nearest(x: Float[Array, "B h w C"], height: int, width: int) -> Float[Array, "B k l C"]:
    """`x` at another size, every pixel that of the nearest below, as torch's interpolate(mode="nearest")."""
    for axis, size in ((1, height), (2, width)):
        old = x.shape[axis]
        if size == 2 * old:
            x = jnp.repeat(x, 2, axis)
        elif size != old:
            step = np.float32(old) / np.float32(size)
            index = np.floor(np.arange(size, dtype=np.float32) * step).astype(np.int32)
            x = jnp.take(x, jnp.asarray(np.minimum(index, old - 1)), axis)
    return x


def convolve(
    x: Float[Array, "B h w I"],
    kernel: Float[Array, "k k I O"],
    stride: int,
    around: Around,
    size: tuple[int, int] | None = None,
) -> Float[Array, "B m n O"]:
    """The convolution of `x`, at `size` (`nearest`) if given, with zeros around it, (above, below) and (left, right).

    On a CPU, float32 3x3 kernels of many channels are matrix products: of transformed tiles, or of gathered
    neighbourhoods where there are few. All agree with the plain form to float32's precision (4e-6 of the greatest
    value).
    """
    if size is not None and size != (2 * x.shape[1], 2 * x.shape[2]):
        x, size = nearest(x, *size), None

    def plain(x, kernel):
        x = x if size is None else nearest(x, *size)
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    form = _form(x, kernel, stride, around, size is not None)
    return (
        plain(x, kernel) if form is None else jax.lax.platform_dependent(x, kernel, cpu=form, default=plain)
    )


def _form(x: jax.Array, kernel: jax.Array, stride: int, around: Around, doubled: bool) -> Callable | None:
    """The form for CPUs, None where the plain one is as good."""
    sizes = all(isinstance(n, int) for n in x.shape) and x.dtype == jnp.float32
    if not sizes or kernel.shape[:2] != (3, 3):
        return None
    batch, height, width, _ = x.shape
    channels = min(kernel.shape[2:])
    gathered = functools.partial(_gathered, stride=stride, around=around)
    if (stride, around) != (1, ((1, 1), (1, 1))):
        gathers = channels >= _CHANNELS and batch * height * width <= _MANY * stride**2
        return gathered if gathers and not doubled else None

    form = _DOUBLING if doubled else _TILES
    tiles = batch * -(-height // form.step) * -(-width // form.step)
    if channels < (_CHANNELS if tiles < _MANY else _CHANNELS_OF_MANY):
        return None
    if tiles >= _FEW:
        return functools.partial(_tiled, form=form)
    return None if doubled else gathered


def _gathered(x: jax.Array, kernel: jax.Array, stride: int, around: Around) -> jax.Array:
    """One product of all 3x3 neighbourhoods with the kernel."""
    padded = jnp.pad(x, ((0, 0), *around, (0, 0)))
    height, width = (n - 3 + 1 for n in padded.shape[1:3])
    shifts = itertools.product(range(3), repeat=2)
    near = [padded[:, i : i + height : stride, j : j + width : stride] for i, j in shifts]
    return jnp.concatenate(near, -1) @ kernel.reshape(-1, kernel.shape[-1])


def _twice(matrix: np.ndarray, parts: jax.Array, zero: jax.Array | float = 0.0) -> jax.Array:
    """A small matrix applied along rows and columns: `parts` [n * n, ...] -> [m * m, ...], once `zero` is there."""
    both = jnp.asarray(np.kron(matrix, matrix)) + zero
    # The barriers keep XLA from computing the transforms again inside of what uses them.
    return jax.lax.optimization_barrier(jnp.tensordot(both, parts, 1))


def _combine(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """The rows of a small matrix times `parts`, without the products with 0 and 1."""

    def term(factor, part):
        return part if factor == 1 else -part if factor == -1 else part * factor

    return [functools.reduce(jnp.add, [term(f, part) for f, part in zip(row, parts) if f]) for row in matrix]


def _tiled(x: jax.Array, kernel: jax.Array, form: _Winograd) -> jax.Array:
    """One product for each place in the transformed tiles: a quarter of the multiplications."""
    batch, height, width, _ = x.shape
    size, step, window = form.size, form.step, form.input.shape[1]
    rows, columns = -(-height // step), -(-width // step)
    bands = -(-rows * columns // _MANY)
    deep = -(-rows // bands)  # rows of tiles in a band
    bands = -(-rows // deep)
    crop = slice(None), slice(height * size // step), slice(width * size // step)
    below, right = (n * step + window - step - 1 - m for n, m in ((bands * deep, height), (columns, width)))
    padded = jnp.pad(x, ((0, 0), (1, below), (1, right), (0, 0)))

    padded = jax.lax.optimization_barrier(padded)
    # This zero comes with the input. What waits for nothing would be made, and kept, from the program's beginning.
    zero = jax.lax.stop_gradient(padded[0, 0, 0, 0])
    kernel = kernel.reshape(9, *kernel.shape[2:])
    if bands == 1:
        products = _in_parts(_tiles(padded, form, rows, columns), kernel, form, zero)
        return _pictures(products, form, batch, rows, columns)[crop]
    factors = _twice(form.kernel, kernel, zero)
    start = jnp.broadcast_to(zero, (batch, bands * deep * size, columns * size, kernel.shape[-1]))

    @jax.checkpoint  # gradients transform the tiles again: kept, they would be as much as several pictures
    def band(first):
        part = jax.lax.dynamic_slice_in_dim(padded, first * step, deep * step + window - step, 1)
        products = jnp.einsum("nti,nio->nto", _tiles(part, form, deep, columns), factors)
        return _pictures(products, form, batch, deep, columns)

    def put(out, first):
        return jax.lax.dynamic_update_slice_in_dim(out, band(first), first * size, 1), None

    out = jax.lax.scan(put, start, deep * jnp.arange(bands))[0]
    return out[crop]


def _in_parts(tiles: jax.Array, kernel: jax.Array, form: _Winograd, zero: jax.Array) -> jax.Array:
    """The products of all tiles with the kernel [9, I, O], which is transformed here.

    Where the tiles are few, that is much of the work: it goes by some channels at a time, to stay in the cache.
    """
    many, channels = tiles.shape[1:]
    if many > _PARTED or channels % _PART:
        return jnp.einsum("nti,nio->nto", tiles, _twice(form.kernel, kernel, zero))

    @jax.checkpoint
    def part(i):
        some = jax.lax.dynamic_slice_in_dim(kernel, i * _PART, _PART, 1)
        seen = jax.lax.dynamic_slice_in_dim(tiles, i * _PART, _PART, 2)
        return jnp.einsum("nti,nio->nto", seen, _twice(form.kernel, some))

    start = jnp.broadcast_to(zero, (*tiles.shape[:2], kernel.shape[-1]))
    return jax.lax.fori_loop(0, channels // _PART, lambda i, sums: sums + part(i), start)


def _tiles(x: jax.Array, form: _Winograd, rows: int, columns: int) -> jax.Array:
    """The transformed tiles of a picture with its border: [places * places, B * rows * columns, I]."""
    step, window = form.step, range(form.input.shape[1])
    high, wide = (rows - 1) * step + 1, (columns - 1) * step + 1
    across = jnp.stack(_combine(form.input, [x[:, :, j : j + wide : step] for j in window]))
    across = jax.lax.optimization_barrier(across)
    tiles = jnp.stack(_combine(form.input, [across[:, :, i : i + high : step] for i in window]))
    return jax.lax.optimization_barrier(tiles.reshape(len(form.input) ** 2, -1, x.shape[-1]))


def _pictures(products: jax.Array, form: _Winograd, batch: int, rows: int, columns: int) -> jax.Array:
    """The picture whose transformed tiles `products` are."""
    size = form.size
    out = _twice(form.output, jax.lax.optimization_barrier(products))
    out = out.reshape(size, size, batch, rows, columns, -1).transpose(2, 3, 0, 4, 1, 5)
    return out.reshape(batch, rows * size, columns * size, -1)
