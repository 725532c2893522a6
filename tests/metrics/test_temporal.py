"""Steadiness in time: what moves with the reference costs nothing, what flickers does."""

import jax
import numpy as np
import pytest
from metric_inputs import natural

from semjax import metrics
from semjax.errors import InputError


def drifting(frames, step):
    """A window that slides over one fixed picture: exact motion of `step` pixels a frame to the left."""
    wide = natural(1, 64, 96 + step * frames)[0]
    return np.stack([wide[:, t * step : t * step + 96] for t in range(frames)])


def test_warping_error_by_hand():
    clip = drifting(4, 3)
    flow = np.zeros((3, 64, 96, 2), np.float32)
    flow[..., 0] = 3  # where a pixel was in the frame before
    inside = np.zeros((3, 64, 96), bool)
    inside[:, :, :93] = True
    assert float(metrics.warping_error(clip, clip, flow=flow, valid=inside)) == pytest.approx(0, abs=1e-9)
    other = clip.copy()
    other[2] = np.minimum(other[2], 235) + 20
    each = metrics.warping_error(clip, other, flow=flow, valid=inside, per_frame=True)
    step = other.astype(float)[1:, :, :93] / 255 - other.astype(float)[:-1, :, 3:] / 255
    np.testing.assert_allclose(each, np.mean(step**2, (1, 2, 3)), atol=1e-6)
    assert float(jax.jit(metrics.warping_error)(clip, other, flow=flow, valid=inside)) == pytest.approx(
        float(np.mean(each)), rel=1e-5
    )


def test_half_pixels_are_interpolated():
    ramp = np.repeat(np.arange(0, 96, dtype=np.uint8)[None, :, None] * 2, 3, -1).repeat(20, 0)
    clip = np.stack([ramp, ramp + 1])
    flow = np.zeros((1, 20, 96, 2), np.float32)
    flow[..., 0] = 0.5
    inside = np.arange(96)[None, None] < 95
    error = metrics.warping_error(clip, clip, flow=flow, valid=np.broadcast_to(inside, (1, 20, 96)))
    assert float(error) == pytest.approx(0, abs=1e-9)


def test_the_flow_that_is_found_follows_the_motion():
    clip = drifting(4, 3)
    flow, valid = metrics.backward_flow(clip)
    assert flow.shape == (3, 64, 96, 2)
    assert valid.mean() > 0.8
    inner = flow[:, 8:-8, 8:-16]
    assert np.median(inner[..., 0]) == pytest.approx(3, abs=0.1)
    assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.1)
    found = metrics.warping_error(clip, clip, flow=flow, valid=valid, per_frame=True)
    np.testing.assert_allclose(metrics.warping_error(clip, clip, per_frame=True), found, rtol=1e-5)
    still = np.zeros_like(flow)
    assert found.mean() < 0.1 * float(metrics.warping_error(clip, clip, flow=still))


def test_flicker_counts_only_what_is_added():
    clip = drifting(6, 2)
    assert float(metrics.flicker(clip, clip)) == 0
    assert float(metrics.flicker(clip, np.repeat(clip[:1], 6, 0))) == 0
    still = np.full((6, 8, 8, 3), 100, np.uint8)
    blinking = still + np.uint8([0, 10] * 3)[:, None, None, None]
    assert float(metrics.flicker(still, blinking)) == pytest.approx(10)
    each = metrics.flicker(clip, clip[::-1], per_frame=True)
    a, b = np.abs(np.diff(clip.astype(int), axis=0)), np.abs(np.diff(clip[::-1].astype(int), axis=0))
    np.testing.assert_allclose(each, np.maximum(b - a, 0).mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("metric", [metrics.flicker, metrics.warping_error])
def test_a_blinking_copy_scores_worse_and_floats_agree(metric):
    clip = drifting(4, 2)
    blinking = np.clip(clip + np.int16([0, 25, -20, 30])[:, None, None, None], 0, 255).astype(np.uint8)
    assert float(metric(clip, blinking)) > float(metric(clip, clip)) + 1e-3
    floats = [c.astype(np.float32) / 127.5 - 1 for c in (clip, blinking)]
    assert float(metric(*floats)) == pytest.approx(float(metric(clip, blinking)), rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (9, 40), (15, 16)])
def test_tiny_pictures(size):
    clip = natural(3, *size)
    assert np.isfinite(float(metrics.warping_error(clip, clip)))
    assert float(metrics.flicker(clip, clip)) == 0


def test_inputs_that_do_not_fit():
    clip = natural(3, 20, 20)
    for metric in (metrics.flicker, metrics.warping_error):
        with pytest.raises(InputError, match="at least 2 frames"):
            metric(clip[:1], clip[:1])
        with pytest.raises(InputError, match=r"3 frames of 20x20.*2 frames of 20x20"):
            metric(clip, clip[:2])
    with pytest.raises(InputError, match="need a flow of shape"):
        metrics.warping_error(clip, clip, flow=np.zeros((3, 20, 20, 2)))
    with pytest.raises(InputError, match="a mask of"):
        metrics.warping_error(clip, clip, flow=np.zeros((2, 20, 20, 2)), valid=np.ones((2, 20, 19), bool))
    with pytest.raises(InputError, match="not a number"):
        metrics.warping_error(clip, clip, flow=np.full((2, 20, 20, 2), np.nan))
