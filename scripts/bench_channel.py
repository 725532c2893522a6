"""Figures of docs/channel.md: decoder throughput against Sionna, what falls first, and the sweep against H.26x.

    python scripts/bench.py channel throughput [--reference PYTHON]   # a Python that has sionna 1.2 and TensorFlow
    python scripts/bench.py channel degradation [--seeds 20]
    python scripts/bench.py channel sweep CLIP... [--out DIR] [--channel awgn] [--cbr 1e-3] [--seeds 10] [--frames 60]
    python scripts/bench.py channel report DIR     # tables and plot of a sweep again

`sweep` writes sweep.jsonl (a line as each point ends), sweep.md and sweep.png into DIR; see scripts/link_sweep.py.
`throughput` runs both decoders on one machine in one run, in turns, so that what else runs there slows both.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

CASES = [(1024, 2048, 64), (3072, 9216, 16), (6144, 8192, 16)]  # k, n, codewords a batch
ITERATIONS = 20
ROUNDS = 7


def llrs(code_bits):
    """LLRs log P(0) / P(1) of a noisy BPSK channel, far below threshold, so that no decoder may stop early."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=code_bits.shape) * 2 + 0.5 * (1 - 2.0 * code_bits)).astype(np.float32)


def serve() -> None:
    """The reference's side: for each case and variant set up, then time one call for each line read."""
    import tensorflow as tf
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    for k, n, batch in CASES:
        encoder = LDPC5GEncoder(k, n)
        values = tf.constant(-llrs(np.zeros((batch, n))))
        for rule in ("boxplus", "boxplus-phi", "minsum"):
            for xla in (False, True):
                decoder = LDPC5GDecoder(encoder, cn_update=rule, num_iter=ITERATIONS)
                decode = tf.function(decoder, jit_compile=xla)
                decode(values)
                answer_calls(lambda decode=decode, values=values: decode(values).numpy())


def answer_calls(call) -> None:
    """For each line "go" print wall and processor seconds of one call; end at any other line."""
    print("ready", flush=True)
    while sys.stdin.readline().strip() == "go":
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        print("took", time.perf_counter() - wall, time.process_time() - cpu, flush=True)


class Reference:
    """The other process, one variant at a time."""

    def __init__(self, python: str):
        command = [python, str(pathlib.Path(__file__).resolve()), "serve"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def expect(self, word: str) -> list[str]:
        """The rest of the next line that begins with `word`."""
        for line in self.process.stdout:
            if line.startswith(word):
                return line.split()[1:]
        raise SystemExit("the reference stopped; does its Python have sionna and tensorflow?")

    def call(self) -> tuple[float, float]:
        """Wall and processor seconds of one call of the current variant."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        wall, cpu = self.expect("took")
        return float(wall), float(cpu)

    def next_variant(self) -> None:
        """Set up the next variant."""
        self.process.stdin.write("next\n")
        self.process.stdin.flush()


def throughput(python: str | None) -> None:
    import jax

    from semjax.channel import DecoderConfig, LdpcCode, ldpc_decode

    reference = Reference(python) if python else None
    for k, n, batch in CASES:
        values = jax.numpy.asarray(llrs(np.zeros((batch, n))))
        code = LdpcCode(k, n)
        ours = {}
        for name in ("sum-product flooding", "sum-product layered", "min-sum flooding", "min-sum layered"):
            cfg = DecoderConfig(*name.split(), iterations=ITERATIONS)
            ours[name] = lambda cfg=cfg, code=code, values=values: ldpc_decode(
                values, code, cfg
            ).bits.block_until_ready()
            assert not np.any(ldpc_decode(values, code, cfg).ok), "meant not to decode"
        best = {name: (np.inf, np.inf) for name in ours}
        variants = [
            f"Sionna {rule}{xla}" for rule in ("boxplus", "boxplus-phi", "minsum") for xla in ("", " XLA")
        ]
        for variant in variants if reference else ["alone"]:
            if reference:
                reference.expect("ready")
            best[variant] = (np.inf, np.inf)
            for _ in range(ROUNDS):
                if reference:
                    best[variant] = tuple(map(min, best[variant], reference.call()))
                for name, call in ours.items():
                    wall, cpu = time.perf_counter(), time.process_time()
                    call()
                    spent = time.perf_counter() - wall, time.process_time() - cpu
                    best[name] = tuple(map(min, best[name], spent))
            if reference:
                reference.next_variant()
        print(f"k {k} n {n} batch {batch}, {ITERATIONS} iterations: Mbit/s by wall clock, by processor time")
        for name, (wall, cpu) in best.items():
            if np.isfinite(wall):
                print(f"  {name:24s} {batch * k / wall / 1e6:8.2f} {batch * k / cpu / 1e6:8.2f}", flush=True)


def degradation(seeds: int) -> None:
    import dataclasses

    import jax

    from semjax.channel import LinkConfig, transmit_packets

    rng = np.random.default_rng(0)
    packets = [rng.bytes(int(n)) for n in rng.integers(20, 80, 60)]
    classes = [0] * 10 + [1] * 20 + [2] * 30
    for channel in ("awgn", "rayleigh"):
        cfg = LinkConfig(channel, design_snr_db=8.0 if channel == "awgn" else 2.0)
        flat = dataclasses.replace(cfg, protection=(0.0,) * 4)
        for name, setting in (("unequal", cfg), ("equal", flat)):
            for snr in range(-2, 14, 2):
                run = dataclasses.replace(setting, snr_db=float(snr))
                ledgers = [
                    transmit_packets(jax.random.key(s), packets, classes, run)[1] for s in range(seeds)
                ]
                shares = np.mean([ledger.lost_by_class for ledger in ledgers], axis=0)[:3] / (10, 20, 30)
                print(
                    f"{channel} {name:8s} {snr:3d} dB  lost {np.round(shares, 3)}  symbols {ledgers[0].symbols}",
                    flush=True,
                )


def sweep(args) -> None:
    import link_sweep

    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / "sweep.jsonl", "a") as log:
        for folder in args.clips:
            clip = link_sweep.Clip.read(folder, args.frames)
            for row in link_sweep.sweep(clip, args.channel, args.cbr, args.snr, args.seeds, args.cases):
                print(json.dumps(row), file=log, flush=True)
                print(
                    row["clip"], row["case"], row["system"], row["snr"], row["bytes"], row["psnr"], flush=True
                )
    report(args.out)


def report(folder: pathlib.Path) -> None:
    import link_sweep

    rows = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    text = ""
    for clip, case in dict.fromkeys((row["clip"], row["case"]) for row in rows):
        here = [row for row in rows if (row["clip"], row["case"]) == (clip, case)]
        for measure in ("psnr", "ms_ssim", "gmsd", "bytes", "symbols"):
            text += f"### {clip}, {case}: {measure}\n\n{link_sweep.table(here, measure)}\n\n"
    (folder / "sweep.md").write_text(text)
    link_sweep.plot(rows, folder / "sweep.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whats = parser.add_subparsers(dest="what", required=True)
    whats.add_parser("serve")
    part = whats.add_parser("throughput")
    part.add_argument("--reference", help="Python with sionna and tensorflow")
    part = whats.add_parser("degradation")
    part.add_argument("--seeds", type=int, default=20)
    part = whats.add_parser("sweep")
    part.add_argument(
        "clips", nargs="+", type=pathlib.Path, help="folders with video.mp4 or frames/, perhaps labels/"
    )
    part.add_argument("--out", type=pathlib.Path, default=pathlib.Path("sweep-out"))
    part.add_argument("--channel", choices=("awgn", "rayleigh"), default="awgn")
    part.add_argument("--cbr", type=float, default=1e-3)
    part.add_argument("--snr", type=float, nargs="+", default=list(range(-2, 21, 2)))
    part.add_argument("--seeds", type=int, default=10)
    part.add_argument("--frames", type=int, default=60)
    part.add_argument("--cases", nargs="+", choices=("adapted", "fixed"), default=["adapted", "fixed"])
    part = whats.add_parser("report")
    part.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    if args.what == "serve":
        serve()
    elif args.what == "throughput":
        throughput(args.reference)
    elif args.what == "degradation":
        degradation(args.seeds)
    elif args.what == "sweep":
        sweep(args)
    else:
        report(args.out)


if __name__ == "__main__":
    main()
