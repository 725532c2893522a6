"""Every kind of input comes in as upright 8-bit RGB, exactly as many frames as it has."""

import pathlib
import struct
import tracemalloc
from fractions import Fraction

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from video_files import encode, moving_picture, psnr

from semjax.errors import InputError
from semjax.types import ClipInfo
from semjax.video import open_video, probe, read_video, write_video
from semjax.video._container import upright


@pytest.mark.parametrize("matrix, tags", [(1, {"colorspace": 1}), (5, {"colorspace": 5}), (5, {})])
@pytest.mark.parametrize("span", [1, 2])
def test_colours_are_those_of_imageio_and_opencv(tmp_path, clip, matrix, tags, span):
    path = encode(tmp_path / "a.mp4", clip, matrix=matrix, span=span, tags={**tags, "color_range": span})
    ours = read_video(path)
    assert np.array_equal(ours, iio.imread(path, plugin="pyav"))
    capture = cv2.VideoCapture(path)
    theirs = np.stack([capture.read()[1][..., ::-1] for _ in clip])
    assert np.array_equal(ours, theirs)
    assert psnr(ours, clip) > 40


def test_info_of_a_plain_clip(tmp_path, clip):
    path = encode(tmp_path / "a.mp4", clip, rate=Fraction(30000, 1001))
    with open_video(path) as reader:
        assert reader.info == ClipInfo(24, 64, 48, Fraction(30000, 1001))
        assert not reader.variable_rate
        assert len(reader) == 24
    assert probe(path) == reader.info


def test_a_reader_gives_the_clip_as_often_as_wanted(tmp_path, clip):
    reader = open_video(encode(tmp_path / "a.mp4", clip))
    whole = read_video(reader.path)
    assert np.array_equal(np.stack(list(reader)), whole)
    chunks = list(reader.chunks(10))
    assert [len(c) for c in chunks] == [10, 10, 4]
    assert np.array_equal(np.concatenate(chunks), whole)
    assert np.array_equal(read_video(reader.path, start=5, count=3), whole[5:8])
    assert np.array_equal(read_video(reader.path, start=20), whole[20:])
    assert read_video(reader.path, count=0).shape == (0, 48, 64, 3)
    with pytest.raises(InputError, match="frames 0 to 23"):
        read_video(reader.path, start=20, count=5)
    with pytest.raises(InputError, match="at least 1"):
        next(reader.chunks(0))


def test_a_closed_reader_stops(tmp_path, clip):
    with open_video(encode(tmp_path / "a.mp4", clip)) as reader:
        frames = iter(reader)
        next(frames)
    with pytest.raises(InputError, match="closed"):
        next(frames)


def test_reading_needs_memory_for_one_chunk_only(tmp_path):
    write_video(tmp_path / "a.mp4", (f for f in moving_picture(300, 64, 96)), 25, quality=30)
    with open_video(tmp_path / "a.mp4") as reader:
        tracemalloc.start()
        total = sum(len(c) for c in reader.chunks(8))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == 300
    assert peak < 40 * 64 * 96 * 3  # far from 300 frames


@pytest.mark.parametrize("degrees, turns", [(90, 1), (-90, 3), (180, 2)])
def test_stored_rotation_is_applied(tmp_path, degrees, turns):
    video = moving_picture(3, 48, 80)
    path = encode(tmp_path / "a.mp4", video, rotation=degrees)
    assert psnr(read_video(path), np.rot90(video, turns, (1, 2))) > 38
    assert (probe(path).width, probe(path).height) == ((80, 48) if degrees == 180 else (48, 80))


