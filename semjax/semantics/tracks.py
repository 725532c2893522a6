"""What label maps do over time: a short, constant-size record per label and of the camera."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from semjax.errors import InputError
from semjax.semantics import motion
from semjax.semantics.change import CutConfig, CutState, cut_step
from semjax.semantics.palette import NAMES, colour_votes

_WORK_WIDTH = 192
_PATH_POINTS = 16
SIDES = ("left", "right", "top", "bottom")


@dataclasses.dataclass(frozen=True)
class Track:
    """One label over the frames of a segment. Lengths are shares of the picture's width, y counts downwards.

    label: the label; first, last: the first and last frame (inclusive) that it was seen in.
    frames: in how many frames it was seen.
    since: the frame it first ever appeared in, before this segment perhaps.
    area, first_area, last_area: share of the picture covered: mean, in the first and in the last frame.
    position, first_position, last_position: centre of gravity (x, y), mean and at both ends.
    path: up to 16 evenly spaced positions; path_step: frames between them.
    moved: sum over the segment of its motion minus the camera's, (dx, dy).
    travelled: length of the way that `moved` is the straight line of.
    turned: rotation in radians, clockwise, minus the camera's.
    votes: pixels by colour name (see `palette.NAMES`).
    first_sides, last_sides: sides of the picture it touched in its first and its last frame.
    """

    label: int
    first: int
    last: int
    frames: int
    since: int
    area: float
    first_area: float
    last_area: float
    position: tuple[float, float]
    first_position: tuple[float, float]
    last_position: tuple[float, float]
    path: tuple[tuple[float, float], ...]
    path_step: int
    moved: tuple[float, float]
    travelled: float
    turned: float
    votes: tuple[float, ...]
    first_sides: frozenset[str]
    last_sides: frozenset[str]

    @property
    def speed(self) -> float:
        """Mean length of way per frame, in picture widths."""
        return self.travelled / max(1, self.frames - 1)

    @property
    def growth(self) -> float:
        """Area at the end over area at the beginning."""
        return self.last_area / self.first_area


@dataclasses.dataclass(frozen=True)
class Camera:
    """What the whole picture did over a segment, as the camera's own motion (the picture moves the other way).

    pan, tilt: to the right and downwards, in picture widths; zoom: natural logarithm of the magnification;
    roll: radians, clockwise.
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    roll: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrackState:
    """Tracks of the running segment. Grows with the number of labels (at most 256), never with time.

    first: the segment's first frame; frame: how many frames of the clip have been seen; cut: see `change.cut_step`
    (nothing moves from one scene to the next).
    """

    first: int = 0
    frame: int = 0
    size: tuple[int, int] | None = None
    grey: UInt8[np.ndarray, "h w"] | None = None
    tracks: tuple[Track, ...] = ()
    camera: Camera = dataclasses.field(default_factory=Camera)
    cut: CutState = dataclasses.field(default_factory=CutState)


def tracks_init() -> TrackState:
    """The state before a clip's first frame."""
    return TrackState()


def tracks_update(
    state: TrackState, frames: UInt8[np.ndarray, "n H W 3"], labels: UInt8[np.ndarray, "n H W"]
) -> TrackState:
    """Take in the next `n` frames and their label maps.

    The result does not depend on how the clip is cut into calls.

    Raises:
        InputError: frames or labels of another type, shape or size.
    """
    if getattr(frames, "dtype", None) != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise InputError(f"Frames must be uint8 [n, H, W, 3], but are {_kind(frames)}.")
    if getattr(labels, "dtype", None) != np.uint8 or labels.shape != frames.shape[:3]:
        raise InputError(
            f"Labels must be uint8 {list(frames.shape[:3])} like the frames, but are {_kind(labels)}."
        )
    if state.size is not None and frames.shape[1:3] != state.size:
        raise InputError(f"Frames must keep the clip's size {state.size}, but are {frames.shape[1:3]}.")
    for frame, label in zip(frames, labels, strict=True):
        state = _update(state, frame, label)
    return state


def next_segment(state: TrackState) -> TrackState:
    """Begin a new segment: sums start again, labels that are in the last frame stay known.

    A track of the new segment has `since` before `first` if it was there already.
    """
    living = tuple(_renewed(t) for t in state.tracks if t.last == state.frame - 1)
    return dataclasses.replace(state, first=state.frame, tracks=living, camera=Camera())


def seen(state: TrackState) -> tuple[Track, ...]:
    """The tracks seen in the running segment, by label."""
    return tuple(t for t in state.tracks if t.frames)


def _renewed(track: Track) -> Track:
    return dataclasses.replace(
        track,
        frames=0,
        area=0.0,
        first_area=track.last_area,
        first_position=track.last_position,
        path=(),
        path_step=1,
        moved=(0.0, 0.0),
        travelled=0.0,
        turned=0.0,
        votes=(0.0,) * len(NAMES),
        first_sides=track.last_sides,
    )


def _kind(array: object) -> str:
    return f"{getattr(array, 'dtype', type(array).__name__)} {list(getattr(array, 'shape', []))}"


