"""How well do label maps agree: IoU and accuracy by area, F-measure and distance by outline.

All take (reference, reconstruction) label maps, uint8 [T, H, W] or [H, W], and pool the whole clip. `ignore` names
labels that are left out of the average (their pixels still count against the others); `void` names reference
labels whose pixels are left out altogether.
"""

import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.metrics._inputs import Labels, is_concrete, label_pair

Counts = Float[Array, "3 256"]


def label_counts(reference: Labels, reconstruction: Labels, *, void: Iterable[int] = ()) -> Counts:
    """Pixels of every label in [both, the reference, the reconstruction]: float32 [3, 256].

    Counts of clips, or of pieces of one, may be added; `miou_from_counts` makes a score of them. Jit-able.
    """
    return _label_counts(*label_pair(reference, reconstruction), _mask(void))


def miou(
    reference: Labels,
    reconstruction: Labels,
    *,
    ignore: Iterable[int] = (),
    void: Iterable[int] = (),
    min_share: float = 0.0,
) -> jax.Array:
    """Mean intersection over union (Jaccard 1912) over labels, pooled over the clip. Range [0, 1], higher better.

    The mean runs over labels that occur in either clip; with `min_share`, over those that cover at least that
    share of the pixels of either. `InputError` when no label is left (0 under `jax.jit`, which cannot raise).
    """
    return miou_from_counts(
        label_counts(reference, reconstruction, void=void), ignore=ignore, min_share=min_share
    )


def miou_from_counts(counts: Counts, *, ignore: Iterable[int] = (), min_share: float = 0.0) -> jax.Array:
    """`miou` from (sums of) `label_counts`."""
    both, first, second = jnp.asarray(counts)
    union = first + second - both
    counted = (union > 0) & ~_mask(ignore)
    counted &= jnp.maximum(first, second) >= min_share * jnp.maximum(first.sum(), 1)
    if is_concrete(counts) and not bool(counted.any()):
        raise InputError("No label is left to average over; ignore fewer labels or lower min_share.")
    iou = both / jnp.maximum(union, 1)
    return jnp.sum(jnp.where(counted, iou, 0)) / jnp.maximum(counted.sum(), 1)


def class_iou(reference: Labels, reconstruction: Labels, *, void: Iterable[int] = ()) -> dict[int, float]:
    """IoU of every label that occurs in either clip, by label. Range [0, 1], higher better. Not for `jax.jit`."""
    both, first, second = np.asarray(label_counts(reference, reconstruction, void=void))
    union = first + second - both
    return {int(k): float(both[k] / union[k]) for k in np.flatnonzero(union)}


def pixel_accuracy(reference: Labels, reconstruction: Labels, *, void: Iterable[int] = ()) -> jax.Array:
    """Share of pixels whose label agrees. Range [0, 1], higher is better; 0 when every pixel is void."""
    both, first, _ = label_counts(reference, reconstruction, void=void)
    return both.sum() / jnp.maximum(first.sum(), 1)


def _mask(labels: Iterable[int]) -> np.ndarray:
    """bool [256], True for the given labels."""
    mask = np.zeros(256, bool)
    for label in labels:
        if not 0 <= int(label) <= 255:
            raise InputError(f"Labels are 0 to 255, got {label}.")
        mask[int(label)] = True
    return mask


@jax.jit
def _label_counts(x, y, void):
    def frame(total, pair):
        a, b = (p.ravel().astype(jnp.int32) for p in pair)
        used = ~void[a]
        rows = [
            jnp.zeros(256, jnp.uint32).at[k].add(w) for k, w in ((a, used & (a == b)), (a, used), (b, used))
        ]
        return _add_wide(total, jnp.stack(rows)), None

    zero = jnp.zeros((3, 256), jnp.uint32)
    (high, low), _ = jax.lax.scan(frame, (zero, zero), (x, y))
    return high.astype(jnp.float32) * 2.0**32 + low.astype(jnp.float32)


def _add_wide(total: tuple[jax.Array, jax.Array], more: jax.Array) -> tuple[jax.Array, jax.Array]:
    """64-bit sums as (high, low) words of 32 bits, which is all that JAX has by default: long clips need them."""
    high, low = total
    low = low + more
    return high + (low < more), low


