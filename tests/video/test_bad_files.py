"""Whatever is not a clip is refused in one sentence; damage costs no more than it touched."""

import logging
import pathlib

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from video_files import encode, moving_picture, psnr

from semjax.errors import InputError
from semjax.video import open_video, probe, read_video, write_video


def sound(path, *, cover=False):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mp2" if not cover else "libmp3lame", rate=44100)
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 44100, i * 1152
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def one_sentence(path, *, saying):
    with pytest.raises(InputError, match=saying) as caught:
        open_video(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")


def test_missing_and_empty(tmp_path):
    one_sentence(tmp_path / "none.mp4", saying="does not exist")
    (tmp_path / "a.mp4").touch()
    one_sentence(tmp_path / "a.mp4", saying="is empty")
    (tmp_path / "folder").mkdir()
    one_sentence(tmp_path / "folder", saying="holds no pictures")
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    one_sentence(tmp_path / "folder", saying="holds no pictures")


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi", "gif", "png", "webp", "txt", "h264", ""])
def test_garbage(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    one_sentence(path, saying="cannot be|not a readable|no video stream|No frame")


def test_text_is_no_video(tmp_path):
    for name in ("captions.txt", "a.ans", "clip.mp4"):
        (tmp_path / name).write_text("A red mug turns slowly.\n" * 50)
        one_sentence(tmp_path / name, saying="cannot be read|no video stream|No frame")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.ts\n")
    one_sentence(tmp_path / "list.m3u8", saying="cannot be read|no video stream|No frame")


def test_sound_alone(tmp_path):
    one_sentence(sound(tmp_path / "a.mp2"), saying="no video stream")
    one_sentence(sound(tmp_path / "a.mkv"), saying="no video stream")


def test_pictures_of_differing_sizes(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    Image.new("RGB", (8, 7)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"0\.png is 8x6, 1\.png is 8x7"):
        open_video(tmp_path)


def test_a_damaged_picture_is_named(tmp_path):
    for i in range(3):
        Image.fromarray(moving_picture(1, 40, 40)[0]).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"1\.png is not a readable picture or damaged"):
        read_video(tmp_path)
    (tmp_path / "1.png").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"1\.png is not a readable picture"):
        read_video(tmp_path)


def test_pictures_too_large_to_be_true(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="9000x9000"):
        open_video(tmp_path / "a.png")


def test_the_beginning_of_a_file_gives_the_beginning_of_the_clip(tmp_path, caplog):
    video = moving_picture(48, 48, 64)
    write_video(tmp_path / "a.mp4", video, 24)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) * 3 // 4])
    with caplog.at_level(logging.WARNING, "semjax"):
        info = probe(tmp_path / "b.mp4")
    assert 10 < info.frames < 48
    assert f"only {info.frames} of 48" in caplog.text
    back = read_video(tmp_path / "b.mp4")
    assert len(back) == info.frames
    assert psnr(back[:10], video[:10]) > 35
    (tmp_path / "c.mp4").write_bytes(data[:400])  # not even the index is there
    one_sentence(tmp_path / "c.mp4", saying="cannot be read|No frame|is damaged")


def test_the_beginning_of_an_animation(tmp_path, caplog):
    video = moving_picture(10, 48, 64)
    write_video(tmp_path / "a.apng", video, 24)
    data = (tmp_path / "a.apng").read_bytes()
    (tmp_path / "b.apng").write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING, "semjax"):
        back = read_video(tmp_path / "b.apng")
    assert 2 <= len(back) <= 6
    assert np.array_equal(back, video[: len(back)])
    assert f"only {len(back)} of 10" in caplog.text


def test_a_hole_in_the_middle_keeps_the_count(tmp_path, caplog):
    video = moving_picture(48, 48, 64)
    path = encode(tmp_path / "a.mp4", video, options={"crf": "10", "g": "8", "bf": "0"})
    data = bytearray(pathlib.Path(path).read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 600] = bytes(600)
    (tmp_path / "b.mp4").write_bytes(data)
    with caplog.at_level(logging.WARNING, "semjax"):
        back = read_video(tmp_path / "b.mp4")
    assert len(back) == probe(tmp_path / "b.mp4").frames
    assert psnr(back[0], video[0]) > 35


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    video = moving_picture(6, 16, 18)
    files = {}
    for suffix in ("mp4", "webm", "avi", "gif", "apng"):
        write_video(folder / f"a.{suffix}", video, 10, quality=30)
        files[suffix] = (folder / f"a.{suffix}").read_bytes()
    first, *rest = map(Image.fromarray, video)
    for suffix in ("webp", "avif", "tif"):
        first.save(folder / f"a.{suffix}", save_all=True, append_images=rest)
        files[suffix] = (folder / f"a.{suffix}").read_bytes()
    return files


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_ends_in_a_clip_or_an_error(small_files, tmp_path, data):
    suffix = data.draw(st.sampled_from(sorted(small_files)))
    content = bytearray(small_files[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 4, len(content)))]
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(content)
    try:
        with open_video(path) as reader:
            frames = list(reader)
    except InputError:
        return
    assert len(frames) == reader.info.frames
    assert {f.shape for f in frames} == {(reader.info.height, reader.info.width, 3)}
