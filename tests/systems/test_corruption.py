"""Every single-byte corruption of a small stream ends in a clip or in the error, soon and in little memory."""

import dataclasses
import resource
import time

import numpy as np

import semjax as sj
from semjax import stream as sm
from semjax.errors import StreamError
from semjax.systems.receiver import conditions


def small_stream(disc):
    frames, labels = disc
    cfg = sj.systems.causal.SenderConfig(bitrate=6000, period=6)
    return sm.pack(sj.encode(frames[:, ::2, ::2], labels=labels[:, ::2, ::2], fps=12, cfg=cfg))


def check(stream, frames):
    steps = list(conditions(stream))
    assert sum(len(s.labels) for s in steps) == frames
    return steps


def test_every_byte(disc):
    data = small_stream(disc)
    check(sm.unpack(data), 12)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused, slowest = 0, 0.0
    for at in range(len(data)):
        for change in (0x01, 0x10, 0xFF):
            broken = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
            start = time.perf_counter()
            try:
                check(sm.unpack(broken), 12)
            except StreamError:
                refused += 1
            slowest = max(slowest, time.perf_counter() - start)
    header, _ = sm.split(data)
    assert refused == 3 * len(header)  # a damaged header is refused, damaged packets are lived with
    assert slowest < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 2**20  # kibibytes: 1 GiB


def test_damage_that_passes_the_check(disc):
    """The check is eight bits: some damage reaches the layer decoders, which must live with it as well."""
    stream = sm.unpack(small_stream(disc))
    rng = np.random.default_rng(3)
    for layer, units in stream.units.items():
        for unit, payload in units.items():
            for at in range(0, len(payload), max(1, len(payload) // 40)):
                broken = bytearray(payload)
                broken[at] ^= int(rng.integers(1, 256))
                changed = {**stream.units, layer: {**units, unit: bytes(broken)}}
                check(dataclasses.replace(stream, units=changed), 12)


def test_painting_goes_on_after_damage(disc):
    data = small_stream(disc)
    header, _ = sm.split(data)
    for at in range(len(header), len(data), max(1, len(data) // 25)):
        broken = data[:at] + bytes([data[at] ^ 0x21]) + data[at + 1 :]
        assert sj.decode(sm.unpack(broken)).shape == (12, 24, 32, 3)
