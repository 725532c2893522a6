"""Sentences from tracks: who is there, where, which way it moves, what comes and goes, what the camera does."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from semjax.errors import InputError
from semjax.semantics.palette import colour_words
from semjax.semantics.region_state import RegionConfig
from semjax.semantics.regions import segment
from semjax.semantics.tracks import Camera, Track, TrackState, next_segment, seen, tracks_init, tracks_update
from semjax.types import Caption, ClipInfo

LONGEST = 300  # bytes of UTF-8
_STEPS_ASIDE = 0.03  # picture widths that a thing moves before a sentence says so
_QUICK, _SLOW = 0.25, 0.04  # picture widths per second
_BIG, _SMALL = 0.10, 0.015  # shares of the picture


@dataclasses.dataclass(frozen=True)
class CaptionConfig:
    """How captions are made.

    segment: frames that one caption covers (the last one of a clip covers what is left).
    things: most things that one caption speaks of, the background not counted.
    """

    segment: int = 48
    things: int = 3

    def __post_init__(self):
        if self.segment < 1 or self.things < 1:
            raise InputError(
                f"A caption needs segment >= 1 and things >= 1, but they are {self.segment} and {self.things}."
            )


def caption(
    video: UInt8[np.ndarray, "T H W 3"],
    labels: UInt8[np.ndarray, "T H W"] | None = None,
    *,
    names: Mapping[int, str] | None = None,
    fps: float = 24.0,
) -> str:
    """One or two sentences for a whole clip, at most 300 bytes.

    Args:
        video: RGB frames.
        labels: label maps; found by `regions.segment` when there are none.
        names: what labels are called, e.g. {1: "car"}; what has no name is called a region.
        fps: frames per second, for "slowly" and "quickly".
    """
    labels = segment(video, RegionConfig()) if labels is None else labels
    return sentence(tracks_update(tracks_init(), video, labels), fps=fps, names=names)


def captions(
    video: UInt8[np.ndarray, "T H W 3"],
    labels: UInt8[np.ndarray, "T H W"] | None = None,
    *,
    names: Mapping[int, str] | None = None,
    fps: float = 24.0,
    cfg: CaptionConfig | None = None,
) -> list[Caption]:
    """One caption per stretch of `cfg.segment` frames (arguments as for `caption`)."""
    cfg = cfg or CaptionConfig()
    labels = segment(video, RegionConfig()) if labels is None else labels
    result, state = [], tracks_init()
    for start in range(0, len(video), cfg.segment):
        stop = start + cfg.segment
        state = tracks_update(state, video[start:stop], labels[start:stop])
        text = sentence(state, fps=fps, names=names, things=cfg.things)
        result.append(Caption(start, min(stop, len(video)) - 1, text))
        state = next_segment(state)
    return result


def describe(tracks: TrackState, info: ClipInfo, *, names: Mapping[int, str] | None = None) -> list[Caption]:
    """The caption of the running segment, as a list of one (none before its first frame).

    For streams: call it when a segment ends, then go on with `tracks.next_segment`.
    """
    if not seen(tracks):
        return []
    return [Caption(tracks.first, tracks.frame - 1, sentence(tracks, fps=float(info.fps), names=names))]


def sentence(
    state: TrackState, *, fps: float = 24.0, names: Mapping[int, str] | None = None, things: int = 3
) -> str:
    """What happens in the running segment, in at most 300 bytes."""
    if not seen(state):
        raise InputError("There is nothing to describe: no frame has been seen in this segment.")
    names = dict(names or {})
    everything = {t.label: t for t in seen(state)}
    background = everything.pop(0, None)
    told = sorted(everything.values(), key=lambda t: (-_interest(t, state), t.label))[:things]
    for count in range(len(told), -1, -1):  # the least interesting things go first where room is short
        text = _compose(told[:count], background, state, names, fps)
        if len(text.encode()) <= LONGEST:
            return text
    return "A scene."  # only names of absurd length lead here


def _compose(told: list[Track], background: Track | None, state: TrackState, names: dict, fps: float) -> str:
    setting = _setting(background, names)
    verbs = {t.label: _verb(t, state, fps) for t in told}
    acting = [t for t in told if verbs[t.label]]
    resting = [t for t in told if not verbs[t.label]][: 1 if acting else 2]
    phrases = [f"{_noun(t, names, i)} {verbs[t.label]}" for i, t in enumerate(acting)]
    places = [
        f"{_noun(t, names, i)} {_place(t.position, state)}" for i, t in enumerate(resting, start=len(acting))
    ]
    if phrases:
        phrases[0] += f" over {setting}" if setting else ""
        text = ", with ".join(["; ".join(phrases), *places])
    elif places:
        text = " and ".join(places) + (f", over {setting}" if setting else "")
    else:
        text = f"nothing but {setting}" if setting else "an empty scene"
    words = [f"{text[0].upper()}{text[1:]}.", _camera(state.camera, acting)]
    return " ".join(w for w in words if w)


def _interest(track: Track, state: TrackState) -> float:
    """How much a viewer would want to hear of a track: motion and events first, then size."""
    came, went = _came(track, state), _went(track, state)
    motion = min(max(float(np.hypot(*track.moved)), 0.3 * track.travelled), 0.5) if track.frames > 2 else 0.0
    rim = len(track.first_sides) + len(track.last_sides)
    return track.area**0.5 * (0.4 + 4 * motion + 0.5 * (came + went)) / (1 + 0.25 * rim)


def _came(track: Track, state: TrackState) -> bool:
    """Whether a thing came into view: a label alone may also be new because its thing was noticed late."""
    new = track.since == track.first > state.first
    return new and _gradual(track.first_area, track.first_sides, track)


def _went(track: Track, state: TrackState) -> bool:
    """Whether a thing went out of view: a label alone may also end by being joined to another."""
    return track.last < state.frame - 1 and _gradual(track.last_area, track.last_sides, track)


def _gradual(area: float, sides: frozenset[str], track: Track) -> bool:
    """Things come and go through an edge of the picture, moving, or by growing from and shrinking to little."""
    passing = bool(sides) and float(np.hypot(*track.moved)) >= _STEPS_ASIDE
    return passing or area < 0.4 * track.area


def _setting(background: Track | None, names: dict) -> str:
    if background is None:
        return ""
    if names.get(0):
        return _with_article(names[0])
    return _with_article(f"{colour_words(np.array(background.votes))} background")


def _noun(track: Track, names: dict, mention: int) -> str:
    size = "large " if track.area >= _BIG else "small " if track.area < _SMALL else ""
    name = names.get(track.label) or ("one" if mention else "region")
    if _has_article(name):
        return name
    return _with_article(f"{size}{colour_words(np.array(track.votes))} {name}")


def _has_article(name: str) -> bool:
    return name.split()[0].lower() in ("a", "an", "the", "two", "three", "some", "many", "his", "her", "its")


def _with_article(phrase: str) -> str:
    if _has_article(phrase):
        return phrase
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def _verb(track: Track, state: TrackState, fps: float) -> str:
    """What a track does, or "" if it only is there."""
    came, went = _came(track, state), _went(track, state)
    if came or went:
        return " and ".join([_entry(track)] * came + [_exit(track)] * went)
    distance = float(np.hypot(*track.moved))
    place = _place(track.position, state)
    if distance >= _STEPS_ASIDE:
        return f"moves{_pace(track.speed * fps)} {_way(track.moved)}"
    if track.travelled > max(4 * distance, 0.12):
        return f"moves to and fro {place}"
    if abs(track.turned) > 0.5:
        return f"turns {'clockwise' if track.turned > 0 else 'anticlockwise'} {place}"
    if track.frames > 2 and not track.first_sides | track.last_sides and not 0.6 < track.growth < 1.7:
        return f"{'grows' if track.growth > 1 else 'shrinks'} {place}"
    return ""


def _entry(track: Track) -> str:
    side = _side(track.first_sides, track.moved, entering=True)
    return f"enters from the {side}" if side else "appears"


def _exit(track: Track) -> str:
    side = _side(track.last_sides, track.moved, entering=False)
    return f"leaves {'to' if side in ('left', 'right') else 'at'} the {side}" if side else "disappears"


def _side(sides: frozenset[str], moved: tuple[float, float], *, entering: bool) -> str:
    """The side that a track comes from or goes to: of those it touches, the one its motion agrees with most."""
    sign = 1 if entering else -1
    agree = {"left": moved[0], "right": -moved[0], "top": moved[1], "bottom": -moved[1]}
    return max(sorted(sides), key=lambda s: sign * agree[s], default="")


def _way(moved: tuple[float, float]) -> str:
    dx, dy = moved
    across = "to the right" if dx > 0 else "to the left"
    along = "down" if dy > 0 else "up"
    if abs(dy) < 0.4 * abs(dx):
        return across
    return along if abs(dx) < 0.4 * abs(dy) else f"{along} and {across}"


def _pace(widths_per_second: float) -> str:
    return " quickly" if widths_per_second > _QUICK else " slowly" if widths_per_second < _SLOW else ""


def _place(position: tuple[float, float], state: TrackState) -> str:
    height, width = state.size
    x, y = position[0], position[1] * width / height
    across = "left" if x < 0.36 else "right" if x > 0.64 else ""
    along = "top" if y < 0.33 else "bottom" if y > 0.67 else ""
    if along:
        return f"at the {along}{' ' + across if across else ''}"
    return f"on the {across}" if across else "in the middle"


def _camera(camera: Camera, acting: list[Track]) -> str:
    moves = []
    across, along = abs(camera.pan), abs(camera.tilt)
    lead = acting[0].moved[0] if acting else 0.0
    if across > 0.04 and across > 0.4 * along:
        side = "right" if camera.pan > 0 else "left"
        moves.append(f"follows it to the {side}" if 0.5 < lead / camera.pan < 2 else f"pans {side}")
    if along > 0.04 and along > 0.4 * across:
        moves.append(f"tilts {'down' if camera.tilt > 0 else 'up'}")
    if abs(camera.zoom) > 0.08:
        moves.append(f"moves {'closer' if camera.zoom > 0 else 'away'}")
    if abs(camera.roll) > 0.12:
        moves.append(f"rolls {'clockwise' if camera.roll > 0 else 'anticlockwise'}")
    if not moves:
        return ""
    listed = moves[0] if len(moves) == 1 else ", ".join(moves[:-1]) + " and " + moves[-1]
    return f"The camera {listed}."
