"""The evaluation harness: peers within their bytes, statistics, resuming, the page."""

import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from semjax import metrics, video
from semjax.errors import InputError

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module", autouse=True)
def scripts_on_path():
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def peers(scripts_on_path):
    return importlib.import_module("evaluation.peers")


@pytest.fixture(scope="module")
def tables(scripts_on_path):
    return importlib.import_module("evaluation.tables")


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1", "libaom", "vvenc", "vp9"])
def test_peer_keeps_the_budget_and_uses_it(peers, name, disc):
    clip, scheduled = disc[0], os.sched_getscheduler(0)
    score = lambda frames: float(metrics.psnr(clip, frames))  # noqa: E731
    few, many = 500, 3000
    answers = peers.best_answers(
        peers.PEERS[name], clip, Fraction(25), [many, few], score, scales=(1, 2), divisors=(1, 2)
    )
    assert answers[few].bytes <= few and 0.4 * many < answers[many].bytes <= many
    assert answers[many].frames.shape == clip.shape
    assert score(answers[many].frames) > max(score(answers[few].frames), 24)
    assert os.sched_getscheduler(0) == scheduled, "SVT-AV1 makes whoever calls it a real-time thread"


def test_peer_without_a_fit_gives_its_smallest(peers, disc):
    peer = peers.PEERS["x264"]
    answer = peers.best_answers(peer, disc[0], Fraction(25), [5], lambda frames: 0.0, divisors=(1, 4))[5]
    assert 5 < answer.bytes < 1500
    assert answer.settings == {"quality": 51, "scale": 2, "divisor": 4}  # 48 pixels cannot be quartered
    assert answer.frames.shape == disc[0].shape


def test_removed_units_are_not_missed(peers, disc):
    peer = peers.PEERS["x264"]
    packets = peers.encode(peer, disc[0], Fraction(25), 20)
    assert b"x264 - core" not in b"".join(packets)
    assert metrics.psnr(disc[0], peers.decode(peer, packets)) > 30


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1", "libaom", "vvenc"])
def test_label_maps_come_back_from_every_video_codec(scripts_on_path, name, disc):
    bench = importlib.import_module("bench_contours")
    codec, dial, qualities, options = bench.PEERS[name]
    grey = np.kron(disc[1][:, :47, :63] * 200, np.ones((1, 2, 2), np.uint8))
    sizes = []
    for quality in (qualities[0], qualities[-1]):
        size, back = bench.video(grey, codec, options | {dial: str(quality)})
        assert back.shape == grey.shape
        assert np.mean((back > 100) == (grey > 100)) > 0.97
        sizes.append(size)
    assert sizes[0] > sizes[1] > 0


def test_odd_sizes_come_back(peers):
    clip = np.random.default_rng(0).integers(0, 255, (3, 33, 35, 3), np.uint8)
    for scale in (1, 2):
        small = peers.shrink(clip, scale)
        assert small.shape[1] % 2 == small.shape[2] % 2 == 0
        assert peers.restore(small[::2], clip.shape, 2).shape == clip.shape
    assert np.array_equal(peers.restore(peers.shrink(clip, 1), clip.shape, 1), clip)


def test_search_finds_the_finest_that_fits(peers):
    for budget in range(30, 90):
        found = peers.finest(lambda quality: 100 - quality, 70, 10, budget)
        assert found == max(10, 100 - budget)


def test_too_small_for_peers_is_said(peers):
    with pytest.raises(InputError, match="16 pixels"):
        peers.best_answers(
            peers.PEERS["vp9"], np.zeros((2, 8, 8, 3), np.uint8), Fraction(5), [100], lambda frames: 0.0
        )


def test_interval_covers_the_mean_as_often_as_it_says(tables):
    rng = np.random.default_rng(1)
    covered = sum(low < 3 < high for low, high in (tables.interval(rng.normal(3, 1, 20)) for _ in range(150)))
    assert 0.85 < covered / 150 < 0.99
    assert np.isnan(tables.interval([1.0])).all()


def run(clip, method, kind, psnr, **more):
    row = {"clip": clip, "method": method, "kind": kind, "bitrate": 1000.0, "seed": 0, "bytes": 100}
    return {**row, "bits_per_second": 990.0, "bpp": 1e-4, "quality": {"psnr": psnr}, **more}


def test_pairs_are_of_the_same_clip(tables):
    rows = [run(f"c{i}", "causal", "system", 20.0 + 10 * i) for i in range(4)]
    rows += [run(f"c{i}", "x264", "peer", 19.0 + 10 * i, over_budget=i == 0) for i in range(3)]
    (entry,) = tables.paired(rows, "causal")
    assert entry["mean"] == 1 and entry["interval"] == (1, 1) and (entry["won"], entry["clips"]) == (3, 3)
    means = {e["method"]: e for e in tables.summary(rows)}
    assert means["causal"]["psnr"][0] == 35 and means["causal"]["clips"] == 4
    assert means["x264"]["over_budget"] == 1 and means["x264"]["miou"] is None
    text = tables.markdown(*tables.summary_cells(rows))
    assert "990 (1 over)" in text and text.count("\n") == 4


