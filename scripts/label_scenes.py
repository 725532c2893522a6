"""Label maps made up from a seed: what the contour coder's tables are trained on.

Figures with limbs that walk and tumble, bodies that deform, stiff things that turn, streets that a camera drives
along; drawn exactly or as a segmentation network would give them (rough, flickering, in steps). Nothing is taken
from recorded data.
"""

import cv2
import numpy as np

SIZES = ((360, 640), (288, 512), (256, 256), (480, 854), (384, 768))
KINDS = ("figures", "stiff", "bodies", "figures", "stiff", "figures", "street")
_FINE = 4  # drawing works in 1/16 pixel: cv2's `shift`


def _drift(rng, frames, count, step):
    """Smooth random walks, float [frames, count]."""
    return np.cumsum(np.cumsum(rng.normal(0, step, (frames, count)), 0) * 0.15, 0)


def _polygon(picture, points, label):
    cv2.fillPoly(picture, [np.int32(np.round(points * (1 << _FINE)))], label, shift=_FINE)


def _turn(points, angle):
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def _limb(picture, a, b, ra, rb, label):
    """A tapered, round-ended stroke from a (radius ra) to b (radius rb)."""
    along = (b - a) / max(np.hypot(*(b - a)), 1e-6)
    side = np.array([-along[1], along[0]])
    angle = np.arctan2(side[1], side[0])
    half = np.linspace(0, np.pi, 9)
    end = b + rb * np.stack([np.cos(angle - half), np.sin(angle - half)], 1)
    start = a + ra * np.stack([np.cos(angle + np.pi - half), np.sin(angle + np.pi - half)], 1)
    _polygon(picture, np.concatenate([end, start]), label)


def _solid(rng):
    """Corners of a box, a tin or a stone, float [n, 3]."""
    kind = rng.integers(3)
    if kind == 0:
        corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    elif kind == 1:
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        corners = np.concatenate([np.stack([np.cos(turn), np.sin(turn), np.full(24, z)], 1) for z in (-1, 1)])
    else:
        corners = rng.normal(0, 0.8, (int(rng.integers(5, 14)), 3))
    return corners * rng.uniform(0.3, 1.0, 3)


