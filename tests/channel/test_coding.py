"""CRC, LDPC encoding, rate matching and segmentation against recorded answers (scripts/make_ldpc_vectors.py)."""

import functools
import hashlib
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax.channel import LdpcCode, TransportCode, crc_attach, crc_check, ldpc_encode, transport_encode
from semjax.channel.base_graphs import COLUMNS, LIFTING_SIZES, ROWS, edges
from semjax.channel.encoder import mother_code
from semjax.channel.segmentation import assemble, block_count, cut, segment
from semjax.errors import InputError

VECTORS = json.loads((pathlib.Path(__file__).parents[1] / "data/channel/coding.json").read_text())


def bits_for(name, count):
    data = hashlib.shake_128(name.encode()).digest(-(-count // 8))
    return np.unpackbits(np.frombuffer(data, np.uint8))[:count]


def digest(bits):
    return hashlib.sha256(np.packbits(np.asarray(bits)).tobytes()).hexdigest()[:12]


def test_graphs_have_the_entries_of_the_standard():
    assert len(LIFTING_SIZES) == 51
    for graph, count in ((1, 316), (2, 197)):
        rows = edges(graph, 384)
        assert len(rows) == ROWS[graph] and sum(map(len, rows)) == count
        columns = [[c for c, _ in row] for row in rows]
        assert all(row == sorted(set(row)) for row in columns)
        assert max(map(max, columns)) == COLUMNS[graph] - 1
        extension = [row[-1] for row in columns[4:]]
        assert extension == list(range(COLUMNS[graph] - ROWS[graph] + 4, COLUMNS[graph]))


def test_every_base_graph_and_lifting_size_encodes_as_the_reference():
    assert {(v["graph"], v["z"]) for v in VECTORS["mother"]} == {
        (g, z) for g in (1, 2) for z in LIFTING_SIZES
    }
    for v in VECTORS["mother"]:
        code = LdpcCode(v["k"], v["n"], v["graph"])
        assert code.layout.z == v["z"]
        assert digest(ldpc_encode(bits_for(f"k{v['k']}", v["k"]), code)) == v["sha"], v


def test_rate_matching_interleaving_and_versions_as_the_reference():
    for v in VECTORS["matched"]:
        code = LdpcCode(v["k"], v["n"], v["graph"], v["order"], v["version"])
        assert digest(ldpc_encode(bits_for(f"k{v['k']}", v["k"]), code)) == v["sha"], v


def test_checks_as_the_reference():
    for v in VECTORS["crc"]:
        word = crc_attach(bits_for(f"k{v['bits']}", v["bits"]), v["kind"])
        assert digest(word) == v["sha"], v
        assert crc_check(word, v["kind"])


def test_segmentation_as_the_reference():
    for v in VECTORS["segments"]:
        parts = cut(bits_for(f"k{v['bits']}", v["bits"]), block_count(v["bits"], v["graph"]))
        assert [digest(part) for part in parts] == v["sha"], v


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60_000), st.floats(0.03, 0.9), st.sampled_from([1, 2, 4, 6, 8]))
def test_transport_blocks_of_any_size_cut_and_assemble(payload, rate, order):
    coded = (int(payload / rate) // order + 40) * order
    code = TransportCode(payload, coded, order)
    bits = bits_for(f"t{payload}", payload)
    parts = segment(bits, code)
    assert sum(each.n for each in code.codes) == coded
    assert sum(part.size for part in parts) == payload + code.padding + code.crc_bits
    assert all(part.size == each.k for part, each in zip(parts, code.codes))
    assert transport_encode(bits, code).shape == (coded,)
    back = assemble(parts, code)
    assert back.ok and np.array_equal(back.bits, bits)
    parts[-1] = parts[-1] ^ (np.arange(parts[-1].size) == payload % (parts[-1].size - 24 * (code.blocks > 1)))
    assert not assemble(parts, code).ok


def test_numpy_and_jax_and_vmap_encode_alike():
    code = LdpcCode(500, 996, bits_per_symbol=6)
    bits = np.stack([bits_for(f"b{i}", 500) for i in range(6)]).reshape(2, 3, 500)
    plain = ldpc_encode(bits, code)
    assert isinstance(plain, np.ndarray) and plain.dtype == np.uint8 and plain.shape == (2, 3, 996)
    assert np.array_equal(plain, ldpc_encode(jnp.asarray(bits), code))
    each = jax.vmap(jax.vmap(functools.partial(ldpc_encode, code=code)))(jnp.asarray(bits))
    assert np.array_equal(plain, each)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 8448),
    st.floats(0.02, 0.95),
    st.sampled_from([1, 2, 4, 6, 8]),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_any_code_satisfies_its_checks_and_is_linear(k, rate, order, version, seed):
    n = -(-int(np.ceil(k / rate) + 1) // order) * order
    code = LdpcCode(k, n, bits_per_symbol=order, version=version)
    layout = code.layout
    assert layout.sent.size == n
    assert not np.any((layout.sent >= k) & (layout.sent < layout.known * layout.z))  # fillers are never sent
    assert layout.sent.min() >= 2 * layout.z or k < 2 * layout.z  # the first two columns are never sent
    a, b = np.random.default_rng(seed).integers(0, 2, (2, k), dtype=np.uint8)
    columns = np.split(mother_code(np, a, code), layout.columns)
    for row in layout.rows:
        assert not np.any(functools.reduce(np.bitwise_xor, (np.roll(columns[c], -s) for c, s in row)))
    assert np.array_equal(ldpc_encode(a, code) ^ ldpc_encode(b, code), ldpc_encode(a ^ b, code))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["24A", "24B", "24C", "16", "11", "6"]), st.integers(1, 300), st.data())
def test_crc_sees_every_burst_up_to_its_length(kind, size, data):
    word = crc_attach(bits_for(f"c{size}", size), kind)
    length = word.size - size
    start = data.draw(st.integers(0, word.size - 1))
    burst = data.draw(st.integers(1, 2 ** min(length, word.size - start) - 1))
    error = np.array([burst >> i & 1 for i in range(length)], np.uint8)[: word.size - start]
    broken = word.copy()
    broken[start : start + error.size] ^= error
    assert not crc_check(broken, kind)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(k=100, n=90), "code rate"),
        (dict(k=100, n=104), "code rate"),
        (dict(k=0, n=90), "k must be"),
        (dict(k=8449, n=20000), "k must be 1 to 8448"),
        (dict(k=10.5, n=90), "whole number"),
        (dict(k=4000, n=9000, base_graph=2), "at most 3840"),
        (dict(k=400, n=900, base_graph=3), "must be 1 or 2"),
        (dict(k=400, n=901, bits_per_symbol=2), "multiple"),
        (dict(k=400, n=900, version=4), "version"),
        (dict(k=4, n=10**9), "repeat"),
    ],
)
def test_bad_codes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LdpcCode(**arguments)


def test_bad_bits_are_refused():
    code = LdpcCode(100, 200)
    with pytest.raises(InputError, match="takes 100 bits"):
        ldpc_encode(np.zeros(99, np.uint8), code)
    with pytest.raises(InputError, match="0 or 1"):
        ldpc_encode(np.full(100, 2, np.uint8), code)
    with pytest.raises(InputError, match="whole numbers"):
        ldpc_encode(np.zeros(100), code)
    with pytest.raises(InputError, match="one of 24A"):
        crc_attach(np.zeros(5, np.uint8), "32")
    with pytest.raises(InputError, match="at least 16"):
        crc_check(np.zeros(5, np.uint8), "16")
