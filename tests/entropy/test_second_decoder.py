"""A second caption decoder, written from docs/entropy.md in plain Python integers: it must read our payloads."""

import math
from pathlib import Path

import pytest

from semjax.entropy.text import PRIOR, decode_text, encode_text

TEXTS = ["A small dog carries a red ball across the wet lawn.", "Zwei Katzen 🐈 schlafen.", "OK"]


def _clamp(x, a, b):
    return min(max(x, a), b)


SQUASH = [_clamp(round(65536 / (1 + math.exp(-x / 256))), 1, 65535) for x in range(-2880, 2881)]
STRETCH = [0] + [round(256 * math.log(p / (65536 - p))) for p in range(1, 65536)]
RECIPROCAL = [131072 // (2 * n + 3) for n in range(1024)]


def _squash(x):
    return SQUASH[_clamp(x, -2880, 2880) + 2880]


def _stretch(p):
    q = min(p, 65536 - p)
    s = STRETCH[q] if q < 2048 else STRETCH[16 * (q >> 4) + 8] if q < 32768 else 0
    return -s if p > 32768 else s


def _hash(a, c):
    x = ((a * 0x2545F4914F6CDD1D + c + 1) * 0x9E3779B97F4A7C1) % 2**64
    x -= 2**64 if x >= 2**63 else 0
    return (x ^ (x >> 29)) & (2**62 - 1)


def _predict(model):
    return _clamp(model[0] >> 6, 1, 65535)


def _teach(model, bit, limit):
    p, n = model
    if bit:
        p = min(p + (((2**22 - p) * RECIPROCAL[n] + 65535) >> 16), 2**22 - 1)
    else:
        p -= (p * RECIPROCAL[n] + 65535) >> 16
    model[:] = p, min(n + 1, max(limit, n))


class _Coder:
    def __init__(self, payload):
        self.data, self.at, self.range = payload, 6, 1 << 48
        self.value = int.from_bytes(payload[:6].ljust(6, b"\0"), "big")

    def bit(self, p):
        split = (self.range >> 16) * _clamp(p, 1, 65535)
        bit = self.value < split
        self.range = split if bit else self.range - split
        self.value -= 0 if bit else split
        while self.range < 1 << 40:
            self.range <<= 8
            self.value = self.value << 8 | (self.data[self.at] if self.at < len(self.data) else 0)
            self.at += 1
        return int(bit)


class _Store:
    def __init__(self, places):
        self.keys, self.lines = [0] * places, [None] * places

    def place(self, key):
        a = key % len(self.keys)
        for k in (a, a ^ 1):
            if self.keys[k] == key:
                return k
        used = [self.lines[k][1][1] if self.lines[k] else 0 for k in (a, a ^ 1)]
        return a if used[0] <= used[1] else a ^ 1


def _fresh_line():
    return [[2**21, 0] for _ in range(16)]


class _Mixer:
    def __init__(self, inputs, weight):
        self.sets, self.start = {}, [weight] * inputs

    def predict(self, chosen, inputs):
        self.weights, self.inputs = self.sets.setdefault(chosen, list(self.start)), list(inputs)
        total = sum(w * x for w, x in zip(self.weights, inputs, strict=True))
        self.out = _clamp((total + 32768) >> 16, -2880, 2880)
        return self.out

    def learn(self, bit, rate):
        error = (65536 * bit - _squash(self.out)) * rate
        for k, x in enumerate(self.inputs):
            self.weights[k] = _clamp(self.weights[k] + ((x * error + 2**19) >> 20), -(2**20), 2**20)


class _Model:
    """Everything that is not a line, and one text at a time."""

    def __init__(self):
        self.nodes = [[2**21, 0] for _ in range(256)]
        self.maps = {}
        self.a, self.b, self.c = _Mixer(11, 19661), _Mixer(11, 19661), _Mixer(2, 32768)
        self.knots = {}

    def text(self, coder, own, base, rate, most):
        out, past, word, previous, gap, length, first = bytearray(), 0xFF, 0, 0, 0, 0, 1
        while True:
            last = past & 255
            between = 0 if length else last
            h = [_hash(k + 1, past & (256 ** (k + 1) - 1)) for k in range(5)]
            h += [_hash(_hash(6, word), between), _hash(_hash(7, word), previous + between)]
            h += [_hash(_hash(8, gap), last + 256 * first), _hash(_hash(9, word), gap)]
            byte = self.byte(coder, own, base, rate, h, last, length)
            if byte == 0xFF:
                return bytes(out)
            assert len(out) < most
            out.append(byte)
            past = (past << 8 | byte) & (2**56 - 1)
            letter = byte + 32 if 65 <= byte <= 90 else byte if 97 <= byte <= 122 or byte >= 128 else 0
            if letter:
                word, length = _hash(word + 1, letter), length + 1
            else:
                if length:
                    previous, first = word, 0
                word, length, gap = 0, 0, _hash(0 if byte == 32 else gap, byte)

    def byte(self, coder, own, base, rate, h, last, length):
        node, places = 1, []
        for b in range(8):
            if b in (0, 4):
                places = []
                for value in h:
                    key = _hash(value, node if b else 0)
                    k = own.place(key)
                    if own.keys[k] != key:
                        own.keys[k] = key
                        there = base.place(key) if base else 0
                        known = base and base.keys[there] == key and there != k
                        own.lines[k] = [list(m) for m in base.lines[there]] if known else _fresh_line()
                    places.append(k)
            inner = node if b < 4 else 2 ** (b - 4) | node & (2 ** (b - 4) - 1)
            models = [own.lines[k][inner] for k in places]
            bit = self.decision(coder, rate, models, node, b, last, length)
            node = 2 * node + bit
        return node & 255

    def decision(self, coder, rate, models, node, b, last, length):
        inputs, entries = [], []
        for k, model in enumerate(models):
            n = model[1]
            if not n:
                inputs.append(0)
                entries.append(None)
                continue
            level = (_stretch(_predict(model)) + 3000) // 240
            c = n if n < 6 else 5 + sum(n >= edge for edge in (6, 8, 12, 24, 48, 200))
            entry = self.maps.setdefault((k, c, level), [64 * _squash(240 * (level - 12)), 0])
            entries.append(entry)
            inputs.append(_stretch(_predict(entry)))
        inputs += [_stretch(_predict(self.nodes[node])), 256]
        s = max([k + 1 for k in range(5) if entries[k]], default=0)
        s += 6 * bool(entries[5]) + 12 * bool(entries[6])
        outs = [
            self.a.predict(8 * s + b, inputs),
            self.b.predict(64 * min(length, 15) + 8 * b + (0 if length else last >> 5), inputs),
        ]
        x = self.c.predict(node, outs)
        spot = (0x9E5 * last + 0x3D * node) & 4095
        knots = self.knots.setdefault(spot, [_squash(180 * (k - 16)) for k in range(33)])
        y = x + 2880
        k = min(y // 180, 31)
        r = y - 180 * k
        refined = _clamp((knots[k] * (180 - r) + knots[k + 1] * r) // 180, 1, 65535)
        bit = coder.bit((_squash(x) + refined) >> 1)
        self.a.learn(bit, rate)
        self.b.learn(bit, rate)
        self.c.learn(bit, 4)
        k = (y + 90) // 180
        knots[k] += ((65520 if bit else 16) - knots[k]) >> 6
        _teach(self.nodes[node], bit, 1023)
        for model, entry in zip(models, entries, strict=True):
            _teach(model, bit, 255)
            if entry:
                _teach(entry, bit, 1023)
        return bit


@pytest.mark.slow
def test_a_decoder_from_the_page_reads_our_captions():
    import copy

    model, store, coder = _Model(), _Store(1 << 19), _Coder(Path(PRIOR).read_bytes())
    while model.text(coder, store, None, 6, 1 << 16):
        pass
    for text in TEXTS:
        payload = encode_text(text)
        got = copy.deepcopy(model).text(_Coder(payload), _Store(1 << 15), store, 4, 4096 + 64 * len(payload))
        assert got.decode("utf-8", "surrogatepass") == text == decode_text(payload)
