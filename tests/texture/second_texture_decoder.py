"""A second texture decoder, written from docs/texture.md in plain Python integers."""

import numpy as np
from second_texture_bits import Bits, clamp, transform

from semjax.texture import tables, unit

QUARTERS = [
    [0, 0, 0, 64, 0, 0, 0, 0],
    [-1, 4, -10, 58, 17, -5, 1, 0],
    [-1, 4, -11, 40, 40, -11, 4, -1],
    [0, 1, -5, 17, 58, -10, 4, -1],
]
EIGHTHS = [[0, 64, 0, 0], [-2, 58, 10, -2], [-4, 54, 16, -2], [-6, 46, 28, -4], [-4, 36, 36, -4]]
EIGHTHS += [row[::-1] for row in EIGHTHS[3:0:-1]]


def read(plane, y, x, vy, vx, taps):
    """One sample of a reference between its samples."""
    n, size = len(taps), len(taps[0])
    first = size // 2 - 1
    h, w = len(plane), len(plane[0])
    y, x = y + vy // n, x + vx // n
    lines = []
    for k in range(size):
        row = plane[clamp(y + k - first, 0, h - 1)]
        lines.append(
            (sum(t * row[clamp(x + j - first, 0, w - 1)] for j, t in enumerate(taps[vx % n])) + 32) >> 6
        )
    return (sum(t * v for t, v in zip(taps[vy % n], lines)) + 32) >> 6


def grade(v):
    return v if v < 3 else 2 + sum(v >= edge for edge in (3, 5, 8, 15))


def strong(v, step):
    v, n = 2 * v, 0
    while v >= step and n < 7:
        v, n = v >> 1, n + 1
    return n


