"""The decisions of docs/texture.md in plain Python integers: what the second texture decoder reads with."""

import math


def clamp(x, a, b):
    return min(max(x, a), b)


SQUASH = [clamp(round(65536 / (1 + math.exp(-x / 256))), 1, 65535) for x in range(-2880, 2881)]
STRETCH = [0] + [round(256 * math.log(p / (65536 - p))) for p in range(1, 65536)]


def stretch(p):
    q = min(p, 65536 - p)
    s = STRETCH[q] if q < 2048 else STRETCH[16 * (q >> 4) + 8] if q < 32768 else 0
    return -s if p > 32768 else s


class Bits:
    """A range-coded string and the models of a unit."""

    def __init__(self, start):
        bits, weights, *_ = start.levels
        self.tables, self.weights = [int(v) for v in bits], weights.astype(object).tolist()
        self.motion, self.blocks = ([int(v) for v in m] for m in (start.motion, start.blocks))

    def open(self, data):
        self.data, self.at, self.range = data, 6, 1 << 48
        self.value = int.from_bytes(data[:6].ljust(6, b"\0"), "big")

    def take(self, p):
        part = (self.range >> 16) * p
        bit = self.value < part
        self.range, self.value = (part, self.value) if bit else (self.range - part, self.value - part)
        while self.range < 1 << 40:
            self.range <<= 8
            self.value = self.value << 8 | (self.data[self.at] if self.at < len(self.data) else 0)
            self.at += 1
        return int(bit)

    @staticmethod
    def predict(model):
        return clamp(model >> 16, 1, 65535)

    @staticmethod
    def teach(models, i, bit, limit):
        p, n = models[i] >> 10, models[i] & 1023
        r = 131072 // (2 * n + 3)
        p = min(p + (((2**22 - p) * r + 65535) >> 16), 2**22 - 1) if bit else p - ((p * r + 65535) >> 16)
        models[i] = p << 10 | (n + 1 if n < limit else n)

    def plain(self, models, i, limit=120):
        bit = self.take(self.predict(models[i]))
        self.teach(models, i, bit, limit)
        return bit

    def mixed(self, s, contexts):
        at = [8192 * k + c for k, c in enumerate(contexts)]
        x = [stretch(self.predict(self.tables[i])) for i in at]
        w = self.weights[s]
        p = SQUASH[clamp((sum(a * b for a, b in zip(w, x)) + 32768) >> 16, -2880, 2880) + 2880]
        bit = self.take(p)
        error = (65536 * bit - p) * 5
        self.weights[s] = [clamp(a + ((b * error + 2**19) >> 20), -(2**20), 2**20) for a, b in zip(w, x)]
        for i in at:
            self.teach(self.tables, i, bit, 400)
        return bit

    def number(self, models, base, limit):
        e = 0
        while e < 24 and self.plain(models, base + e, limit):
            e += 1
        w = 1
        for k in range(e):
            w = 2 * w + (self.plain(models, base + 23 + e, limit) if k == 0 else self.take(32768))
        return w - 1

    def signed(self, models, base, limit):
        v = self.number(models, base, limit)
        return -v if v and self.plain(models, base + 48, limit) else v

    def difference(self, base):
        e = 0
        while e < 12 and self.plain(self.motion, base + e):
            e += 1
        w = 1
        for t in range(e):
            w = 2 * w + self.plain(self.motion, base + 16 + 4 * min(e, 3) + (t if t < 2 else 3))
        return -(w - 1) if w > 1 and self.plain(self.motion, base + 40) else w - 1


def basis(n):
    scale = [math.sqrt((1 if k == 0 else 2) / n) * 8192 for k in range(n)]
    return [
        [round(scale[k] * math.cos(math.pi * k * (2 * i + 1) / (2 * n))) for i in range(n)] for k in range(n)
    ]


def transform(x, inverse=False):
    h, w = len(x), len(x[0])
    a, b = basis(h), basis(w)
    if inverse:
        a, b = [list(c) for c in zip(*a)], [list(c) for c in zip(*b)]
    rows = [[sum(a[k][i] * x[i][j] for i in range(h)) for j in range(w)] for k in range(h)]
    return [[(sum(b[f][j] * r[j] for j in range(w)) + 2**25) >> 26 for f in range(w)] for r in rows]
