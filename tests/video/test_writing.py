"""What is written reads back with its size, count and rate; the same frames give the same bytes; all or nothing."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from video_files import moving_picture, psnr

from semjax.errors import InputError
from semjax.types import ClipInfo
from semjax.video import VideoWriter, probe, read_video, write_video

SUFFIXES = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "gif", "apng"]
SIZES = [(48, 64), (47, 63), (48, 63), (47, 64), (1, 1), (2, 2), (3, 5), (17, 16)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[1]}x{s[0]}")
@pytest.mark.parametrize("suffix", [*SUFFIXES, ""])
def test_any_size_survives_and_bytes_repeat(tmp_path, suffix, size):
    video = moving_picture(5, *size)
    paths = [tmp_path / (name + ("." + suffix if suffix else "")) for name in "ab"]
    for path in paths:
        write_video(path, video, 25)
    assert probe(paths[0]) == ClipInfo(5, size[1], size[0], Fraction(25))
    back = read_video(paths[0])
    if suffix in ("", "apng"):
        assert np.array_equal(back, video)
    elif min(size) >= 16:  # in fewer pixels chroma at half the resolution leaves little to compare
        assert psnr(back, video) > 30
    if suffix:
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_even_mp4_is_what_browsers_play(tmp_path):
    write_video(tmp_path / "a.mp4", moving_picture(10, 48, 64), Fraction(30000, 1001))
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "h264"
        assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 1, 1)
        assert (frame.color_primaries, frame.color_trc) == (1, 1)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_colours_stay(tmp_path):
    """Flat patches of strong colours come back within rounding: matrix and range fit on both ways."""
    colours = np.array(
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]], np.uint8
    )
    video = np.repeat(np.repeat(colours[None], 32, 0)[None].repeat(3, 0), 32, 2)
    for suffix in ("mp4", "webm", "mov", "avi"):
        write_video(tmp_path / f"a.{suffix}", video, 25, quality=90)
        back = read_video(tmp_path / f"a.{suffix}")
        assert np.abs(back[:, 16, 16::32].astype(int) - colours).max() <= 4


def test_quality_orders_size_and_closeness(tmp_path):
    video = moving_picture(10, 64, 96) ^ np.random.default_rng(0).integers(0, 16, (10, 64, 96, 3), np.uint8)
    for suffix in ("mp4", "webm"):
        sizes, fidelity = [], []
        for quality in (10, 50, 90):
            write_video(tmp_path / f"a.{suffix}", video, 25, quality=quality)
            sizes.append((tmp_path / f"a.{suffix}").stat().st_size)
            fidelity.append(psnr(read_video(tmp_path / f"a.{suffix}"), video))
        assert sizes == sorted(sizes)
        assert fidelity == sorted(fidelity)


def test_frames_chunks_and_arrays_write_the_same(tmp_path):
    video = moving_picture(7, 16, 16)
    write_video(tmp_path / "a.mp4", video, 25)
    write_video(tmp_path / "b.mp4", iter(video), 25)
    write_video(tmp_path / "c.mp4", (video[i : i + 3] for i in (0, 3, 6)), 25)
    with VideoWriter(tmp_path / "d.mp4", 25, 16, 16) as writer:
        writer.write(video[0])
        writer.write(video[1:])
    assert len({(tmp_path / f"{n}.mp4").read_bytes() for n in "abcd"}) == 1


def test_numbered_pictures_by_pattern(tmp_path):
    video = moving_picture(12, 6, 5)
    write_video(tmp_path / "out" / "frame_%d.png", video, 25)
    assert len(list((tmp_path / "out").glob("frame_*.png"))) == 12
    assert np.array_equal(read_video(tmp_path / "out"), video)
    write_video(tmp_path / "out" / "frame_%d.png", video[:3], 25)  # our own pictures may be replaced
    assert np.array_equal(read_video(tmp_path / "out"), video[:3])


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "pictures"])
def test_a_failure_leaves_what_was_there(tmp_path, name):
    video = moving_picture(3, 16, 16)
    path = tmp_path / name

    def breaks():
        yield video[:2]
        raise RuntimeError("the generator gave up")

    with pytest.raises(RuntimeError, match="gave up"):
        write_video(path, breaks(), 25)
    assert list(tmp_path.iterdir()) == []
    write_video(path, video, 25)
    before = read_video(path)
    with pytest.raises(InputError, match="uint8 of shape"), VideoWriter(path, 25, 16, 16) as writer:
        writer.write(video)
        writer.write(video[:, :8])
    assert np.array_equal(read_video(path), before)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.mp4", "pictures"])
def test_no_frames_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match="at least one"):
        write_video(tmp_path / name, [], 25)
    with pytest.raises(InputError, match="at least one"), VideoWriter(tmp_path / name, 25, 16, 16):
        pass
    assert list(tmp_path.iterdir()) == []


def test_names_sizes_and_rates_that_cannot_be(tmp_path):
    picture = moving_picture(1, 8, 8)
    for name in ("a.txt", "a.jpg", "a.wmv"):
        with pytest.raises(InputError, match="Cannot tell"):
            write_video(tmp_path / name, picture, 25)
    with pytest.raises(InputError, match="pattern"):
        write_video(tmp_path / "a.png", picture, 25)
    with pytest.raises(InputError, match="rate"):
        write_video(tmp_path / "a.mp4", picture, 0)
    with pytest.raises(InputError, match="50 frames a second"):
        write_video(tmp_path / "a.gif", picture, 60)
    with pytest.raises(InputError, match="quality"):
        write_video(tmp_path / "a.mp4", picture, 25, quality=0)
    with pytest.raises(InputError, match="uint8"):
        write_video(tmp_path / "a.mp4", picture.astype(np.float32), 25)
    with pytest.raises(InputError, match="16384"):
        VideoWriter(tmp_path / "a.mp4", 25, 20000, 8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds other files"):
        write_video(tmp_path / "mine", picture, 25)
    with pytest.raises(InputError, match="is a file"):
        (tmp_path / "file").write_text("")
        write_video(tmp_path / "file", picture, 25)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine"]


def test_identical_frames_are_all_kept(tmp_path):
    video = np.repeat(moving_picture(1, 16, 16), 6, 0)
    for suffix in SUFFIXES:
        write_video(tmp_path / f"a.{suffix}", video, 10)
        assert probe(tmp_path / f"a.{suffix}") == ClipInfo(6, 16, 16, Fraction(10)), suffix


def test_gif_plays_for_ever(tmp_path):
    for suffix in ("gif", "apng"):
        write_video(tmp_path / f"a.{suffix}", moving_picture(3, 16, 16), 10)
        with Image.open(tmp_path / f"a.{suffix}") as picture:
            assert picture.info["loop"] == 0
