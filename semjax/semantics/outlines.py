"""Outlines that lie on the picture's edges: each pixel near a border goes to the side whose colours it has. Ours."""

import cv2
import numpy as np
from jaxtyping import Float, Int16, UInt8

REACH = 5  # pixels that an outline may move
_WINDOW = 8  # half the side of the neighbourhood that tells a region's colour
_SIGMA = 12.0  # distance in Lab that counts
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
    owner = winner(planes)
    names = np.array(ids, np.uint8)
    if len(ids) == 1:
        return names[owner]
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH + 1,) * 2)
    band = cv2.morphologyEx(owner, cv2.MORPH_GRADIENT, disk) > 0
    lab = cv2.cvtColor(cv2.GaussianBlur(frame, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    least = np.full(owner.shape, np.inf, np.float32)
    best = owner.copy()
    for k in range(len(ids)):
        box = _box(cv2.dilate((owner == k).astype(np.uint8), disk))
        if box is None:
            continue
        held = None if before is None else before[box] == ids[k]
        cost = _cost(owner[box] == k, lab[box], planes[k][box], held)
        cost[~band[box]] = np.inf
        better = cost < least[box]
        least[box][better] = cost[better]
        best[box][better] = k
    return names[np.where(band, best, owner)]


def winner(planes: Float[np.ndarray, "K h w"]) -> UInt8[np.ndarray, "h w"]:
    """The number of the largest plane, the first of equals: NumPy's argmax over the first axis, but faster."""
    owner, most = np.zeros(planes.shape[1:], np.uint8), planes[0].copy()
    for k, plane in enumerate(planes[1:], start=1):
        larger = plane > most
        owner[larger] = k
        most[larger] = plane[larger]
    return owner


def _cost(mine: np.ndarray, lab: np.ndarray, plane: np.ndarray, held: np.ndarray | None) -> np.ndarray:
    """Minus the log-likelihood of a label: its colour near by, where it was found, and where it was before."""
    inside = mine[::2, ::2].astype(np.float32)  # colours near by change slowly: every second pixel tells them
    side = (2 * (_WINDOW // 2) + 1,) * 2
    area = cv2.blur(inside, side)
    colour = cv2.blur(lab[::2, ::2] * inside[..., None], side) / np.maximum(area, 1e-6)[..., None]
    off = lab - cv2.resize(colour, mine.shape[::-1], interpolation=cv2.INTER_LINEAR)
    off = np.einsum("hwc,hwc->hw", off, off) / (2 * _SIGMA**2)
    cost = np.minimum(off, 4.0) - _PLACE * np.log(np.clip(plane, 0.02, 1))
    if held is not None:
        cost -= _HELD * held
    cost = cv2.GaussianBlur(cost, (0, 0), _ROUND)
    cost[cv2.resize(area, mine.shape[::-1], interpolation=cv2.INTER_LINEAR) < 1e-3] = np.inf
    return cost


def _box(mask: np.ndarray) -> tuple[slice, slice] | None:
    x, y, width, height = cv2.boundingRect(mask)
    return None if not width else (slice(y, y + height), slice(x, x + width))
