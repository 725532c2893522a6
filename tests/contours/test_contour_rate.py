"""The search for a target mIoU: where it ends, and that it ends."""

import contour_shapes as shapes
import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax.contours import ContourConfig, best, quality, rate
from semjax.contours.best_encoder import Plan
from semjax.contours.grid import MAX_SCALE

BACKGROUND_OUT = ((0, 0.0),)


class Passes:
    """Results of passes over a clip as a rule has them; notes them: (made from an earlier one, payload, mIoU).

    rule: (scale, lambda of each frame) to (bytes, mIoU). again: what a pass made from another has of those bytes.
    """

    def __init__(self, rule, frames, again=1.0):
        self.rule, self.again, self.ran = rule, again, []
        self.labels = np.zeros((frames, 1, 1), np.uint8)

    def at(self, scale, lam, late=None, earlier=None):
        plan = Plan(scale, lam, 1, late=late)
        size, quality = self.rule(scale, np.array([plan.price(t) for t in range(len(self.labels))]))
        size = round(size * self.again) if earlier else size
        self.ran.append((earlier is not None, bytes(size), quality))
        return self.ran[-1][1:]

    def lossless(self):
        return bytes(20000), 1.0


def test_a_plan_has_another_price_from_a_frame_on():
    assert [Plan(1, 0.5, 1).price(t) for t in (0, 9)] == [0.5, 0.5]
    assert [Plan(1, 0.5, 1, late=(3, 0.6)).price(t) for t in range(5)] == [0.5, 0.5, 0.5, 0.6, 0.6]
    assert Plan(1, 0.5, 1, late=(0, 0.6)).price(0) == 0.6


def fine(scale, lams):
    """A clip of thin parts: only cells of one pixel will do, and the search stops short of the target."""
    loss = 0.1 * np.mean(lams**0.4) + 0.3 * (scale > 1)
    return int(8000 / loss**0.5), 1 - loss


@pytest.mark.parametrize("again", [0.95, 1.0, 1.2])
def test_cells_of_one_pixel_land_close_to_the_target(again):
    search = quality._searched(Passes(fine, 30, again), 0.95)
    before, passes = search.size(), len(search.passes.ran)
    assert search.scale() == 1
    search.land()
    assert 1 - quality._LANDED <= search._best()[2] <= 1 and search.size() < min(again, 1) * before
    assert len(search.passes.ran) - passes <= quality._ROUNDS + quality._LANDINGS


def test_coarser_cells_need_no_landing():
    passes = Passes(lambda scale, lams: (int(9000 / scale), 1 - 0.005 * scale - 1e-4 * lams.mean()), 30)
    payload, _ = quality.reach_quality([passes], 0.9)
    assert len(payload) < 1000 and not any(again for again, _, _ in passes.ran)


@hypothesis.given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0.3, 0.999))
@hypothesis.example(64146, 5, 0.5)  # one good pass, with a larger lambda than two bad ones
@hypothesis.settings(deadline=None, max_examples=200)
def test_the_search_ends_whatever_passes_give(seed, frames, target):
    def erratic(scale, lams):
        rng = np.random.default_rng([seed, scale, int(lams.sum() * 1e6) % 2**32])
        return int(rng.integers(1, 10000)), float(rng.choice([rng.random(), 1.0, target]))

    passes = Passes(erratic, frames)
    payload, _ = quality.reach_quality([passes], target)
    assert len(passes.ran) <= 5 * MAX_SCALE + 15
    good = [made for _, made, quality in passes.ran if quality >= target]
    assert len(payload) == min(map(len, good), default=20000)


@hypothesis.given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)),
        elements=st.sampled_from([0, 0, 1, 9]),
    ),
    st.sampled_from([0.6, 0.95]),
)
@hypothesis.settings(deadline=None, max_examples=25)
def test_every_clip_reaches_its_target(clip, target):
    cfg = ContourConfig(target_miou=target)
    back = np.stack(list(best.decode_unit(rate.encode_unit(clip, cfg), *clip.shape)))
    assert rate.mean_iou(clip, back, rate.importance(cfg)) >= target - 1e-9


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_landing_keeps_the_target_and_costs_nothing(frames, monkeypatch):
    clip = shapes.thin(frames)
    cfg = ContourConfig(target_miou=0.95, weights=BACKGROUND_OUT)
    landed = rate.encode_unit(clip, cfg)
    monkeypatch.setattr(quality._Search, "land", lambda self: None)
    assert len(landed) <= len(rate.encode_unit(clip, cfg))
    back = np.stack(list(best.decode_unit(landed, *clip.shape)))
    assert rate.mean_iou(clip, back, rate.importance(cfg)) >= 0.95


@pytest.mark.parametrize("weights", [(), ((0, 0.2),), BACKGROUND_OUT])
def test_two_labels_need_one_search(weights, monkeypatch):
    clip = np.where(shapes.moving(4, 72, 96) > 0, 7, 0).astype(np.uint8)
    cfg = ContourConfig(target_miou=0.9, weights=weights)
    plain, even = rate.Passes(clip, cfg), rate.Passes(clip, cfg, rate.EVENNESS)
    assert not rate._unlike(plain)
    for scale, lam in ((1, 0.4), (2, 0.6), (5, 4.0)):
        assert plain.at(scale, lam) == even.at(scale, lam)
    once = rate.encode_unit(clip, cfg)
    monkeypatch.setattr(rate, "_unlike", lambda passes: True)
    assert rate.encode_unit(clip, cfg) == once


def test_three_labels_need_two_searches_unless_their_costs_are_alike():
    clip = np.zeros((2, 40, 40), np.uint8)
    clip[:, 5:15, 5:15], clip[:, 20:38, 20:38] = 1, 2
    assert rate._unlike(rate.Passes(clip, ContourConfig(target_miou=0.9)))
    assert rate._unlike(rate.Passes(clip, ContourConfig(target_miou=0.9, weights=BACKGROUND_OUT)))
    left = ContourConfig(target_miou=0.9, weights=((0, 0.0), (1, 0.0)))
    assert not rate._unlike(rate.Passes(clip, left))
