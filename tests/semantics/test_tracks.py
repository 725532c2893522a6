"""Tracks and the sentences made of them, from exact label maps."""

from fractions import Fraction

import numpy as np
import pytest
from moving_shapes import clip

from semjax.errors import InputError
from semjax.semantics import (
    CaptionConfig,
    caption,
    captions,
    colour_name,
    describe,
    next_segment,
    seen,
    sentence,
    tracks_init,
    tracks_update,
)
from semjax.types import Caption, ClipInfo

RED, BLUE, WHITE = (200, 40, 40), (50, 70, 200), (230, 230, 230)
RIGHT = [("disc", RED, 16, (30, 48), (3, 0))]


def track(video, labels):
    return tracks_update(tracks_init(), video, labels)


def test_a_track_says_where_a_shape_was_and_how_it_moved():
    video, labels = clip(frames=20, shapes=RIGHT)
    ground, disc = seen(track(video, labels))
    assert (ground.label, disc.label, disc.first, disc.last, disc.frames) == (0, 1, 0, 19, 20)
    assert disc.area == pytest.approx(np.pi * 16**2 / (96 * 144), rel=0.05)
    assert disc.first_position == pytest.approx((30 / 144, 48 / 144), abs=0.01)
    assert disc.last_position == pytest.approx((87 / 144, 48 / 144), abs=0.01)
    assert disc.moved[0] == pytest.approx(57 / 144, abs=0.05) and abs(disc.moved[1]) < 0.03
    assert disc.speed == pytest.approx(3 / 144, abs=0.004)
    assert np.hypot(*ground.moved) < 0.02


def test_motion_is_told_from_the_camera_s():
    video, labels = clip(frames=20, shapes=[("disc", RED, 16, (70, 48), (0, 0))], pan=2.0)
    state = track(video, labels)
    assert state.camera.pan == pytest.approx(38 / 144, abs=0.04)
    assert abs(state.camera.tilt) < 0.02 and abs(state.camera.zoom) < 0.03 and abs(state.camera.roll) < 0.03
    disc = seen(state)[1]
    assert disc.moved[0] == pytest.approx(38 / 144, abs=0.05)


def test_tracks_do_not_depend_on_how_the_clip_is_cut_into_calls():
    video, labels = clip(frames=12, shapes=RIGHT)
    state = tracks_init()
    for start, stop in ((0, 1), (1, 1), (1, 7), (7, 12)):
        state = tracks_update(state, video[start:stop], labels[start:stop])
    assert seen(state) == seen(track(video, labels)) and state.camera == track(video, labels).camera


def test_paths_stay_short_and_evenly_spaced():
    video, labels = clip(frames=70, size=(32, 160), shapes=[("disc", RED, 8, (10, 16), (2, 0))])
    disc = seen(track(video, labels))[1]
    assert len(disc.path) <= 16
    steps = np.diff([x for x, _ in disc.path])
    assert steps == pytest.approx(np.full(len(steps), 2 * disc.path_step / 160), abs=0.002)


def test_a_new_segment_remembers_who_was_there():
    video, labels = clip(frames=20, shapes=RIGHT)
    state = next_segment(track(video[:10], labels[:10]))
    assert not seen(state) and state.first == 10
    disc = seen(tracks_update(state, video[10:], labels[10:]))[1]
    assert (disc.since, disc.first, disc.last, disc.frames) == (0, 10, 19, 10)
    assert disc.moved[0] == pytest.approx(30 / 144, abs=0.05)


def test_wrong_arrays_are_refused():
    video, labels = clip(frames=3, shapes=RIGHT)
    with pytest.raises(InputError, match="uint8"):
        track(video.astype(np.float32), labels)
    with pytest.raises(InputError, match="Labels"):
        track(video, labels[:2])
    with pytest.raises(InputError, match="size"):
        tracks_update(track(video, labels), video[:, 1:], labels[:, 1:])


def test_a_moving_shape_in_a_sentence():
    assert caption(*clip(shapes=RIGHT)) == "A red region moves quickly to the right over a green background."


