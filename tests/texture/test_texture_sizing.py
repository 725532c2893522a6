"""The size and group that show most of a clip, and coding for structure."""

import numpy as np
import pytest

from semjax import metrics, texture
from semjax.errors import InputError
from semjax.texture.likeness import likeness, look
from semjax.texture.sizing import WIDTHS

CFG = texture.TextureConfig(tune="ssim")


def _field(period: float, seed: int = 0) -> np.ndarray:
    """Smooth noise, float [96, 160, 3], with a wave length of about `period` pixels."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 60, (int(96 / period) + 4, int(160 / period) + 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (160, 96), interpolation=cv2.INTER_CUBIC)


def _clip(*frames: np.ndarray) -> np.ndarray:
    return np.clip(128 + np.stack(frames), 0, 255).astype(np.uint8)


def test_detail_that_stands_still_gets_larger_frames_than_shades():
    detail, shades = _clip(*[_field(6)] * 24), _clip(*[_field(40)] * 24)
    (wide, _), (narrow, _) = (texture.best_size(c, 40, 24, CFG) for c in (detail, shades))
    assert wide > narrow


def test_slow_clips_get_long_groups_and_fast_ones_short_ones():
    slow, fast = (_clip(*(np.roll(_field(12), int(t / pace), 1) for t in range(36))) for pace in (3, 0.5))
    assert texture.best_size(slow, 30, 36, CFG, (160,)) == (160, 32)
    assert texture.best_size(fast, 30, 36, CFG, (160,)) == (160, 16)
    assert (
        texture.best_size(slow[:24], 30, 24, CFG)[1] == 16
    )  # longer ones than the clip would change nothing
    assert texture.best_size(fast, 30, 36, CFG, groups=(8,))[1] == 8


def test_choices_are_possible_ones_and_the_same_twice():
    clip = _clip(*(np.roll(_field(15), t, 1) for t in range(9)))
    first = texture.best_size(clip, 20, 9, CFG)
    assert first == texture.best_size(clip, 20, 9, CFG)
    assert first[0] in WIDTHS and first[0] <= 160 and first[1] == 16
    assert texture.best_size(clip, 20, 9, CFG, widths=(50,))[0] == 50
    assert texture.best_size(clip[:, :20, :24], 20, 9, CFG)[0] == 24
    assert texture.best_size(clip[:1], 60, 1, CFG)[0] <= 160


def test_likeness_is_that_of_a_copy_at_most_and_falls_with_blur_and_with_wrong_colours():
    import cv2

    picture = _clip(_field(8))[0]
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1, 2, 4)]
    for whole in (False, True):
        found = [likeness(look(picture, whole), look(other, whole)) for other in (picture, *blurred)]
        assert found[0] == pytest.approx(2, abs=1e-3) and found == sorted(found, reverse=True)
    assert likeness(look(picture), look(picture[..., ::-1].copy())) < 1.96
    flat = np.full((9, 13, 3), 77, np.uint8)  # too small to be halved
    assert likeness(look(flat, True), look(flat, True)) == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_the_judge_agrees_with_the_measures_of_whole_pictures(whole):
    import cv2

    picture = _clip(_field(5))[0]
    others = [cv2.GaussianBlur(picture, (0, 0), s) for s in (0.6, 1.2, 2.4)]
    others += [np.clip(picture.astype(int) + d, 0, 255).astype(np.uint8) for d in (12, _field(3, 5) / 6)]
    times = 1 if whole else 2
    truth, *seen = (np.repeat(np.repeat(p, times, 0), times, 1) for p in (picture, *others))
    measured = [float(metrics.ms_ssim(truth, s) + metrics.haarpsi(truth, s)) for s in seen]
    judged = [likeness(look(picture, whole), look(o, whole)) for o in others]
    assert np.argsort(judged).tolist() == np.argsort(measured).tolist()


def test_no_other_size_shows_much_more():
    clip = _clip(*(np.roll(_field(14), t, 1) + 0.5 * _field(40, 3) for t in range(24)))

    def shown(width: int, group: int) -> float:
        import cv2

        cfg = texture.TextureConfig(width=width, bytes_per_frame=80, group=group, tune="ssim")
        tiny = texture.decode(texture.encode(clip, cfg))
        return metrics.ms_ssim(clip, np.stack([cv2.resize(f, (160, 96)) for f in tiny]))

    best = texture.best_size(clip, 80, 24, CFG)
    assert shown(*best) >= max(shown(w, 16) for w in WIDTHS if w <= 160) - 0.03


def test_tuned_to_structure_more_of_it_is_there():
    calm, busy = 0.15 * _field(10), np.concatenate([_field(4)[:, :80], np.zeros((96, 80, 3))], 1)
    clip = _clip(*(np.roll(calm, t, 0) + np.roll(busy, t, 0) for t in range(24)))
    found = {}
    for tune in ("psnr", "ssim"):
        data = texture.encode(clip, texture.TextureConfig(width=160, bytes_per_frame=150, tune=tune))
        back = texture.decode(data)
        found[tune] = metrics.psnr(clip, back), metrics.ms_ssim(clip, back)
    assert found["ssim"][1] > found["psnr"][1]
    assert found["ssim"][0] < found["psnr"][0] + 0.1, "not because there were more decibels"
    low = texture.TextureConfig(width=64, bytes_per_frame=30, lookahead=False, tune="ssim")
    assert texture.decode(texture.encode(clip, low)).shape == (24, 38, 64, 3)
    with pytest.raises(InputError, match="tune"):
        texture.TextureConfig(tune="vmaf")
