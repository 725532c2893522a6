"""Video codecs as peers, each at its best within a number of bytes.

A peer gets what a careful user would give it: its slowest sensible preset, look-ahead, every size and frame rate
below the clip's own, and as many encodings as the search needs. For each size and rate the finest quality whose
elementary stream (parameter sets included, comments removed) fits the bytes is found by bisection; that holds the
budget to the byte, which two-pass rate control does not on clips of a few seconds. Of those the one with the best
picture, scaled back and held, is the peer's answer.
"""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterable
from fractions import Fraction

import av
import cv2
import numpy as np

from evaluation import ffmpeg
from evaluation.scheduling import scheduling_kept
from semjax.errors import InputError

os.environ.setdefault("SVT_LOG", "1")
SCALES = (1, 2, 4, 8)  # the picture's size is divided by these
DIVISORS = (1, 2, 4)  # every second, every fourth frame
_SMALLEST = 16  # pixels a side: below, encoders refuse
_KEEP_ALL = 10**6


@dataclasses.dataclass(frozen=True)
class Peer:
    """A codec: encoder and decoder of libav, its range of quality numbers from coarse to fine, its options.

    An encoder that PyAV does not carry is run by the ffmpeg program, whose options these are then.
    `unit_type(unit)` is the type of a unit (NAL or OBU) of its elementary stream from the unit's first bytes, and
    `drop` holds the types that carry no picture (comments, delimiters): no decoder misses them, so they do not count.
    `slow`: takes many times as long as the others, and is only measured when asked for.
    """

    encoder: str
    decoder: str
    coarse: int
    fine: int
    options: Callable[[int], dict[str, str]]
    unit_type: Callable[[bytes], int] = lambda unit: 0
    drop: frozenset[int] = frozenset()
    slow: bool = False


def _x264(quality: int) -> dict[str, str]:
    extra = f"crf={quality}:keyint={_KEEP_ALL}:bframes=8:ref=8:threads=1"
    return {"preset": "veryslow", "x264-params": extra}


def _x265(quality: int) -> dict[str, str]:
    extra = f"crf={quality}:keyint=-1:info=0:log-level=none:pools=1:frame-threads=1"
    return {"preset": "veryslow", "x265-params": extra}


def _svtav1(quality: int) -> dict[str, str]:
    return {"preset": "1", "crf": str(quality), "svtav1-params": "lp=1:keyint=-1"}


def _vp9(quality: int) -> dict[str, str]:
    rate = {"crf": str(quality), "b": "0", "g": str(_KEEP_ALL), "threads": "1"}
    return {"deadline": "good", "cpu-used": "0", "auto-alt-ref": "6", "lag-in-frames": "25", **rate}


def _libaom(quality: int) -> dict[str, str]:
    rate = {"crf": str(quality), "b:v": "0", "g": str(_KEEP_ALL), "lag-in-frames": "35"}
    return {"cpu-used": "1", **rate, **_COLOURS}


def _vvenc(quality: int) -> dict[str, str]:
    keep = {"period": "1000", "pix_fmt": "yuv420p10le", "vvenc-params": "threads=1:verbosity=0"}
    return {"preset": "slow", "qp": str(quality), **_COLOURS, **keep}