def test_names_are_used_where_they_are_known():
    video, labels = clip(shapes=[*RIGHT, ("box", WHITE, 12, (120, 80), (0, 0))])
    text = caption(video, labels, names={1: "ball", 0: "the lawn"})
    assert (
        text == "A red ball moves quickly to the right over the lawn, with a white one at the bottom right."
    )


def test_what_enters_and_leaves_is_said():
    video, labels = clip(frames=30, shapes=[("disc", RED, 14, (-30, 48), (3, 0))])
    assert "enters from the left" in caption(video, labels)
    assert "leaves to the left" in caption(video[::-1], labels[::-1])


def test_a_label_that_is_joined_to_another_does_not_leave():
    video, labels = clip(frames=20, shapes=[("disc", RED, 16, (70, 48), (0, 0))])
    labels[10:][labels[10:] == 1] = 0
    assert "leaves" not in caption(video, labels) and "disappears" not in caption(video, labels)


def test_a_camera_that_follows_and_one_that_pans():
    followed = clip(shapes=[("disc", RED, 16, (70, 48), (0, 0))], pan=2.0)
    assert caption(*followed).endswith("The camera follows it to the right.")
    assert caption(*clip(pan=-2.0)) == "Nothing but a green background. The camera pans left."


def test_a_still_scene_is_described_by_place():
    text = caption(
        *clip(shapes=[("box", BLUE, 20, (30, 30), (0, 0)), ("disc", WHITE, 20, (115, 70), (0, 0))])
    )
    assert text.startswith("A") and "blue" in text and "white" in text
    assert "left" in text and "right" in text and "move" not in text


def test_captions_cover_the_clip_in_order():
    video, labels = clip(frames=25, shapes=RIGHT)
    result = captions(video, labels, cfg=CaptionConfig(segment=10))
    assert [(c.first, c.last) for c in result] == [(0, 9), (10, 19), (20, 24)]
    assert all("red" in c.text for c in result)
    with pytest.raises(InputError, match="segment"):
        CaptionConfig(segment=0)


def test_describe_streams_what_captions_says():
    video, labels = clip(frames=20, shapes=RIGHT)
    info = ClipInfo(20, 144, 96, Fraction(24))
    assert describe(tracks_init(), info) == []
    state = track(video[:10], labels[:10])
    spoken = describe(state, info)
    state = tracks_update(next_segment(state), video[10:], labels[10:])
    spoken += describe(state, info)
    assert spoken == captions(video, labels, cfg=CaptionConfig(segment=10))
    assert isinstance(spoken[0], Caption)


def test_sentences_stay_under_300_bytes_whatever_the_names():
    video, labels = clip(
        shapes=[*RIGHT, ("box", BLUE, 12, (110, 20), (0, 2)), ("disc", WHITE, 9, (20, 80), (2, 0))]
    )
    for name in ("é" * 40, "thing " * 20, "x" * 1000):
        assert len(caption(video, labels, names=dict.fromkeys(range(4), name)).encode()) <= 300


def test_one_frame_is_enough_and_none_is_not():
    video, labels = clip(frames=1, shapes=RIGHT)
    assert caption(video, labels) == "A red region on the left, over a green background."
    with pytest.raises(InputError, match="describe"):
        sentence(tracks_init())


def test_captions_without_label_maps_find_their_own():
    video, _ = clip(shapes=RIGHT)
    text = caption(video)
    assert "red" in text and "moves" in text and "to the right" in text


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey"), ((220, 20, 20), "red"),
        ((255, 220, 0), "yellow"), ((30, 160, 40), "green"), ((30, 60, 220), "blue"), ((250, 140, 0), "orange"),
        ((120, 40, 160), "purple"), ((100, 65, 35), "brown"), ((20, 70, 30), "dark green"),
    ],
)  # fmt: skip
def test_colours_have_the_names_people_use(rgb, name):
    assert colour_name(rgb) == name
