import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from semjax import cli, stream, video


@pytest.fixture(scope="module")
def clip(tmp_path_factory, disc):
    """A folder with a small mp4, its label maps and a caption."""
    folder = tmp_path_factory.mktemp("clip")
    video.write_video(folder / "disc.mp4", disc[0], 12)
    video.write_labels(folder / "labels", disc[1])
    (folder / "captions.txt").write_text("A striped ball rolls to the right.")
    return folder


def run(monkeypatch, capsys, *args):
    """Exit status, standard output and standard error of `semjax ARGS`, in this process."""
    monkeypatch.setattr(sys, "argv", ["semjax", *map(str, args)])
    status = 0
    try:
        cli.main()
    except SystemExit as stop:
        status = stop.code
    out = capsys.readouterr()
    return status, out.out, out.err


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_transmit_writes_five_files_that_add_up(clip, tmp_path, monkeypatch, capsys):
    args = ["transmit", clip / "disc.mp4", "--labels", clip / "labels", "--captions", clip / "captions.txt"]
    status, _, err = run(monkeypatch, capsys, *args, "--bitrate", 20000, "--out", tmp_path / "run")
    assert status == 0, err
    names = {f.name for f in (tmp_path / "run").iterdir()}
    assert names == {"stream.smj", "received.smj", "reconstruction.mp4", "report.json", "report.html"}
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["clip"] == {"frames": 12, "width": 64, "height": 48, "fps": 12.0}
    size = (tmp_path / "run" / "stream.smj").stat().st_size
    assert report["bytes"]["total"] == size == sum(v for k, v in report["bytes"].items() if k != "total")
    assert report["rate"]["bpp"] == pytest.approx(8 * size / (12 * 64 * 48))
    assert 18000 <= report["rate"]["bits_per_second"] <= 20000
    assert report["rate"]["ratio_to_raw"] == pytest.approx(12 * 64 * 48 * 3 / size)
    assert report["quality"]["psnr"] > 20 and 0.8 < report["quality"]["miou"] <= 1
    assert 0.5 < report["quality"]["ms_ssim"] <= 1
    assert set(report["seconds"]) == {"semantics", "encode", "channel", "decode", "generate"}
    assert (
        re.fullmatch("tiny@[0-9a-f]{16}", report["generator"])
        and report["seed"] == 0
        and report["versions"]["semjax"]
    )
    assert report["captions"][0]["text"] == "A striped ball rolls to the right."
    info = video.probe(tmp_path / "run" / "reconstruction.mp4")
    assert (info.frames, info.width, info.height, info.fps) == (12, 64, 48, 12)
    page = (tmp_path / "run" / "report.html").read_text()
    assert re.findall(r"""(?:src|href)=["']?(?!["']?data:)[^>]{0,40}""", page) == []  # self-contained
    assert "A striped ball" in page and "--bitrate 20000" in page


def test_encode_then_decode_equals_transmit_in_other_processes(clip, tmp_path, monkeypatch, capsys):
    sender = ["--labels", clip / "labels", "--bitrate", "9000"]
    args = ["transmit", clip / "disc.mp4", *sender, "--generator", "none"]
    assert run(monkeypatch, capsys, *args, "--out", tmp_path / "a")[0] == 0
    for args in (
        ["encode", clip / "disc.mp4", *sender, "--out", tmp_path / "b.smj"],
        ["decode", tmp_path / "b.smj", "--generator", "none", "--out", tmp_path / "b.mp4"],
    ):
        subprocess.run([sys.executable, "-m", "semjax.cli", *map(str, args)], check=True)
    assert digest(tmp_path / "b.smj") == digest(tmp_path / "a" / "stream.smj")
    assert digest(tmp_path / "b.mp4") == digest(tmp_path / "a" / "reconstruction.mp4")


def test_same_seed_same_files_and_losses_show(clip, tmp_path, monkeypatch, capsys):
    args = ["transmit", clip / "disc.mp4", "--bitrate", "30000", "--channel", "loss", "--loss", "0.5"]
    args += ["--generator", "none"]
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run(monkeypatch, capsys, *args, "--seed", seed, "--out", tmp_path / name)[0] == 0
    for file in ("stream.smj", "received.smj", "reconstruction.mp4"):
        assert digest(tmp_path / "a" / file) == digest(tmp_path / "b" / file)
    assert digest(tmp_path / "a" / "received.smj") != digest(tmp_path / "c" / "received.smj")
    lost = [json.loads((tmp_path / n / "report.json").read_text())["channel"] for n in "ac"]
    assert any(0 < c["packets_lost"] <= c["packets"] for c in lost)
    assert stream.unpack((tmp_path / "a" / "received.smj").read_bytes()).partial


