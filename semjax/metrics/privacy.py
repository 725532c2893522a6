"""How well somebody can tell which of several identities is behind what they see: attacks and their chances.

Attacks take features float [n, d] of examples whose identity they know (int [n]) and of others, and guess the others'.
Ours; the interval is Clopper and Pearson's (1934).
"""

import math

import numpy as np
from jaxtyping import Float, Int

from semjax.errors import InputError


def nearest_neighbour(
    known: Float[np.ndarray, "n d"], identities: Int[np.ndarray, " n"], asked: Float[np.ndarray, "m d"]
) -> Int[np.ndarray, " m"]:
    """The identity of the nearest known example, features standardised. InputError for arrays that do not fit."""
    known, asked = _standardised(known, identities, asked)
    squares = (asked**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * asked @ known.T
    return np.asarray(identities)[squares.argmin(1)]


def linear_probe(
    known: Float[np.ndarray, "n d"],
    identities: Int[np.ndarray, " n"],
    asked: Float[np.ndarray, "m d"],
    *,
    ridge: float = 1.0,
) -> Int[np.ndarray, " m"]:
    """Guesses of a linear classifier trained on the known examples (ridge regression to one-hot identities).

    ridge: penalty on the weights, for each known example. Raises InputError for arrays that do not fit.
    """
    known, asked = _standardised(known, identities, asked)
    classes = np.unique(identities)
    targets = (np.asarray(identities)[:, None] == classes[None]).astype(np.float64)
    # The dual form: as many unknowns as examples, however many features there are.
    gram = known @ known.T / known.shape[1] + ridge * np.eye(len(known))
    scores = (asked @ known.T / known.shape[1]) @ np.linalg.solve(gram, targets - targets.mean(0))
    return classes[scores.argmax(1)]


def _standardised(known, identities, asked):
    known, asked = np.asarray(known, np.float64), np.asarray(asked, np.float64)
    if (
        known.ndim != 2
        or asked.ndim != 2
        or known.shape[1] != asked.shape[1]
        or len(known) != len(identities)
    ):
        raise InputError(
            f"attacks need features [n, d] with n identities and [m, d], not {list(known.shape)}, "
            f"{len(identities)} and {list(asked.shape)}"
        )
    if not len(known) or not len(asked):
        raise InputError("attacks need at least one known example and one to guess")
    middle, spread = known.mean(0), known.std(0)
    varies = spread > 1e-9
    if not varies.any():
        return np.zeros((len(known), 1)), np.zeros((len(asked), 1))
    return (known - middle)[:, varies] / spread[varies], (asked - middle)[:, varies] / spread[varies]


def tail(correct: int, count: int, chance: float) -> float:
    """The probability of at least `correct` right guesses of `count` when each is right with probability `chance`."""
    if not 0 <= correct <= count or not 0 <= chance <= 1:
        raise InputError(f"{correct} of {count} guesses at a chance of {chance} cannot be")
    terms = (math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(correct, count + 1))
    return min(1.0, math.fsum(terms))


def interval(correct: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Where the true accuracy lies with this confidence, having seen `correct` of `count` (Clopper-Pearson)."""
    if count < 1 or not 0 < confidence < 1:
        raise InputError(
            f"an interval needs guesses and a confidence in (0, 1), not {count} and {confidence}"
        )
    out = (1 - confidence) / 2
    low = 0.0 if correct == 0 else _bisect(lambda p: tail(correct, count, p) >= out)
    high = 1.0 if correct == count else _bisect(lambda p: tail(correct + 1, count, p) >= 1 - out)
    return low, high


def _bisect(reached) -> float:
    """The least p in (0, 1) at which a condition holds that holds from there on."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
