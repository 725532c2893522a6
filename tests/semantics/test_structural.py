"""The structural scorer: what it calls an event and what not, on drawn pictures; speed is in the docs."""

import cv2
import numpy as np
import pytest

from semjax import semantics
from semjax.errors import InputError
from semjax.semantics import SkemConfig, scorer, select, skem

H, W = 90, 160


def ground(shift=0):
    rng = np.random.default_rng(3)
    wide = cv2.resize(
        rng.integers(60, 200, (12, 40, 3)).astype(np.uint8), (2 * W, H), interpolation=cv2.INTER_CUBIC
    )
    return wide[:, shift : shift + W].copy()


def frame(things, shift=0, light=1.0):
    """A picture and label map: things are (label, centre, axes, colour, angle)."""
    picture, labels = ground(shift), np.zeros((H, W), np.uint8)
    for label, centre, axes, colour, angle in things:
        for target, value in ((picture, colour), (labels, label)):
            cv2.ellipse(target, centre, axes, angle, 0, 360, value, -1)
    return np.clip(picture * light, 0, 255).astype(np.uint8), labels


RED = (1, (40, 40), (14, 10), (200, 40, 40), 0)
BLUE = (2, (110, 50), (16, 16), (40, 60, 200), 0)


def clip(*frames):
    pictures, labels = zip(*frames)
    return np.stack(pictures), np.stack(labels)


def score(a, b):
    return scorer(*clip(a, b))(0, 1)


@pytest.mark.parametrize(
    "after",
    [
        frame([(1, (75, 60), *RED[2:]), BLUE]),  # moved
        frame([(*RED[:4], 25), BLUE]),  # turned
        frame([RED, BLUE], shift=12),  # camera panned
        frame([RED, BLUE], light=0.85),  # a cloud
        frame([RED, (3, (80, 80), (2, 1), (90, 90, 90), 0), BLUE]),  # a speck of noise in the label map
    ],
)
def test_motion_is_no_event(after):
    assert score(frame([RED, BLUE]), after) < 0.35
    assert score(after, frame([RED, BLUE])) < 0.35


@pytest.mark.parametrize(
    "after",
    [
        frame([RED]),  # vanished
        frame([RED, BLUE, (3, (75, 70), (12, 12), (230, 200, 40), 0)]),  # appeared
        frame([(*RED[:3], (40, 200, 60), 0), BLUE]),  # recoloured
    ],
)
def test_events_score_high_both_ways(after):
    assert score(frame([RED, BLUE]), after) > 0.35
    assert score(after, frame([RED, BLUE])) > 0.35


def test_another_place_without_any_region():
    meadow = np.roll(ground(), 40, 0)[:, ::-1] // [4, 1, 3]
    here, there = frame([]), (meadow.astype(np.uint8), np.zeros((H, W), np.uint8))
    assert score(here, there) > 0.35 > score(here, frame([], shift=8))


def test_same_frame_scores_lowest():
    one = frame([RED, BLUE])
    assert score(one, one) == min(
        score(one, one), score(one, frame([RED])), score(one, frame([RED, BLUE], 3))
    )
    assert score(one, one) < -0.9


def test_keyframes_of_a_clip_with_one_event():
    frames = [frame([(1, (40 + 2 * t, 40), *RED[2:]), BLUE]) for t in range(12)]
    frames += [frame([(1, (40 + 2 * t, 40), *RED[2:])]) for t in range(12, 24)]
    video, labels = clip(*frames)
    assert skem(video, labels=labels, cfg=SkemConfig(last=False)).tolist() == [0, 12]
    assert skem(video, labels=labels).tolist() == [0, 12, 23]
    # In stretches, and with a camera that sees nothing happen.
    pieces = scorer(iter([video[:10], video[10:]]), iter([labels[:10], labels[10:]]))
    assert select(24, pieces, SkemConfig(last=False)).tolist() == [0, 12]
    assert skem(video[:12], labels=labels[:12], cfg=SkemConfig(last=False)).tolist() == [0]


def test_special_clips():
    one = frame([RED])
    assert skem(one[0][None], labels=one[1][None]).tolist() == [0]
    still = clip(*[one] * 6)
    assert skem(still[0], labels=still[1], cfg=SkemConfig(last=False)).tolist() == [0]
    noise = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3)).astype(np.uint8)
    keys = skem(noise, labels=np.zeros((6, 24, 32), np.uint8), cfg=SkemConfig(last=False))
    assert keys[0] == 0 and len(keys) <= 6
    tiny = np.zeros((2, 1, 1, 3), np.uint8)
    assert skem(tiny, labels=np.zeros((2, 1, 1), np.uint8)).tolist() == [0, 1]


def test_measures_lie_between_none_and_all():
    a, b = (semantics.view(*f) for f in (frame([RED, BLUE]), frame([(1, (5, 40), *RED[2:])], shift=30)))
    for pair in ((a, a), (a, b), (b, a)):
        values = semantics.measures(*pair)
        assert values.shape == (7,) and (values >= 0).all() and (values <= 1).all()
    assert 0 < semantics.probability(a, a) < 0.1 < semantics.probability(a, b) < 1


@pytest.mark.parametrize(
    "video, labels",
    [
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 5), np.uint8)),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((3, 4, 4), np.uint8)),
        (np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8)),
        (np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8)),
    ],
)
def test_bad_arrays_are_refused(video, labels):
    with pytest.raises(InputError):
        skem(video, labels=labels)
