"""Record what two independent 5G NR implementations answer, for tests/channel to compare with.

    pip install tensorflow-cpu==2.19.1 py3gpp==0.6.0 sionna==1.2.1 matplotlib
    python scripts/make_ldpc_vectors.py tests/data/channel [--blocks 6000]

Needs neither JAX nor semjax. Writes coding.json (digests of words coded by py3gpp, the mother codes compared with
Sionna's before they are recorded) and bler.json (block error rates of Sionna's decoder on a BPSK/AWGN channel).
"""

import argparse
import hashlib
import json
import os
import pathlib

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LIFTING = sorted(a << j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a << j <= 384)
# k, n, rule of Sionna, its schedule, iterations, Es/N0 in dB of a real channel with noise variance 1 / (2 Es/N0)
CURVES = [
    (1024, 3072, "boxplus", "flooding", 20, (-4.6, -4.4, -4.2, -4.0, -3.8)),
    (1024, 2048, "boxplus", "flooding", 20, (-2.2, -2.0, -1.8, -1.6, -1.4)),
    (1008, 1344, "boxplus", "flooding", 20, (1.2, 1.4, 1.6, 1.8, 2.0)),
    (1024, 2048, "boxplus", "layered", 10, (-2.2, -2.0, -1.8, -1.6, -1.4)),
    (1024, 2048, "minsum", "flooding", 20, (-1.6, -1.4, -1.2, -1.0, -0.8)),
    (1024, 2048, "offset-minsum", "flooding", 20, (-2.0, -1.8, -1.6, -1.4, -1.2)),
]


