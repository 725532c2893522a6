"""Profile "paper": objects as closed contours, I-frames with vertex differences, P-frames with motion only.

Source: the semantic codec of arXiv 2602.13837 (contours, tolerance, differences, Q symbols, entropy coding,
I-frame period P, motion-only P-frames). What the paper leaves open (binarisation, contexts, motion grid, local
refresh) is ours; docs/contours.md is normative.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit

from semjax.contours.config import ContourConfig
from semjax.contours.motion import estimate, move, overlap
from semjax.contours.polygons import UNIT, fill, quantise, simplify, trace
from semjax.entropy import binary as eb
from semjax.errors import StreamError

TAG = 0  # first byte of a unit of this profile
_SKIP, _SHIFT, _SIMILAR, _REFRESH, _REMOVE = range(5)
_LIMIT = 40
# Where each group of models starts in the one array of models.
_FRAME, _MODE, _COUNT, _POINTS, _MOTION, _VERTEX = 0, 2, 20, 70, 120, 320
_VERTEX_SETS = 6
_PAST_END = 16  # bytes a decoder may read behind a payload before it calls it damaged


def _new_models() -> np.ndarray:
    return eb.new_bits(_VERTEX + _VERTEX_SETS * (256 + 49))


@njit(cache=True)
def _code_contour(coder, buf, models, points, room, wide, high, symbols, depth):
    """One closed contour: first vertex, then differences of Q symbols with an escape.

    points int64 [P, 2] when encoding; when decoding an array that at most `room` vertices are read into.
    Returns (vertices coded or -1 for more than `room`, buf).
    """
    count = eb.code_golomb(coder, buf, points.shape[0] - 3, models, _POINTS, 1, _LIMIT) + 3
    if count > room:
        return -1, points, buf
    if eb.is_decoding(coder):
        points = np.empty((count, 2), np.int64)
    xbits = 0
    while (wide >> xbits) > 0:
        xbits += 1
    ybits = 0
    while (high >> ybits) > 0:
        ybits += 1
    buf = eb.reserve(coder, buf, 64 + count * 80)
    points[0, 0] = eb.code_raw(coder, buf, points[0, 0], xbits)
    points[0, 1] = eb.code_raw(coder, buf, points[0, 1], ybits)
    escape = symbols - 1
    middle = (symbols - 1) // 2
    before = 0
    for i in range(1, count):
        context = before
        for axis in range(2):
            base = _VERTEX + context * (256 + 49)
            step = points[i, axis] - points[i - 1, axis]
            symbol = step + middle
            if symbol < 0 or symbol >= escape:
                symbol = escape
            symbol = eb.code_tree(coder, buf, symbol, models, base, depth, _LIMIT)
            if symbol == escape:
                step = eb.code_signed(coder, buf, step, models, base + 256, 4, _LIMIT)
            else:
                step = symbol - middle
            points[i, axis] = points[i - 1, axis] + step
            sign = 0 if step == 0 else (1 if step > 0 else 2)
            if axis == 0:
                context = 3 + sign
            else:
                before = sign
    return count, points, buf


@njit(cache=True)
def _code_motion(coder, buf, models, motion, parts):
    """`parts` (2 or 4) components of a motion, in place."""
    for k in range(parts):
        motion[k] = eb.code_signed(coder, buf, motion[k], models, _MOTION + 50 * k, 1, _LIMIT)


class _Codec:
    """What encoder and decoder share: the coder, its models, and the objects on the table."""

    def __init__(self, coder, buf, height, width, step, symbols):
        self.coder, self.buf = coder, buf
        self.height, self.width, self.step, self.symbols = height, width, step, symbols
        self.depth = (symbols - 1).bit_length()
        self.wide, self.high = (-(-n // step) + 1 for n in (width, height))
        self.models = _new_models()
        self.base = 0
        self.objects: dict[
            int, list[np.ndarray]
        ] = {}  # label -> contours in 1/UNIT pixels, in painting order

    def flag(self, model: int, bit: int) -> int:
        self.buf = eb.reserve(self.coder, self.buf, 1)
        return eb.code_adaptive(self.coder, self.buf, bit, self.models, model, _LIMIT)

    def number(self, base: int, value: int) -> int:
        self.buf = eb.reserve(self.coder, self.buf, 80)
        return int(eb.code_golomb(self.coder, self.buf, value, self.models, base, 0, _LIMIT))

    def byte(self, value: int) -> int:
        self.buf = eb.reserve(self.coder, self.buf, 8)
        return int(eb.code_raw(self.coder, self.buf, value, 8))

    def contours(self, given: list[np.ndarray]) -> list[np.ndarray]:
        """Code one object's contours (grid units in, 1/UNIT pixels out)."""
        room = 4 * (self.wide + 1) * (self.high + 1)
        count = self.number(_COUNT, len(given))
        out = []
        for i in range(count):
            points = given[i].astype(np.int64) if i < len(given) else np.zeros((3, 2), np.int64)
            n, points, self.buf = _code_contour(
                self.coder,
                self.buf,
                self.models,
                points,
                room,
                self.wide,
                self.high,
                self.symbols,
                self.depth,
            )
            if n < 0:
                raise StreamError(
                    "contour unit: more vertices than the picture has corners; the unit is damaged"
                )
            self.check()
            points = np.clip(points, 0, 65535) * (self.step * UNIT)
            out.append(points.astype(np.int32))
            room -= n
        return out

    def motion(self, motion: np.ndarray, parts: int) -> np.ndarray:
        self.buf = eb.reserve(self.coder, self.buf, 4 * 90)
        _code_motion(self.coder, self.buf, self.models, motion, parts)
        return np.clip(motion, -(1 << 16), 1 << 16)

    def check(self):
        """Stop a damaged unit early: it keeps reading long after its bytes have ended."""
        if eb.is_decoding(self.coder) and self.coder[3] > self.coder[5] + _PAST_END:
            raise StreamError("contour unit ends early; it is truncated or damaged")

    def paint(self) -> np.ndarray:
        """The label map of the objects on the table, uint8 [H, W]."""
        out = np.full((self.height, self.width), self.base, np.uint8)
        work = 8 * (self.height + 2) * (self.width + 2)
        for label, contours in self.objects.items():
            for c in contours:
                y = np.clip(c[:, 1], 0, self.height * UNIT).astype(np.int64)
                work -= int(np.abs(np.diff(y, append=y[:1])).sum()) // UNIT
            if work < 0:
                raise StreamError("contour unit: outlines longer than any label map has; the unit is damaged")
            if contours:
                out[fill(contours, self.height, self.width, UNIT)] = label
        return out


