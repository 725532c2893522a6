"""Parameters from PyTorch's tensors and back: strict, in the dtypes and on the devices that are asked for."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from semjax.checkpoints import networks
from semjax.checkpoints.files import Pickled, Safetensors
from semjax.errors import InputError
from semjax.models import _strict

DtypePolicy = str | np.dtype | type | Sequence[tuple[str, str]] | None
Shardings = jax.sharding.Sharding | Callable[[str, tuple[int, ...]], jax.sharding.Sharding] | Mapping | None


def dtype_of(policy: DtypePolicy, path: str, stored: np.dtype) -> np.dtype:
    """The dtype of the parameter at `path` ("down_blocks_0/conv/kernel").

    `policy`: one dtype for all; or pairs (pattern, dtype), of which the first whose pattern matches the path counts
    (as file names match: "*/norm*"); or None. What no pattern matches keeps the dtype it is stored in.
    """
    if policy is None:
        return stored
    if not isinstance(policy, list | tuple):
        return _dtype(policy)
    for pattern, dtype in policy:
        if fnmatch.fnmatchcase(path, pattern):
            return _dtype(dtype)
    return stored


def _dtype(name: Any) -> np.dtype:
    try:
        return jnp.dtype({"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}.get(name, name))
    except TypeError as error:
        raise InputError(f"{name!r} is not a dtype: expected float32, bfloat16 or float16.") from error


def _sharding(shardings: Shardings, path: tuple[str, ...], shape: tuple[int, ...]):
    if shardings is None or isinstance(shardings, jax.sharding.Sharding):
        return shardings
    if callable(shardings):
        return shardings("/".join(path), shape)
    for part in path:
        shardings = shardings[part]
    return shardings


def read(
    cfg: Any, tensors: Safetensors | Pickled, *, dtype: DtypePolicy = None, sharding: Shardings = None
) -> dict:
    """The parameters of the network with config `cfg`, a nested dict of jax arrays.

    sharding: one for all, a nested dict of them, or a function of (path, shape); only what the devices of this
    process need is read. One tensor at a time is in memory besides what is returned. `InputError` lists every key
    that is missing, left over or of another shape.
    """
    table, wanted = networks.by_config(cfg).rules, networks.slots(cfg)
    today = table.today(tensors.tensors)
    shapes = {key: tensors.tensors[old].shape for key, old in today.items()}
    _strict.check(wanted, shapes, table.unused, f"{networks.by_config(cfg).name}, whose config is given")

    leaves = flatten_dict(networks.template(cfg))

    def at(slot: _strict.Slot, key: str, index: tuple[slice, ...]) -> np.ndarray:
        if shapes[key] == slot.torch_shape:
            return tensors.read(today[key], index)
        return tensors.read(today[key]).reshape(slot.torch_shape)[index]

    def one(path: tuple[str, ...], slot: _strict.Slot) -> jax.Array:
        shape = leaves[path].shape
        stored = tensors.tensors[today[slot.keys[0]]].dtype
        to = dtype_of(dtype, "/".join(path), _STORED.get(stored, np.dtype("float32")))
        where = _sharding(sharding, path, shape)
        if where is None:
            whole = slot.from_torch(lambda key: tensors.read(today[key]))
            return jnp.asarray(np.asarray(whole, order="C"), to)

        def part(index: tuple[slice, ...]) -> np.ndarray:
            return np.asarray(_part(slot, index, lambda key, inner: at(slot, key, inner)), to)

        return jax.make_array_from_callback(shape, where, part)

    return unflatten_dict({path: one(path, slot) for path, slot in wanted.items()})


_STORED = {"F32": jnp.dtype("float32"), "F16": jnp.dtype("float16"), "BF16": jnp.dtype("bfloat16")}


def _part(slot: _strict.Slot, index: tuple[slice, ...], read: Callable) -> np.ndarray:
    """The part of a parameter at `index` (in our layout), reading only that part of PyTorch's tensors."""
    keys = slot.keys[index[0]] if slot.stacked else slot.keys
    inner = index[1:] if slot.stacked else index
    order = range(len(inner)) if slot.axes is None else np.argsort(slot.axes)
    inner = tuple(inner[a] for a in order)
    parts = [read(key, inner) for key in keys]
    if slot.axes is not None:
        parts = [part.transpose(slot.axes) for part in parts]
    return np.stack(parts) if slot.stacked else parts[0]


def from_torch(cfg: Any, state: Mapping[str, Any], *, dtype: DtypePolicy = None) -> dict:
    """Parameters from a PyTorch state dict (its values as NumPy arrays). Strict, as `read`."""
    table = networks.by_config(cfg).rules
    today = table.today(state)
    arrays = {new: np.asarray(state[old]) for new, old in today.items()}
    wanted = networks.slots(cfg)
    _strict.check(wanted, {key: value.shape for key, value in arrays.items()}, table.unused)
    filled = {}
    for path, slot in wanted.items():
        value = slot.from_torch(arrays.__getitem__)
        filled[path] = jnp.asarray(value, dtype_of(dtype, "/".join(path), value.dtype))
    return unflatten_dict(filled)


def to_torch(cfg: Any, params: Mapping) -> dict[str, np.ndarray]:
    """The PyTorch state dict of parameters: the inverse of `from_torch`. `InputError` when they do not fit `cfg`."""
    wanted, leaves = networks.slots(cfg), flatten_dict(params)
    shapes = {path: leaf.shape for path, leaf in flatten_dict(networks.template(cfg)).items()}
    names = sorted(set(shapes) ^ set(leaves))
    problems = [f"{'/'.join(path)} is {'missing' if path in shapes else 'not used'}" for path in names]
    problems += [
        f"{'/'.join(path)} has the shape {np.shape(leaves[path])}, which does not fit {shape}"
        for path, shape in shapes.items()
        if path in leaves and np.shape(leaves[path]) != shape
    ]
    if problems:
        raise InputError(f"These are not the parameters of that network: {'; '.join(problems)}.")
    state = dict(networks.by_config(cfg).buffers(cfg))
    for path, slot in wanted.items():
        state |= slot.to_torch(np.asarray(leaves[path]))
    return state
