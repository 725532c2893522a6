"""The link: what happens between the sender's packets and the receiver's (docs/channel.md).

Packets
    transmit_packets, LinkConfig, LinkLedger    packets over a link: what arrives and what it cost
    price_packets                               what they would cost, without sending them
    packet_loss, bursty_loss, GilbertElliott    which packets a network loses
    deliver, LinkRate                           when packets arrive: rate, delay, finite queue
    choose_mcs, required_snr, lgvsc_mcs, parse_mcs, Mcs    modulation and code rate for an SNR
Bits
    ldpc_encode, ldpc_decode        bits <-> coded bits, log-likelihood ratios (LdpcCode, DecoderConfig)
    transport_encode, transport_decode      payloads of any size, with checks and code blocks (TransportCode)
    crc_attach, crc_check           the checks of 5G NR
Symbols
    modulate, demodulate            bits <-> Gray QPSK to 256-QAM symbols, log-likelihood ratios
    interleaver, interleave, deinterleave   neighbours on the air from far apart
    radio, RadioConfig              AWGN, Rayleigh and Rician fading, known and estimated gains
    simulate_blocks                 all of it as one function of a key, for error rate curves
"""

from semjax.channel.adaptation import (
    LGVSC_TABLE,
    Mcs,
    choose_mcs,
    ladder,
    lgvsc_mcs,
    parse_mcs,
    predicted_error,
    required_snr,
)
from semjax.channel.codes import LdpcCode
from semjax.channel.crc import crc_attach, crc_check
from semjax.channel.decoder import Decoded, DecoderConfig, ldpc_decode
from semjax.channel.encoder import ldpc_encode
from semjax.channel.fading import AWGN, RadioConfig, Received, noise_variance, radio
from semjax.channel.ledger import LinkLedger
from semjax.channel.link import CHANNELS, LinkConfig, price_packets, transmit_packets
from semjax.channel.loss import GilbertElliott, bursty_loss, packet_loss
from semjax.channel.mixed import ldpc_decode_mixed
from semjax.channel.modulation import (
    MODULATIONS,
    bits_per_symbol,
    deinterleave,
    demodulate,
    hard_bits,
    interleave,
    interleaver,
    modulate,
)
from semjax.channel.segmentation import (
    TransportCode,
    TransportDecoded,
    transport_decode,
    transport_encode,
)
from semjax.channel.simulate import BlockOutcome, simulate_blocks
from semjax.channel.timing import Arrivals, LinkRate, deliver

__all__ = [
    "AWGN",
    "CHANNELS",
    "LGVSC_TABLE",
    "MODULATIONS",
    "Arrivals",
    "BlockOutcome",
    "Decoded",
    "DecoderConfig",
    "GilbertElliott",
    "LdpcCode",
    "LinkConfig",
    "LinkLedger",
    "LinkRate",
    "Mcs",
    "RadioConfig",
    "Received",
    "TransportCode",
    "TransportDecoded",
    "bits_per_symbol",
    "bursty_loss",
    "choose_mcs",
    "crc_attach",
    "crc_check",
    "deinterleave",
    "deliver",
    "demodulate",
    "hard_bits",
    "interleave",
    "interleaver",
    "ladder",
    "ldpc_decode",
    "ldpc_decode_mixed",
    "ldpc_encode",
    "lgvsc_mcs",
    "modulate",
    "noise_variance",
    "packet_loss",
    "parse_mcs",
    "predicted_error",
    "price_packets",
    "radio",
    "required_snr",
    "simulate_blocks",
    "transmit_packets",
    "transport_decode",
    "transport_encode",
]
