"""Units of the contour layer: the frames of a span in, bytes out, and back, losses concealed."""

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

from semjax.contours import best, paper, rate
from semjax.contours.config import ContourConfig
from semjax.errors import InputError, StreamError
from semjax.types import FrameStatus

MIN_SIDE, MAX_SIDE = 1, 4096
_MAGIC = b"sjc\x01"
_HEADER = struct.Struct(">4sIHHH")  # magic, frames, height, width, frames a unit
_DEFAULT = ContourConfig()
_MAX_PIXELS = 1 << 34  # what `decode` is ready to return at once


def _checked(labels, axes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype != np.uint8:
        raise InputError(
            f"label maps must be uint8 (labels 0 to 255), got {labels.dtype}; convert them first"
        )
    if labels.ndim != axes:
        raise InputError(f"label maps must be [T, H, W], got shape {labels.shape}; stack one map per frame")
    if labels.shape[0] == 0:
        raise InputError("label maps hold no frames; at least one is needed")
    if not all(MIN_SIDE <= n <= MAX_SIDE for n in labels.shape[1:]):
        raise InputError(
            f"label maps of {labels.shape[2]}x{labels.shape[1]} pixels: "
            f"each side must be {MIN_SIDE} to {MAX_SIDE}"
        )
    return np.ascontiguousarray(labels)


def encode_units(chunks: Iterable[np.ndarray], cfg: ContourConfig) -> Iterator[bytes]:
    """Code label maps unit by unit, in order and in constant memory.

    Args:
        chunks: uint8 [n, H, W] each, one chunk a unit; all of one size.
        cfg: the settings.

    Yields:
        One unit payload for each chunk; each decodes without the others.

    Raises:
        InputError: not uint8, not [n, H, W], no frames, or sides outside 1 to 4096 pixels.
    """
    for chunk in chunks:
        encode_unit = paper.encode_unit if cfg.profile == "paper" else rate.encode_unit
        yield encode_unit(_checked(chunk, 3), cfg)


def _frames(unit: bytes, count: int, height: int, width: int) -> Iterator[np.ndarray]:
    profiles = {paper.TAG: paper, best.TAG: best, best.FINE_TAG: best}
    if unit[0] not in profiles:
        raise StreamError(f"contour unit of kind {unit[0]}; this version knows kinds {sorted(profiles)}")
    return profiles[unit[0]].decode_unit(unit, count, height, width)


def decode_units(
    units: Iterable[bytes | None], *, frames: int, height: int, width: int, span: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label maps of the units of one clip, in order; never fails on damaged ones.

    Args:
        units: payloads in order, None where one is lost, b"" where the sender had nothing to say.
        frames, height, width: of the clip, from the stream's header.
        span: frames a unit.

    Yields:
        (labels uint8 [n, H, W], status uint8 [n] of `FrameStatus`) for each unit. A lost or damaged unit
        holds the last map it has (CONCEALED), or zeros where there never was one (MISSING).
    """
    _check_sizes(frames, height, width, span)
    last = None
    for start, unit in zip(range(0, frames, span), units):
        count = min(span, frames - start)
        labels = np.zeros((count, height, width), np.uint8)
        status = np.full(count, FrameStatus.MISSING, np.uint8)
        done = 0
        if unit:
            try:
                for frame in _frames(unit, count, height, width):
                    labels[done] = last = frame
                    status[done] = FrameStatus.RECEIVED
                    done += 1
            except StreamError:
                pass  # what came before the damage stands; the rest is concealed below
        if last is not None:
            labels[done:] = last
            status[done:] = FrameStatus.CONCEALED
        yield labels, status


def _check_sizes(frames, height, width, span):
    if frames < 1 or span < 1 or not all(MIN_SIDE <= n <= MAX_SIDE for n in (height, width)):
        raise InputError(
            f"cannot decode {frames} frames of {width}x{height} in units of {span}: "
            f"frames and span must be 1 or more, sides {MIN_SIDE} to {MAX_SIDE}"
        )


def encode(labels: np.ndarray, cfg: ContourConfig = _DEFAULT, span: int = 64) -> bytes:
    """Label maps to bytes that stand alone: a small header and the units.

    Args:
        labels: uint8 [T, H, W], sides 1 to 4096.
        cfg: the settings.
        span: frames a unit; memory grows with it, and a unit is what a loss costs.

    Raises:
        InputError: see `encode_units`.
    """
    labels = _checked(labels, 3)
    if not 1 <= span <= 65535:
        raise InputError(f"span must be 1 to 65535 frames, got {span}")
    frames, height, width = labels.shape
    chunks = (labels[t : t + span] for t in range(0, frames, span))
    units = [struct.pack(">I", len(u)) + u for u in encode_units(chunks, cfg)]
    body = _HEADER.pack(_MAGIC, frames, height, width, span) + b"".join(units)
    return body + struct.pack(">I", zlib.crc32(body))


def decode(data: bytes) -> np.ndarray:
    """The inverse of `encode`: uint8 [T, H, W].

    Raises:
        StreamError: not a contour file, truncated, or damaged anywhere.
    """
    if len(data) < _HEADER.size + 4 or data[:4] != _MAGIC:
        raise StreamError("not contour data of this version: it must begin with the bytes 'sjc' and 1")
    data, check = data[:-4], data[-4:]
    if struct.pack(">I", zlib.crc32(data)) != check:
        raise StreamError("contour data do not match their check sum: truncated or damaged")
    _, frames, height, width, span = _HEADER.unpack_from(data)
    sides = all(MIN_SIDE <= n <= MAX_SIDE for n in (height, width))
    if frames < 1 or span < 1 or not sides or frames * height * width > _MAX_PIXELS:
        raise StreamError(
            f"contour data for {frames} frames of {width}x{height}: more than can be decoded at once"
        )
    at, maps = _HEADER.size, []
    for start in range(0, frames, span):
        if at + 4 > len(data):
            raise StreamError(f"contour data end at frame {start} of {frames}: truncated")
        (size,) = struct.unpack_from(">I", data, at)
        unit = data[at + 4 : at + 4 + size]
        if len(unit) < max(size, 1):
            raise StreamError(f"contour data end in the unit of frame {start} of {frames}: truncated")
        maps.extend(_frames(unit, min(span, frames - start), height, width))
        at += 4 + size
    if at != len(data):
        raise StreamError(f"contour data go on for {len(data) - at} bytes after the last frame: damaged")
    return np.stack(maps)
