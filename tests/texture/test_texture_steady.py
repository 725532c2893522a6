"""Errors of coding evened out in time by the receiver."""

import numpy as np
import pytest
from texture_clips import moving, psnr

from semjax import metrics, texture
from semjax.texture import TextureConfig
from semjax.texture.steady import steady

STEP = 40.0


def _noisy(clip, seed=0):
    noise = np.random.default_rng(seed).normal(0, 6, clip.shape)
    return np.clip(clip + noise, 0, 255).astype(np.uint8)


def _steadied(clip, starts=(0,), **more):
    n = len(clip)
    given = {"coarse": np.full(n, STEP), "steps": np.full(n, STEP)} | more
    return steady(clip, given["coarse"], given["steps"], np.isin(np.arange(n), starts))


def test_errors_that_change_from_frame_to_frame_go_and_what_moves_stays():
    clip = moving(16, 48, 96)
    given = _noisy(clip)
    shown = _steadied(given)
    assert shown.shape == clip.shape and shown.dtype == np.uint8
    assert psnr(shown, clip) > psnr(given, clip) + 3
    change = [np.square(np.diff(c.astype(float) - clip, axis=0)).mean() for c in (shown, given)]
    assert change[0] < change[1] / 4


def test_other_scenes_and_frames_to_be_left_alone_stay_as_they_are():
    one, two = moving(6, 40, 64, 1) // 3, moving(6, 40, 64, 2) // 3 + 150
    both = np.concatenate([one, two])
    assert (_steadied(both) == np.concatenate([_steadied(one), _steadied(two)])).all(), "a cut"
    coarse = np.full(12, STEP)
    coarse[4:7] = 0
    noisy = _noisy(both)
    shown = _steadied(noisy, coarse=coarse)
    assert (shown[4:7] == noisy[4:7]).all() and (shown[:4] != noisy[:4]).any()
    assert (_steadied(noisy[:4], coarse=coarse[:4]) == shown[:4]).all(), "nothing comes over them"


def test_what_was_coded_finely_counts_for_more_and_what_was_made_for_less():
    still = np.full((3, 24, 32, 3), 100, np.uint8)
    still[1] = 110
    levels = [_steadied(still, steps=np.float32([STEP, s, STEP]))[1].mean() for s in (STEP / 4, STEP, np.inf)]
    assert 110 > levels[0] > levels[1] > levels[2] > 100


def test_no_frame_waits_for_a_later_unit():
    clip = _noisy(moving(12, 40, 64))
    whole = _steadied(clip, (0, 5))
    assert (_steadied(clip[:5])[:5] == whole[:5]).all()
    assert (_steadied(clip[5:]) != whole[5:]).any(), "but what came before is of use"


@pytest.mark.parametrize("frames, h, w", [(1, 8, 8), (2, 1, 8), (3, 144, 2), (2, 2, 256)])
def test_any_size(frames, h, w):
    clip = np.random.default_rng(0).integers(0, 256, (frames, h, w, 3), np.uint8)
    assert _steadied(clip).shape == clip.shape


def test_streams_are_steadier_to_look_at_and_no_worse():
    clip = moving(33, 72, 128, 3)
    shape = {"frames": 33, "height": 72, "width": 128, "span": 20}
    units = texture.encode_units(clip, TextureConfig(bytes_per_frame=14, tune="ssim"), 20)
    plain, status = texture.decode_units(units, **shape)
    shown, same = texture.decode_units(units, **shape, steadied=True)
    assert (status == same).all() and psnr(shown, clip) > psnr(plain, clip)
    assert metrics.warping_error(clip, shown) < 0.9 * metrics.warping_error(clip, plain)
    lost, _ = texture.decode_units([units[0], None], **shape, steadied=True)
    assert (lost[:20] == shown[:20]).all() and (lost[20:] == plain[19]).all()


def test_low_latency_frames_are_shown_as_they_come():
    clip = moving(8, 36, 64)
    units = texture.encode_units(clip, TextureConfig(bytes_per_frame=60, lookahead=False), 8)
    shape = {"frames": 8, "height": 36, "width": 64, "span": 8}
    plain, shown = (texture.decode_units(units, **shape, steadied=s)[0] for s in (False, True))
    assert (plain == shown).all()
