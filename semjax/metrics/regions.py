"""How well do label maps agree: IoU and accuracy by area, F-measure and distance by outline.

All take (reference, reconstruction) label maps, uint8 [T, H, W] or [H, W], and pool the whole clip. `ignore` names
labels that are left out of the average (their pixels still count against the others); `void` names reference
labels whose pixels are left out altogether.
"""

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