def _fresh(mask: np.ndarray, cfg: ContourConfig, step: int) -> list[np.ndarray]:
    """Contours of one object as an I-frame sends them, in grid units."""
    found = (quantise(simplify(c, cfg.tolerance), step) for c in trace(mask))
    return [c for c in found if len(c)]


def encode_unit(labels: np.ndarray, cfg: ContourConfig) -> bytes:
    """One unit of profile "paper": labels uint8 [n, H, W], n >= 1, to bytes."""
    step = max(1, round(cfg.tolerance))
    codec = _Codec(*eb.new_encoder(), *labels.shape[1:], step, cfg.symbols)
    for t, frame in enumerate(labels):
        refresh = t % (cfg.period or len(labels)) == 0
        if t:
            codec.flag(_FRAME, int(refresh))
        if refresh:
            _encode_intra(codec, frame, cfg)
        else:
            _encode_motion(codec, frame, cfg)
    return bytes([TAG, step - 1, cfg.symbols - 1]) + eb.finish(codec.coder, codec.buf)


def _encode_new(codec, frame, labels, cfg):
    """Objects that the receiver has not got: count, then label and contours of each."""
    codec.number(_COUNT, len(labels))
    for label in labels:
        codec.byte(label)
        codec.objects[label] = codec.contours(_fresh(frame == label, cfg, codec.step))


def _encode_intra(codec, frame, cfg):
    counts = np.bincount(frame.ravel(), minlength=256)
    codec.base = codec.byte(int(counts.argmax()))
    codec.objects = {}
    present = [int(v) for v in np.argsort(-counts, kind="stable") if counts[v] and v != codec.base]
    _encode_new(codec, frame, present, cfg)


def _encode_motion(codec, frame, cfg):
    for label in list(codec.objects):
        mask, old = frame == label, codec.objects[label]
        mode, motion = _choose(old, mask, cfg)
        for k in range(_REMOVE):
            if codec.flag(_MODE + k, int(mode == k)):
                break
        if mode == _REMOVE:
            del codec.objects[label]
        elif mode == _REFRESH:
            codec.objects[label] = codec.contours(_fresh(mask, cfg, codec.step))
        elif mode != _SKIP:
            codec.objects[label] = move(old, codec.motion(motion, 2 if mode == _SHIFT else 4))
    labels = np.flatnonzero(np.bincount(frame.ravel(), minlength=256))
    _encode_new(codec, frame, [int(v) for v in labels if v != codec.base and v not in codec.objects], cfg)


def _choose(old, mask, cfg):
    """How an object goes on: the cheapest mode that comes within reach of the best overlap."""
    if not mask.any():
        return _REMOVE, None
    if not old:
        # too small for an outline at this tolerance; look again now and then as it may grow
        return (_REFRESH if _fresh(mask, cfg, max(1, round(cfg.tolerance))) else _SKIP), None
    still = overlap(old, mask)
    if cfg.tolerance == 0:
        return (_SKIP if still == 1.0 else _REFRESH), None
    motion, score = estimate(old, mask, cfg.motion == "similarity")
    if max(score, still) < cfg.refresh:
        return _REFRESH, None
    if still >= score - 0.002:
        return _SKIP, None
    return (_SIMILAR if motion[2:].any() else _SHIFT), motion


def decode_unit(data: bytes, frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Frames of one unit of profile "paper", uint8 [H, W] each; StreamError where the unit makes no sense."""
    if len(data) < 3:
        raise StreamError(f"contour unit of {len(data)} bytes; profile paper has at least 3")
    codec = _Codec(*eb.new_decoder(data[3:]), height, width, data[1] + 1, data[2] + 1)
    if codec.symbols < 8:
        raise StreamError(f"contour unit: {codec.symbols} symbols; at least 8 are expected")
    for t in range(frames):
        if t == 0 or codec.flag(_FRAME, 0):
            codec.base = codec.byte(0)
            codec.objects = {}
        else:
            _decode_motion(codec)
        for _ in range(codec.number(_COUNT, 0)):
            label = codec.byte(0)
            if label == codec.base or label in codec.objects:
                raise StreamError(f"contour unit: label {label} comes twice; the unit is damaged")
            codec.objects[label] = codec.contours([])
        codec.check()
        yield codec.paint()


def _decode_motion(codec):
    for label in list(codec.objects):
        mode = next((k for k in range(_REMOVE) if codec.flag(_MODE + k, 0)), _REMOVE)
        old = codec.objects[label]
        if mode == _REMOVE:
            del codec.objects[label]
        elif mode == _REFRESH:
            codec.objects[label] = codec.contours([])
        elif mode != _SKIP:
            motion = codec.motion(np.zeros(4, np.int64), 2 if mode == _SHIFT else 4)
            if not old:
                raise StreamError(f"contour unit: label {label} has no outline to move; the unit is damaged")
            codec.objects[label] = move(old, motion)
