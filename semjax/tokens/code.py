"""Groups of token keyframes to bytes and back, with integers only (docs/bitstream.md is normative).

body := kind version mode varint{count - 1, gap * (count - 1)} rest      kind 2, version 1
mode 0, regions: rest := varint{width, height, size} layouts[size] features
mode 1, latents: rest := weights:4 varint{width, height, channels} step codes
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from semjax import contours
from semjax._varint import read_varint, write_varint
from semjax.entropy import binary as eb
from semjax.errors import InputError, StreamError
from semjax.tokens.regions import FEATURES
from semjax.types import FrameStatus

KIND, VERSION = 2, 1
REGIONS, LATENTS = 0, 1
MOST_KEYFRAMES, MOST_SIDE, MOST_CHANNELS, MOST_GAP = 64, 256, 64, 1 << 16
WHAT = "a code of semantic tokens"
MOST_CODES = 1 << 16  # latents of a group
_MODELS = 49  # that binary.code_signed uses
_LIMIT = 30  # of the adaptive models: messages are short


@dataclasses.dataclass(frozen=True)
class Group:
    """Keyframes of one stretch of a clip as tokens.

    gaps: frames from each keyframe to the next, one fewer than there are keyframes.
    Of regions: layouts uint8 [K, h, w], token numbers; labels: each token's; features: (keyframe, token) -> codes.
    Of latents: codes int [K, h, w, C], `step` sixteenths apart, and weights: which autoencoder's they are.
    """

    gaps: tuple[int, ...]
    layouts: np.ndarray | None = None
    labels: Mapping[int, int] = dataclasses.field(default_factory=dict)
    features: Mapping[tuple[int, int], np.ndarray] = dataclasses.field(default_factory=dict)
    codes: np.ndarray | None = None
    step: int = 0
    weights: bytes = b""

    @property
    def places(self) -> list[int]:
        """Frames of the keyframes, counted from the first one's."""
        return np.cumsum([0, *self.gaps]).tolist()


def is_latent(group: Group) -> bool:
    """Whether a group holds latents of an autoencoder rather than regions."""
    return group.codes is not None


def encode_layouts(layouts: np.ndarray, tolerance: float) -> tuple[bytes, np.ndarray]:
    """Layouts uint8 [K, h, w] as a unit of the contour coder, and what a decoder makes of it."""
    cfg = contours.ContourConfig(tolerance=tolerance, period=None)
    (unit,) = contours.encode_units([layouts], cfg)
    return unit, _decode_layouts(unit, layouts.shape)


def _decode_layouts(unit: bytes, shape: tuple[int, ...]) -> np.ndarray:
    count, height, width = shape
    ((layouts, status),) = contours.decode_units([unit], frames=count, height=height, width=width, span=count)
    if (status != FrameStatus.RECEIVED).any():
        raise StreamError(f"{WHAT} is damaged: its layouts cannot be read")
    return layouts


def encode_group(group: Group, layout_unit: bytes = b"") -> bytes:
    """The body of a keyframe record. `layout_unit`: what `encode_layouts` gave for the group's layouts.

    Raises InputError for sizes outside the format's limits.
    """
    sizes = group.codes.shape if is_latent(group) else group.layouts.shape
    fits = (
        1 <= sizes[0] <= MOST_KEYFRAMES and max(sizes[1:3]) <= MOST_SIDE and len(group.gaps) == sizes[0] - 1
    )
    fits = fits and (not is_latent(group) or group.codes.size <= MOST_CODES)
    if not fits or any(not 1 <= gap <= MOST_GAP for gap in group.gaps):
        raise InputError(f"tokens of shape {list(sizes)} with gaps {list(group.gaps)} cannot be written")
    out = bytes([KIND, VERSION, LATENTS if is_latent(group) else REGIONS])
    out += b"".join(map(write_varint, [sizes[0] - 1, *group.gaps]))
    coder, buf = eb.new_encoder(1 << 16)
    if is_latent(group):
        out += group.weights[:4].ljust(4, b"\0") + b"".join(map(write_varint, sizes[1:]))
        out += bytes([group.step])
        _code_latents(coder, buf, group.codes)
    else:
        out += b"".join(map(write_varint, (sizes[2], sizes[1], len(layout_unit)))) + layout_unit
        _code_regions(coder, buf, group.layouts, dict(group.labels), dict(group.features))
    return out + eb.finish(coder, buf)


