import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax.contours import fill, predict, quantise, simplify, trace
from semjax.contours.polygons import UNIT
from semjax.errors import InputError

masks = hnp.arrays(bool, st.tuples(st.integers(1, 17), st.integers(1, 17)))


@hypothesis.given(masks)
@hypothesis.settings(deadline=None, max_examples=150)
def test_fill_undoes_trace(mask):
    contours = trace(mask)
    assert np.array_equal(fill(contours, *mask.shape), mask)
    assert np.array_equal(fill([c * UNIT for c in contours], *mask.shape, unit=UNIT), mask)
    assert np.array_equal(fill([simplify(c, 0) for c in contours], *mask.shape), mask)


def test_trace_keeps_only_corners():
    mask = np.zeros((9, 9), bool)
    mask[2:6, 3:8] = True
    (contour,) = trace(mask)
    assert sorted(map(tuple, contour)) == [(3, 2), (3, 6), (8, 2), (8, 6)]


def _distance(p, a, b):
    t = np.clip(np.dot(p - a, b - a) / max(np.dot(b - a, b - a), 1), 0, 1)
    return np.hypot(*(p - a - t * (b - a)))


@hypothesis.given(masks, st.sampled_from([0.5, 1.0, 2.5]))
@hypothesis.settings(deadline=None, max_examples=60)
def test_simplify_stays_within_tolerance(mask, tolerance):
    for contour in trace(mask):
        short = simplify(contour, tolerance)
        assert {tuple(p) for p in short} <= {tuple(p) for p in contour}
        edges = list(zip(short, np.roll(short, -1, axis=0)))
        for p in contour.astype(float):
            assert min(_distance(p, a.astype(float), b.astype(float)) for a, b in edges) <= tolerance + 1e-9


def test_quantise_rounds_positions_not_differences():
    contour = np.array([[0, 0], [7, 0], [14, 0], [21, 0], [21, 30], [0, 30]])
    assert quantise(contour, 4).tolist() == [[0, 0], [2, 0], [4, 0], [5, 0], [5, 8], [0, 8]]
    assert len(quantise(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), 8)) == 0


def test_predict_shifts_and_turns():
    square = np.array([[0, 0], [64, 0], [64, 64], [0, 64]])
    centre = np.array([32, 32])
    assert np.array_equal(predict(square, np.array([2, -4, 0, 0]), centre), np.add(square, [UNIT, -2 * UNIT]))
    quarter = predict(square, np.array([0, 0, -256, 256]), centre)  # the matrix of a quarter turn
    assert sorted(map(tuple, quarter)) == sorted(map(tuple, square))


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match="tolerance must be 0 or more"):
        simplify(np.zeros((5, 2), int), -1)
    with pytest.raises(InputError, match="shape \\[H, W\\]"):
        trace(np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match="step must be 1"):
        quantise(np.zeros((5, 2), int), 0)
