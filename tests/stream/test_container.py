import dataclasses
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax import stream as sm
from semjax.errors import InputError, StreamError
from semjax.stream import crc
from semjax.types import LAYERS, ClipInfo

INFO = ClipInfo(100, 480, 270, Fraction(30000, 1001))
SPANS = {"caption": 64, "contour": 8, "texture": 8, "keyframe": 25}


def example(seed=0):
    rng = random.Random(seed)
    units = {
        "caption": {0: b"hello world"},
        "contour": {u: rng.randbytes(rng.randint(1, 60)) for u in range(13)},
        "texture": {u: rng.randbytes(rng.randint(1, 90)) for u in range(13)},
        "keyframe": {0: rng.randbytes(2200), 2: rng.randbytes(1022), 3: rng.randbytes(511)},
    }
    return sm.Stream(INFO, SPANS, units)


def wrong_and_lost(sent, got):
    wrong = sum(sent.units[k].get(u) != p for k in got.units for u, p in got.units[k].items())
    lost = sum(u not in got.units.get(k, {}) for k in sent.units for u in sent.units[k])
    return wrong, lost


def test_crc_against_known_values():
    # CRC-8/SAE-J1850-ZERO and CRC-16/CCITT-FALSE of "123456789", from the catalogue of parametrised CRCs.
    assert crc.crc8(b"123456789") == 0x37
    assert crc.crc16(b"123456789") == 0x29B1


def test_crc_algebra():
    data = random.Random(1).randbytes(700)
    prefix = crc.prefixes(data)
    for a, b in ((0, 700), (3, 9), (100, 611), (50, 50)):
        assert prefix[b] ^ crc.advance(prefix[a], b - a) == crc.crc8(data[a:b])


def test_round_trip_and_overhead():
    sent = example()
    data = sm.pack(sent)
    got = sm.unpack(data)
    assert got == sent
    counts = sm.ledger(data)
    assert counts["total"] == len(data) == sum(counts[k] for k in (*LAYERS, "container"))
    header, packets = sm.split(data)
    assert len(header) <= sm.HEADER_LIMIT
    assert counts["container"] == len(header) + sm.PACKET_OVERHEAD * len(packets)
    assert sm.join(header, packets) == data


