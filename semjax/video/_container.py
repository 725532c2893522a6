"""Video files through PyAV (FFmpeg): what is in them, and their frames as RGB.

Containers are not believed. Frames are counted from the packets, and by decoding where packets and container
disagree or where one packet need not be one frame.
"""

import contextlib
import itertools
import logging
import pathlib
import struct
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from semjax.errors import InputError
from semjax.video._pictures import DEFAULT_FPS, MAX_PIXELS, check_size, over_black

log = logging.getLogger("semjax")

# Codecs with exactly one shown frame per packet once the first frame turned out progressive. The others (VP8
# with hidden frames, MPEG-4 with packed B-frames, field pictures...) are counted by decoding.
_FRAME_PER_PACKET = frozenset(
    ["h264", "hevc", "vp9", "av1", "mjpeg", "png", "apng", "gif", "ffv1", "prores", "dnxhd", "rawvideo"]
)
# Demuxers that turn text into pictures or read other files on behalf of this one.
_NOT_VIDEO = frozenset(
    ["tty", "ansi", "lavfi", "concat", "hls", "image2", "bin", "idf", "xbin", "sbg", "txd"]
)
_ALPHA_NAMES = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8", "ayuv", "vuya")


class FileSource:
    """A video file: exact count, shown size (after rotation) and rate; `rgb` decodes it anew each time."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        first = next(self._frames(), None)
        if first is None:
            raise InputError(f"No frame of {path} can be decoded; the file is empty, damaged or not a video.")
        self._stored = (first.width, first.height)
        self.height, self.width = self._to_rgb(first).shape[:2]
        self._scan(progressive=not first.interlaced_frame)

    @contextlib.contextmanager
    def _open(self):
        """The container, its picture stream, and a decoder for it."""
        try:
            container = av.open(str(self.path), metadata_errors="ignore")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be read as a video ({_reason(error)}); "
                "expected mp4, mov, webm, mkv, avi or gif."
            ) from error
        with container:
            names = set(container.format.name.split(","))
            streams = [s for s in container.streams.video if not _is_cover(s)]
            if not streams or names & _NOT_VIDEO:
                raise InputError(f"{self.path} has no video stream; name a file that holds moving pictures.")
            stream = streams[0]
            if stream.codec_context is None:
                raise InputError(
                    f"{self.path} is damaged or of a kind that FFmpeg cannot decode; convert it to H.264."
                )
            check_size(self.path, stream.codec_context.width, stream.codec_context.height)
            decoder = _decoder(stream)
            decoder.thread_type = "AUTO"
            decoder.options = {"max_pixels": str(MAX_PIXELS)}
            yield container, stream, decoder

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Every frame that decodes, in order of display; damage is skipped and reported once at the end."""
        damaged = 0
        with self._open() as (container, stream, decoder):
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except (av.FFmpegError, OSError):
                    damaged += 1
                    break
                if packet.size == 0 and packet.dts is None:
                    break  # the demuxer's end mark: flushed below
                try:
                    yield from decoder.decode(packet)
                except av.FFmpegError:
                    damaged += 1
            try:
                yield from decoder.decode(None)
            except av.FFmpegError:
                damaged += 1
        if damaged:
            log.warning("%s: %d damaged packets were skipped.", self.path, damaged)

    def _scan(self, *, progressive: bool) -> None:
        """Sets count, fps, variable_rate from the packets, or from all frames if packets cannot be trusted."""
        with self._open() as (container, stream, _):
            promised, codec = stream.frames, stream.codec_context.name
            tick = stream.time_base
            rates = [r for r in (stream.average_rate, stream.guessed_rate, stream.base_rate) if r]
            times, broken, last = [], False, None
            try:
                for packet in container.demux(stream):
                    if packet.size and not packet.is_discard:
                        broken |= packet.is_corrupt or packet.pts is None
                        times.append(packet.pts)
                        if last is None or (packet.pts or 0) >= (last.pts or 0):
                            last = packet
            except (av.FFmpegError, OSError):
                broken = True
            tail = last.duration if last is not None else None
        trusted = progressive and not broken and codec in _FRAME_PER_PACKET and promised == len(times)
        if not trusted or len(set(times)) < len(times):
            times = [f.pts for f in self._frames()]
            if promised > len(times) and broken:
                log.warning("%s: only %d of %d frames can be decoded.", self.path, len(times), promised)
        self.count = len(times)
        self.fps, self.variable_rate = _rate(times, tick, rates, tail)

    def rgb(self, start: int) -> Iterator[np.ndarray]:
        """Frames from `start` on, uint8 [H, W, 3].

        Exactly `count - start` of them: where damage swallowed frames after the count was made, the last
        good one is held, so that sound, labels and captions stay in step.
        """
        frame, given = None, start
        for frame in itertools.islice(self._frames(), start, self.count):
            yield self._to_rgb(frame)
            given += 1
        if given < self.count:
            if frame is None:
                raise InputError(f"{self.path} cannot be decoded from frame {start} on; the file is damaged.")
            log.warning(
                "%s: the last %d frames are missing and repeat the one before.", self.path, self.count - given
            )
            held = self._to_rgb(frame)
            for _ in range(self.count - given):
                yield held.copy()

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """One frame -> uint8 [H, W, 3]: the matrix and range the file states, alpha over black, upright.

        Untagged YUV is BT.601 limited range, FFmpeg's convention (PyAV, imageio and OpenCV agree on it).
        Frames of another size than the first (streams that change resolution) are scaled to it.
        """
        width, height = self._stored
        matrix = frame.side_data.get("DISPLAYMATRIX")
        has_alpha = frame.format.name.startswith(_ALPHA_NAMES)
        try:
            pixels = frame.to_ndarray(format="rgba" if has_alpha else "rgb24", width=width, height=height)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{self.path} has frames that cannot be shown as RGB ({_reason(error)}); convert it to H.264."
            ) from error
        if has_alpha:
            pixels = over_black(pixels)
        return pixels if matrix is None else upright(pixels, bytes(matrix))


