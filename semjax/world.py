"""World models: the frames of a segment from its first picture, the next segment's first picture, words and motion.

Segment             what a world model is told of a stretch of a clip
WorldModel          the interface: a step makes the next frames of a segment
Interpolator        the one without weights: motion-compensated, occlusion-aware interpolation (ours)

Larger models come in through the same interface; semjax.systems.lgvsc makes one of every diffusion generator.
"""

import dataclasses
from typing import Any, Protocol

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8

from semjax.errors import InputError
from semjax.semantics import motion

REFERENCE = 576  # pixels of width that motion scores are stated for, those of LGVSC's generator
OVERLAP = 5  # frames of the preceding segment that a world model is shown


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a clip: `frames` frames from frame `first` on, height x width pixels.

    start: uint8 [H, W, 3], the picture of the first frame; end: that of the frame behind the last one. Either may be
    None (lost, or there is none). cut: the end shows another scene. caption: what happens. score: mean length of the
    motion from one frame to the next, in pixels at a width of 576; None: not known. before: uint8 [k, H, W, 3], the
    frames made before these, the last one last.
    """

    first: int
    frames: int
    height: int
    width: int
    start: np.ndarray | None = None
    end: np.ndarray | None = None
    cut: bool = False
    caption: str = ""
    score: float | None = None
    before: np.ndarray | None = None

    def __post_init__(self):
        if self.frames < 1:
            raise InputError(f"a segment has at least one frame, not {self.frames}")
        for picture in (self.start, self.end):
            if picture is not None and picture.shape != (self.height, self.width, 3):
                raise InputError(
                    f"a keyframe of shape {picture.shape} is no {self.width}x{self.height} picture"
                )


class WorldModel(Protocol):
    """Makes the frames of segments, a few at a time and in order."""

    name: str

    def step(
        self, segment: Segment, at: int, count: int, state: Any, key: jax.Array
    ) -> tuple[UInt8[np.ndarray, "n H W 3"], Any]:
        """Frames `at` to `at + count - 1` of a segment (0 is its first) and the state for the call after this one.

        The state of a clip's first call is None; it goes on from segment to segment.
        """


@dataclasses.dataclass(frozen=True)
class Path:
    """How the content of a segment moves: the two pictures with their flow to each other, as float32.

    forward [H, W, 2]: from the start's pixels to the end; backward: from the end's to the start. sure, sure_back
    [H, W]: 0 to 1, how far the two flows agree.
    """

    start: np.ndarray
    end: np.ndarray
    forward: Float[np.ndarray, "H W 2"]
    backward: Float[np.ndarray, "H W 2"]
    sure: Float[np.ndarray, "H W"]
    sure_back: Float[np.ndarray, "H W"]


@dataclasses.dataclass(frozen=True)
class Interpolator:
    """World model without weights: content moves straight from its place in one keyframe to that in the next (ours).

    fine: the motion between is found on pictures smaller by this factor. trust: pixels (and a tenth of the
    displacement) by which a place may move otherwise than its keyframe says and still be painted from it.
    """

    fine: int = 2
    trust: float = 1.0
    name: str = "none"

    def step(self, segment: Segment, at: int, count: int, state: Any, key: jax.Array):
        """The next frames; see `WorldModel.step`. Draws no random numbers: the key is not used."""
        del key
        start, end = segment.start, segment.end
        if segment.cut and start is not None:
            end = None
        shown = start if start is not None else end
        if shown is None:
            shown = _latest(segment)
        if start is None or end is None or segment.frames == 1:
            return np.repeat(shown[None], count, 0), None
        if state is None or state[0] != segment.first:
            state = (segment.first, find_path(start, end, segment.score, segment.frames))
        times = (np.arange(at, at + count) / segment.frames).astype(np.float32)
        return np.stack([between(state[1], t, self.fine, self.trust) for t in times]), state


def _latest(segment: Segment) -> np.ndarray:
    if segment.before is not None and len(segment.before):
        return segment.before[-1]
    return np.full((segment.height, segment.width, 3), 128, np.uint8)


def motion_score(flow: Float[np.ndarray, "h w 2"]) -> float:
    """Mean length of a flow in pixels at a width of 576 (LGVSC's side information, arXiv 2606.12899)."""
    return float(np.linalg.norm(flow, axis=-1).mean()) * REFERENCE / flow.shape[1]


def find_path(
    start: UInt8[np.ndarray, "H W 3"],
    end: UInt8[np.ndarray, "H W 3"],
    score: float | None = None,
    frames: int = 1,
) -> Path:
    """How content moves between two pictures that are `frames` frames apart.

    Where the flow between them says that more has moved than `score` pixels a frame allow, it is shortened to that.
    """
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (start, end)]
    forward, backward = motion.dense_flow(grey[0], grey[1]), motion.dense_flow(grey[1], grey[0])
    sure, sure_back = motion.returns(forward, backward), motion.returns(backward, forward)
    if score is not None:
        found = (motion_score(forward) + motion_score(backward)) / 2
        shorter = min(1.0, 1.25 * score * frames / max(found, 1e-6))
        forward, backward = forward * np.float32(shorter), backward * np.float32(shorter)
    return Path(start.astype(np.float32), end.astype(np.float32), forward, backward, sure, sure_back)


