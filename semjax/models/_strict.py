"""Parameters of a Linen module from PyTorch tensors and back, every one of both used exactly once."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from semjax.errors import InputError

Path = tuple[str, ...]
# Axes of PyTorch's kernels that make ours: [O, I] -> [I, O], [O, I, h, w] -> [h, w, I, O].
_PERMUTATIONS = {2: (1, 0), 4: (2, 3, 1, 0)}


@dataclasses.dataclass(frozen=True)
class Slot:
    """Where a parameter comes from: PyTorch's keys, the shape of each, and the axes of that which make ours.

    Several keys are the layers of a scan: their tensors stand one after the other along a new first axis.
    """

    keys: tuple[str, ...]
    torch_shape: tuple[int, ...]
    axes: tuple[int, ...] | None = None
    stacked: bool = False

    def layout(self, value: np.ndarray) -> np.ndarray:
        """One of PyTorch's tensors in our layout (a view)."""
        value = value.reshape(self.torch_shape)
        return value if self.axes is None else value.transpose(self.axes)

    def from_torch(self, values: Callable[[str], np.ndarray]) -> np.ndarray:
        """Our parameter from PyTorch's tensors (a view where there is one)."""
        if not self.stacked:
            return self.layout(values(self.keys[0]))
        return np.stack([self.layout(values(key)) for key in self.keys])

    def to_torch(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """The inverse of `from_torch`: PyTorch's tensors by key."""
        parts = value if self.stacked else [value]
        back = None if self.axes is None else np.argsort(self.axes)
        parts = [part if back is None else part.transpose(back) for part in parts]
        return {key: np.asarray(part, order="C") for key, part in zip(self.keys, parts)}


def slots(template: Mapping, name: Callable[[Path], str], stacked: Iterable[str] = ()) -> dict[Path, Slot]:
    """The slot of each parameter of `template` (a nested dict of arrays or shapes).

    `name` gives PyTorch's key of a path. A part of a path that is in `stacked` is a scan over layers: its parameters
    have a first axis of layers, and the path of layer i has `part_i` there.
    """
    found = {}
    for path, leaf in flatten_dict(template).items():
        shape, layers = tuple(leaf.shape), next((p for p in path if p in stacked), None)
        keys = (name(path),)
        if layers is not None:
            keys = tuple(name(tuple(f"{p}_{i}" if p == layers else p for p in path)) for i in range(shape[0]))
            shape = shape[1:]
        axes = _PERMUTATIONS.get(len(shape)) if path[-1] == "kernel" else None
        torch_shape = shape if axes is None else tuple(shape[a] for a in np.argsort(axes))
        found[path] = Slot(keys, torch_shape, axes, layers is not None)
    return found


def check(
    wanted: Mapping[Path, Slot],
    shapes: Mapping[str, tuple[int, ...]],
    unused: Iterable[str] = (),
    what: str = "this network",
) -> None:
    """`InputError` that lists every PyTorch tensor that is missing, left over, wanted twice or of another shape.

    `shapes` are those of the PyTorch tensors. Keys that match one of the patterns `unused` from their beginning may
    be left over. Linear maps may have the 1x1 of a convolution behind their shape, as old files have.
    """
    problems, takers = [], {}
    for path, slot in wanted.items():
        for key in slot.keys:
            if key in takers:
                problems.append(f"{key} is wanted by both {'/'.join(takers[key])} and {'/'.join(path)}")
            takers[key] = path
            if key not in shapes:
                problems.append(f"{key} is missing")
                continue
            got, want = tuple(shapes[key]), slot.torch_shape
            if got != want and not (slot.axes and {got, want} == {got[:2], (*got[:2], 1, 1)}):
                problems.append(f"{key} has the shape {got}, which does not fit {want}")
    patterns = [re.compile(pattern) for pattern in unused]
    left = sorted(set(shapes) - set(takers))
    problems += [f"{key} is not used" for key in left if not any(p.match(key) for p in patterns)]
    if problems:
        raise InputError(f"The weights do not fit {what}: {'; '.join(problems)}.")


def fill(
    template: Mapping,
    state: Mapping[str, np.ndarray],
    name: Callable[[Path], str],
    unused: Iterable[str] = (),
    stacked: Iterable[str] = (),
) -> dict:
    """A nested dict like `template` with the values of `state`, in the template's dtypes; strict, see `check`."""
    state = {key: np.asarray(value) for key, value in state.items()}
    wanted, leaves = slots(template, name, stacked), flatten_dict(template)
    check(wanted, {key: value.shape for key, value in state.items()}, unused)
    filled = {
        path: jax.numpy.asarray(slot.from_torch(state.__getitem__), leaves[path].dtype)
        for path, slot in wanted.items()
    }
    return unflatten_dict(filled)
