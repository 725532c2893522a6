"""Label maps and captions from files, and the bar that shows progress."""

import json

import numpy as np
import pytest
from PIL import Image

from semjax import _progress, video
from semjax.errors import InputError, NotAvailableError
from semjax.types import Caption, ClipInfo


@pytest.fixture
def maps():
    return np.random.default_rng(0).integers(0, 256, (12, 9, 7), np.uint8)


def test_label_maps_come_back(tmp_path, maps):
    video.write_labels(tmp_path / "labels", maps)
    assert sorted(p.name for p in (tmp_path / "labels").iterdir())[::11] == ["0000.png", "0011.png"]
    assert np.array_equal(video.read_labels(tmp_path / "labels"), maps)
    with video.open_labels(tmp_path / "labels") as reader:
        assert (
            (reader.info.frames, reader.info.width, reader.info.height) == (12, 7, 9) == (len(reader), 7, 9)
        )
        assert np.array_equal(np.concatenate(list(reader.chunks(5))), maps)
    video.write_labels(tmp_path / "again", iter(maps))
    assert np.array_equal(video.read_labels(tmp_path / "again"), maps)


def test_palette_pictures_give_their_indices(tmp_path, maps):
    for i, values in enumerate(maps[:3]):
        picture = Image.fromarray(values, "P")
        picture.putpalette(np.random.default_rng(i).integers(0, 256, 768).tolist())
        picture.save(tmp_path / f"{i}.png", transparency=0)
    assert np.array_equal(video.read_labels(tmp_path), maps[:3])


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("grey", [True, False])
def test_shallow_pictures_give_the_stored_values(tmp_path, maps, bits, grey):
    """PNGs of 1, 2 and 4 bits a pixel, built by hand: Pillow spreads grey ones over 0..255 when it reads them."""
    import struct
    import zlib

    values = maps[0] >> (8 - bits)
    rows = [
        np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes() for row in values
    ]

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0 if grey else 3, 0, 0, 0)
    palette = b"" if grey else chunk(b"PLTE", bytes(range(3 << bits)))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows)))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + data + chunk(b"IEND", b"")
    (tmp_path / "0.png").write_bytes(png)
    assert np.array_equal(video.read_labels(tmp_path)[0], values)


def test_label_maps_of_the_wrong_kind(tmp_path, maps):
    kinds = {
        "in colour": Image.fromarray(np.repeat(maps[0][..., None], 3, -1)),
        "in colour with alpha": Image.fromarray(np.repeat(maps[0][..., None], 4, -1)),
        "with alpha": Image.fromarray(np.repeat(maps[0][..., None], 2, -1)),
        "of 16 bits": Image.fromarray(maps[0].astype(np.uint16)),
    }
    for kind, picture in kinds.items():
        picture.save(tmp_path / "0.png")
        with pytest.raises(InputError, match=f"is {kind}; save label maps as 8-bit"):
            video.open_labels(tmp_path)


def test_label_folders_that_are_none(tmp_path, maps):
    with pytest.raises(InputError, match="does not exist"):
        video.open_labels(tmp_path / "none")
    with pytest.raises(InputError, match="holds no PNGs"):
        video.open_labels(tmp_path)
    Image.fromarray(maps[0]).save(tmp_path / "0.jpg")
    with pytest.raises(InputError, match="holds no PNGs"):
        video.open_labels(tmp_path)
    with pytest.raises(InputError, match="is a file"):
        video.open_labels(tmp_path / "0.jpg")
    Image.fromarray(maps[0]).save(tmp_path / "0.png")
    Image.fromarray(maps[0][:4]).save(tmp_path / "1.png")
    with pytest.raises(InputError, match=r"0\.png is 7x9, 1\.png is 7x4"):
        video.open_labels(tmp_path)
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[:-30])
    with pytest.raises(InputError, match=r"1\.png is not a readable picture or damaged"):
        video.read_labels(tmp_path)


def test_writing_label_maps_that_are_none(tmp_path, maps):
    for wrong in (maps.astype(np.int32), maps[..., None], iter([maps[0], maps[0][:4]]), [], maps[:0]):
        with pytest.raises(InputError, match=r"must be uint8|at least one"):
            video.write_labels(tmp_path / "labels", wrong)
    assert list(tmp_path.iterdir()) == []


