"""Packets over a link: framing, CRC, LDPC, QAM, the channel, and back (see `framing` for what a frame is)."""

import collections
import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np

from semjax.channel import checks
from semjax.channel.adaptation import Mcs, choose_mcs, lgvsc_mcs
from semjax.channel.air import Block, block_code, decode_blocks, frame_costs, send_frames
from semjax.channel.decoder import DecoderConfig
from semjax.channel.fading import RadioConfig
from semjax.channel.framing import CLASSES, HEADER_BITS
from semjax.channel.ledger import LinkLedger
from semjax.channel.loss import GilbertElliott, bursty_loss, packet_loss
from semjax.errors import InputError

CHANNELS = ("none", "loss", "awgn", "rayleigh", "rician")
_FADING_MARGIN = 1.0  # dB: thresholds of fading channels are measured with a gain of its own for each symbol
_HEADER_MARGIN = 1.5  # dB that headers are better protected than the first class


@dataclasses.dataclass(frozen=True)
class LinkConfig:
    """A link and how it is used.

    channel         "none" (everything arrives), "loss" (a network that drops packets), "awgn", "rayleigh", "rician"
    snr_db          Es/N0 of the radio channels
    loss, burst     mean loss of "loss", and the mean length of its bursts in packets (1: independent losses)
    coherence, pilots, k_factor_db   of the fading channels, see `RadioConfig`
    design_snr_db   the SNR that the sender adapts to; None: the true one (less a margin on fading channels)
    target_error    block error rate that the chooser aims at for the least protected class
    protection      dB of additional protection for importance 0, 1, 2 and 3; they are given more robust schemes
    mcs             instead of the chooser: "lgvsc" (the published table, read at the design SNR less the
                    protection), one scheme for all, or one for each importance
    retransmissions a failed packet is sent again so often; over radio its soft values add up (HARQ, chase combining)
    grid            frames begin on multiples of so many symbols
    decoder, rule   of the receiver
    Raises InputError for settings that make no sense.
    """

    channel: str = "awgn"
    snr_db: float = 10.0
    loss: float = 0.1
    burst: float = 1.0
    coherence: int | None = 64
    pilots: int = 2
    k_factor_db: float = 6.0
    design_snr_db: float | None = None
    target_error: float = 1e-3
    protection: tuple[float, ...] = (4.0, 3.0, 2.0, 0.0)
    mcs: str | Mcs | tuple[Mcs, ...] | None = None
    retransmissions: int = 0
    grid: int = 32
    decoder: DecoderConfig = DecoderConfig()
    rule: str = "exact"

    def __post_init__(self):
        checks.choice(self.channel, "the channel", CHANNELS)
        checks.number(self.snr_db, "the SNR in dB", low=-100, high=100)
        checks.probability(self.loss, "the loss probability")
        if checks.number(self.burst, "the mean burst length", low=1.0) > 1:
            GilbertElliott.from_rate(self.loss, self.burst)
        if self.design_snr_db is not None:
            checks.number(self.design_snr_db, "design_snr_db", low=-100, high=100)
        if not 0 < checks.number(self.target_error, "the target error rate") < 1:
            raise InputError(f"the target error rate must lie between 0 and 1, got {self.target_error}")
        if not isinstance(self.protection, tuple) or len(self.protection) != CLASSES:
            raise InputError(
                f"protection must be a tuple of {CLASSES} numbers in dB, got {self.protection!r}"
            )
        for margin in self.protection:
            checks.number(margin, "protection in dB", low=-50, high=50)
        schemes = self.mcs if isinstance(self.mcs, tuple) else (self.mcs,) * CLASSES
        known = self.mcs in (None, "lgvsc") or all(isinstance(each, Mcs) for each in schemes)
        if not known or len(schemes) != CLASSES:
            raise InputError(
                f"mcs must be None, 'lgvsc', an Mcs or a tuple of {CLASSES} of them, got {self.mcs!r}"
            )
        checks.count(self.retransmissions, "retransmissions", high=16)
        checks.count(self.grid, "grid", low=1, high=1 << 16)
        checks.choice(self.rule, "the demapping rule", ("exact", "max-log"))
        if self.decoder.schedule != "layered":
            raise InputError(
                "packets are decoded in the layered schedule; set DecoderConfig(schedule='layered')"
            )
        _ = self.radio

    @property
    def radio(self) -> RadioConfig:
        """The radio channel; AWGN for channels that are none."""
        if self.channel in ("rayleigh", "rician"):
            return RadioConfig(self.channel, self.coherence, self.k_factor_db, self.pilots)
        return RadioConfig()

    @property
    def adapted_snr_db(self) -> float:
        """The SNR that schemes are chosen for: estimated gains cost as much as noise stronger by 1 / pilots."""
        if self.design_snr_db is not None:
            return self.design_snr_db
        if self.radio.fading == "none":
            return self.snr_db
        estimate = 10 * math.log10(1 + 1 / self.pilots) if self.pilots else 0.0
        return self.snr_db - _FADING_MARGIN - estimate

    def _choose(self, snr_db: float, bits: int) -> Mcs:
        """Rician links are adapted as if they were Rayleigh links."""
        fading = "none" if self.radio.fading == "none" else "rayleigh"
        return choose_mcs(snr_db, bits, self.target_error, fading)

    def scheme(self, level: int, bits: int) -> Mcs:
        """Modulation and code rate for a packet of `bits` bits and importance `level`, known to both ends."""
        if isinstance(self.mcs, tuple):
            return self.mcs[level]
        if isinstance(self.mcs, Mcs):
            return self.mcs
        snr_db = self.adapted_snr_db - self.protection[level]
        return lgvsc_mcs(snr_db) if self.mcs == "lgvsc" else self._choose(snr_db, bits)

    def header_scheme(self) -> Mcs:
        """Modulation and code rate of the frame headers."""
        snr_db = self.adapted_snr_db - max(self.protection) - _HEADER_MARGIN
        return self._choose(snr_db, HEADER_BITS)