class _Thing:
    """One object: where it goes and how it is drawn."""

    def __init__(self, rng, kind, frames, height, width):
        small = min(height, width)
        self.kind = kind
        self.size = rng.uniform(0.08, 0.3) * small
        self.at = rng.uniform((0.15, 0.2), (0.85, 0.8)) * (width, height)
        self.at = self.at + _drift(rng, frames, 2, rng.uniform(0.05, 2.0)) * small / 400
        self.angle = rng.uniform(-0.5, 0.5) + _drift(rng, frames, 1, rng.choice([0.002, 0.01, 0.05]))[:, 0]
        self.zoom = 1 + 0.3 * np.tanh(_drift(rng, frames, 1, 0.02)[:, 0])
        time = np.arange(frames)
        if kind == "figures":
            self.lean = rng.uniform(0.7, 1.3)
            self.thick = rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.45)
            self.head = rng.uniform(0.12, 0.25), rng.uniform(0.1, 0.35)
            beat = rng.uniform(0.05, 0.7)
            self.limbs = []
            for _ in range(int(rng.integers(2, 7))):
                swing = rng.uniform(0.1, 1.2) * np.sin(beat * time + rng.uniform(0, 6.3))
                bend = rng.uniform(0.1, 1.0) * np.sin(beat * time + rng.uniform(0, 6.3)) + rng.uniform(
                    -0.6, 0.6
                )
                swing = swing + _drift(rng, frames, 1, 0.01)[:, 0] + rng.uniform(-0.5, 0.5)
                root, out = rng.choice([-0.9, 0.9, rng.uniform(-0.9, 0.9)]), rng.choice([-1, 1, 1])
                length, girth = rng.uniform(0.4, 1.1, 2), np.sort(rng.uniform(0.03, 0.22, 3))[::-1]
                self.limbs.append((root, out, swing, bend, length, girth))
        elif kind == "bodies":
            power = np.arange(2, 9) ** rng.uniform(1.0, 1.6)
            self.harmonics = rng.normal(0, 0.45, (7, 2)) / power[:, None]
            self.wobble = (
                _drift(rng, frames, 14, rng.uniform(0.001, 0.02)).reshape(frames, 7, 2) / power[:, None]
            )
            self.stretch = rng.uniform(0.4, 1.0)
        else:
            self.corners = _solid(rng)
            self.spin = rng.uniform(0, 6, 3) + _drift(rng, frames, 3, rng.choice([0.002, 0.02, 0.06]))

    def draw(self, picture, t, camera, label):
        """Paint the object at frame t."""
        scale = self.size * self.zoom[t] * camera[2]
        middle = (self.at[t] - camera[:2]) * camera[2]

        def place(points):
            return _turn(np.asarray(points, float) * scale, self.angle[t]) + middle

        if self.kind == "figures":
            self._figure(picture, t, scale, place, label)
        elif self.kind == "bodies":
            angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
            waves = self.harmonics + self.wobble[t]
            order = np.arange(2, 9)[:, None]
            radius = 1 + waves[:, 0] @ np.cos(order * angle) + waves[:, 1] @ np.sin(order * angle)
            radius = np.clip(radius, 0.15, 2.5)[:, None]
            _polygon(
                picture, place(radius * np.stack([np.cos(angle), self.stretch * np.sin(angle)], 1)), label
            )
        else:
            points = self.corners.copy()
            for axis, angle in enumerate(self.spin[t]):
                plane = [i for i in range(3) if i != axis]
                points[:, plane] = _turn(points[:, plane], angle)
            _polygon(picture, cv2.convexHull(np.float32(place(points[:, :2])))[:, 0], label)

    def _figure(self, picture, t, scale, place, label):
        ends = place([(-self.lean, 0), (self.lean, 0)])
        _limb(picture, *ends, self.thick[0] * scale, self.thick[1] * scale, label)
        radius, neck = self.head
        tip = place([(self.lean + neck, -neck)])[0]
        _limb(picture, ends[1], tip, 0.5 * radius * scale, radius * scale, label)
        for root, out, swing, bend, length, girth in self.limbs:
            first, second = swing[t], swing[t] + bend[t]
            a = np.array([root * self.lean, 0.0])
            b = a + length[0] * np.array([np.sin(first), out * np.cos(first)])
            c = b + length[1] * np.array([np.sin(second), out * np.cos(second)])
            a, b, c = place([a, b, c])
            _limb(picture, a, b, girth[0] * scale, girth[1] * scale, label)
            _limb(picture, b, c, girth[1] * scale, girth[2] * scale, label)


def _objects(rng, kind, frames, height, width, most):
    """Label maps of a handful of things before a moving camera."""
    count = int(rng.integers(1, most + 1))
    kinds = [kind if rng.random() < 0.8 else str(rng.choice(KINDS[:6])) for _ in range(count)]
    things = [_Thing(rng, k, frames, height, width) for k in kinds]
    camera = _drift(rng, frames, 2, rng.uniform(0, 0.8))
    zoom = 1 + 0.1 * np.tanh(_drift(rng, frames, 1, 0.02))
    labels = np.arange(1, count + 1) if rng.random() < 0.6 else np.ones(count, int)
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        for thing, label in zip(things, labels):
            thing.draw(out[t], t, (*camera[t], zoom[t, 0]), int(label))
    return out


