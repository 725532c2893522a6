"""Keyframe choice without a network: the fixed interval and scene cuts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_shapes import clip

from semjax.errors import InputError
from semjax.semantics import (
    CutConfig,
    CutState,
    change_score,
    cut_step,
    scene_cuts,
    skim,
    skim_with_cuts,
    thumbnail,
)

RED, WHITE = (200, 40, 40), (230, 230, 230)
DISC = [("disc", RED, 16, (30, 48), (3, 0))]


def three_scenes() -> np.ndarray:
    return np.concatenate(
        [
            clip(frames=12, shapes=DISC, pan=2.0)[0],
            clip(frames=10, ground=(70, 70, 160), shapes=[("box", WHITE, 25, (100, 50), (-2, 0))], seed=1)[0],
            clip(
                frames=9,
                ground=(200, 190, 150),
                shapes=[("disc", (30, 30, 30), 30, (60, 40), (0, 1))],
                seed=2,
            )[0],
        ]
    )


@given(frames=st.integers(1, 500), interval=st.integers(1, 600))
def test_skim_takes_every_interval_th_frame(frames, interval):
    assert skim(frames, interval).tolist() == list(range(0, frames, interval))
    ends = skim(frames, interval, last=True)
    assert ends[0] == 0 and ends[-1] == frames - 1 and (np.diff(ends) <= interval).all()


@pytest.mark.parametrize(("frames", "interval"), [(0, 5), (5, 0)])
def test_skim_refuses_nothing(frames, interval):
    with pytest.raises(InputError, match="SKIM"):
        skim(frames, interval)


def test_cuts_are_found_and_motion_is_not_one():
    assert list(scene_cuts(three_scenes())) == [12, 22]
    assert list(scene_cuts(clip(frames=30, shapes=DISC, pan=3.0)[0])) == []


def test_cuts_do_not_depend_on_chunks():
    video = three_scenes()
    assert list(scene_cuts(iter([video[:5], video[5:12], video[12:13], video[13:]]))) == [12, 22]


def test_a_cut_is_reported_when_its_frame_comes():
    state, cuts = CutState(), []
    for index, frame in enumerate(three_scenes()):
        cut, state = cut_step(frame, state, CutConfig())
        cuts += [index] * cut
    assert cuts == [12, 22]


def test_skim_starts_afresh_at_a_cut():
    assert list(skim_with_cuts(three_scenes(), 8)) == [0, 8, 12, 20, 22, 30]
    with pytest.raises(InputError, match="interval"):
        list(skim_with_cuts(three_scenes(), 0))


def test_brighter_and_shifted_pictures_are_little_change():
    video = clip(frames=2, shapes=[("disc", RED, 20, (70, 48), (8, 0))], pan=6.0)[0]
    other = three_scenes()[15]
    a, b = thumbnail(video[0]), thumbnail(video[1])
    brighter = thumbnail(np.clip(video[0] * 1.25, 0, 255).astype(np.uint8))
    assert change_score(a, a) == pytest.approx(0, abs=1e-3)
    assert change_score(a, b) < 0.2 and change_score(a, brighter) < 0.3
    assert change_score(a, thumbnail(other)) > 0.5


def test_flat_pictures_can_be_compared():
    black, white = (thumbnail(np.full((9, 9, 3), v, np.uint8)) for v in (0, 255))
    assert change_score(black, black) == 0 and change_score(black, white) > 0.9


def test_wrong_settings_and_frames_are_refused():
    with pytest.raises(InputError, match="threshold"):
        CutConfig(threshold=0)
    with pytest.raises(InputError, match="ratio"):
        CutConfig(ratio=0.5)
    with pytest.raises(InputError, match="uint8"):
        list(scene_cuts(np.zeros((2, 8, 8, 3))))
