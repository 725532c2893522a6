"""The texture layer's verbs: clips and tiny frames to bytes and back."""

from collections.abc import Iterable

import numpy as np

from semjax._varint import read_varint, write_varint
from semjax.errors import InputError, StreamError
from semjax.texture import pixels
from semjax.texture.config import MAX_FRAMES, MAX_HEIGHT, MAX_WIDTH, TextureConfig
from semjax.texture.lowlatency import encode_low_latency
from semjax.texture.rate import encode_at, encode_for_bytes, encode_for_psnr, index_of_step
from semjax.texture.steady import steady
from semjax.texture.unit import STEP_TABLE, STEPS, VERSION, decode_with_steps, read_head
from semjax.types import FrameStatus

SPAN = 240  # frames of a unit of `encode`


def _check(tiny: np.ndarray, span: int) -> None:
    pixels.check_video(tiny, "tiny frames")
    if not 1 <= span <= MAX_FRAMES:
        raise InputError(f"a texture unit covers 1 to {MAX_FRAMES} frames, got span {span}")
    if len(tiny) > MAX_FRAMES:
        raise InputError(
            f"the texture layer takes at most {MAX_FRAMES} frames, got {len(tiny)}; cut the clip"
        )
    if tiny.shape[2] > MAX_WIDTH or tiny.shape[1] > MAX_HEIGHT:
        raise InputError(
            f"tiny frames may be at most {MAX_WIDTH} wide and {MAX_HEIGHT} high, got {tiny.shape[2]} x "
            f"{tiny.shape[1]}; shrink them first or ask for a smaller width"
        )


def min_bytes(tiny: np.ndarray, cfg: TextureConfig, span: int) -> int:
    """Least total payload bytes with which `encode_units` can code these frames (coarsest step).

    Args and errors as for `encode_units`.
    """
    _check(tiny, span)
    if not cfg.lookahead:
        coarsest = TextureConfig(step=1e6, lookahead=False, frame_divisor=cfg.frame_divisor)
        return sum(map(len, encode_low_latency(tiny, coarsest, span, 0)))
    return sum(map(len, encode_at(tiny, cfg, span, STEPS - 1.0)))


def encode_units(tiny: np.ndarray, cfg: TextureConfig, span: int) -> list[bytes]:
    """Code tiny frames into one payload for every `span` frames.

    Args:
        tiny: uint8 [T, h, w, 3].
        cfg: what is asked for; `width` is not looked at here.
        span: frames a unit covers.

    Returns:
        Payloads in order; with `bytes_per_frame` their total is at most bytes_per_frame * T and close to it.

    Raises:
        InputError: wrong type, shape or span.
        RateError: not even the coarsest step fits into bytes_per_frame; the message says what would.
    """
    _check(tiny, span)
    return _encode_within(tiny, cfg, span, 0)


def _encode_within(tiny: np.ndarray, cfg: TextureConfig, span: int, overhead: int) -> list[bytes]:
    """`encode_units` with `overhead` bytes that count against the budget."""
    if not cfg.lookahead:
        return encode_low_latency(tiny, cfg, span, overhead)
    if cfg.step is not None:
        return encode_at(tiny, cfg, span, float(index_of_step(cfg.step)))
    if cfg.psnr is not None:
        return encode_for_psnr(tiny, cfg, span)
    return encode_for_bytes(tiny, cfg, span, overhead)