def _street(rng, frames, height, width):
    """Label maps seen from a car: sky, road, pavement, and upright things of many classes that come nearer."""
    horizon, vanish = height * rng.uniform(0.35, 0.55), width * rng.uniform(0.35, 0.65)
    count, speed = int(rng.integers(20, 60)), rng.uniform(0.02, 0.15)
    side = rng.choice([-1, 1], count) * rng.uniform(0.25, 1.8, count)
    depth, label = rng.uniform(1.5, 14, count), rng.integers(4, 19, count)
    wide = rng.choice([0.01, 0.04, 0.15, 0.5], count) * rng.uniform(0.6, 1.6, count)
    high, low = rng.uniform(0.1, 1.3, count), rng.uniform(0.0, 0.25, count)
    rough = rng.choice([0, 0.03, 0.15], count)
    shape = [rng.normal(0, 1, 48) for _ in range(count)]
    sway = _drift(rng, frames, 2, 0.15)
    line = np.cumsum(rng.normal(0, 6, 40))
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    box = np.clip(1.5 * np.stack([np.cos(angle), np.sin(angle)], 1), -1, 1)
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        centre, level = vanish + 3 * sway[t, 0], horizon + sway[t, 1]
        picture = out[t]
        picture[max(int(level), 0) :] = 3
        roofs = np.stack([np.linspace(-20, width + 20, 40) + 2 * sway[t, 0], level - 40 - abs(line)], 1)
        picture[: max(int(level), 0)] = 2
        _polygon(picture, np.concatenate([[[-20, -20]], roofs, [[width + 20, -20]]]), 1)
        road = [[centre - 6, level], [centre + 6, level], [1.15 * width, height], [-0.15 * width, height]]
        _polygon(picture, np.array(road), 0)
        near = (depth - speed * 4 * t - 1) % 13 + 1
        for i in np.argsort(-near):
            scale = width / near[i]
            bottom = level + (0.45 - low[i]) * 0.5 * scale
            top = bottom - high[i] * 0.5 * scale
            outline = box * (1 + rough[i] * shape[i][:, None])
            x = centre + side[i] * scale + wide[i] * 0.5 * scale * outline[:, 0]
            y = (top + bottom) / 2 + (bottom - top) / 2 * outline[:, 1]
            _polygon(picture, np.stack([x, y], 1), int(label[i]))
    return out


def _field(rng, height, width, period):
    """A smooth random field of about unit size, float32 [H, W]."""
    coarse = rng.normal(0, 1, (int(height / period) + 3, int(width / period) + 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _roughened(rng, labels, still, flicker, period):
    """Outlines displaced by a random field: `still` pixels for good, `flicker` pixels anew in time."""
    _, height, width = labels.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    fixed = [still * _field(rng, height, width, period) for _ in range(2)]
    moving = [np.zeros((height, width), np.float32) for _ in range(2)]
    out = np.empty_like(labels)
    for t, frame in enumerate(labels):
        moving = [0.7 * m + 0.7 * flicker * _field(rng, height, width, period) for m in moving]
        out[t] = cv2.remap(
            frame, x + fixed[0] + moving[0], y + fixed[1] + moving[1], cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out


def _in_steps(rng, labels, step):
    """What a network of lower resolution gives: steps of `step` pixels, specks gone, patches that come and go."""
    _, height, width = labels.shape
    out = np.empty_like(labels)
    patch, left = None, 0
    for t, frame in enumerate(labels):
        if left == 0 and rng.random() < 0.15:
            at, size = rng.integers(0, (width, height)), rng.integers(4, 40, 2)
            patch, left = (
                (*at, *size, int(rng.choice(frame[:: 1 + height // 9, :: 1 + width // 9].ravel()))),
                rng.integers(1, 5),
            )
        frame = frame.copy()
        if left:
            px, py, w, h, label = patch
            cv2.ellipse(frame, (int(px), int(py)), (int(w), int(h)), 0, 0, 360, label, -1)
            left -= 1
        small = cv2.resize(frame, (-(-width // step), -(-height // step)), interpolation=cv2.INTER_NEAREST)
        small = cv2.medianBlur(small, int(rng.choice([3, 5])))
        out[t] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return out


def label_clip(seed: int, frames: int = 17) -> np.ndarray:
    """A clip of made-up label maps, uint8 [frames, H, W]; the same for the same seed (and version of OpenCV)."""
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    if kind == "street":
        labels = _street(rng, frames, height, width)
        return _roughened(rng, labels, rng.uniform(0, 3), rng.uniform(0, 0.3), rng.uniform(6, 30))
    labels = _objects(rng, kind, frames, height, width, 6)
    style = rng.random()
    if style < 0.35:  # exact, but no outline in nature is quite smooth
        return _roughened(rng, labels, rng.uniform(0, 2.5), 0.0, rng.uniform(4, 24))
    if style < 0.65:
        return _roughened(rng, labels, rng.uniform(0, 2), rng.uniform(0.1, 0.8), rng.uniform(4, 16))
    labels = _roughened(rng, labels, rng.uniform(0, 4), rng.uniform(0.3, 1.6), rng.uniform(8, 40))
    return _in_steps(rng, labels, int(rng.integers(1, 5)))
