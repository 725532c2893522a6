"""Label maps made up from a seed: what the contour coder's tables are trained on.

Figures with limbs that walk and tumble, bodies that deform, stiff things that turn, streets that a camera drives
along; drawn exactly or as a segmentation network would give them (rough, flickering, in steps). Three kinds more,
by name only, are full of detail: riders on kites (thin lines, spray), riders on bicycles behind trunks, and streets
of 18 classes with poles, signs, fences, people and trees. Nothing is taken from recorded data.
"""

import itertools

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


def _kite(rng, frames, height, width):
    """A small rider on a board, the lines to a kite above, and spray that hides parts of both; one label."""
    rider = _Thing(rng, "figures", frames, height, width)
    rider.size = rng.uniform(0.05, 0.09) * height
    rider.at[:, 1] = height * rng.uniform(0.55, 0.75) + _drift(rng, frames, 1, 0.6)[:, 0]
    count, thin = int(rng.integers(2, 6)), rng.uniform(0.7, 1.4)
    kite = (
        rider.at + (width, height) * rng.uniform((-0.35, -0.75), (0.35, -0.4)) + _drift(rng, frames, 2, 0.5)
    )
    spread, sag = rng.uniform(8, 40), rng.uniform(-12, 12)
    board, tilt = rng.uniform(0.9, 1.8), rng.uniform(-0.6, 0.6) + _drift(rng, frames, 1, 0.01)[:, 0]
    out = np.zeros((frames, height, width), np.uint8)
    along = np.linspace(0, 1, 16)[:, None]
    for t in range(frames):
        rider.draw(out[t], t, (0, 0, 1), 1)
        at, size = rider.at[t], rider.size
        half = board * size * np.array([np.cos(tilt[t]), np.sin(tilt[t])])
        under = at + np.array([0, 1.1 * size])
        _limb(out[t], under - half, under + half, 0.09 * size, 0.14 * size, 1)
        for k in range(count):
            end = kite[t] + spread * (k - count / 2) * np.array([1, 0.2])
            line = at + (3 * k, -0.3 * size) + along * (end - at) + 4 * sag * along * (1 - along) * (0.3, 1)
            for a, b in itertools.pairwise(line):
                _limb(out[t], a, b, thin, thin, 1)
        arch = np.linspace(np.pi, 2 * np.pi, 14)[:, None]
        bow = kite[t] + 1.2 * spread * np.concatenate([np.cos(arch), 0.5 * np.sin(arch)], 1)
        for a, b in itertools.pairwise(bow):
            _limb(out[t], a, b, 0.15 * spread, 0.15 * spread, 1)
        spray = _field(rng, height, width, rng.uniform(4, 9)) + 0.02 * (np.arange(height)[:, None] - under[1])
        out[t][spray > 1.4] = 0
    return out


def _bmx(rng, frames, height, width):
    """A rider on a bicycle that jumps behind trunks which pass; one label."""
    rider = _Thing(rng, "figures", frames, height, width)
    rider.size = rng.uniform(0.09, 0.16) * height
    wheel, tube = rider.size * rng.uniform(0.55, 0.8), rng.uniform(1.0, 2.2)
    spokes, tyre = int(rng.choice([0, 5, 8, 40])), rng.uniform(1.5, 3.5)
    spin, lean = rng.uniform(0.1, 0.5), _drift(rng, frames, 1, 0.02)[:, 0] + rng.uniform(-0.4, 0.4)
    count, pan = int(rng.integers(2, 8)), rng.uniform(-9, 9) + _drift(rng, frames, 1, 0.1)[:, 0]
    trunks = rng.uniform(-0.5, 1.5, count) * width, rng.uniform(3, 30, count), rng.normal(0, 0.08, count)
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        rider.draw(out[t], t, (0, 0, 1), 1)
        frame = np.array([(-1, 0), (1, 0), (0, 0.1), (-0.35, -0.75), (0.7, -0.85), (1.0, -0.95)])
        frame = _turn(frame * 1.5 * wheel, lean[t]) + rider.at[t] + (0, 1.2 * rider.size)
        for a, b in ((0, 2), (0, 3), (2, 3), (2, 4), (3, 4), (4, 1), (4, 5)):
            _limb(out[t], frame[a], frame[b], tube, tube, 1)
        for hub in frame[:2]:
            middle = tuple(int(v) for v in np.round(hub * (1 << _FINE)))
            cv2.circle(out[t], middle, int(wheel * (1 << _FINE)), 1, int(2 * tyre), shift=_FINE)
            for k in range(spokes):
                turn = spin * t + 2 * np.pi * k / spokes
                _limb(out[t], hub, hub + wheel * np.array([np.cos(turn), np.sin(turn)]), 0.8, 0.8, 1)
        for x, girth, slant in zip(*trunks):
            x = (x + np.sum(pan[:t])) % (2 * width) - width / 2
            _limb(
                out[t], np.array([x, -40.0]), np.array([x + slant * height, height + 40.0]), girth, girth, 0
            )
    return out