def between(path: Path, t: float, fine: int, trust: float) -> UInt8[np.ndarray, "H W 3"]:
    """The picture at time t, 0 (the start) to 1 (the end).

    The displacements of both pictures are carried along to t and averaged by how sure they are; every place then
    takes its colour from the two pictures where it was and will be, unless what is there moves otherwise (it is
    hidden in that picture), nearer pictures counting more. Where nothing is sure one picture fades into the other.
    """
    if t <= 0:
        return path.start.astype(np.uint8)
    moved = _meeting(path, t, fine)
    grid = motion.pixel_grid(*moved.shape[:2])
    total, weights = 0.0, 0.0
    for picture, flow, share, sign in (
        (path.start, path.forward, 1 - t, t),
        (path.end, -path.backward, t, t - 1),
    ):
        at = grid - sign * moved
        there = cv2.remap(flow, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        apart = np.linalg.norm(there - moved, axis=-1) / (trust + 0.1 * np.linalg.norm(moved, axis=-1))
        height, width = moved.shape[:2]
        inside = ((at >= 0) & (at <= [width - 1, height - 1])).all(-1)
        weight = (share * (1e-3 + np.exp(-(apart**2)) * inside)).astype(np.float32)[..., None]
        shown = cv2.remap(picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        total, weights = total + weight * shown, weights + weight
    return np.clip(np.rint(total / weights), 0, 255).astype(np.uint8)


def _meeting(path: Path, t: float, fine: int) -> Float[np.ndarray, "H W 2"]:
    """The displacement from start to end of what is at each place at time t, found on pictures `fine` times smaller."""
    height, width = path.sure.shape
    small = (max(1, -(-width // fine)), max(1, -(-height // fine)))
    scale = np.array([small[0] / width, small[1] / height], np.float32)
    sums, sure_sums = np.zeros((small[1], small[0], 3), np.float32), 0.0
    # (flow to the other picture, share of it that lies between here and t, its sign as a displacement, sureness)
    sides = ((path.forward, t, 1, path.sure), (path.backward, 1 - t, -1, path.sure_back))
    for flow, share, sign, sure in sides:
        flow = cv2.resize(flow, small, interpolation=cv2.INTER_AREA) * scale
        sure = cv2.resize(sure, small, interpolation=cv2.INTER_AREA)
        one, weight = np.ones_like(sure), (1 - share) * sure + 1e-4
        carried = splat(share * flow, np.dstack([sign * flow * weight[..., None], weight, sure, one]))
        sums += carried[..., :3]
        sure_sums = sure_sums + cv2.GaussianBlur(carried[..., 3:], (0, 0), max(1.0, small[0] / 60))
    # Gaps take the motion around them; faintly everywhere, so that nothing is divided by nothing.
    for sigma, share in ((1.0, 0.1), (4.0, 0.01), (16.0, 0.001)):
        sums = sums + share * cv2.GaussianBlur(sums, (0, 0), sigma)
    moved = sums[..., :2] / np.maximum(sums[..., 2:], 1e-12) / scale
    # Where the two flows contradict each other around a place, fading looks better than a guess.
    sure = sure_sums[..., 0] / np.maximum(sure_sums[..., 1], 1e-6)
    moved *= np.clip(1.6 * sure - 0.2, 0, 1)[..., None]
    return cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR)


def splat(flow: Float[np.ndarray, "h w 2"], values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w c"]:
    """Values carried along a flow and added up bilinearly where they arrive; what leaves the picture is dropped."""
    height, width, channels = values.shape
    x, y = np.moveaxis(motion.pixel_grid(height, width) + flow, -1, 0)
    left, top = np.floor(x), np.floor(y)
    out = np.zeros((channels, height * width))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = (left + dx).astype(np.int64), (top + dy).astype(np.int64)
        share = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
        there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        place = (row * width + column)[there]
        for channel in range(channels):
            weights = (share * values[..., channel])[there]
            out[channel] += np.bincount(place, weights, minlength=height * width)
    return np.moveaxis(out.reshape(channels, height, width), 0, -1).astype(np.float32)
