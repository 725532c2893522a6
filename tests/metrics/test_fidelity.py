"""PSNR, SSIM and MS-SSIM against other implementations, and what holds for all picture metrics."""

import json
import pathlib

import jax
import numpy as np
import pytest
from metric_inputs import damaged, natural
from PIL import Image
from scipy.ndimage import correlate1d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from semjax import metrics
from semjax.errors import InputError
from semjax.metrics.fidelity import scales_for

PICTURE_METRICS = [metrics.mse, metrics.psnr, metrics.ssim, metrics.ms_ssim, metrics.gmsd, metrics.haarpsi]
PERFECT = {"mse": 0, "psnr": np.inf, "gmsd": 0}  # 1 for the others
LOWER_IS_BETTER = {"mse", "gmsd"}
everywhere = pytest.mark.parametrize("metric", PICTURE_METRICS, ids=lambda m: m.__name__)


def as_floats(clip):
    return clip.astype(np.float32) / 127.5 - 1


def test_psnr_is_that_of_scikit_image(pair):
    assert float(metrics.psnr(*pair)) == pytest.approx(
        peak_signal_noise_ratio(*pair, data_range=255), abs=1e-4
    )
    each = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(*pair)]
    np.testing.assert_allclose(metrics.psnr(*pair, per_frame=True), each, atol=1e-4)


@pytest.mark.parametrize("size", [(90, 121), (11, 11), (288, 96)])
def test_ssim_is_that_of_scikit_image(size):
    clip = natural(2, *size)
    other = damaged(clip)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    each = [structural_similarity(a, b, channel_axis=-1, **settings) for a, b in zip(clip, other)]
    np.testing.assert_allclose(metrics.ssim(clip, other, per_frame=True), each, atol=1e-4)
    assert float(metrics.ssim(clip, other)) == pytest.approx(np.mean(each), abs=1e-4)


@pytest.fixture(scope="module")
def recorded():
    """A pair of pictures and what other programs said of it (see record_oracles.py)."""
    folder = pathlib.Path(__file__).parents[1] / "data" / "metrics"
    pictures = [np.asarray(Image.open(folder / f"{n}_0.png"))[None] for n in ("reference", "reconstruction")]
    return pictures, json.loads((folder / "oracles.json").read_text())["scores"]


@pytest.mark.parametrize("name", ["psnr/torchmetrics", "ssim/pytorch_msssim", "gmsd/piq", "haarpsi/piq"])
def test_scores_are_those_of_other_programs(recorded, name):
    pictures, scores = recorded
    metric = getattr(metrics, name.partition("/")[0])
    np.testing.assert_allclose(metric(*pictures, per_frame=True), scores[name], atol=1e-4)


def test_ms_ssim_is_that_of_pytorch_msssim(recorded):
    pictures, scores = recorded
    even = [p[:, :176, :208] for p in pictures]
    found = metrics.ms_ssim(*even, per_frame=True)
    np.testing.assert_allclose(found, scores["ms_ssim_even/pytorch_msssim"], atol=1e-4)


def ms_ssim_in_numpy(x, y, weights):
    """MS-SSIM of one picture, written down once more from the paper, in double precision."""
    x, y = x.astype(float), y.astype(float)
    window = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window /= window.sum()

    def blur(z):
        return correlate1d(correlate1d(z, window, 0), window, 1)[5:-5, 5:-5]

    score = np.ones(3)
    for i, weight in enumerate(weights):
        mx, my = blur(x), blur(y)
        vx, vy, c = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        structure = (2 * c + 58.5225) / (vx + vy + 58.5225)
        light = (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
        term = structure * light if i == len(weights) - 1 else structure
        score *= np.maximum(term.mean((0, 1)), 0) ** weight
        h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x, y = (z[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean((1, 3)) for z in (x, y))
    return score.mean()


FIVE_SCALES = [((200, 181), 5), ((176, 300), 5)]
FEWER_SCALES = [((175, 300), 4), ((88, 90), 4), ((64, 64), 3), ((43, 60), 2), ((21, 99), 1), ((11, 12), 1)]


@pytest.mark.parametrize("size, scales", FIVE_SCALES + FEWER_SCALES)
def test_ms_ssim_is_what_the_paper_says_with_as_many_scales_as_fit(size, scales):
    assert scales_for(*size) == scales
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:scales]
    clip = natural(2, *size)
    other = damaged(clip, 25)
    each = [ms_ssim_in_numpy(a, b, weights / weights.sum()) for a, b in zip(clip, other)]
    np.testing.assert_allclose(metrics.ms_ssim(clip, other, per_frame=True), each, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 9), (10, 40)])
