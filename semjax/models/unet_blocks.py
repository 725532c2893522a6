"""Resnet blocks, and the blocks of a UNet: halving, middle and doubling."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.models.attention import AttentionFn, Transformer2D, attend
from semjax.models.layers import Conv, Dense, GroupNorm, activation, halving


class Resnet(nn.Module):
    """Two convolutions, each on a norm and an activation, added to the input; time is added or scales between them."""

    features: int
    groups: int = 32
    eps: float = 1e-5
    act: str = "silu"
    scale_shift: bool = False
    output_scale: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], time: Float[Array, "B D"] | None = None
    ) -> Float[Array, "B h w C"]:
        """The block's output; without `time` (autoencoders) nothing is put between the convolutions."""
        act = activation(self.act)
        y = act(GroupNorm(self.groups, self.eps, self.dtype, name="norm1")(x))
        y = Conv(self.features, dtype=self.dtype, name="conv1")(y)
        second = GroupNorm(self.groups, self.eps, self.dtype, name="norm2")
        if time is None:
            y = second(y)
        else:
            width = 2 * self.features if self.scale_shift else self.features
            shift = Dense(width, dtype=self.dtype, name="time_emb_proj")(act(time))[:, None, None]
            if self.scale_shift:
                scale, shift = jnp.split(shift, 2, -1)
                y = second(y) * (1 + scale) + shift
            else:
                y = second(y + shift)
        y = Conv(self.features, dtype=self.dtype, name="conv2")(act(y))
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, padding=0, dtype=self.dtype, name="conv_shortcut")(x)
        return (x + y) / self.output_scale


class UNetLayers(nn.Module):
    """The layers of one block: resnets, each followed by a transformer where `heads` is given, then a change of size.

    `layers`: transformer blocks after each resnet. `size` is "half", "double" or None.
    """

    features: int
    layers: tuple[int, ...]
    heads: int | None = None
    size: str | None = None
    groups: int = 32
    eps: float = 1e-5
    act: str = "silu"
    scale_shift: bool = False
    linear_projection: bool = False
    only_cross: bool = False
    padding: int = 1
    attention: AttentionFn = attend
    dtype: jnp.dtype = jnp.float32

    def _layer(self, i: int, x, time, context, bias, hooks, place) -> jax.Array:
        resnet = Resnet(
            self.features,
            self.groups,
            self.eps,
            self.act,
            self.scale_shift,
            dtype=self.dtype,
            name=f"resnets_{i}",
        )
        x = resnet(x, time)
        place = f"{place}_{i}"
        if self.heads is not None:
            x = self._transformer(i)(x, context, bias, hooks, place)
        return x if hooks is None else hooks.layer(place, x)

    def _transformer(self, i: int) -> Transformer2D:
        return Transformer2D(
            self.heads,
            self.layers[i],
            self.groups,
            self.linear_projection,
            self.only_cross,
            self.attention,
            self.dtype,
            name=f"attentions_{i}",
        )


class DownBlock(UNetLayers):
    """[CrossAttn]DownBlock2D: the picture after each layer, and after halving, goes to the other side too."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], time, context, bias=None, hooks: Any = None, place: str = ""
    ) -> tuple[Float[Array, "B k l C"], list[jax.Array]]:
        """The picture and those kept on the way."""
        kept = []
        for i in range(len(self.layers)):
            x = self._layer(i, x, time, context, bias, hooks, place)
            kept.append(x)
        if self.size == "half":
            x = halving(self.features, self.padding, self.dtype, "downsamplers_0_conv")(x)
            kept.append(x)
        return x, kept


class UpBlock(UNetLayers):
    """[CrossAttn]UpBlock2D: each layer takes one of the pictures kept on the way down beside its input."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B h w I"],
        kept: list[jax.Array],
        time,
        context,
        bias=None,
        hooks: Any = None,
        place: str = "",
    ) -> Float[Array, "B k l C"]:
        """The picture after the layers; takes its pictures from the end of `kept` away. Doubles to their size."""
        for i in range(len(self.layers)):
            x = jnp.concatenate([x, kept.pop().astype(x.dtype)], -1)
            x = self._layer(i, x, time, context, bias, hooks, place)
        if self.size == "double":
            x = Conv(self.features, dtype=self.dtype, name="upsamplers_0_conv")(x, kept[-1].shape[1:3])
        return x


class MidBlock(UNetLayers):
    """UNetMidBlock2DCrossAttn: resnet, transformer, resnet; without `heads` (UNetMidBlock2D) one resnet."""

    output_scale: float = 1.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w C"], time, context, bias=None, hooks: Any = None, place: str = "mid"
    ) -> Float[Array, "B h w C"]:
        """The picture after the layers; hooks are asked once, at `mid_0`, after the transformer."""

        def resnet(i):
            common = (self.features, self.groups, self.eps, self.act, self.scale_shift, self.output_scale)
            return Resnet(*common, self.dtype, name=f"resnets_{i}")

        x = resnet(0)(x, time)
        if self.heads is None:
            return x if hooks is None else hooks.layer(f"{place}_0", x)
        x = self._transformer(0)(x, context, bias, hooks, f"{place}_0")
        x = x if hooks is None else hooks.layer(f"{place}_0", x)
        return resnet(1)(x, time)
