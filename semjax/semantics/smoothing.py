"""Smoothing that follows the picture's edges: the colour guided filter.

Source: He, Sun, Tang, "Guided Image Filtering", TPAMI 2013, equations 19 to 21 (colour guide), used on label
probabilities as in Rhemann et al., "Fast Cost-Volume Filtering", CVPR 2011.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float

from semjax.semantics.fused import line, products, slopes

Plane = Float[np.ndarray, "h w"]


def edge_aware(guide: Float[np.ndarray, "h w 3"], radius: int, flat: float) -> Callable[[Plane], Plane]:
    """A function that smooths a plane [h, w] along the structures of `guide`.

    Args:
        guide: colour picture, about 0..1 per channel.
        radius: half the window's side in pixels.
        flat: variance (guide units squared) under which an area counts as flat and is averaged over.

    Returns:
        The linear filter; what depends on the guide alone is computed once, here.
    """
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(x):
        return cv2.blur(x, window, borderType=cv2.BORDER_REFLECT)

    guide = guide.astype(np.float32)
    r, g, b = (np.ascontiguousarray(guide[..., c]) for c in range(3))
    mr, mg, mb = mean(r), mean(g), mean(b)
    rr, gg, bb = mean(r * r) - mr * mr + flat, mean(g * g) - mg * mg + flat, mean(b * b) - mb * mb + flat
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    # adjugate of the symmetric 3x3 covariance, pixel by pixel
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * irr + rg * irg + rb * irb
    inverse = np.stack([x / determinant for x in (irr, irg, irb, igg, igb, ibb)])
    channels, means = np.stack([r, g, b]), np.stack([mr, mg, mb])

    def smooth(plane: Plane) -> Plane:
        terms = slopes(inverse, means, mean(plane), *map(mean, products(channels, plane)))
        return line(channels, *map(mean, terms))

    return smooth