def cuts(n):
    c = max(1, (2 * n + 16) // 32)
    return [n * k // c for k in range(c + 1)]


class Decoder:
    """One unit."""

    def __init__(self, head):
        self.h, self.w, self.makes = head.height, head.width, head.makes
        self.sizes = [(self.h, self.w)] + 2 * [((self.h + 1) // 2, (self.w + 1) // 2)]
        self.bits = Bits(tables.trained())
        self.memory, self.seen = {}, {}
        self.before = [[[0] * w for _ in range(h)] for h, w in self.sizes]

    def frame(self, plan, step):
        self.step, self.klass = step, plan.klass
        self.planes = [[[0] * w for _ in range(h)] for h, w in self.sizes]
        self.levels = [[[0] * w for _ in range(h)] for h, w in self.sizes]
        velocity = None
        if plan.klass:
            refs = [r for r in (plan.first, plan.second) if r >= 0]
            d = [plan.frame - r for r in refs] + [0]
            hints = [self.memory[r][1] for r in refs if self.memory[r][1]]
            if self.makes and plan.klass > 1:
                joint = self.joint_motion(*refs).items()
                hints = [{at: [16 * v // (refs[1] - refs[0]) for v in move] for at, move in joint}]
            field = self.motion(d[0], d[1], hints[-1] if hints else None)
            planes = [self.memory[r][0] for r in refs]
            self.inter = [self.predict(p, field, planes) for p in range(3)]
            velocity = {at: self.velocity(f, d[0], d[1]) for at, f in field.items()}
        ys, xs = cuts(self.h), cuts(self.w)
        self.split, self.modes = {}, {}
        leaves = []
        for i in range(len(ys) - 1):
            for j in range(len(xs) - 1):
                leaves += self.square(i, j, ys[i], ys[i + 1], xs[j], xs[j + 1])
        self.smooth(leaves)
        if plan.klass:
            self.before = self.levels
        self.memory[plan.frame] = self.planes, velocity
        return self.planes

    # made frames

    def vectors(self, at, move, part, gap):
        back = [v * part // gap for v in move]
        both = [-v for v in back] + [v - e for v, e in zip(move, back)]
        return [self.limit(v, 8 * at[k % 2], (self.h, self.w)[k % 2]) for k, v in enumerate(both)]

    def made(self, a, b):
        """The planes of all frames between two."""
        joint, refs = self.joint_motion(a, b), [self.memory[r][0] for r in (a, b)]
        g = b - a
        for k in range(1, g):
            fields = [
                {at: (way, *self.vectors(at, move, k, g)) for at, move in joint.items()} for way in (0, 1)
            ]
            planes = [[self.predict(p, field, refs)[0] for field in fields] for p in range(3)]
            mixed = [
                [[(u * (g - k) + v * k + g // 2) // g for u, v in zip(*rows)] for rows in zip(*both)]
                for both in planes
            ]
            yield a + k, mixed

    def joint_motion(self, a, b):
        rows, cols = -(-self.h // 8), -(-self.w // 8)
        order = [(i, j) for i in range(rows) for j in range(cols)]
        joint = dict.fromkeys(order, (0, 0))
        for sweep, r in enumerate((16, 8, 4, 2, 1)):
            for i, j in order[:: -1 if sweep % 2 else 1]:
                around = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
                tries = [joint[i, j]] + [joint[at] for at in around if at in joint] + [(0, 0)]
                y, x = min(tries, key=lambda move: self.unlike(a, b, (i, j), move, joint))
                tries = [(y, x), (y + r, x), (y - r, x), (y, x + r), (y, x - r)]
                joint[i, j] = min(tries, key=lambda move: self.unlike(a, b, (i, j), move, joint))
        return joint

    def unlike(self, a, b, at, move, joint):
        """What a block's motion costs."""
        i, j = at
        v, total, n = self.vectors(at, move, 1, 2), 0, 0
        for y in range(max(8 * i - 4, 0), min(8 * i + 12, self.h)):
            for x in range(max(8 * j - 4, 0), min(8 * j + 12, self.w)):
                one, two = self.sample(a, y, x, v[0], v[1]), self.sample(b, y, x, v[2], v[3])
                total, n = total + abs(one - two), n + 1
        near = [joint[o] for o in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)) if o in joint]
        off = sum(min(abs(move[0] - o[0]) + abs(move[1] - o[1]), 64) for o in near)
        return total + 80 * off * n // 256

    def sample(self, t, y, x, vy, vx):
        """Brightness of a reference between its samples, each place read once."""
        key = t, 4 * y + vy, 4 * x + vx
        if key not in self.seen:
            self.seen[key] = read(self.memory[t][0][0], y, x, vy, vx, QUARTERS)
        return self.seen[key]

    # motion

    def limit(self, v, at, size):
        return clamp(v, 4 * (8 - 16 - at), 4 * (size - at + 2))

    def candidates(self, field, i, j, d0, d1, hint):
        found = []
        tries = [field[at] for at in ((i, j - 1), (i - 1, j), (i - 1, j + 1)) if at in field]
        for vy, vx in ([hint[i, j]] if hint else []) + [(0, 0)]:
            vectors = [(-v * d + 8) >> 4 for d in (d0, d1) for v in (vy, vx)]
            tries.append((2 if d1 else 0, *vectors))
        for way, a, b, c, d in tries:
            v = [self.limit(a, 8 * i, self.h), self.limit(b, 8 * j, self.w)]
            v += [self.limit(c, 8 * i, self.h), self.limit(d, 8 * j, self.w)]
            used = slice(0, 2) if way == 0 else slice(2, 4) if way == 1 else slice(0, 4)
            if all((way, v[used]) != (o[0], list(o[1:])[used]) for o in found) and len(found) < 4:
                found.append((way, *v))
        return found

    def motion(self, d0, d1, hint):
        field, taken, bits, m, kk = {}, {}, self.bits, self.bits.motion, self.klass
        for i in range(-(-self.h // 8)):
            for j in range(-(-self.w // 8)):
                found = self.candidates(field, i, j, d0, d1, hint)
                left = int(taken[i, j - 1] == 0) if j else 2
                up = int(taken[i - 1, j] == 0) if i else 2
                if bits.plain(m, (3 * kk + left) * 3 + up):
                    k = 0
                    while k < len(found) - 1 and bits.plain(m, 64 + (4 * kk + k) * 4 + min(len(found), 3)):
                        k += 1
                    taken[i, j], field[i, j] = k, found[k]
                    continue
                way, (c, *p) = 0, found[0]
                if d1:
                    way = 2 if bits.plain(m, 128 + 8 * kk + c) else bits.plain(m, 192 + 8 * kk + c)
                first, second = p[:2], p[2:]
                if c == 1:
                    first = [v * d0 // d1 for v in second]
                elif c == 0 and d1:
                    second = [v * d1 // d0 for v in first]
                out = [0, 0, 0, 0]
                base = 256 + 192 * kk
                if way != 1:
                    out[:2] = self.vector(first, base, i, j)
                if way == 2:
                    second = [v * d1 // d0 for v in out[:2]]
                if way:
                    out[2:] = self.vector(second, base + 96 if way == 2 else base, i, j)
                taken[i, j], field[i, j] = -1, (way, *out)
        return field

    def vector(self, near, base, i, j):
        y = near[0] + self.bits.difference(base)
        x = near[1] + self.bits.difference(base + 48)
        return self.limit(y, 8 * i, self.h), self.limit(x, 8 * j, self.w)

    @staticmethod
    def velocity(entry, d0, d1):
        way, a, b, c, d = entry
        first = [-16 * v // d0 for v in (a, b)]
        second = [-16 * v // d1 for v in (c, d)] if way else None
        return first if way == 0 else second if way == 1 else [(p + q) >> 1 for p, q in zip(first, second)]

    def predict(self, p, field, refs):
        """(prediction, doubt) of one plane."""
        taps, block, r = (EIGHTHS, 4, 2) if p else (QUARTERS, 8, 4)
        h, w = self.sizes[p]

        def weight(x, k, size):
            first, end = k * block, min((k + 1) * block, size)
            v = 2 * (x - first) + 1 + 2 * r if first > 0 and x < first + r else 4 * r
            if end < size and x >= end - r:
                v = min(v, 2 * (end - x) - 1 + 2 * r)
            return max(v, 0) if max(first - r, 0) <= x < min(end + r, size) else 0

        out, doubt = ([[0] * w for _ in range(h)] for _ in range(2))
        for y in range(h):
            for x in range(w):
                total = off = 0
                for (i, j), (way, *v) in field.items():
                    weigh = weight(y, i, h) * weight(x, j, w)
                    if weigh:
                        a = read(refs[0][p], y, x, v[0], v[1], taps) if way != 1 else 0
                        b = read(refs[1][p], y, x, v[2], v[3], taps) if way else 0
                        total += weigh * (a + b if way == 2 else 2 * (a + b))
                        off += weigh * abs(a - b) if way == 2 else 0
                out[y][x] = (total + 16 * r * r) // (32 * r * r)
                doubt[y][x] = off // (16 * r * r)
        return out, doubt

    # squares and leaves

    def square(self, i, j, y0, y1, x0, x1):
        """Decode a square; returns its leaves: (plane, mode, y0, y1, x0, x1)."""
        left, up = self.split.get((i, j - 1), 0), self.split.get((i - 1, j), 0)
        split = self.split[i, j] = self.bits.plain(self.bits.blocks, 4 * self.klass + 2 * left + up)
        leaves = []
        ym, xm = y0 + (y1 - y0) // 2, x0 + (x1 - x0) // 2
        for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)] if split else [(0, 0)]:
            mode = self.mode(2 * i + a, 2 * j + b)
            area = ((y0, ym, y1)[a : a + 2] + (x0, xm, x1)[b : b + 2]) if split else (y0, y1, x0, x1)
            for cell in [(a, b)] if split else [(0, 0), (0, 1), (1, 0), (1, 1)]:
                self.modes[2 * i + cell[0], 2 * j + cell[1]] = mode
            leaves.append((0, mode, *area))
            self.leaf(*leaves[-1], split)
        half = [(v + 1) >> 1 for v in (y0, y1, x0, x1)]
        for p in (1, 2):
            leaves.append((p, self.modes[2 * i, 2 * j], *half))
            if half[0] < half[1] and half[2] < half[3]:
                self.leaf(*leaves[-1], 0)
        return leaves

    def mode(self, i, j):
        left, up = self.modes.get((i, j - 1), 1), self.modes.get((i - 1, j), 1)
        m, plain = self.bits.blocks, self.bits.plain
        if self.klass:
            near = int(j > 0 and left > 0) + int(i > 0 and up > 0)
            if not plain(m, 64 + 3 * self.klass + near):
                return 0
        b = 128 + 4 * (5 * max(left, 1) + max(up, 1))
        return 3 + plain(m, b + 1) if plain(m, b) else 1 + plain(m, b + 2)

    def within(self, p, mode, y0, y1, x0, x1):
        """Prediction of a leaf."""
        rec, h, w = self.planes[p], y1 - y0, x1 - x0
        if mode == 0:
            return [self.inter[p][0][y][x0:x1] for y in range(y0, y1)]
        up = rec[y0 - 1][x0:x1] if y0 else None
        left = [rec[y][x0 - 1] for y in range(y0, y1)] if x0 else None
        if mode == 3 and up:
            return [list(up) for _ in range(h)]
        if mode == 4 and left:
            return [[v] * w for v in left]
        if mode == 2 and up and left:
            return [[self.slope(left, up, y, x) for x in range(w)] for y in range(h)]
        near = (up or []) + (left or [])
        return [[(sum(near) + len(near) // 2) // len(near) if near else 0] * w for _ in range(h)]

    @staticmethod
    def slope(left, up, y, x):
        h, w = len(left), len(up)
        across, down = left[y] * (w - 1 - x) + up[-1] * (x + 1), up[x] * (h - 1 - y) + left[-1] * (y + 1)
        return (h * across + w * down + h * w) // (2 * h * w)

    def leaf(self, p, mode, y0, y1, x0, x1, small):
        h, w = y1 - y0, x1 - x0
        pred = self.within(p, mode, y0, y1, x0, x1)
        spectrum = transform(pred)
        strength = [[strong(abs(v), self.step) for v in row] for row in spectrum]
        strength[0][0] = 0
        total = sum(abs(v) for row in spectrum for v in row) - abs(spectrum[0][0])
        doubt = 0
        if mode == 0:
            doubt = sum(sum(self.inter[p][1][y][x0:x1]) for y in range(y0, y1))
        trust = min(strong(doubt // max(h, w), self.step), 5)
        m = 2 * (mode == 0) + (p > 0)
        reach = self.reach(p, y0, y1, x0, x1, 2 * m + small, strong(total >> 1, self.step), trust)
        q, count = self.levels[p], 0
        for y in range(min(h, reach + 1)):
            for x in range(min(w, reach - y + 1)):
                q[y0 + y][x0 + x] = self.level(p, y0, x0, y, x, h, w, reach, strength[y][x], m, small, count)
                count += q[y0 + y][x0 + x] != 0
        diff = transform([[v * self.step for v in q[y][x0:x1]] for y in range(y0, y1)], inverse=True)
        for y in range(h):
            for x in range(w):
                self.planes[p][y0 + y][x0 + x] = (
                    clamp(pred[y][x] + diff[y][x], -8191, 8191) if reach >= 0 else pred[y][x]
                )

    def across(self, p, y, x):
        """Magnitude of the level at the same place in the plane coded before."""
        if p == 2:
            return abs(self.levels[1][y][x])
        return abs(self.levels[0][y][x]) if p == 1 and y < self.h and x < self.w else 0

    def reach(self, p, y0, y1, x0, x1, what, energy, trust):
        h, w, q = y1 - y0, x1 - x0, self.levels[p]
        places = [(y, x) for y in range(min(4, h)) for x in range(min(4, w))]
        left = min(grade(sum(abs(q[y0 + y][x0 - w + x]) for y, x in places)), 3) if x0 >= w else 0
        up = min(grade(sum(abs(q[y0 - h + y][x0 + x]) for y, x in places)), 3) if y0 >= h else 0
        old = min(grade(sum(abs(self.before[p][y0 + y][x0 + x]) for y, x in places)), 4)
        across = trust
        if p:
            c = 1 if p == 2 else 2
            across = min(grade(sum(self.across(p, c * y0 + y, c * x0 + x) for y, x in places)), 5)
        kk, k = self.klass, -1
        while k < h + w - 2:
            d = 16 * what + min(k + 1, 15)
            contexts = [4 * d + kk, (4 * d + left) * 4 + up, (5 * d + old) * 4 + min(left + up, 3)]
            contexts += [
                (8 * d + energy) * 4 + kk,
                (6 * d + across) * 3 + p,
                (4 * d + energy // 2) * 6 + across,
            ]
            if not self.bits.mixed(4 * what + min(k + 1, 3), contexts):
                break
            k += 1
        return k

    def level(self, p, y0, x0, y, x, h, w, reach, st, m, small, count):
        q = self.levels[p]

        def own(dy, dx):
            return abs(q[y0 + y - dy][x0 + x - dx]) if y >= dy and x >= dx else 0

        near, far = 2 * own(0, 1) + 2 * own(1, 0) + own(1, 1), own(0, 2) + own(2, 0)
        side = abs(q[y0 + y][x0 + x - w]) if x0 >= w else 0
        side = min(side + (abs(q[y0 + y - h][x0 + x]) if y0 >= h else 0), 3)
        old = min(abs(self.before[p][y0 + y][x0 + x]), 3)
        c = 1 if p == 2 else 2
        across = min(self.across(p, c * y0 + y, c * x0 + x), 3)
        d, t = min(y + x, 7), min(reach - y - x, 5)
        a = [
            ((2 * m + small) * 8 + min(y, 7)) * 8 + min(x, 7),
            ((7 * m + grade(near)) * 4 + min(far, 3)) * 8 + d,
        ]
        a += [
            (((4 * m + side) * 4 + old) * 4 + across) * 4 + min(d, 3),
            ((8 * m + st) * 8 + d) * 3 + min(grade(near), 2),
        ]
        a += [(((6 * m + t) * 4 + min(count, 3)) * 4 + self.klass) * 2 + small]
        a += [((8 * m + st) * 6 + t) * 3 + min(grade(near + side), 2)]
        k = 0
        while k < 14:
            contexts = [4096 + 1024 * k + v for v in a] if k < 3 else [7168 + 16 * m + k] * 6
            if not self.bits.mixed(64 + 2 * (4 * m + min(k, 3)) + (d == 0), contexts):
                break
            k += 1
        if k == 14:
            k = min(14 + self.bits.number(self.bits.tables, 7680, 400), 4096)
        return -k if k and self.bits.take(32768) else k

    def smooth(self, leaves):
        done = [[list(row) for row in plane] for plane in self.planes]
        for p, mode, y0, y1, x0, x1 in leaves:
            rec, out = self.planes[p], done[p]
            if not mode and not any(any(self.levels[p][y][x0:x1]) for y in range(y0, y1)):
                continue
            pairs = [((y, x0), (y, x0 - 1)) for y in range(y0, y1) if x0 and x1 > x0]
            pairs += [((y0, x), (y0 - 1, x)) for x in range(x0, x1) if y0 and y1 > y0]
            for (y, x), (v, u) in pairs:
                d = rec[y][x] - rec[v][u]
                if abs(d) < (40 * self.step) >> 6:
                    out[v][u] += d >> 2
                    out[y][x] -= d >> 2
        self.planes = done

    def rgb(self, planes):
        def at(plane, y, x):
            h, w = len(plane), len(plane[0])
            v, u = (
                clamp(y // 2 + (1 if y % 2 else -1), 0, h - 1),
                clamp(x // 2 + (1 if x % 2 else -1), 0, w - 1),
            )
            near, far = plane[y // 2], plane[v]
            return 3 * (3 * near[x // 2] + far[x // 2]) + 3 * near[u] + far[u]

        out = np.zeros((self.h, self.w, 3), np.uint8)
        for i in range(self.h):
            for j in range(self.w):
                y, a, b = 32 * 9459 * planes[0][i][j], at(planes[1], i, j), at(planes[2], i, j)
                for k, v in enumerate((y + 11585 * a - 6689 * b, y + 13377 * b, y - 11585 * a - 6689 * b)):
                    out[i, j, k] = clamp(((v + 2**22) >> 23) + 128, 0, 255)
        return out


def decode(payload, frames):
    """All frames of a unit of divisor 1."""
    head, at = unit.read_head(payload)
    assert head.divisor == 1
    decoder, q = Decoder(head), head.index
    decoder.bits.open(payload[at:])
    out = {}
    for k, plan in enumerate(head.plans(frames)):
        if plan.frame in out:
            continue
        flagged = head.makes and plan.klass > 1
        if flagged and decoder.bits.plain(decoder.bits.blocks, 500 + plan.depth, 60):
            out |= {t: decoder.rgb(planes) for t, planes in decoder.made(plan.first, plan.second)}
            continue
        if not head.lookahead:
            size, shift = 0, 0
            while True:
                size |= (payload[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if payload[at - 1] < 128:
                    break
            decoder.bits.open(payload[at : at + size])
            at += size
        if k:
            q = clamp(
                q + decoder.bits.signed(decoder.bits.blocks, 452 if head.lookahead else 400, 60), 0, 255
            )
        out[plan.frame] = decoder.rgb(decoder.frame(plan, head.step(q, plan.depth)))
    return np.stack([out[t] for t in range(frames)])
