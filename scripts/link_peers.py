"""H.264 and H.265 over the link, for scripts/bench_channel.py: encoded by x264 and x265, decoded by libav.

A bitstream is cut into packets as ours is: at most 511 bytes behind a header of 3. NAL units, each behind a length of
2 bytes, share a packet where they fit and are split where they must be. Parameter sets open the session as our
stream's header does. A NAL unit of which a piece is lost is removed; libav conceals what it can of the rest, frames
that it does not give are frozen, and before the first one the picture is grey.
"""

import dataclasses

import av
import cv2
import numpy as np

PAYLOAD, OVERHEAD, NAL_LENGTH = 511, 3, 2
REFRESHED = "x264 intra refresh"
CODECS = {
    "x264": ("libx264", {"preset": "veryslow"}, "x264-params", "keyint=infinite:scenecut=0"),
    REFRESHED: (
        "libx264",
        {"preset": "veryslow"},
        "x264-params",
        "keyint=24:intra-refresh=1:bframes=0:slice-max-size=500",
    ),
    "x265": ("libx265", {"preset": "slower"}, "x265-params", "keyint=-1:info=0:pools=1:log-level=none"),
}
_SETS, _SEI = {"h264": (7, 8), "hevc": (32, 33, 34)}, {"h264": (6,), "hevc": (39, 40)}


@dataclasses.dataclass(frozen=True)
class Encoded:
    """One encoding: parameter sets, then (presentation number, NAL unit) in decoding order."""

    codec: str
    crf: float
    size: tuple[int, int]  # width, height as coded
    header: bytes
    nals: tuple[tuple[int, bytes], ...]

    @property
    def packets(self) -> tuple[list[int], list[list[int]]]:
        """(packet sizes in bytes, for each NAL unit the packets that hold a piece of it)."""
        sizes, homes = [], []
        for _, nal in self.nals:
            left, home = len(nal) + NAL_LENGTH, []
            if not sizes or sizes[-1] + left > PAYLOAD + OVERHEAD:
                sizes.append(OVERHEAD)
            while left:
                if sizes[-1] == PAYLOAD + OVERHEAD:
                    sizes.append(OVERHEAD)
                piece = min(left, PAYLOAD + OVERHEAD - sizes[-1])
                sizes[-1] += piece
                left -= piece
                home.append(len(sizes) - 1)
            homes.append(home)
        return sizes, homes


def _family(codec):
    return "hevc" if codec == "x265" else "h264"


def _split(data: bytes) -> list[bytes]:
    """NAL units of an Annex B byte string."""
    parts = data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


def encode(frames: np.ndarray, fps, codec: str, crf: float, scale: int) -> Encoded:
    """Frames uint8 [T, H, W, 3], scaled down by `scale`, at constant quality `crf`."""
    name, options, params, more = CODECS[codec]
    height, width = (2 * round(side / scale / 2) for side in frames.shape[1:3])
    coder = av.CodecContext.create(name, "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = width, height, "yuv420p", fps
    coder.time_base = 1 / fps
    coder.thread_count = 1
    coder.options = {**options, params: f"{more}:crf={crf}"}
    nals, sets, family = [], [], _family(codec)
    pictures = [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
    for number, picture in enumerate([*pictures, None]):
        frame = None
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
        for packet in coder.encode(frame):
            for nal in _split(bytes(packet)):
                kind = nal[0] >> 1 & 63 if family == "hevc" else nal[0] & 31
                if kind in _SETS[family]:
                    sets += [] if nal in sets else [nal]
                elif kind not in _SEI[family]:
                    nals.append((packet.pts, nal))
    return Encoded(codec, crf, (width, height), b"".join(b"\x00\x00\x01" + s for s in sets), tuple(nals))


def decode(sent: Encoded, arrived: list[bool], shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """(uint8 [T, H, W, 3], share of frames that libav gave) from the NAL units that arrived."""
    coder = av.CodecContext.create(_family(sent.codec), "r")
    coder.thread_count = 1
    coder.options = {"flags": "+output_corrupt", "flags2": "+showall", "err_detect": "ignore_err"}
    units: dict[int, bytes] = {}
    for (number, nal), there in zip(sent.nals, arrived):
        if there:
            units[number] = units.get(number, b"") + b"\x00\x00\x01" + nal
    shown, first = {}, True
    for number, unit in [*units.items(), (None, b"")]:
        packet = None
        if number is not None:
            packet = av.Packet((sent.header if first else b"") + unit)
            packet.pts, first = number, False
        try:
            for frame in coder.decode(packet):
                if frame.pts is not None:
                    shown[frame.pts] = frame.to_ndarray(format="rgb24")
        except av.error.FFmpegError:
            continue
    out = np.full(shape, 128, np.uint8)
    for number in range(shape[0]):
        if number in shown:
            size = (shape[2], shape[1])
            out[number] = cv2.resize(shown[number], size, interpolation=cv2.INTER_CUBIC)
        elif number:
            out[number] = out[number - 1]
    return out, len([n for n in shown if 0 <= n < shape[0]]) / shape[0]
