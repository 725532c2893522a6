"""Payloads written once must decode for ever, and today's encoders must write the same bytes.

`python tests/entropy/test_entropy_golden.py` rewrites tests/data/entropy/golden.json: only for a new stream version.
"""

import base64
import hashlib
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from semjax.entropy import binary as eb
from semjax.entropy import prior_tables, rans, rans_host, text, text_model
from semjax.entropy.tables import quantise

FILE = Path(__file__).parents[1] / "data" / "entropy" / "golden.json"
TEXTS = [
    "x",
    "put the red cup on the table",
    "A red mug turns slowly to the left over a dark blue background; the camera moves closer.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 🥊",
    "\ud800\0\x7f",
    "na " * 400,
]
RANS = {"rans 12 bits 1 lane": (12, 1), "rans 12 bits 4 lanes": (12, 4), "rans 16 bits 1 lane": (16, 1)}


def _numbers(n: int, seed: int) -> np.ndarray:
    """Integers 0..2^24-1 by a fixed recurrence: NumPy's generators may change."""
    x, out = seed, []
    for _ in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(x >> 40)
    return np.array(out, np.int64)


def _rans_message():
    x = _numbers(3000, 3)
    symbols = np.minimum(x % 13, (x >> 8) % 13).astype(np.int32)
    return (
        symbols,
        np.arange(3000) % 3,
        np.stack([np.arange(1, 14), np.arange(13, 0, -1), np.arange(13) ** 2 + 1]),
    )


def _bits(coder, buf, values, flags):
    """A binary message in plain Python, adaptive and mixed; returns what went through the coder, [2, N]."""
    models, pairs, weights, apm = eb.new_bits(60), eb.new_pairs(4), eb.new_mixer(2, 2), eb.new_apm(2)
    out = []
    for i in range(values.size):
        v = eb.code_signed(coder, buf, values[i], models, 0, 0, 255)
        inputs = np.array([eb.stretch(eb.pair_p(pairs, i & 3)), 256], np.int64)
        x = eb.mix(weights, i & 1, inputs)
        p = eb.squash(x)
        b = eb.code_bit(coder, buf, flags[i], (p + eb.apm_p(apm, i & 1, x)) >> 1)
        eb.mix_update(weights, i & 1, inputs, p, b, 10)
        eb.apm_update(apm, i & 1, x, b, 6)
        eb.pair_update(pairs, i & 3, b, 20, 400)
        out.append((v, b))
    return np.array(out).T


def _binary_message():
    x = _numbers(400, 5)
    values = (x % 41 - 20) // (1 + (x >> 8) % 7)
    return np.stack([values, values % 3 == 0])


def _make() -> dict[str, bytes]:
    """Today's payload for every name."""
    out = {f"text {i}": text.encode_text(t) for i, t in enumerate(TEXTS)}
    symbols, index, weights = _rans_message()
    for name, (precision, lanes) in RANS.items():
        out[name] = rans_host.encode(
            symbols, quantise(weights, precision), index, precision=precision, lanes=lanes
        )
    coder, buf = eb.new_encoder(8192)
    _bits(coder, buf, *_binary_message())
    out["binary"] = eb.finish(coder, buf)
    return out


def _golden() -> dict:
    return json.loads(FILE.read_text())


def _payload(name: str) -> bytes:
    entry = _golden()[name]
    payload = base64.b64decode(entry["base64"])
    assert hashlib.sha256(payload).hexdigest() == entry["sha256"]
    return payload


@pytest.fixture(scope="module")
def made():
    return _make()


@pytest.mark.parametrize("name", [f"text {i}" for i in range(len(TEXTS))] + list(RANS) + ["binary"])
def test_encoders_write_the_golden_bytes(name, made):
    assert made[name] == _payload(name)


@pytest.mark.parametrize("i", range(len(TEXTS)))
def test_golden_texts_decode(i):
    assert text.decode_text(_payload(f"text {i}")) == TEXTS[i]


@pytest.mark.parametrize("name", RANS)
def test_golden_rans_decodes_on_both_sides(name):
    precision, lanes = RANS[name]
    symbols, index, weights = _rans_message()
    rows = quantise(weights, precision)
    payload = _payload(name)
    out = rans_host.decode(payload, 3000, rows, index, precision=precision, lanes=lanes)
    assert (out == symbols).all()
    if lanes == 1:
        data, size = rans.unpack(payload)
        out = rans.decode(data[0], size[0], 3000, jnp.asarray(rows, jnp.uint32), index, precision=precision)
        assert (np.asarray(out) == symbols).all()


def test_golden_binary_decodes():
    message = _binary_message()
    blank = np.zeros_like(message)
    assert (_bits(*eb.new_decoder(_payload("binary")), *blank) == message).all()


def _network():
    """A conditional prior's integer network and contexts for it."""
    x = _numbers(600, 9)
    net = {
        "w0": (x[:32] % 801 - 400).reshape(4, 8).astype(np.int32),
        "b0": (x[32:40] % 1001 - 500).astype(np.int32),
        "w1": (x[40:56] % 101 - 50).reshape(8, 2).astype(np.int32),
        "b1": np.array([77, 29 << 12], np.int32),
    }
    return net, (x[56:456] % 31 - 15).reshape(100, 4)


def test_golden_rows_of_an_integer_network():
    """Integer arithmetic only: equal in NumPy and JAX, equal for ever."""
    net, context = _network()
    rows = np.stack(prior_tables.conditional_rows(net, context))
    again = np.stack(prior_tables.conditional_rows(net, jnp.asarray(context)))
    assert (again == rows).all() and len(np.unique(rows[0])) > 30
    assert hashlib.sha256(rows.astype("<i4").tobytes()).hexdigest() == _golden()["rows"]["sha256"]


def test_the_prior_is_the_one_the_format_names():
    assert hashlib.sha256(text.PRIOR.read_bytes()).hexdigest() == _golden()["text_prior.bin"]["sha256"]
    assert text.PRIOR.stat().st_size <= 300_000 and text_model.END == 0xFF


def _rewrite():
    out = {}
    for name, payload in _make().items():
        out[name] = {
            "sha256": hashlib.sha256(payload).hexdigest(),
            "base64": base64.b64encode(payload).decode(),
        }
    rows = np.stack(prior_tables.conditional_rows(*_network()))
    out["rows"] = {"sha256": hashlib.sha256(rows.astype("<i4").tobytes()).hexdigest()}
    out["text_prior.bin"] = {"sha256": hashlib.sha256(text.PRIOR.read_bytes()).hexdigest()}
    FILE.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    _rewrite()
