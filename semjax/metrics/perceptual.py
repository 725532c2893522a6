"""How good does it look, without learned weights: GMSD and HaarPSI.

Both take (reference, reconstruction), uint8 or floats in [-1, 1], [T, H, W, 3] or [H, W, 3], and work under
`jax.jit`; `per_frame=True` gives the T values. HaarPSI is the one to trust of the two: its rank correlation with
opinion scores, as measured by the PIQ project, is 0.873 on TID2013 and 0.885 on KADID-10k (GMSD 0.804 and 0.847,
MS-SSIM 0.798 and 0.802, PSNR 0.687 and 0.676), level with the best of the measures without weights (MDSI, VSI) at
a fraction of their cost, and it stays in [0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.metrics._filters import correlate, halve, planar
from semjax.metrics._inputs import Pictures, each_frame, levels, picture_pair, reduced

_GMSD_T = 170.0  # Xue et al. 2014, for 8-bit levels
_HAAR_C, _HAAR_ALPHA = 30.0, 4.2  # Reisenhofer et al. 2018, Table 1
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def gmsd(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Gradient magnitude similarity deviation, Xue, Zhang, Mou, Bovik 2014. Range [0, 1), lower is better.

    0 for a copy. Luma at half size, Prewitt gradients, T = 170; sample standard deviation over pixels, then mean
    over frames.
    """
    return reduced("GMSD", _gmsd(*picture_pair(reference, reconstruction)), per_frame)


def haarpsi(reference: Pictures, reconstruction: Pictures, *, per_frame: bool = False) -> jax.Array:
    """Haar perceptual similarity, Reisenhofer, Bosse, Kutyniok, Wiegand 2018. Range [0, 1], higher is better.

    The colour version with the paper's C = 30, alpha = 4.2, after halving; 1 for a copy; mean over frames.
    """
    return reduced("HaarPSI", _haarpsi(*picture_pair(reference, reconstruction)), per_frame)


@jax.jit
def _gmsd(x, y):
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    around = ((1, 1), (1, 1))

    def score(a, b):
        luma = jnp.stack([_yiq(a)[0], _yiq(b)[0]])
        small = _halve_same(luma)
        magnitude = jnp.sqrt(
            correlate(small, prewitt, around) ** 2 + correlate(small, prewitt.T, around) ** 2
        )
        similarity = _similarity(magnitude[0], magnitude[1], _GMSD_T)
        return jnp.sqrt(jnp.sum((similarity - similarity.mean()) ** 2) / max(similarity.size - 1, 1))

    return each_frame(score, x, y)


@jax.jit
def _haarpsi(x, y):
    def score(a, b):
        # [3, 2, h, w]: Y, I, Q of both pictures
        luma, *chroma = _halve_same(jnp.stack([_yiq(a), _yiq(b)], 1).reshape(6, *a.shape[:2])).reshape(
            3, 2, -1
        )
        shape = -(-a.shape[0] // 2), -(-a.shape[1] // 2)
        luma = luma.reshape(2, *shape)
        similar, weight = [], []
        for axis in (0, 1):
            fine, middle, coarse = (jnp.abs(haar(luma, 2**s, axis)) for s in (1, 2, 3))
            similar.append((_similarity(*fine, _HAAR_C) + _similarity(*middle, _HAAR_C)) / 2)
            weight.append(coarse.max(0))
        means = [jnp.abs(_box(c.reshape(2, *shape))) for c in chroma]
        similar.append(sum(_similarity(*m, _HAAR_C) for m in means) / 2)
        weight.append((weight[0] + weight[1]) / 2)
        return _pool(jnp.stack(similar), jnp.stack(weight))

    return each_frame(score, x, y)


def _pool(similar: jax.Array, weight: jax.Array) -> jax.Array:
    """Weighted mean behind a logistic curve, squared (equation 9). Written as a difference to the value of a copy,
    which comes out as 1 exactly; where no weight is (black pictures) all pixels count alike."""
    perfect = jax.nn.sigmoid(_HAAR_ALPHA)
    weight = weight + 1e-6
    below = jnp.sum(weight * (perfect - jax.nn.sigmoid(_HAAR_ALPHA * similar))) / weight.sum()
    value = jnp.log((perfect - below) / (1 - perfect + below)) / _HAAR_ALPHA
    return jnp.where(below == 0, 1.0, jnp.clip(value, 0, 1) ** 2)


def _similarity(x: jax.Array, y: jax.Array, constant: float) -> jax.Array:
    return (2 * x * y + constant) / (x * x + y * y + constant)


def _yiq(picture: jax.Array) -> jax.Array:
    """[H, W, 3] in either form -> [3, H, W] luma and chroma in 8-bit levels, without a matrix unit's rounding."""
    rgb = planar(levels(picture))
    return jnp.stack([sum(float(w) * plane for w, plane in zip(row, rgb)) for row in _TO_YIQ])


def haar(planes: Float[Array, "N H W"], size: int, axis: int) -> jax.Array:
    """Haar coefficients of one scale, as many as pixels: half a window of `size` pixels a side minus the other half
    along `axis` (0 down, 1 across), over `size`; zeros around. `size` is even."""
    kernel = np.ones((size, size)) / size
    kernel[size // 2 :] *= -1
    around = ((size // 2 - 1, size // 2),) * 2
    return correlate(planes, kernel if axis == 0 else kernel.T, around)


def _box(planes: jax.Array) -> jax.Array:
    """Means of a pixel, its right and its two lower neighbours, zeros around."""
    return correlate(planes, np.full((2, 2), 0.25), ((0, 1), (0, 1)))


def _halve_same(planes: jax.Array) -> jax.Array:
    """Means of 2x2 of [N, H, W]; an odd last row or column is completed with zeros, as the authors' programs do."""
    return halve(jnp.pad(planes, ((0, 0), (0, planes.shape[1] % 2), (0, planes.shape[2] % 2))))
