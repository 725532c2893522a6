"""Agreement of label maps against plain counting and scikit-image."""

import jax
import numpy as np
import pytest

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


def test_counts_of_pieces_add_up(label_pair):
    a, b = label_pair
    parts = metrics.label_counts(a[:1], b[:1]) + metrics.label_counts(a[1:], b[1:])
    assert float(metrics.miou_from_counts(parts)) == pytest.approx(float(metrics.miou(a, b)), abs=1e-6)


def test_counts_go_past_32_bits():
    total = (np.uint32([0, 3]), np.uint32([5, 2**32 - 10]))
    high, low = regions._add_wide(total, np.uint32([7, 25]))
    assert (high.tolist(), low.tolist()) == ([0, 4], [12, 15])


def test_jit(label_pair):
    assert float(jax.jit(metrics.miou)(*label_pair)) == pytest.approx(float(metrics.miou(*label_pair)))


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
