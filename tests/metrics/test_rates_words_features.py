"""Rates, texts, features and predictions against definitions and other implementations."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator
from scipy.linalg import sqrtm

from semjax import metrics
from semjax.errors import InputError, NotAvailableError
from semjax.types import ClipInfo

CLIP = ClipInfo(60, 512, 288, Fraction(30000, 1001))


def test_rates_of_a_clip():
    pixels = 60 * 512 * 288
    assert metrics.bpp(1000, CLIP) == pytest.approx(8000 / pixels)
    assert metrics.bits_per_second(1000, CLIP) == pytest.approx(8000 / (60 * 1001 / 30000))
    assert metrics.ratio_to_raw(1000, CLIP) == pytest.approx(pixels * 3 / 1000)
    assert metrics.cbr(500, CLIP) == pytest.approx(500 / (pixels * 3))
    assert metrics.bpp(0, CLIP) == 0
    assert metrics.ratio_to_raw(0, CLIP) == math.inf
    assert metrics.ratio_to_raw(1000, CLIP) * metrics.bpp(1000, CLIP) == pytest.approx(24)
    for rate in (metrics.bpp, metrics.bits_per_second, metrics.ratio_to_raw, metrics.cbr):
        for wrong in (-1, math.nan, math.inf):
            with pytest.raises(InputError, match="0 or more"):
                rate(wrong, CLIP)


ANCHOR = [(100, 30.0), (200, 33.0), (400, 35.5), (800, 37.4)]
BETTER = [(90, 30.5), (180, 33.7), (350, 36.0), (700, 38.0)]


def test_bjontegaard_deltas_are_the_area_between_curves():
    pytest.importorskip("bjontegaard")
    (ra, qa), (rb, qb) = (np.array(c).T for c in (ANCHOR, BETTER))
    low, high = max(qa[0], qb[0]), min(qa[-1], qb[-1])
    gap = [PchipInterpolator(q, np.log10(r)).integrate(low, high) for r, q in ((ra, qa), (rb, qb))]
    expected = (10 ** ((gap[1] - gap[0]) / (high - low)) - 1) * 100
    assert expected < -10
    assert metrics.bd_rate(ANCHOR, BETTER) == pytest.approx(expected, abs=1e-4)
    assert metrics.bd_rate(ANCHOR[::-1], BETTER) == pytest.approx(expected, abs=1e-4)
    low, high = np.log10(max(ra[0], rb[0])), np.log10(min(ra[-1], rb[-1]))
    gap = [PchipInterpolator(np.log10(r), q).integrate(low, high) for r, q in ((ra, qa), (rb, qb))]
    assert metrics.bd_quality(ANCHOR, BETTER) == pytest.approx((gap[1] - gap[0]) / (high - low), abs=1e-4)
    assert metrics.bd_rate(ANCHOR, ANCHOR) == pytest.approx(0, abs=1e-9)
    half = [(r / 2, q) for r, q in ANCHOR]
    assert metrics.bd_rate(ANCHOR, half) == pytest.approx(-50)
    falling = [(r, 1 / q) for r, q in ANCHOR]  # a measure that is better when lower
    assert metrics.bd_rate(falling, [(r * 2, q) for r, q in falling]) == pytest.approx(100)
    assert metrics.bd_quality(falling, [(r, q + 0.001) for r, q in falling]) == pytest.approx(0.001)


def test_curves_that_cannot_be_compared():
    pytest.importorskip("bjontegaard")
    with pytest.raises(InputError, match="at least 2"):
        metrics.bd_rate(ANCHOR, BETTER[:1])
    with pytest.raises(InputError, match="share no range of qualities"):
        metrics.bd_rate(ANCHOR, [(100, 50), (200, 60)])
    with pytest.raises(InputError, match="share no range of rates"):
        metrics.bd_quality(ANCHOR, [(1000, 30), (2000, 40)])
    with pytest.raises(InputError, match="steadily"):
        metrics.bd_rate(ANCHOR, [(100, 30), (200, 35), (300, 33)])
    with pytest.raises(InputError, match="same quality measure"):
        metrics.bd_rate(ANCHOR, [(100, 36), (200, 31)])
    for wrong in ([(0, 30), (100, 33)], [(10, math.nan), (100, 33)]):
        with pytest.raises(InputError, match="finite points"):
            metrics.bd_rate(ANCHOR, wrong)


def test_bleu_by_hand():
    pytest.importorskip("sacrebleu")
    reference, other = ["the cat sat on the mat today"], ["the cat sat on a mat"]
    matches, totals = [5, 3, 2, 1], [6, 5, 4, 3]
    product = np.prod([m / t for m, t in zip(matches, totals)]) ** 0.25
    assert metrics.bleu(reference, other) == pytest.approx(100 * product * math.exp(1 - 7 / 6), abs=1e-4)
    assert metrics.bleu(reference, reference) == pytest.approx(100)
    assert metrics.bleu([["no match here at all", "the cat sat on a mat"]], other) == pytest.approx(100)


def test_rouge_l_by_hand():
    pytest.importorskip("rouge_score")
    score = metrics.rouge_l(["the cat sat on the mat", "a b c"], ["the dog sat on mat", "x y z"])
    assert score == pytest.approx((2 * (4 / 5) * (4 / 6) / (4 / 5 + 4 / 6)) / 2, abs=1e-6)
    assert metrics.rouge_l(["a red mug turns"], ["a red mug turns"]) == 1


@pytest.mark.parametrize("metric, package", [(metrics.bleu, "sacrebleu"), (metrics.rouge_l, "rouge_score")])
def test_texts_that_do_not_fit(metric, package):
    pytest.importorskip(package)
    with pytest.raises(InputError, match="2 references and 1 hypotheses"):
        metric(["a", "b"], ["a"])
    with pytest.raises(InputError, match="lists of sentences"):
        metric("a red mug", ["a red mug"])
    with pytest.raises(InputError, match="0 references"):
        metric([], [])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(NotAvailableError, match=r"sacrebleu package; .*semjax\[metrics\]"):
        metrics.bleu(["a"], ["a"])


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6))
    return first.astype(np.float32), (first * 1.1 + 0.3 * rng.normal(size=first.shape)).astype(np.float32)


def test_clip_score_both_ways(features):
    a, b = features
    cosine = np.mean([x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b)])
    assert float(metrics.clip_score(a, b)) == pytest.approx(cosine, abs=1e-5)
    assert float(metrics.clip_score(a, b, form="half")) == pytest.approx((cosine + 1) / 2, abs=1e-5)
    assert float(metrics.clip_score(a, a * 3)) == pytest.approx(1, abs=1e-6)
    assert float(metrics.clip_score(a, -a, form="half")) == pytest.approx(0, abs=1e-6)
    assert float(jax.jit(metrics.clip_score)(a, b)) == pytest.approx(cosine, abs=1e-5)
    with pytest.raises(InputError, match="not a number"):
        metrics.clip_score(a * 0, b)
    with pytest.raises(InputError, match="must agree"):
        metrics.clip_score(a, b[:3])
    with pytest.raises(InputError, match="cosine"):
        metrics.clip_score(a, b, form="percent")


@pytest.mark.parametrize("rows", [(40, 40), (40, 25), (4, 3)])
def test_frechet_distance_is_the_formula(features, rows):
    a, b = (f[:n].astype(float) for f, n in zip(features, rows))
    covariances = [np.cov(z, rowvar=False) for z in (a, b)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(sum(covariances) - 2 * root)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, abs=1e-4 * max(1, expected))
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(a, a + 2) == pytest.approx(4 * 6)
    with pytest.raises(InputError, match="at least 2"):
        metrics.frechet_distance(a, b[:1])
    with pytest.raises(InputError, match="NaN"):
        metrics.frechet_distance(a, b * np.nan)


def test_bert_score_by_hand():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 4, 8))
    u, v = np.float32([[1, 2, 1, 0, 0], [1, 1, 1, 1, 3]]), np.float32([[1, 1, 1, 1], [2, 1, 0, 0]])
    expected = []
    for a, b, p, q in zip(x, y, u, v):
        a, b, p, q = a[p > 0], b[q > 0], p[p > 0], q[q > 0]
        cosine = (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
        recall, precision = np.average(cosine.max(1), weights=p), np.average(cosine.max(0), weights=q)
        expected.append((precision, recall, 2 * precision * recall / (precision + recall)))
    x[0, 3:], y[1, 2:] = 0, 1e30  # padding may hold anything
    assert [float(s) for s in metrics.bert_score(x, y, u, v)] == pytest.approx(np.mean(expected, 0), abs=1e-5)
    assert [float(s) for s in metrics.bert_score(x, x * 2, u, u)] == pytest.approx([1, 1, 1], abs=1e-6)
    with pytest.raises(InputError, match="BERTScore needs"):
        metrics.bert_score(x, y, u, u)
    with pytest.raises(InputError, match="not a number"):
        metrics.bert_score(x, y, u * 0, v)


def root_distance(x, y):
    """A stand-in for LPIPS: root mean square."""
    assert x.min() >= -1 and x.max() <= 1
    return ((x - y) ** 2).mean((1, 2, 3)) ** 0.5


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_learned_distances_over_a_clip(pair, batch):
    x, y = (c.astype(float) / 127.5 - 1 for c in pair)
    rms = np.sqrt(np.mean((x - y) ** 2, (1, 2, 3)))
    each = metrics.frame_distance(root_distance, *pair, batch=batch, per_frame=True)
    np.testing.assert_allclose(each, rms, rtol=1e-5)
    assert float(metrics.frame_distance(root_distance, *pair, batch=batch)) == pytest.approx(
        rms.mean(), rel=1e-5
    )
    steps = [np.sqrt(np.mean(np.diff(c, axis=0) ** 2, (1, 2, 3))) for c in (x, y)]
    found = metrics.temporal_distance(root_distance, *pair, batch=batch, per_frame=True)
    np.testing.assert_allclose(found, np.abs(steps[0] - steps[1]), rtol=1e-4)
    assert float(metrics.temporal_distance(root_distance, pair[0], pair[0])) == 0


def test_learned_distances_that_cannot_be(pair):
    with pytest.raises(InputError, match="not a number"):
        metrics.frame_distance(lambda x, y: x.mean((1, 2, 3)) * np.nan, *pair)
    with pytest.raises(InputError, match="at least 2 frames"):
        metrics.temporal_distance(root_distance, pair[0][:1], pair[1][:1])
    with pytest.raises(InputError, match="at least 1 frame"):
        metrics.frame_distance(root_distance, *pair, batch=0)


def test_depth_errors_by_hand():
    truth = np.float32([[[1, 2], [4, 0]]])
    found = np.float32([[[1.2, 2.9], [10, 7]]])
    errors = metrics.depth_errors(truth, found)
    used = (np.array([1, 2, 4]), np.array([1.2, 2.9, 10]))
    assert float(errors.abs_rel) == pytest.approx(np.mean(np.abs(used[0] - used[1]) / used[0]), abs=1e-6)
    assert float(errors.rmse) == pytest.approx(np.sqrt(np.mean((used[0] - used[1]) ** 2)), abs=1e-6)
    assert [float(d) for d in errors[2:]] == pytest.approx([1 / 3, 2 / 3, 2 / 3])  # ratios 1.2, 1.45, 2.5
    perfect = metrics.depth_errors(truth, truth * 3, scale="median")
    assert [float(e) for e in perfect] == pytest.approx([0, 0, 1, 1, 1], abs=1e-6)
    masked = metrics.depth_errors(truth, found, valid=np.array([[[True, False], [False, True]]]))
    assert float(masked.abs_rel) == pytest.approx(0.2, abs=1e-6)
    assert float(jax.jit(metrics.depth_errors)(truth, found).rmse) == pytest.approx(float(errors.rmse))
    behind = metrics.depth_errors(truth, -found)
    assert [float(d) for d in behind[2:]] == [0, 0, 0]


def test_depths_that_do_not_fit():
    truth = np.ones((1, 2, 2), np.float32)
    with pytest.raises(InputError, match="must agree"):
        metrics.depth_errors(truth, truth[:, 1:])
    with pytest.raises(InputError, match="not a number"):
        metrics.depth_errors(truth, truth * np.nan)
    with pytest.raises(InputError, match="not a number"):
        metrics.depth_errors(truth * 0, truth)
    with pytest.raises(InputError, match="mask"):
        metrics.depth_errors(truth, truth, valid=np.ones((2, 2), bool))
    with pytest.raises(InputError, match="median"):
        metrics.depth_errors(truth, truth, scale="mean")


def test_top_k_accuracy():
    scores = np.float32([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    classes = np.array([1, 2, 0])
    assert float(metrics.top_k_accuracy(classes, scores)) == pytest.approx(1 / 3)
    assert float(metrics.top_k_accuracy(classes, scores, k=2)) == pytest.approx(2 / 3)
    assert float(metrics.top_k_accuracy(classes, scores, k=3)) == 1
    for wrong in ((classes[:2], scores, 1), (classes.astype(float), scores, 1), (classes, scores[0], 1)):
        with pytest.raises(InputError, match="Classes must be"):
            metrics.top_k_accuracy(*wrong[:2], k=wrong[2])
    with pytest.raises(InputError, match="k must be 1 to 3"):
        metrics.top_k_accuracy(classes, scores, k=4)
    with pytest.raises(InputError, match="not a number"):
        metrics.top_k_accuracy(classes, scores * np.nan)


def test_everything_at_once(pair, label_pair):
    scores = metrics.compare(*pair, reference_labels=label_pair[0], reconstruction_labels=label_pair[1])
    assert scores["psnr"] == pytest.approx(float(metrics.psnr(*pair)))
    assert scores["warping_error"] == pytest.approx(float(metrics.warping_error(*pair)), rel=1e-5)
    assert scores["warping_error_reference"] == pytest.approx(
        float(metrics.warping_error(pair[0], pair[0])), rel=1e-5
    )
    assert scores["boundary_f"] == pytest.approx(float(metrics.boundary_f(*label_pair)))
    assert all(type(v) is float and math.isfinite(v) for v in scores.values())
    assert set(metrics.compare(pair[0][:1], pair[1][:1])) == {"psnr", "ssim", "ms_ssim", "gmsd", "haarpsi"}
    assert set(metrics.compare(pair[0][0], pair[1][0])) == {"psnr", "ssim", "ms_ssim", "gmsd", "haarpsi"}
    with pytest.raises(InputError, match="both or neither"):
        metrics.compare(*pair, reference_labels=label_pair[0])
