"""The link: what happens between the sender's packets and the receiver's.

packet_loss                     which packets a network loses that drops each with one probability
bursty_loss, GilbertElliott     the same for losses that come in bursts
crc_attach, crc_check           the checks of 5G NR
LdpcCode                        one 5G NR LDPC code block: k bits in n
ldpc_encode, ldpc_decode        bits <-> coded bits, log-likelihood ratios (DecoderConfig, Decoded)
TransportCode                   a payload of any size: CRC, code blocks, rate matching
transport_encode, transport_decode      payload <-> coded bits, log-likelihood ratios
"""

from semjax.channel.codes import LdpcCode
from semjax.channel.crc import crc_attach, crc_check
from semjax.channel.decoder import Decoded, DecoderConfig, ldpc_decode
from semjax.channel.encoder import ldpc_encode
from semjax.channel.loss import GilbertElliott, bursty_loss, packet_loss
from semjax.channel.segmentation import (
    TransportCode,
    TransportDecoded,
    transport_decode,
    transport_encode,
)

__all__ = [
    "Decoded",
    "DecoderConfig",
    "GilbertElliott",
    "LdpcCode",
    "TransportCode",
    "TransportDecoded",
    "bursty_loss",
    "crc_attach",
    "crc_check",
    "ldpc_decode",
    "ldpc_encode",
    "packet_loss",
    "transport_decode",
    "transport_encode",
]
