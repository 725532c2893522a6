import contour_shapes as shapes
import numpy as np
import pytest

from semjax.contours import ContourConfig, decode, encode

PAPER = ContourConfig(profile="paper")


@pytest.mark.parametrize("name", shapes.oddities())
def test_tolerance_zero_is_lossless(name):
    one = shapes.oddities()[name]
    clip = np.stack([one, one, np.roll(one, 1, axis=1), np.zeros_like(one)])
    for period in (1, 3):
        data = encode(clip, ContourConfig(profile="paper", tolerance=0, period=period))
        assert np.array_equal(decode(data), clip)


def test_motion_frames_cost_little_and_follow():
    y, x = np.mgrid[:96, :128]
    clip = np.stack([((y - 40) ** 2 / 2 + (x - 30 - 3 * t) ** 2 < 300).astype(np.uint8) for t in range(16)])
    one = len(encode(clip[:1], PAPER))
    many = encode(clip, PAPER)
    assert len(many) - one < 15 * 4
    assert shapes.miou(clip, decode(many)) > 0.93


def test_objects_come_and_go():
    clip = np.zeros((6, 64, 64), np.uint8)
    clip[:3, 8:30, 8:30] = 1
    clip[2:5, 34:60, 34:60] = 2
    back = decode(encode(clip, PAPER))
    assert np.array_equal(back, clip)


def test_coarser_tolerance_costs_fewer_bytes():
    clip = shapes.moving()
    sizes = [len(encode(clip, ContourConfig(profile="paper", tolerance=t))) for t in (0, 1, 2, 4)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("symbols", [8, 61, 256])
def test_any_alphabet(symbols):
    clip = shapes.moving(3)
    cfg = ContourConfig(profile="paper", tolerance=0, symbols=symbols, motion="translation")
    assert np.array_equal(decode(encode(clip, cfg)), clip)
