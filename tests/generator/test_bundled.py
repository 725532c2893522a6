"""The weights that ship with the package: what is known of them, and that they are worth having."""

import json
import re

import jax
import numpy as np
import pytest
from safetensors import safe_open

import semjax as sj
from semjax import generator, metrics
from semjax.systems import causal
from semjax.systems.generators import BUNDLED, suited


def test_the_file_says_where_it_comes_from():
    file = BUNDLED / "generator.safetensors"
    assert file.stat().st_size < 20e6
    with safe_open(file, "numpy") as data:
        head = data.metadata()
    lines = [json.loads(line) for line in head["history"].splitlines()]
    assert [line["stage"] for line in lines] == ["adapters", "temporal-teacher", "distill"] * 3
    assert [line["seed"] for line in lines] == [0, 0, 0, 5, 5, 5, 8, 8, 8]
    for line in lines:
        assert "train.py run DATA" in line["command"] and line["seconds"] > 0
        assert sum(line["examples"].values()) > 100
        assert not any("davis" in name.lower() for name in line["examples"]), "nothing non-commercial"


def test_tiny_is_loaded_as_it_is_best_run_and_auto_knows_where():
    made = sj.load_generator("tiny")
    assert re.fullmatch("tiny@[0-9a-f]{16}", made.name)
    best = generator.settings(BUNDLED)
    assert best and {name: getattr(made.cfg, name) for name in best} == best
    assert sj.load_generator("tiny", steps=3).cfg.steps == 3
    assert suited("auto", "causal") == "tiny" and suited("none", "causal") == "none"
    assert suited("auto", "mirage") == suited("auto", "lgvsc") == "none"


@pytest.mark.slow
@pytest.mark.parametrize("bitrate", [1500, 4000, 12_000])
def test_tiny_paints_the_sample_better_than_no_network(bitrate):
    sample = sj.sample_clip()
    video, labels = sj.read_video(sample.video_path)[:24], sj.read_labels(sample.labels_path)[:24]
    stream = sj.encode(video, labels=labels, cfg=causal.SenderConfig(bitrate=bitrate))
    plain, painted = (
        metrics.compare(video, sj.decode(stream, sj.load_generator(name), jax.random.key(0)))
        for name in ("none", "tiny")
    )
    for measure in ("ms_ssim", "haarpsi"):
        assert painted[measure] > plain[measure], measure
    assert painted["warping_error"] < 1.2 * max(painted["warping_error_reference"], plain["warping_error"])


def test_the_same_stream_and_seed_are_the_same_pixels(disc):
    stream = sj.encode(disc[0], labels=disc[1], fps=12, cfg=causal.SenderConfig(bitrate=20_000))
    made = sj.load_generator("tiny")
    a, b = (sj.decode(stream, made, jax.random.key(7)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == disc[0].shape and not np.array_equal(a, sj.decode(stream))