def transmit_packets(
    key: jax.Array,
    packets: Sequence[bytes],
    importance: Sequence[int],
    cfg: LinkConfig,
    *,
    tries: Sequence[int] | None = None,
) -> tuple[list[bytes | None], LinkLedger]:
    """Send `packets` in order over the link `cfg`: what arrives (None for what is lost) and what it cost.

    `importance` gives each packet's class, 0 (best protected) to 3; `tries` how often each may be sent (None: once,
    and again cfg.retransmissions times). The same key, packets and settings give the same result. One damaged
    packet in 65 536 passes its 16-bit check; the stream's own checks have to catch it.
    Raises InputError for lists of different length, packets over 65 535 bytes or classes out of range.
    """
    checks.typed_key(key)
    packets = [bytes(packet) for packet in packets]
    classes = _check_classes(len(packets), importance)
    tries = [cfg.retransmissions + 1] * len(packets) if tries is None else tries
    tries = [checks.count(n, "tries", low=1, high=100) for n in tries]
    if len(tries) != len(packets):
        raise InputError(f"tries must name a number for each packet: {len(tries)} for {len(packets)} packets")
    if cfg.channel in ("none", "loss"):
        return _transmit_network(key, packets, classes, tries, cfg)
    return _transmit_radio(key, packets, classes, tries, cfg)


def price_packets(lengths: Sequence[int], importance: Sequence[int], cfg: LinkConfig) -> LinkLedger:
    """What packets of these lengths (bytes) cost on the link when each is sent once; nothing is simulated.

    Counts no loss and no repetition; otherwise the ledger of `transmit_packets`, which raises the same errors.
    """
    classes = _check_classes(len(lengths), importance)
    ledger = LinkLedger(cfg.channel)
    if cfg.channel not in ("none", "loss"):
        codes = [_code(8 * length, level, cfg) for length, level in zip(lengths, classes)]
        costs = frame_costs(lengths, classes, codes, cfg.header_scheme(), cfg)
        ledger = _add(ledger, costs, _block_costs(codes))
    return _count(ledger, lengths, classes, [b""] * len(lengths))


def _check_classes(count, importance):
    classes = [checks.count(level, "importance", high=CLASSES - 1) for level in importance]
    if len(classes) != count:
        raise InputError(f"importance must name a class for each packet: {len(classes)} for {count} packets")
    return classes


def _code(bits, level, cfg):
    return block_code(bits, cfg.scheme(level, bits)) if bits else None


