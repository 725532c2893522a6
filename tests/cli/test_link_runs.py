"""A stream over the link: what is protected how, what arrives, what it cost, and that no seed breaks a decoder."""

import dataclasses
import json
from fractions import Fraction

import jax
import numpy as np
import pytest

import semjax as sj
from semjax import stream as container
from semjax.channel import DecoderConfig, LinkConfig, Mcs
from semjax.errors import InputError, RateError, StreamError
from semjax.stream import Stream
from semjax.systems import link
from semjax.systems.receiver import conditions
from semjax.types import ClipInfo

KEY = jax.random.key(5)
QUICK = DecoderConfig(iterations=8)
INFO = ClipInfo(70, 64, 48, Fraction(25))


def parts_stream():
    """A stream with all layers, units of several packets, gaps, and more units than sequence numbers."""
    rng = np.random.default_rng(0)
    units = {
        "contour": {u: rng.bytes(30 + u) for u in range(35)} | {4: rng.bytes(1200)},
        "texture": {0: rng.bytes(511), 1: rng.bytes(40), 2: rng.bytes(20)},
        "caption": {1: rng.bytes(9)},
        "keyframe": {3: rng.bytes(600), 30: rng.bytes(10)},
    }
    return Stream(INFO, {"contour": 2, "texture": 32, "caption": 40, "keyframe": 1}, units)


@pytest.fixture(scope="module")
def disc_stream(disc):
    """(bytes, frames): 12 frames in units of 4, so that there is something to lose."""
    cfg = sj.systems.causal.SenderConfig(bitrate=14000, period=4)
    stream = sj.encode(disc[0], labels=disc[1], fps=12, cfg=cfg)
    return container.pack(stream), 12


def test_every_packet_is_known_by_layer_unit_part_and_frames():
    stream = parts_stream()
    data = container.pack(stream)
    packets = link.packets_of(data)
    assert packets[0] == link.Packet("container", 0, 0, 0, 69, len(container.split(data)[0]))
    assert sum(p.size for p in packets) == len(data)
    seen: dict = {}
    for p in packets[1:]:
        span = stream.spans[p.layer]
        assert (p.first, p.last) == (p.unit * span, min((p.unit + 1) * span, 70) - 1)
        assert p.part == len(seen.setdefault((p.layer, p.unit), []))
        seen[p.layer, p.unit].append(p.size - container.PACKET_OVERHEAD)
    assert {key: sum(sizes) for key, sizes in seen.items()} == {
        (layer, unit): len(payload)
        for layer, units in stream.units.items()
        for unit, payload in units.items()
    }
    assert len(seen["contour", 4]) == 3 and len(seen["texture", 0]) == 2


def test_headers_and_contours_are_protected_best_and_texture_least():
    levels = {(p.layer, p.unit % 2 if p.layer == "texture" else 0): p.level for p in link.packets_of(
        container.pack(parts_stream()))}  # fmt: skip
    assert levels == {
        ("container", 0): 0, ("contour", 0): 0, ("caption", 0): 1, ("keyframe", 0): 1, ("texture", 0): 2,
        ("texture", 1): 3,
    }  # fmt: skip


def test_a_good_link_delivers_the_stream_and_costs_what_was_priced():
    data = container.pack(parts_stream())
    cfg = LinkConfig("awgn", snr_db=8.0, decoder=QUICK)
    sent = link.send(data, cfg, KEY)
    assert sent.received == data and all(sent.arrived) and sent.lost() == []
    priced = link.price(data, cfg)
    assert dataclasses.replace(sent.ledger, feedback_bits=0) == priced
    assert sent.ledger.feedback_bits == 1  # the receiver says that the header is there
    books = link.account(data, INFO, sent.ledger)
    assert books["source_bits"] == {k: 8 * v for k, v in container.ledger(data).items()}
    extra = sum(books[f"{name}_bits"] for name in ("framing", "crc", "parity", "padding", "repeated"))
    assert books["coded_bits"] == books["source_bits"]["total"] + extra
    assert books["cbr"] == books["symbols"] / (3 * 70 * 48 * 64)
    assert books["bpp"] == books["coded_bits"] / (70 * 48 * 64)
    assert books["bits_per_second"] == pytest.approx(books["coded_bits"] / 2.8)
    assert books["ratio_to_raw"] == pytest.approx(70 * 48 * 64 * 24 / books["coded_bits"])
    assert json.loads(json.dumps(books)) == books


@pytest.mark.parametrize("fading", ["awgn", "rayleigh", "rician"])
def test_price_is_the_ledger_without_luck(fading):
    data = container.pack(parts_stream())
    cfg = LinkConfig(fading, snr_db=-20.0, design_snr_db=7.0, retransmissions=0, decoder=QUICK)
    priced = link.price(data, cfg)
    sent = link.send(data, cfg, KEY)
    assert sent.received is None and sent.arrived.count(True) == 0
    first_round = priced.source_bits + priced.parity_bits  # what is counted once, whatever the repetitions
    assert sent.ledger.source_bits + sent.ledger.parity_bits > first_round
    assert sent.ledger.symbols > priced.symbols and sent.ledger.repeated_bits > 0
    again = sent.ledger.repeated_bits // (link.SESSION_TRIES - 1)
    assert again * (link.SESSION_TRIES - 1) == sent.ledger.repeated_bits  # the header, every time