def decode_units(
    units: Iterable[bytes | None], *, frames: int, height: int, width: int, span: int, steadied: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the payloads of a clip; what is lost is concealed.

    Args:
        units: one payload for every `span` frames; None, an empty or a senseless one counts as
            lost, and so does one whose tiny frames have not the clip's aspect or another size than the first.
        frames: frames of the clip.
        height, width: size of the full clip in pixels (used for the tiny size when no unit at all arrived).
        span: frames a unit covers.
        steadied: even out in time what the coder left unsteady, where units have look-ahead (see `steady`): what is
            best shown. Without it the frames are what the format says, bit by bit.

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
    size = units_size(payloads, height, width)
    tiny = np.full((frames, *size, 3), 128, np.uint8)
    status = np.full(frames, FrameStatus.MISSING, np.uint8)
    coarse, steps = np.zeros(frames, np.float32), np.full(frames, np.inf, np.float32)
    for i, payload in enumerate(payloads):
        here = slice(i * span, min((i + 1) * span, frames))
        if _size_of(payload) == size:
            tiny[here], arrived, steps[here] = decode_with_steps(payload, here.stop - here.start)
            head, _ = read_head(payload)
            coarse[here] = head.lookahead * STEP_TABLE[head.index] / (1 << pixels.PLANE_BITS)
            status[here] = FrameStatus.CONCEALED if arrived else FrameStatus.MISSING
            status[here.start : here.start + arrived] = FrameStatus.RECEIVED
        elif i and status[here.start - 1] != FrameStatus.MISSING:
            tiny[here] = tiny[here.start - 1]
            status[here] = FrameStatus.CONCEALED
    if steadied:
        tiny = steady(tiny, coarse, steps, np.arange(frames) % span == 0)
    return tiny, status


def units_size(units: Iterable[bytes | None], height: int, width: int) -> tuple[int, int]:
    """(h, w) of the tiny frames that `decode_units` makes of a clip's payloads, without decoding them."""
    size = next((s for s in map(_size_of, units) if _plausible(s, height, width)), None)
    return size or pixels.tiny_size(height, width, 64)


def _size_of(payload: bytes | None) -> tuple[int, int] | None:
    """Tiny (height, width) that a unit states, None for one that cannot be read."""
    if not payload:
        return None
    try:
        head, _ = read_head(payload)
    except StreamError:
        return None
    return head.height, head.width


def _plausible(size: tuple[int, int] | None, height: int, width: int) -> bool:
    """Whether tiny frames of that size can come from a clip of height x width."""
    return size is not None and size[1] <= width and abs(size[0] * width - height * size[1]) <= 2 * width


def encode(video: np.ndarray, cfg: TextureConfig | None = None) -> bytes:
    """Shrink a clip to tiny frames and code them into one self-contained string of bytes.

    Args:
        video: uint8 [T, H, W, 3], 1 to 10 000 frames.
        cfg: width and rate; `bytes_per_frame` covers everything in the result.

    Raises:
        InputError, RateError: as for `encode_units`.
    """
    cfg = cfg or TextureConfig()
    pixels.check_video(video)
    tiny = pixels.shrink(video, cfg.width)
    _check(tiny, SPAN)
    head = bytes([VERSION]) + write_varint(len(tiny))
    units = -(-len(tiny) // SPAN)
    payloads = _encode_within(tiny, cfg, SPAN, len(head) + 3 * (units - 1))
    return head + b"".join(write_varint(len(p)) for p in payloads[:-1]) + b"".join(payloads)


def decode(data: bytes) -> np.ndarray:
    """Inverse of `encode`: uint8 [T, h, w, 3] tiny frames.

    Raises:
        StreamError: wrong version, truncated or damaged data.
    """
    if not data or data[0] != VERSION:
        got = data[:1].hex() or "nothing"
        raise StreamError(
            f"texture data: version {VERSION} expected, got {got}; the data is damaged or too new"
        )
    frames, pos = read_varint(data, 1, MAX_FRAMES, "texture data: frames")
    if not frames:
        raise StreamError("texture data: no frames; the data is damaged")
    lengths = []
    for _ in range((frames - 1) // SPAN):
        length, pos = read_varint(data, pos, len(data), "texture data: unit length")
        lengths.append(length)
    ends = np.cumsum([pos, *lengths]).tolist()
    if ends[-1] >= len(data):
        raise StreamError(f"texture data is truncated: {len(data)} bytes, at least {ends[-1] + 1} expected")
    payloads = [data[a:b] for a, b in zip(ends, [*ends[1:], len(data)])]
    sizes = {(head.height, head.width) for head, _ in map(read_head, payloads)}
    if len(sizes) > 1:
        raise StreamError(f"texture data: units of different sizes {sorted(sizes)}; the data is damaged")
    ((h, w),) = sizes
    return decode_units(payloads, frames=frames, height=h, width=w, span=SPAN)[0]
