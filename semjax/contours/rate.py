"""From what the user asks for (tolerance, mIoU, bytes) to how finely profile "best" codes a unit."""

import functools
import importlib.resources

import numpy as np
from numba import njit

from semjax.contours import best, outlines, prices
from semjax.contours.best import Codec
from semjax.contours.best_encoder import Plan, Sender
from semjax.contours.config import ContourConfig
from semjax.contours.grid import MAX_SCALE
from semjax.contours.priors import FINE_RATES_ASSET, RATES_ASSET
from semjax.contours.quality import COARSEST, FINEST, KAPPA, reach_quality
from semjax.entropy import binary as eb
from semjax.errors import RateError

MIN_SHARE = 2e-4  # labels that fill less of a unit are left out of its mIoU
FINE_MOTION = 2.5  # wrong pixels a bit of motion must save there, whatever lambda: cells mend them one by one
# How far costs of labels of different size are brought together: 0 as the mIoU has them, 1 alike.
EVENNESS = 0.3
_TRIES = 7
FINE_CELLS = 2  # pixels a cell up to which, at a target mIoU, the tables for fine cells are the better ones
_LOST = 4.0  # share of outlines that may be off for each share of the regions that may
SPEND, SPEND_MORE = 0.165, 0.22  # share of bytes that may go to cleaner outlines, unasked and asked
LOSSLESS_BIT = 1.2  # what a bit of motion is worth in mispredicted pixels


@functools.cache
def rate_table(fine: bool = False) -> np.ndarray:
    """Code lengths the encoder decides with, see `prices.bits_table`; fine: of 1-pixel cells, with corners."""
    asset = FINE_RATES_ASSET if fine else RATES_ASSET
    with importlib.resources.files("semjax.assets").joinpath(asset).open("rb") as file:
        stored = np.load(file)
        counts = np.zeros((prices.CORNER_ROWS if fine else prices.CONTEXTS, prices.SYMBOLS), np.float32)
        counts[stored["rows"]] = stored["counts"]
    return prices.bits_table(counts)


@njit(cache=True, nogil=True)
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


def pixel_weights(labels: np.ndarray, cfg: ContourConfig, evenness: float = 0.0) -> np.ndarray:
    """What a wrong pixel costs, by its true and by its decoded label: float64 [256].

    With a target mIoU or rate, costs are such that the sum over a frame is the loss of mIoU, or with `evenness` less
    far apart. With a tolerance a wrong pixel between two labels of weight 1 costs 1.
    """
    weight = importance(cfg)
    if cfg.target_miou is None and cfg.bytes_per_frame is None:
        return weight / 2
    count = np.bincount(labels.ravel(), minlength=256) / len(labels)
    weight = np.where(count >= MIN_SHARE * count.sum(), weight, 0.0)
    weight = weight / np.maximum(count, 1) / max(weight.sum(), 1e-9)
    on = weight > 0
    usual = np.exp(np.log(weight[on]).mean()) if on.any() else 1.0
    return np.where(on, weight ** (1 - evenness) * usual**evenness, 0.0)