def test_lower_is_better_counts_as_won(tables):
    rows = [run("c", "causal", "system", 1.0), run("c", "x264", "peer", 1.0)]
    rows[0]["quality"]["gmsd"], rows[1]["quality"]["gmsd"] = 0.1, 0.2
    assert {e["measure"]: e["won"] for e in tables.paired(rows, "causal")} == {"psnr": 0, "gmsd": 1}


def test_from_clips_to_page_and_again(tmp_path, disc):
    frames, labels = disc
    for name, part in (("one", frames), ("two", frames[:, ::-1])):
        video.write_video(tmp_path / "clips" / name / "frames", np.ascontiguousarray(part), 25)
    video.write_labels(tmp_path / "clips" / "one" / "labels", labels)
    (tmp_path / "clips" / "broken").mkdir()
    (tmp_path / "clips" / "broken" / "video.mp4").write_bytes(b"no video")
    command = [sys.executable, SCRIPTS / "evaluate.py", tmp_path / "clips", "--bitrates", "8000"]
    command += ["--peers", "vp9", "--out", tmp_path / "out"]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert "broken, causal, 8000 bit/s: " in first.stderr
    lines = (tmp_path / "out" / "runs.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "error" not in row]
    assert [(row["clip"], row["method"]) for row in rows] == [
        ("one", "causal"),
        ("two", "causal"),
        ("one", "vp9"),
        ("two", "vp9"),
    ]
    for row in rows:
        assert all(np.isfinite(v) for v in row["quality"].values())
        assert row["bytes"] <= 8000 / 8 * 12 / 25 or row["over_budget"]
    assert "miou" in rows[0]["quality"] and "miou" not in rows[1]["quality"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<img") == 6 and page.count("<svg") == 6
    assert 'src="http' not in page  # self-contained
    table = (tmp_path / "out" / "tables.md").read_text()

    # A kill in the middle of a line: that run and the broken clip are run again, nothing else.
    ledger = tmp_path / "out" / "runs.jsonl"
    kept = [line for line in lines if "error" not in json.loads(line)]
    ledger.write_text("\n".join(kept)[:-40])
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    after = ledger.read_text().splitlines()
    assert after[:3] == kept[:3] and len(after) == 5
    assert (tmp_path / "out" / "tables.md").read_text() == table


def test_auto_is_what_each_system_paints_with_by_default(scripts_on_path, tmp_path):
    evaluate = importlib.import_module("evaluate")
    clip = importlib.import_module("evaluation.clips").ClipPaths("one", tmp_path)
    args = evaluate.Args((tmp_path,), systems=("lgvsc", "causal"), bitrates=(4000.0,), generator="auto")
    tasks = evaluate.system_tasks(args, [clip])
    assert [(t.method, t.generator) for t in tasks] == [("lgvsc", "none"), ("causal", "tiny")]
    named = evaluate.system_tasks(dataclasses.replace(args, systems=("causal",), generator="tiny"), [clip])
    assert named == tasks[1:], "the same runs, not to be done again"


def test_over_a_channel_everybody_gets_the_same_symbols(tmp_path, disc):
    video.write_video(tmp_path / "one" / "frames", disc[0], 25)
    command = [sys.executable, SCRIPTS / "evaluate.py", tmp_path / "one", "--bitrates", "12000"]
    command += ["--channel", "awgn", "--snr", "-30", "10", "--peers", "x264", "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "runs.jsonl").read_text().splitlines()]
    at = {(row["method"], row["snr"]): row for row in rows}
    assert len(at) == 4 and all(
        np.isfinite(v) for row in rows for v in row["quality"].values() if v is not None
    )
    ours, theirs = at["causal", 10.0], at["x264", 10.0]
    assert ours["arrived"] == theirs["arrived"] == 1 and ours["cbr"] == ours["symbols"] / (12 * 48 * 64 * 3)
    assert 0.5 * ours["symbols"] < theirs["symbols"] <= ours["symbols"]
    assert min(ours["quality"]["psnr"], theirs["quality"]["psnr"]) > 25
    assert at["causal", -30.0]["arrived"] == 0 and at["causal", -30.0]["quality"]["psnr"] < 16
    page = (tmp_path / "out" / "index.html").read_text()
    assert "against SNR" in page and "12000 bit/s at 10 dB" in page


@pytest.mark.parametrize(
    "odd, reason",
    [
        (["--channel", "awgn", "--peers", "vp9"], "unknown peer over a channel vp9"),
        (["--peers", "h999"], "unknown peer h999"),
        (["--systems", "telepathy"], "unknown system"),
        (["--bitrates", "-5"], "positive"),
        (["--jobs", "0"], "at least 1"),
        ([], "does not exist"),
    ],
)
def test_bad_arguments_get_one_sentence(tmp_path, odd, reason):
    command = [sys.executable, SCRIPTS / "evaluate.py", tmp_path / "nowhere", *odd, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and reason in done.stderr and "Traceback" not in done.stderr
