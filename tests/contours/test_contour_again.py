"""Cells chosen again with the next frame in mind."""

import contour_shapes as shapes
import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from semjax.contours import ContourConfig, again, best, blocks, prices, rate

SHAPE = (11, 17)
BLOCK = 8
maps = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 9]))
motion = hnp.arrays(np.int64, (2, 3, 2), elements=st.integers(-3, 3))


def bits_of(cells, prediction, nref):
    near = prices.surroundings(prediction)
    return prices.bits_of_cells(cells, prediction, near, nref, rate.rate_table(True)).sum()


@hypothesis.given(maps, maps, maps, maps, motion, st.sampled_from([0.1, 0.5, 3.0]), st.integers(0, 1))
@hypothesis.settings(deadline=None, max_examples=80)
def test_two_frames_together_never_get_dearer(cells, truth, prediction, follow, vectors, lam, nref):
    weights, far = np.full(256, 0.5), np.ones(SHAPE, np.float32)

    def cost(one):
        moved = blocks.shift(one, vectors, BLOCK, 1)
        return (one != truth).sum() + lam * (bits_of(one, prediction, nref) + bits_of(follow, moved, 1))

    better, fixed = cells.copy(), follow.copy()
    prices_of = (weights, lam, rate.rate_table(True))
    error, bits = again.improve(better, truth, far, prediction, nref, *prices_of, follow, vectors, BLOCK)
    assert cost(better) <= cost(cells) + 1e-3
    assert error == (better != truth).sum() and np.array_equal(follow, fixed)
    assert bits == pytest.approx(bits_of(better, prediction, nref), abs=1e-3)


@hypothesis.given(maps, maps, maps)
@hypothesis.settings(deadline=None, max_examples=30)
def test_without_a_next_frame_one_alone_never_gets_dearer(cells, truth, prediction):
    still = np.zeros((1, 1, 2), np.int64)
    better, args = cells.copy(), (np.full(256, 0.5), 0.5, rate.rate_table(True), None, still, 17)
    error, bits = again.improve(better, truth, np.ones(SHAPE, np.float32), prediction, 1, *args)
    assert error + 0.5 * bits <= (cells != truth).sum() + 0.5 * bits_of(cells, prediction, 1) + 1e-3


@hypothesis.given(motion)
@hypothesis.settings(deadline=None, max_examples=30)
def test_followers_are_where_a_moved_map_has_its_pixels_from(vectors):
    numbers = np.arange(np.prod(SHAPE), dtype=np.uint8).reshape(SHAPE)
    moved = blocks.shift(numbers, vectors, BLOCK, 1)
    first, more = (m.ravel() for m in again.followers(vectors, BLOCK, *SHAPE))
    for pixel, p in enumerate(first):
        chain = []
        while p >= 0 and len(chain) < moved.size:
            chain.append(p)
            p = more[p]
        assert sorted(chain) == list(np.flatnonzero(moved.ravel() == numbers.ravel()[pixel]))


@pytest.mark.parametrize("period", [None, 3])
def test_passes_made_from_one_another_take_fewer_bytes(period):
    clip = shapes.thin()
    passes = rate.Passes(clip, ContourConfig(target_miou=0.95, weights=((0, 0.0),), period=period))
    plain, quality = passes.at(1, 0.5)
    made = plain
    for _ in range(3):
        made, now = passes.at(1, 0.5, earlier=made)
    assert len(made) < 0.99 * len(plain) and now > quality - 0.005
    back = np.stack(list(best.decode_unit(made, *clip.shape)))
    assert np.array_equal(back, passes.last[1])
    assert passes.at(1, 0.5, earlier=plain) == rate.Passes(clip, passes.cfg).at(1, 0.5, earlier=plain)
