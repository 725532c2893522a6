"""Encoders that PyAV does not carry, libaom and VVenC, by the ffmpeg program of the package imageio-ffmpeg."""

import functools
import io
import subprocess
from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np

from semjax.errors import InputError

FORMATS = {"libaom-av1": "obu", "libvvenc": "vvc"}  # encoder: its elementary stream


@functools.cache
def program() -> str | None:
    """Path of the ffmpeg program; None without the package."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    return imageio_ffmpeg.get_ffmpeg_exe()


@functools.cache
def carries(encoder: str) -> bool:
    """Whether PyAV or the program has an encoder."""
    if encoder in av.codecs_available:
        return True
    if encoder not in FORMATS or program() is None:
        return False
    listed = subprocess.run([program(), "-hide_banner", "-encoders"], capture_output=True, text=True)
    return f" {encoder} " in listed.stdout


def encode(
    frames: np.ndarray, encoder: str, options: Mapping[str, str], fps: Fraction = Fraction(25)
) -> list[bytes]:
    """Packets of the elementary stream of grey [T, h, w] or RGB [T, h, w, 3] frames, uint8, one a coded frame.

    options: those of the ffmpeg program, without the dash. Raises InputError when the encoder fails or is not there.
    """
    if encoder not in FORMATS or not carries(encoder):
        raise InputError(f"there is no encoder {encoder} here; pip install imageio-ffmpeg")
    height, width = frames.shape[1:3]
    raw = ["-f", "rawvideo", "-pix_fmt", "gray" if frames.ndim == 3 else "rgb24", "-s", f"{width}x{height}"]
    chosen = [word for name, value in options.items() for word in (f"-{name}", value)]
    command = [
        program(),
        "-hide_banner",
        "-loglevel",
        "error",
        *raw,
        "-r",
        str(fps),
        "-i",
        "-",
        "-c:v",
        encoder,
    ]
    command += [*chosen, "-threads", "1", "-f", FORMATS[encoder], "-"]
    done = subprocess.run(command, input=np.ascontiguousarray(frames).tobytes(), capture_output=True)
    if done.returncode or not done.stdout:
        raise InputError(
            f"{encoder} failed on {width}x{height}: {done.stderr.decode(errors='replace')[-300:]}"
        )
    with av.open(io.BytesIO(done.stdout), format=FORMATS[encoder]) as stream:
        return [bytes(packet) for packet in stream.demux(video=0) if packet.size]
