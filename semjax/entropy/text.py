"""Captions <-> bytes: a text model primed with English captions, and the binary range coder.

`encode_text` takes any str (emoji, every language, lone surrogates) and is made for one or two English
sentences; `decode_text` is its inverse. The payload has no header; its format is in docs/entropy.md.
"""

from functools import lru_cache

import numpy as np

from semjax.entropy.binary import finish, new_decoder, new_encoder
from semjax.entropy.text_model import Shared, Store, code_text, new_shared, new_store
from semjax.errors import InputError, StreamError

_OWN_BITS = 16  # lines a message may hold of its own: 2^16, enough for 2 KB before old ones are forgotten
_RATE, _LIMIT = 4, 255
_FREE, _PER_BYTE = 4096, 64  # a payload of n bytes never holds more than 4096 + 64 n bytes of text


def _room(payload_size: int) -> int:
    """Return the most text bytes that a payload of that size may hold: what bounds a decoder's time and
    memory."""
    return _FREE + _PER_BYTE * payload_size


@lru_cache(maxsize=1)
def _primed() -> tuple[Store, Shared]:
    """Return the model as every message finds it."""
    return new_store(4), new_shared()


def _run(coder, buf, text: np.ndarray, size: int):
    store, shared = _primed()
    own = new_store(_OWN_BITS)
    return code_text(coder, buf, text, size, store, own, Shared(*(a.copy() for a in shared)), _RATE, _LIMIT)


def encode_text(text: str) -> bytes:
    """Encode a caption (any str) into as few bytes as the primed model can; b"" is the empty string.

    Raises InputError if text is not a str. Source: ours.
    """
    if not isinstance(text, str):
        raise InputError(f"encode_text takes a str, got {type(text).__name__}; decode bytes to text first.")
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).copy()
    if not raw.size:
        return b""
    coder, buf = new_encoder(raw.size + 64)
    buf, _ = _run(coder, buf, raw, raw.size)
    payload = finish(coder, buf)
    # Zeros after the end are what the decoder reads anyway; they say that so much text may come.
    short = -(-(raw.size - _FREE) // _PER_BYTE)
    return payload.ljust(max(short, 1), b"\0")


def decode_text(payload: bytes) -> str:
    """Decode what `encode_text` wrote.

    Raises StreamError if the payload holds no text: no end within 4096 + 64 n bytes, or bytes that are no
    UTF-8. Other damage gives another text. Raises InputError if payload is not bytes.
    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise InputError(f"decode_text takes bytes, got {type(payload).__name__}.")
    if not len(payload):
        return ""
    text = np.zeros(_room(len(payload)), np.uint8)
    _, length = _run(*new_decoder(bytes(payload)), text, 0)
    if length < 0:
        raise StreamError(
            f"caption of {len(payload)} bytes does not end within {text.size} bytes of text; it is damaged."
        )
    try:
        return text[:length].tobytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise StreamError(
            f"caption of {len(payload)} bytes is no UTF-8 text ({error.reason}); it is damaged."
        ) from None