def decode_group(body: bytes) -> Group:
    """The inverse of `encode_group`. Raises StreamError for another version and for damage that shows."""
    if len(body) < 3 or body[0] != KIND:
        raise StreamError(f"{WHAT} is damaged")
    if body[1] != VERSION:
        raise StreamError(f"{WHAT} is of version {body[1]}; this semjax reads version {VERSION}")
    count, at = read_varint(body, 3, MOST_KEYFRAMES - 1, WHAT)
    gaps = []
    for _ in range(count):
        gap, at = read_varint(body, at, MOST_GAP, WHAT)
        gaps.append(gap)
    if 0 in gaps or body[2] not in (REGIONS, LATENTS):
        raise StreamError(f"{WHAT} is damaged")
    read = _read_latents if body[2] == LATENTS else _read_regions
    return read(body, at, tuple(gaps))


def _read_regions(body: bytes, at: int, gaps: tuple[int, ...]) -> Group:
    width, at = read_varint(body, at, MOST_SIDE, WHAT)
    height, at = read_varint(body, at, MOST_SIDE, WHAT)
    size, at = read_varint(body, at, len(body), WHAT)
    if not (width and height and size and at + size <= len(body)):
        raise StreamError(f"{WHAT} is damaged")
    layouts = _decode_layouts(body[at : at + size], (len(gaps) + 1, height, width))
    labels: dict[int, int] = {}
    features: dict[tuple[int, int], np.ndarray] = {}
    coder, buf = eb.new_decoder(body[at + size :])
    _code_regions(coder, buf, layouts, labels, features)
    return Group(gaps, layouts, labels, features)


def _read_latents(body: bytes, at: int, gaps: tuple[int, ...]) -> Group:
    weights, at = body[at : at + 4], at + 4
    sizes = []
    for most in (MOST_SIDE, MOST_SIDE, MOST_CHANNELS):
        size, at = read_varint(body, at, most, WHAT)
        sizes.append(size)
    too_many = (len(gaps) + 1) * math.prod(sizes) > MOST_CODES
    if 0 in sizes or too_many or at >= len(body) or body[at] == 0:
        raise StreamError(f"{WHAT} is damaged")
    codes = np.zeros((len(gaps) + 1, *sizes), np.int64)
    coder, buf = eb.new_decoder(body[at + 1 :])
    _code_latents(coder, buf, codes)
    return Group(gaps, codes=codes, step=body[at], weights=weights)


def _code_regions(coder, buf, layouts: np.ndarray, labels: dict, features: dict) -> None:
    """Code what is known of the tokens in the layouts, or fill `labels` and `features` in when decoding.

    A token's label is coded as the difference to the last new token's; its features when it first appears as
    differences to the middle value, afterwards to those it had before. Each feature has models of its own.
    """
    label_models = eb.new_bits(_MODELS)
    first, later = eb.new_bits(_MODELS * len(FEATURES)), eb.new_bits(_MODELS * len(FEATURES))
    before: dict[int, np.ndarray] = {}
    previous = 0
    for k, layout in enumerate(layouts):
        for token in map(int, np.unique(layout)):
            if token not in before:
                step = eb.code_signed(coder, buf, labels.get(token, 0) - previous, label_models, 0, 0, _LIMIT)
                previous = labels[token] = (previous + int(step)) % 256
            known = before.get(token)
            models = first if known is None else later
            expected = np.array([f.levels // 2 for f in FEATURES]) if known is None else known
            given = features.get((k, token), expected)
            codes = np.zeros(len(FEATURES), np.int64)
            for i, feature in enumerate(FEATURES):
                order = 2 if known is None and feature.levels > 9 else 0
                step = eb.code_signed(coder, buf, given[i] - expected[i], models, _MODELS * i, order, _LIMIT)
                codes[i] = min(max(int(expected[i] + step), 0), feature.levels - 1)
            before[token] = features[k, token] = codes


def _code_latents(coder, buf, codes: np.ndarray) -> None:
    """Code latents in place: each as the difference to its neighbour's (left, above, before), by channel."""
    count, height, width, channels = codes.shape
    models = eb.new_bits(2 * _MODELS * channels)
    for k in range(count):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    near = codes[k - 1, y, x, c] if k else _beside(codes[k, ..., c], y, x)
                    base = _MODELS * (2 * c + (k > 0))
                    step = eb.code_signed(coder, buf, codes[k, y, x, c] - near, models, base, 0, 255)
                    codes[k, y, x, c] = near + step


def _beside(plane: np.ndarray, y: int, x: int) -> int:
    """The prediction of a place from its left and upper neighbours: their mean, rounded down, or the one there is."""
    if y and x:
        return int(plane[y - 1, x] + plane[y, x - 1]) // 2
    return int(plane[y - 1, x]) if y else int(plane[y, x - 1]) if x else 0
