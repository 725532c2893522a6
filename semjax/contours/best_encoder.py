"""Profile "best", the sender's side: what to code, how finely, and when to leave a frame out."""

import dataclasses
import math

import numpy as np

from semjax.contours import again, best, blocks, fusion, prices, rdo, wrong_pixels
from semjax.contours.best import Codec, Frame
from semjax.contours.between import between, sliding
from semjax.contours.grid import WEIGHTS, enlarge, shrink
from semjax.contours.gridmodel import FORWARD, INTRA, MIDDLE

_MOTION = (
    10.0  # a bit of motion must save this many times what a bit of cells does: cells mend what it leaves
)
_SWEEPS = 5
_NEAR, _EXTRA = 2, 1.5  # see `wrong_pixels.importance_of_place`
_CLEAN_EXTRA = 3.0  # the same where outlines matter most
_LASTING = 0.4  # how much more a wrong pixel counts if the next frame has it too, and less if not
# Rows and columns that the prediction is moved by: parts of it may fit better so.
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
_STEP_TILES = (32, 16)
_BLOCK_AHEAD = 32  # pixels a side of the blocks that find the next frame's pixels in this one
_CLEAN_SPLIT = 2.0  # what a coded frame's bits count for then: fewer frames, each of them better


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings of one pass over a unit."""

    scale: int  # pixels a cell
    lam: float  # weighted error a bit is worth
    gap: int  # longest step from anchor to anchor, in frames
    period: int | None = None  # frames from I-frame to I-frame at most
    thorough: bool = False  # try pairs of cells too: 1 to 2 % less, slower
    clean: bool = False  # outlines that are off count for more
    lossless: bool = False  # with scale 1
    motion: float | None = None  # weighted error a bit of motion must save; None: a multiple of a cell's bit
    ahead: bool = False  # mind what will still be wrong in the next frame; with scale 1
    late: tuple[int, float] | None = None  # a frame from which on another `lam` counts, and that

    def price(self, t) -> float:
        """Weighted error a bit of frame t is worth."""
        return self.late[1] if self.late and t >= self.late[0] else self.lam


@dataclasses.dataclass
class _Choice:
    frame: Frame
    full: np.ndarray  # what the decoder will have
    cost: float
    bits: float = 0.0


class Sender:
    """Chooses and codes the frames of one unit.

    labels: uint8 [n, H, W]. weights: float64 [256], cost of a wrong pixel by its label (true and decoded added).
    table: see `prices.bits_table`. counts: where to note symbols for training that table, or None. earlier: maps of an
    earlier pass with cells of one pixel to start from, uint8 [n, H, W], or None.
    """

    def __init__(self, labels, weights, plan: Plan, table, codec: Codec, counts=None, earlier=None):
        self.x, self.weights, self.plan, self.table, self.codec = labels, weights, plan, table, codec
        self.counts, self.earlier = counts, earlier
        self.starts = None  # frames without a prediction, once it is known which
        self.far = {}
        self.seen = None if plan.scale > 1 or plan.lossless else prices.Seen(table)
        self.out = np.empty_like(labels)

    def run(self) -> np.ndarray:
        """Code the unit; returns the decoder's maps uint8 [n, H, W]."""
        codec, plan, n = self.codec, self.plan, len(self.x)
        codec.ways(*self._ways())
        self.starts = self._starts()
        self._intra(0)
        a, fresh = 0, 0
        while a < n - 1:
            due = next((t for t in self.starts if t > a), n)
            codec.flag(best._INTRA_FLAG, due == a + 1)
            if due == a + 1:
                self._intra(due)
                a = fresh = due
                continue
            gap = min(plan.gap, n - 1 - a, due - 1 - a)
            codec.number(best._GAP, gap - 1, 4)
            self._anchor(a, a + gap, fresh)
            a += gap
        return self.out

    def _starts(self) -> list[int]:
        """Frames without a prediction, in order."""
        cuts, out = set(self._cuts()), [0]
        for t in range(1, len(self.x)):
            if t in cuts or t - out[-1] == self.plan.period:
                out.append(t)
        return out

    def _cuts(self) -> list[int]:
        """Frames that have so little in common with the frame before that they are cheaper without it."""
        steps = np.array([0.0] + [self._wrong(self.x[t - 1], t) for t in range(1, len(self.x))])
        usual = np.median(steps[1:]) if len(steps) > 1 else 0.0
        cuts = []
        lams = [self.plan.price(t) for t in range(len(self.x))]
        for t in np.flatnonzero(steps > 4 * usual + 50 * np.array(lams)):
            lam = lams[t]
            frame, pred = self._move(self.x[t - 1], t, lam)
            if self.plan.lossless:
                cells, near = self.x[t], prices.surroundings(pred)
                new, moved = (prices.bits_of_cells(cells, pred, near, k, self.table).sum() for k in (0, 1))
            else:
                before = (self.x[t - 1], self.x[t - 1])
                moved = self._choose(t, FORWARD, pred, before, lam, frame).cost
                new = self._choose(t, INTRA, None, None, lam).cost
            if new < moved:
                cuts.append(int(t))
        return cuts

    def _ways(self) -> tuple[bool, bool]:
        """Whether regions should slide, and turn, on their way between frames, measured on the true maps."""
        n = len(self.x)
        gap = min(4, n - 1)
        if gap < 2 or self.plan.gap < 2:
            return True, False
        ways = ((False, False), (True, False), (True, True))
        loss = [0.0, 0.0, 0.0]
        for a in range(0, n - gap, max(gap, n // 4)):
            for i, (slide, turn) in enumerate(ways):
                ends = self.x[a], self.x[a + gap]
                guess = between(*ends, gap // 2, gap, sliding(ends[0], slide), turn)
                loss[i] += self._wrong(guess, a + gap // 2)
        return ways[2 - int(np.argmin(loss[::-1]))]

    def _wrong(self, guess, t) -> float:
        """What a guess of frame t costs."""
        return wrong_pixels.wrong(guess, self.x[t], self._far(t), self.weights)

    def _far(self, t):
        """What a wrong pixel of frame t counts for by where it is: float32 [H, W]."""
        if t not in self.far:
            extra = _CLEAN_EXTRA if self.plan.clean else _EXTRA
            self.far[t] = wrong_pixels.importance_of_place(self.x[t], _NEAR, extra)
            if self.plan.ahead and t + 1 < len(self.x):
                # What is put right stays right in the frames predicted from this one, as long as it is so there.
                size, later = _BLOCK_AHEAD, self.x[t + 1]
                vectors, _ = blocks.search(later, self.x[t], self.weights, size, 1, self.plan.price(t), 1)
                lasts = blocks.shift(later, vectors, size, 1) == self.x[t]
                self.far[t] *= np.where(lasts, 1 + _LASTING, 1 - _LASTING).astype(np.float32)
        return self.far[t]

    def _intra(self, t):
        choice = self._choose(t, INTRA, None, None, self.plan.price(t))
        self.out[t] = self.codec.frame(INTRA, None, None, 0, choice.frame)

    def _anchor(self, a, b, fresh):
        older = self.out[max(a - 1, fresh)]
        last = self.out[a].copy()
        lam = self.plan.price(b)
        frame, pred = self._move(last, b, lam)
        behind = (last, older)
        choice = self._choose(b, FORWARD, pred, behind, lam, frame)
        if self.seen is not None and not choice.frame.skip:
            self.table = self.seen.add(choice.frame.cells, pred)
        self.out[b] = self.codec.frame(FORWARD, last, behind, b - a, choice.frame)
        _, tree = self._interval(a, b, last, self.out[b])
        self._emit(a, b, tree)

    def _move(self, ref, t, lam):
        """Motion of a FORWARD frame: (the frame with vectors, the moved map)."""
        truth, step = self.x[t], min(max(1, self.plan.scale // 2), 16)
        price = lam * _MOTION if self.plan.motion is None else self.plan.motion
        found = Frame(step=step)
        least = self._wrong(ref, t)
        for size in range(1, 5 if self.plan.scale < 3 else 4):
            vectors, cost = blocks.search(
                ref,
                truth,
                self.weights,
                blocks.SIZES[size],
                step,
                price,
                max(1, self.plan.scale // 3),
            )
            if cost < least:
                least, found = cost, Frame(size=size, step=step, vectors=vectors)
        return found, blocks.shift(ref, found.vectors, blocks.SIZES[found.size], step) if found.size else ref

    def _choose(self, t, kind, pred, behind, lam, base=None) -> _Choice:
        """The cheapest of: the prediction as it is, cells anew, cells that correct the prediction."""
        truth, s = self.x[t], self.plan.scale
        base = base or Frame()
        if self.plan.lossless:
            frame = dataclasses.replace(base, cells=truth.copy(), scale=1)
            if kind == FORWARD and np.array_equal(pred, truth):
                frame = dataclasses.replace(base, skip=True)
            return _Choice(frame, truth, 0.0)
        best_one = None
        if kind == FORWARD:
            best_one = _Choice(dataclasses.replace(base, skip=True), pred, self._wrong(pred, t) + lam)
        start, nref = shrink(truth, s), int(kind != INTRA)
        grid, pred = (shrink(pred, s), pred) if nref else (start, start)
        for cells, carry, error, bits in self._cells(t, start, grid, pred, nref, lam):
            if best_one is None or error + lam * bits < best_one.cost:
                frame = dataclasses.replace(base, cells=cells, scale=s, carry=carry)
                full = enlarge(cells, s, *truth.shape, WEIGHTS, carry, grid, pred)
                best_one = _Choice(frame, full, error + lam * bits, bits)
        if self.counts is not None and not best_one.frame.skip:
            prices.count(best_one.frame.cells, grid, prices.surroundings(grid), nref, self.counts)
        return best_one

    def _cells(self, t, start, grid, pred, nref, lam):
        """Cells that frame t might have: (cells, carry, error, bits) of each; nref 0: without a prediction."""
        s, thorough = self.plan.scale, self.plan.thorough
        places = (self.x[t], self._far(t), grid, prices.surroundings(grid), nref)
        maps = (*places, s, WEIGHTS, self.weights, lam, self.table)

        def refined(cells, carry, sweeps=_SWEEPS):
            return rdo.refine(cells, start, *maps, sweeps, carry, pred, thorough)

        if s == 1 and self.earlier is not None and self.starts is not None:
            return [self._again(t, grid, nref, lam)]
        if s == 1:
            cells = start.copy()
            if nref:
                other = grid.copy()
                refined(cells, False, 1)
                refined(other, False, 1)
                others = [(other, fusion.TILES)]
                others += [(np.roll(grid, step, (0, 1)), _STEP_TILES) for step in _STEPS]
                fusion.fuse(cells, others, *places, self.weights, lam, self.table)
            return [(cells, False, *refined(cells, False, _SWEEPS - nref))]
        out = []
        for init, carry in [(start, True), (grid, True)] if nref else [(start, False)]:
            cells = init.copy()
            error, bits = refined(cells, carry)
            if nref and rdo.revert(cells, grid, *maps, carry, pred):
                error, bits = refined(cells, carry)
            out.append((cells, carry, error, bits))
        return out

    def _again(self, t, grid, nref, lam):
        """Cells of one pixel made from those of the earlier pass, with what follows there in mind; as `_cells`."""
        cells, follow, motion = self.earlier[t].copy(), None, Frame()
        if t + 1 < len(self.x) and t + 1 not in self.starts:
            follow = self.earlier[t + 1]
            motion, _ = self._move(cells, t + 1, self.plan.price(t + 1))
        vectors, size = motion.vectors, blocks.SIZES[motion.size]
        if not size:
            vectors, size = np.zeros((1, 1, 2), np.int64), max(cells.shape)
        prices_of = (self.weights, lam, self.table)
        error, bits = again.improve(
            cells, self.x[t], self._far(t), grid, nref, *prices_of, follow, vectors, size
        )
        return cells, False, error, bits

    def _interval(self, a, b, first, last):
        """How to send the frames between two: (cost, None to interpolate or (choice, left, right))."""
        if b - a < 2:
            return 0.0, None
        lossless = self.plan.lossless
        middle = (a + b) // 2
        lam = self.plan.price(middle)
        way = self.codec.between(first, last)
        pred = way.frame(middle - a, b - a)
        cost = self._wrong(pred, middle)
        others = [t for t in range(a + 1, b) if t != middle]
        if cost < 12 * lam:
            cost += self._interpolated(way, a, b, others)
            if cost < 12 * lam and not (lossless and cost > 0):
                return cost, None
            others = []
        choice = self._choose(middle, MIDDLE, pred, (first, last), lam)
        if cost > 2 * choice.cost:  # so bad in the middle that its neighbours need no look
            cost, others = math.inf, []
        cost += self._interpolated(way, a, b, others)
        left, left_tree = self._interval(a, middle, first, choice.full)
        right, right_tree = self._interval(middle, b, choice.full, last)
        split = choice.cost + left + right + 2 * lam
        if self.plan.clean:
            split += (_CLEAN_SPLIT - 1) * lam * (choice.bits + 2)
        if split < cost or lossless:
            return split, (choice, pred, left_tree, right_tree)
        return cost, None

    def _interpolated(self, way, a, b, frames) -> float:
        """Error of interpolating some of the frames between a and b."""
        guesses = ((t, way.frame(t - a, b - a)) for t in frames)
        return sum(self._wrong(guess, t) for t, guess in guesses)

    def _emit(self, a, b, tree):
        if b - a < 2:
            return
        self.codec.flag(best._SPLIT + (b - a > 2), tree is not None)
        if tree is None:
            way = self.codec.between(self.out[a], self.out[b])
            for t in range(a + 1, b):
                self.out[t] = way.frame(t - a, b - a)
            return
        choice, pred, left, right = tree
        middle = (a + b) // 2
        ends = (self.out[a], self.out[b])
        self.out[middle] = self.codec.frame(MIDDLE, pred, ends, middle - a, choice.frame)
        self._emit(a, middle, left)
        self._emit(middle, b, right)
