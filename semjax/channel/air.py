"""Frames of transport blocks on the air: coded bits to symbols, over the radio channel, and back to soft values."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from semjax.channel.adaptation import Mcs
from semjax.channel.crc import crc_length
from semjax.channel.decoder import DecoderConfig
from semjax.channel.fading import Received, radio
from semjax.channel.framing import HEADER_BITS, cut_frames, read_header, write_header
from semjax.channel.mixed import ldpc_decode_mixed
from semjax.channel.modulation import bits_per_symbol, demodulate, interleaver, modulate
from semjax.channel.scrambling import gold_sequence
from semjax.channel.segmentation import TransportCode, assemble, split, transport_encode
from semjax.errors import StreamError

_FILLING = np.complex64((1 + 1j) / 2**0.5)
_HEADER_FADES = 32  # coherence blocks that a header meets
_LEAST_SHAPE = 1024  # arrays are padded to powers of two from here on: few shapes to compile for


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A transport block on the air: the bits `coded` of `code`, scrambled, sent with `modulation`."""

    code: TransportCode
    modulation: str
    coded: np.ndarray

    @classmethod
    def of(cls, bits: np.ndarray, mcs: Mcs) -> "Block":
        """The bits uint8 [A] coded at the rate of `mcs`, their check included in the rate."""
        code = block_code(bits.size, mcs)
        return cls(code, mcs.modulation, transport_encode(bits, code) ^ gold_sequence(code.coded))

    @property
    def symbols(self) -> int:
        """Symbols it takes."""
        return symbols_of(self.code)


def block_code(bits: int, mcs: Mcs) -> TransportCode:
    """How `bits` bits travel at the rate of `mcs`, their check included in the rate."""
    check = crc_length("16" if bits <= 3824 else "24A")
    return TransportCode(bits, mcs.coded_bits(bits + check), bits_per_symbol(mcs.modulation))


def symbols_of(code: TransportCode) -> int:
    """Symbols that a transport block takes."""
    return code.coded // code.bits_per_symbol


def frame_costs(
    lengths: Sequence[int], classes: Sequence[int], codes: Sequence[TransportCode | None], header: Mcs, cfg
) -> dict[str, int]:
    """What the frames of such packets cost: counts named as in `LinkLedger`, the packets' own bits left out."""
    head = block_code(HEADER_BITS, header)
    frames = cut_frames(lengths, classes)
    sizes = [symbols_of(head) + sum(symbols_of(codes[i]) for i in frame if codes[i]) for frame in frames]
    filling = sum(_frame_length(size, symbols_of(head), cfg) - size for size in sizes)
    return {
        "framing_bits": HEADER_BITS * len(frames),
        "crc_bits": head.crc_bits * len(frames),
        "parity_bits": (head.coded - HEADER_BITS - head.crc_bits) * len(frames),
        "coded_symbols": sum(sizes),
        "filling_symbols": filling,
        "pilot_symbols": cfg.radio.pilot_symbols(sum(sizes) + filling),
    }


def send_frames(
    key: jax.Array, entries: Sequence[tuple[int, int, Block | None]], header: Mcs, cfg
) -> tuple[list, dict]:
    """Send packets (length in bytes, class, block or None if empty) in frames over the radio of a `LinkConfig`.

    Returns for each packet its soft values float32 [coded] (of size 0 if it is empty; None where the frame's header
    was lost) and the costs as `frame_costs` counts them.
    """
    lengths, classes, blocks = ([entry[i] for entry in entries] for i in range(3))
    frames = cut_frames(lengths, classes)
    contents = [([lengths[i] for i in frame], [classes[i] for i in frame]) for frame in frames]
    headers = [Block.of(write_header(*content), header) for content in contents]
    bodies = [[blocks[i] for i in frame if blocks[i] is not None] for frame in frames]
    order = _layout(headers, bodies, cfg)
    queue = [block for head, body in zip(headers, bodies) for block in (head, *body)]
    soft = _over_the_air(key, queue, order, cfg)

    verdicts = decode_blocks(
        [soft[id(head)] for head in headers], [head.code for head in headers], cfg.decoder
    )
    values: list = []
    for frame, content, (bits, ok) in zip(frames, contents, verdicts):
        heard = ok and _same_content(bits, content)
        none = np.zeros(0, np.float32)
        values += [soft.get(id(blocks[i]), none) if heard else None for i in frame]
    codes = [block and block.code for block in blocks]
    return values, frame_costs(lengths, classes, codes, header, cfg)


