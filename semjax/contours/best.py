"""Profile "best": a tree of frames over label grids, in bits. What encoder and decoder share, and the decoder.

A unit is an I-frame and then steps: the next anchor frame is a P-frame up to 16 frames ahead (or an I-frame), and
the frames between two anchors are either interpolated for no bits or split at a middle frame, which is coded with
the interpolated map as its prediction; and so on down. Source: ours; docs/contours.md is normative.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from semjax.contours import blocks, priors
from semjax.contours.between import Between, sliding
from semjax.contours.grid import WEIGHTS, enlarge, shrink
from semjax.contours.gridmodel import FORWARD, INTRA, MIDDLE, PAST_END, code_map, new_state
from semjax.entropy import binary as eb
from semjax.errors import StreamError

TAG = 1
FINE_TAG = 2  # the same with tables for cells of one pixel
MAX_GAP = 16
_LIMIT = 60
# Where each group of models starts.
_SLIDE, _INTRA_FLAG, _SPLIT, _SKIP, _TURN, _CARRY, _SIZE, _STEP, _GAP, _SCALE = (
    0,
    1,
    2,
    4,
    5,
    6,
    16,
    32,
    64,
    128,
)
_NO_LOG = np.zeros((0, 1), np.int8)


@dataclasses.dataclass
class Frame:
    """One coded frame: what the encoder chose, or room for what the decoder reads.

    Attributes:
        cells: uint8 [h, w], or None before decoding.
        scale: pixels a cell.
        carry: keep predicted pixels where the cells agree with the prediction.
        skip: the prediction stands as it is (FORWARD only).
        size, step, vectors: motion, see `blocks` (FORWARD only).
    """

    cells: np.ndarray | None = None
    scale: int = 1
    carry: bool = False
    skip: bool = False
    size: int = 0
    step: int = 1
    vectors: np.ndarray | None = None


class Codec:
    """The coder, its models, and what one frame means; the same code writes, reads and prices."""

    def __init__(self, coder, buf, height, width, fine=False):
        self.coder, self.buf, self.height, self.width = coder, buf, height, width
        tables = priors.load(fine)
        self.state, self.networks = new_state(tables), priors.networks(tables)
        self.log, self.logged = _NO_LOG, 0  # for training, see `gridmodel.code_map`
        self.models = eb.new_bits(_SCALE + 3 * 64)
        self.vector_models = eb.new_bits(blocks.MODELS)
        self.slide = self.turn = True
        self.bits = dict.fromkeys(("map", "motion", "flags"), 0)  # what a pricer saw, in 1/65536 bit

    def _spent(self, part, before):
        self.bits[part] += int(eb.cost(self.coder)) - before  # means something only when pricing

    def flag(self, model: int, bit) -> bool:
        """One adaptive yes or no."""
        return bool(self.number(model, int(bit), 0))

    def number(self, base: int, value: int, width: int) -> int:
        """A number of `width` bits down an adaptive tree; width 0 is one flag."""
        self.buf = eb.reserve(self.coder, self.buf, width + 1)
        before = int(eb.cost(self.coder))
        if width:
            value = eb.code_tree(self.coder, self.buf, value, self.models, base, width, _LIMIT)
        else:
            value = eb.code_adaptive(self.coder, self.buf, value, self.models, base, _LIMIT)
        self._spent("flags", before)
        return int(value)

    def check(self):
        """Stop a damaged unit early: it keeps reading long after its bytes have ended."""
        if eb.is_decoding(self.coder) and self.coder[3] > self.coder[5] + PAST_END:
            raise StreamError("contour unit ends early; it is truncated or damaged")

    def predict(self, ref: np.ndarray, frame: Frame) -> np.ndarray:
        """Code a FORWARD frame's motion; returns the moved map uint8 [H, W]."""
        frame.size = self.number(_SIZE, frame.size, 3)
        if frame.size >= len(blocks.SIZES):
            raise StreamError(f"contour unit: block size {frame.size} does not exist; the unit is damaged")
        size = blocks.SIZES[frame.size]
        if not size:
            return ref
        frame.step = 1 + self.number(_STEP, frame.step - 1, 4)
        if frame.vectors is None:
            frame.vectors = np.zeros((-(-self.height // size), -(-self.width // size), 2), np.int64)
        before = int(eb.cost(self.coder))
        self.buf = blocks.code_vectors(
            self.coder, self.buf, ref, frame.vectors, size, frame.step, self.vector_models
        )
        self._spent("motion", before)
        return blocks.shift(ref, frame.vectors, size, frame.step)

    def frame(self, kind: int, pred, behind, gap: int, frame: Frame) -> np.ndarray:
        """Code one frame and return the map it stands for, uint8 [H, W].

        pred: FORWARD the reference before motion, MIDDLE the interpolated map, INTRA None. behind: two maps
        that the contexts look at besides. gap: frames to the nearest reference.
        """
        if kind == FORWARD:
            pred = self.predict(pred, frame)
            frame.skip = self.flag(_SKIP, frame.skip)
            if frame.skip:
                return pred
        scale = 1 + self.number(_SCALE + 64 * kind, frame.scale - 1, 5)
        frame.scale = scale
        if kind != INTRA and scale > 1:
            frame.carry = self.flag(_CARRY + kind, frame.carry)
        if frame.cells is None:
            frame.cells = np.zeros((-(-self.height // scale), -(-self.width // scale)), np.uint8)
        return self.cells(kind, pred, behind, gap, frame)

    def cells(self, kind, pred, behind, gap, frame):
        """The cells of one frame, and the map they stand for."""
        cells, scale = frame.cells, frame.scale
        grids = [cells] * 3 if kind == INTRA else [shrink(m, scale) for m in (pred, *behind)]
        pred = cells if kind == INTRA else pred
        before = int(eb.cost(self.coder))
        self.buf, self.logged = code_map(
            self.coder, self.buf, cells, *grids, pred, scale, kind, gap, self.state,
            self.networks[int(scale == 1)], self.log, self.logged,
        )  # fmt: skip
        self._spent("map", before)
        self.check()
        return enlarge(cells, scale, self.height, self.width, WEIGHTS, frame.carry, grids[0], pred)

    def ways(self, slide: bool, turn: bool):
        """Code how regions move in frames between others: not at all, sliding, or turning too."""
        self.slide = self.flag(_SLIDE, slide)
        self.turn = self.slide and self.flag(_TURN, turn)

    def between(self, a, b) -> Between:
        """The interpolated maps from a to b."""
        return Between(a, b, sliding(a, self.slide), self.turn)


def decode_unit(data: bytes, frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Frames of one unit of profile "best", uint8 [H, W] each; StreamError where the unit makes no sense."""
    codec = Codec(*eb.new_decoder(data[1:]), height, width, data[0] == FINE_TAG)
    codec.ways(False, False)
    last = codec.frame(INTRA, None, None, 0, Frame())
    older = last
    yield last
    a = 0
    while a < frames - 1:
        codec.check()
        if codec.flag(_INTRA_FLAG, 0):
            older = last = codec.frame(INTRA, None, None, 0, Frame())
            a += 1
            yield last
            continue
        gap = 1 + codec.number(_GAP, 0, 4)
        if a + gap >= frames:
            raise StreamError("contour unit: an anchor lies behind the last frame; the unit is damaged")
        anchor = codec.frame(FORWARD, last, (last, older), gap, Frame())
        inner = {0: last, gap: anchor}
        _decode_interval(codec, inner, 0, gap)
        older = inner[gap - 1]
        last = anchor
        for k in range(1, gap + 1):
            yield inner[k]
        a += gap


def _decode_interval(codec, maps, a, b):
    """Fill maps[a + 1 .. b - 1] between two decoded ones."""
    if b - a < 2:
        return
    codec.check()
    way = codec.between(maps[a], maps[b])
    if not codec.flag(_SPLIT + (b - a > 2), 0):
        for t in range(a + 1, b):
            maps[t] = way.frame(t - a, b - a)
        return
    middle = (a + b) // 2
    pred = way.frame(middle - a, b - a)
    maps[middle] = codec.frame(MIDDLE, pred, (maps[a], maps[b]), middle - a, Frame())
    _decode_interval(codec, maps, a, middle)
    _decode_interval(codec, maps, middle, b)
