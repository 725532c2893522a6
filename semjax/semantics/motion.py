"""Motion between two pictures: dense flow, affine fits that shrug off outliers, warping.

All flows are backward: `flow[y, x]` leads from a pixel of the current picture to where it came from, so
the content at (x, y) now was at (x + flow_x, y + flow_y) before. Source of the dense flow: Kroeger et al.,
"Fast Optical Flow using Dense Inverse Search", ECCV 2016 (OpenCV's implementation); the rest is ours.
"""

import functools

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.semantics.reweighting import reweighted

_ENOUGH = 1000  # pixels for a fit; of more an even share is taken
_LEAST_SIDE = 16  # DIS refuses smaller pictures


def dense_flow(
    current: UInt8[np.ndarray, "h w"],
    previous: UInt8[np.ndarray, "h w"],
    *,
    fine: bool = True,
    quick: bool = False,
) -> Float[np.ndarray, "h w 2"]:
    """Backward flow in pixels from grey picture `current` to `previous`.

    The medium preset of DIS, but, if `fine`, refined down to full resolution: thin limbs and the gaps between them
    keep their own motion. `quick` takes half of its iterations, for pictures that follow one another closely: real
    clips' flow changes by 0.015 pixels. Pictures with a side under 16 pixels are padded by repeating their edge.
    """
    height, width = current.shape
    below, right = max(0, _LEAST_SIDE - height), max(0, _LEAST_SIDE - width)
    if below or right:
        current, previous = (np.pad(p, ((0, below), (0, right)), mode="edge") for p in (current, previous))
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    engine.setFinestScale(0 if fine else 1)
    engine.setPatchStride(4)
    if quick:
        engine.setGradientDescentIterations(12)
        engine.setVariationalRefinementIterations(3)
    flow = engine.calc(np.ascontiguousarray(current), np.ascontiguousarray(previous), None)
    return flow[:height, :width]


def returns(
    backward: Float[np.ndarray, "h w 2"], forward: Float[np.ndarray, "h w 2"]
) -> Float[np.ndarray, "h w"]:
    """0..1: whether going back along one flow and forth along the other ends where it began.

    Low where something has just been uncovered (it was nowhere before) and where there is nothing to match.
    """
    miss = length(backward + warp(forward, backward))
    return np.exp(-((miss / (0.7 + 0.1 * length(backward))) ** 2)).astype(np.float32)


def furthest(flow: Float[np.ndarray, "*pixels 2"]) -> Float[np.ndarray, "*pixels"]:
    """The larger of the two parts of vectors, without sign."""
    return np.maximum(np.abs(flow[..., 0]), np.abs(flow[..., 1]))


def length(flow: Float[np.ndarray, "*pixels 2"]) -> Float[np.ndarray, "*pixels"]:
    """Lengths of vectors, several times faster than NumPy's norm."""
    return np.hypot(flow[..., 0], flow[..., 1])


@functools.lru_cache(maxsize=4)
def pixel_grid(height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """The (x, y) position of every pixel, not to be written to."""
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    grid.flags.writeable = False
    return grid


def warp(image: np.ndarray, flow: Float[np.ndarray, "h w 2"], interpolation: int = cv2.INTER_LINEAR):
    """`image` [h, w] (or [h, w, c], c <= 4) of the previous picture, carried to the current one by `flow`.

    What comes from outside the picture repeats the nearest edge.
    """
    position = pixel_grid(*flow.shape[:2]) + flow
    return cv2.remap(image, position, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def warp_affine(image: np.ndarray, affine: Float[np.ndarray, "3 2"]) -> np.ndarray:
    """`image` of the previous picture, carried to the current one by an affine motion (see `fit_affine`)."""
    height, width = image.shape[:2]
    half = max(height, width) / 2
    linear = affine[1:].T.astype(np.float64) / half
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    source = np.hstack([np.eye(2) + linear, (affine[0] - linear @ middle)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, source, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def fit_affine(
    flow: Float[np.ndarray, "h w 2"],
    weight: Float[np.ndarray, "h w"],
    *,
    step: int = 3,
    rounds: int = 4,
    ridge: float = 0.02,
) -> Float[np.ndarray, "3 2"]:
    """Affine motion `[1, x', y'] @ A` that most of the weighted pixels follow.

    Args:
        flow: backward flow in pixels.
        weight: how much each pixel counts, >= 0.
        step: only every `step`-th row and column is looked at.
        rounds: reweighting rounds (Geman-McClure weights, the scale shrinking to the median residual).
        ridge: pull of the four linear terms to zero, as a share of the pixels: small or flat regions get a
            translation in place of a wild fit.

    Returns:
        A, with x' and y' in units of half the larger side around the picture's middle (see `affine_flow`);
        zeros where the weights are all (nearly) zero.
    """
    height, width = weight.shape
    weight = weight[::step, ::step].ravel()
    used = np.flatnonzero(weight > 1e-3)
    if len(used) < 4:
        return np.zeros((3, 2), np.float32)
    used = used[:: max(1, len(used) // _ENOUGH)]
    basis = _coarse_basis(height, width, step)[used]
    target = flow[::step, ::step].reshape(-1, 2)[used].astype(np.float64)
    weight = weight[used].astype(np.float64)
    total = weight.sum()
    # the fit is made around the pixels' own middle and in their own size, then brought to the common axes
    middle = weight @ basis[:, 1:] / total
    extent = np.sqrt(weight @ ((basis[:, 1:] - middle) ** 2).sum(axis=1) / total) + 1e-6
    own = np.column_stack([basis[:, 0], (basis[:, 1:] - middle) / extent])
    affine = reweighted(own, target, weight, rounds, ridge)
    affine[1:] /= extent
    affine[0] -= middle @ affine[1:]
    return affine.astype(np.float32)


def affine_flow(affine: Float[np.ndarray, "3 2"], height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """The dense backward flow of an affine motion fitted on a picture of this size."""
    return _basis(height, width) @ affine.astype(np.float32)


@functools.lru_cache(maxsize=8)
def _coarse_basis(height: int, width: int, step: int) -> np.ndarray:
    """[n, 3] of every `step`-th row and column of `_basis`, float64, not to be written to."""
    basis = _basis(height, width)[::step, ::step].reshape(-1, 3).astype(np.float64)
    basis.flags.writeable = False
    return basis


@functools.lru_cache(maxsize=4)
def _basis(height: int, width: int) -> np.ndarray:
    """[h, w, 3] of (1, x', y'), not to be written to."""
    half = max(height, width) / 2
    xy = (pixel_grid(height, width) - [(width - 1) / 2, (height - 1) / 2]) / half
    basis = np.concatenate([np.ones((height, width, 1)), xy], axis=-1).astype(np.float32)
    basis.flags.writeable = False
    return basis