def edge_cost(labels, weights) -> float:
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

    def __init__(self, labels: np.ndarray, cfg: ContourConfig, evenness: float = 0.0, clean: bool = False):
        self.labels, self.cfg, self.clean = labels, cfg, clean
        self.last = None, None  # payload of the latest pass, and its maps
        self.made = {}  # settings of payloads made by `at`: {payload: (scale, lam)}
        self.weights = pixel_weights(labels, cfg, evenness)
        self.edge = edge_cost(labels, self.weights)
        self.importance = importance(cfg)
        self.gap = min(max(cfg.lookahead, 1), best.MAX_GAP)

    def lossless(self) -> tuple[bytes, float]:
        """The unit without loss."""
        plan = Plan(1, LOSSLESS_BIT, 1, self.cfg.period, lossless=True)
        return self._send(plan, np.full(256, 0.5))[0], 1.0

    def lossy(self, fineness: float) -> tuple[bytes, float]:
        """The unit with cells of about `fineness` pixels: (payload, mIoU)."""
        return self.at(int(min(max(round(fineness), 2), MAX_SCALE)), KAPPA * fineness**2)

    def at(
        self, scale: int, lam: float, late: tuple[int, float] | None = None, earlier: bytes | None = None
    ) -> tuple[bytes, float]:
        """The unit with cells of `scale` pixels, a bit worth `lam` wrong pixels at an outline: (payload, mIoU).

        late: a frame from which on a bit is worth something else, and how many wrong pixels that is.
        earlier: a payload with cells of one pixel to make it from.
        """
        thorough = self.cfg.target_miou is not None
        gap = self.gap if scale > 1 else 1  # what needs single pixels is not to be had by interpolation
        motion = None if scale > 1 else FINE_MOTION * self.edge
        ahead = scale == 1 and self.gap > 1 and earlier is None
        late = late and (late[0], late[1] * self.edge)
        more = dict(motion=motion, ahead=ahead, late=late)
        plan = Plan(scale, lam * self.edge, gap, self.cfg.period, thorough, self.clean, **more)
        payload, maps = self._send(plan, self.weights, earlier and self._maps(earlier))
        self.made[payload] = scale, lam
        self.last = payload, maps
        return payload, mean_iou(self.labels, maps, self.importance)

    def outlines(self, payload: bytes) -> float:
        """Boundary F of a payload."""
        return outlines.boundary_f(self.labels, best.decode_unit(payload, *self.labels.shape))

    def _maps(self, payload):
        """What a payload decodes to."""
        if payload == self.last[0]:
            return self.last[1]
        return np.stack(list(best.decode_unit(payload, *self.labels.shape)))

    def _send(self, plan, weights, earlier=None):
        fine = plan.scale <= (FINE_CELLS if plan.thorough else 1)
        codec = Codec(*eb.new_encoder(), *self.labels.shape[1:], fine)
        maps = Sender(self.labels, weights, plan, rate_table(plan.scale == 1), codec, earlier=earlier).run()
        return bytes([best.FINE_TAG if fine else best.TAG]) + eb.finish(codec.coder, codec.buf), maps


def encode_unit(labels: np.ndarray, cfg: ContourConfig) -> bytes:
    """One unit of profile "best": labels uint8 [n, H, W], n >= 1, to bytes.

    Raises:
        RateError: `bytes_per_frame` is less than the coarsest setting needs.
    """
    passes = Passes(labels, cfg)
    if cfg.target_miou is not None:
        # Which costs reach the mean IoU in fewer bytes depends on how much the sizes of the regions differ.
        ways = [passes, Passes(labels, cfg, EVENNESS)] if _unlike(passes) else [passes]
        return _cleaned(labels, cfg, *reach_quality(ways, cfg.target_miou))
    if cfg.bytes_per_frame is not None:
        return _reach_size(passes, cfg.bytes_per_frame * len(labels))
    if cfg.tolerance == 0:
        return passes.lossless()[0]
    return passes.lossy(1 + 2.2 * cfg.tolerance)[0]


def _unlike(passes) -> bool:
    """Whether wrong pixels may cost more or less than others.

    Between two labels, one left out among them too, each costs both their weights, whichever way it is wrong: the same
    everywhere, which `Passes.edge` divides out.
    """
    weights = passes.weights[passes.weights > 0]
    return len(np.unique(weights)) > 1 and len(np.unique(passes.labels)) > 2


def _cleaned(labels, cfg, payload, way) -> bytes:
    """The payload, or one somewhat larger with outlines nearer to where they belong: `ContourConfig.edges`."""
    if payload not in way.made:  # without loss
        return payload
    aim = cfg.edges if cfg.edges is not None else 1 - _LOST * (1 - cfg.target_miou)
    spend = SPEND if cfg.edges is None else SPEND_MORE
    return outlines.cleaner(Passes(labels, cfg, clean=True), payload, *way.made[payload], aim, spend)


def _reach_size(passes, budget) -> bytes:
    """The finest payload found of at most `budget` bytes."""
    low, high, found = FINEST, COARSEST, None
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
        payload, _ = passes.lossy(COARSEST)
        frames = len(passes.labels)
        if len(payload) > budget:
            raise RateError(
                f"{budget / frames:.1f} bytes a frame are too few for these label maps: "
                f"the least possible is {len(payload) / frames:.1f}; raise bytes_per_frame"
            )
        found = payload
    return found
