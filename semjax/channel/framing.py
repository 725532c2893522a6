"""How the receiver learns what is in the air: one header block ahead of every run of packets.

A frame is a header block of fixed size and, behind it, one transport block for each packet that the header lists.
An entry is a class of protection and a length, so the receiver knows modulation, code rate and number of symbols of
all that follows. A header that fails its check costs the packets of its frame. Frames begin on a grid of symbols,
where a receiver that lost one looks for the next.

Header bits: number of packets (5), then for each packet its class (2) and its length in bytes as an Exp-Golomb code
of order 5 (6 bits below 32 bytes, 8 below 96, 10 below 224 ...); zeros fill the rest.
"""

from collections.abc import Sequence

import numpy as np

from semjax.errors import InputError, StreamError

HEADER_BITS = 208
MAX_PACKET = 65_535  # bytes
CLASSES = 4
_COUNT_BITS, _CLASS_BITS, _GOLOMB_ORDER = 5, 2, 5


def cut_frames(lengths: Sequence[int], classes: Sequence[int]) -> list[range]:
    """Which packets each frame holds: runs in order, each as long as its header can list.

    `lengths` in bytes, `classes` 0 to 3. Raises InputError for a packet too long or a class out of range.
    """
    frames, start, used = [], 0, _COUNT_BITS
    for i, (length, level) in enumerate(zip(lengths, classes, strict=True)):
        if not 0 <= length <= MAX_PACKET:
            raise InputError(
                f"packet {i} has {length} bytes; a packet may have at most {MAX_PACKET}, split it"
            )
        if not 0 <= level < CLASSES:
            raise InputError(f"the class of packet {i} must be 0 to {CLASSES - 1}, got {level}")
        size = _CLASS_BITS + len(_golomb(length))
        if used + size > HEADER_BITS or i - start == (1 << _COUNT_BITS) - 1:
            frames.append(range(start, i))
            start, used = i, _COUNT_BITS
        used += size
    if lengths:
        frames.append(range(start, len(lengths)))
    return frames


def write_header(lengths: Sequence[int], classes: Sequence[int]) -> np.ndarray:
    """uint8 [HEADER_BITS] of a frame that `cut_frames` allowed."""
    text = f"{len(lengths):0{_COUNT_BITS}b}"
    text += "".join(f"{level:0{_CLASS_BITS}b}" + _golomb(length) for length, level in zip(lengths, classes))
    return np.array(list(text.ljust(HEADER_BITS, "0")), np.uint8)


def read_header(bits: np.ndarray) -> tuple[list[int], list[int]]:
    """(lengths, classes) of a header uint8 [HEADER_BITS]. Raises StreamError if it is not one."""
    text = "".join(map(str, np.asarray(bits)))
    if len(text) != HEADER_BITS:
        raise StreamError(f"a frame header has {HEADER_BITS} bits, got {len(text)}")
    count, place = int(text[:_COUNT_BITS], 2), _COUNT_BITS
    lengths, classes = [], []
    for _ in range(count):
        level = text[place : place + _CLASS_BITS]
        zeros = len(text[place + _CLASS_BITS :].split("1", 1)[0])
        end = place + _CLASS_BITS + 2 * zeros + 1 + _GOLOMB_ORDER
        if end > HEADER_BITS:
            raise StreamError("a frame header lists more packets than fit into it")
        classes.append(int(level, 2))
        lengths.append(int(text[place + _CLASS_BITS + zeros : end], 2) - (1 << _GOLOMB_ORDER))
        place = end
    if "1" in text[place:] or any(length > MAX_PACKET for length in lengths):
        raise StreamError("a frame header holds an impossible packet or ends in other bits than zeros")
    return lengths, classes


def _golomb(value):
    digits = f"{value + (1 << _GOLOMB_ORDER):b}"
    return "0" * (len(digits) - _GOLOMB_ORDER - 1) + digits