def _crowd(rng, frames):
    """Upright things along a road, far to near: (class, side, depth, height, width, roughness), 18 classes."""
    count = int(rng.integers(60, 110))
    # class, how many of them, height and width in metres, roughness of the outline
    rows = np.array([
        (2, 8, 9, 12, 0.02), (8, 22, 6, 5, 0.3), (5, 26, 5, 0.12, 0.0), (6, 8, 0.8, 0.5, 0.05),
        (7, 14, 0.8, 0.7, 0.05), (4, 8, 1.5, 5, 0.05), (3, 4, 2, 7, 0.04), (9, 6, 0.5, 5, 0.25),
        (11, 18, 1.7, 0.6, 0.15), (12, 5, 1.8, 0.8, 0.2), (13, 20, 1.5, 2.0, 0.08), (14, 3, 3, 2.5, 0.05),
        (15, 2, 3, 2.6, 0.04), (16, 1, 3, 2.6, 0.04), (17, 7, 1.1, 1.2, 0.25),
    ])  # fmt: skip
    pick = rng.choice(len(rows), count, p=rows[:, 1] / rows[:, 1].sum())
    size = rows[pick, 2:4] * rng.uniform(0.6, 1.6, (count, 2))
    side = rng.choice([-1, 1], count) * rng.uniform(3.2, 11, count) + rng.normal(0, 0.5, count)
    side = np.where(
        np.isin(rows[pick, 0], (2, 8, 3)), np.sign(side) * (size[:, 1] / 2 + rng.uniform(6, 12, count)), side
    )
    return (
        rows[pick, 0].astype(int),
        side,
        rng.uniform(3, 90, count),
        size,
        rows[pick, 4] * rng.uniform(0.3, 1.6, count),
    )


def _avenue(rng, frames, height, width):
    """A street of 18 classes from a car: `_crowd` before sky, road, pavement and what stands far away."""
    label, side, depth, size, rough = _crowd(rng, frames)
    lifted = np.isin(label, (6, 7))  # lights and signs hang on poles
    level, centre, focal = height * rng.uniform(0.4, 0.5), width * rng.uniform(0.42, 0.58), 1.1 * width
    speed, sway = rng.uniform(0.0, 0.9), _drift(rng, frames, 2, 0.15)
    own = np.where(np.isin(label, (11, 12, 13, 17)), rng.normal(0, 0.15, len(label)), 0)
    curb, kerb = rng.uniform(2.5, 5), rng.uniform(5, 9)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    box = np.clip(1.5 * np.stack([np.cos(angle), np.sin(angle)], 1), -1, 1)
    waves = rng.normal(0, 1, (len(label), 12, 2)) / np.arange(1, 13)[:, None] ** 0.7
    turns = np.arange(1, 13)[:, None] * angle
    shape = np.einsum("nk,ka->na", waves[:, :, 0], np.cos(turns)) + np.einsum(
        "nk,ka->na", waves[:, :, 1], np.sin(turns)
    )
    skyline = np.repeat(np.abs(np.cumsum(rng.normal(0, 9, 30))), 2) + rng.uniform(0, 30)
    out = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        x0, y0 = centre + 4 * sway[t, 0], level + 2 * sway[t, 1]
        picture = out[t]
        picture[: int(y0)] = 10
        far = np.stack([np.linspace(-30, width + 30, 60) + 4 * sway[t, 0], y0 - skyline], 1)
        _polygon(picture, np.concatenate([[[-30, height]], far, [[width + 30, height]]]), 2)
        for reach, ground in ((60, 9), (kerb, 1), (curb, 0)):
            foot = focal * 1.3 / 2.2
            edge = focal * reach / 2.2
            corners = [(x0 - 3, y0 + 2), (x0 + 3, y0 + 2), (x0 + edge, y0 + foot), (x0 - edge, y0 + foot)]
            _polygon(picture, np.array(corners), ground)
        near = (depth - (speed - own) * t - 3) % 87 + 3
        for i in np.argsort(-near):
            zoom = focal / near[i]
            high, wide = size[i] * zoom
            bottom = y0 + (1.3 - (2.4 if lifted[i] else 0)) * zoom
            outline = box * (1 + rough[i] * shape[i][:, None])
            x = x0 + side[i] * zoom + max(wide / 2, 0.8) * outline[:, 0]
            _polygon(picture, np.stack([x, bottom - high / 2 + high / 2 * outline[:, 1]], 1), int(label[i]))
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


FINE = {"kite": (_kite, (480, 854)), "bmx": (_bmx, (480, 854)), "avenue": (_avenue, (512, 1024))}


def label_clip(seed: int, frames: int = 17, kind: str | None = None) -> np.ndarray:
    """A clip of made-up label maps, uint8 [frames, H, W]; the same for the same seed (and version of OpenCV).

    kind: one of KINDS or FINE; None takes turns among KINDS.
    """
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    if kind in FINE:
        draw, size = FINE[kind]
        labels = draw(rng, frames, *size)
        still, period = (
            (0.0, rng.uniform(8, 30)) if kind == "avenue" else (rng.uniform(0, 1), rng.uniform(4, 16))
        )
        return _roughened(rng, labels, still, rng.uniform(0.1, 0.6), period)
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
