import numpy as np
import pytest

from semjax import painting
from semjax.errors import InputError
from semjax.types import FrameStatus


def shrink(frames, h, w):
    """Area filter as matrices, exact for any sizes."""
    down_y, down_x = painting.area_weights(h, frames.shape[1]), painting.area_weights(w, frames.shape[2])
    return np.einsum("ab,tbcd,ec->taed", down_y, frames.astype(np.float64), down_x)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_weights_are_averages():
    for small, large in ((3, 10), (7, 7), (16, 255)):
        np.testing.assert_allclose(painting.area_weights(small, large).sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(painting.spline_weights(small, large).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(painting.area_weights(2, 3), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], rtol=1e-6)


def test_the_painting_agrees_with_the_received_texture(disc):
    frames, labels = disc
    tiny = shrink(frames[:1], 12, 16)[0].astype(np.float32)
    picture = np.asarray(painting.enlarge(tiny, labels[0].astype(np.int32), regions=2, iterations=12))
    assert np.abs(shrink(picture[None], 12, 16)[0] - tiny).mean() < 1


def test_contours_keep_colours_apart():
    labels = np.zeros((32, 32), np.int32)
    labels[:, 13:] = 1  # the border cuts through a tiny pixel
    truth = np.where(labels[..., None] == 1, [200.0, 40, 40], [20.0, 60, 180])
    tiny = shrink(truth[None], 8, 8)[0].astype(np.float32)
    guided = np.asarray(painting.enlarge(tiny, labels, regions=2))
    plain = np.asarray(painting.enlarge(tiny, labels * 0, regions=2))
    assert psnr(guided, truth) > psnr(plain, truth) + 8


def test_outlines_are_softened_only_where_the_texture_has_no_edges(disc):
    frames, labels = disc
    height, width = labels.shape[1:]
    for parts, softened in ((8, True), (2, False)):
        tiny = np.rint(shrink(frames[:1], height // parts, width // parts)).astype(np.uint8)
        painted, _ = painting.paint(labels[:1], tiny, {})
        hard = painting.enlarge(tiny[0].astype(np.float32), labels[0].astype(np.int32), regions=2)
        soft = painting.soften_edges(hard, labels[0].astype(np.int32))
        hard, soft = (np.clip(np.rint(x), 0, 255) for x in (hard, soft))
        assert np.abs(hard - soft).max() > 10
        np.testing.assert_array_equal(painted[0], soft if softened else hard)


def test_keyframe_detail_is_carried(disc):
    frames, labels = disc
    tiny = np.rint(shrink(frames, 12, 16)).astype(np.uint8)
    without, _ = painting.paint(labels, tiny, {})
    with_key, state = painting.paint(labels, tiny, {0: frames[0]})
    assert state is not None
    assert psnr(with_key[0], frames[0]) > 30
    assert psnr(with_key, frames) > psnr(without, frames) + 1


def test_parts_equal_the_whole(disc):
    frames, labels = disc
    tiny = np.rint(shrink(frames, 12, 16)).astype(np.uint8)
    whole, _ = painting.paint(labels, tiny, {0: frames[0]})
    first, state = painting.paint(labels[:5], tiny[:5], {0: frames[0]})
    second, _ = painting.paint(labels[5:], tiny[5:], {}, state)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


def test_without_texture(disc):
    frames, labels = disc
    flat, state = painting.paint(labels, None, {})
    assert state is None
    assert len(np.unique(flat.reshape(-1, 3), axis=0)) >= 2
    held, _ = painting.paint(labels, None, {0: frames[0]})
    np.testing.assert_array_equal(held[0], frames[0])
    # The keyframe moves with the contour although nothing else arrived.
    assert psnr(held[-1][labels[-1] == 1], frames[-1][labels[-1] == 1]) > 15


def test_missing_texture_frames_are_not_painted_grey(disc):
    frames, labels = disc
    tiny = np.full((len(frames), 12, 16, 3), 128, np.uint8)
    status = np.full(len(frames), FrameStatus.MISSING, np.uint8)
    got, _ = painting.paint(labels, tiny, {0: frames[0]}, texture_status=status)
    expected, _ = painting.paint(labels, None, {0: frames[0]})
    np.testing.assert_array_equal(got, expected)


def test_many_regions_and_tiny_pictures():
    labels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    got, _ = painting.paint(labels, np.full((1, 4, 4, 3), 77, np.uint8), {})
    assert np.abs(got.astype(int) - 77).max() <= 1
    one, _ = painting.paint(np.zeros((1, 1, 1), np.uint8), np.full((1, 1, 1, 3), 9, np.uint8), {})
    assert one.ravel().tolist() == [9, 9, 9]


def test_bad_arguments(disc):
    with pytest.raises(InputError, match="keyframe"):
        painting.paint(disc[1], None, {0: np.zeros((3, 3, 3), np.uint8)})
    with pytest.raises(InputError, match="impossible"):
        painting.PaintConfig(trust=0)
