"""What the coder left unsteady, evened out along motion: what a receiver may do, not part of the format.

Errors of coding change from frame to frame, most of all where frames between others are made and these are coded
coarsely. A mean runs along the motion through the frames, once forward and once backward, and every frame takes over
as much of it as agrees with the frame within about what the quantiser may have done.

Source: motion-compensated recursive filtering (Dubois and Sabri 1984), in both directions as look-ahead allows.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np

_KEEP = 0.8  # of the mean that is carried from one frame to the next (measured, like all of these)
_AGREE = 0.045  # grey levels within which what is carried counts as the same, times the unit's step to the power 1.5
_MADE = 0.15  # what a made frame has a say in the mean over one coded with the unit's step
_LEAST = 128, 32  # width and height that frames are enlarged to at least before motion is looked for


def steady(tiny: np.ndarray, coarse: np.ndarray, steps: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Decoded frames with the coder's errors evened out in time.

    Args:
        tiny: uint8 [T, h, w, 3].
        coarse: float [T], quantiser step of each frame's unit in grey levels; 0: the frame is left as it is, and
            nothing is carried over it.
        steps: float [T], that of the frame itself; infinite where it was made from others.
        starts: bool [T], the first frames of units: nothing goes back to what came before them, so that a frame
            never waits for a later unit.

    Returns:
        uint8 [T, h, w, 3].
    """
    say = np.maximum(coarse / np.maximum(steps, 1e-3), _MADE).astype(np.float32)
    out = np.empty_like(tiny)
    come = [(tiny[0], 0.0)]
    for first, end in itertools.pairwise([*np.flatnonzero(starts), len(tiny)]):
        come = _carried(tiny, say, coarse, range(max(first - 1, 0), end), come[-1])
        back = _carried(tiny, say, coarse, range(end - 1, first - 1, -1), (tiny[end - 1], 0.0))[::-1]
        for t, one, two in zip(range(first, end), come[first - end :], back):
            out[t] = np.clip(np.rint(_mean((tiny[t], say[t]), one, two)[0]), 0, 255)
    return out


def _carried(tiny, say, coarse, order: Sequence[int], first: tuple) -> list[tuple]:
    """What comes to every frame from those before it in `order`: (colours [h, w, 3], weight [h, w] or 0.0).

    first: what comes to the first of them.
    """
    out, grey = [first], _grey(tiny[order[0]])
    for b, t in itertools.pairwise(order):
        there, grey = grey, _grey(tiny[t])
        if not coarse[b] or not coarse[t]:
            out.append((tiny[t], 0.0))
            continue
        colours, weight = _mean((tiny[b], say[b]), out[-1])
        flow = _flow(grey, there, tiny.shape[1:3])
        colours, weight = _follow(colours, flow, cv2.INTER_CUBIC), _follow(weight, flow, cv2.INTER_LINEAR)
        off = cv2.blur(np.square(colours - tiny[t]).mean(-1), (3, 3))
        out.append((colours, weight * _KEEP * np.exp(-off / (2 * (_AGREE * coarse[t] ** 1.5) ** 2))))
    return out


def _mean(*parts: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of (colours, weight) and the sum of the weights, float32."""
    shape = parts[0][0].shape[:2]
    weights = [np.broadcast_to(np.float32(weight), shape) for _, weight in parts]
    total = np.add.reduce(weights)
    return sum(c * w[..., None] for (c, _), w in zip(parts, weights)) / total[..., None], total


def _grey(frame: np.ndarray) -> np.ndarray:
    """Brightness of a frame, enlarged as the search for motion needs it: uint8."""
    h, w = frame.shape[:2]
    times = max(-(-_LEAST[0] // w), -(-_LEAST[1] // h))
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (w * times, h * times), interpolation=cv2.INTER_CUBIC)


def _flow(grey: np.ndarray, other: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Optical flow from a picture to another in pixels of frames of `size` (h, w): float32 [h, w, 2]
    (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016, as OpenCV has it)."""
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey, other, None)
    h, w = size
    return cv2.resize(found, (w, h), interpolation=cv2.INTER_AREA) * (w / grey.shape[1])


def _follow(plane: np.ndarray, flow: np.ndarray, way: int) -> np.ndarray:
    """A plane as the flow finds it, with one of OpenCV's ways to interpolate."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(plane, x + flow[..., 0], y + flow[..., 1], way, borderMode=cv2.BORDER_REPLICATE)