@everywhere
def test_tiny_pictures_have_scores_too(metric, size):
    clip = natural(2, *size)
    assert np.isfinite(float(metric(clip, damaged(clip, 30))))


@everywhere
def test_floats_and_bytes_agree(metric, pair):
    expected = float(metric(*pair))
    assert float(metric(*map(as_floats, pair))) == pytest.approx(expected, rel=1e-5)
    assert float(metric(pair[0], as_floats(pair[1]))) == pytest.approx(expected, rel=1e-5)
    assert float(jax.jit(metric)(*pair)) == pytest.approx(expected, rel=1e-5)


@everywhere
def test_the_clip_is_the_mean_of_its_frames(metric, pair):
    each = metric(*pair, per_frame=True)
    assert each.shape == (3,)
    single = [float(metric(a, b)) for a, b in zip(*pair)]
    np.testing.assert_allclose(each, single, rtol=1e-5)
    if metric is not metrics.psnr:
        assert float(metric(*pair)) == pytest.approx(float(np.mean(each)), rel=1e-5)


@everywhere
def test_a_copy_is_perfect_and_worse_is_worse(metric):
    clip = natural(4, 96, 96)
    best = PERFECT.get(metric.__name__, 1)
    assert float(metric(clip, clip)) == pytest.approx(best, abs=1e-6)
    order = [float(metric(clip, damaged(clip, s))) for s in (3, 15, 40)]
    order.append(
        float(metric(clip, np.random.default_rng(0).permutation(clip.reshape(-1, 3)).reshape(clip.shape)))
    )
    assert order == sorted(order, reverse=metric.__name__ not in LOWER_IS_BETTER)
    assert abs(float(metric(clip, clip[::-1])) - best) > 1e-2


@everywhere
def test_flat_pictures(metric):
    for level in (0, 128, 255):
        flat = np.full((2, 40, 40, 3), level, np.uint8)
        assert not np.isnan(float(metric(flat, flat)))
        assert not np.isnan(float(metric(flat, 255 - flat)))


@everywhere
def test_inputs_that_do_not_fit(metric, pair):
    reference, other = pair
    with pytest.raises(InputError, match=r"3 frames of 121x90.*2 frames of 121x90"):
        metric(reference, other[:2])
    with pytest.raises(InputError, match=r"3 frames of 121x90.*3 frames of 120x90"):
        metric(reference, other[:, :, 1:])
    with pytest.raises(InputError, match="uint8, or floats"):
        metric(reference.astype(np.int32), other)
    with pytest.raises(InputError, match=r"\[-1, 1\]; the reconstruction spans \[0, "):
        metric(reference, np.maximum(other, 1).astype(np.float32) - 1)
    with pytest.raises(InputError, match=r"must have the shape"):
        metric(reference[..., :1], other[..., :1])
    with pytest.raises(InputError, match="spans"):
        metric(reference, np.where(other == other.max(), np.nan, as_floats(other)))


def test_memory_stays_that_of_a_frame():
    """The compiled program's scratch memory does not grow with the number of frames."""
    for metric in (metrics.ms_ssim, metrics.gmsd, metrics.haarpsi, metrics.flicker):
        sizes = []
        for frames in (4, 40):
            shape = jax.ShapeDtypeStruct((frames, 64, 64, 3), np.uint8)
            compiled = jax.jit(metric).lower(shape, shape).compile()
            sizes.append(compiled.memory_analysis().temp_size_in_bytes)
        assert sizes[1] < sizes[0] + 40 * 64, metric.__name__
