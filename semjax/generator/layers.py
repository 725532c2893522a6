"""The few layers that the adapters are made of, as functions of plain dicts of parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Params = dict


def dense_shapes(inputs: int, outputs: int) -> Params:
    """Shapes of a linear map's parameters."""
    return {"kernel": (inputs, outputs), "bias": (outputs,)}


def dense(params: Params, x: Float[Array, "*batch I"]) -> Float[Array, "*batch O"]:
    """x @ kernel + bias, in the precision of x."""
    return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)


def conv_shapes(inputs: int, outputs: int) -> Params:
    """Shapes of a 3x3 convolution's parameters."""
    return {"kernel": (3, 3, inputs, outputs), "bias": (outputs,)}


def conv(params: Params, x: Float[Array, "B h w I"], stride: int = 1) -> Float[Array, "B k l O"]:
    """A 3x3 convolution; stride 2 halves, rounding up."""
    y = jax.lax.conv_general_dilated(
        x,
        params["kernel"].astype(x.dtype),
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + params["bias"].astype(x.dtype)


def rms(x: Float[Array, "*batch C"]) -> Float[Array, "*batch C"]:
    """x over its root mean square along the last axis (Zhang and Sennrich 2019, without a gain)."""
    wide = x.astype(jnp.float32)
    return (wide * jax.lax.rsqrt(jnp.mean(wide**2, -1, keepdims=True) + 1e-6)).astype(x.dtype)
