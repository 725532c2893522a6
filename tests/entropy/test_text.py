"""The caption coder: every str comes back, damage is an error or another text, never a hang."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.entropy.text import decode_text, encode_text
from semjax.errors import InputError, StreamError


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0",
        "\xff\xfe",
        "a red mug turns slowly",
        "Ein Löwe 🦁 läuft nach links, 左へ。",
        "\ud800",
        "\ud83d\ude00 two lone halves",
        "line\r\nbreak\ttab",
        "a" * 20000,
        "🙂" * 300,
    ],
)
def test_round_trip(text):
    assert decode_text(encode_text(text)) == text


@settings(deadline=None, max_examples=150)
@given(st.text(st.characters(), max_size=120))
def test_every_str_comes_back(text):
    assert decode_text(encode_text(text)) == text


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60))
def test_garbage_ends(data):
    try:
        assert len(decode_text(data)) <= 4096 + 64 * len(data)
    except StreamError as error:
        assert "damaged" in str(error)


def test_empty_costs_nothing():
    assert encode_text("") == b"" and len(encode_text("x")) >= 1


def test_wrong_types_are_told():
    with pytest.raises(InputError, match="takes a str"):
        encode_text(b"abc")
    with pytest.raises(InputError, match="takes bytes"):
        decode_text("abc")


def test_coding_does_not_change_the_model():
    texts = ["a dog runs", "two cats sleep on a sofa", "a dog runs"]
    first = [encode_text(t) for t in texts]
    assert [encode_text(t) for t in texts] == first and first[0] == first[2]


def test_truncated_payloads_end():
    payload = encode_text("A man in a blue coat walks slowly past a row of parked bicycles.")
    rng = np.random.default_rng(3)
    for cut in range(len(payload)):
        damaged = bytearray(payload[:cut])
        if damaged:
            damaged[rng.integers(cut)] ^= 1 << rng.integers(8)
        with contextlib.suppress(StreamError):
            decode_text(bytes(damaged))
