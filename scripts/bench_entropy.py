"""Measure the entropy room: bytes of captions, waste and speed of the coders, peers in the same run.

    python scripts/bench_entropy.py [--captions FILE.json ...] [--sentences FILE.txt ...] [--json OUT.json] [--rounds 7]

Captions are read from every "caption" key of the JSON files, sentences one a line from the text files. Needs the
peers `brotli` and `constriction` (pip install brotli constriction). Times are processor
time, the best of several interleaved rounds on one thread; compare them within a run only.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import brotli
import constriction
import jax
import jax.numpy as jnp
import numpy as np
from numba import njit

from semjax.entropy import binary as eb
from semjax.entropy import decode_text, encode_text, quantise, rans, rans_host
from semjax.entropy.tables import ideal_bits

EVALUATION = Path(__file__).parents[1] / "tests" / "data" / "entropy" / "captions_eval.txt"
SYMBOLS = 1 << 20


def captions_of(node) -> list[str]:
    """Every string under a "caption" key, depth first."""
    if isinstance(node, list):
        return [text for child in node for text in captions_of(child)]
    if not isinstance(node, dict):
        return []
    own = [node["caption"]] if isinstance(node.get("caption"), str) else []
    return own + [text for child in node.values() for text in captions_of(child)]


def bench_text(texts: list[str]) -> dict:
    """Bytes against brotli -q 11, for all texts and for those of 50 to 600 bytes."""
    out = {}
    for name, some in (
        ("all", texts),
        ("50 to 600 bytes", [t for t in texts if 50 <= len(t.encode()) <= 600]),
    ):
        packed = [encode_text(t) for t in some]
        assert [decode_text(p) for p in packed] == some
        peer = [len(brotli.compress(t.encode(), quality=11)) for t in some]
        raw, ours = sum(len(t.encode()) for t in some), sum(map(len, packed))
        worst = max(len(p) / b for p, b in zip(packed, peer, strict=True))
        out[name] = {"texts": len(some), "bytes": raw, "ours": ours, "brotli": sum(peer)}
        out[name] |= {"ratio": ours / sum(peer), "worst": worst, "bits a byte": 8 * ours / raw}
    return out


def best(rounds: int, jobs: dict) -> dict:
    """Nanoseconds a symbol of each job, the best of `rounds` rounds in which the jobs take turns."""
    times = {name: np.inf for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name] = min(times[name], time.process_time() - start)
    return {name: 1e9 * t / SYMBOLS for name, t in times.items()}


def bench_rans(rounds: int) -> dict:
    """Speed and waste of rANS on 2^20 symbols of a two-sided geometric source, constriction beside it."""
    rng = np.random.default_rng(0)
    cum = quantise(np.exp(-np.abs(np.arange(64) - 20) / 4))
    symbols = (np.searchsorted(cum, rng.integers(0, 4096, SYMBOLS), side="right") - 1).astype(np.int32)
    rows = jnp.asarray(cum, jnp.uint32)
    ideal = ideal_bits(symbols, cum)
    one, many = rans_host.encode(symbols, cum), rans_host.encode(symbols, cum, lanes=256)
    lane, size = rans.unpack(one)
    lanes, sizes = rans.unpack(many, 256)
    each = jnp.asarray(symbols.reshape(-1, 256).T)
    encode_each = jax.jit(jax.vmap(lambda s: rans.encode(s, rows, tries=0)))
    decode_each = jax.jit(jax.vmap(lambda d, n: rans.decode(d, n, SYMBOLS // 256, rows)))
    model = constriction.stream.model.Categorical(np.diff(cum) / 4096.0, perfect=False)
    stack, queue = constriction.stream.stack.AnsCoder(), constriction.stream.queue.RangeEncoder()
    stack.encode_reverse(symbols, model)
    queue.encode(symbols, model)
    stacked, queued = stack.get_compressed(), queue.get_compressed()
    assert (rans_host.decode(one, SYMBOLS, cum) == symbols).all()
    assert (np.asarray(decode_each(lanes, sizes)) == np.asarray(each)).all()
    times = best(
        rounds,
        {
            "host encode, 1 lane": lambda: rans_host.encode(symbols, cum),
            "host decode, 1 lane": lambda: rans_host.decode(one, SYMBOLS, cum),
            "host encode, 256 lanes": lambda: rans_host.encode(symbols, cum, lanes=256),
            "host decode, 256 lanes": lambda: rans_host.decode(many, SYMBOLS, cum, lanes=256),
            "JAX encode, 1 lane": lambda: jax.block_until_ready(rans.encode(symbols, rows)),
            "JAX decode, 1 lane": lambda: rans.decode(lane[0], size[0], SYMBOLS, rows).block_until_ready(),
            "JAX encode, 256 lanes": lambda: jax.block_until_ready(encode_each(each)),
            "JAX decode, 256 lanes": lambda: decode_each(lanes, sizes).block_until_ready(),
            "constriction ANS encode": lambda: constriction.stream.stack.AnsCoder().encode_reverse(
                symbols, model
            ),
            "constriction ANS decode": lambda: constriction.stream.stack.AnsCoder(stacked).decode(
                model, SYMBOLS
            ),
            "constriction range decode": lambda: constriction.stream.queue.RangeDecoder(queued).decode(
                model, SYMBOLS
            ),
        },
    )
    waste = {
        "long, 1 lane, %": 100 * (8 * len(one) / ideal - 1),
        "long, 256 lanes, %": 100 * (8 * len(many) / ideal - 1),
    }
    return {"ns a symbol": times, "waste": waste | short_waste()}


def short_waste() -> dict:
    """Bytes over the ideal length on 2000 messages of 10 to 100 bytes with random tables."""
    rng, over = np.random.default_rng(1), []
    while len(over) < 2000:
        cum = quantise(rng.random(rng.integers(2, 120)) ** rng.integers(1, 7))
        symbols = np.searchsorted(cum, rng.integers(0, 4096, rng.integers(16, 400)), side="right") - 1
        ideal = ideal_bits(symbols, cum) / 8
        if 10 <= ideal <= 100:
            over.append(len(rans_host.encode(symbols, cum)) - ideal)
    return {"short, mean bytes": float(np.mean(over)), "short, most bytes": float(np.max(over))}


@njit
def _adaptive(coder, buf, bits, models):
    for i in range(bits.size):
        bits[i] = eb.code_adaptive(coder, buf, bits[i], models, i & 15, 255)


@njit
def _mixed(coder, buf, bits, models, weights):
    inputs = np.zeros(6, np.int64)
    for i in range(bits.size):
        for k in range(6):
            inputs[k] = eb.stretch(eb.bit_p(models, 16 * k + ((i >> k) & 15)))
        p = eb.squash(eb.mix(weights, 0, inputs))
        bits[i] = eb.code_bit(coder, buf, bits[i], p)
        eb.mix_update(weights, 0, inputs, p, bits[i], 6)
        for k in range(6):
            eb.bit_update(models, 16 * k + ((i >> k) & 15), bits[i], 255)


def bench_binary(rounds: int) -> dict:
    """Nanoseconds a decision of the range coder: one adaptive model, and six of them mixed."""
    bits = (np.random.default_rng(0).random(SYMBOLS) < 0.1).astype(np.int64)

    def encode(kernel, *state):
        coder, buf = eb.new_encoder(1 << 21)
        kernel(coder, buf, bits.copy(), *state)
        return eb.finish(coder, buf)

    plain = encode(_adaptive, eb.new_bits(16))
    mixed = encode(_mixed, eb.new_bits(96), eb.new_mixer(1, 6))
    times = best(
        rounds,
        {
            "adaptive encode": lambda: encode(_adaptive, eb.new_bits(16)),
            "adaptive decode": lambda: _adaptive(*eb.new_decoder(plain), bits.copy(), eb.new_bits(16)),
            "six mixed, encode": lambda: encode(_mixed, eb.new_bits(96), eb.new_mixer(1, 6)),
            "six mixed, decode": lambda: _mixed(
                *eb.new_decoder(mixed), bits.copy(), eb.new_bits(96), eb.new_mixer(1, 6)
            ),
        },
    )
    probs = np.random.default_rng(1).integers(1, 65536, SYMBOLS)
    seen = (np.random.default_rng(2).random(SYMBOLS) * 65536 < probs).astype(np.int64)
    ideal = -np.log2(np.where(seen, probs, 65536 - probs) / 65536).sum()
    coder, buf = eb.new_encoder(1 << 21)
    _static(coder, buf, seen, probs)
    return {"ns a decision": times, "waste, %": 100 * (8 * len(eb.finish(coder, buf)) / ideal - 1)}


@njit
def _static(coder, buf, bits, probs):
    for i in range(bits.size):
        eb.code_bit(coder, buf, bits[i], probs[i])


def bench(captions=(), sentences=(EVALUATION,), rounds: int = 7) -> dict:
    """Everything, as one dict of plain numbers."""
    out = {}
    for path in captions:
        out[f"captions, {path.name}"] = bench_text(captions_of(json.loads(path.read_text())))
    for path in sentences:
        out[f"captions, {path.name}"] = bench_text(path.read_text(encoding="utf-8").splitlines())
    return out | {"rANS": bench_rans(rounds), "binary": bench_binary(rounds)}


def show(node: dict, indent: str = ""):
    for name, value in node.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        else:
            print(f"{indent}{name:28} {value if isinstance(value, int) else format(value, '.4g')}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--captions", type=Path, nargs="*", default=[], help="JSON files with captions")
    parser.add_argument(
        "--sentences", type=Path, nargs="*", default=[EVALUATION], help="text files, one a line"
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of timing, of which the best counts")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    figures = bench(args.captions, args.sentences, args.rounds)
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
