"""Integer frequency tables: what stands between a model's opinion and a coder.

A table over K symbols is its cumulative row: integers 0 = cum[0] < ... <= cum[K] = 2^precision; symbol s owns
cum[s+1] - cum[s] of the 2^precision slots. Only these integers decide bits, so a table made from
floating-point probabilities must be made once, by the side that ships it, and travel as integers.
"""

import numpy as np

from semjax.errors import InputError

PRECISION = 12  # the default; 16 for alphabets of more than some hundred symbols


def quantise(weights, precision: int = PRECISION, *, keep_zeros: bool = False) -> np.ndarray:
    """Turn weights into cumulative rows that sum to 2^precision, by largest remainders.

    Args:
        weights: non-negative numbers [..., K] (counts or probabilities, any scale), finite, not all zero.
        precision: 1..16; needs K <= 2^precision.
        keep_zeros: leave symbols of weight zero without a slot (they can then not be coded); otherwise
        every symbol
            gets at least one slot.

    Returns: int64 [..., K+1]. Raises InputError for weights that make no table. Source: ours.
    """
    w = np.asarray(weights, np.float64)
    total = 1 << precision if 1 <= precision <= 16 else 0
    if w.ndim < 1 or not w.shape[-1] or not total or w.shape[-1] > total:
        raise InputError(
            f"a table of precision {precision} needs 1 to {total} symbols (precision 1..16), got shape {w.shape}."
        )
    if not np.isfinite(w).all() or (w < 0).any() or (w.sum(-1) <= 0).any():
        raise InputError("table weights must be finite, non-negative, and not all zero in any row.")
    w = w / w.max(-1, keepdims=True)  # now no sum overflows
    alive = (w > 0) if keep_zeros else np.ones(w.shape, bool)
    spare = total - alive.sum(-1, keepdims=True)
    share = w / w.sum(-1, keepdims=True) * total
    # Every living symbol gets one slot; what its share is above one competes for the spare slots.
    above = np.where(alive, np.maximum(share - 1, 0), 0)
    above_sum = above.sum(-1, keepdims=True)
    above = np.divide(above * spare, above_sum, out=np.zeros_like(above), where=above_sum > 0)
    slots = np.floor(above).astype(np.int64)
    missing = spare[..., 0] - slots.sum(-1)
    rank = np.argsort(np.argsort(-(above - slots) - alive, -1, kind="stable"), -1, kind="stable")
    slots += rank < missing[..., None]
    slots = slots + alive
    return np.concatenate([np.zeros((*slots.shape[:-1], 1), np.int64), np.cumsum(slots, -1)], -1)


def check_rows(cum, precision: int) -> np.ndarray:
    """Return cumulative rows as int64 [R, K+1] (one row is made [1, K+1]) or raise InputError."""
    rows = np.atleast_2d(np.asarray(cum))
    good = rows.ndim == 2 and rows.shape[-1] >= 2 and np.issubdtype(rows.dtype, np.integer)
    if good:
        rows = rows.astype(np.int64)
        good = (
            (rows[:, 0] == 0).all() and (rows[:, -1] == 1 << precision).all() and (np.diff(rows) >= 0).all()
        )
    if not good or not 1 <= precision <= 16:
        raise InputError(
            f"a table row must be integers rising from 0 to 2^{precision} (precision 1..16), one more than "
            "symbols; make it with entropy.quantise."
        )
    return rows


def ideal_bits(symbols, cum, index=None, precision: int = PRECISION) -> float:
    """Return the ideal code length in bits of symbols [N] under cum [R, K+1] (row index[i] for symbol i)."""
    rows = check_rows(cum, precision)
    row = np.zeros(len(symbols), np.int64) if index is None else np.asarray(index)
    s = np.asarray(symbols)
    return float(np.sum(precision - np.log2(rows[row, s + 1] - rows[row, s])))
