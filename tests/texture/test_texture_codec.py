"""The texture layer end to end: sizes, rates, quality, loss and damage."""

import contextlib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from texture_clips import moving, psnr

from semjax import texture
from semjax.errors import InputError, RateError, StreamError
from semjax.texture import TextureConfig
from semjax.types import FrameStatus


@settings(deadline=None, max_examples=12)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_any_size_span_and_divisor_comes_back(frames, h, w, span, divisor, seed):
    tiny = moving(frames, h, w, seed)
    cfg = TextureConfig(step=30, frame_divisor=divisor)
    units = texture.encode_units(tiny, cfg, span)
    assert len(units) == -(-frames // span)
    out, status = texture.decode_units(units, frames=frames, height=4 * h, width=4 * w, span=span)
    assert out.shape == tiny.shape and out.dtype == np.uint8
    assert (status == FrameStatus.RECEIVED).all()
    if divisor == 1:
        assert psnr(out, tiny) > 18


def test_a_fine_step_is_nearly_lossless_in_brightness_and_more_rate_is_more_quality():
    tiny = moving(12, 24, 32)
    quality, size = [], []
    for step in (200, 60, 20, 6, 1):
        units = texture.encode_units(tiny, TextureConfig(step=step), 12)
        out, _ = texture.decode_units(units, frames=12, height=24, width=32, span=12)
        quality.append(psnr(out, tiny))
        size.append(sum(map(len, units)))
    assert quality == sorted(quality) and size == sorted(size)
    assert np.abs(out.astype(int).sum(-1) - tiny.astype(int).sum(-1)).max() <= 8


@pytest.mark.parametrize("rate", [3.0, 10.0, 31.0])
def test_the_rate_is_met_from_below(rate):
    tiny = moving(64, 36, 64, 3)
    units = texture.encode_units(tiny, TextureConfig(bytes_per_frame=rate), 32)
    got = sum(map(len, units)) / 64
    assert 0.97 * rate <= got <= rate


def test_an_unreachable_rate_is_refused_with_the_least_possible_one():
    tiny = moving(16, 36, 64)
    least = texture.min_bytes(tiny, TextureConfig(), 8)
    with pytest.raises(RateError, match=f"at least {least / 16:.2f}"):
        texture.encode_units(tiny, TextureConfig(bytes_per_frame=least / 16 - 0.1), 8)
    units = texture.encode_units(tiny, TextureConfig(bytes_per_frame=least / 16 + 0.2), 8)
    assert sum(map(len, units)) <= least + 0.2 * 16


def test_quality_is_met_from_above():
    tiny = moving(16, 36, 64)
    data = texture.encode(tiny, TextureConfig(psnr=30))
    got = psnr(texture.decode(data), tiny)
    assert 30 <= got < 31.5


def test_whole_clip_interface_shrinks_and_meets_the_rate():
    video = moving(40, 72, 128, 5)
    data = texture.encode(video, TextureConfig(width=64, bytes_per_frame=12))
    assert 0.95 * 12 * 40 <= len(data) <= 12 * 40
    out = texture.decode(data)
    assert out.shape == (40, 36, 64, 3)
    assert psnr(out, texture.shrink(video, 64)) > 24


def test_shrink_is_the_area_mean():
    frames = np.random.default_rng(0).integers(0, 256, (2, 36, 64, 3), dtype=np.uint8)
    out = texture.shrink(frames, 16)
    mean = frames.reshape(2, 9, 4, 16, 4, 3).mean((2, 4))
    assert np.abs(out - mean).max() <= 0.51


def test_lost_units_are_held_or_grey():
    tiny = moving(20, 18, 32)
    units = texture.encode_units(tiny, TextureConfig(step=20), 5)
    whole, _ = texture.decode_units(units, frames=20, height=36, width=64, span=5)
    out, status = texture.decode_units(
        [None, units[1], None, units[3]], frames=20, height=36, width=64, span=5
    )
    assert (status == np.repeat([FrameStatus.MISSING, 0, FrameStatus.CONCEALED, 0], 5)).all()
    assert (out[:5] == 128).all() and (out[10:15] == whole[9]).all()
    assert (out[5:10] == whole[5:10]).all() and (out[15:] == whole[15:]).all()
    out, status = texture.decode_units([None] * 4, frames=20, height=360, width=640, span=5)
    assert out.shape == (20, 36, 64, 3) and (status == FrameStatus.MISSING).all()


def test_every_single_byte_corruption_ends_in_a_clip_or_the_error():
    tiny = moving(4, 9, 16)
    data = texture.encode(tiny, TextureConfig(step=40))
    ended = {"clip": 0, "error": 0}
    for i in range(len(data)):
        for flip in (1, 0x55, 0xFF):
            bad = bytearray(data)
            bad[i] ^= flip
            try:
                out = texture.decode(bytes(bad))
                assert out.dtype == np.uint8 and out.nbytes < 1 << 30
                ended["clip"] += 1
            except StreamError:
                ended["error"] += 1
    assert ended["clip"] and ended["error"]


def test_truncation_ends_in_a_clip_or_the_error():
    data = texture.encode(moving(10, 18, 32), TextureConfig(step=20))
    for n in range(0, len(data), 7):
        with contextlib.suppress(StreamError):
            assert texture.decode(data[:n]).shape == (10, 18, 32, 3)


@pytest.mark.parametrize(
    "call, what",
    [
        (lambda: TextureConfig(width=8), "16 to 256"),
        (lambda: TextureConfig(psnr=30, step=3), "only one"),
        (lambda: TextureConfig(bytes_per_frame=0), "positive"),
        (lambda: texture.encode(np.zeros((2, 4, 4), np.uint8)), r"uint8 array \[T, H, W, 3\]"),
        (lambda: texture.encode(np.zeros((0, 4, 4, 3), np.uint8)), "at least one frame"),
        (lambda: texture.encode_units(np.zeros((2, 4, 300, 3), np.uint8), TextureConfig(), 8), "300"),
    ],
)
def test_bad_input_gets_one_clear_sentence(call, what):
    with pytest.raises(InputError, match=what):
        call()
