"""SKEM for any scorer: the published walk, the causal one, gaps, cuts, calibration, the cascade."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.errors import InputError
from semjax.semantics import SkemConfig, SkemState, cascade, remembered, select, skem_step, threshold_for


def stepwise(levels):
    """A scorer of a clip whose meaning is a number a frame: far apart is different."""
    return lambda i, j: float(np.tanh(abs(levels[j] - levels[i]) - 0.5))


def test_published_walk_against_the_latest_keyframe():
    levels = [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.5, 1.5, 0, 0]
    # 0.9 from the latest keyframe is the first to score above 0.35; the way back at 8 is another; the last always.
    assert select(10, stepwise(levels)).tolist() == [0, 3, 8, 9]
    assert select(10, stepwise(levels), SkemConfig(last=False)).tolist() == [0, 3, 8]
    assert select(10, stepwise(levels), SkemConfig(last=False, stride=5)).tolist() == [0, 5]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=60),
    st.floats(-1, 1),
    st.integers(1, 7),
    st.one_of(st.none(), st.integers(3, 9)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.sets(st.integers(0, 59), max_size=4),
)
def test_every_setting_keeps_its_promise(levels, threshold, stride, most, least, patience, last, cuts):
    cuts = {c for c in cuts if c < len(levels)}
    cfg = SkemConfig(threshold, stride, last, most, least, patience)
    keys = select(len(levels), stepwise(levels), cfg, cuts=cuts)
    gaps = np.diff(keys)
    assert keys[0] == 0 and (gaps > 0).all() and cuts <= set(keys.tolist())
    if last:
        assert keys[-1] == len(levels) - 1
    if most:
        assert (np.diff([*keys, len(levels)]) <= most).all()
    short = {int(keys[k + 1]) for k in np.flatnonzero(gaps < least)}
    assert short <= cuts | {len(levels) - 1}
    # Causal: what comes later changes nothing but the last frame's place.
    half = len(levels) // 2 + 1
    early = select(half, stepwise(levels), SkemConfig(threshold, stride, False, most, least, patience),
                   cuts={c for c in cuts if c < half})  # fmt: skip
    whole = select(len(levels), stepwise(levels), SkemConfig(threshold, stride, False, most, least, patience),
                   cuts=cuts)  # fmt: skip
    assert early.tolist() == [k for k in whole if k < half]


def test_a_flicker_is_no_event_with_patience():
    levels = [0, 0, 5, 0, 0, 5, 5, 5]
    assert select(8, stepwise(levels), SkemConfig(last=False)).tolist() == [0, 2, 3, 5]
    assert select(8, stepwise(levels), SkemConfig(last=False, patience=2)).tolist() == [0, 6]


def test_special_clips():
    assert select(1, stepwise([0])).tolist() == [0]
    assert select(50, stepwise([1.0] * 50), SkemConfig(last=False)).tolist() == [0]
    assert select(5, stepwise([0] * 5), cuts=range(5)).tolist() == [0, 1, 2, 3, 4]
    rng = np.random.default_rng(0)
    noise = select(40, stepwise(rng.normal(0, 50, 40)), SkemConfig(min_gap=8, last=False))
    assert noise.tolist() == [0, 8, 16, 24, 32]


def test_calibration_reaches_a_count():
    rng = np.random.default_rng(0)
    clips = [(120, stepwise(np.cumsum(rng.normal(0, 0.3, 120)))) for _ in range(5)]
    cfg = SkemConfig(last=False)
    for wanted in (3, 6, 12):
        threshold = threshold_for(clips, wanted, cfg)
        counts = [len(select(n, score, SkemConfig(threshold, last=False))) for n, score in clips]
        assert abs(np.mean(counts) - wanted) <= 0.6
    with pytest.raises(InputError, match="not 500"):
        threshold_for(clips, 500, cfg)
    with pytest.raises(InputError, match="at least one"):
        threshold_for([], 3)


def test_cascade_changes_no_choice_on_what_it_passes_on():
    levels = np.cumsum(np.random.default_rng(1).normal(0, 0.3, 100))
    exact = stepwise(levels)
    cheap = lambda i, j: float(np.clip(exact(i, j) + 0.1 * np.sin(i + j), -1, 1))  # noqa: E731
    score, counts = cascade(cheap, exact, below=0.2, above=0.5)
    assert select(100, score).tolist() == select(100, exact).tolist()
    asked, seen = counts()
    assert 0 < asked < 0.5 * seen


def test_pairs_are_scored_once():
    asked = []
    score = remembered(lambda i, j: asked.append((i, j)) or 0.0)
    assert [score(0, 1), score(0, 1), score(0, 2)] == [0.0] * 3 and asked == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    "what",
    [
        lambda: SkemConfig(threshold=1.5),
        lambda: SkemConfig(stride=0),
        lambda: SkemConfig(max_gap=2, min_gap=3),
        lambda: select(0, stepwise([0])),
        lambda: select(3, stepwise([0] * 3), cuts=[3]),
        lambda: select(3, lambda i, j: float("nan")),
        lambda: skem_step(3, SkemState(3), stepwise([0] * 4)),
        lambda: cascade(stepwise([0]), stepwise([0]), below=0.4, above=0.5),
    ],
)
def test_bad_settings_are_refused(what):
    with pytest.raises(InputError):
        what()
