import contour_shapes as shapes
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax.contours import fill, label_maps, pad, signed_distance, simplify_padded, soft_masks, trace
from semjax.errors import InputError

SQUARE = np.array([[3, 2], [11, 2], [11, 8], [3, 8]])


def test_signed_distance_of_a_square():
    points, valid = pad([SQUARE], 7)
    d = np.asarray(signed_distance(points[0], valid[0], height=12, width=16))
    y, x = np.mgrid[:12, :16] + 0.5
    dx, dy = np.maximum(3 - x, x - 11), np.maximum(2 - y, y - 8)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    assert np.allclose(d, np.where((dx < 0) & (dy < 0), -np.maximum(dx, dy), -outside), atol=1e-5)


def test_nothing_is_far_away():
    points, valid = pad([SQUARE[:0]], 4)
    assert (np.asarray(signed_distance(points[0], valid[0], height=5, width=6)) == -11).all()


def test_gradient_is_the_outline_moving():
    points, valid = pad([SQUARE], 4)

    def area(p):
        return soft_masks(p, valid[0], height=12, width=16, softness=0.5).sum()

    grow = jax.grad(area)(jnp.asarray(points[0]))
    assert np.isfinite(np.asarray(grow)).all()
    # moving the right edge by one pixel to the right adds its length
    assert np.isclose(float(grow[1, 0] + grow[2, 0]), 6.0, atol=0.3)
    assert abs(float(grow[:, 0].sum())) < 0.1  # moving all of it adds nothing


@pytest.mark.parametrize("seed", [0, 1])
def test_label_maps_equal_fill(seed):
    frame = shapes.moving(1, 48, 64, seed)[0]
    found = [(v, c) for v in np.unique(frame)[1:] for c in trace(frame == v)]
    points, valid = pad([c for _, c in found], max(len(c) for _, c in found))
    labels = np.array([v for v, _ in found], np.uint8)
    batch = [np.stack([a, a]) for a in (points, valid, labels)]
    out = label_maps(*batch, np.zeros(2, np.uint8), height=48, width=64)
    assert np.array_equal(out[0], frame) and np.array_equal(out[1], frame)


def test_holes_show_what_lies_under_them():
    hole = SQUARE[::-1] // 2 + [4, 3]
    points, valid = pad([SQUARE, hole], 4)
    out = label_maps(points, valid, np.array([9, 9], np.uint8), np.uint8(1), height=12, width=16)
    mask = fill([SQUARE, hole], 12, 16)
    assert np.array_equal(out == 9, mask) and set(np.unique(out)) == {1, 9}


@pytest.mark.parametrize("tolerance", [0.4, 1.0, 3.0])
def test_simplify_padded_stays_within_tolerance(tolerance):
    contours = trace(shapes.moving(1, 64, 64)[0] > 0)
    points, valid = pad(contours, max(len(c) for c in contours))
    short, kept = (np.asarray(a) for a in simplify_padded(points, valid, tolerance))
    assert kept.sum() < valid.sum() or tolerance < 1
    for contour, p, k in zip(contours, short, kept):
        assert k[: k.sum()].all()
        a = p[: k.sum()]
        assert {tuple(v) for v in a} <= {tuple(v) for v in contour.astype(float)}
        edges = np.roll(a, -1, axis=0) - a
        rel = contour[:, None] - a[None]
        t = np.clip((rel * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-9), 0, 1)
        assert np.linalg.norm(rel - t[..., None] * edges, axis=-1).min(1).max() <= tolerance + 1e-4


def test_room_is_checked():
    with pytest.raises(InputError, match="4 vertices"):
        pad([SQUARE], 3)