def _update(state: TrackState, frame: np.ndarray, labels: np.ndarray) -> TrackState:
    height, width = labels.shape
    work = (min(width, _WORK_WIDTH), max(1, round(height * min(1.0, _WORK_WIDTH / width))))
    small = cv2.resize(np.ascontiguousarray(frame), work, interpolation=cv2.INTER_AREA)
    label = cv2.resize(np.ascontiguousarray(labels), work, interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    votes = colour_votes(small, label)
    step = {}
    camera = state.camera
    new_scene, cut = cut_step(small, state.cut, CutConfig())
    if state.grey is not None and not new_scene:
        flow = motion.dense_flow(grey, state.grey, quick=True)
        own = _camera_motion(flow, label)
        camera = _add(camera, own, work)
        step = {k: _label_step(flow, own, label == k) for k in np.unique(label)}
    known = {t.label: t for t in state.tracks}
    for k, look in _looks(label, votes).items():
        known[k] = _extend(known.get(k), k, look, step.get(k, (0.0, 0.0, 0.0)), state.frame)
    return dataclasses.replace(
        state, frame=state.frame + 1, size=(height, width), grey=grey,
        tracks=tuple(known[k] for k in sorted(known)), camera=camera, cut=cut,
    )  # fmt: skip


def _camera_motion(flow: np.ndarray, label: np.ndarray) -> Float[np.ndarray, "3 2"]:
    """The motion of most of the background (backward, see `motion.fit_affine`)."""
    weight = np.where(label == 0, 1.0, 0.3)
    return motion.fit_affine(flow, weight.astype(np.float32), step=4, ridge=1e-4)


def _add(camera: Camera, own: np.ndarray, work: tuple[int, int]) -> Camera:
    # backward flow of the picture = forward motion of the camera
    half = max(work) / 2
    stretch = (own[1, 0] + own[2, 1]) / (2 * half)
    spin = (own[2, 0] - own[1, 1]) / (2 * half)
    return Camera(
        camera.pan + float(own[0, 0]) / work[0],
        camera.tilt + float(own[0, 1]) / work[0],
        camera.zoom - float(stretch),
        camera.roll - float(spin),
    )


def _label_step(flow: np.ndarray, camera: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    """(dx, dy, rotation) of a label against the camera, forward in time, in widths and radians."""
    height, width = where.shape
    against = motion.affine_flow(camera, height, width) - flow
    pixels = against[where]
    usual = np.median(pixels, axis=0)
    dx, dy = usual / width
    if len(pixels) < 64:
        return float(dx), float(dy), 0.0
    xy = motion.pixel_grid(height, width)[where]
    xy = xy - xy.mean(axis=0)
    rest = pixels - usual
    spin = (xy[:, 0] * rest[:, 1] - xy[:, 1] * rest[:, 0]).sum() / max((xy**2).sum(), 1.0)
    return float(dx), float(dy), float(spin)


def _looks(label: np.ndarray, votes: np.ndarray) -> dict[int, dict]:
    """Area, position, sides and colours of every label in one small label map."""
    width = label.shape[1]
    flat = label.ravel()
    count = np.bincount(flat, minlength=256)
    rows, columns = np.indices(label.shape)
    x = np.bincount(flat, columns.ravel(), minlength=256)
    y = np.bincount(flat, rows.ravel(), minlength=256)
    rims = dict(zip(SIDES, (label[:, 0], label[:, -1], label[0], label[-1]), strict=True))
    looks = {}
    for k in map(int, np.flatnonzero(count)):
        looks[k] = {
            "area": float(count[k]) / flat.size,
            "position": (float(x[k] / count[k] + 0.5) / width, float(y[k] / count[k] + 0.5) / width),
            "sides": frozenset(side for side, rim in rims.items() if (rim == k).any()),
            "votes": votes[k],
        }
    return looks


def _extend(track: Track | None, label: int, look: dict, step: tuple, frame: int) -> Track:
    area, position, sides = look["area"], look["position"], look["sides"]
    if track is None:
        return Track(
            label, frame, frame, 1, frame, area, area, area, position, position, position, (position,), 1,
            (0.0, 0.0), 0.0, 0.0, tuple(look["votes"]), sides, sides,
        )  # fmt: skip
    n = track.frames
    path, path_step = track.path, track.path_step
    if n % path_step == 0:
        path = (*path, position)
    if len(path) > _PATH_POINTS:
        path, path_step = path[::2], path_step * 2
    return dataclasses.replace(
        track,
        first=track.first if n else frame,
        last=frame,
        frames=n + 1,
        area=(track.area * n + area) / (n + 1),
        last_area=area,
        position=tuple((p * n + q) / (n + 1) for p, q in zip(track.position, position, strict=True)),
        last_position=position,
        path=path,
        path_step=path_step,
        moved=(track.moved[0] + step[0], track.moved[1] + step[1]),
        travelled=track.travelled + float(np.hypot(step[0], step[1])),
        turned=track.turned + step[2],
        votes=tuple(np.add(track.votes, look["votes"])),
        last_sides=sides,
    )
