"""The convolutional parts of AlexNet, VGG-16 and SqueezeNet 1.1, as torchvision has them.

Each takes normalised pictures float [B, H, W, 3] and returns the list of activations that LPIPS and DISTS read.
Parameters carry torchvision's names: `features.3.squeeze.weight` is `["features_3"]["squeeze"]["kernel"]`.

    net = VggFeatures()
    params = net.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    maps = net.apply({"params": params}, pictures)      # 5 of them, [B, H / 2^i, W / 2^i, C_i]
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pictures = Float[Array, "B H W 3"]


def torch_name(path: tuple[str, ...]) -> str:
    """The torchvision key of a parameter path of these networks."""
    *layers, kind = path
    return ".".join([layers[0].replace("_", "."), *layers[1:], {"kernel": "weight"}.get(kind, kind)])


def _conv(width: int, size: int, index: int, *, stride: int = 1, padding: int = 0) -> nn.Conv:
    around = [(padding, padding)] * 2
    return nn.Conv(
        width,
        (size, size),
        (stride, stride),
        around,
        name=f"features_{index}",
        precision=jax.lax.Precision.HIGHEST,
    )


def _pool(x: jax.Array, *, ceil: bool = False) -> jax.Array:
    """Maxima of 3x3 every 2; with `ceil` a last window may reach beyond the edge, as torch's ceil_mode."""
    beyond = [(0, (n - 3) % 2 if ceil and n >= 2 else 0) for n in x.shape[1:3]]
    return nn.max_pool(x, (3, 3), (2, 2), beyond)


class AlexFeatures(nn.Module):
    """AlexNet (Krizhevsky 2014): activations after each of the five convolutions. At least 31x31 pixels."""

    @nn.compact
    def __call__(self, x: Pictures) -> list[jax.Array]:
        """The activations, largest first."""
        maps = [nn.relu(_conv(64, 11, 0, stride=4, padding=2)(x))]
        maps.append(nn.relu(_conv(192, 5, 3, padding=2)(_pool(maps[-1]))))
        maps.append(nn.relu(_conv(384, 3, 6, padding=1)(_pool(maps[-1]))))
        maps.append(nn.relu(_conv(256, 3, 8, padding=1)(maps[-1])))
        maps.append(nn.relu(_conv(256, 3, 10, padding=1)(maps[-1])))
        return maps


class VggFeatures(nn.Module):
    """VGG-16 (Simonyan, Zisserman 2015): the last activation at each of five sizes. At least 16x16 pixels.

    `pool` halves the maps between sizes: maxima of 2x2 when None.
    """

    pool: Callable[[jax.Array], jax.Array] | None = None

    @nn.compact
    def __call__(self, x: Pictures) -> list[jax.Array]:
        """The activations, largest first."""
        maps, index = [], 0
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            if maps:
                x = nn.max_pool(x, (2, 2), (2, 2)) if self.pool is None else self.pool(x)
                index += 1
            for _ in range(depth):
                x = nn.relu(_conv(width, 3, index, padding=1)(x))
                index += 2
            maps.append(x)
        return maps


class _Fire(nn.Module):
    """SqueezeNet's block: few channels, then two wider convolutions side by side."""

    few: int
    many: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, h, w, C] -> [B, h, w, 2 many]."""
        exact = jax.lax.Precision.HIGHEST
        x = nn.relu(nn.Conv(self.few, (1, 1), name="squeeze", precision=exact)(x))
        one = nn.relu(nn.Conv(self.many, (1, 1), name="expand1x1", precision=exact)(x))
        three = nn.relu(nn.Conv(self.many, (3, 3), padding=1, name="expand3x3", precision=exact)(x))
        return jnp.concatenate([one, three], -1)


class SqueezeFeatures(nn.Module):
    """SqueezeNet 1.1 (Iandola et al. 2016): seven activations. At least 17x17 pixels."""

    @nn.compact
    def __call__(self, x: Pictures) -> list[jax.Array]:
        """The activations, largest first."""
        maps = [nn.relu(_conv(64, 3, 0, stride=2)(x))]
        fires = {3: (16, 64), 4: (16, 64), 6: (32, 128), 7: (32, 128)}
        fires |= {9: (48, 192), 10: (48, 192), 11: (64, 256), 12: (64, 256)}
        x = maps[0]
        for index, (few, many) in fires.items():
            if index in (3, 6, 9):
                x = _pool(x, ceil=True)
            x = _Fire(few, many, name=f"features_{index}")(x)
            if index in (4, 7, 9, 10, 11, 12):
                maps.append(x)
        return maps
