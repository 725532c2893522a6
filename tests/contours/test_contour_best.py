import contour_shapes as shapes
import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax.contours import ContourConfig, decode, decode_units, encode, encode_units, quality, rate
from semjax.contours.best import FINE_TAG
from semjax.contours.best_encoder import Sender
from semjax.contours.between import between, sliding
from semjax.errors import RateError

LOSSLESS = ContourConfig(tolerance=0)
BACKGROUND_OUT = ((0, 0.0),)

clips = st.tuples(st.integers(1, 4), st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 7, 255]))
)


@pytest.mark.parametrize("name", shapes.oddities())
@pytest.mark.parametrize("lookahead", [1, 4])
def test_tolerance_zero_is_lossless(name, lookahead):
    one = shapes.oddities()[name]
    clip = np.stack([one, one, np.roll(one, 1, axis=1), np.zeros_like(one), one])
    data = encode(clip, ContourConfig(tolerance=0, lookahead=lookahead, period=4))
    assert np.array_equal(decode(data), clip)


@hypothesis.given(clips)
@hypothesis.settings(deadline=None, max_examples=60)
def test_lossless_for_every_input(clip):
    assert np.array_equal(decode(encode(clip, LOSSLESS)), clip)


@hypothesis.given(clips, st.sampled_from([0.6, 2.0, 9.0]), st.integers(1, 16))
@hypothesis.settings(deadline=None, max_examples=60)
def test_lossy_survives_every_input(clip, tolerance, lookahead):
    data = encode(clip, ContourConfig(tolerance=tolerance, lookahead=lookahead))
    back = decode(data)
    assert back.shape == clip.shape and set(np.unique(back)) <= set(np.unique(clip))


@pytest.fixture(scope="module")
def clip():
    return shapes.moving(12, 120, 160)


def test_target_miou_is_reached_and_pays(clip):
    sizes = []
    for target in (0.8, 0.9, 0.97):
        data = encode(clip, ContourConfig(target_miou=target, weights=BACKGROUND_OUT))
        back = decode(data)
        reached = np.mean(
            [np.sum((clip == v) & (back == v)) / np.sum((clip == v) | (back == v)) for v in range(10, 50, 10)]
        )
        assert reached >= target - 1e-9
        sizes.append(len(data))
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] <= len(encode(clip, LOSSLESS))
    assert np.array_equal(decode(encode(clip[:3], ContourConfig(target_miou=1.0))), clip[:3])


def test_a_target_that_only_fine_cells_reach():
    class Passes:
        """A clip whose loss at six-pixel cells is too much at any lambda."""

        def at(self, scale, lam, late=None, earlier=None):
            return bytes(int(3000 / scale / (1 + lam))), 1 - 0.02 * scale - 1e-3 * lam

        def lossless(self):
            return bytes(10000), 1.0

    assert len(quality.reach_quality([Passes()], 0.9)[0]) < 700


def test_cells_of_one_pixel_are_tried_where_those_of_two_are_no_better():
    class Passes:
        """A clip that three-pixel cells suit better than two, and one-pixel cells best."""

        labels = np.zeros((1, 8, 8), np.uint8)

        def at(self, scale, lam, late=None, earlier=None):
            size = {1: 1000, 2: 4000, 3: 2000, 4: 3000}.get(scale, 5000)
            return bytes(int(size / (1 + lam))), 1 - 0.02 * lam * (10 if scale > 4 else 1)

        def lossless(self):
            return bytes(10000), 1.0

    best_of_three = 2000 / (1 + 0.05 / 0.02)
    assert len(quality.reach_quality([Passes()], 0.95)[0]) < 0.6 * best_of_three


def test_thin_parts_are_cut_from_cells_of_one_pixel():
    lines = shapes.thin()
    cfg = ContourConfig(target_miou=0.95, weights=BACKGROUND_OUT)
    (unit,) = encode_units([lines], cfg)
    shape = dict(frames=len(lines), height=lines.shape[1], width=lines.shape[2], span=len(lines))
    ((back, _),) = decode_units([unit], **shape)
    assert rate.mean_iou(lines, back, rate.importance(cfg)) >= 0.95
    assert unit[0] == FINE_TAG and not np.array_equal(back, lines)
    (exact,) = encode_units([lines], LOSSLESS)
    assert len(unit) < 0.9 * len(exact)


def test_bytes_per_frame_is_kept(clip):
    data = encode(clip, ContourConfig(bytes_per_frame=12))
    assert 0.8 * 12 * 12 < len(data) - 22 <= 12 * 12
    assert np.array_equal(decode(encode(clip, ContourConfig(bytes_per_frame=200))), clip)
    with pytest.raises(RateError, match="least possible is"):
        encode(clip, ContourConfig(bytes_per_frame=0.1))


def test_importance_moves_the_bits(clip):
    def wrong(weights):
        back = decode(encode(clip, ContourConfig(tolerance=3, weights=weights)))
        return int(((clip == 10) != (back == 10)).sum())

    assert 2 * max(wrong(((10, 20.0), (0, 20.0))), wrong(())) < wrong(((10, 0.02), (0, 0.02)))


def test_a_new_scene_gets_an_i_frame(clip, monkeypatch):
    at = []
    intra = Sender._intra
    monkeypatch.setattr(Sender, "_intra", lambda self, t: at.append(t) or intra(self, t))
    other = np.rot90(shapes.moving(10, 160, 120, 5) + 20, axes=(1, 2)).copy()
    for tolerance in (0, 2):
        both = encode(np.concatenate([clip[:9], other]), ContourConfig(tolerance=tolerance, period=None))
        assert at == [0, 9]
        at.clear()
        assert len(decode(both)) == 19
        encode(clip, ContourConfig(tolerance=tolerance, period=None))
        assert at == [0]
        at.clear()


def test_frames_between_follow_a_turn():
    y, x = np.mgrid[:96, :128]
    maps = []
    for k in range(9):
        a = 0.045 * k
        dy, dx = y - 48, x - (50 + 2 * k)
        u, v = np.cos(a) * dx + np.sin(a) * dy, np.cos(a) * dy - np.sin(a) * dx
        maps.append(((abs(u) < 30) & (abs(v) < 9)).astype(np.uint8))
    slide = sliding(maps[0], True)
    wrong = [0, 0]
    for turn in (False, True):
        for k in range(1, 8):
            wrong[turn] += int((between(maps[0], maps[8], k, 8, slide, turn) != maps[k]).sum())
    assert wrong[1] < 0.85 * wrong[0], wrong


def test_still_frames_are_nearly_free(clip):
    still = np.repeat(clip[:1], 33, axis=0)
    one = len(encode(clip[:1], ContourConfig(period=100)))
    assert len(encode(still, ContourConfig(period=100))) - one <= 8


def test_period_brings_i_frames(clip):
    still = np.repeat(clip[:1], 12, axis=0)
    long = len(encode(still, ContourConfig(period=100)))
    short = len(encode(still, ContourConfig(period=2)))
    assert short > 2 * long


def test_encoding_is_deterministic(clip):
    assert encode(clip[:5]) == encode(clip[:5].copy())