@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 300),
    size=st.tuples(st.integers(1, 16383), st.integers(1, 16383)),
    fps=st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=2000),
    spans=st.lists(st.integers(0, 70), min_size=4, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_any_stream_round_trips(frames, size, fps, spans, seed):
    rng = random.Random(seed)
    info = ClipInfo(frames, *size, fps)
    limit = sm.MAX_PIXELS_PER_UNIT // (size[0] * size[1])
    spans = {k: min(s, max(limit, 1)) for k, s in zip(LAYERS, spans) if s}
    units = {
        k: {
            u: rng.randbytes(rng.choice((1, 20, 510, 511, 512, 1022)))
            for u in range(-(-frames // s))
            if rng.random() < 0.9
        }
        for k, s in spans.items()
    }
    sent = sm.Stream(info, spans, units, system=rng.choice(sm.SYSTEMS))
    data = sm.pack(sent)
    assert sm.unpack(data) == sent
    assert len(sm.split(data)[0]) <= sm.HEADER_LIMIT


def test_the_largest_header_fits():
    info = ClipInfo((1 << 21) - 1, 16383, 16383, Fraction((1 << 21) - 1, 16382))
    data = sm.pack(sm.Stream(info, {"caption": 16383, "keyframe": 16383}, {}))
    assert (
        len(data) <= sm.HEADER_LIMIT - 6
    )  # spans of the dense layers (2 bytes more) and a full body (4 more)


def test_every_changed_byte_is_noticed_and_costs_little():
    sent = example()
    data = sm.pack(sent)
    size = len(sm.split(data)[0])
    for at in range(size):
        for change in (0x01, 0x80, 0xFF):
            with pytest.raises(StreamError):
                sm.unpack(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
    all_wrong, losses = 0, []
    for at in range(size, len(data), 3):
        for change in (0x01, 0x80, 0xFF):
            got = sm.unpack(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
            wrong, lost = wrong_and_lost(sent, got)
            assert got.damage
            all_wrong += wrong
            losses.append(lost)
    # The changed packet itself never passes; a chance match during the search for the next one is rare.
    assert all_wrong <= 2
    assert np.mean(losses) < 1.05


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_lost_packets_leave_the_others_in_place(rate):
    for seed in range(60):
        sent = example(seed)
        header, packets = sm.split(sm.pack(sent))
        rng = random.Random(seed)
        got = sm.unpack(sm.join(header, [p for p in packets if rng.random() > rate], partial=True))
        assert got.partial
        assert wrong_and_lost(sent, got)[0] == 0


def test_garbage_of_any_kind_ends_soon():
    data = sm.pack(example())
    header, _ = sm.split(data)
    rng = random.Random(5)
    for body in (bytes(70000), b"\xff" * 70000, rng.randbytes(200_000)):
        got = sm.unpack(sm.join(header, [body], partial=True))
        assert sum(d.length for d in got.damage) > 0.9 * len(body)


def test_truncation():
    data = sm.pack(example())
    with pytest.raises(StreamError, match="truncated"):
        sm.unpack(data[:-1])
    got = sm.unpack(data[: len(data) // 2], allow_truncated=True)
    assert got.partial
    assert wrong_and_lost(example(), got)[0] == 0
    for size in range(len(sm.split(data)[0])):
        with pytest.raises(StreamError):
            sm.unpack(data[:size], allow_truncated=True)
    with pytest.raises(StreamError, match="follow the end"):
        sm.unpack(data + b"x")


def test_other_files_and_versions():
    data = sm.pack(example())
    with pytest.raises(StreamError, match="not a semjax stream"):
        sm.unpack(b"RIFF" + data)
    with pytest.raises(StreamError, match="version 2"):
        sm.unpack(data[:3] + b"\x02" + data[4:])
    with pytest.raises(StreamError):
        sm.unpack(b"")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"info": ClipInfo(0, 10, 10, Fraction(25))}, "frames"),
        ({"info": ClipInfo(5, 20000, 10, Fraction(25))}, "pixels a side"),
        ({"info": ClipInfo(5, 10, 10, Fraction(1, 99999))}, "frame rate"),
        ({"info": ClipInfo(100, 16383, 16383, Fraction(25))}, "too large"),
        ({"system": "other"}, "unknown system"),
        ({"units": {"sound": {0: b"x"}}}, "unknown layers"),
        ({"units": {"contour": {13: b"x"}}}, "13 units"),
    ],
)
def test_what_cannot_be_written(change, text):
    with pytest.raises(InputError, match=text):
        sm.pack(dataclasses.replace(example(), **change))


def test_dropping_layers():
    got = sm.unpack(sm.pack(example().without("texture", "keyframe")))
    assert set(got.units) == {"caption", "contour"}
    assert got.layer("texture") == []
    assert got.units["contour"] == example().units["contour"]


@settings(deadline=None, max_examples=60)
@given(st.sets(st.integers(0, 299), min_size=1, max_size=8), st.sampled_from(LAYERS))
def test_sparse_layers_keep_their_places(units, layer):
    """Sequence numbers are 5 bits; a gap of 32 units and more must not fold over."""
    info = ClipInfo(300, 64, 48, Fraction(25))
    stream = sm.Stream(info, {layer: 1}, {layer: {u: bytes([u % 256]) * 3 for u in units}})
    data = sm.pack(stream)
    assert sm.unpack(data).units[layer] == stream.units[layer]
    gaps = np.diff([-1, *sorted(units)])
    assert len(data) == len(sm.split(data)[0]) + sum(6 + 3 * ((gap - 1) // 32) for gap in gaps)
