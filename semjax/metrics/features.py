"""Measures on what a network made of pictures or words: CLIP score, Frechet distance, BERTScore, depth, actions.

They take features or predictions, whichever network they come from.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from semjax.errors import InputError
from semjax.metrics._inputs import finite


def clip_score(
    reference: Float[Array, "N D"], reconstruction: Float[Array, "N D"], *, form: str = "cosine"
) -> jax.Array:
    """Mean cosine between rows of two feature matrices, as papers report CLIP similarity. Higher is better.

    `form="cosine"`: range [-1, 1] (Radford et al. 2021); `form="half"`: (cosine + 1) / 2, range [0, 1], as LGVSC
    (arXiv 2606.12899) prints it. 1 for a copy in both.
    """
    x, y = _same(reference, reconstruction, "features")
    lengths = [jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (x, y)]
    cosine = jnp.mean(jnp.sum(x / lengths[0] * (y / lengths[1]), -1))
    if form not in ("cosine", "half"):
        raise InputError(f'The form of the CLIP score is "cosine" or "half", got {form!r}.')
    return finite("CLIP score", cosine if form == "cosine" else (cosine + 1) / 2)


def frechet_distance(reference: Float[Array, "N D"], reconstruction: Float[Array, "M D"]) -> float:
    """Frechet distance between Gaussians fitted to two sets of features, Dowson and Landau 1982; with Inception
    features it is the FID of Heusel et al. 2017, with video features the FVD. Range [0, inf), lower is better.

    |mean difference|^2 + tr(A + B - 2 (A B)^(1/2)) with sample covariances; at least 2 rows each, and many more
    than D for a value that means something. On the host in float64.
    """
    sets = [np.asarray(z, np.float64) for z in (reference, reconstruction)]
    if any(z.ndim != 2 or len(z) < 2 for z in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise InputError(
            f"Features must be (N, D) and (M, D) with N, M at least 2, got {sets[0].shape} and {sets[1].shape}."
        )
    if not all(np.isfinite(z).all() for z in sets):
        raise InputError("The features hold NaN or infinity.")
    means = [z.mean(0) for z in sets]
    roots = [(z - m) / np.sqrt(len(z) - 1) for z, m in zip(sets, means)]
    spread = sum(float(np.sum(r * r)) for r in roots)
    # With A = R1^T R1 and B = R2^T R2, the trace of (A B)^(1/2) is the sum of the singular values of R1 R2^T: no
    # square root of a matrix, no complex numbers. A triangular factor serves in place of more rows than columns.
    roots = [np.linalg.qr(r, mode="r") if len(r) > r.shape[1] else r for r in roots]
    spread -= 2 * float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(float(np.sum((means[0] - means[1]) ** 2)) + spread, 0.0)


class BertScore(NamedTuple):
    """Precision, recall and F1, each in [-1, 1] and in practice near 1, higher is better, 1 for a copy."""

    precision: jax.Array
    recall: jax.Array
    f1: jax.Array


def bert_score(
    reference: Float[Array, "N L D"],
    reconstruction: Float[Array, "N M D"],
    reference_weights: Float[Array, "N L"],
    reconstruction_weights: Float[Array, "N M"],
) -> BertScore:
    """BERTScore, Zhang et al. 2020, from the token vectors of any encoder; means over the N pairs of sentences.

    Every token is matched with the one of the other sentence at the highest cosine. Weights are 0 for padding and
    1 (or the token's inverse document frequency) for the others; no rescaling with a baseline.
    """
    x, y = jnp.asarray(reference, jnp.float32), jnp.asarray(reconstruction, jnp.float32)
    u, v = jnp.asarray(reference_weights, jnp.float32), jnp.asarray(reconstruction_weights, jnp.float32)
    fits = (
        x.ndim == y.ndim == 3
        and x.shape[::2] == y.shape[::2]
        and u.shape == x.shape[:2]
        and v.shape == y.shape[:2]
    )
    if not fits or 0 in (*x.shape, *y.shape):
        raise InputError(
            "BERTScore needs vectors (N, L, D) and (N, M, D) with weights (N, L) and (N, M), "
            f"got {x.shape}, {y.shape}, {u.shape} and {v.shape}."
        )
    # The vectors of padding may be anything, zero too; unit vectors of the others.
    x, y = (z / jnp.where(w > 0, jnp.linalg.norm(z, axis=-1), 1)[..., None] for z, w in ((x, u), (y, v)))
    cosine = jnp.einsum("nld,nmd->nlm", x, y, precision=jax.lax.Precision.HIGHEST)
    recall = jnp.max(jnp.where(v[:, None] > 0, cosine, -jnp.inf), 2)
    precision = jnp.max(jnp.where(u[..., None] > 0, cosine, -jnp.inf), 1)
    recall, precision = (
        jnp.sum(jnp.where(w > 0, best * w, 0), 1) / w.sum(1) for best, w in ((recall, u), (precision, v))
    )
    f1 = 2 * precision * recall / (precision + recall)
    return BertScore(*(finite("BERTScore", value.mean()) for value in (precision, recall, f1)))


class DepthErrors(NamedTuple):
    """Eigen, Puhrsch, Fergus 2014: AbsRel and RMSE in [0, inf), lower better; deltas in [0, 1], higher better."""

    abs_rel: jax.Array
    rmse: jax.Array
    delta1: jax.Array
    delta2: jax.Array
    delta3: jax.Array


def depth_errors(
    reference: Float[Array, "*T H W"],
    reconstruction: Float[Array, "*T H W"],
    *,
    valid: Bool[Array, "*T H W"] | None = None,
    scale: str = "none",
) -> DepthErrors:
    """Mean |d - d'| / d, root mean square, and shares of pixels with max(d / d', d' / d) < 1.25, 1.25^2, 1.25^3.

    Over the pixels of `valid` (default: where the reference is above 0). `scale="median"` first multiplies the
    reconstruction by the ratio of the medians (Zhou et al. 2017), for depth without unit.
    """
    x, y = _same(reference, reconstruction, "depths")
    if valid is not None and np.shape(valid) != x.shape:
        raise InputError(f"The mask has the shape {np.shape(valid)}, the depths have {x.shape}.")
    valid = x > 0 if valid is None else jnp.asarray(valid) & (x > 0)
    if scale == "median":
        y = y * jnp.nanmedian(jnp.where(valid, x, jnp.nan)) / jnp.nanmedian(jnp.where(valid, y, jnp.nan))
    elif scale != "none":
        raise InputError(f'The scale is "none" or "median", got {scale!r}.')
    finite("Depth", jnp.where(valid, y, 0))
    x = jnp.where(valid, x, 1)

    def mean(values):
        return finite("Depth error", jnp.sum(jnp.where(valid, values, 0)) / valid.sum())

    apart = jnp.where(y > 0, jnp.maximum(x / y, y / x), jnp.inf)
    deltas = [mean(apart < 1.25**n) for n in (1, 2, 3)]
    return DepthErrors(mean(jnp.abs(x - y) / x), jnp.sqrt(mean((x - y) ** 2)), *deltas)


def top_k_accuracy(reference: Int[Array, " N"], scores: Float[Array, "N K"], *, k: int = 1) -> jax.Array:
    """Share of clips whose class in `reference` is among the `k` highest of its scores. Range [0, 1].

    Higher is better; of equal scores the lower class goes first.
    """
    labels, scores = jnp.asarray(reference), jnp.asarray(scores)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(
            f"Classes must be integers (N,) and scores (N, K), got {labels.shape} and {scores.shape}."
        )
    if not 1 <= k <= scores.shape[1] or 0 in scores.shape:
        raise InputError(f"k must be 1 to {scores.shape[1]}, got {k}.")
    best = jax.lax.top_k(finite("A score", scores), k)[1]
    return jnp.mean(jnp.any(best == labels[:, None], -1))


def _same(reference, reconstruction, what: str) -> tuple[jax.Array, jax.Array]:
    x, y = jnp.asarray(reference, jnp.float32), jnp.asarray(reconstruction, jnp.float32)
    if x.shape != y.shape or x.ndim < 2 or 0 in x.shape:
        raise InputError(
            f"The reference has {what} of shape {x.shape}, the reconstruction of {y.shape}; they must agree."
        )
    return x, y
