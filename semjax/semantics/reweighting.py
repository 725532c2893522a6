"""The inner loop of `motion.fit_affine`: least squares that shrugs off outliers, compiled."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """The least value at which half of the weight is reached, found by partition: sorting took most of a fit's time."""
    half, below = weight.sum() / 2, 0.0
    left, share = values.copy(), weight.copy()
    count = len(left)
    while True:
        a, b, c = left[0], left[count // 2], left[count - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        less, equal = 0.0, 0.0
        for i in range(count):
            if left[i] < pivot:
                less += share[i]
            elif left[i] == pivot:
                equal += share[i]
        smaller = less > 0 and below + less >= half
        if not smaller and below + less + equal >= half:
            return pivot
        if not smaller:
            below += less + equal
        kept = 0
        for i in range(count):
            if (left[i] < pivot) if smaller else (left[i] > pivot):
                left[kept], share[kept] = left[i], share[i]
                kept += 1
        if not kept:
            return pivot
        count = kept


@numba.njit(cache=True)
def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Gauss elimination of a positive definite 3x3 system with two right-hand sides."""
    a, b = matrix.copy(), right.copy()
    for i in range(3):
        for k in range(i + 1, 3):
            share = a[k, i] / a[i, i]
            for j in range(3):
                a[k, j] -= share * a[i, j]
            b[k] -= share * b[i]
    for i in range(2, -1, -1):
        for k in range(i + 1, 3):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    return b


@numba.njit(cache=True, nogil=True)
def reweighted(
    basis: np.ndarray, target: np.ndarray, weight: np.ndarray, rounds: int, ridge: float
) -> np.ndarray:
    """float64 [3, 2] that maps basis [n, 3] to target [n, 2] where most of the weight [n] is.

    Geman-McClure weights, their scale shrinking to the median residual (at least 0.3); the first coefficient starts at
    the median, and `ridge` pulls the others to zero.
    """
    found = np.zeros((3, 2))
    found[0, 0] = weighted_median(target[:, 0].copy(), weight)
    found[0, 1] = weighted_median(target[:, 1].copy(), weight)
    pull = ridge * weight.sum()
    residual = np.empty(len(weight))
    for _ in range(rounds):
        for i in range(len(weight)):
            u = (
                target[i, 0]
                - basis[i, 0] * found[0, 0]
                - basis[i, 1] * found[1, 0]
                - basis[i, 2] * found[2, 0]
            )
            v = (
                target[i, 1]
                - basis[i, 0] * found[0, 1]
                - basis[i, 1] * found[1, 1]
                - basis[i, 2] * found[2, 1]
            )
            residual[i] = np.sqrt(u * u + v * v)
        scale = max(0.3, 1.5 * weighted_median(residual, weight))
        left, right = np.zeros((3, 3)), np.zeros((3, 2))
        left[0, 0], left[1, 1], left[2, 2] = 1e-9, pull, pull
        for i in range(len(weight)):
            off = residual[i] / scale
            trust = weight[i] / (1 + off * off) ** 2
            for a in range(3):
                for b in range(3):
                    left[a, b] += trust * basis[i, a] * basis[i, b]
                for b in range(2):
                    right[a, b] += trust * basis[i, a] * target[i, b]
        found = _solved(left, right)
    return found
