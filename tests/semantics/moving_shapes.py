"""Small clips with known regions for the tests of semjax.semantics: textured shapes over a textured ground."""

import cv2
import numpy as np


def texture(rng: np.random.Generator, height: int, width: int, colour, strength: int = 18) -> np.ndarray:
    """uint8 [height, width, 3]: one colour with soft grain."""
    grain = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 1.5)
    grain = grain / grain.std() * strength
    return np.clip(np.array(colour, np.float32) + grain[..., None], 0, 255).astype(np.uint8)


def clip(
    frames: int = 20,
    size: tuple[int, int] = (96, 144),
    ground=(60, 140, 60),
    pan: float = 0.0,
    shapes=(),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A clip and its exact label maps.

    shapes: tuples (kind, colour, radius, (x, y) at the start, (dx, dy) per frame), kind "disc" or "box"; pan is the
    camera's motion to the right in pixels per frame; later shapes lie over earlier ones.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    scene = texture(rng, height, width + int(abs(pan) * frames) + 2, ground)
    skins = [texture(rng, 2 * s[2] + 2, 2 * s[2] + 2, s[1]) for s in shapes]
    video = np.empty((frames, height, width, 3), np.uint8)
    labels = np.zeros((frames, height, width), np.uint8)
    for t in range(frames):
        left = round(pan * t) if pan >= 0 else scene.shape[1] - width - 1 + round(pan * t)
        video[t] = scene[:, left : left + width]
        for k, (kind, _, radius, start, step) in enumerate(shapes, start=1):
            x, y = round(start[0] + step[0] * t), round(start[1] + step[1] * t)
            rows, columns = np.mgrid[:height, :width]
            u, v = columns - x, rows - y
            inside = (
                (u * u + v * v <= radius * radius)
                if kind == "disc"
                else (np.maximum(abs(u), abs(v)) <= radius)
            )
            labels[t][inside] = k
            video[t][inside] = skins[k - 1][v[inside] + radius, u[inside] + radius]
    return video, labels


def best_overlap(found: np.ndarray, truth: np.ndarray, label: int) -> float:
    """Intersection over union of a true label and the found label that fits it best over the whole stretch."""
    wanted = truth == label
    return max(((found == k) & wanted).sum() / ((found == k) | wanted).sum() for k in np.unique(found))