def test_what_fails_its_check_is_missing_and_the_rest_is_as_sent():
    data = container.pack(parts_stream())
    cfg = LinkConfig("awgn", snr_db=2.6, design_snr_db=6.0, protection=(6.0, 3.0, 0.0, 0.0), decoder=QUICK)
    sent = link.send(data, cfg, KEY)
    got, whole = container.unpack(sent.received), parts_stream()
    assert got.partial
    lost = {(p["layer"], p["unit"]) for p in sent.lost()}
    assert lost and sent.ledger.lost == len(sent.lost())
    for layer, units in whole.units.items():
        for unit, payload in units.items():
            assert got.units[layer].get(unit) == (None if (layer, unit) in lost else payload)
    assert {layer for layer, _ in lost} == {"texture"}, "the least protected layer falls first"
    assert link.send(data, cfg, KEY) == sent
    middling = dataclasses.replace(cfg, snr_db=4.9)
    assert len({link.send(data, middling, jax.random.key(seed)).arrived for seed in range(6)}) > 1


def test_the_header_is_sent_until_it_arrives():
    data = container.pack(parts_stream())
    cfg = LinkConfig("awgn", snr_db=-3.0, mcs=Mcs("qpsk", 1, 2), design_snr_db=-4.0, decoder=QUICK)
    sent = link.send(data, cfg, KEY)
    assert sent.received is not None and sent.arrived == (True,) + (False,) * (len(sent.arrived) - 1)
    assert sent.ledger.repeated_bits > 0
    assert container.unpack(sent.received).units == {layer: {} for layer in parts_stream().spans}


def test_networks_hand_over_the_header_and_charge_it():
    data = container.pack(parts_stream())
    sent = link.send(data, LinkConfig("loss", loss=1.0), KEY)
    assert sent.arrived == (True,) + (False,) * (len(sent.arrived) - 1)
    assert sent.ledger.source_bits == 8 * len(data) == sum(sent.ledger.source_bits_by_class)
    assert sent.ledger.packets == len(sent.packets) == sum(sent.ledger.packets_by_class)
    assert link.send(data, LinkConfig("none"), KEY).received == data
    again = link.send(data, LinkConfig("loss", loss=0.5, retransmissions=3), KEY)
    once = link.send(data, LinkConfig("loss", loss=0.5), KEY)
    assert 0 < again.ledger.lost < once.ledger.lost and again.ledger.repeated_bits > 0


def test_a_stream_is_fitted_to_the_symbols_there_are():
    cfg = LinkConfig("awgn", snr_db=3.0)

    def code(bitrate):
        size = int(bitrate * INFO.seconds / 8)
        if not 200 <= size <= 9000:
            raise RateError(f"{size} bytes cannot be")
        return container.pack(
            Stream(INFO, {"texture": 10}, {"texture": dict.fromkeys(range(7), b"x" * (size // 7))})
        )

    for cbr in (0.008, 0.02, 0.04):
        symbols = link.price(link.fit_symbols(code, INFO, cfg, cbr), cfg).symbols
        assert 0.9 < symbols / (cbr * 3 * 70 * 48 * 64) <= 1
    assert len(link.fit_symbols(code, INFO, cfg, 1.0)) > 4000  # more room than the clip can use
    with pytest.raises(RateError, match=r"CBR of 0\.0001.*cannot be"):
        link.fit_symbols(code, INFO, cfg, 1e-4)
    with pytest.raises(InputError, match="radio channel"):
        link.fit_symbols(code, INFO, LinkConfig("loss"), 0.01)
    with pytest.raises(InputError, match="positive"):
        link.fit_symbols(code, INFO, cfg, float("nan"))


def test_a_damaged_stream_is_not_sent():
    data = bytearray(container.pack(parts_stream()))
    data[60] ^= 1
    with pytest.raises(StreamError, match="damaged"):
        link.send(bytes(data), LinkConfig(), KEY)


HARD = {
    "awgn": LinkConfig(
        "awgn", snr_db=-0.4, design_snr_db=4.5, protection=(3.0, 2.0, 0.0, 0.0), decoder=QUICK
    ),
    "rayleigh": LinkConfig("rayleigh", snr_db=4.0, coherence=16, pilots=1, design_snr_db=3.0, decoder=QUICK),
    "rician": LinkConfig(
        "rician",
        snr_db=1.0,
        design_snr_db=4.5,
        k_factor_db=0.0,
        protection=(3.0, 2.0, 0.0, 0.0),
        retransmissions=1,
        decoder=QUICK,
    ),
    "loss": LinkConfig("loss", loss=0.4, burst=3.0),
}


def outcome(data, frames, cfg, seeds, paint):
    """Send with every seed and decode all layers of what arrives: the shares of packets lost."""
    shares, known = [], {None: None}
    for seed in seeds:
        sent = link.send(data, cfg, jax.random.key(seed))
        shares.append(sent.ledger.lost / sent.ledger.packets)
        if sent.received in known:
            continue  # what decoders make of these bytes has been seen
        stream = container.unpack(sent.received)
        steps = list(conditions(stream))
        assert sum(len(step.labels) for step in steps) == frames
        known[sent.received] = steps
        if len(known) <= paint:
            assert len(sj.decode(stream)) == frames
    return np.array(shares), len(known)


@pytest.mark.parametrize("channel", HARD)
def test_some_seeds_of_every_channel_end_in_a_clip(disc_stream, channel):
    shares, _ = outcome(*disc_stream, HARD[channel], range(6), paint=2)
    assert 0 < shares.mean() < 1


@pytest.mark.slow
@pytest.mark.parametrize("channel", HARD)
def test_a_thousand_seeds_of_every_channel_end_in_a_clip(disc_stream, channel):
    shares, patterns = outcome(*disc_stream, HARD[channel], range(1000), paint=20)
    assert 0 < shares.mean() < 1 and patterns > 10