def upright(pixels: np.ndarray, matrix: bytes) -> np.ndarray:
    """Applies a display matrix (nine 16.16 integers, ISO/IEC 14496-12 6.2.2) to [H, W, C], in quarter turns.

    A point (x, y) is shown at (a x + c y, b x + d y); angles that are no quarter turns go to the nearest one.
    """
    a, b, _, c, d = struct.unpack("<5i", matrix[:20])
    if abs(a) + abs(d) < abs(b) + abs(c):  # x and y change places
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _decoder(stream):
    """The decoder to use: FFmpeg's own VP8 and VP9 drop the alpha plane of WebM, libvpx keeps it."""
    vpx = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    has_alpha = any(k.lower() == "alpha_mode" and v == "1" for k, v in stream.metadata.items())
    if not (vpx and has_alpha):
        return stream.codec_context
    decoder = av.CodecContext.create(vpx, "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder


def _is_cover(stream) -> bool:
    """True for a cover picture in a sound file."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _rate(times: list, tick: Fraction, rates: list[Fraction], tail: int | None) -> tuple[Fraction, bool]:
    """(frames per second, variable?) from display times in ticks; `rates` are the container's claims.

    A rate is taken when every frame lies within one tick of its grid, so that times in milliseconds do not make
    30000/1001 variable; plain rates go first, since containers with coarse ticks claim things like 355/12 for 30.
    Otherwise the rate is the average up to the end of the last frame.
    """
    if len(times) < 2 or any(t is None for t in times):
        return (Fraction(rates[0]) if rates else DEFAULT_FPS), False
    shown = np.sort(np.asarray(times, np.int64))
    shown = shown - shown[0]
    span = int(shown[-1])
    if span <= 0:
        return (Fraction(rates[0]) if rates else DEFAULT_FPS), False
    average = Fraction(len(times) - 1, 1) / (span * tick)
    index = np.arange(len(times))
    whole, ntsc = Fraction(round(average)), Fraction(round(average * 1001 / 1000) * 1000, 1001)
    plain = [r for r in rates if r.denominator in (1, 2, 1001)]
    for rate in (*plain, whole, ntsc, *rates, average):
        if rate > 0 and np.abs(shown - index * float(1 / (rate * tick))).max() <= 1.0:
            return Fraction(rate).limit_denominator(1_000_000), False
    if tail:
        average = Fraction(len(times), 1) / ((span + tail) * tick)
    return average.limit_denominator(60_000), True


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
