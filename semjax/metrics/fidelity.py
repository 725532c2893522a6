"""How close are the pixels: MSE, PSNR, SSIM, MS-SSIM.

All take (reference, reconstruction), uint8 or floats in [-1, 1], [T, H, W, 3] or [H, W, 3], and work under
`jax.jit`. `per_frame=True` gives the T values in place of one number for the clip.
"""

import jax
import jax.numpy as jnp
import numpy as np

from semjax.metrics._filters import correlate, halve, planar
from semjax.metrics._inputs import Pictures, each_frame, finite, levels, picture_pair, reduced

_WINDOW, _SIGMA = 11, 1.5  # Wang et al. 2004
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003


def mse(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Mean squared error in 8-bit levels over pixels and channels. Range [0, 65025], lower is better."""
    return reduced("MSE", _mse(*picture_pair(reference, reconstruction)), per_frame)


def psnr(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Peak signal-to-noise ratio in dB of 8-bit RGB, 10 log10(255^2 / MSE). Higher is better, infinite for a copy.

    The clip's value comes from the MSE over all of its frames (not the mean of the frames' decibels, which one
    perfect frame would make infinite).
    """
    error = mse(reference, reconstruction, per_frame=per_frame)
    return finite("PSNR", 10 * jnp.log10(255.0**2 / error))


def ssim(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Structural similarity, Wang, Bovik, Sheikh, Simoncelli 2004. Range [-1, 1], higher is better, 1 for a copy.

    Gaussian window of 11 (sigma 1.5), K1 0.01, K2 0.03, windows wholly inside the picture, mean over windows, the
    three channels and frames. Pictures under 11 pixels take a window as wide as they are (odd).
    """
    return reduced("SSIM", _ssim(*picture_pair(reference, reconstruction)), per_frame)


def ms_ssim(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Multi-scale SSIM, Wang, Simoncelli, Bovik 2003. Range [0, 1], higher is better, 1 for a copy.

    Five scales with the paper's exponents, halved by 2x2 means; negative terms count as 0; product for each
    channel, then mean over channels and frames. Pictures whose shorter side is below 176 have no fifth scale in
    which the window of 11 fits: they take as many scales as fit (4 from 88, 3 from 44, 2 from 22, else 1) and the
    exponents of those, scaled to sum 1.
    """
    return reduced("MS-SSIM", _ms_ssim(*picture_pair(reference, reconstruction)), per_frame)


def scales_for(height: int, width: int) -> int:
    """Number of scales that `ms_ssim` uses for a picture size."""
    fitting = (min(height, width) // _WINDOW).bit_length()
    return max(1, min(len(_SCALE_WEIGHTS), fitting))


@jax.jit
def _mse(x, y):
    return each_frame(lambda a, b: jnp.mean((levels(a) - levels(b)) ** 2), x, y)


@jax.jit
def _ssim(x, y):
    return each_frame(lambda a, b: _terms(planar(levels(a)), planar(levels(b)))[0].mean(), x, y)


@jax.jit
def _ms_ssim(x, y):
    weights = np.asarray(_SCALE_WEIGHTS[: scales_for(*x.shape[1:3])])
    weights = weights / weights.sum()

    def score(a, b):
        a, b = planar(levels(a)), planar(levels(b))
        product = jnp.ones(3)
        for i, weight in enumerate(weights):
            whole, contrast = _terms(a, b)
            term = whole if i + 1 == len(weights) else contrast
            product = product * jnp.maximum(term, 0) ** weight
            a, b = halve(a), halve(b)
        return product.mean()

    return each_frame(score, x, y)


def _terms(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(SSIM, its contrast-structure term) of two [3, H, W] in 0..255, each [3]: means over windows."""
    # Second moments of values around 128 lose fewer digits; variances do not depend on the offset.
    x, y = x - 128, y - 128
    moments = jnp.concatenate([x, y, x * x, y * y, x * y])
    for size, shape in ((x.shape[1], (-1, 1)), (x.shape[2], (1, -1))):
        window = _window(min(_WINDOW, (size - 1) // 2 * 2 + 1))
        moments = correlate(moments, window.reshape(shape))
    mean_x, mean_y, xx, yy, xy = jnp.split(moments, 5)
    var_x, var_y, cov = xx - mean_x * mean_x, yy - mean_y * mean_y, xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 128, mean_y + 128
    contrast = (2 * cov + _C2) / (var_x + var_y + _C2)
    light = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return (light * contrast).mean((1, 2)), contrast.mean((1, 2))


def _window(length: int) -> np.ndarray:
    """A Gaussian window of sum 1."""
    values = np.exp(-((np.arange(length) - length // 2) ** 2) / (2 * _SIGMA**2))
    return values / values.sum()
