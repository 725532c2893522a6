"""Convolutions of pictures: XLA's, and on CPUs forms made of matrix products where those are faster."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_SMALL = 16 * 16  # pixels up to which a CPU gathers the neighbourhoods
_LARGE = 64 * 64  # pixels up to which it transforms tiles, if there are enough channels
_CHANNELS = 256

# Winograd's F(2x2, 3x3) (Lavin, Gray 2016): tiles of 4x4, transforms of input, kernel and output.
_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)

Around = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    x: Float[Array, "B h w I"], kernel: Float[Array, "k k I O"], stride: int, around: Around
) -> Float[Array, "B m n O"]:
    """The convolution of `x` with zeros around it, (above, below) and (left, right).

    On a CPU, float32 3x3 kernels are matrix products: of gathered neighbourhoods where pictures are small, of
    transformed tiles where there are many channels; both agree with the plain form to float32's precision.
    """

    def plain(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    same = kernel.shape[:2] == (3, 3) and stride == 1 and around == ((1, 1), (1, 1))
    sizes = all(isinstance(n, int) for n in x.shape) and x.dtype == jnp.float32
    if not same or not sizes or min(kernel.shape[2:]) < _CHANNELS:
        return plain(x, kernel)
    pixels = x.shape[1] * x.shape[2]
    if pixels > _LARGE:
        return plain(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=_gathered if pixels <= _SMALL else _tiled, default=plain)


def _gathered(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product of all 3x3 neighbourhoods with the kernel."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = itertools.product(range(3), repeat=2)
    near = jnp.concatenate([padded[:, i : i + height, j : j + width] for i, j in shifts], -1)
    return near @ kernel.reshape(-1, kernel.shape[-1])


def _combine(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """The rows of a small matrix times `parts`, without the products with 0 and 1."""

    def term(factor, part):
        return part if factor == 1 else -part if factor == -1 else part * factor

    return [functools.reduce(jnp.add, [term(f, part) for f, part in zip(row, parts) if f]) for row in matrix]


def _tiled(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Sixteen products, one for each place in the transformed tiles: 4/9 of the multiplications."""
    batch, height, width, channels = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    padded = jnp.pad(x, ((0, 0), (1, 2 * rows - height + 1), (1, 2 * columns - width + 1), (0, 0)))
    strips = _combine(_INPUT, [padded[:, i : i + 2 * rows : 2] for i in range(4)])
    tiles = [
        tile
        for strip in strips
        for tile in _combine(_INPUT, [strip[:, :, j : j + 2 * columns : 2] for j in range(4)])
    ]
    sides = [_combine(_KERNEL, [row[j] for j in range(3)]) for row in _combine(_KERNEL, list(kernel))]
    # The barriers keep XLA from computing the transforms again inside of what uses them.
    tiles, factors = jax.lax.optimization_barrier(
        (jnp.stack(tiles).reshape(16, -1, channels), jnp.stack([k for side in sides for k in side]))
    )
    products = jax.lax.optimization_barrier(jnp.einsum("nti,nio->nto", tiles, factors))
    products = products.reshape(4, 4, batch, rows, columns, -1)
    out = [jnp.stack(_combine(_OUTPUT, list(part)), 3) for part in _combine(_OUTPUT, list(products))]
    out = jnp.stack(out, 2).reshape(batch, 2 * rows, 2 * columns, -1)
    return out[:, :height, :width]
