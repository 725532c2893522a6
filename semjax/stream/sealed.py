"""Streams sealed end to end: every unit encrypted and authenticated, layers and units still droppable on the way.

sealed unit := AES-256-GCM(key of this stream, nonce of this unit, associated data, unit): ciphertext, 16 bytes of tag

The key of a stream is HKDF-SHA256(the shared key, the stream's random salt, "semjax sealed 1"), so that no two streams
share one; the nonce is the layer's number and the unit's, so that no two units of a stream share one. Associated data:
the header's fields except those that nodes rewrite, then layer and unit; a unit that was moved to another place, clip
or stream is refused like a changed one. Framing stays in the clear: everybody can see each packet's layer, unit and
length. Normative: docs/bitstream.md. Primitives: the `cryptography` library.
"""

import dataclasses
import secrets
import string
from pathlib import Path

from semjax._varint import write_varint
from semjax.errors import InputError, StreamError
from semjax.stream.container import Stream
from semjax.stream.header import SALT_BYTES, SYSTEMS
from semjax.types import LAYERS

KEY_BYTES, TAG_BYTES = 32, 16
_INFO = b"semjax sealed 1"


def seal(stream: Stream, key: bytes, *, salt: bytes | None = None) -> Stream:
    """The stream with every unit encrypted and authenticated under a shared key of 32 bytes.

    salt: 16 bytes that no other stream under this key has; None (always, but for tests): random ones.
    Raises InputError for a key or salt of another length, and for a stream that is sealed already.
    """
    if stream.salt:
        raise InputError("the stream is sealed already")
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    if len(salt) != SALT_BYTES:
        raise InputError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    sealed = dataclasses.replace(stream, salt=bytes(salt))
    cipher = _cipher(key, sealed.salt)
    units = {
        layer: {
            u: cipher.encrypt(_nonce(layer, u), payload, _bound(sealed, layer, u))
            for u, payload in units.items()
        }
        for layer, units in stream.units.items()
    }
    return dataclasses.replace(sealed, units=units)


def unseal(stream: Stream, key: bytes) -> Stream:
    """The inverse of `seal`: units that were changed, moved or made without the key are left out as if lost.

    Raises StreamError for a stream that is not sealed and for one none of whose units is authentic, and InputError for
    a key that is none.
    """
    from cryptography.exceptions import InvalidTag

    if not stream.salt:
        raise StreamError("the stream is not sealed: decode it without a key")
    cipher, kept, refused = _cipher(key, stream.salt), {}, 0
    for layer, units in stream.units.items():
        kept[layer] = {}
        for u, payload in units.items():
            try:
                kept[layer][u] = cipher.decrypt(_nonce(layer, u), payload, _bound(stream, layer, u))
            except InvalidTag:
                refused += 1
    if refused and not any(kept.values()):
        raise StreamError(
            "nothing in the stream is authentic: the key is another one, or the stream was changed"
        )
    return dataclasses.replace(stream, units=kept, salt=b"", partial=stream.partial or refused > 0)


def read_key(path: str | Path) -> bytes:
    """The shared key of a file with 64 hexadecimal digits. Raises InputError for anything else."""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the key {path} cannot be read: {error}") from error
    if len(text) != 2 * KEY_BYTES or not set(text) <= set(string.hexdigits):
        raise InputError(
            f"the key {path} must hold {2 * KEY_BYTES} hexadecimal digits; "
            "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return bytes.fromhex(text)


def _cipher(key: bytes, salt: bytes):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise InputError(f"the shared key is {KEY_BYTES} bytes")
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, _INFO).derive(key))


def _nonce(layer: str, unit: int) -> bytes:
    return bytes([LAYERS.index(layer)]) + unit.to_bytes(11, "big")


def _bound(stream: Stream, layer: str, unit: int) -> bytes:
    """Associated data: everything of the header that no node may rewrite, and the unit's place."""
    info = stream.info
    numbers = [info.width, info.height, info.frames, info.fps.numerator, info.fps.denominator]
    numbers += [stream.spans.get(name, 0) for name in LAYERS]
    numbers += [SYSTEMS.index(stream.system), LAYERS.index(layer), unit]
    return _INFO + stream.salt + b"".join(map(write_varint, numbers))
