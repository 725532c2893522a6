"""The sender's tools: what they promise whatever the maps."""

import contour_shapes as shapes
import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax.contours import ContourConfig, blocks, decode, encode, outlines, prices, rate
from semjax.contours.best_encoder import Plan, Sender
from semjax.contours.fusion import TILES, fuse

SHAPE = (11, 17)
WEIGHTS = np.full(256, 0.5)
maps = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 9]))


def cost(cells, truth, prediction, lam, table):
    """Wrong pixels plus lambda times bits."""
    bits = prices.bits_of_cells(cells, prediction, prices.surroundings(prediction), 1, table).sum()
    return float((cells != truth).sum() + lam * bits)


@hypothesis.given(maps, maps, maps, maps, st.sampled_from([0.1, 0.5, 3.0]))
@hypothesis.settings(deadline=None, max_examples=60)
def test_a_map_out_of_two_costs_no_more_than_the_first(first, second, truth, prediction, lam):
    table = rate.rate_table(True)
    cells, far = first.copy(), np.ones(SHAPE, np.float32)
    near = prices.surroundings(prediction)
    fuse(cells, [(second.copy(), TILES)], truth, far, prediction, near, 1, WEIGHTS, lam, table)
    assert np.all((cells == first) | (cells == second))
    assert cost(cells, truth, prediction, lam, table) <= cost(first, truth, prediction, lam, table) + 1e-3


def test_a_map_out_of_two_takes_the_better_part_of_each():
    truth = np.zeros((40, 80), np.uint8)
    truth[10:20, 10:20] = truth[10:20, 50:60] = 1
    first, second = truth.copy(), truth.copy()
    first[10:20, 50:60], second[10:20, 10:20] = 0, 0
    far = np.ones(truth.shape, np.float32)
    near = prices.surroundings(truth)
    fuse(first, [(second, TILES)], truth, far, truth, near, 1, WEIGHTS, 0.1, rate.rate_table(True))
    assert np.array_equal(first, truth)


@hypothesis.given(maps, maps, st.integers(0, 1), st.booleans())
@hypothesis.settings(deadline=None, max_examples=60)
def test_symbols_are_counted_as_they_are_priced(cells, prediction, nref, corners):
    rows = prices.CORNER_ROWS if corners else prices.CONTEXTS
    unlike = np.random.default_rng(0).random((rows, prices.SYMBOLS)).astype(np.float32)
    counts, near = np.zeros_like(unlike), prices.surroundings(prediction)
    prices.count(cells, prediction, near, nref, counts)
    bits = prices.bits_of_cells(cells, prediction, near, nref, unlike)
    assert counts.sum() == cells.size
    assert (counts.astype(np.float64) * unlike).sum() == pytest.approx(bits.sum(), rel=1e-5)


@hypothesis.given(maps)
@hypothesis.settings(deadline=None, max_examples=30)
def test_surroundings_are_the_cells_around(cells):
    around = np.pad(cells.astype(int), 1, constant_values=-1)
    steps = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
    expected = np.zeros(SHAPE, int)
    for bit, (dy, dx) in enumerate(steps):
        other = around[1 + dy : 1 + dy + SHAPE[0], 1 + dx : 1 + dx + SHAPE[1]]
        expected |= ((other != cells) & (other >= 0)).astype(int) << bit
    assert np.array_equal(prices.surroundings(cells), expected)


@hypothesis.given(maps, maps)
@hypothesis.settings(deadline=None, max_examples=30)
def test_prices_follow_what_was_coded(cells, prediction):
    static = rate.rate_table(True)
    seen = prices.Seen(static)
    before, near = static.copy(), prices.surroundings(prediction)
    assert prices.bits_of_cells(cells, prediction, near, 1, seen.table).sum() == pytest.approx(
        prices.bits_of_cells(cells, prediction, near, 1, static).sum(), rel=1e-6
    )
    for _ in range(400):
        table = seen.add(cells, prediction)
    assert np.array_equal(static, before) and np.all(table > -1e-6)
    bits = [prices.bits_of_cells(cells, prediction, near, 1, t).sum() for t in (static, table)]
    assert bits[1] <= bits[0] + 1e-3


@hypothesis.given(maps, hnp.arrays(np.int64, (3, 5, 2), elements=st.integers(-9, 9)), st.integers(1, 3))
@hypothesis.settings(deadline=None, max_examples=60)
def test_moved_maps_are_fetched_pixel_by_pixel(ref, vectors, step):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    v = vectors[y // 4, x // 4] * step
    expected = ref[np.clip(y + v[..., 0], 0, SHAPE[0] - 1), np.clip(x + v[..., 1], 0, SHAPE[1] - 1)]
    assert np.array_equal(blocks.shift(ref, vectors, 4, step), expected)


@pytest.mark.parametrize("ahead", [False, True])
def test_what_lasts_counts_more(ahead):
    labels = np.zeros((3, 60, 60), np.uint8)
    labels[:, 20:40, 20:40] = 1
    labels[1, 9, 9] = 1  # a speck that is there for one frame
    sender = Sender(labels, WEIGHTS, Plan(1, 0.5, 1, ahead=ahead), rate.rate_table(True), None)
    far = sender._far(1)
    assert (far[9, 9] < far[30, 30]) == ahead
    assert sender._far(2)[9, 9] == sender._far(2)[30, 30]


def test_cells_of_one_pixel_get_cleaner_outlines_too():
    lines = shapes.thin()
    made = []
    for edges in (0.0, 1.0):
        cfg = ContourConfig(target_miou=0.9, weights=((0, 0.0),), edges=edges)
        data = encode(lines, cfg)
        back = decode(data)
        assert rate.mean_iou(lines, back, rate.importance(cfg)) >= 0.9
        made.append((len(data), outlines.boundary_f(lines, back)))
    assert made[0][0] < made[1][0] <= 1.22 * made[0][0] + 1
    assert made[0][1] < made[1][1]