def test_radio_runs_show_their_ledger_and_what_was_lost_when(clip, tmp_path, monkeypatch, capsys):
    args = ["transmit", clip / "disc.mp4", "--labels", clip / "labels", "--bitrate", "20000", "--seed", "1"]
    args += ["--channel", "awgn", "--snr", "0", "--design-snr", "4.2", "--generator", "none"]
    for name in "ab":
        status, out, err = run(monkeypatch, capsys, *args, "--out", tmp_path / name)
        assert status == 0, err
    for file in ("received.smj", "reconstruction.mp4"):
        assert digest(tmp_path / "a" / file) == digest(tmp_path / "b" / file)
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    costs = report["link"]
    assert report["rate"]["cbr"] == costs["cbr"] == costs["symbols"] / (3 * 12 * 48 * 64)
    assert report["rate"]["symbols"] == costs["symbols"] > costs["coded_bits"] / 8
    assert costs["source_bits"]["total"] == 8 * report["bytes"]["total"]
    lost = report["lost"]
    assert lost and {p["layer"] for p in lost} == {"texture"} and lost[0]["first"] == 0
    assert len(lost) == report["channel"]["packets_lost"] == costs["lost"]
    assert f"{costs['symbols']:,} symbols" in out and f"{len(lost)} of" in out
    page = (tmp_path / "a" / "report.html").read_text()
    assert "What crossing the link cost" in page and "parity (LDPC)" in page and "lost packets" in page
    assert stream.unpack((tmp_path / "a" / "received.smj").read_bytes()).units["texture"] == {}


def test_transmit_for_a_bandwidth_ratio(clip, tmp_path, monkeypatch, capsys):
    args = ["transmit", clip / "disc.mp4", "--labels", clip / "labels", "--channel", "rayleigh", "--snr", "9"]
    args += ["--generator", "none"]
    status, _, err = run(monkeypatch, capsys, *args, "--cbr", "0.04", "--out", tmp_path / "run")
    assert status == 0, err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert 0.035 < report["rate"]["cbr"] <= 0.04 and report["link"]["pilot_symbols"] > 0


def test_info(clip, tmp_path, monkeypatch, capsys):
    run(monkeypatch, capsys, "encode", clip / "disc.mp4", "--out", tmp_path / "a.smj")
    status, out, _ = run(monkeypatch, capsys, "info", tmp_path / "a.smj", "--json")
    facts = json.loads(out)
    assert status == 0 and facts["bytes"]["total"] == (tmp_path / "a.smj").stat().st_size
    assert facts["clip"]["frames"] == 12 and facts["layers"]["contour"]["arrived"] == 1
    status, out, _ = run(monkeypatch, capsys, "info", tmp_path / "a.smj")
    assert status == 0 and "12 frames of 64x48" in out
    status, out, _ = run(monkeypatch, capsys, "info", tmp_path / "a.smj", "--snr", "6", "--json")
    costs = json.loads(out)["link"]
    assert status == 0 and costs["source_bits"]["total"] == 8 * (tmp_path / "a.smj").stat().st_size
    assert costs["parity_bits"] > 0 and costs["cbr"] > 0
    status, out, _ = run(monkeypatch, capsys, "info", tmp_path / "a.smj", "--snr", "6")
    assert status == 0 and f"{costs['symbols']:,} symbols" in out


def test_evaluate(clip, tmp_path, monkeypatch, capsys):
    args = ["evaluate", clip / "disc.mp4", clip / "disc.mp4", "--labels", clip / "labels"]
    status, out, _ = run(monkeypatch, capsys, *args, "--json", tmp_path / "e.json")
    result = json.loads(out)
    assert status == 0 and result["psnr"] is None and result["ms_ssim"] == pytest.approx(1)
    assert set(result["psnr_by_label"]) == {"0", "1"}
    assert json.loads((tmp_path / "e.json").read_text()) == result


