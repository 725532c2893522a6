"""Parameters of a Linen module from PyTorch tensors, every one of both used exactly once."""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from semjax.errors import InputError


def fill(
    template: dict, state: Mapping[str, np.ndarray], name: Callable[[tuple[str, ...]], str], unused=()
) -> dict:
    """A nested dict like `template` (arrays or shapes) with the values of `state`.

    `name` gives the PyTorch key of a parameter's path. Convolution kernels [O, I, h, w] become [h, w, I, O].
    Keys that start with one of `unused` may be left over. `InputError` lists everything that is missing, left
    over or of another shape.
    """
    filled, problems, left = {}, [], set(state)
    for path, slot in flatten_dict(template).items():
        key = name(path)
        left.discard(key)
        if key not in state:
            problems.append(f"{key} is missing")
            continue
        value = np.asarray(state[key])
        if path[-1] == "kernel" and value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        if value.shape != slot.shape:
            problems.append(f"{key} has the shape {np.shape(state[key])}, which does not fit {slot.shape}")
            continue
        filled[path] = jax.numpy.asarray(value, slot.dtype)
    problems += [f"{key} is not used" for key in sorted(left) if not key.startswith(tuple(unused))]
    if problems:
        raise InputError(f"The weights do not fit this network: {'; '.join(problems)}.")
    return unflatten_dict(filled)
