"""What every metric does first and last: check the pair, bring it to 8-bit levels, refuse NaN."""

import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from semjax.errors import InputError, NotAvailableError

Pictures = UInt8[Array, "*T H W 3"] | Float[Array, "*T H W 3"]
Labels = UInt8[Array, "*T H W"]


def picture_pair(reference: Pictures, reconstruction: Pictures) -> tuple[jax.Array, jax.Array]:
    """The two clips as [T, H, W, 3], uint8 or float, after all checks.

    uint8 is 0..255; floats are pictures in [-1, 1], semjax's range for networks. One picture [H, W, 3] is a clip
    of one frame. `InputError` for other shapes and types, for floats outside of the range, and for differing
    sizes or counts, naming both. Under `jax.jit` values cannot be looked at, so only shapes and types are checked.
    """
    pair = []
    for name, clip in (("reference", reference), ("reconstruction", reconstruction)):
        clip = _as_array(clip)
        if clip.ndim not in (3, 4) or clip.shape[-1] != 3 or 0 in clip.shape:
            raise InputError(f"The {name} must have the shape (T, H, W, 3) or (H, W, 3), got {clip.shape}.")
        if clip.dtype != np.uint8:
            if not jnp.issubdtype(clip.dtype, jnp.floating):
                raise InputError(f"The {name} must be uint8, or floats in [-1, 1], got {clip.dtype}.")
            _check_range(name, clip)
        pair.append(clip.reshape(-1, *clip.shape[-3:]))
    _same_shape(*pair)
    return tuple(pair)


def label_pair(reference: Labels, reconstruction: Labels) -> tuple[jax.Array, jax.Array]:
    """The two label-map sequences as uint8 [T, H, W] after all checks; one map [H, W] is a sequence of one."""
    pair = []
    for name, maps in (("reference", reference), ("reconstruction", reconstruction)):
        maps = _as_array(maps)
        if maps.ndim not in (2, 3) or maps.dtype != np.uint8 or 0 in maps.shape:
            raise InputError(
                f"The {name} label maps must be uint8 of shape (T, H, W) or (H, W), got {maps.dtype} {maps.shape}."
            )
        pair.append(maps.reshape(-1, *maps.shape[-2:]))
    _same_shape(*pair)
    return tuple(pair)


def levels(clip: jax.Array) -> jax.Array:
    """Pictures in either form -> float32 in 0..255."""
    clip = jnp.asarray(clip)
    return clip.astype(jnp.float32) if clip.dtype == jnp.uint8 else (clip.astype(jnp.float32) + 1) * 127.5


def each_frame(score: Callable, *clips: jax.Array) -> jax.Array:
    """`score(frame, frame)` for every pair of frames, one after the other: memory for one pair only."""
    return jax.lax.map(lambda frames: score(*frames), clips)


def reduced(name: str, values: jax.Array, per_frame: bool) -> jax.Array:
    """[T] values as they are or their mean; `InputError` when one is NaN."""
    return finite(name, values if per_frame else values.mean())


def finite(name: str, value: jax.Array) -> jax.Array:
    """`value`, unless it is NaN somewhere: then `InputError`. Infinity passes (the PSNR of a copy)."""
    if not isinstance(value, jax.core.Tracer) and bool(jnp.isnan(value).any()):
        raise InputError(f"{name} is not a number for these inputs; check them for NaN.")
    return value


def optional(module: str):
    """Imports a module of an optional package; `NotAvailableError` says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise NotAvailableError(
            f"This measure needs the {package} package; install it with pip install semjax[metrics]."
        ) from error


def is_concrete(*arrays) -> bool:
    """False while `jax.jit` is tracing, when values cannot be looked at."""
    return not any(isinstance(a, jax.core.Tracer) for a in arrays)


def _as_array(value):
    return value if isinstance(value, (np.ndarray, jax.Array)) else np.asarray(value)


def _check_range(name: str, clip) -> None:
    if not is_concrete(clip):
        return
    low, high = float(clip.min()), float(clip.max())
    if not (low >= -1.0001 and high <= 1.0001):  # also when either is NaN
        raise InputError(
            f"Float pictures must lie in [-1, 1]; the {name} spans [{low:.4g}, {high:.4g}]. Give uint8, or rescale."
        )


def _same_shape(reference, reconstruction) -> None:
    if reference.shape == reconstruction.shape:
        return
    described = [f"{s[0]} frames of {s[2]}x{s[1]}" for s in (reference.shape, reconstruction.shape)]
    raise InputError(
        f"The reference has {described[0]}, but the reconstruction has {described[1]}; they must agree."
    )