QUARTER_TURNS = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)]
MIRRORED = [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("a, b, c, d", QUARTER_TURNS + MIRRORED)
def test_every_display_matrix_puts_points_where_it_says(a, b, c, d):
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5, 1)
    points = {(a * x + c * y, b * x + d * y): picture[y, x, 0] for y in range(3) for x in range(5)}
    left, top = min(x for x, _ in points), min(y for _, y in points)
    one = 1 << 16
    shown = upright(picture, struct.pack("<9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30))
    assert shown.size == 15
    assert all(shown[y - top, x - left, 0] == v for (x, y), v in points.items())


def test_variable_frame_rate_keeps_every_frame(tmp_path, clip):
    times = np.cumsum([0, *([1, 5, 2, 9, 1] * 5)])[: len(clip)].tolist()
    path = encode(tmp_path / "a.mp4", clip, rate=100, times=times, tick=Fraction(1, 100))
    with open_video(path) as reader:
        assert reader.variable_rate
        assert reader.info.frames == 24
        assert float(reader.info.fps) == pytest.approx(2400 / times[-1], rel=0.06)
        assert psnr(np.stack(list(reader)), clip) > 38
    assert open_video(path, fps=30).info.fps == 30


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25, 2), Fraction(60), Fraction(15)])
@pytest.mark.parametrize("suffix", ["mp4", "webm", "mkv", "avi", "mov", "apng"])
def test_rates_come_back_exactly(tmp_path, clip, suffix, rate):
    write_video(tmp_path / f"a.{suffix}", clip, rate)
    with open_video(tmp_path / f"a.{suffix}") as reader:
        assert reader.info.fps == rate
        assert not reader.variable_rate


NTSC = [(29.97, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (59.94, Fraction(60000, 1001))]


@pytest.mark.parametrize(
    "given, exact", [*NTSC, (12.5, Fraction(25, 2)), (30, Fraction(30)), (Fraction(7, 3),) * 2]
)
def test_a_stated_rate_replaces_the_clips_own(tmp_path, given, exact):
    write_video(tmp_path / "a", moving_picture(2, 8, 8), 30)
    assert open_video(tmp_path / "a").info.fps == 25
    assert open_video(tmp_path / "a", fps=given).info.fps == exact


@pytest.mark.parametrize("rate", [0, -1, float("nan"), "fast"])
def test_an_impossible_rate_is_refused(tmp_path, rate):
    write_video(tmp_path / "a", moving_picture(2, 8, 8), 30)
    with pytest.raises(InputError, match="rate must be"):
        open_video(tmp_path / "a", fps=rate)


def test_ten_bits_and_grey(tmp_path, clip):
    deep = encode(tmp_path / "a.mkv", clip, pixels="yuv444p10le", matrix=1, tags={"colorspace": 1})
    assert psnr(read_video(deep), clip) > 40
    grey = np.repeat(clip[..., :1], 3, -1)
    path = encode(tmp_path / "b.mkv", grey, pixels="gray", span=2, tags={"color_range": 2})
    assert psnr(read_video(path), grey) > 40


def half_clear(clip):
    """RGBA: left half opaque, right half one quarter there."""
    alpha = np.full((*clip.shape[:3], 1), 255, np.uint8)
    alpha[:, :, clip.shape[2] // 2 :] = 64
    return np.concatenate([clip, alpha], -1)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_alpha_in_webm_is_composited_over_black(tmp_path, clip, codec):
    rgba = half_clear(clip[:4])
    options = {"crf": "6", "b": "2000000", "auto-alt-ref": "0"}
    path = encode(tmp_path / "a.webm", rgba, codec=codec, pixels="yuva420p", source="rgba", options=options)
    video = read_video(path)
    expected = np.round(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(np.uint8)
    assert video.shape == expected.shape
    assert psnr(video[:, :, :28], expected[:, :, :28]) > 33
    assert psnr(video[:, :, 36:], expected[:, :, 36:]) > 33


def test_alpha_in_pictures_is_composited_over_black(tmp_path, clip):
    rgba = half_clear(clip[:2])
    expected = np.round(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(np.uint8)
    for i, picture in enumerate(rgba):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    assert np.array_equal(read_video(tmp_path), expected)
    clear = Image.fromarray(np.uint8([[0, 1], [1, 0]]), "P")
    clear.putpalette([200, 10, 20, 30, 200, 50])
    clear.save(tmp_path / "b.gif", transparency=1)
    assert np.array_equal(
        read_video(tmp_path / "b.gif")[0], [[[200, 10, 20], [0, 0, 0]], [[0, 0, 0], [200, 10, 20]]]
    )


@pytest.mark.parametrize("suffix", ["webp", "avif", "gif", "png"])
def test_animations_that_others_made(tmp_path, clip, suffix):
    pictures = [Image.fromarray(f) for f in clip[:6]]
    exact = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "avif" else {}
    pictures[0].save(
        tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:], duration=40, loop=0, **exact
    )
    assert probe(tmp_path / f"a.{suffix}") == ClipInfo(6, 64, 48, Fraction(25))
    assert psnr(read_video(tmp_path / f"a.{suffix}"), clip[:6]) > (20 if suffix == "gif" else 35)


def test_folders_are_read_in_natural_order(tmp_path, clip):
    for i in (0, 2, 9, 10, 11):
        Image.fromarray(clip[i]).save(tmp_path / f"frame_{i}.PNG")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not a picture")
    assert np.array_equal(read_video(tmp_path), clip[[0, 2, 9, 10, 11]])
    assert np.array_equal(read_video(tmp_path, start=3, count=1), clip[[10]])


def test_pictures_of_every_kind(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp * 257).save(tmp_path / "0.png")  # 16-bit grey
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "1.bmp")
    palette = Image.fromarray(ramp.astype(np.uint8), "P")
    palette.putpalette(np.repeat(np.arange(256), 3).tolist())
    palette.save(tmp_path / "2.png")
    video = read_video(tmp_path)
    assert np.array_equal(video, np.broadcast_to(ramp[None, ..., None], (3, 16, 16, 3)))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    shown = moving_picture(1, 16, 24)[0]
    undo = {2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1]}
    undo |= {5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p), 7: lambda p: np.rot90(p)[:, ::-1]}
    undo |= {1: lambda p: p, 8: lambda p: np.rot90(p, -1)}
    stored = np.ascontiguousarray(undo[orientation](shown))
    turned = Image.Exif()
    turned[0x0112] = orientation
    (tmp_path / "clip").mkdir()
    Image.fromarray(stored).save(tmp_path / "clip" / f"0.{suffix}", exif=turned, quality=98)
    assert probe(tmp_path / "clip") == ClipInfo(1, 24, 16, Fraction(25))
    assert psnr(read_video(tmp_path / "clip")[0], shown) > 30
    assert psnr(read_video(tmp_path / "clip" / f"0.{suffix}")[0], shown) > 30


