"""From what the user asks for (tolerance, mIoU, bytes) to how finely profile "best" codes a unit."""

import functools
import importlib.resources

import numpy as np
from numba import njit

from semjax.contours import best, rdo
from semjax.contours.best import Codec
from semjax.contours.best_encoder import Plan, Sender
from semjax.contours.config import ContourConfig
from semjax.contours.grid import MAX_SCALE
from semjax.contours.priors import RATES_ASSET
from semjax.entropy import binary as eb
from semjax.errors import RateError

MIN_SHARE = 2e-4  # labels that fill less of a unit are left out of its mIoU
_KAPPA = 0.15  # wrong pixels a bit is worth, for each square pixel of a cell
_FINEST, _COARSEST = 0.25, float(MAX_SCALE)
_TRIES = 7
_LOSSLESS_BIT = 1.2  # what a bit of motion is worth in mispredicted pixels


@functools.cache
def rate_table() -> np.ndarray:
    """Code lengths the encoder decides with, float32 [rdo.CONTEXTS, rdo.SYMBOLS]."""
    with importlib.resources.files("semjax.assets").joinpath(RATES_ASSET).open("rb") as file:
        stored = np.load(file)
        counts = np.zeros((rdo.CONTEXTS, rdo.SYMBOLS), np.float32)
        counts[stored["rows"]] = stored["counts"]
    return rdo.bits_table(counts)


@njit(cache=True)
def confusion(truth, decoded):
    """Pixels by true and decoded label: int64 [256, 256]."""
    out = np.zeros((256, 256), np.int64)
    for t in range(truth.shape[0]):
        for y in range(truth.shape[1]):
            for x in range(truth.shape[2]):
                out[truth[t, y, x], decoded[t, y, x]] += 1
    return out


def mean_iou(truth: np.ndarray, decoded: np.ndarray, importance: np.ndarray) -> float:
    """Weighted mean IoU over the labels of `truth` [T, H, W], pooled over its frames.

    importance: float64 [256], weight of each label; labels of less than MIN_SHARE of the pixels do not count. 1 if
    no label counts.
    """
    table = confusion(truth, decoded)
    both = np.diag(table).astype(np.float64)
    true = table.sum(1)
    union = true + table.sum(0) - both
    weight = np.where(true >= MIN_SHARE * truth.size, importance, 0.0)
    return float((weight * both / np.maximum(union, 1)).sum() / weight.sum()) if weight.any() else 1.0


def importance(cfg: ContourConfig) -> np.ndarray:
    """Class weights of a configuration: float64 [256]."""
    out = np.ones(256)
    for label, weight in cfg.weights:
        out[label] = weight
    return out


def pixel_weights(labels: np.ndarray, cfg: ContourConfig) -> np.ndarray:
    """What a wrong pixel costs, by its true and by its decoded label: float64 [256].

    With a target mIoU or rate, costs are such that the sum over a frame is the loss of mIoU; with a tolerance a
    wrong pixel between two labels of weight 1 costs 1.
    """
    weight = importance(cfg)
    if cfg.target_miou is None and cfg.bytes_per_frame is None:
        return weight / 2
    count = np.bincount(labels.ravel(), minlength=256) / len(labels)
    weight = np.where(count >= MIN_SHARE * count.sum(), weight, 0.0)
    return weight / np.maximum(count, 1) / max(weight.sum(), 1e-9)


