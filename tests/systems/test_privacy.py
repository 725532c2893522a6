"""Attacks on a policy: they succeed without it and are no better than guessing with it."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from semjax.errors import InputError
from semjax.metrics import privacy
from semjax.systems import mirage

FILE = Path(__file__).parents[2] / "scripts" / "attack.py"
ATTACKS, SURE = (
    6,
    0.01,
)  # attacks on one policy; how rarely this test may be wrong about a policy that keeps its word


@pytest.fixture(scope="module")
def harness():
    spec = importlib.util.spec_from_file_location("attack", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_intervals_and_tails():
    assert privacy.tail(0, 10, 0.3) == pytest.approx(1) and privacy.tail(10, 10, 0.5) == pytest.approx(2**-10)
    assert privacy.tail(3, 5, 0.5) == pytest.approx(0.5)
    low, high = privacy.interval(0, 20)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 20), abs=1e-9)
    low, high = privacy.interval(7, 20)
    assert (low, high) == pytest.approx((0.15391, 0.59219), abs=1e-4)  # Clopper-Pearson tables
    for bad in ((3, 2, 0.5), (1, 2, 1.5)):
        with pytest.raises(InputError):
            privacy.tail(*bad)
    with pytest.raises(InputError):
        privacy.interval(0, 0)


@pytest.mark.parametrize("guess", [privacy.nearest_neighbour, privacy.linear_probe])
def test_attacks_find_what_is_there_and_nothing_else(guess):
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(4), 30)
    middles = rng.normal(size=(4, 20))
    for strength, low, high in ((3.0, 0.95, 1.0), (0.0, 0.1, 0.4)):
        features = strength * middles[owners] + rng.normal(size=(120, 20))
        teach = np.arange(120) % 2 == 0
        right = (guess(features[teach], owners[teach], features[~teach]) == owners[~teach]).mean()
        assert low <= right <= high
    assert guess(np.ones((4, 3)), np.arange(4), np.ones((2, 3))).shape == (2,)
    with pytest.raises(InputError):
        guess(np.ones((4, 3)), np.arange(3), np.ones((2, 3)))


def check(harness, system, policies, counts):
    """Off: the identity is told well above chance. On: no attack is better than guessing (at 1 %, over all six)."""
    off = {(r["view"], r["attack"]): r for r in harness.attack(system, harness.POLICIES["none"], *counts)}
    for view in ("layers", "painted"):
        best = max((off[view, name] for name in harness.ATTACKS), key=lambda r: r["right"])
        assert best["interval"][0] > best["chance"] and best["p"] < 1e-3
    for policy in policies:
        for row in harness.attack(system, harness.POLICIES[policy], *counts):
            assert row["p"] > SURE / ATTACKS, row


def test_silhouettes_keep_their_word(harness, monkeypatch):
    monkeypatch.setattr(harness, "FRAMES", 2)
    monkeypatch.setitem(harness.SYSTEMS, "mirage", mirage.SenderConfig(bitrate=8000))
    check(harness, "mirage", ["silhouette"], (3, 4, 4))


@pytest.mark.slow
@pytest.mark.parametrize("system", ["causal", "mirage", "lgvsc"])
def test_policies_keep_their_word(harness, system):
    check(harness, system, ["silhouette", "withheld"], (4, 5, 5))


@pytest.mark.slow
def test_a_leak_would_be_found(harness, monkeypatch):
    """The same attacks on a policy that forgets to hide the head: they must see it."""
    real = harness.redact

    def forgetful(frames, maps, words, policy):
        hidden, maps_left, said = real(frames, maps, words, policy)
        inside = np.concatenate(list(maps.read(99)))
        top = np.arange(harness.HEIGHT)[None, :, None] < harness.HEIGHT * 0.42
        clip = np.where(
            (top & (inside == 1))[..., None], *(np.concatenate(list(s.read(99))) for s in (frames, hidden))
        )
        return harness.sources.frames_from_array(clip, harness.FPS), maps_left, said

    monkeypatch.setattr(harness, "redact", forgetful)
    rows = list(harness.attack("mirage", harness.POLICIES["silhouette"], 4, 5, 5))
    assert min(row["p"] for row in rows) < SURE / ATTACKS


def test_examples_differ_in_more_than_identity(harness):
    one, two, other = (harness.example(i, s) for i, s in ((0, 0), (0, 1), (1, 0)))
    assert not np.array_equal(one.frames, two.frames) and not np.array_equal(one.labels, two.labels)
    colours = [e.frames[e.labels == 1].mean(0) for e in (one, two, other)]
    assert math.dist(colours[0], colours[1]) < math.dist(colours[0], colours[2])