def test_one_frame(tmp_path):
    picture = moving_picture(1, 5, 7)
    Image.fromarray(picture[0]).save(tmp_path / "a.png")
    assert np.array_equal(read_video(tmp_path / "a.png"), picture)
    write_video(tmp_path / "a.mp4", picture, 30)
    assert probe(tmp_path / "a.mp4") == ClipInfo(1, 7, 5, Fraction(30))


def test_a_stream_that_changes_size_keeps_the_first(tmp_path, clip):
    small, large = moving_picture(3, 32, 48), moving_picture(3, 64, 96)
    path = tmp_path / "a.ts"
    with path.open("wb") as out:  # MPEG transport streams may simply follow each other
        for name, part in (("s.ts", small), ("l.ts", large)):
            out.write(pathlib.Path(encode(tmp_path / name, part, pixels="yuv420p")).read_bytes())
    video = read_video(path)
    assert video.shape[1:] == (32, 48, 3)
    assert psnr(video[0], small[0]) > 30


def test_a_header_that_lies_about_the_count(tmp_path, clip):
    """Frame counts in an AVI header are what the writer hoped for."""
    write_video(tmp_path / "a.avi", clip, 25)
    data = bytearray((tmp_path / "a.avi").read_bytes())
    for chunk, field in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        at = data.index(chunk) + field
        assert struct.unpack_from("<I", data, at) == (24,)
        struct.pack_into("<I", data, at, 99)
    (tmp_path / "b.avi").write_bytes(data)
    assert probe(tmp_path / "b.avi").frames == len(read_video(tmp_path / "b.avi")) == 24


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path, clip):
    """Cut without coding anew: the file still holds the frames before the cut, marked as not to be shown."""
    path = encode(tmp_path / "a.mp4", clip, pixels="yuv420p", options={"crf": "4", "bf": "0", "g": "100"})
    data = bytearray(pathlib.Path(path).read_bytes())
    at = data.index(b"elst") + 12  # version, flags, count; then: duration, media time, rate
    duration, first = struct.unpack_from(">Ii", data, at)
    tick = duration // 24
    with av.open(path) as container:
        media_tick = int(1 / (25 * container.streams.video[0].time_base))
    struct.pack_into(">Ii", data, at, duration - 10 * tick, first + 10 * media_tick)
    (tmp_path / "b.mp4").write_bytes(data)
    assert probe(tmp_path / "b.mp4").frames == 14
    assert np.array_equal(read_video(tmp_path / "b.mp4"), read_video(path)[10:])
