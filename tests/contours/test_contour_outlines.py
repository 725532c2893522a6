import contour_shapes as shapes
import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax import metrics
from semjax.contours import ContourConfig, decode, encode, outlines, prices, rate, rdo, wrong_pixels
from semjax.contours.grid import WEIGHTS, enlarge, shrink
from semjax.errors import InputError

SIZE = (2, 9, 12)
maps = hnp.arrays(np.uint8, SIZE, elements=st.sampled_from([0, 0, 0, 3, 200]))


@hypothesis.given(maps, maps)
@hypothesis.settings(deadline=None, max_examples=40)
def test_boundary_f_is_that_of_the_metrics(x, y):
    assert outlines.boundary_f(x, iter(y)) == pytest.approx(float(metrics.boundary_f(x, y)), abs=1e-5)
    assert outlines.boundary_f(x, x) == 1


def test_boundary_f_of_moved_shapes_and_of_pictures_without_outline():
    x = shapes.moving(3, 40, 56)
    for step in (1, 2, 3, 8):
        y = np.roll(x, step, axis=2)
        assert outlines.boundary_f(x, y) == pytest.approx(float(metrics.boundary_f(x, y)), abs=1e-5)
    flat = np.full((1, 8, 8), 5, np.uint8)
    assert outlines.boundary_f(flat, flat) == 1 and outlines.boundary_f(flat, flat + 1) == 0


@pytest.mark.parametrize("carry", [False, True])
def test_pairs_of_cells_keep_their_books(carry):
    """What `refine` says of error and bits after changing cells in pairs is what the cells it leaves come to."""
    before, truth = shapes.moving(2, 73, 95, seed=3)
    rough = np.random.default_rng(0).integers(-4, 5, 73)
    truth = np.stack([np.roll(row, k) for row, k in zip(truth, rough)])
    s, lam, wt = 3, 3.0, np.full(256, 0.5)
    table, far = rate.rate_table(), wrong_pixels.importance_of_place(truth, 2, 1.5)
    start, grid = shrink(truth, s), shrink(before, s)
    near = prices.surroundings(grid)
    costs = []
    for pairs in (False, True):
        cells = start.copy()
        error, bits = rdo.refine(
            cells, start, truth, far, grid, near, 1, s, WEIGHTS, wt, lam, table, 5, carry, before, pairs
        )
        full = enlarge(cells, s, *truth.shape, WEIGHTS, carry, grid, before)
        assert error == pytest.approx(wrong_pixels.wrong(full, truth, far, wt))
        assert bits == pytest.approx(prices.bits_of_cells(cells, grid, near, 1, table).sum(), rel=1e-5)
        costs.append(error + lam * bits)
    assert costs[1] < costs[0]


class Passes:
    """Payloads whose size falls and whose outlines get worse with lambda and with the cells."""

    cfg = ContourConfig(target_miou=0.9)

    def at(self, scale, lam):
        return bytes(int(1000 * (10 / lam) ** 0.6 * (8 / scale) ** 0.2)), 0.95

    def outlines(self, payload):
        return 1 - 300 / len(payload) if len(payload) != 1000 else 0.7


def test_cleaner_spends_no_more_than_it_may():
    start = bytes(1000)
    assert outlines.cleaner(Passes(), start, 8, 10.0, 0.7, 0.2) is start
    assert outlines.cleaner(Passes(), start, 8, 10.0, 0.9, 0.0) is start
    most = outlines.cleaner(Passes(), start, 8, 10.0, 0.9, 0.2)
    assert 1150 < len(most) <= 1200
    enough = outlines.cleaner(Passes(), start, 8, 10.0, 0.72, 0.2)
    assert 1000 < len(enough) <= 1200 and Passes().outlines(enough) >= 0.72


def test_cleaner_keeps_the_target():
    class Poor(Passes):
        def at(self, scale, lam):
            return super().at(scale, lam)[0], 0.8

    start = bytes(1000)
    assert outlines.cleaner(Poor(), start, 8, 10.0, 0.9, 0.2) is start


def test_edges_buy_cleaner_outlines():
    clip = shapes.moving(8, 120, 160)
    sizes, clean = [], []
    for edges in (0.0, 1.0):
        data = encode(clip, ContourConfig(target_miou=0.85, edges=edges))
        back = decode(data)
        assert rate.mean_iou(clip, back, np.ones(256)) >= 0.85
        sizes.append(len(data))
        clean.append(outlines.boundary_f(clip, back))
    header = 26
    assert sizes[0] < sizes[1] <= 1.22 * (sizes[0] - header) + header
    assert clean[1] > clean[0] + 0.01


def test_edges_out_of_range():
    for edges in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="edges"):
            ContourConfig(edges=edges)