def test_labels_must_fit_the_clip():
    clip = ClipInfo(10, 64, 48, 25)
    video.check_labels(clip, ClipInfo(10, 64, 48, 30))
    with pytest.raises(InputError, match="64x48 but its label maps are 48x64"):
        video.check_labels(clip, ClipInfo(10, 48, 64, 25))
    with pytest.raises(InputError, match="10 frames but there are 9 label maps"):
        video.check_labels(clip, ClipInfo(9, 64, 48, 25))


@pytest.fixture
def write(tmp_path):
    def put(content, name="captions.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return tmp_path / name

    return put


SEGMENTS = [
    {"first": 0, "last": 3, "caption": "it starts"},
    {"first": 4, "last": 9, "caption": " it\n ends "},
]


def test_captions_of_one_clip(write):
    whole = Caption(0, 9, "A mug turns.")
    parts = [Caption(0, 3, "it starts"), Caption(4, 9, "it ends")]
    assert video.read_captions(write({"caption": "A mug turns.", "segments": SEGMENTS, "by": "me"}), 10) == [
        whole,
        *parts,
    ]
    assert video.read_captions(write({"caption": "A mug turns."}), 10) == [whole]
    assert video.read_captions(write({"segments": SEGMENTS}), 10) == parts
    assert video.read_captions(write("\ufeffA mug\n  turns.\n", "a.txt"), 10) == [whole]


NAMED = [("camel", "c"), ("clips/camel/video.mp4", "c"), ("/data/camel.mp4", "c")]
NAMED += [("x/bridge/ep01", "e"), ("ep01/video.mp4", "w")]


@pytest.mark.parametrize("clip, text", NAMED)
def test_captions_of_several_clips(write, clip, text):
    path = write({"camel": {"caption": "c"}, "bridge/ep01": {"caption": "e"}, "ep01": {"caption": "w"}})
    assert video.read_captions(path, 10, clip=clip) == [Caption(0, 9, text)]


def test_a_single_entry_needs_no_name(write):
    assert video.read_captions(write({"camel": {"caption": "c"}}), 10) == [Caption(0, 9, "c")]


@pytest.mark.parametrize(
    "content, saying",
    [
        ("{", "not valid JSON"),
        ("[1]", "JSON object"),
        ({}, "no clip"),
        ({"a": {"caption": "x"}, "b": {"caption": "y"}}, "no clip was named"),
        ({"a": 1}, "JSON object"),
        ({"a": {}}, "neither"),
        ({"caption": 3}, "must be text"),
        ({"caption": "  "}, "is empty"),
        ({"segments": 3}, "must be a list"),
        ({"segments": [3]}, "must have"),
        ({"segments": [{"first": 0, "last": 10, "caption": "x"}]}, "frames 0 to 9"),
        ({"segments": [{"first": -1, "last": 3, "caption": "x"}]}, "frames 0 to 9"),
        ({"segments": [{"first": 4, "last": 3, "caption": "x"}]}, "frames 0 to 9"),
        ({"segments": [{"first": True, "last": 3, "caption": "x"}]}, "frames 0 to 9"),
        ({"segments": [SEGMENTS[1], SEGMENTS[0]]}, "ends at 9"),
        ("[" * 100000, "not valid JSON"),
    ],
)
def test_captions_that_are_none(write, content, saying):
    with pytest.raises(InputError, match=saying):
        video.read_captions(write(content), 10)


def test_caption_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(InputError, match="cannot be read"):
        video.read_captions(tmp_path / "none.json", 10)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="cannot be read"):
        video.read_captions(tmp_path / "a.txt", 10)
    with pytest.raises(InputError, match="is empty"):
        video.read_captions(write("\n", "a.txt"), 10)


def test_the_sample_is_whole_or_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(NotAvailableError, match=r"video\.mp4, labels, captions\.json"):
        video.sample_clip()
    folder = tmp_path / "sample"
    video.write_labels(folder / "labels", np.zeros((1, 2, 2), np.uint8))
    (folder / "video.mp4").touch()
    (folder / "captions.json").touch()
    assert video.sample_clip().labels_path == folder / "labels"


class Terminal:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def test_progress_shows_on_terminals_only(monkeypatch, capsys):
    chunks = [range(3), range(2)]
    assert list(_progress.progress(chunks, 5, "frames", steps=len)) == chunks
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(_progress.progress(chunks, 5, "reading", steps=len)) == chunks
    assert "reading" in terminal.text
    assert "5/5" in terminal.text
