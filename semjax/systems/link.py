"""A stream over the link: which packets matter most, what arrives of it, and what crossing cost.

The stream's header opens the session. Over a network (channels none and loss) it is handed over then and always
arrives; over radio it is sent like a packet of the best protected class until it passes its check, SESSION_TRIES
times at most. Without it a receiver knows neither size nor layers, and nothing is received. It is charged like
everything else. A packet behind it that fails its check is lost to the decoder of its layer.
"""

import collections
import dataclasses
from collections.abc import Callable

import jax

from semjax import stream as container
from semjax.channel import LinkConfig, LinkLedger, price_packets, transmit_packets
from semjax.errors import InputError, RateError, StreamError
from semjax.stream.parser import PART_BYTES, SEQUENCES
from semjax.types import LAYERS, ClipInfo

SESSION_TRIES = 8
# Classes of protection, 0 the best; without contours everything hangs on the keyframes.
_LEVELS = {"container": 0, "contour": 0, "caption": 1, "keyframe": 1, "texture": 2}
LEVELS = {system: _LEVELS | ({} if system == "causal" else {"keyframe": 0}) for system in container.SYSTEMS}
_NETWORKS = ("none", "loss")
_ROUNDS = 6  # of the search for a stream that fits a number of symbols


@dataclasses.dataclass(frozen=True)
class Packet:
    """One packet of a stream: part `part` of a layer's unit, which describes frames `first` to `last`.

    layer: "container" for the stream's header. size: bytes, the packet's own header included. system: the stream's.
    """

    layer: str
    unit: int
    part: int
    first: int
    last: int
    size: int
    system: str = "causal"

    @property
    def level(self) -> int:
        """Class of protection, 0 (best) to 3.

        The stream's header and the contours, each unit of which begins with an I-frame, come first (in systems
        without contours the keyframes); then captions and keyframes; then every other texture unit; last the texture
        units between.
        """
        return LEVELS[self.system][self.layer] + (self.layer == "texture" and self.unit % 2)


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What became of a stream. received: bytes of the stream that arrived, None without its header.

    packets: the header and every packet, in sending order; arrived: which of them did.
    """

    received: bytes | None
    packets: tuple[Packet, ...]
    arrived: tuple[bool, ...]
    ledger: LinkLedger

    def lost(self) -> list[dict]:
        """The packets that did not arrive, JSON-ready."""
        return [dataclasses.asdict(p) for p, there in zip(self.packets, self.arrived) if not there]


def packets_of(data: bytes) -> tuple[Packet, ...]:
    """What each piece of a whole stream's bytes is: its header, then every packet.

    Raises StreamError when the stream is damaged.
    """
    info, spans, system = (stream := container.unpack(data)).info, stream.spans, stream.system
    header, pieces = container.split(data)
    packets = [Packet("container", 0, 0, 0, info.frames - 1, len(header), system)]
    unit, part, going_on = dict.fromkeys(LAYERS, -1), 0, None
    for piece in pieces:
        layer = LAYERS[piece[0] >> 6]
        if layer == going_on:
            part += 1
        else:
            sequence = (piece[0] << 8 | piece[1]) >> 9 & (SEQUENCES - 1)
            unit[layer] += 1 + (sequence - unit[layer] - 1) % SEQUENCES
            part = 0
        going_on = layer if len(piece) - container.PACKET_OVERHEAD == PART_BYTES else None
        first = unit[layer] * spans[layer]
        last = min(first + spans[layer], info.frames) - 1
        packets.append(Packet(layer, unit[layer], part, first, last, len(piece), system))
    return tuple(packets)


def send(data: bytes, cfg: LinkConfig, key: jax.Array) -> Delivery:
    """Send a stream's bytes over the link. Raises StreamError when they are damaged to begin with.

    The same bytes, settings and key give the same result.
    """
    header, pieces = container.split(data)
    packets = packets_of(data)
    levels = [packet.level for packet in packets]
    tries = [SESSION_TRIES] + [cfg.retransmissions + 1] * len(pieces)
    if cfg.channel in _NETWORKS:
        got, ledger = transmit_packets(key, pieces, levels[1:], cfg, tries=tries[1:])
        got, ledger = [header, *got], _with_header(ledger, len(header))
    else:
        got, ledger = transmit_packets(key, [header, *pieces], levels, cfg, tries=tries)
    arrived = tuple(piece is not None for piece in got)
    return Delivery(_received(got, data), packets, arrived, ledger)


def _with_header(ledger, size):
    first = _LEVELS["container"]
    return dataclasses.replace(
        ledger,
        packets=ledger.packets + 1,
        source_bits=ledger.source_bits + 8 * size,
        source_bits_by_class=tuple(
            n + 8 * size * (i == first) for i, n in enumerate(ledger.source_bits_by_class)
        ),
        packets_by_class=tuple(n + (i == first) for i, n in enumerate(ledger.packets_by_class)),
    )


def _received(got, data):
    header, *pieces = got
    kept = [piece for piece in pieces if piece is not None]
    if header is None:
        return None
    if header + b"".join(kept) == data:
        return data
    try:
        return container.join(header, kept, partial=True)
    except StreamError:
        return None  # damage that slipped through the link's check, caught by the header's own


def price(data: bytes, cfg: LinkConfig) -> LinkLedger:
    """What a stream's bytes cost on the link when every packet is sent once."""
    packets = packets_of(data)
    return price_packets([p.size for p in packets], [p.level for p in packets], cfg)


