"""Agreement of label maps against plain counting and scikit-image."""

import jax
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial.distance import cdist

from semjax import metrics
from semjax.errors import InputError
from semjax.metrics import regions


def iou(a, b, label):
    return np.sum((a == label) & (b == label)) / np.sum((a == label) | (b == label))


def test_class_iou_and_miou_are_what_counting_gives(label_pair):
    each = {k: iou(*label_pair, k) for k in (0, 1, 2, 7, 9)}
    assert metrics.class_iou(*label_pair) == pytest.approx(each)
    assert float(metrics.miou(*label_pair)) == pytest.approx(np.mean(list(each.values())), abs=1e-6)
    assert float(metrics.pixel_accuracy(*label_pair)) == pytest.approx(
        np.mean(np.equal(*label_pair)), abs=1e-6
    )


def test_labels_may_be_left_out(label_pair):
    a, b = label_pair
    kept = np.mean([iou(a, b, k) for k in (1, 2, 7)])
    assert float(metrics.miou(a, b, ignore=(0, 9))) == pytest.approx(kept, abs=1e-6)
    share = [k for k in (0, 1, 2, 7, 9) if max(np.mean(a == k), np.mean(b == k)) >= 0.05]
    assert 0 < len(share) < 5
    expected = np.mean([iou(a, b, k) for k in share])
    assert float(metrics.miou(a, b, min_share=0.05)) == pytest.approx(expected, abs=1e-6)
    used = a != 0
    cut = np.mean([iou(a[used], b[used], k) for k in (0, 1, 2, 7)])
    assert float(metrics.miou(a, b, void=[0])) == pytest.approx(cut, abs=1e-6)
    assert float(metrics.pixel_accuracy(a, b, void=[0])) == pytest.approx(np.mean((a == b)[used]), abs=1e-6)


def test_a_copy_is_perfect_and_a_shuffled_clip_is_not(label_pair):
    a, _ = label_pair
    assert float(metrics.miou(a, a)) == float(metrics.pixel_accuracy(a, a)) == 1
    assert float(metrics.miou(a, a[::-1])) < 0.98
    assert float(metrics.miou(a, np.random.default_rng(0).permutation(a.ravel()).reshape(a.shape))) < 0.5


def boundary_f_by_hand(a, b, tolerance=2):
    """Label by label, frame by frame, with SciPy's erosion and dilation."""
    y, x = np.mgrid[-tolerance : tolerance + 1, -tolerance : tolerance + 1]
    disk = x**2 + y**2 <= tolerance**2
    scores = {}
    for frame_a, frame_b in zip(a, b):
        for label in np.union1d(frame_a, frame_b):
            edges = []
            for frame in (frame_a, frame_b):
                mask = frame == label
                edges.append(mask & ~binary_erosion(mask, border_value=1))
            near = [binary_dilation(e, disk) for e in edges]
            recall, precision = ((e & n).sum() / max(e.sum(), 1) for e, n in zip(edges, near[::-1]))
            score = 2 * precision * recall / (precision + recall) if precision + recall else 0
            if not edges[0].any() and not edges[1].any():
                score = float((frame_a == label).any() and (frame_b == label).any())
            scores.setdefault(label, []).append(score)
    return np.mean([np.mean(s) for s in scores.values()])


@pytest.mark.parametrize("tolerance", [0, 1, 2, 4])
def test_boundary_f_is_what_morphology_gives(label_pair, tolerance):
    a, b = label_pair
    b = np.roll(b, 1, 1)
    expected = boundary_f_by_hand(a, b, tolerance)
    assert 0.01 < expected < 0.99
    assert float(metrics.boundary_f(a, b, tolerance=tolerance)) == pytest.approx(expected, abs=1e-5)


def test_boundary_f_of_noise_and_of_full_pictures():
    noise = np.random.default_rng(0).integers(0, 4, (2, 2, 20, 30), np.uint8)
    assert float(metrics.boundary_f(*noise)) == pytest.approx(boundary_f_by_hand(*noise), abs=1e-5)
    full = np.full((2, 9, 9), 3, np.uint8)
    assert float(metrics.boundary_f(full, full)) == 1
    assert float(metrics.boundary_f(full, full + 1)) == 0
    assert float(metrics.boundary_f(noise[0], noise[1], ignore=[0, 1])) < 1
    with pytest.raises(InputError, match="No label is left"):
        metrics.boundary_f(full, full, ignore=[3])


def test_contour_distance_is_what_all_pairs_give(label_pair):
    a, b = label_pair

    def outline(frame):
        inner = np.zeros(frame.shape, bool)
        for label in np.unique(frame):
            inner |= (frame == label) & ~binary_erosion(frame == label, border_value=1)
        return np.argwhere(inner)

    away = []
    for points in ((outline(x), outline(y)) for x, y in zip(a, b)):
        apart = cdist(*points)
        away += [*apart.min(0), *apart.min(1)]
    assert metrics.contour_distance(a, b) == pytest.approx(np.mean(away), abs=1e-4)
    assert metrics.contour_distance(a, a) == 0
    shifted = [metrics.contour_distance(a, np.roll(a, s, 2)) for s in (1, 2, 4)]
    assert shifted == sorted(shifted)
    plain = np.zeros_like(a)
    assert metrics.contour_distance(a, plain) == 100  # the diagonal of 80x60
    assert metrics.contour_distance(plain, plain) == 0


def test_counts_of_pieces_add_up(label_pair):
    a, b = label_pair
    parts = metrics.label_counts(a[:1], b[:1]) + metrics.label_counts(a[1:], b[1:])
    assert float(metrics.miou_from_counts(parts)) == pytest.approx(float(metrics.miou(a, b)), abs=1e-6)


def test_counts_go_past_32_bits():
    total = (np.uint32([0, 3]), np.uint32([5, 2**32 - 10]))
    high, low = regions._add_wide(total, np.uint32([7, 25]))
    assert (high.tolist(), low.tolist()) == ([0, 4], [12, 15])


def test_jit(label_pair):
    for metric in (metrics.miou, metrics.pixel_accuracy, metrics.boundary_f):
        assert float(jax.jit(metric)(*label_pair)) == pytest.approx(float(metric(*label_pair)))


def test_inputs_that_do_not_fit(label_pair):
    a, b = label_pair
    with pytest.raises(InputError, match=r"4 frames of 80x60.*3 frames of 80x60"):
        metrics.miou(a, b[:3])
    with pytest.raises(InputError, match="uint8"):
        metrics.miou(a.astype(int), b)
    with pytest.raises(InputError, match="No label is left"):
        metrics.miou(a, b, ignore=[0, 1, 2, 7, 9])
    with pytest.raises(InputError, match="0 to 255"):
        metrics.miou(a, b, ignore=[256])