def _edge_cost(labels, weights) -> float:
    """Mean cost of a wrong pixel at the outlines."""
    total, n = 0.0, 0
    for frame in labels[:: max(1, len(labels) // 8)]:
        for a, b in ((frame[1:], frame[:-1]), (frame[:, 1:], frame[:, :-1])):
            edge = a != b
            total += weights[a[edge]].sum() + weights[b[edge]].sum()
            n += int(edge.sum())
    return total / n if n and total else 1.0


class Passes:
    """Runs of the encoder over one unit at different finenesses, each done once."""

    def __init__(self, labels: np.ndarray, cfg: ContourConfig):
        self.labels, self.cfg = labels, cfg
        self.weights = pixel_weights(labels, cfg)
        self.edge = _edge_cost(labels, self.weights)
        self.importance = importance(cfg)
        self.gap = min(max(cfg.lookahead, 1), best.MAX_GAP)

    def lossless(self) -> tuple[bytes, float]:
        """The unit without loss."""
        plan = Plan(1, _LOSSLESS_BIT, 1, self.cfg.period)
        return self._send(plan, np.full(256, 0.5))[0], 1.0

    def lossy(self, fineness: float) -> tuple[bytes, float]:
        """The unit with cells of about `fineness` pixels: (payload, mIoU)."""
        scale = int(min(max(round(fineness), 2), MAX_SCALE))
        plan = Plan(scale, _KAPPA * fineness**2 * self.edge, self.gap, self.cfg.period)
        payload, maps = self._send(plan, self.weights)
        return payload, mean_iou(self.labels, maps, self.importance)

    def _send(self, plan, weights):
        codec = Codec(*eb.new_encoder(), *self.labels.shape[1:])
        maps = Sender(self.labels, weights, plan, rate_table(), codec).run()
        return bytes([best.TAG]) + eb.finish(codec.coder, codec.buf), maps


def encode_unit(labels: np.ndarray, cfg: ContourConfig) -> bytes:
    """One unit of profile "best": labels uint8 [n, H, W], n >= 1, to bytes.

    Raises:
        RateError: `bytes_per_frame` is less than the coarsest setting needs.
    """
    passes = Passes(labels, cfg)
    if cfg.target_miou is not None:
        return _reach_quality(passes, cfg.target_miou)
    if cfg.bytes_per_frame is not None:
        return _reach_size(passes, cfg.bytes_per_frame * len(labels))
    if cfg.tolerance == 0:
        return passes.lossless()[0]
    return passes.lossy(1 + 2.2 * cfg.tolerance)[0]


def _reach_quality(passes, target) -> bytes:
    """The smallest payload found whose mIoU is at least `target`."""
    if target >= 1:
        return passes.lossless()[0]
    low, high, found = _FINEST, _COARSEST, None
    fineness = 6.0
    for _ in range(_TRIES):
        payload, quality = passes.lossy(fineness)
        if quality >= target:
            low = fineness
            if found is None or len(payload) < len(found):
                found = payload
        else:
            high = fineness
        # the loss of mIoU grows about linearly with fineness
        guess = fineness * (1 - target) / max(1 - quality, 1e-4)
        fineness = min(max(guess, low + 0.12 * (high - low)), high - 0.12 * (high - low))
        if high - low < 0.03 * low:
            break
    if found is None or low < 3:  # so fine that no loss at all may be cheaper
        exact = passes.lossless()[0]
        found = exact if found is None or len(exact) < len(found) else found
    return found


def _reach_size(passes, budget) -> bytes:
    """The finest payload found of at most `budget` bytes."""
    low, high, found = _FINEST, _COARSEST, None
    fineness = 6.0
    for _ in range(_TRIES):
        payload, _ = passes.lossy(fineness)
        if fineness < 3 and len(payload) <= budget:
            exact = passes.lossless()[0]
            if len(exact) <= budget:
                return exact
        if len(payload) <= budget:
            high = fineness
            if found is None or len(payload) > len(found):
                found = payload
        else:
            low = fineness
        if high / low < 1.03:
            break
        fineness = (low * high) ** 0.5
    if found is None:
        payload, _ = passes.lossy(_COARSEST)
        frames = len(passes.labels)
        if len(payload) > budget:
            raise RateError(
                f"{budget / frames:.1f} bytes a frame are too few for these label maps: "
                f"the least possible is {len(payload) / frames:.1f}; raise bytes_per_frame"
            )
        found = payload
    return found
