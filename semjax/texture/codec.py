"""The texture layer's verbs: tiny frames to unit payloads and back, with rate control.

A unit payload (normative text: docs/texture.md) is a head of 3 to 6 bytes (version, width - 1,
height - 1 in variable length, step) and one range-coded body. A unit decodes alone.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from semjax.errors import InputError, NotAvailableError, RateError, StreamError
from semjax.texture import pixels, transform
from semjax.texture.config import MAX_FRAMES, MAX_HEIGHT, MAX_WIDTH, TextureConfig
from semjax.types import FrameStatus

VERSION = 1
BLOCK = 12  # spatial blocks have about this many samples a side
MAX_SPAN = 64
STEPS = 256
_DEFAULT_BYTES = 10.0
_ROUNDING = 0.34  # where a magnitude is rounded up: fraction of a step, below 1/2 because zeros are cheap


def step_size(index: int) -> int:
    """Quantiser step of an index, in plane units of 1/16 grey level: 16 * 2^(index / 24), exact."""
    whole, part = divmod(index, 24)
    low, high = 0, 1 << 9  # 16 * 2^(23/24) = 31.08: the answer for `part` in 1/8 units
    while high - low > 1:
        mid = (low + high) // 2
        low, high = (mid, high) if mid**24 <= (16 * 8) ** 24 << part else (low, mid)
    return (low << whole) >> 3


_STEP_TABLE = np.array([step_size(i) for i in range(STEPS)], np.int64)


@dataclasses.dataclass(frozen=True)
class _Unit:
    """One unit ready to be coded again and again: its size and its 3-D spectra (float [n, h, w] each)."""

    frames: int
    height: int
    width: int
    spectra: tuple[np.ndarray, np.ndarray, np.ndarray]
    divisor: int


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, pos: int, name: str) -> tuple[int, int]:
    """Value and next position; StreamError when it does not end within 4 bytes."""
    value = 0
    for k in range(4):
        if pos + k >= len(data):
            raise StreamError(f"texture data ends inside its header ({name}); it is truncated")
        value |= (data[pos + k] & 127) << 7 * k
        if data[pos + k] < 128:
            return value, pos + k + 1
    raise StreamError(f"texture header: {name} is not a number of at most 28 bits; the data is damaged")


def _cuts(h: int, w: int) -> np.ndarray:
    """Block borders for `spectrum.code_spectrum`: int64 [3, 2, most + 1]."""
    sizes = pixels.plane_sizes(h, w)
    pieces = [[transform.segments(n, BLOCK) for n in size] for size in sizes]
    most = max(len(p) for pair in pieces for p in pair)
    cuts = np.full((3, 2, most + 1), -1, np.int64)
    for i, pair in enumerate(pieces):
        for j, segs in enumerate(pair):
            cuts[i, j, : len(segs) + 1] = [0, *(b for _, b in segs)]
    return cuts


def _analyse(tiny: np.ndarray, divisor: int) -> _Unit:
    kept = tiny[::divisor]
    spectra = []
    for plane in pixels.to_planes(kept):
        s = transform.forward(plane, 0, 2 * MAX_SPAN)
        spectra.append(transform.forward(transform.forward(s, 1, BLOCK), 2, BLOCK))
    return _Unit(len(tiny), tiny.shape[1], tiny.shape[2], tuple(spectra), divisor)


def _head(unit: _Unit, index: int) -> bytes:
    return bytes([VERSION | (unit.divisor > 1) << 7, unit.width - 1]) + _write_varint(unit.height - 1) + (
        bytes([unit.divisor]) if unit.divisor > 1 else b""
    ) + bytes([index])  # fmt: skip


def _code_unit(unit: _Unit, index: int, rounding: float) -> bytes:
    """Payload of a unit at step `index`."""
    from semjax.entropy import binary
    from semjax.texture import spectrum

    step = float(_STEP_TABLE[index])
    levels = []
    for s in unit.spectra:
        size = np.minimum(np.abs(s) / step + rounding, spectrum.MAX_LEVEL).astype(np.int32)
        levels.append(np.where(s < 0, -size, size))
    coder, buf = binary.new_encoder()
    cuts = _cuts(unit.height, unit.width)
    buf = spectrum.code_spectrum(coder, buf, spectrum.new_models(), *levels, cuts)
    return _head(unit, index) + binary.finish(coder, buf)


def _read_head(payload: bytes) -> tuple[int, int, int, int, int]:
    """(height, width, divisor, step index, start of the body) of a unit; StreamError for nonsense."""
    if len(payload) < 2 or payload[0] & 127 != VERSION:
        raise StreamError(f"texture unit: version {VERSION} expected, got {payload[:1].hex() or 'nothing'}")
    w = payload[1] + 1
    h, pos = _read_varint(payload, 2, "height")
    if h + 1 > MAX_HEIGHT:
        raise StreamError(f"texture unit: height {h + 1} is beyond {MAX_HEIGHT}; the data is damaged")
    divisor = 1
    if payload[0] >> 7:
        divisor, pos = _read_varint(payload, pos, "frame divisor")
    if pos >= len(payload) or not 1 <= divisor <= 255:
        raise StreamError("texture unit: the header is truncated or damaged")
    return h + 1, w, divisor, payload[pos], pos + 1


def _decode_unit(payload: bytes, frames: int) -> np.ndarray:
    """uint8 [frames, h, w, 3] of one unit payload; StreamError for a senseless head."""
    from semjax.entropy import binary
    from semjax.texture import spectrum

    h, w, divisor, index, start = _read_head(payload)
    kept = -(-frames // divisor)
    levels = [np.zeros((kept, *size), np.int32) for size in pixels.plane_sizes(h, w)]
    coder, buf = binary.new_decoder(payload[start:])
    spectrum.code_spectrum(coder, buf, spectrum.new_models(), *levels, _cuts(h, w))
    planes = []
    for level in levels:
        value = np.clip(level, -spectrum.MAX_LEVEL, spectrum.MAX_LEVEL) * _STEP_TABLE[index]
        value = np.clip(value, -(1 << 24), 1 << 24)
        for axis, about in ((2, BLOCK), (1, BLOCK), (0, 2 * MAX_SPAN)):
            value = transform.inverse(value, axis, about)
        planes.append(value)
    return _fill_in(pixels.to_rgb(planes), divisor, frames)


def _fill_in(kept: np.ndarray, divisor: int, frames: int) -> np.ndarray:
    """All frames of a unit from every `divisor`-th: blended between neighbours, held after the last."""
    if divisor == 1:
        return kept
    at = np.arange(frames)
    left, part = at // divisor, (at % divisor)[:, None, None, None]
    right = np.minimum(left + 1, len(kept) - 1)
    mix = kept[left].astype(np.int32) * (divisor - part) + kept[right].astype(np.int32) * part
    return ((mix + divisor // 2) // divisor).astype(np.uint8)


def _search(low: int, high: int, good: Callable[[int], bool]) -> int:
    """Least value in low..high for which `good` holds (it holds from somewhere on); else high."""
    while low < high:
        mid = (low + high) // 2
        low, high = (low, mid) if good(mid) else (mid + 1, high)
    return high


def _split(tiny: np.ndarray, span: int) -> list[np.ndarray]:
    return [tiny[i : i + span] for i in range(0, len(tiny), span)]


def _check(tiny: np.ndarray, cfg: TextureConfig, span: int) -> None:
    pixels.check_video(tiny, "tiny frames")
    if not cfg.lookahead:
        raise NotAvailableError(
            "the low-latency texture mode (lookahead=False) is not available in this version"
        )
    if not 1 <= span <= MAX_SPAN:
        raise InputError(f"a texture unit covers 1 to {MAX_SPAN} frames, got span {span}")
    if tiny.shape[2] > MAX_WIDTH or tiny.shape[1] > MAX_HEIGHT:
        raise InputError(
            f"tiny frames may be at most {MAX_WIDTH} x {MAX_HEIGHT}, got {tiny.shape[2]} x {tiny.shape[1]};"
            " shrink them first or ask for a smaller width"
        )


def min_bytes(tiny: np.ndarray, cfg: TextureConfig, span: int) -> int:
    """Least total payload bytes with which `encode_units` can code these frames (coarsest step).

    Args and errors as for `encode_units`.
    """
    _check(tiny, cfg, span)
    return sum(len(_code_unit(_analyse(t, cfg.frame_divisor), STEPS - 1, 0.0)) for t in _split(tiny, span))


def encode_units(tiny: np.ndarray, cfg: TextureConfig, span: int) -> list[bytes]:
    """Code tiny frames into one payload for every `span` frames.

    Args:
        tiny: uint8 [T, h, w, 3].
        cfg: what is asked for; `width` is not looked at here.
        span: frames a unit covers, 1 to 64.

    Returns:
        Payloads in order; with `bytes_per_frame` their total is at most bytes_per_frame * T and close to it.

    Raises:
        InputError: wrong type, shape or span.
        RateError: not even the coarsest step fits into bytes_per_frame; the message says what would.
    """
    _check(tiny, cfg, span)
    return _encode_within(tiny, cfg, span, 0)


def _encode_within(tiny: np.ndarray, cfg: TextureConfig, span: int, overhead: int) -> list[bytes]:
    """`encode_units` with `overhead` bytes that count against the budget."""
    units = [_analyse(t, cfg.frame_divisor) for t in _split(tiny, span)]
    if cfg.step is not None:
        index = int(np.argmin(np.abs(np.log(_STEP_TABLE / 16.0) - np.log(cfg.step))))
        return [_code_unit(u, index, _ROUNDING) for u in units]
    if cfg.psnr is not None:
        return _encode_psnr(tiny, units, cfg.psnr)
    budget = int((cfg.bytes_per_frame or _DEFAULT_BYTES) * len(tiny)) - overhead
    code = {}

    def total(index: int) -> int:
        if index not in code:
            code[index] = [_code_unit(u, index, _ROUNDING) for u in units]
        return sum(map(len, code[index]))

    index = _search(0, STEPS - 1, lambda i: total(i) <= budget)
    if total(index) > budget:
        coarsest = [_code_unit(u, STEPS - 1, 0.0) for u in units]
        least = sum(map(len, coarsest)) + overhead
        if least <= budget + overhead:
            return coarsest
        raise RateError(
            f"{cfg.bytes_per_frame} bytes a frame cannot be met for the texture: these {len(tiny)} frames "
            f"need at least {least / len(tiny):.2f}; raise the rate, the span or the frame divisor"
        )
    return _spend_rest(units, code[index], index, budget)


def _spend_rest(units: list[_Unit], payloads: list[bytes], index: int, budget: int) -> list[bytes]:
    """Use what is left of the budget: units in turn get a finer step, or a lower rounding threshold."""
    left = budget - sum(map(len, payloads))
    out = list(payloads)
    for i, unit in enumerate(units):
        for finer, rounding in ((index - 1, _ROUNDING), (index, _ROUNDING + 0.04), (index, _ROUNDING + 0.02)):
            better = _code_unit(unit, max(finer, 0), rounding)
            if 0 < len(better) - len(out[i]) <= left:
                left -= len(better) - len(out[i])
                out[i] = better
                break
    return out


def _encode_psnr(tiny: np.ndarray, units: list[_Unit], psnr: float) -> list[bytes]:
    """Coarsest common step whose decoded frames reach `psnr`; the finest there is when none does."""
    worst = 255.0**2 / 10 ** (psnr / 10)
    truth = [tiny[i : i + u.frames] for i, u in zip(np.cumsum([0] + [u.frames for u in units]), units)]

    def reached(coarseness: int) -> bool:
        error = 0.0
        for u, t in zip(units, truth):
            got = _decode_unit(_code_unit(u, coarseness, _ROUNDING), u.frames)
            error += float(((got.astype(np.float64) - t) ** 2).sum())
        return error / tiny.size <= worst

    first_bad = _search(0, STEPS, lambda i: i == STEPS or not reached(i))
    return [_code_unit(u, max(first_bad - 1, 0), _ROUNDING) for u in units]


def decode_units(
    units: Iterable[bytes | None], *, frames: int, height: int, width: int, span: int
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the payloads of a clip; what is lost is concealed.

    Args:
        units: one payload for every `span` frames; None, an empty or a senseless one counts as lost.
        frames: frames of the clip.
        height, width: size of the full clip in pixels (used for the tiny size when no unit at all arrived).
        span: frames a unit covers.

    Returns:
        tiny uint8 [T, h, w, 3] and status uint8 [T] (`FrameStatus`): lost units hold the frame before
        (CONCEALED), or are mid-grey when there is none (MISSING).

    Raises:
        StreamError: sizes out of range, or more units than the clip has room for.
    """
    payloads = list(units)
    if min(frames, span, height, width) < 1:
        raise StreamError(f"texture: senseless sizes {frames} frames, {width}x{height}, span {span}")
    count = -(-frames // span)
    if len(payloads) > count:
        raise StreamError(f"texture: {len(payloads)} units for {frames} frames of span {span}, not {count}")
    payloads += [None] * (count - len(payloads))
    size = next((s for s in map(_size_of, payloads) if s), pixels.tiny_size(height, width, 64))
    tiny = np.full((frames, *size, 3), 128, np.uint8)
    status = np.full(frames, FrameStatus.MISSING, np.uint8)
    for i, payload in enumerate(payloads):
        here = slice(i * span, min((i + 1) * span, frames))
        if _size_of(payload) == size:
            tiny[here] = _decode_unit(payload, here.stop - here.start)
            status[here] = FrameStatus.RECEIVED
        elif i and status[here.start - 1] != FrameStatus.MISSING:
            tiny[here] = tiny[here.start - 1]
            status[here] = FrameStatus.CONCEALED
    return tiny, status


def _size_of(payload: bytes | None) -> tuple[int, int] | None:
    """Tiny size that a unit states, None for one that cannot be read."""
    if not payload:
        return None
    try:
        return _read_head(payload)[:2]
    except StreamError:
        return None


def _wrap(payloads: Sequence[bytes], frames: int, span: int) -> bytes:
    head = bytes([VERSION]) + _write_varint(frames) + _write_varint(span)
    return head + b"".join(_write_varint(len(p)) for p in payloads[:-1]) + b"".join(payloads)


def encode(video: np.ndarray, cfg: TextureConfig | None = None) -> bytes:
    """Shrink a clip to tiny frames and code them into one self-contained string of bytes.

    Args:
        video: uint8 [T, H, W, 3], 1 to 10 000 frames.
        cfg: width and rate; `bytes_per_frame` covers everything in the result.

    Raises:
        InputError, RateError: as for `encode_units`.
    """
    cfg = cfg or TextureConfig()
    tiny = shrink_checked(video, cfg.width)
    span = min(32, len(tiny))
    overhead = 1 + len(_write_varint(len(tiny))) + 1 + 2 * ((len(tiny) - 1) // span)
    return _wrap(_encode_within(tiny, cfg, span, overhead), len(tiny), span)


def shrink_checked(video: np.ndarray, width: int) -> np.ndarray:
    """`pixels.shrink` with the limits of the layer checked first."""
    pixels.check_video(video)
    if len(video) > MAX_FRAMES:
        raise InputError(f"texture.encode takes at most {MAX_FRAMES} frames, got {len(video)}; cut the clip")
    tiny = pixels.shrink(video, width)
    _check(tiny, TextureConfig(), 1)
    return tiny


def decode(data: bytes) -> np.ndarray:
    """Inverse of `encode`: uint8 [T, h, w, 3] tiny frames.

    Raises:
        StreamError: wrong version, truncated or damaged data.
    """
    if not data or data[0] != VERSION:
        raise StreamError(f"texture data: version {VERSION} expected, got {data[:1].hex() or 'nothing'}")
    frames, pos = _read_varint(data, 1, "frames")
    span, pos = _read_varint(data, pos, "span")
    if not (1 <= frames <= MAX_FRAMES and 1 <= span <= MAX_SPAN):
        raise StreamError(f"texture data: {frames} frames of span {span}: out of range; the data is damaged")
    lengths = []
    for _ in range((frames - 1) // span):
        length, pos = _read_varint(data, pos, "unit length")
        lengths.append(length)
    ends = np.cumsum([pos, *lengths]).tolist()
    if ends[-1] >= len(data):
        raise StreamError(f"texture data is truncated: {len(data)} bytes, at least {ends[-1] + 1} expected")
    payloads = [data[a:b] for a, b in zip(ends, [*ends[1:], len(data)])]
    sizes = {_read_head(p)[:2] for p in payloads}
    if len(sizes) > 1:
        raise StreamError(f"texture data: units of different sizes {sorted(sizes)}; the data is damaged")
    (h, w), *_ = sizes
    return decode_units(payloads, frames=frames, height=h, width=w, span=span)[0]