# The program's own words for what `encode` does with PyAV.
_COLOURS = {"vf": "scale=out_color_matrix=bt709:flags=lanczos", "pix_fmt": "yuv420p"}
PEERS = {
    "x264": Peer("libx264", "h264", 51, 10, _x264, lambda u: u[0] & 31, frozenset({6, 9})),
    "x265": Peer("libx265", "hevc", 51, 10, _x265, lambda u: u[0] >> 1 & 63, frozenset({35, 39, 40})),
    "svtav1": Peer("libsvtav1", "libdav1d", 63, 10, _svtav1),
    "libaom": Peer("libaom-av1", "libdav1d", 63, 10, _libaom, slow=True),
    "vvenc": Peer("libvvenc", "vvc", 63, 25, _vvenc, lambda u: u[1] >> 3, frozenset({20, 23, 24}), slow=True),
    "vp9": Peer("libvpx-vp9", "libvpx-vp9", 63, 4, _vp9),
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a peer makes of a clip: packets of the elementary stream, and frames uint8 [T, H, W, 3] as shown."""

    packets: list[bytes]
    frames: np.ndarray
    settings: dict[str, int]

    @property
    def bytes(self) -> int:
        """Size of the elementary stream."""
        return sum(map(len, self.packets))


def best_answers(
    peer: Peer,
    clip: np.ndarray,
    fps: Fraction,
    budgets: Iterable[int],
    score: Callable[[np.ndarray], float],
    *,
    scales: tuple[int, ...] = SCALES,
    divisors: tuple[int, ...] = DIVISORS,
) -> dict[int, Answer]:
    """For each budget in bytes the answer that fits and scores best; where none fits, the smallest there is.

    `score(frames)` is higher for better pictures. Raises InputError when the encoder cannot take the clip.
    """
    found: dict[int, tuple[float, Answer]] = {}
    smallest: tuple[int, dict[str, int]] | None = None
    for scale, divisor in _forms(clip, scales, divisors):
        small = shrink(clip, scale)[::divisor]
        trial = functools.cache(functools.partial(encode, peer, small, fps / divisor))
        size = functools.cache(lambda quality, run=trial: sum(map(len, run(quality))))
        if smallest is None or size(peer.coarse) < smallest[0]:
            smallest = size(peer.coarse), {"quality": peer.coarse, "scale": scale, "divisor": divisor}
        tried: dict[int, tuple[float, Answer]] = {}
        for budget in sorted(set(budgets)):
            if size(peer.coarse) > budget:
                continue
            quality = finest(size, peer.coarse, peer.fine, budget)
            if quality not in tried:
                answer = _answer(peer, trial(quality), clip.shape, quality, scale, divisor)
                tried[quality] = score(answer.frames), answer
            if budget not in found or tried[quality][0] > found[budget][0]:
                found[budget] = tried[quality]
    if len(found) < len(set(budgets)):
        least = _least(peer, clip, fps, smallest[1])
    return {budget: found[budget][1] if budget in found else least for budget in budgets}


def _answer(peer: Peer, packets: list[bytes], shape, quality: int, scale: int, divisor: int) -> Answer:
    frames = restore(decode(peer, packets), shape, divisor)
    return Answer(packets, frames, {"quality": quality, "scale": scale, "divisor": divisor})


def _least(peer: Peer, clip: np.ndarray, fps: Fraction, settings: dict[str, int]) -> Answer:
    """The smallest answer that the search met."""
    small = shrink(clip, settings["scale"])[:: settings["divisor"]]
    packets = encode(peer, small, fps / settings["divisor"], settings["quality"])
    return _answer(peer, packets, clip.shape, **settings)


def finest(size: Callable[[int], int], coarse: int, fine: int, budget: int) -> int:
    """The finest quality number (fine < coarse) whose size fits the budget; that of `coarse` is known to fit."""
    fits, too_much = coarse, fine - 1
    while fits - too_much > 1:
        middle = (fits + too_much) // 2
        if size(middle) <= budget:
            fits = middle
        else:
            too_much = middle
    return fits


def _forms(clip: np.ndarray, scales, divisors) -> list[tuple[int, int]]:
    """(scale, divisor) that the encoder takes, the smallest pictures first."""
    frames, height, width = clip.shape[:3]
    if min(height, width) < _SMALLEST:
        raise InputError(f"the peers need at least {_SMALLEST} pixels a side, not {width}x{height}")
    good = [s for s in scales if min(height, width) // s >= _SMALLEST] or [1]
    return [(s, d) for s in sorted(good, reverse=True) for d in divisors if d == 1 or d < frames]


def shrink(clip: np.ndarray, scale: int) -> np.ndarray:
    """Frames at 1/scale of their size, both sides even (area filter; whole-size clips of odd size are padded)."""
    height, width = clip.shape[1:3]
    if scale == 1:
        return np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    size = (2 * round(width / scale / 2), 2 * round(height / scale / 2))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip])


def restore(small: np.ndarray, shape: tuple[int, ...], divisor: int) -> np.ndarray:
    """Decoded frames at the clip's size (Lanczos) and rate: each is shown until the next one."""
    frames, height, width = shape[:3]
    if small.shape[1:3] in ((height + height % 2, width + width % 2),):
        big = small[:, :height, :width]
    else:
        big = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_LANCZOS4) for f in small])
    return np.repeat(big, divisor, axis=0)[:frames]


@scheduling_kept()
def encode(peer: Peer, clip: np.ndarray, fps: Fraction, quality: int) -> list[bytes]:
    """Packets of the elementary stream, one a coded frame. Raises InputError when the encoder fails."""
    options = peer.options(quality)
    if peer.encoder not in av.codecs_available:
        packets = ffmpeg.encode(clip, peer.encoder, options, Fraction(fps))
        return [pictures_only(peer, packet) for packet in packets]
    context = av.CodecContext.create(peer.encoder, "w")
    context.height, context.width = clip.shape[1:3]
    context.pix_fmt, context.framerate, context.time_base = "yuv420p", fps, 1 / Fraction(fps)
    context.options = options
    context.thread_count = 1
    packets = []
    try:
        for i, picture in enumerate([*clip, None]):
            frame = None
            if picture is not None:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", interpolation="LANCZOS")
                frame.pts, frame.time_base = i, context.time_base
            packets += context.encode(frame)
    except av.FFmpegError as error:
        raise InputError(f"{peer.encoder} failed on {clip.shape[2]}x{clip.shape[1]}: {error}") from error
    return [pictures_only(peer, bytes(packet)) for packet in packets]


def pictures_only(peer: Peer, packet: bytes) -> bytes:
    """A packet without the units that its decoder does not need, `peer.drop`."""
    if not peer.drop:
        return packet.removeprefix(b"\x12\x00") if peer.decoder == "libdav1d" else packet
    # Annex B: every unit follows 00 00 01; a zero before that belongs to the start code too.
    units = re.split(rb"\x00{2,}\x01", packet)[1:]
    return b"".join(b"\x00\x00\x01" + unit for unit in units if peer.unit_type(unit) not in peer.drop)


def decode(peer: Peer, packets: Iterable[bytes | None]) -> np.ndarray:
    """Frames uint8 [n, h, w, 3] of an elementary stream, as many as the decoder gives."""
    context = av.CodecContext.create(peer.decoder, "r")
    context.thread_count = 1
    frames = []
    for data in [*packets, None]:
        packet = None if data is None else av.Packet(data)
        frames += [
            frame.reformat(format="rgb24", src_colorspace="ITU709", interpolation="LANCZOS").to_ndarray()
            for frame in context.decode(packet)
        ]
    return np.stack(frames)
