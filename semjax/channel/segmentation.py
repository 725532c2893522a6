"""Transport blocks: a payload of any size with its CRC, cut into LDPC code blocks (TS 38.212, 5.2 and 7.2)."""

import dataclasses
import functools
from typing import NamedTuple

from jaxtyping import Array, Bool, Float, UInt8

from semjax.channel import checks
from semjax.channel.codes import LARGEST, MAX_RATE, LdpcCode, prefers_graph_2
from semjax.channel.crc import Bits, crc_attach, crc_check, crc_length, namespace
from semjax.channel.decoder import DEFAULT_DECODER, DecoderConfig, ldpc_decode
from semjax.channel.encoder import ldpc_encode
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class TransportCode:
    """How `payload` bits travel in `coded` bits.

    payload          bits of the caller, at least 1
    coded            bits on the air, a multiple of `bits_per_symbol`
    bits_per_symbol  Q_m of the bit interleaver
    Raises InputError when a code block would be sent above the largest code rate.
    """

    payload: int
    coded: int
    bits_per_symbol: int = 1

    def __post_init__(self):
        checks.count(self.payload, "payload", low=1, high=1 << 24)
        checks.count(self.coded, "coded", low=1, high=1 << 30)
        if self.payload + crc_length(self.crc) > MAX_RATE * self.coded:
            raise InputError(f"{self.payload} bits and their check do not fit {self.coded} coded bits")
        if self.coded // checks.count(self.bits_per_symbol, "bits_per_symbol", low=1, high=16) < len(
            self.codes
        ):
            raise InputError(f"{self.coded} coded bits are too few for {len(self.codes)} code blocks")

    @property
    def crc(self) -> str:
        """CRC of the whole block: "16" up to 3824 bits, "24A" above."""
        return "16" if self.payload <= 3824 else "24A"

    @property
    def base_graph(self) -> int:
        """Base graph of all code blocks (section 7.2.2)."""
        return 2 if prefers_graph_2(self.payload, self.payload / self.coded) else 1

    @property
    def blocks(self) -> int:
        """Number of code blocks."""
        return block_count(self.payload + crc_length(self.crc), self.base_graph)

    @property
    def padding(self) -> int:
        """Zero bits between payload and CRC that make the code blocks equally long."""
        return -(self.payload + crc_length(self.crc)) % self.blocks

    @property
    def crc_bits(self) -> int:
        """Check bits of the block and of its code blocks."""
        return crc_length(self.crc) + (24 * self.blocks if self.blocks > 1 else 0)

    @property
    def codes(self) -> tuple[LdpcCode, ...]:
        """One LDPC code for each code block; they share k and differ in n by at most one symbol."""
        return _codes(self)


class TransportDecoded(NamedTuple):
    """What the receiver knows of a transport block."""

    bits: UInt8[Array, "... A"]
    ok: Bool[Array, "..."]  # the CRC of the whole block fits


def transport_encode(bits: Bits, code: TransportCode) -> Bits:
    """uint8 [..., A] -> uint8 [..., G]. Raises InputError for another length; see `ldpc_encode` for jit."""
    parts = [ldpc_encode(part, each) for part, each in zip(segment(bits, code), code.codes)]
    return namespace(bits)[0].concatenate(parts, axis=-1)


def transport_decode(
    llr: Float[Array, "... G"], code: TransportCode, cfg: DecoderConfig = DEFAULT_DECODER
) -> TransportDecoded:
    """Bits of a transport block from the log-likelihood ratios of its G coded bits. jit- and vmap-able."""
    return assemble(
        [ldpc_decode(part, each, cfg).bits for part, each in zip(split(llr, code), code.codes)], code
    )


def segment(bits: Bits, code: TransportCode) -> list[Bits]:
    """The bits that each code block carries, CRCs attached: uint8 [..., k] each."""
    xp, bits = namespace(bits)
    if bits.shape[-1] != code.payload:
        raise InputError(f"this transport block takes {code.payload} bits, got {bits.shape[-1]}")
    padded = xp.concatenate([bits, xp.zeros((*bits.shape[:-1], code.padding), bits.dtype)], axis=-1)
    return cut(crc_attach(padded, code.crc), code.blocks)


def block_count(size: int, base_graph: int) -> int:
    """Number of code blocks for `size` bits, CRC included (section 5.2.2)."""
    largest = LARGEST[base_graph]
    return 1 if size <= largest else -(-size // (largest - 24))


def cut(word: Bits, blocks: int) -> list[Bits]:
    """A word with its CRC as `blocks` equal code blocks; more than one get a CRC of their own."""
    xp, word = namespace(word)
    parts = xp.split(word, blocks, axis=-1)
    return parts if blocks == 1 else [crc_attach(part, "24B") for part in parts]


def split(llr, code: TransportCode) -> list:
    """The values of each code block: float [..., n] each."""
    if llr.ndim == 0 or llr.shape[-1] != code.coded:
        raise InputError(
            f"this transport block has {code.coded} coded bits, got an array of shape {llr.shape}"
        )
    ends = [sum(each.n for each in code.codes[: i + 1]) for i in range(code.blocks)]
    return [llr[..., end - each.n : end] for end, each in zip(ends, code.codes)]


def assemble(parts: list, code: TransportCode) -> TransportDecoded:
    """The inverse of `segment`: payload and verdict from the decoded code blocks."""
    xp = namespace(parts[0])[0]
    joined = parts[0] if code.blocks == 1 else xp.concatenate([part[..., :-24] for part in parts], axis=-1)
    return TransportDecoded(joined[..., : code.payload], crc_check(joined, code.crc))


@functools.lru_cache(maxsize=512)
def _codes(code: TransportCode) -> tuple[LdpcCode, ...]:
    """Section 5.4.2.1: the first blocks get the shorter share of the coded bits."""
    order = code.bits_per_symbol
    if code.coded % order:
        raise InputError(f"coded = {code.coded} must be a multiple of bits_per_symbol = {order}")
    k = (code.payload + code.padding + crc_length(code.crc)) // code.blocks + (24 if code.blocks > 1 else 0)
    symbols = code.coded // order
    short = code.blocks - symbols % code.blocks
    sizes = [symbols // code.blocks + (i >= short) for i in range(code.blocks)]
    return tuple(LdpcCode(k, size * order, code.base_graph, order) for size in sizes)
