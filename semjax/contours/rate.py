"""From what the user asks for (tolerance, mIoU, bytes) to how finely profile "best" codes a unit."""

import functools
import importlib.resources
import math

import numpy as np
from numba import njit

from semjax.contours import best, outlines, prices
from semjax.contours.best import Codec
from semjax.contours.best_encoder import Plan, Sender
from semjax.contours.config import ContourConfig
from semjax.contours.grid import MAX_SCALE
from semjax.contours.priors import FINE_RATES_ASSET, RATES_ASSET
from semjax.entropy import binary as eb
from semjax.errors import RateError

MIN_SHARE = 2e-4  # labels that fill less of a unit are left out of its mIoU
KAPPA = 0.15  # wrong pixels a bit is worth, for each square pixel of a cell
FINE_LAMBDA = 0.45  # the same for cells of one pixel, where thin parts are all there is to lose
FINE_MOTION = 2.5  # wrong pixels a bit of motion must save there, whatever lambda: cells mend them one by one
_FINEST, _COARSEST = 0.25, float(MAX_SCALE)
# How far costs of labels of different size are brought together: 0 as the mIoU has them, 1 alike.
EVENNESS = 0.3
_TRIES = 7
_CLOSE = 0.015  # share of the allowed loss that a search may leave unused
_LANDED = 0.003  # the same for cells of one pixel in the end
_ROUNDS, _AT_LEAST = 6, 4  # passes made from one another that it takes at most, and at least
_LANDINGS = 3  # of them between one that meets the target and one that does not
_POWER, _LEAP = 4.0, 0.17  # the power of 1 / loss that lambda goes with there, and how far at once
_SAVED = 0.9  # share of its bytes that a payload may have left after that
FINE_CELLS = 2  # pixels a cell up to which, at a target mIoU, the tables for fine cells are the better ones
_NEARLY_FINE = 4  # pixels a cell from which on cells of one are tried too, whatever those between are worth
_IN_VAIN = 0.1  # share of the usual lambda below which a smaller one is no help
_SLOPE = 0.75  # payloads grow about with this power of 1 / loss ...
_STEEP = 1.7  # ... and the loss that a lambda leads to with 1 / this power of it
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
        return _cleaned(labels, cfg, *_reach_quality(ways, cfg.target_miou))
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


def _reach_quality(ways, target) -> tuple[bytes, Passes]:
    """The smallest payload found whose mIoU is at least `target`, and which of the `Passes` made it."""
    if target >= 1:
        return ways[0].lossless()[0], ways[0]
    search = min((_searched(way, target) for way in ways), key=lambda one: one.size())
    exact = None
    if search.scale() <= 2:  # so fine that no loss at all may be cheaper
        exact = search.passes.lossless()[0]
    if search.scale() == 1 and (exact is None or len(exact) > _SAVED * search.size()):
        search.land()
    return min((p for p in (search.found(), exact) if p is not None), key=len), search.passes


