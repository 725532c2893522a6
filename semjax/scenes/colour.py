"""Palettes and colour arithmetic. Shading happens in linear light; pictures are sRGB."""

import jax.numpy as jnp
import numpy as np

# Five colours that go well together, as sRGB hex. Objects of a scene take theirs from one of these.
_PALETTES = (
    "e63946 f1faee a8dadc 457b9d 1d3557",
    "f94144 f8961e f9c74f 90be6d 277da1",
    "264653 2a9d8f e9c46a f4a261 e76f51",
    "ff6b6b ffd93d 6bcb77 4d96ff fff5e4",
    "ef476f ffd166 06d6a0 118ab2 fefae0",
    "d62828 f77f00 fcbf49 eae2b7 003049",
    "9b5de5 f15bb5 fee440 00bbf9 00f5d4",
    "ffcdb2 ffb4a2 e5989b b5838d 6d6875",
    "606c38 dda15e fefae0 bc6c25 283618",
    "8ecae6 219ebc ffb703 fb8500 023047",
    "cdb4db ffc8dd ffafcc bde0fe a2d2ff",
    "5f0f40 9a031e fb8b24 e36414 0f4c5c",
    "f72585 7209b7 4361ee 4cc9f0 fdf0d5",
    "da627d fca17d f9dbbd 9a348e 0d3b66",
    "2ec4b6 ffffff ff9f1c ffbf69 cb4b16",
    "e07a5f f4f1de 3d405b 81b29a f2cc8f",
)

# Names used by captions, with the sRGB colour each stands for.
_NAMES = {
    "red": "d62839", "orange": "f3801f", "yellow": "fbd13c", "lime": "9bcf53", "green": "3f9b4f",
    "teal": "24908a", "turquoise": "49d6c5", "sky-blue": "86c5ea", "blue": "2f6fd0", "navy": "16304f",
    "purple": "8a46c8", "pink": "f38fb8", "magenta": "dd2f84", "brown": "80502c", "tan": "d0a677",
    "cream": "f7efd6", "white": "fbfbfb", "grey": "8d8d90", "black": "1c1c1e", "maroon": "7a1028",
}  # fmt: skip


def to_linear(srgb):
    """sRGB in [0, 1] -> linear light (IEC 61966-2-1)."""
    srgb = np.asarray(srgb, np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear):
    """Linear light in [0, 1] -> sRGB (IEC 61966-2-1)."""
    linear = jnp.maximum(linear, 0.0)
    return jnp.where(linear <= 0.0031308, 12.92 * linear, 1.055 * (linear + 1e-9) ** (1 / 2.4) - 0.055)


def rgb(text: str) -> np.ndarray:
    """Hex colour -> float32 [3], linear. Only for constants."""
    return to_linear([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)])


PALETTES = np.stack([np.stack([rgb(c) for c in row.split()]) for row in _PALETTES])  # [16, 5, 3]


def name(linear) -> str:
    """The caption word nearest to a linear colour [3]. Distances are taken in sRGB with a luma weight."""
    srgb = np.clip(np.asarray(to_srgb(jnp.asarray(linear))), 0, 1)
    table = np.array([[int(h[i : i + 2], 16) / 255 for i in (0, 2, 4)] for h in _NAMES.values()])
    mean = (table[:, 0] + srgb[0]) / 2
    weight = np.stack([2 + mean, np.full_like(mean, 4.0), 3 - mean], -1)  # the "redmean" approximation
    return list(_NAMES)[int(np.argmin((weight * (table - srgb) ** 2).sum(-1)))]


def tone(linear):
    """Filmic shoulder: keeps colours below about 0.7, bends highlights towards white."""
    x = jnp.maximum(linear, 0.0)
    return x * (1 + x * 0.06) / (1 + x * 0.26)
