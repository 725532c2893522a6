"""Outlines that lie on the picture's edges: each pixel near a border goes to the side whose colours it has. Ours."""

import cv2
import numpy as np
from jaxtyping import Float, Int16, UInt8

from semjax.semantics.fused import largest

REACH = 5  # pixels that an outline may move
_WINDOW = 8  # half the side of the neighbourhood that tells a region's colour
_SIGMA = 12.0  # distance in Lab that counts
_FAR = 4.0  # the most that a colour may cost
_PLACE = 1.0  # trust in where the border was found
_HELD = 1.0  # advantage of the label that was drawn there before
_ROUND = 1.2  # pixels over which the choice is smoothed: outlines are paid for by their bends


def snap(
    planes: Float[np.ndarray, "K H W"],
    ids: tuple[int, ...],
    frame: UInt8[np.ndarray, "H W 3"],
    before: Int16[np.ndarray, "H W"] | None = None,
) -> UInt8[np.ndarray, "H W"]:
    """The label map of some probabilities, its outlines moved to the picture's edges by up to `REACH` pixels.

    planes: one plane for each label in `ids`, of the picture's size; the largest wins away from the borders.
    before: the label map drawn last, -1 where it says nothing any more: outlines stay with it where the colours do
    not object, so that they do not flicker.
    """
    owner = largest(planes)
    names = np.array(ids, np.uint8)
    if len(ids) == 1:
        return names[owner]
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH + 1,) * 2)
    band = cv2.morphologyEx(owner, cv2.MORPH_GRADIENT, disk) > 0
    lab = cv2.cvtColor(cv2.GaussianBlur(frame, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    least = np.full(owner.shape, np.inf, np.float32)
    best = owner.copy()
    for k in range(len(ids)):
        near = cv2.dilate((owner == k).astype(np.uint8), disk)
        box = _box(near)
        if box is None:
            continue
        held = None if before is None else before[box] == ids[k]
        y, x = np.nonzero((near[box] > 0) & band[box])
        cost = _cost(owner[box] == k, lab[box], planes[k][box], held, y, x)
        better = cost < least[box][y, x]
        y, x = y[better], x[better]
        least[box][y, x] = cost[better]
        best[box][y, x] = k
    return names[best]


def _cost(
    mine: np.ndarray,
    lab: np.ndarray,
    plane: np.ndarray,
    held: np.ndarray | None,
    y: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    """Minus the log-likelihood of a label at some pixels: its colour near by, where it was found and where before."""
    inside = mine[::2, ::2].astype(np.float32)  # colours near by change slowly: every second pixel tells them
    side = (2 * (_WINDOW // 2) + 1,) * 2
    area = cv2.blur(inside, side)
    colour = cv2.blur(lab[::2, ::2] * inside[..., None], side)
    share = area[y // 2, x // 2]
    off = lab[y, x] - colour[y // 2, x // 2] / np.maximum(share, 1e-6)[:, None]
    off = np.einsum("nc,nc->n", off, off) / (2 * _SIGMA**2)
    value = np.minimum(off, _FAR) - _PLACE * np.log(np.clip(plane[y, x], 0.02, 1))
    value[share < 1e-3] = _FAR - _PLACE * np.log(0.02)
    if held is not None:
        value -= _HELD * held[y, x]
    cost = np.full(mine.shape, _FAR, np.float32)
    cost[y, x] = value
    return cv2.GaussianBlur(cost, (0, 0), _ROUND)[y, x]


def _box(mask: np.ndarray) -> tuple[slice, slice] | None:
    x, y, width, height = cv2.boundingRect(mask)
    return None if not width else (slice(y, y + height), slice(x, x + width))
