"""Painting a clip from what arrived, without a network (ours).

Three ingredients, each of which may be absent:

1. the texture layer, enlarged region by region so that colours stop at the decoded contours;
2. the fine detail of the last keyframe, carried along by contour motion and by the flow between the enlarged
   textures, wherever it still agrees with what was received;
3. the contours alone: flat colours, one a region.

This is the receiver on machines without an accelerator and the yardstick for the diffusion generator.
"""

import dataclasses
import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8

from semjax.errors import InputError
from semjax.types import FrameStatus

# Muted, distinct colours (RGB) for regions of which nothing but the outline is known; label 0 comes first.
PALETTE = np.array(
    [[118, 124, 130], [191, 97, 76], [76, 126, 173], [104, 148, 88], [201, 160, 73], [136, 104, 158],
     [84, 154, 152], [176, 121, 142], [122, 108, 92], [168, 178, 100], [96, 96, 140], [206, 132, 96]],
    np.uint8,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class PaintConfig:
    """Settings of `paint`.

    iterations: back-projection rounds that make the picture, scaled down, equal the received texture.
    regions: most regions treated apart in one call; the smallest beyond that share one. trust: largest difference
    (of 255) between the carried keyframe and the received texture at which keyframe detail is still used; stretch:
    the same for the change of its motion from pixel to pixel, beyond which detail would be smeared. soften: pixels to
    a texture pixel from which outlines are softened; finer textures have the edges in them, and blurring these costs
    0.011 of HaarPSI at two pixels (measured).
    """

    iterations: int = 3
    regions: int = 32
    trust: float = 28.0
    stretch: float = 0.3
    soften: float = 3.0

    def __post_init__(self):
        least = min(self.trust, self.stretch, self.soften)
        if self.iterations < 0 or not 2 <= self.regions <= 256 or least <= 0:
            raise InputError(
                f"impossible paint settings {self}: iterations >= 0, regions 2 to 256, trust, stretch and soften > 0"
            )


@dataclasses.dataclass(frozen=True)
class PaintState:
    """What the painter remembers between calls: the last keyframe and how far its pixels have moved.

    image, base: float32 [H, W, 3], the keyframe and the texture painting of the same frame. labels: int [H, W] of
    that frame. flow: float32 [H, W, 2], where in the keyframe each pixel of the last painted frame came from,
    as an offset (x, y) in pixels.
    """

    image: np.ndarray
    base: np.ndarray
    labels: np.ndarray
    flow: np.ndarray


def area_weights(small: int, large: int) -> Float[np.ndarray, "small large"]:
    """The area filter that shrinks `large` samples to `small` as a matrix whose rows sum to 1."""
    edges = np.linspace(0, large, small + 1)
    left, right = edges[:-1, None], edges[1:, None]
    cells = np.arange(large)[None]
    overlap = np.clip(np.minimum(right, cells + 1) - np.maximum(left, cells), 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def spline_weights(small: int, large: int) -> Float[np.ndarray, "large small"]:
    """Cubic B-spline enlargement from `small` to `large` samples as a matrix; positive, rows sum to 1."""
    centre = (np.arange(large) + 0.5) * small / large - 0.5
    distance = np.abs(centre[:, None] - np.arange(small)[None])
    near = (4 - 6 * distance**2 + 3 * distance**3) / 6
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


@functools.partial(jax.jit, static_argnames=("regions", "iterations"))
def enlarge(
    tiny: Float[Array, "h w 3"], labels: Int[Array, "H W"], *, regions: int, iterations: int = 3
) -> Float[Array, "H W 3"]:
    """Enlarge a tiny frame so that its colours keep to the regions of a label map.

    Each region is interpolated from the tiny pixels that lie mostly inside it (normalised convolution with the
    squared cover as weight); back-projection then makes the area-filtered result equal `tiny` again.
    labels must be below `regions`. Joint filtering as in Kopf et al., "Joint Bilateral Upsampling", 2007, with
    label maps in place of the guide picture.
    """
    (h, w), (height, width) = tiny.shape[:2], labels.shape
    down_y, down_x = (jnp.asarray(area_weights(a, b)) for a, b in ((h, height), (w, width)))
    up_y, up_x = (jnp.asarray(spline_weights(a, b)) for a, b in ((h, height), (w, width)))

    def shrink(x):
        return jnp.einsum("ab,bcd,ec->aed", down_y, x, down_x)

    def spread(x):
        return jnp.einsum("ba,acd,ec->bed", up_y, x, up_x)

    def joint(x):
        def add_region(total, region):
            inside = (labels == region).astype(x.dtype)[..., None]
            cover = shrink(inside) ** 2
            field = spread(jnp.concatenate([cover * x, cover], -1))
            # Where no tiny pixel lies in the region (thin parts) the plain enlargement takes over.
            share = 1e-3
            colour = (field[..., :3] + share * plain) / (field[..., 3:] + share)
            return total + inside * colour, None

        plain = spread(x)
        return jax.lax.scan(add_region, jnp.zeros_like(plain), jnp.arange(regions))[0]

    picture = joint(tiny)
    for _ in range(iterations):
        picture = picture + joint(tiny - shrink(picture))
    return picture


@jax.jit
def soften_edges(picture: Float[Array, "H W 3"], labels: Int[Array, "H W"]) -> Float[Array, "H W 3"]:
    """Anti-alias: pixels beside another region take the mean of their 3x3 neighbourhood."""
    height, width = labels.shape
    around = jnp.pad(labels, 1, mode="edge")
    padded = jnp.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
    shifts = [(dy, dx) for dy in range(3) for dx in range(3)]
    weights = {0: 4.0, 1: 2.0, 2: 1.0}
    edge, blurred = jnp.zeros((height, width), bool), jnp.zeros_like(picture)
    for dy, dx in shifts:
        edge |= around[dy : dy + height, dx : dx + width] != labels
        blurred += weights[abs(dy - 1) + abs(dx - 1)] * padded[dy : dy + height, dx : dx + width]
    return jnp.where(edge[..., None], blurred / 16, picture)


def contour_motion(
    labels: Int[np.ndarray, "H W"], source: Int[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 2"]:
    """For each pixel the offset (x, y) to where its region was in `source`, from the regions' centroids."""
    count = int(max(labels.max(), source.max())) + 1
    offset = np.zeros((count, 2), np.float32)
    for region in range(1, count):
        now, then = (np.argwhere(m == region) for m in (labels, source))
        if len(now) and len(then):
            offset[region] = (then.mean(0) - now.mean(0))[::-1]
    return offset[labels]


def paint(
    labels: UInt8[np.ndarray, "n H W"],
    tiny: UInt8[np.ndarray, "n h w 3"] | None,
    keyframes: dict[int, UInt8[np.ndarray, "H W 3"]],
    state: PaintState | None = None,
    *,
    texture_status: UInt8[np.ndarray, " n"] | None = None,
    cfg: PaintConfig = PaintConfig(),
) -> tuple[UInt8[np.ndarray, "n H W 3"], PaintState | None]:
    """Paint the next frames of a clip.

    labels: label maps, all zero where no contours arrived. tiny: texture frames, or None. keyframes: pictures by
    index into these frames. state: what the call for the preceding frames returned. texture_status: FrameStatus of
    each texture frame; frames MISSING there are painted from the keyframe or flat.
    Returns the frames and the state for the call after this one. Deterministic on one machine.
    """
    count, height, width = labels.shape
    out = np.empty((count, height, width, 3), np.uint8)
    compact, regions = _compact(labels, cfg.regions)
    for i in range(count):
        known = tiny is not None and (texture_status is None or texture_status[i] != FrameStatus.MISSING)
        region_map = compact[i]
        base = None
        if known:
            base = np.asarray(
                enlarge(_float(tiny[i]), region_map, regions=regions, iterations=cfg.iterations)
            )
        if i in keyframes:
            if keyframes[i].shape != (height, width, 3):
                raise InputError(f"a keyframe of shape {keyframes[i].shape} is no {width}x{height} picture")
            image = _float(keyframes[i])
            flow = np.zeros((height, width, 2), np.float32)
            state = PaintState(image, image if base is None else base, labels[i], flow)
        picture, state = _paint_one(
            labels[i], region_map, regions, base, tiny[i] if known else None, state, cfg
        )
        out[i] = np.clip(np.rint(picture), 0, 255)
    return out, state


def _float(picture) -> np.ndarray:
    return np.asarray(picture, np.float32)


def _compact(labels: np.ndarray, limit: int) -> tuple[np.ndarray, int]:
    """Renumber the labels that occur to 0, 1, ...; the smallest regions beyond `limit` share the last number.

    The count is rounded up to a power of two so that few shapes are compiled.
    """
    values, areas = np.unique(labels, return_counts=True)
    order = values[np.argsort(-areas, kind="stable")]
    table = np.zeros(256, np.int32)
    table[order] = np.minimum(np.arange(len(order)), limit - 1)
    regions = 1 << max(1, int(min(len(order), limit) - 1).bit_length())
    return table[labels], min(regions, limit)


def _paint_one(labels, region_map, regions, base, tiny, state, cfg):
    if state is None:
        if base is None:
            return soften_edges(_float(PALETTE[labels % len(PALETTE)]), labels.astype(np.int32)), None
        return _softened(base, region_map, tiny, cfg), None
    height, width = labels.shape
    start = contour_motion(labels, state.labels)
    flow = start if base is None else _smooth(_follow(base, state, start), region_map)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at_x, at_y = x + flow[..., 0], y + flow[..., 1]
    moved = cv2.remap(state.image, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    state = dataclasses.replace(state, flow=flow)
    if base is None:
        return moved, state
    there = cv2.remap(
        state.labels, at_x, at_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=255
    )
    h, w = tiny.shape[:2]
    low = cv2.resize(moved, (w, h), interpolation=cv2.INTER_AREA)
    detail = moved - np.asarray(enlarge(low, region_map, regions=regions, iterations=cfg.iterations))
    apart = np.abs(low - tiny).max(-1)
    agreement = np.clip(2 - 2 * apart / cfg.trust, 0, 1)
    agreement = cv2.resize(agreement, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = (at_x >= 0) & (at_x <= width - 1) & (at_y >= 0) & (at_y <= height - 1)
    agreement *= np.clip(2 - _stretch(flow) / cfg.stretch, 0, 1) * inside
    # Lone islands of detail look like dirt: detail is shown where most of the surroundings agree, too.
    agreement *= np.clip(2 * cv2.GaussianBlur(agreement, (0, 0), max(height, width) / 40) - 0.6, 0, 1)
    same = cv2.GaussianBlur((there == labels).astype(np.float32), (0, 0), 1.0)
    picture = base + (agreement * same)[..., None] * detail
    same = same[..., None]
    return _softened(picture, region_map, tiny, cfg) * (1 - same) + picture * same, state


def _softened(picture: np.ndarray, region_map: np.ndarray, tiny: np.ndarray, cfg: PaintConfig) -> np.ndarray:
    """The picture with soft outlines, where its texture is too coarse to have edges."""
    if region_map.shape[1] < cfg.soften * tiny.shape[1]:
        return np.asarray(picture)
    return np.asarray(soften_edges(picture, region_map))


def _follow(base: np.ndarray, state: PaintState, start: np.ndarray) -> np.ndarray:
    """Optical flow from the painting of this frame back to that of the keyframe, starting at the better of the
    last frame's flow and the contours' motion (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
    2016, as OpenCV has it). Pictures too small for its pyramid keep the start."""
    grey, grey_then = (cv2.cvtColor(p / 255, cv2.COLOR_RGB2GRAY) for p in (base, state.base))
    height, width = grey.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)

    def mismatch(flow):
        there = cv2.remap(
            grey_then, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.blur(np.abs(there - grey), (9, 9))

    guess = np.where((mismatch(start) < mismatch(state.flow))[..., None], start, state.flow)
    if min(height, width) < 32:
        return guess
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    to_byte = [np.clip(g * 255, 0, 255).astype(np.uint8) for g in (grey, grey_then)]
    found = search.calc(*to_byte, guess.copy())
    return np.where((mismatch(found) < mismatch(guess))[..., None], found, guess)


def _smooth(flow: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Per region an affine motion plus a slowly varying rest.

    Enlarged textures are smooth, so that single flow vectors are unsure and would smear detail.
    """
    height, width = flow.shape[:2]
    sigma = max(height, width) / 40
    y, x = np.mgrid[:height, :width].astype(np.float32)
    out = np.empty_like(flow)
    for region in np.unique(regions):
        here = regions == region
        terms = np.stack([np.ones(here.sum(), np.float32), x[here] / width, y[here] / height], 1)
        affine = terms @ _fit_robust(terms, flow[here])
        inside = here.astype(np.float32)
        rest = np.zeros_like(flow)
        rest[here] = flow[here] - affine
        weight = cv2.GaussianBlur(inside, (0, 0), sigma)[here, None]
        out[here] = affine + cv2.GaussianBlur(rest, (0, 0), sigma)[here] / np.maximum(weight, 1e-6)
    return out


def _fit_robust(terms: np.ndarray, values: np.ndarray, rounds: int = 4) -> np.ndarray:
    """Least squares of values [n, 2] on terms [n, 3], reweighted so that outliers count little."""
    weight = np.ones((len(terms), 1), np.float32)
    ridge = 1e-3 * len(terms) * np.diag([0.0, 1.0, 1.0])
    for _ in range(rounds):
        fit = np.linalg.solve(
            (terms * weight).T @ terms + ridge + 1e-6 * np.eye(3), (terms * weight).T @ values
        )
        error = np.linalg.norm(values - terms @ fit, axis=1, keepdims=True)
        weight = 1 / (1 + (error / (np.median(error) + 0.25)) ** 2)
    return fit.astype(np.float32)


def _stretch(flow: np.ndarray) -> np.ndarray:
    """Largest change of the flow from a pixel to the next, averaged over a small neighbourhood."""
    dy, dx = (np.abs(np.gradient(flow, axis=axis)).max(-1) for axis in (0, 1))
    return cv2.blur(np.maximum(dy, dx), (9, 9))
