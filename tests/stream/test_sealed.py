import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from semjax import stream as sm
from semjax.errors import InputError, StreamError
from semjax.stream import sealed
from semjax.types import ClipInfo

KEY = bytes(range(32))
INFO = ClipInfo(200, 64, 48, Fraction(25))


@pytest.fixture(scope="module")
def plain():
    rng = np.random.default_rng(0)
    units = {layer: {u: rng.bytes(40 + 300 * u) for u in range(4)} for layer in ("contour", "texture")}
    return sm.Stream(INFO, {"contour": 50, "texture": 50}, units, "mirage")


def test_there_and_back(plain):
    first, second = sm.seal(plain, KEY), sm.seal(plain, KEY)
    data = sm.pack(first)
    assert sm.unseal(sm.unpack(data), KEY) == dataclasses.replace(plain, units=plain.units)
    assert sm.pack(first) != sm.pack(second), "equal streams must not look equal"
    for layer, units in plain.units.items():
        for u, payload in units.items():
            assert payload not in data and len(first.units[layer][u]) == len(payload) + sealed.TAG_BYTES
    overhead = len(data) - len(sm.pack(plain))
    assert overhead == sm.container.SALT_BYTES + 8 * sealed.TAG_BYTES


def test_a_tampered_packet_is_a_lost_packet(plain):
    """Whatever byte of a unit is changed, even with its check put right, that unit is lost and no other."""
    whole = sm.seal(plain, KEY)
    rng = np.random.default_rng(1)
    for layer, units in whole.units.items():
        for u, payload in units.items():
            for at in {0, len(payload) - 1, int(rng.integers(len(payload)))}:
                bad = bytearray(payload)
                bad[at] ^= 1 << int(rng.integers(8))
                forged = {**whole.units, layer: {**units, u: bytes(bad)}}
                got = sm.unseal(sm.unpack(sm.pack(dataclasses.replace(whole, units=forged))), KEY)
                assert u not in got.units[layer] and got.partial
                assert sum(map(len, got.units.values())) == 7


def test_units_cannot_be_moved(plain):
    whole = sm.seal(plain, KEY)
    texture, contour = (dict(whole.units[layer]) for layer in ("texture", "contour"))
    texture[0], texture[1] = texture[1], texture[0]
    contour[2] = texture[2]
    got = sm.unseal(dataclasses.replace(whole, units={"texture": texture, "contour": contour}), KEY)
    assert set(got.units["texture"]) == {2, 3} and set(got.units["contour"]) == {0, 1, 3}
    other = sm.seal(plain, KEY)
    mixed = {**whole.units, "texture": other.units["texture"]}
    got = sm.unseal(dataclasses.replace(whole, units=mixed), KEY)
    assert not got.units["texture"] and got.units["contour"] == plain.units["contour"]


@pytest.mark.parametrize(
    "change",
    [
        {"info": dataclasses.replace(INFO, width=65)},
        {"info": dataclasses.replace(INFO, fps=Fraction(24))},
        {"system": "causal"},
        {"spans": {"contour": 50, "texture": 49}},
        {"salt": b"x" * 16},
    ],
)
def test_the_header_is_authenticated(plain, change):
    forged = dataclasses.replace(sm.seal(plain, KEY), **change)
    with pytest.raises(StreamError, match="nothing in the stream is authentic"):
        sm.unseal(forged, KEY)


def test_dropping_needs_no_key(plain):
    data = sm.pack(sm.seal(plain, KEY))
    header, packets = sm.split(data)
    kept = [p for p in packets if p[0] >> 6 == 1]
    got = sm.unseal(sm.unpack(sm.join(header, kept, partial=True)), KEY)
    assert got.units["contour"] == plain.units["contour"] and not got.units["texture"]


def test_nonces_and_keys_are_used_once(plain, monkeypatch):
    """Every (stream key, nonce) pair that encryption is given differs from every other."""
    used = set()

    class Spy:
        def __init__(self, key):
            self.key = key

        def encrypt(self, nonce, data, bound):
            assert (self.key, nonce) not in used
            used.add((self.key, nonce))
            return data

    from cryptography.hazmat.primitives.ciphers import aead

    monkeypatch.setattr(aead, "AESGCM", Spy)
    for _ in range(50):
        sm.seal(plain, KEY)
    assert len(used) == 50 * 8 and len({key for key, _ in used}) == 50


def test_wrong_keys_and_files(plain, tmp_path):
    whole = sm.seal(plain, KEY)
    with pytest.raises(StreamError, match="the key is another one"):
        sm.unseal(whole, bytes(32))
    with pytest.raises(StreamError, match="not sealed"):
        sm.unseal(plain, KEY)
    with pytest.raises(InputError, match="sealed already"):
        sm.seal(whole, KEY)
    for bad in (b"", b"x" * 31, "x" * 32):
        with pytest.raises(InputError, match="32 bytes"):
            sm.seal(plain, bad)
    file = tmp_path / "key"
    file.write_text(KEY.hex() + "\n")
    assert sm.read_key(file) == KEY
    for text in ("", "12", "zz" * 32):
        file.write_text(text)
        with pytest.raises(InputError, match="hexadecimal"):
            sm.read_key(file)
    with pytest.raises(InputError, match="cannot be read"):
        sm.read_key(tmp_path / "none")


def test_empty_sealed_streams(plain):
    empty = dataclasses.replace(plain, units={})
    got = sm.unseal(sm.unpack(sm.pack(sm.seal(empty, KEY))), KEY)
    assert not any(got.units.values())