def account(data: bytes, info: ClipInfo, ledger: LinkLedger) -> dict:
    """The ledger of a run, JSON-ready: bits by use, symbols, and what they come to per pixel, second and raw bit.

    `source_bits` lists the stream's bits by layer; `container` there is its header and its packets' headers. Over
    radio coded_bits = source + framing + crc + parity + padding + repeated bits, which `coded_symbols` carry.
    """
    counts = ledger.as_dict()
    by_class = {name: list(counts.pop(name)) for name in list(counts) if name.endswith("by_class")}
    del counts["channel"], counts["source_bits"]
    bits, pixels = ledger.coded_bits, info.frames * info.width * info.height
    radio = ledger.channel not in _NETWORKS
    return {
        "source_bits": {name: 8 * count for name, count in container.ledger(data).items()},
        **counts,
        "cbr": ledger.cbr(info.frames, info.height, info.width) if radio else None,
        "bpp": bits / pixels,
        "bits_per_second": bits / info.seconds,
        "ratio_to_raw": 8 * info.raw_bytes / bits,
        **by_class,
    }


def describe(cfg: LinkConfig, delivery: Delivery) -> dict:
    """The settings that shaped a run, how many packets were sent and how many lost; JSON-ready."""
    settings = {"loss": cfg.loss, "burst": cfg.burst}
    if cfg.channel not in _NETWORKS:
        mcs = cfg.mcs if isinstance(cfg.mcs, (str, type(None))) else repr(cfg.mcs)
        settings = {
            "snr_db": cfg.snr_db,
            "design_snr_db": cfg.adapted_snr_db,
            "mcs": mcs or "auto",
            "schemes": {layer: _scheme(cfg, delivery.packets, layer) for layer in ("container", *LAYERS)},
            "protection_db": list(cfg.protection),
            "target_error": cfg.target_error,
            **dataclasses.asdict(cfg.radio),
        }
    return {
        "channel": cfg.channel,
        **({} if cfg.channel == "none" else settings),
        "retransmissions": cfg.retransmissions,
        "packets": len(delivery.packets),
        "packets_lost": delivery.arrived.count(False),
    }


def _scheme(cfg, packets, layer):
    """The modulations and code rates that a layer's packets are sent with, the commonest first."""
    used = collections.Counter(cfg.scheme(p.level, 8 * p.size) for p in packets if p.layer == layer)
    return [f"{mcs.modulation} {mcs.k}/{mcs.n}" for mcs, _ in used.most_common()]


def fit_symbols(code: Callable[[float], bytes], info: ClipInfo, cfg: LinkConfig, cbr: float) -> bytes:
    """The largest stream found whose symbols over the radio link `cfg` stay within a channel bandwidth ratio.

    code(bitrate) makes a stream of about so many bits a second, and raises RateError where it cannot; `cbr` is
    symbols / (C H W T). Packets are priced as sent once. Raises RateError when even the least stream needs more,
    and InputError for a channel without symbols.
    """
    if cfg.channel in _NETWORKS:
        raise InputError(
            f"the channel {cfg.channel!r} carries bytes, not symbols; a CBR needs a radio channel"
        )
    if not 0 < cbr < float("inf"):
        raise InputError(f"the channel bandwidth ratio must be a positive number, not {cbr}")
    room = int(cbr * 3 * info.frames * info.height * info.width)
    best, low, high, bits = b"", 0.0, float("inf"), 0.9 * room * cfg.scheme(2, 4096).efficiency
    trouble = None
    for _ in range(_ROUNDS):
        try:
            data = code(bits / info.seconds)
            symbols = price(data, cfg).symbols
        except RateError as error:  # more than the clip can use, or less than it needs
            trouble, symbols = error, None
        if symbols is None or symbols > room:
            high = bits
        else:
            low, best = bits, max(best, data, key=len)
            if symbols > 0.97 * room:
                break
        guess = bits * 0.985 * room / symbols if symbols else 0.0
        bits = guess if low < guess < high else (low + min(high, 2 * bits)) / 2
    if best:
        return best
    raise RateError(
        f"no stream of this clip crosses the link in {room} symbols (a CBR of {cbr:g}); allow more symbols or use a "
        "faster scheme" + (f" ({trouble})" if trouble else "")
    )
