"""Small clips that the tests make for themselves."""

from fractions import Fraction

import av
import numpy as np


def moving_picture(frames: int, height: int, width: int) -> np.ndarray:
    """Smooth colours that drift: uint8 [T, H, W, 3]; no two frames and no two corners alike."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    red = 40 + 170 * x / max(width - 1, 1)
    green = 220 - 180 * y / max(height - 1, 1)
    blue = 128 + 90 * np.sin(x / 9 + y / 7 + t / 2)
    return np.round(np.stack([red, green, blue], -1)).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b.astype(float)) ** 2), 1e-10)))


def encode(
    path, video, *, codec="libx264", pixels="yuv444p", rate=25, times=None, tick=None, tags=None, **more
):
    """Writes `video` (any channel count that `source` has) with PyAV alone; returns the path as text.

    `times` are display times in units of `tick`; `more`: source (pixel format of `video`), options, rotation,
    matrix and span (1 limited, 2 full) of the conversion, container options.
    """
    options = more.get("options", {"crf": "4"} if codec == "libx264" else {})
    with av.open(str(path), "w", options=more.get("container", {})) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = pixels
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if "rotation" in more:
            stream.set_display_rotation(more["rotation"])
        if tick is not None:
            stream.time_base = stream.codec_context.time_base = tick
        for i, picture in enumerate(video):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), more.get("source", "rgb24"))
            frame = frame.reformat(
                format=pixels, dst_colorspace=more.get("matrix"), dst_color_range=more.get("span")
            )
            frame.pts = i if times is None else times[i]
            frame.time_base = Fraction(1, rate) if tick is None else tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)
