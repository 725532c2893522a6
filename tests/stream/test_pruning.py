import itertools
from fractions import Fraction

import numpy as np
import pytest

from semjax import stream as sm
from semjax.errors import InputError, RateError, StreamError
from semjax.types import ClipInfo

INFO = ClipInfo(1600, 64, 48, Fraction(25))  # 64 seconds: 8 bytes a bit a second
RNG = np.random.default_rng(0)


def full():
    sizes = {"caption": (64, 30), "contour": (32, 60), "texture": (16, 120), "keyframe": (32, 700)}
    units = {
        layer: {u: RNG.bytes(size) for u in range(1600 // span)} for layer, (span, size) in sizes.items()
    }
    units["keyframe"] = {0: RNG.bytes(700), 9: RNG.bytes(700), 49: RNG.bytes(700)}
    return sm.Stream(INFO, {layer: span for layer, (span, _) in sizes.items()}, units)


def test_layers_give_way_in_the_stated_order():
    stream = full()
    data = sm.pack(stream)
    assert sm.prune(data, len(data) / 8) == data
    seen = []
    for size in range(len(data) - 1, 200, -400):
        pruned = sm.prune(data, size / 8)
        assert len(pruned) <= size
        left = sm.unpack(pruned)
        assert left.partial and not left.damage
        for layer, units in left.units.items():
            assert all(stream.units[layer][u] == payload for u, payload in units.items())
        seen.append([len(left.units[layer]) for layer in sm.ORDER])
    for before, after in itertools.pairwise(seen):
        changed = [i for i in range(4) if before[i] != after[i]]
        # Whatever gives way, the layers ahead of it in the order are gone already.
        assert all(after[i] == 0 for i in range(max(changed, default=0)))
    assert seen[-1][:3] == [0, 0, 0]


def test_what_is_left_of_a_layer_is_spread_evenly():
    data = sm.pack(full())
    half = sm.unpack(sm.prune(data, (len(data) - 50 * 123) / 8))
    assert set(half.units["texture"]) == set(range(0, 100, 2))
    contours_only = sm.prune(data, 20 * 63 / 8, order=("texture", "keyframe", "caption", "contour"))
    left = sm.unpack(contours_only).units["contour"]
    assert set(left) == set(range(len(left))) and 15 < len(left) < 20


def test_gaps_keep_their_unit_numbers():
    """Unit 9 gone, the reader has to be led from 0 to 49."""
    stream = full()
    only = sm.pack(stream.without("texture", "contour", "caption"))
    left = sm.unpack(sm.prune(only, (len(only) - 100) / 8))
    assert set(left.units["keyframe"]) == {0, 9} or set(left.units["keyframe"]) == {0, 49}
    for number, payload in left.units["keyframe"].items():
        assert payload == stream.units["keyframe"][number]
    sparse = sm.Stream(INFO, {"keyframe": 4}, {"keyframe": {0: b"a" * 50, 21: b"b" * 50, 40: b"c" * 50}})
    data = sm.pack(sparse)
    assert sm.unpack(sm.prune(data, (len(data) - 10) / 8)).units["keyframe"] == {0: b"a" * 50, 40: b"c" * 50}


def test_packets_too_large_for_the_network_do_not_pass():
    data = sm.pack(full())
    left = sm.unpack(sm.prune(data, 1e6, packet=200))
    assert not left.units["keyframe"] and len(left.units["texture"]) == 100


def test_another_order():
    data = sm.pack(full())
    left = sm.unpack(
        sm.prune(data, (len(data) - 100) / 8, order=("contour", "caption", "keyframe", "texture"))
    )
    assert len(left.units["contour"]) == 48 and len(left.units["texture"]) == 100


def test_sealed_streams_are_pruned_alike():
    sealed = sm.seal(full(), bytes(32))
    data = sm.pack(sealed)
    pruned = sm.unseal(sm.unpack(sm.prune(data, len(data) / 16)), bytes(32))
    assert len(pruned.units["contour"]) > 0 and not pruned.damage


def test_nonsense_is_refused():
    data = sm.pack(full())
    with pytest.raises(RateError, match="header alone"):
        sm.prune(data, 1)
    for bad in ({"bitrate": 0}, {"bitrate": 1, "packet": 3}, {"bitrate": 1, "order": ("texture",)}):
        with pytest.raises(InputError):
            sm.prune(data, **bad)
    with pytest.raises(StreamError):
        sm.prune(data[:-5] + b"zzzzz", 1e6)