def _block_costs(codes):
    """What the coding of packets adds to them when they are sent for the first time."""
    codes = [code for code in codes if code]
    used = sum(code.payload + code.padding + code.crc_bits for code in codes)
    return {
        "crc_bits": sum(code.crc_bits for code in codes),
        "padding_bits": sum(code.padding for code in codes),
        "parity_bits": sum(code.coded for code in codes) - used,
    }


def _add(ledger, *costs):
    totals = collections.Counter({name: getattr(ledger, name) for each in costs for name in each})
    for each in costs:
        totals.update(each)
    return dataclasses.replace(ledger, **totals)


def _transmit_network(key, packets, classes, tries, cfg):
    lengths, ledger = list(map(len, packets)), LinkLedger(cfg.channel)
    received: list = [None] * len(packets)
    for attempt in range(max(tries, default=0)):
        pending = _pending(received, tries, attempt)
        if not pending:
            break
        run = jax.random.fold_in(key, attempt) if attempt else key
        for i, lost in zip(pending, _network_loss(run, len(pending), cfg)):
            received[i] = None if lost else packets[i]
        repeated = sum(8 * lengths[i] for i in pending) if attempt else 0
        ledger = _add(ledger, {"repeated_bits": repeated, "feedback_bits": _answers(tries, pending, attempt)})
    return received, _count(ledger, lengths, classes, received)


def _network_loss(key, count, cfg):
    if cfg.channel == "none":
        return np.zeros(count, bool)
    if cfg.burst > 1:
        return np.asarray(bursty_loss(key, count, GilbertElliott.from_rate(cfg.loss, cfg.burst)))
    return np.asarray(packet_loss(key, count, cfg.loss))


def _pending(received, tries, attempt):
    """Which packets are sent in this round."""
    return [i for i, limit in enumerate(tries) if received[i] is None and attempt < limit]


def _answers(tries, pending, attempt):
    """Bits on the way back: one for each packet that might still be sent again."""
    return sum(attempt + 1 < tries[i] for i in pending)


def _transmit_radio(key, packets, classes, tries, cfg):
    bits = [np.unpackbits(np.frombuffer(packet, np.uint8)) for packet in packets]
    blocks = [Block.of(b, cfg.scheme(level, b.size)) if b.size else None for b, level in zip(bits, classes)]
    soft: list = [None] * len(packets)
    received: list = [None] * len(packets)
    ledger = LinkLedger(cfg.channel)
    for attempt in range(max(tries, default=0)):
        pending = _pending(received, tries, attempt)
        if not pending:
            break
        key, run = jax.random.split(key)
        entries = [(len(packets[i]), classes[i], blocks[i]) for i in pending]
        values, costs = send_frames(run, entries, cfg.header_scheme(), cfg)
        sent = [blocks[i].code for i in pending if blocks[i]]
        own = {"repeated_bits": sum(code.coded for code in sent)} if attempt else _block_costs(sent)
        ledger = _add(ledger, costs, own, {"feedback_bits": _answers(tries, pending, attempt)})
        for i, value in zip(pending, values):
            if value is not None:
                soft[i] = value if soft[i] is None else soft[i] + value
        for i, packet in _decode_packets(pending, blocks, soft, values, cfg):
            received[i] = packet
    return received, _count(ledger, list(map(len, packets)), classes, received)


def _count(ledger, lengths, classes, received):
    def by_class(values):
        return tuple(sum(v for v, c in zip(values, classes) if c == level) for level in range(CLASSES))

    lost = [packet is None for packet in received]
    return dataclasses.replace(
        ledger,
        packets=len(lengths),
        lost=sum(lost),
        source_bits=8 * sum(lengths),
        source_bits_by_class=by_class([8 * length for length in lengths]),
        lost_by_class=by_class(lost),
        packets_by_class=by_class([1] * len(lengths)),
    )


def _decode_packets(pending, blocks, soft, values, cfg):
    """(index, packet) of those pending packets that something new came in for and that now pass their check."""
    heard = [i for i, value in zip(pending, values) if value is not None]
    full = [i for i in heard if blocks[i] is not None]
    decoded = decode_blocks([soft[i] for i in full], [blocks[i].code for i in full], cfg.decoder)
    passed = [(i, np.packbits(bits).tobytes()) for i, (bits, ok) in zip(full, decoded) if ok]
    return passed + [(i, b"") for i in heard if blocks[i] is None]
