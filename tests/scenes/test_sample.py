"""The bundled sample clip: its files fit together and show what a sample should show."""

import itertools
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import semjax.assets

SAMPLE = Path(semjax.assets.__file__).parent / "sample"


@pytest.fixture(scope="module")
def labels():
    files = sorted((SAMPLE / "labels").iterdir())
    assert [f.name for f in files] == [f"{k:04d}.png" for k in range(len(files))]
    pictures = [Image.open(f) for f in files]
    assert {p.mode for p in pictures} == {"L"}
    return np.stack([np.asarray(p) for p in pictures])


def test_video_labels_and_captions_fit_together(labels):
    with av.open(str(SAMPLE / "video.mp4")) as box:
        stream = box.streams.video[0]
        frames = sum(1 for _ in box.decode(stream))
        size, rate, codec = (stream.height, stream.width), stream.average_rate, stream.codec_context.name
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert codec == "h264" and rate == 25 and frames >= 100
    assert labels.shape == (frames, *size) and min(size) >= 256
    text = json.loads((SAMPLE / "captions.json").read_text(encoding="utf-8"))
    assert text["caption"]
    segments = text["segments"]
    assert segments[0]["first"] == 0 and segments[-1]["last"] == frames - 1
    assert all(a["last"] + 1 == b["first"] for a, b in itertools.pairwise(segments))
    assert all(s["caption"] for s in segments)


def test_the_sample_is_small():
    assert (SAMPLE / "video.mp4").stat().st_size < 1_500_000
    assert sum(f.stat().st_size for f in (SAMPLE / "labels").iterdir()) < 1_000_000


def test_something_enters_something_leaves_something_is_hidden_for_a_while(labels):
    n = int(labels.max())
    assert 4 <= n <= 12
    area = np.stack([np.bincount(m.ravel(), minlength=n + 1)[1:] for m in labels])  # [T, O]
    big = 0.002 * labels[0].size
    assert ((area[0] == 0) & (area.max(0) > big) & (area[-1] > 0)).any()
    assert ((area[0] > 0) & (area.max(0) > big) & (area[-1] == 0)).any()
    # Two objects touch at some frames and not at others: one passes before the other.
    right, below = (labels[:, :, :-1], labels[:, :, 1:]), (labels[:, :-1], labels[:, 1:])
    touching = np.zeros((len(labels), n + 1, n + 1), bool)
    for a, b in (right, below):
        for t in range(len(labels)):
            touching[t, a[t], b[t]] = True
    touching = (touching | touching.transpose(0, 2, 1))[:, 1:, 1:] & ~np.eye(n, dtype=bool)
    assert (touching.any(0) & ~touching.all(0)).any()
