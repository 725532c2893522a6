"""The fewest bytes that reach a quality: which cells and which lambdas profile "best" tries, and when it stops."""

import math
from typing import Any

import numpy as np

from semjax.contours.grid import MAX_SCALE

KAPPA = 0.15  # wrong pixels a bit is worth, for each square pixel of a cell
FINE_LAMBDA = 0.45  # the same for cells of one pixel, where thin parts are all there is to lose
FINEST, COARSEST = 0.25, float(MAX_SCALE)  # pixels a cell; below 2 lambda alone gets finer
_CLOSE = 0.015  # share of the allowed loss that a search may leave unused
_LANDED = 0.003  # the same for cells of one pixel in the end
_ROUNDS, _AT_LEAST = 6, 4  # passes made from one another that it takes at most, and at least
_LANDINGS = 3  # of them between one that meets the target and one that does not
_POWER, _LEAP = 4.0, 0.17  # the power of 1 / loss that lambda goes with there, and how far at once
_SAVED = 0.9  # share of its bytes that a payload may have left after that
_NEARLY_FINE = 4  # pixels a cell from which on cells of one are tried too, whatever those between are worth
_IN_VAIN = 0.1  # share of the usual lambda below which a smaller one is no help
_SLOPE = 0.75  # payloads grow about with this power of 1 / loss ...
_STEEP = 1.7  # ... and the loss that a lambda leads to with 1 / this power of it


def reach_quality(ways, target) -> tuple[bytes, Any]:
    """The smallest payload found whose mIoU is at least `target`, and which of the `rate.Passes` made it."""
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
        fineness = min(max((lam / KAPPA) ** 0.5 / loss, FINEST), COARSEST)
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
        """One more pass; its loss of mIoU, 1 where it is just the allowed one. late, earlier: see `rate.Passes.at`."""
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
                side = good[-2:] if low else bad[:2]
                if len(mine) > 2 and len(side) == 2:  # the loss may grow more slowly than it usually does
                    one, two = side
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
