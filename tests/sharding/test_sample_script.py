"""scripts/sample.py: what it paints, two processes, a killed process, what is left to do afterwards."""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import sharding_cases

import semjax as sj
from semjax import generator, video
from semjax.errors import InputError
from semjax.stream import unpack

SCRIPT = Path(__file__).parents[2] / "scripts" / "sample.py"
SHORT = {"a": 7, "b/c": 5, "d": 9}
LONG = {"long1": 500, "long2": 500}
MINUTE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """weights/ and streams/ (short ones of three lengths, long ones of which nothing arrived), a cache for programs."""
    base = tmp_path_factory.mktemp("sampling")
    generator.save(base / "weights", sharding_cases.weights(), sharding_cases.MODEL, dtype="float32")
    sharding_cases.write_streams(base / "streams", SHORT)
    sharding_cases.write_empty_streams(base / "streams", LONG)
    return base


def sample(folder, out, *more, streams=("streams",), devices=2):
    """Start the script; the process."""
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    environment = {
        **os.environ,
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "JAX_LOG_COMPILES": "1",
        "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    given = [folder / name for name in streams]
    fixed = ["--generator", folder / "weights", "--out", folder / out]
    command = [str(part) for part in (sys.executable, SCRIPT, *given, *fixed, *more)]
    said = tempfile.TemporaryFile("w+")  # not a pipe, which fills up while nobody reads  # noqa: SIM115
    return subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT), said


def ended(started, timeout=900):
    """(exit status, what it said) of a process that has come to its end."""
    process, said = started
    try:
        status = process.wait(timeout)
    finally:
        process.kill()
    with said:
        said.seek(0)
        return status, said.read()


def pair(folder, out, *more):
    """The script as two processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    who = ("--coordinator", f"localhost:{port}", "--processes", "2", "--batch", "1")
    cache = ("--compile-cache", folder / "programs")
    return [sample(folder, out, *who, *cache, "--process", str(i), *more) for i in range(2)]


@pytest.fixture
def work():
    sys.path.insert(0, str(SCRIPT.parent))
    yield importlib.import_module("sampling.work")
    sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def alone(folder):
    """What one process with two devices says of the short streams, and its run.json."""
    status, said = ended(sample(folder, "alone", "--batch", "1", streams=[f"streams/{n}.smj" for n in SHORT]))
    assert status == 0, said[-4000:]
    return said, json.loads((folder / "alone" / "run.json").read_text())


def test_a_stream_becomes_what_decode_makes_of_it(folder, alone):
    made = sj.load_generator(folder / "weights", steps=2, window=4)
    stream = unpack((folder / "streams" / "b" / "c.smj").read_bytes())
    expected = folder / "expected.mp4"
    video.write_video(expected, sj.decode(stream, made, jax.random.key(0)), stream.info.fps)
    same(video.read_video(folder / "alone" / "c.mp4"), video.read_video(expected))


def same(one, other):
    """Equal but for a grey level here and there, which compression may spread."""
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other).mean() < 0.02


def test_one_program_serves_every_frame_of_every_stream(alone):
    said, run = alone
    assert len(run["processes"][0]["programs"]) == 1
    assert sum("Finished XLA compilation of jit(step)" in line for line in said.splitlines()) == 1
    late = said[said.index("steps begin") :]
    assert "Finished XLA compilation of jit(step)" not in late


def test_the_run_says_what_it_took(alone):
    run = alone[1]
    own = run["processes"][0]
    assert set(own["seconds"]) == {"load", "compile", "warm", "generate", "write"}
    assert all(seconds > 0 for seconds in own["seconds"].values())
    assert run["frames"] == sum(SHORT.values()) and run["frames_per_second"] > 0
    assert own["steps"] == 12 and run["occupancy"] == pytest.approx(21 / 24)  # 9 beside 7 + 5
    assert sorted(own["done"]) == ["a", "c", "d"] and run["failed"] == []
    assert own["programs"][0]["bytes_per_device"]["argument"] > 100_000
    assert len(own["device_memory"]) == 2


def test_finished_streams_are_skipped(folder, alone):
    before = {path: path.stat().st_mtime_ns for path in (folder / "alone").glob("*.mp4")}
    status, said = ended(sample(folder, "alone", streams=[f"streams/{n}.smj" for n in SHORT]))
    assert status == 0 and "3 streams, 0 to do" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_settings_are_refused_and_names_may_not_collide(folder, alone, work):
    before = json.loads((folder / "alone" / "settings.json").read_text())
    work.keep_settings(folder / "alone", before)
    with pytest.raises(InputError, match="seed was 0, now 5"):
        work.keep_settings(folder / "alone", {**before, "seed": 5})
    with pytest.raises(InputError, match=r"would both become a\.mp4"):
        twice = [folder / "streams", folder / "weights" / "a.smj"]
        sharding_cases.write_empty_streams(folder / "weights", {"a": 3})
        work.find(twice, folder / "out", ".mp4", False)
    with pytest.raises(InputError, match="there is no stream file or folder"):
        work.find([folder / "nothing"], folder / "out", ".mp4", False)


def test_a_killed_process_stops_the_others_and_a_rerun_finishes(folder, alone):
    out = folder / "pair"
    first, second = pair(folder, "pair", "--heartbeat", "40")
    deadline = time.monotonic() + 900
    while not (done := [p for p in out.rglob("*.mp4") if not p.name.startswith(".")]):
        assert time.monotonic() < deadline and first[0].poll() is None, ended(first)[1][-4000:]
        time.sleep(0.05)
    second[0].send_signal(signal.SIGKILL)
    began = time.monotonic()
    status, said = ended(first, timeout=3 * MINUTE)
    assert time.monotonic() - began < 2 * MINUTE
    assert ended(second)[0] == -signal.SIGKILL
    assert status != 0 and not (out / "run.json").exists(), said[-4000:]
    kept = {path: path.stat().st_mtime_ns for path in done}

    results = [ended(started) for started in pair(folder, "pair")]
    assert [status for status, _ in results] == [0, 0], results[0][1][-4000:]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(out.rglob(".*"))  # nothing half done is left
    run = json.loads((out / "run.json").read_text())
    assert run["streams"]["finished_before"] >= len(kept)
    assert run["streams"]["finished_before"] + run["streams"]["done"] == 5
    assert [p["process"] for p in run["processes"]] == [0, 1]
    made = {path.relative_to(out).as_posix(): path for path in out.rglob("*.mp4")}
    assert set(made) == {f"{name}.mp4" for name in (*SHORT, *LONG)}
    for name in SHORT:
        other = folder / "alone" / f"{Path(name).name}.mp4"
        same(video.read_video(made[f"{name}.mp4"]), video.read_video(other))
    assert video.probe(made["long1.mp4"]).frames == 500


def test_bad_input_is_told_and_does_not_stop_the_rest(folder, tmp_path):
    (tmp_path / "broken.smj").write_bytes(b"no stream")
    status, said = ended(sample(folder, tmp_path / "out", streams=[tmp_path / "broken.smj"]))
    assert status == 1 and "left out" in said and "broken.smj" in said
