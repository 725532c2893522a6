"""Convolutions of pictures: XLA's, and on CPUs forms made of matrix products where those are faster."""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_GATHERED = 16 * 16  # pixels up to which a CPU gathers the neighbourhoods
_TILED = 64 * 64  # pixels from which its tiles are of 4x4 pixels, below of 2x2
_GATHERED_CHANNELS, _TILED_CHANNELS = 256, 128  # where the matrix products pay
_AT_ONCE = 256  # tiles that are transformed at a time, so that they stay in the cache

Around = tuple[tuple[int, int], tuple[int, int]]


class _Winograd(NamedTuple):
    """F(size x size, 3x3) of Lavin and Gray 2016, in one dimension: out = output @ ((kernel @ k) * (input @ d))."""

    size: int
    input: np.ndarray  # [size + 2, size + 2]
    kernel: np.ndarray  # [size + 2, 3]
    output: np.ndarray  # [size, size + 2]


def _winograd(size: int, points: tuple[float, ...]) -> _Winograd:
    """Toom and Cook's construction: polynomials are multiplied by way of their values at `points` and at infinity."""
    others = [[q for q in points if q != p] for p in points]
    scales = [np.prod([p - q for q in rest]) for p, rest in zip(points, others)]
    kernel = [[1 / s, p / s, p * p / s] for p, s in zip(points, scales)] + [[0, 0, 1]]
    output = [[p**power for p in points] + [float(power == size - 1)] for power in range(size)]
    inputs = [np.append(np.poly(rest)[::-1], 0) for rest in others] + [np.poly(points)[::-1]]
    return _Winograd(size, *(np.array(matrix, np.float32) for matrix in (inputs, kernel, output)))


# With these points the larger tiles lose two bits of float32; with the usual 0, 1, -1, 2, -2 it would be four.
_SMALL_TILES = _winograd(2, (0.0, 1.0, -1.0))
_LARGE_TILES = _winograd(4, (0.0, 0.75, -0.75, 1.5, -1.5))


def convolve(
    x: Float[Array, "B h w I"], kernel: Float[Array, "k k I O"], stride: int, around: Around
) -> Float[Array, "B m n O"]:
    """The convolution of `x` with zeros around it, (above, below) and (left, right).

    On a CPU, float32 3x3 kernels of many channels are matrix products: of gathered neighbourhoods where pictures are
    small, else of transformed tiles. All agree with the plain form to float32's precision (4e-6 of the greatest
    value).
    """

    def plain(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    same = kernel.shape[:2] == (3, 3) and stride == 1 and around == ((1, 1), (1, 1))
    sizes = all(isinstance(n, int) for n in x.shape) and x.dtype == jnp.float32
    if not same or not sizes:
        return plain(x, kernel)
    pixels, channels = x.shape[1] * x.shape[2], min(kernel.shape[2:])
    if pixels >= _TILED and channels >= _TILED_CHANNELS:
        form = functools.partial(_tiled, form=_LARGE_TILES)
    elif channels >= _GATHERED_CHANNELS:
        form = _gathered if pixels <= _GATHERED else functools.partial(_tiled, form=_SMALL_TILES)
    else:
        return plain(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=form, default=plain)


def _gathered(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product of all 3x3 neighbourhoods with the kernel."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = itertools.product(range(3), repeat=2)
    near = jnp.concatenate([padded[:, i : i + height, j : j + width] for i, j in shifts], -1)
    return near @ kernel.reshape(-1, kernel.shape[-1])


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
    """One product for each place in the transformed tiles: 4/9 (2x2) or 1/4 (4x4) of the multiplications."""
    batch, height, width, _ = x.shape
    size = form.size
    rows, columns = -(-height // size), -(-width // size)
    bands = -(-rows * columns // _AT_ONCE)
    deep = -(-rows // bands)  # rows of tiles in a band
    bands = -(-rows // deep)
    below, right = bands * deep * size - height + 1, columns * size - width + 1
    padded = jnp.pad(x, ((0, 0), (1, below), (1, right), (0, 0)))

    padded = jax.lax.optimization_barrier(padded)
    # This zero comes with the input. What waits for nothing would be made, and kept, from the program's beginning.
    zero = jax.lax.stop_gradient(padded[0, 0, 0, 0])
    factors = _twice(form.kernel, kernel.reshape(9, *kernel.shape[2:]), zero)
    start = jnp.broadcast_to(zero, (batch, bands * deep * size, columns * size, kernel.shape[-1]))

    @jax.checkpoint  # gradients transform the tiles again: kept, they would be as much as several pictures
    def band(first):
        part = jax.lax.dynamic_slice_in_dim(padded, first, deep * size + 2, 1)
        return _band(part, factors, form, columns)

    def put(out, first):
        return jax.lax.dynamic_update_slice_in_dim(out, band(first), first, 1), None

    out = jax.lax.scan(put, start, deep * size * jnp.arange(bands))[0] if bands > 1 else band(0)
    return out[:, :height, :width]


def _band(x: jax.Array, factors: jax.Array, form: _Winograd, columns: int) -> jax.Array:
    """The convolution of some rows, [B, rows * size + 2, columns * size + 2, I], without the border."""
    batch, size, places = x.shape[0], form.size, form.size + 2
    rows = (x.shape[1] - 2) // size
    high, wide = (rows - 1) * size + 1, (columns - 1) * size + 1
    across = jnp.stack(_combine(form.input, [x[:, :, j : j + wide : size] for j in range(places)]))
    across = jax.lax.optimization_barrier(across)
    tiles = jnp.stack(_combine(form.input, [across[:, :, i : i + high : size] for i in range(places)]))
    tiles = jax.lax.optimization_barrier(tiles.reshape(places**2, -1, x.shape[-1]))
    products = jax.lax.optimization_barrier(jnp.einsum("nti,nio->nto", tiles, factors))
    out = _twice(form.output, products).reshape(size, size, batch, rows, columns, -1)
    return out.transpose(2, 3, 0, 4, 1, 5).reshape(batch, rows * size, columns * size, -1)
