"""Captions <-> bytes: a text model primed with English captions, and the binary range coder.

`encode_text` takes any str (emoji, every language, lone surrogates) and is made for one or two English
sentences; `decode_text` is its inverse. The payload has no header; its format is in docs/entropy.md.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from semjax.entropy.binary import finish, new_decoder, new_encoder
from semjax.entropy.text_model import Shared, Store, code_text, new_shared, new_store
from semjax.errors import InputError, StreamError

PRIOR = Path(__file__).parents[1] / "assets" / "text_prior.bin"
_BITS = 19  # the primed model holds 2^19 lines (38 MB)
_OWN_BITS = (
    15  # a message holds 2^15 of its own (2.4 MB): enough for 1 KB before little used ones are forgotten
)
_PRIMING_RATE, _RATE, _LIMIT = 6, 4, 255
_FREE, _PER_BYTE = 4096, 64  # a payload of n bytes never holds more than 4096 + 64 n bytes of text


def write_prior(texts: list[str]) -> bytes:
    """Return the file that primes the model: the texts, and an empty one as the end, coded by the untrained
    model.

    Only scripts/make_text_prior.py needs this; the texts may not be empty.
    """
    store, shared = new_store(_BITS), new_shared()
    coder, buf = new_encoder(1 << 16)
    for text in [*texts, ""]:
        raw = np.frombuffer(text.encode(), np.uint8).copy()
        buf, _ = code_text(coder, buf, raw, raw.size, store, store, shared, _PRIMING_RATE, _LIMIT)
    return finish(coder, buf)


@lru_cache(maxsize=1)
def _primed() -> tuple[Store, Shared]:
    """Return the model as every message finds it: reading the shipped text is what trains it."""
    store, shared = new_store(_BITS), new_shared()
    coder, buf = new_decoder(PRIOR.read_bytes())
    text = np.zeros(1 << 16, np.uint8)
    length = 1
    while length > 0:
        _, length = code_text(coder, buf, text, 0, store, store, shared, _PRIMING_RATE, _LIMIT)
    if length < 0:
        raise StreamError(f"{PRIOR} is damaged; reinstall semjax.")
    return store, shared


def _run(coder, buf, text: np.ndarray, size: int):
    """Code one message with the primed model, which stays as it is."""
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
    text = np.zeros(_FREE + _PER_BYTE * len(payload), np.uint8)
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
