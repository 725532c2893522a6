"""Numbers of variable length: seven bits a byte, least significant first (LEB128)."""

from semjax.errors import StreamError


def write_varint(value: int) -> bytes:
    """The bytes of a number that is zero or more."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, at: int, limit: int, what: str) -> tuple[int, int]:
    """The number at offset `at` and the offset behind it.

    Raises StreamError, naming `what` is being read, when the data ends or the number exceeds `limit`.
    """
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if value > limit:
            break
        if data[at - 1] < 128:
            return value, at
        if shift > 35:
            break
    else:
        raise StreamError(f"{what} is truncated; fetch the stream again")
    raise StreamError(f"{what} is damaged; fetch the stream again")
