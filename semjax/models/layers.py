"""Layers that the networks share: convolution, linear maps, norms, time embeddings, halving and doubling.

Pictures are [B, h, w, C]. Parameters may be of any float dtype and are cast to `dtype`, in which the layer computes;
norms compute in float32.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError
from semjax.models.convolution import convolve

_ACTIVATIONS: dict[str, Callable] = {
    "silu": nn.silu,
    "swish": nn.silu,
    "mish": lambda x: x * jnp.tanh(nn.softplus(x)),
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_pytorch_tanh": nn.gelu,
    "quick_gelu": lambda x: x * nn.sigmoid(1.702 * x),
    "relu": nn.relu,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The activation that PyTorch projects call `name`. `InputError` when there is none."""
    if name.lower() not in _ACTIVATIONS:
        raise InputError(f"There is no activation {name!r}, only {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name.lower()]


class Conv(nn.Module):
    """Convolution [B, h, w, I] -> [B, h', w', features] with zeros around; `padding` per side, or ((t, b), (l, r))."""

    features: int
    size: int = 3
    stride: int = 1
    padding: int | tuple[tuple[int, int], tuple[int, int]] = 1
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], size: tuple[int, int] | None = None
    ) -> Float[Array, "B k l O"]:
        """The convolution of `x`, brought to another size before if one is given (`nearest`), plus a bias."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape).astype(self.dtype)
        x = x.astype(self.dtype)
        around = ((self.padding,) * 2,) * 2 if isinstance(self.padding, int) else self.padding
        if self.size == 1 and self.stride == 1 and around == ((0, 0), (0, 0)):
            x = x @ kernel[0, 0]
        else:
            x = convolve(x, kernel, self.stride, around, size)
        if self.use_bias:
            x = x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return x


class Dense(nn.Module):
    """Linear map of the last axis."""

    features: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch I"]) -> Float[Array, "*batch O"]:
        """`x` times the kernel, plus a bias."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.features))
        x = x.astype(self.dtype) @ kernel.astype(self.dtype)
        if self.use_bias:
            x = x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return x


class GroupNorm(nn.Module):
    """Zero mean and unit variance over the pixels of each of `groups` groups of channels, then scale and shift."""

    groups: int
    eps: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B *pixels C"]) -> Float[Array, "B *pixels C"]:
        """`x` normalised; moments in float32."""
        channels = x.shape[-1]
        if channels % self.groups:
            raise InputError(f"{channels} channels do not split into {self.groups} groups (norm_num_groups).")
        scale = self.param("scale", nn.initializers.ones, (channels,)).astype(jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(jnp.float32)
        wide = x.astype(jnp.float32)
        pixels = wide.reshape(x.shape[0], -1, channels)

        def of_groups(
            values,
        ):  # means [B, C] over the pixels -> over pixels and channels of the group, for each channel
            means = values.reshape(-1, self.groups, channels // self.groups).mean(-1)
            return jnp.repeat(means, channels // self.groups, -1)

        mean = of_groups(pixels.mean(1))
        gain = jax.lax.rsqrt(of_groups(((pixels - mean[:, None]) ** 2).mean(1)) + self.eps) * scale
        # One multiplication and one addition for every value: what is per group or channel is joined before.
        per_channel = (x.shape[0],) + (1,) * (x.ndim - 2) + (channels,)
        shift = bias - mean * gain
        return (wide * gain.reshape(per_channel) + shift.reshape(per_channel)).astype(self.dtype)


class LayerNorm(nn.Module):
    """Zero mean and unit variance over the last axis, then scale and shift."""

    eps: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
        """`x` normalised; moments in float32."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],)).astype(jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],)).astype(jnp.float32)
        wide = x.astype(jnp.float32)
        wide = wide - wide.mean(-1, keepdims=True)
        wide = wide * jax.lax.rsqrt((wide**2).mean(-1, keepdims=True) + self.eps)
        return (wide * scale + bias).astype(self.dtype)


class RmsNorm(nn.Module):
    """Unit mean square over the last axis, then scale (Zhang, Sennrich 2019)."""

    eps: float = 1e-6
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
        """`x` normalised; the mean square in float32."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],)).astype(self.dtype)
        wide = x.astype(jnp.float32)
        wide = wide * jax.lax.rsqrt((wide**2).mean(-1, keepdims=True) + self.eps)
        return scale * wide.astype(self.dtype)


def sinusoids(
    t: Float[Array, " B"], width: int, *, flip: bool = True, shift: float = 0.0
) -> Float[Array, "B width"]:
    """Sines and cosines of `t` at falling frequencies (Ho et al. 2020); `flip` puts the cosines first."""
    half = width // 2
    rates = jnp.exp(-np.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / (half - shift))
    angles = t.astype(jnp.float32)[:, None] * rates
    parts = [jnp.cos(angles), jnp.sin(angles)] if flip else [jnp.sin(angles), jnp.cos(angles)]
    return jnp.pad(jnp.concatenate(parts, -1), ((0, 0), (0, width % 2)))


def interleaved_sinusoids(length: int, width: int) -> Float[Array, "length width"]:
    """Position embeddings of Vaswani et al. (2017): sines in even channels, cosines in odd ones."""
    angles = np.arange(length)[:, None] * np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    both = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, -1)
    return jnp.asarray(both[:, :width], jnp.float32)


class FourierFeatures(nn.Module):
    """Cosines and sines of `t` at `width / 2` learned frequencies."""

    width: int
    flip: bool = True

    @nn.compact
    def __call__(self, t: Float[Array, " B"]) -> Float[Array, "B width"]:
        """The features, in float32."""
        rates = self.param("frequencies", nn.initializers.normal(1.0), (self.width // 2,)).astype(jnp.float32)
        angles = t.astype(jnp.float32)[:, None] * rates * 2 * np.pi
        parts = [jnp.cos(angles), jnp.sin(angles)]
        return jnp.concatenate(parts if self.flip else parts[::-1], -1)


class TimeEmbedding(nn.Module):
    """Two linear maps with an activation between; `condition` is mapped and added before them."""

    width: int
    act: str = "silu"
    post_act: str | None = None
    cond_width: int | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B I"], condition: Float[Array, "B J"] | None = None
    ) -> Float[Array, "B O"]:
        """The embedding of `x`."""
        if self.cond_width is not None:
            if condition is None:  # the map has parameters whether it is used or not
                condition = jnp.zeros((1, self.cond_width), self.dtype)
            x = x + Dense(x.shape[-1], use_bias=False, dtype=self.dtype, name="cond_proj")(condition)
        x = activation(self.act)(Dense(self.width, dtype=self.dtype, name="linear_1")(x))
        x = Dense(self.width, dtype=self.dtype, name="linear_2")(x)
        return activation(self.post_act)(x) if self.post_act else x


def halving(channels: int, padding: int, dtype: jnp.dtype, name: str | None) -> Conv:
    """The convolution that halves height and width; `padding` 0 pads below and at the right only."""
    around = padding if padding else ((0, 1), (0, 1))
    return Conv(channels, 3, 2, around, dtype=dtype, name=name)
