"""Between RGB pixels and the planes that the texture layer codes.

The planes are an orthonormal opponent space (ours): brightness (R+G+B)/sqrt(3), red-blue (R-B)/sqrt(2)
and green-magenta (2G-R-B)/sqrt(6). Orthonormal, so that an error in a plane is the same error in RGB whatever
the plane, and one step size serves all three. The two colour planes have half the size in both directions; a
sample there is the orthonormal sum of its four pixels, so that the step size stays common.

The way to the planes is the encoder's business and uses floats. The way back is integer arithmetic.
"""

import numpy as np
from numba import njit

from semjax.errors import InputError

PLANE_BITS = 4  # planes are integers in units of 1/16 grey level
_FORWARD = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float64)
_FORWARD /= np.linalg.norm(_FORWARD, axis=1, keepdims=True)
# Columns of the inverse in units of 2^-14: 1/sqrt(3), 1/sqrt(2), 1/sqrt(6), 2/sqrt(6).
_THIRD, _HALF, _SIXTH, _TWO_SIXTHS = 9459, 11585, 6689, 13377


def check_video(video: np.ndarray, name: str = "video") -> None:
    """Raise InputError unless `video` is uint8 [T, H, W, 3] with at least one frame and one pixel."""
    if (
        not isinstance(video, np.ndarray)
        or video.dtype != np.uint8
        or video.ndim != 4
        or video.shape[-1] != 3
    ):
        got = f"{video.dtype} {list(video.shape)}" if isinstance(video, np.ndarray) else type(video).__name__
        raise InputError(f"{name} must be a uint8 array [T, H, W, 3], got {got}")
    if 0 in video.shape:
        raise InputError(f"{name} must have at least one frame and one pixel, got shape {list(video.shape)}")


def tiny_size(height: int, width: int, tiny_width: int) -> tuple[int, int]:
    """Height and width of the tiny frame of a clip of `height` x `width`; never larger than the clip."""
    w = min(tiny_width, width)
    return max(1, (height * w + width // 2) // width), w


def shrink(frames: np.ndarray, width: int) -> np.ndarray:
    """Area-filter frames down to `width` pixels.

    Args:
        frames: uint8 [T, H, W, 3].
        width: width of the tiny frames in pixels; a clip narrower than that keeps its size.

    Returns:
        uint8 [T, h, w, 3], the aspect ratio kept to the nearest row.

    Raises:
        InputError: wrong type or shape.
    """
    import cv2

    check_video(frames, "frames")
    h, w = tiny_size(frames.shape[1], frames.shape[2], width)
    if (h, w) == frames.shape[1:3]:
        return frames.copy()
    resize = [cv2.resize(np.ascontiguousarray(f), (w, h), interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack(resize)


def plane_sizes(h: int, w: int) -> list[tuple[int, int]]:
    """Sizes of the three planes of a frame of `h` x `w` pixels."""
    half = ((h + 1) // 2, (w + 1) // 2)
    return [(h, w), half, half]


def to_planes(frames: np.ndarray) -> list[np.ndarray]:
    """uint8 [T, h, w, 3] to three int32 planes [T, h, w] and twice [T, h/2, w/2] (halves rounded up)."""
    opponent = (frames.astype(np.float64) - 128.0) @ _FORWARD.T * (1 << PLANE_BITS)
    _, h, w, _ = opponent.shape
    colour = np.pad(opponent[..., 1:], ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    colour = (colour[:, 0::2] + colour[:, 1::2]) / 2
    colour = colour[:, :, 0::2] + colour[:, :, 1::2]
    planes = opponent[..., 0], colour[..., 0], colour[..., 1]
    return [np.rint(p).astype(np.int32) for p in planes]


@njit(cache=True)
def _to_rgb(out, y, a, b):
    """Fill uint8 [T, h, w, 3] from three int32 planes."""
    count, h, w = y.shape
    tall = np.empty((2, a.shape[2]), np.int64)  # one line of both colour planes, upsampled in height
    for t in range(count):
        for i in range(h):
            near = i >> 1
            other = min(max(near + (1 if i & 1 else -1), 0), a.shape[1] - 1)
            for k in range(tall.shape[1]):
                tall[0, k] = 3 * a[t, near, k] + a[t, other, k]
                tall[1, k] = 3 * b[t, near, k] + b[t, other, k]
            for j in range(w):
                k = j >> 1
                n = min(max(k + (1 if j & 1 else -1), 0), tall.shape[1] - 1)
                # The colour planes carry a factor 2 (orthonormal sum of four) and 16 from upsampling: 32 in all.
                base = _THIRD * 32 * np.int64(y[t, i, j])
                ca, cb = 3 * tall[0, k] + tall[0, n], 3 * tall[1, k] + tall[1, n]
                out[t, i, j, 0] = _clip(base + _HALF * ca - _SIXTH * cb)
                out[t, i, j, 1] = _clip(base + _TWO_SIXTHS * cb)
                out[t, i, j, 2] = _clip(base - _HALF * ca - _SIXTH * cb)


@njit(cache=True, forceinline=True)
def _clip(v):
    """Grey level 0..255 of a value in units of 2^-(14 + 5 + PLANE_BITS) around mid-grey."""
    return min(max((v + (1 << (18 + PLANE_BITS)) >> (19 + PLANE_BITS)) + 128, 0), 255)


def to_rgb(planes: list[np.ndarray]) -> np.ndarray:
    """Inverse of `to_planes` in integer arithmetic: three int32 planes to uint8 [T, h, w, 3]."""
    out = np.empty((*planes[0].shape, 3), np.uint8)
    _to_rgb(out, *planes)
    return out
