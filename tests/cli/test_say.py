"""Policies, pruning and sealing from the command line, for all three systems."""

import json
import sys

import pytest

import semjax as sj
from semjax import cli
from semjax import stream as sm


@pytest.fixture(scope="module")
def files(tmp_path_factory, disc):
    folder = tmp_path_factory.mktemp("say")
    sj.write_video(folder / "disc.mp4", disc[0], fps=12)
    sj.write_labels(folder / "labels", disc[1])
    (folder / "key").write_text("5a" * 32)
    (folder / "other").write_text("5b" * 32)
    (folder / "policy.json").write_text(
        json.dumps(
            {"sender": {"silhouettes": [1]}, "receiver": {"looks": [[1, [20, 60, 220]]], "style": "at dusk"}}
        )
    )
    (folder / "nothing.json").write_text('{"sender": {"layers": []}}')
    return folder


def run(monkeypatch, capsys, *args):
    monkeypatch.setattr(sys, "argv", ["semjax", *map(str, args)])
    try:
        cli.main()
        status = 0
    except SystemExit as error:
        status = error.code
    return status, capsys.readouterr()


@pytest.mark.parametrize("system", ["causal", "mirage", "lgvsc"])
def test_a_sealed_redacted_clip_goes_through(system, files, tmp_path, monkeypatch, capsys):
    common = [
        "--system",
        system,
        "--labels",
        files / "labels",
        "--policy",
        files / "policy.json",
        "--key",
        files / "key",
    ]
    args = [
        "transmit",
        files / "disc.mp4",
        "--bitrate",
        16000,
        *common,
        "--system",
        system,
        "--out",
        tmp_path / "run",
    ]
    status, said = run(monkeypatch, capsys, *args)
    assert status == 0, said.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["system"] == system and report["sealed"] and report["hidden"] == [{"silhouettes": [1]}]
    assert report["policies"]["receiver"]["style"] == "at dusk"
    stream = sm.unpack((tmp_path / "run" / "stream.smj").read_bytes())
    assert stream.salt
    args = ["decode", tmp_path / "run" / "stream.smj", "--out", tmp_path / "out.mp4"]
    assert run(monkeypatch, capsys, *args)[1].err.startswith("semjax: the stream is sealed")
    assert "authentic" in run(monkeypatch, capsys, *args, "--key", files / "other")[1].err
    assert run(monkeypatch, capsys, *args, "--key", files / "key")[0] == 0
    assert sj.read_video(tmp_path / "out.mp4").shape == (12, 48, 64, 3)


def test_pruning_a_sealed_file(files, tmp_path, monkeypatch, capsys):
    args = [
        "encode",
        files / "disc.mp4",
        "--labels",
        files / "labels",
        "--bitrate",
        16000,
        "--key",
        files / "key",
    ]
    assert run(monkeypatch, capsys, *args, "--out", tmp_path / "a.smj")[0] == 0
    status, _ = run(
        monkeypatch, capsys, "prune", tmp_path / "a.smj", "--bitrate", 4000, "--out", tmp_path / "b.smj"
    )
    assert status == 0 and (tmp_path / "b.smj").stat().st_size <= 500 < (tmp_path / "a.smj").stat().st_size
    small = tmp_path / "small.json"
    small.write_text('{"receiver": {"width": 32}}')
    args = [
        "decode",
        tmp_path / "b.smj",
        "--key",
        files / "key",
        "--policy",
        small,
        "--out",
        tmp_path / "b.mp4",
    ]
    assert run(monkeypatch, capsys, *args)[0] == 0
    assert sj.read_video(tmp_path / "b.mp4").shape == (12, 24, 32, 3)
    assert "nothing says" in run(monkeypatch, capsys, "prune", tmp_path / "a.smj")[1].err
    assert "header alone" in run(monkeypatch, capsys, "prune", tmp_path / "a.smj", "--bitrate", 50)[1].err


def test_terms_that_cannot_be(files, tmp_path, monkeypatch, capsys):
    start = ["encode", files / "disc.mp4", "--out", tmp_path / "x.smj"]
    for more, words in (
        (["--policy", files / "nothing.json"], "no layer leave"),
        (["--policy", files / "policy.json"], "give the label maps"),
        (["--policy", files / "missing.json"], "cannot be read"),
        (["--policy", files / "key"], "a policy is JSON"),
        (["--key", files / "policy.json"], "hexadecimal"),
    ):
        status, said = run(monkeypatch, capsys, *start, *more)
        assert status == 2 and words in said.err and not (tmp_path / "x.smj").exists()
