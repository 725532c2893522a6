"""Packets over the link: framing, adaptation, the ledger, retransmission, unequal protection, timing."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.channel import (
    LGVSC_TABLE,
    DecoderConfig,
    LinkConfig,
    LinkLedger,
    LinkRate,
    Mcs,
    bits_per_symbol,
    choose_mcs,
    deliver,
    ladder,
    lgvsc_mcs,
    predicted_error,
    required_snr,
    transmit_packets,
)
from semjax.channel.air import Block, _layout, decode_blocks, frame_costs
from semjax.channel.framing import HEADER_BITS, cut_frames, read_header, write_header
from semjax.channel.scrambling import gold_sequence
from semjax.errors import InputError, StreamError

KEY = jax.random.key(11)
RNG = np.random.default_rng(4)
PACKETS = [RNG.bytes(int(n)) for n in RNG.integers(1, 60, 24)] + [b"", RNG.bytes(700)]
CLASSES = [i % 4 for i in range(len(PACKETS))]
QUICK = DecoderConfig(iterations=10)


def conserved(ledger):
    """The identities that every radio ledger keeps."""
    parts = ("source_bits", "framing_bits", "crc_bits", "parity_bits", "padding_bits", "repeated_bits")
    assert sum(getattr(ledger, part) for part in parts) == ledger.coded_bits
    assert ledger.symbols == ledger.coded_symbols + ledger.filling_symbols + ledger.pilot_symbols
    assert ledger.coded_symbols * 2 <= ledger.coded_bits <= ledger.coded_symbols * 8
    assert sum(ledger.packets_by_class) == ledger.packets and sum(ledger.lost_by_class) == ledger.lost
    assert sum(ledger.source_bits_by_class) == ledger.source_bits
    assert json.loads(json.dumps(ledger.as_dict()))["symbols"] == ledger.symbols


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 65_535) | st.integers(0, 90), st.integers(0, 3)), max_size=80))
def test_headers_list_every_packet_once(entries):
    lengths, classes = [e[0] for e in entries], [e[1] for e in entries]
    frames = cut_frames(lengths, classes)
    assert [i for frame in frames for i in frame] == list(range(len(entries)))
    for frame in frames:
        content = lengths[frame.start : frame.stop], classes[frame.start : frame.stop]
        header = write_header(*content)
        assert header.shape == (HEADER_BITS,) and read_header(header) == content


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=HEADER_BITS // 8, max_size=HEADER_BITS // 8))
def test_any_bits_are_a_header_or_a_stream_error(data):
    try:
        lengths, classes = read_header(np.unpackbits(np.frombuffer(data, np.uint8)))
    except StreamError:
        return
    assert len(lengths) == len(classes) < 32 and all(0 <= n <= 65_535 for n in lengths)


def test_good_channel_delivers_everything_and_the_ledger_adds_up():
    got, ledger = transmit_packets(KEY, PACKETS, CLASSES, LinkConfig(snr_db=9.0, decoder=QUICK))
    assert got == PACKETS
    conserved(ledger)
    assert (
        ledger.source_bits == 8 * sum(map(len, PACKETS))
        and ledger.lost == 0
        and ledger.packets == len(PACKETS)
    )
    assert ledger.filling_symbols < 32 * 3 and ledger.pilot_symbols == 0
    assert ledger.cbr(10, 36, 64) == ledger.symbols / (3 * 10 * 36 * 64)
    frames = ledger.framing_bits // HEADER_BITS
    nonempty = sum(1 for packet in PACKETS if packet)
    assert ledger.crc_bits == 16 * (frames + nonempty) + (24 - 16) * (len(PACKETS[-1]) * 8 > 3824)


def test_dead_channel_loses_everything_and_costs_the_same():
    good = LinkConfig(snr_db=20.0, design_snr_db=5.0, decoder=QUICK)
    bad = dataclasses.replace(good, snr_db=-20.0)
    got, ledger = transmit_packets(KEY, PACKETS, CLASSES, bad)
    assert got == [None] * len(PACKETS) and ledger.lost == len(PACKETS)
    conserved(ledger)
    _, other = transmit_packets(KEY, PACKETS, CLASSES, good)
    assert other.symbols == ledger.symbols and other.lost == 0


def test_same_key_same_fate():
    cfg = LinkConfig(snr_db=1.5, design_snr_db=4.0, decoder=QUICK)
    first = transmit_packets(KEY, PACKETS, CLASSES, cfg)
    assert transmit_packets(KEY, PACKETS, CLASSES, cfg) == first
    assert transmit_packets(jax.random.key(12), PACKETS, CLASSES, cfg)[0] != first[0]
    assert 0 < first[1].lost < len(PACKETS)


def test_as_the_channel_gets_worse_the_least_important_fall_first():
    packets = [RNG.bytes(40) for _ in range(60)]
    classes = [i % 3 for i in range(60)]
    base = LinkConfig(design_snr_db=8.0, protection=(6.0, 3.0, 0.0, 0.0), decoder=QUICK)
    lost = []
    for snr in (8.5, 5.2, 2.0, -9.0):
        _, ledger = transmit_packets(KEY, packets, classes, dataclasses.replace(base, snr_db=snr))
        lost.append(ledger.lost_by_class[:3])
    assert lost[0] == (0, 0, 0)
    assert lost[1][0] == lost[1][1] == 0 and lost[1][2] >= 15
    assert lost[2][0] <= 2 and lost[2][1] >= 15 and lost[2][2] == 20
    assert lost[3] == (20, 20, 20)


def test_sending_again_adds_up_what_was_heard():
    packets = [RNG.bytes(40) for _ in range(20)]
    once = LinkConfig(snr_db=-0.8, mcs=Mcs("qpsk", 1, 2), protection=(2.0, 2.0, 2.0, 2.0), decoder=QUICK)
    thrice = dataclasses.replace(once, retransmissions=2)
    _, first = transmit_packets(KEY, packets, [0] * 20, once)
    got, last = transmit_packets(KEY, packets, [0] * 20, thrice)
    assert first.lost > 15, "0.5 bit a symbol and more at -0.8 dB is beyond rate 1/2"
    assert last.lost == 0 and got == packets
    conserved(last)
    assert last.repeated_bits > 0 and first.repeated_bits == 0
    assert last.symbols > 1.8 * first.symbols
    assert first.feedback_bits == 0 and 20 < last.feedback_bits <= 40


@pytest.mark.parametrize("channel", ["rayleigh", "rician"])
def test_fading_links_pay_for_their_pilots_and_deliver(channel):
    cfg = LinkConfig(channel, snr_db=14.0, coherence=16, pilots=1, decoder=QUICK)
    got, ledger = transmit_packets(KEY, PACKETS, CLASSES, cfg)
    conserved(ledger)
    assert ledger.pilot_symbols == -(-(ledger.coded_symbols + ledger.filling_symbols) // 16)
    assert ledger.lost <= 3 and all(packet in (None, sent) for packet, sent in zip(got, PACKETS))


def test_a_header_hardly_ever_meets_one_fade_alone():
    """Where gains last, a header sent in one go would be lost with the fade; it is spread over many of them."""
    cfg = LinkConfig("rayleigh", snr_db=16.0, decoder=QUICK)
    packets, classes = [RNG.bytes(200) for _ in range(16)], [0] * 16
    lost = [transmit_packets(jax.random.key(s), packets, classes, cfg)[1].lost for s in range(25)]
    assert sum(lost) <= 16


def test_frames_hold_every_symbol_once_and_spread_their_headers():
    cfg = LinkConfig("rayleigh", snr_db=16.0, coherence=16)
    head = Block.of(np.ones(HEADER_BITS, np.uint8), cfg.header_scheme())
    bodies = [
        [Block.of(np.ones(bits, np.uint8), cfg.scheme(2, bits)) for bits in sizes]
        for sizes in ((90,), (9000, 80))
    ]
    order = _layout([head, head], bodies, cfg)
    carried = order[order >= 0]
    assert sorted(carried) == list(range(2 * head.symbols + sum(b.symbols for body in bodies for b in body)))
    places = np.flatnonzero((order >= 0) & (order < head.symbols))
    assert np.all(np.diff(order[places]) == 1) and len(np.unique(places // 16)) >= 32
    costs = frame_costs(
        [11, 1125, 10], [2, 2, 2], [b.code for body in bodies for b in body], cfg.header_scheme(), cfg
    )
    assert costs["coded_symbols"] == head.symbols + sum(b.symbols for body in bodies for b in body)


def test_networks_drop_packets_and_charge_nothing():
    packets, classes = [b"x"] * 5000, [1] * 5000
    _, ledger = transmit_packets(KEY, packets, classes, LinkConfig("loss", loss=0.2))
    assert abs(ledger.lost / 5000 - 0.2) < 0.03 and ledger.symbols == 0 and ledger.source_bits == 40_000
    burst, _ = transmit_packets(KEY, packets, classes, LinkConfig("loss", loss=0.2, burst=6.0))
    runs = sum(a is None and b is not None for a, b in itertools.pairwise(burst))
    assert sum(p is None for p in burst) / runs == pytest.approx(6, rel=0.3)
    assert transmit_packets(KEY, packets, classes, LinkConfig("none"))[0] == packets
    assert transmit_packets(KEY, [], [], LinkConfig())[0] == []


def test_blocks_of_several_code_blocks_go_through_one_decoder():
    bits = RNG.integers(0, 2, 9001).astype(np.uint8)
    block = Block.of(bits, Mcs("16qam", 3, 4))
    assert block.code.blocks == 2 and block.symbols * 4 == block.code.coded
    llr = (4.0 * (1.0 - 2.0 * (block.coded ^ gold_sequence(block.code.coded)))).astype(np.float32)
    broken = llr * RNG.choice([-1, 1], llr.size)
    good, bad = decode_blocks([llr, broken.astype(np.float32)], [block.code] * 2, DecoderConfig(iterations=2))
    assert good[1] and np.array_equal(good[0], bits) and not bad[1]


def test_scrambling_follows_the_standard():
    """The definition of TS 38.211, section 5.2.1, one bit at a time."""
    for start in (1, 0x12345678):
        x1 = [1] + [0] * 30
        x2 = [start >> i & 1 for i in range(31)]
        for n in range(1600 + 5000):
            x1.append(x1[n + 3] ^ x1[n])
            x2.append(x2[n + 3] ^ x2[n + 2] ^ x2[n + 1] ^ x2[n])
        expected = [x1[n + 1600] ^ x2[n + 1600] for n in range(5000)]
        assert gold_sequence(5000, start).tolist() == expected
        assert gold_sequence(17, start).tolist() == expected[:17]


def test_rows_of_zeros_fare_no_worse_than_anything_else():
    cfg = LinkConfig(snr_db=12.1, mcs=Mcs("16qam", 5, 6), decoder=QUICK)
    got, _ = transmit_packets(KEY, [bytes(514)] * 20, [3] * 20, cfg)
    assert got.count(None) <= 1


def test_published_table_is_the_published_table():
    rows = [(snr, m.k, m.n, bits_per_symbol(m.modulation)) for snr, m in LGVSC_TABLE.items()]
    assert rows == [
        (0, 3072, 9216, 2), (2, 4096, 8192, 2), (4, 6144, 9216, 2),
        (6, 6144, 8192, 2), (8, 4096, 8192, 4), (10, 6144, 9216, 4),
    ]  # fmt: skip
    assert (
        lgvsc_mcs(-7) == LGVSC_TABLE[0]
        and lgvsc_mcs(5.99) == LGVSC_TABLE[4]
        and lgvsc_mcs(30) == LGVSC_TABLE[10]
    )
    got, ledger = transmit_packets(
        KEY, PACKETS[:4], [2] * 4, LinkConfig(snr_db=10.0, mcs="lgvsc", decoder=QUICK)
    )
    assert got == PACKETS[:4] and ledger.lost == 0


@settings(deadline=None, max_examples=100)
@given(
    st.floats(-12, 30),
    st.integers(1, 8000),
    st.sampled_from([0.1, 1e-2, 1e-3]),
    st.sampled_from(["none", "rayleigh"]),
)
def test_chooser_takes_the_fastest_scheme_that_meets_the_target(snr_db, bits, target, fading):
    chosen = choose_mcs(snr_db, bits, target, fading)
    needs = {mcs: required_snr(mcs, bits, target, fading) for mcs in ladder()}
    assert needs[chosen] <= snr_db or (chosen == ladder()[0] and min(needs.values()) > snr_db)
    assert all(need > snr_db for mcs, need in needs.items() if mcs.efficiency > chosen.efficiency)
    assert choose_mcs(snr_db + 1, bits, target, fading).efficiency >= chosen.efficiency
    for mcs, need in needs.items():
        assert predicted_error(mcs, bits, need, fading) == pytest.approx(target, rel=1e-6)


def test_thresholds_lie_where_theory_allows():
    for mcs in ladder():
        shannon = 10 * np.log10(2**mcs.efficiency - 1)
        half, fading = (required_snr(mcs, 2048, 0.5, name) for name in ("none", "rayleigh"))
        assert 0.2 < half - shannon < 3.5, mcs
        assert 0.2 < fading - half < 12, mcs  # a fading channel of the same mean SNR carries less
        assert required_snr(mcs, 128, 1e-3) > required_snr(mcs, 2048, 1e-3)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 0.5)), min_size=1, max_size=30), st.floats(100, 1e5)
)
def test_deliveries_keep_order_and_rate(packets, rate):
    sizes = np.array([p[0] for p in packets])
    sent = np.cumsum([p[1] for p in packets]).astype(np.float32)
    times, lost = (np.asarray(x) for x in deliver(sizes, sent, LinkRate(rate, delay=0.25)))
    assert not lost.any()
    free = -np.inf
    for size, now, arrival in zip(sizes, sent, times):
        free = max(free, now) + size / rate
        assert arrival == pytest.approx(free + 0.25, rel=1e-3, abs=1e-3)


def test_queue_and_deadline_lose_packets():
    sizes, sent = np.full(10, 1000), np.zeros(10, np.float32)
    times, lost = deliver(sizes, sent, LinkRate(1000, queue_bits=3000))
    assert list(np.asarray(lost)) == [False] * 3 + [True] * 7 and np.all(np.isinf(times[3:]))
    times, lost = deliver(sizes, sent, LinkRate(1000, delay=1.0, deadline=4.5))
    assert list(np.asarray(lost)) == [False] * 3 + [True] * 7 and float(times[9]) == 11.0
    mapped = jax.jit(jax.vmap(lambda s: deliver(sizes, s, LinkRate(1000, queue_bits=3000)).lost))(
        jnp.zeros((2, 10))
    )
    assert mapped.sum() == 14


@pytest.mark.slow
@pytest.mark.parametrize(
    "cfg",
    [
        LinkConfig("awgn", snr_db=1.0, design_snr_db=3.0),
        LinkConfig("rayleigh", snr_db=3.0, coherence=8, pilots=1),
        LinkConfig("rayleigh", snr_db=6.0, coherence=None, pilots=0, retransmissions=2),
        LinkConfig("rician", snr_db=0.0, design_snr_db=4.0, rule="max-log"),
        LinkConfig("loss", loss=0.5, burst=4.0),
    ],
    ids=["awgn", "rayleigh", "rayleigh-block-harq", "rician", "loss"],
)
def test_a_thousand_seeds_of_every_link(cfg):
    cfg = dataclasses.replace(cfg, decoder=QUICK)
    packets, classes = [*PACKETS[:10], b""], [0, 1, 2] * 3 + [3, 3]
    losses = []
    for key in jax.random.split(KEY, 1000):
        got, ledger = transmit_packets(key, packets, classes, cfg)
        losses.append(ledger.lost)
        assert len(got) == 11 and sum(p is None for p in got) == ledger.lost
        if cfg.channel != "loss":
            conserved(ledger)
    assert 0 < np.mean(losses) < 11


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinkConfig("laser"), "none, loss, awgn, rayleigh, rician"),
        (lambda: LinkConfig(snr_db=float("nan")), "SNR"),
        (lambda: LinkConfig(snr_db="high"), "SNR"),
        (lambda: LinkConfig(loss=1.2), "loss probability"),
        (lambda: LinkConfig(target_error=0), "target error"),
        (lambda: LinkConfig(protection=(1.0,)), "tuple of 4"),
        (lambda: LinkConfig(mcs="best"), "lgvsc"),
        (lambda: LinkConfig(mcs=(Mcs("qpsk", 1, 2),)), "tuple of 4"),
        (lambda: LinkConfig(retransmissions=-1), "retransmissions"),
        (lambda: LinkConfig(grid=0), "grid"),
        (lambda: LinkConfig(decoder=DecoderConfig(schedule="flooding")), "layered"),
        (lambda: LinkConfig("rayleigh", coherence=0), "coherence"),
        (lambda: Mcs("qpsk", 3, 2), "above 0.95"),
        (lambda: Mcs("qpsk", 1, 100), "below 1/64"),
        (lambda: Mcs("bpsk", 1, 2), "modulation"),
        (lambda: lgvsc_mcs(float("nan")), "SNR"),
        (lambda: choose_mcs(None, 100), "SNR"),
        (lambda: choose_mcs(3.0, 100, 1.0), "target error"),
        (lambda: choose_mcs(3.0, 100, 0.1, "rician"), "none, rayleigh"),
        (lambda: required_snr(Mcs("qpsk", 1, 7), 100, 0.1), "no threshold"),
        (lambda: transmit_packets(KEY, [b"a"], [], LinkConfig()), "class for each packet"),
        (lambda: transmit_packets(KEY, [b"a"], [4], LinkConfig()), "importance"),
        (lambda: transmit_packets(KEY, [bytes(70_000)], [0], LinkConfig()), "at most 65535"),
        (lambda: transmit_packets(1, [b"a"], [0], LinkConfig()), "typed JAX key"),
        (lambda: LinkLedger("awgn").cbr(0, 4, 4), "frames"),
        (lambda: gold_sequence(-1), "number of bits"),
        (lambda: gold_sequence(5, 1 << 31), "start"),
        (lambda: LinkRate(0), "above 0"),
        (lambda: LinkRate(10, delay=-1), "delay"),
        (lambda: deliver(np.ones(2), np.ones(3), LinkRate(10)), "one length"),
        (lambda: deliver(np.ones(2), np.array([1.0, 0.0]), LinkRate(10)), "must not fall"),
        (lambda: deliver(-np.ones(2), np.ones(2), LinkRate(10)), "negative"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