@pytest.fixture
def bad(clip, tmp_path):
    """Inputs that cannot be used, by name."""
    labels = video.read_labels(clip / "labels")
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.mp4").write_bytes(b"no video" * 100)
    video.write_labels(tmp_path / "fewer", labels[:7])
    video.write_labels(tmp_path / "smaller", labels[:, :20])
    for name, mode in (("sixteen", np.uint16), ("colour", np.uint8)):
        (tmp_path / name).mkdir()
        for i, one in enumerate(labels):
            pixels = one.astype(mode) if mode is np.uint16 else np.repeat(one[..., None], 3, 2)
            Image.fromarray(pixels).save(tmp_path / name / f"{i:04d}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["transmit", "nowhere.mp4"], "nowhere.mp4"),
        (["transmit", "{bad}/garbage.mp4"], "garbage.mp4"),
        (["transmit", "{bad}/empty"], "empty"),
        (["transmit", "{clip}", "--labels", "{bad}/fewer"], "7"),
        (["transmit", "{clip}", "--labels", "{bad}/smaller"], "20"),
        (["transmit", "{clip}", "--labels", "{bad}/sixteen"], "8-bit"),
        (["transmit", "{clip}", "--labels", "{bad}/colour"], "single"),
        (["transmit", "{clip}", "--labels", "{bad}/empty"], "empty"),
        (["transmit", "{clip}", "--captions", "{bad}/none.json"], "none.json"),
        (["transmit", "{clip}", "--bitrate", "10"], "least possible"),
        (["transmit", "{clip}", "--bitrate", "-4"], "positive"),
        (
            ["transmit", "{clip}", "--channel", "awgn", "--snr", "nan"],
            "the SNR in dB must be a finite number",
        ),
        (
            ["transmit", "{clip}", "--channel", "awgn", "--snr", "300"],
            "the SNR in dB must lie in -100 to 100",
        ),
        (["transmit", "{clip}", "--channel", "awgn", "--mcs", "16qam:5/4"], "is above 0.95"),
        (
            ["transmit", "{clip}", "--channel", "awgn", "--mcs", "bpsk:1/2"],
            "one of qpsk, 16qam, 64qam, 256qam",
        ),
        (["transmit", "{clip}", "--channel", "awgn", "--mcs", "fast"], "MODULATION:K/N"),
        (["transmit", "{clip}", "--channel", "awgn", "--retransmissions", "-1"], "retransmissions"),
        (["transmit", "{clip}", "--channel", "loss", "--cbr", "1e-3"], "radio channel"),
        (["transmit", "{clip}", "--channel", "awgn", "--cbr", "1e-3", "--bitrate", "9000"], "not both"),
        (["transmit", "{clip}", "--channel", "awgn", "--cbr", "-1"], "positive"),
        (["transmit", "{clip}", "--channel", "awgn", "--snr", "-40"], "header did not arrive"),
        (["transmit", "{clip}", "--channel", "loss", "--burst", "0"], "burst"),
        (["info", "{clip}", "--snr", "nan"], "SNR"),
        (["transmit", "{clip}", "--channel", "loss", "--loss", "1.5"], "probability"),
        (["transmit", "{clip}", "--steps", "0"], "at least 1 step"),
        (["transmit", "{clip}", "--generator", "{bad}/nothing"], "no generator"),
        (["transmit", "{clip}", "--system", "mirage", "--tolerance", "2"], "about contours"),
        (["transmit", "{clip}", "--keyframes", "2"], "for the system lgvsc"),
        (["convert", "somewhere"], "no file or folder somewhere"),
        (["decode", "nowhere.smj"], "nowhere.smj"),
        (["decode", "{clip}"], "not a semjax stream"),
        (["info", "{clip}"], "not a semjax stream"),
        (["evaluate", "{clip}", "{bad}/garbage.mp4"], "garbage.mp4"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(args, text, clip, bad, monkeypatch, capsys):
    args = [a.format(clip=clip / "disc.mp4", bad=bad) for a in args]
    out = bad / "out.mp4" if args[0] == "decode" else bad / "out"
    if args[0] in ("transmit", "decode"):
        args += ["--out", str(out)]
    before = sorted(bad.rglob("*"))
    status, printed, err = run(monkeypatch, capsys, *args)
    assert status == 2 and printed == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("semjax: ") and text in lines[0]
    assert sorted(bad.rglob("*")) == before


def test_streams_cut_short_or_of_another_version(clip, tmp_path, monkeypatch, capsys):
    run(monkeypatch, capsys, "encode", clip / "disc.mp4", "--out", tmp_path / "a.smj")
    data = (tmp_path / "a.smj").read_bytes()
    (tmp_path / "cut.smj").write_bytes(data[:-20])
    (tmp_path / "v9.smj").write_bytes(data[:3] + b"\x09" + data[4:])
    status, _, err = run(monkeypatch, capsys, "decode", tmp_path / "cut.smj", "--out", tmp_path / "x.mp4")
    assert status == 2 and "truncated" in err
    status, _, err = run(monkeypatch, capsys, "decode", tmp_path / "v9.smj", "--out", tmp_path / "x.mp4")
    assert status == 2 and "version 9" in err
    assert not (tmp_path / "x.mp4").exists()
    args = ["decode", tmp_path / "cut.smj", "--allow-truncated", "--out", tmp_path / "x.mp4"]
    assert run(monkeypatch, capsys, *args)[0] == 0
    assert video.probe(tmp_path / "x.mp4").frames == 12


def test_help_has_an_example_each(monkeypatch, capsys):
    for name in cli.COMMANDS:
        status, out, _ = run(monkeypatch, capsys, name, "--help")
        assert status == 0 and f"Example: semjax {name}" in " ".join(out.replace("│", " ").split())