def bits_for(name: str, count: int) -> np.ndarray:
    """uint8 [count]: bits that everybody can make again, from SHAKE-128 of a name."""
    data = hashlib.shake_128(name.encode()).digest(-(-count // 8))
    return np.unpackbits(np.frombuffer(data, np.uint8))[:count]


def digest(bits: np.ndarray) -> str:
    """Twelve hex digits of the SHA-256 of the bits, packed."""
    return hashlib.sha256(np.packbits(np.asarray(bits, np.uint8)).tobytes()).hexdigest()[:12]


def mother_word(k: int, graph: int, z: int) -> np.ndarray:
    """The circular buffer of the codeword of the k bits; fillers are -1, as nrRateMatchLDPC takes it.

    Sionna sends no more than a rate of 1/3 or 1/5 allows; the parity bits beyond follow from its parity-check
    matrix. Where py3gpp takes the size, its own encoder has to agree.
    """
    from py3gpp import nrLDPCEncode
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    known = (22 if graph == 1 else 10) * z
    bits = bits_for(f"k{k}", k)
    n = min((66 if graph == 1 else 50) * z - (known - k), (3 if graph == 1 else 5) * k)
    encoder = LDPC5GEncoder(k, n, bg=f"bg{graph}")
    assert encoder.z == z and encoder.k_ldpc == known
    sent = np.asarray(encoder(bits[None].astype(np.float32)))[0].astype(int)
    core = sent[k - 2 * z :][: 4 * z]
    head = np.concatenate([bits, np.zeros(known - k, int), core])
    extension = encoder.pcm[4 * z :, : head.size] @ head % 2
    assert np.array_equal(sent[k + 2 * z :], extension[: n - k - 2 * z])
    word = np.concatenate([bits, np.full(known - k, -1), core, extension.astype(int)])[2 * z :]
    if graph == 1 or known > 640:
        block = np.concatenate([bits, np.full(known - k, -1)])[:, None]
        assert np.array_equal(word, np.asarray(nrLDPCEncode(block, graph))[:, 0])
    return word


def top_k(graph: int, z: int) -> int:
    """The most bits that the standard codes with lifting size z, less two, for fillers; at least Sionna's 12."""
    if graph == 1:
        return 22 * z - 2
    if z == 2:
        return 12
    smaller = max([s for s in LIFTING if s < z], default=0)
    for columns, low, high in ((10, 641, 3840), (9, 561, 640), (8, 193, 560), (6, 1, 192)):
        k = min(columns * z - 2, high)
        if k >= low and columns * smaller < k:
            return k
    raise ValueError(z)


def record_coding() -> dict:
    from py3gpp import nrCodeBlockSegmentLDPC, nrCRCEncode, nrRateMatchLDPC

    mother = []
    for graph in (1, 2):
        for z in LIFTING:
            k = top_k(graph, z)
            word = mother_word(k, graph, z)
            sent = word[word >= 0]
            mother.append({"graph": graph, "z": z, "k": k, "n": int(sent.size), "sha": digest(sent)})

    matched = []
    names = {2: "QPSK", 4: "16QAM", 6: "64QAM", 8: "256QAM"}
    for graph, z, k in ((1, 24, 500), (1, 384, 8448), (2, 26, 150), (2, 104, 1024), (2, 384, 3840)):
        word = mother_word(k, graph, z)
        for order in (2, 4, 6, 8):
            for version in range(4):
                for rate in (0.9, 0.6, 0.15):  # 0.15 repeats the circular buffer
                    n = int(k / rate / 24) * 24 + 24
                    out = np.asarray(nrRateMatchLDPC(word[:, None], n, version, names[order], 1)).ravel()
                    matched.append(
                        {
                            "graph": graph,
                            "k": k,
                            "n": n,
                            "order": order,
                            "version": version,
                            "sha": digest(out),
                        }
                    )

    checks = [
        {
            "kind": kind,
            "bits": count,
            "sha": digest(np.asarray(nrCRCEncode(bits_for(f"k{count}", count), kind)).ravel()),
        }
        for kind in ("24A", "24B", "24C", "16", "11", "6")
        for count in (1, 7, 100, 4001)
    ]
    segments = []
    for graph in (1, 2):
        for size in (20, 292, 3824, 3842, 8448, 8454, 12348, 40040):
            blocks = np.asarray(nrCodeBlockSegmentLDPC(bits_for(f"k{size}", size), graph))
            parts = [digest(blocks[blocks[:, i] >= 0, i]) for i in range(blocks.shape[1])]
            segments.append({"graph": graph, "bits": size, "k": int((blocks[:, 0] >= 0).sum()), "sha": parts})
    return {"mother": mother, "matched": matched, "crc": checks, "segments": segments}


def record_bler(blocks: int) -> list:
    import tensorflow as tf
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    rng = np.random.default_rng(2024)
    curves = []
    for k, n, rule, schedule, iterations, points in CURVES:
        encoder = LDPC5GEncoder(k, n)
        decoder = LDPC5GDecoder(encoder, cn_update=rule, cn_schedule=schedule, num_iter=iterations)
        decode = tf.function(decoder) if schedule == "flooding" else decoder
        rates = []
        for point in points:
            errors = 0
            for _ in range(blocks // 500):
                bits = rng.integers(0, 2, (500, k)).astype(np.float32)
                sigma = np.sqrt(0.5 * 10 ** (-point / 10))
                received = 1 - 2 * np.asarray(encoder(bits)) + sigma * rng.normal(size=(500, n))
                llr = (2 * received / sigma**2).astype(np.float32)
                errors += int(
                    np.any(np.asarray(decode(-llr)) != bits, axis=1).sum()
                )  # Sionna: log P(1) / P(0)
            rates.append(errors / (blocks // 500 * 500))
            print(k, n, rule, schedule, point, rates[-1], flush=True)
        curves.append({"k": k, "n": n, "rule": rule, "schedule": schedule, "iterations": iterations,
                       "blocks": blocks // 500 * 500, "snr_db": points, "bler": rates})  # fmt: skip
    return curves


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=6000, help="codewords a point of a block error curve")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "coding.json").write_text(
        json.dumps(record_coding(), separators=(",", ":")).replace("},", "},\n")
    )
    (args.out / "bler.json").write_text(json.dumps(record_bler(args.blocks), indent=1) + "\n")


if __name__ == "__main__":
    main()