def boundary_f(
    reference: Labels, reconstruction: Labels, *, tolerance: int = 2, ignore: Iterable[int] = ()
) -> jax.Array:
    """F-measure of outlines, Martin, Fowlkes, Malik 2004, as in DAVIS (Perazzi et al. 2016). Range [0, 1].

    Higher is better, 1 for a copy. A pixel is on the outline of its label when one of its four neighbours has
    another label. It is found when an outline pixel of the same label lies within `tolerance` pixels (Euclidean)
    in the other map. F is the harmonic mean of precision and recall for each label and frame in which either map
    has it; mean over frames, then over labels. Jit-able with `tolerance` static.
    """
    x, y = label_pair(reference, reconstruction)
    total, frames = _boundary_f(x, y, tolerance)
    counted = (frames > 0) & ~_mask(ignore)
    if is_concrete(x, y) and not bool(counted.any()):
        raise InputError("No label is left to average over; ignore fewer labels.")
    return jnp.sum(jnp.where(counted, total / jnp.maximum(frames, 1), 0)) / jnp.maximum(counted.sum(), 1)


def contour_distance(reference: Labels, reconstruction: Labels) -> float:
    """Mean distance in pixels between the outlines of two label maps. Range [0, diagonal], lower is better.

    0 for a copy. From every outline pixel of either clip to the nearest outline pixel of the same frame in the
    other, whatever labels it parts; mean over all of them, both ways (the average symmetric surface distance of
    medical imaging). Where the other frame has no outline at all the distance is the picture's diagonal. Runs on
    the host (OpenCV's exact distance transform), not under `jax.jit`.
    """
    import cv2

    x, y = label_pair(reference, reconstruction)
    diagonal = float(np.hypot(*x.shape[1:]))
    total, count = 0.0, 0
    for a, b in zip(np.asarray(x), np.asarray(y)):
        outlines = [_outline(a), _outline(b)]
        for here, there in (outlines, outlines[::-1]):
            away = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            total += float(away[here].sum(dtype=np.float64)) if there.any() else diagonal * int(here.sum())
            count += int(here.sum())
    return total / max(count, 1)


def _outline(labels):
    """bool [H, W]: a pixel with a 4-neighbour of another label; the picture's edge is none. NumPy or JAX."""
    xp = jnp if isinstance(labels, jax.Array) else np
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    vertical = xp.pad(down, ((0, 1), (0, 0))) | xp.pad(down, ((1, 0), (0, 0)))
    return vertical | xp.pad(right, ((0, 0), (0, 1))) | xp.pad(right, ((0, 0), (1, 0)))


@functools.partial(jax.jit, static_argnums=2)
def _boundary_f(x, y, tolerance):
    """(sum of F over frames, frames in which the label occurs), each [256]."""
    steps = range(-tolerance, tolerance + 1)
    disk = [(i, j) for i in steps for j in steps if i * i + j * j <= tolerance * tolerance]

    def frame(total, pair):
        found, drawn, present = [], [], []
        for here, there in (pair, pair[::-1]):
            # Outside of the picture and off the outline there is label 256, which nobody has.
            marked = jnp.where(_outline(there), there.astype(jnp.int32), 256)
            marked = jnp.pad(marked, tolerance, constant_values=256)
            label = here.astype(jnp.int32)
            near = jnp.zeros(here.shape, bool)
            for i, j in disk:
                start = (tolerance + i, tolerance + j)
                near |= jax.lax.dynamic_slice(marked, start, here.shape) == label
            outline = _outline(here)
            count = jnp.zeros(256).at[label]
            drawn.append(count.add(outline))
            found.append(count.add(outline & near))
            present.append(count.add(1) > 0)
        share = [f / jnp.maximum(d, 1) for f, d in zip(found, drawn)]  # recall, precision
        score = 2 * share[0] * share[1] / jnp.maximum(share[0] + share[1], 1e-9)
        bare = (drawn[0] == 0) & (drawn[1] == 0)  # a label that fills its picture has no outline
        score = jnp.where(bare, (present[0] & present[1]).astype(jnp.float32), score)
        either = present[0] | present[1]
        return (total[0] + jnp.where(either, score, 0), total[1] + either), None

    return jax.lax.scan(frame, (jnp.zeros(256), jnp.zeros(256)), (x, y))[0]
