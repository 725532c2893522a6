"""From the command line, for every system: a missing layer, an empty caption, a single frame, forbidding policies."""

import json
import sys

import numpy as np
import pytest

from semjax import cli, video
from semjax import stream as sm

SYSTEMS = ("causal", "mirage", "lgvsc")
RATE = {"causal": 16_000, "mirage": 8000, "lgvsc": 60_000}


@pytest.fixture(scope="module")
def clip(tmp_path_factory, disc):
    """A folder with a clip, its label maps, and a caption file without a word."""
    folder = tmp_path_factory.mktemp("clip")
    video.write_video(folder / "disc.mp4", disc[0], 12)
    video.write_labels(folder / "labels", disc[1])
    video.write_video(folder / "one.mp4", disc[0][:1], 12)
    video.write_labels(folder / "one", disc[1][:1])
    (folder / "captions.txt").write_text(" \n")
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """(exit status, last line of standard error) of `semjax ARGS`, in this process."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["semjax", *map(str, args)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code, capsys.readouterr().err.strip().splitlines()[-1]
        return 0, capsys.readouterr().err

    return call


def sent(clip, system, *more):
    """Arguments that code the clip."""
    return [
        clip / "disc.mp4",
        "--labels",
        clip / "labels",
        "--system",
        system,
        "--bitrate",
        RATE[system],
        *more,
    ]


@pytest.mark.parametrize("system", SYSTEMS)
def test_any_layer_may_be_missing(clip, run, tmp_path, system):
    assert run("encode", *sent(clip, system), "--out", tmp_path / "a.smj") == (0, "")
    whole = sm.unpack((tmp_path / "a.smj").read_bytes())
    for layer in whole.spans:
        (tmp_path / "b.smj").write_bytes(sm.pack(whole.without(layer)))
        assert run("decode", tmp_path / "b.smj", "--out", tmp_path / "b.mp4") == (0, "")
        info = video.probe(tmp_path / "b.mp4")
        assert (info.frames, info.width, info.height) == (12, 64, 48)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_caption_without_a_word_is_refused(clip, run, tmp_path, system):
    asked = sent(clip, system, "--captions", clip / "captions.txt", "--out", tmp_path / "a.smj")
    status, said = run("encode", *asked)
    assert status == 2 and "is empty; write a sentence or leave the file out" in said
    assert not (tmp_path / "a.smj").exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_single_frame_is_a_clip(clip, run, tmp_path, system):
    for labels in ([], ["--labels", clip / "one"]):
        asked = ["--system", system, "--bitrate", 20 * RATE[system], "--out", tmp_path / "run"]
        assert run("transmit", clip / "one.mp4", *labels, *asked) == (0, "")
        report = json.loads((tmp_path / "run" / "report.json").read_text())
        assert report["clip"]["frames"] == 1 and report["quality"]["psnr"] > 12
        assert video.probe(tmp_path / "run" / "reconstruction.mp4").frames == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_policies_that_forbid_everything(clip, run, tmp_path, system):
    """No layer may leave: refused. Nothing may be seen: grey is sent. Nothing may pass: refused with the least."""

    def policy(**fields):
        (tmp_path / "policy.json").write_text(json.dumps(fields))
        return ["--policy", tmp_path / "policy.json"]

    out = ["--out", tmp_path / "run"]
    status, said = run("transmit", *sent(clip, system), *policy(sender={"layers": []}), *out)
    assert status == 2 and "lets no layer leave" in said and not (tmp_path / "run").exists()
    hidden = policy(sender={"boxes": [[0, 0, 1, 1]], "words": "none"})
    status, said = run("transmit", *sent(clip, system), *hidden, *out)
    # causal meets rates or refuses them: grey frames cannot use so many bytes. At its own rate it sends them.
    assert (status, said) == (0, "") or (system == "causal" and "more than this clip can use" in said)
    assert run("transmit", *sent(clip, system)[:-2], *hidden, *out) == (0, "")
    shown = video.read_video(tmp_path / "run" / "reconstruction.mp4").astype(float)
    assert np.abs(shown - 128).max() < 12
    status, said = run("transmit", *sent(clip, system), *policy(network={"bitrate": 1}), *out)
    assert status == 2 and "bit/s" in said