def decode_blocks(
    values: Sequence[np.ndarray], codes: Sequence[TransportCode], cfg: DecoderConfig
) -> list[tuple[np.ndarray, bool]]:
    """(payload bits, check holds) of each transport block; all code blocks go through the decoder together."""
    parts = [list(zip(split(value, code), code.codes)) for value, code in zip(values, codes)]
    flat = [part for block in parts for part in block]
    words = iter(ldpc_decode_mixed([value for value, _ in flat], [code for _, code in flat], cfg))
    verdicts = [assemble([next(words)[0] for _ in block], code) for block, code in zip(parts, codes)]
    return [(bits, bool(ok)) for bits, ok in verdicts]


def _same_content(bits, content):
    """Whether the receiver reads from a header that passed its check what the sender wrote."""
    try:
        return read_header(bits) == content
    except StreamError:
        return False


def _header_window(symbols, cfg):
    """Symbols over which a header is spread: on fading channels so many coherence blocks that they hardly all fade."""
    fades = cfg.radio.fading != "none" and cfg.radio.coherence
    return max(symbols, _HEADER_FADES * cfg.radio.coherence) if fades else symbols


def _frame_length(symbols, header, cfg):
    """Symbols of a frame with its filling, for `symbols` that carry bits, `header` of them the header's."""
    return -(-max(symbols, _header_window(header, cfg)) // cfg.grid) * cfg.grid


def _layout(headers, bodies, cfg):
    """int [S]: which symbol of the queue each channel use carries; -1 is filling.

    On fading channels the header is spread over its window, and the symbols behind and between are interleaved, so
    that a fade is shared by all packets of the frame.
    """
    pieces, start = [], 0
    for head, body in zip(headers, bodies):
        size = sum(block.symbols for block in body)
        frame = np.full(_frame_length(head.symbols + size, head.symbols, cfg), -1)
        window = _header_window(head.symbols, cfg)
        places = np.arange(head.symbols) * window // head.symbols
        frame[places] = start + np.arange(head.symbols)
        order = np.arange(size) if cfg.radio.fading == "none" else interleaver(size)
        frame[np.flatnonzero(frame < 0)[:size]] = start + head.symbols + order
        pieces.append(frame)
        start += head.symbols + size
    return np.concatenate(pieces) if pieces else np.zeros(0, int)


def _over_the_air(key, queue, order, cfg):
    """Soft values of each block, descrambled, by its id."""
    sizes = np.array([block.symbols for block in queue], int)
    ends = np.cumsum(sizes)
    symbols = np.zeros(int(sizes.sum()) + 1, np.complex64)
    symbols[-1] = _FILLING
    places = {}
    for modulation in {block.modulation for block in queue}:
        members = [i for i, block in enumerate(queue) if block.modulation == modulation]
        place = np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for i in members])
        places[modulation] = members, place
        coded = np.concatenate([queue[i].coded for i in members])
        padded = _pad(coded.reshape(-1, bits_per_symbol(modulation))).ravel()
        symbols[place] = np.asarray(modulate(padded, modulation))[: place.size]

    got = radio(key, jnp.asarray(_pad(symbols[order])), cfg.snr_db, cfg.radio)
    carriers = order[order >= 0]
    arrived = Received(*(np.zeros(symbols.size, each.dtype) for each in got))
    for target, source in zip(arrived, got):
        target[carriers] = np.asarray(source)[: order.size][order >= 0]

    soft = {}
    for modulation, (members, place) in places.items():
        noise = _pad(arrived.noise[place], fill=1.0)
        args = (_pad(arrived.symbols[place]), noise, modulation)
        llr = np.asarray(demodulate(*args, gain=_pad(arrived.gain[place]), rule=cfg.rule))
        cuts = np.cumsum([queue[i].code.coded for i in members])
        for i, end in zip(members, cuts):
            count = queue[i].code.coded
            soft[id(queue[i])] = llr[end - count : end] * (1.0 - 2.0 * gold_sequence(count)).astype(
                np.float32
            )
    return soft


def _pad(array, fill=0):
    """The array with its first axis padded to a power of two."""
    size = max(_LEAST_SHAPE, 1 << max(len(array) - 1, 0).bit_length())
    padded = np.full((size, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded
