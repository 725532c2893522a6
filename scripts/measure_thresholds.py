"""Measure at which SNR each modulation and code rate starts to work, and write semjax/channel/thresholds.py.

    python scripts/measure_thresholds.py semjax/channel/thresholds.py [--blocks 256] [--fading rayleigh]

For each channel, scheme and block size the block error rate is measured at points 0.3 dB apart, from nearly always
wrong to nearly always right; a normal curve in dB is fitted by maximum likelihood. Channels that are not measured
keep the numbers that they have.
"""

import argparse
import math
import pathlib
from statistics import NormalDist

import jax
import numpy as np

from semjax.channel import DecoderConfig, LdpcCode, RadioConfig, demodulate, ldpc_encode, modulate, radio
from semjax.channel.mixed import ldpc_decode_mixed
from semjax.channel.modulation import bits_per_symbol
from semjax.channel.thresholds import THRESHOLDS

SIZES = (128, 512, 2048)
SCHEMES = (
    ("qpsk", 1, 8), ("qpsk", 1, 5), ("qpsk", 1, 3), ("qpsk", 1, 2), ("qpsk", 2, 3), ("qpsk", 3, 4), ("qpsk", 5, 6),
    ("16qam", 1, 2), ("16qam", 2, 3), ("16qam", 3, 4), ("16qam", 5, 6), ("64qam", 2, 3), ("64qam", 3, 4),
    ("64qam", 5, 6), ("256qam", 3, 4), ("256qam", 5, 6),
)  # fmt: skip
STEP_DB = 0.3
RADIOS = {"none": RadioConfig(), "rayleigh": RadioConfig("rayleigh", coherence=1)}
HEADER = '''\
"""Measured thresholds of the schemes that the chooser picks from; written by scripts/measure_thresholds.py.

For AWGN ("none") and Rayleigh fading with a known gain of its own for each symbol ("rayleigh"); exact LLRs,
sum-product, layered, 20 iterations, points 0.3 dB apart with {blocks} blocks each. For each scheme
(modulation, k, n) and size in SIZES (bits of a code block): the Es/N0 in dB at which half of the blocks fail, and
the standard deviation in dB of the normal curve that the block error rate follows around it.
"""

SIZES = {sizes}
THRESHOLDS = {{
'''


def error_rate(key, code, modulation, snr_db, radio_cfg, blocks):
    """Block error rate of `blocks` random blocks."""
    bits_key, radio_key = jax.random.split(key)
    bits = np.asarray(jax.random.bernoulli(bits_key, shape=(blocks, code.k))).astype(np.uint8)
    got = radio(radio_key, modulate(ldpc_encode(bits, code), modulation), snr_db, radio_cfg)
    llr = np.asarray(demodulate(got.symbols, got.noise, modulation, gain=got.gain))
    decoded = ldpc_decode_mixed(list(llr), [code] * blocks, DecoderConfig())
    return np.mean([np.any(word != sent) for (word, _), sent in zip(decoded, bits)])


def curve(key, code, modulation, radio_cfg, blocks):
    """[(SNR, block error rate)] across the waterfall, found in coarse steps from Shannon's limit upwards."""
    point = (
        math.floor(10 * math.log10(2 ** (bits_per_symbol(modulation) * code.rate) - 1) / STEP_DB) * STEP_DB
    )
    while error_rate(key, code, modulation, point + 3 * STEP_DB, radio_cfg, 32) > 0.95:
        point += 3 * STEP_DB
    points = []
    while not points or points[-1][1] > 0.02:
        key, run = jax.random.split(key)
        point += STEP_DB
        points.append((point, error_rate(run, code, modulation, point, radio_cfg, blocks)))
    return points


def fit(points, blocks):
    """(middle, width) of the normal curve that makes the counted errors likeliest."""
    snr = np.array([p for p, _ in points])
    wrong = np.array([r for _, r in points]) * blocks
    cdf = np.vectorize(NormalDist().cdf)
    best = (-np.inf, 0.0, 0.0)
    for middle in np.arange(snr[0] - 1.0, snr[-1] + 0.5, 0.02):
        for width in np.arange(0.1, 4.0, 0.02):
            p = np.clip(cdf((middle - snr) / width), 1e-9, 1 - 1e-9)
            best = max(
                best, (float(np.sum(wrong * np.log(p) + (blocks - wrong) * np.log1p(-p))), middle, width)
            )
    return round(float(best[1]), 2), round(float(best[2]), 2)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=256)
    parser.add_argument("--fading", nargs="+", choices=tuple(RADIOS), default=tuple(RADIOS))
    args = parser.parse_args()
    text = HEADER.format(blocks=args.blocks, sizes=SIZES)
    for fading in RADIOS:
        text += f'    "{fading}": {{\n'
        for modulation, k, n in SCHEMES:
            if fading not in args.fading:
                text += f'        ("{modulation}", {k}, {n}): {THRESHOLDS[fading][modulation, k, n]},\n'
                continue
            order = bits_per_symbol(modulation)
            fits = []
            for size in SIZES:
                code = LdpcCode(size, -(-size * n // (k * order)) * order, bits_per_symbol=order)
                points = curve(jax.random.key(size * n + k), code, modulation, RADIOS[fading], args.blocks)
                fits.append(fit(points, args.blocks))
                print(fading, modulation, k, n, size, np.round(points, 3).tolist(), fits[-1], flush=True)
            text += f'        ("{modulation}", {k}, {n}): {tuple(fits)},\n'
        text += "    },\n"
    args.out.write_text(text + "}\n")


if __name__ == "__main__":
    main()