def _searched(passes, target) -> "_Search":
    """Passes with cells and lambdas that are tried for a target."""
    search = _Search(passes, target)
    scale, lam = 6, KAPPA * 36
    for _ in range(3):  # cells and lambda together: the loss grows about linearly with the cell
        loss = search.run(scale, lam)
        if abs(np.log(loss)) < 0.25:
            break
        fineness = min(max((lam / KAPPA) ** 0.5 / loss, _FINEST), _COARSEST)
        scale, lam = min(max(round(fineness), 2), MAX_SCALE), KAPPA * fineness**2
    if not search.tries(scale):  # the last loss asked for cells of a size that none has had
        search.run(scale, lam)
    search.settle(scale)
    while search.found() is None and scale > 1:  # cells too coarse for the target at any lambda
        scale -= max(1, scale // 4)
        search.run(scale, KAPPA * scale**2 if scale > 1 else FINE_LAMBDA)
        search.settle(scale)
    for step in (1, -1):  # lambda alone, and whether other cells do better
        while search.improves(scale + step):
            scale += step
    if scale <= _NEARLY_FINE:  # cells of one may be better, where those between are not
        search.improves(1)
    return search


class _Search:
    """Passes tried on the way to a quality: [(scale, lambda, loss as a share of the allowed one, payload)]."""

    def __init__(self, passes, target):
        self.passes, self.target, self.tried = passes, target, []

    def run(self, scale, lam, late=None, earlier=None) -> float:
        """One more pass; its loss of mIoU, 1 where it is just the allowed one. late, earlier: see `Passes.at`."""
        payload, quality = self.passes.at(scale, lam, late, earlier)
        loss = max(1 - quality, 1e-4) / (1 - self.target)
        self.tried.append((scale, lam, loss, payload))
        return loss

    def tries(self, scale) -> list:
        """Passes with cells of one size."""
        return [t for t in self.tried if t[0] == scale]

    def settle(self, scale, budget=math.inf):
        """Passes with one scale until one meets the target closely, or worse ones take more than `budget`."""
        for _ in range(4):
            mine = sorted(self.tries(scale), key=lambda t: t[1])
            good, bad = [t for t in mine if t[2] <= 1], [t for t in mine if t[2] > 1]
            if any(t[2] >= 1 - _CLOSE for t in good) or any(len(t[3]) >= budget for t in bad):
                return
            low, high = good[-1] if good else None, bad[0] if bad else None
            if not low and scale > 1 and high[1] < _IN_VAIN * KAPPA * scale**2:
                return  # what is lost now are parts thinner than a cell
            aim = 1 - _CLOSE / 2
            if low and high and low[1] < high[1]:
                part = np.log(aim / low[2]) / np.log(high[2] / low[2])
                lam = low[1] * (high[1] / low[1]) ** min(max(part, 0.15), 0.85)
            else:
                _, lam, loss, _ = low or high
                steep = _STEEP * (1 if len(mine) < 2 else 1.5)
                if len(mine) > 2:  # all on one side: the loss may grow more slowly than it usually does
                    one, two = good[-2:] if low else bad[:2]
                    rise = np.log(two[2] / one[2])
                    steep = min(max(np.log(two[1] / one[1]) / rise, steep), 12.0) if rise > 0.01 else steep
                lam *= min(max((aim / loss) ** steep, 0.05), 20.0)
            self.run(scale, lam)

    def improves(self, scale) -> bool:
        """Try another scale; whether its payload is smaller."""
        found = self.found()
        if found is None or not 1 <= scale <= MAX_SCALE or self.tries(scale):
            return False
        old = next(t for t in self.tried if t[3] is found)
        lam = old[1] * (old[0] / scale) ** (0.8 if scale > 4 else 2.5) if scale > 1 else FINE_LAMBDA
        loss = self.run(scale, lam)
        if len(self.tried[-1][3]) * loss ** max(self._slope(old), _SLOPE if loss < 1 else 1.3) < 0.99 * len(
            found
        ):
            self.settle(scale, len(found))
        return len(self.found()) < len(found)

    def land(self):
        """Spend what is left of the allowed loss with cells of one pixel: passes that start each from the one before.

        Where that is no better (streets: outlines flicker more than they move), passes between two that were tried.
        """
        start = self._best()
        missed = (t for t in self.tries(1) if t[1] > start[1] and t[2] > 1)
        larger, slope = min(missed, key=lambda t: t[1], default=None), self._slope(start)
        self.run(1, start[1], earlier=start[3])
        sizes = [len(t[3]) * t[2] ** slope for t in (start, self.tried[-1])]
        if sizes[1] < sizes[0]:
            self._rounds(start, self.tried[-1])
        elif larger:
            self._between(start, larger)

    def _rounds(self, before, now):
        """Passes made from one another until hardly any of the allowed loss is left; the last two of them so far.

        Where one misses the target and the next does not, or the other way round, some between them end it.
        """
        power = _POWER / 2
        for k in range(2, _ROUNDS + 1):
            crossed = (now[2] > 1) != (before[2] > 1)
            power = _POWER if crossed else 2 * power
            step = power * math.log((1 - _LANDED / 2) / now[2])
            self.run(1, now[1] * math.exp(min(max(step, -_LEAP), _LEAP)), earlier=now[3])
            before, now = now, self.tried[-1]
            if k < _AT_LEAST:
                continue
            if (now[2] > 1) != (before[2] > 1):
                self._between(*sorted((before, now), key=lambda t: t[2]), before[3])
                return
            if 1 - _LANDED <= now[2] <= 1:
                return

    def _between(self, good, bad, earlier=None):
        """Passes, from `earlier`, with the lambda of a bad one up to some frame and that of a good one from there."""
        part = (1 - _LANDED / 2 - good[2]) / (bad[2] - good[2])
        first, last = 0, len(self.passes.labels)  # early enough is somewhere between
        closest = good[2]
        for _ in range(_LANDINGS):
            if last - first < 2 or closest >= 1 - _LANDED:
                return
            late = min(max(round(first + (last - first) * part), first + 1), last - 1)
            loss = self.run(1, bad[1], (late, good[1]), earlier)
            first, last = (late, last) if loss <= 1 else (first, late)
            closest = loss if loss <= 1 else closest
            part = 0.5  # losses do not add up frame by frame: no more than the side is to be trusted

    def _slope(self, one) -> float:
        """The power of 1 / loss that payloads grow with around a pass, as far as another with its cells says so."""
        others = [t for t in self.tried if t[0] == one[0] and abs(np.log(t[2] / one[2])) > 0.05]
        if not others:
            return _SLOPE
        other = max(others, key=lambda t: abs(np.log(t[2] / one[2])))
        return min(max(np.log(len(one[3]) / len(other[3])) / np.log(other[2] / one[2]), _SLOPE), 2.0)

    def found(self) -> bytes | None:
        """The smallest payload that meets the target."""
        found = self._best()
        return found and found[3]

    def size(self) -> float:
        """Its bytes; no number is as large where there is none."""
        found = self.found()
        return math.inf if found is None else len(found)

    def scale(self) -> int:
        """The size of its cells, or 1."""
        found = self._best()
        return found[0] if found else 1

    def _best(self):
        return min((t for t in self.tried if t[2] <= 1), key=lambda t: len(t[3]), default=None)


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
