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
    """Where a parameter comes from: PyTorch's key and shape, and the axes of that which make ours."""

    key: str
    torch_shape: tuple[int, ...]
    axes: tuple[int, ...] | None = None

    def from_torch(self, value: np.ndarray) -> np.ndarray:
        """PyTorch's tensor in our layout (a view where possible)."""
        value = value.reshape(self.expected)
        return value if self.axes is None else value.transpose(self.axes)

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of `from_torch`."""
        value = value if self.axes is None else value.transpose(np.argsort(self.axes))
        return value.reshape(self.torch_shape)

    @property
    def expected(self) -> tuple[int, ...]:
        """PyTorch's shape without the 1x1 that old files have behind a linear map's."""
        linear = self.axes == _PERMUTATIONS[2] and len(self.torch_shape) == 4
        return self.torch_shape[:2] if linear else self.torch_shape


def _slot(path: Path, key: str, torch_shape: tuple[int, ...], shape: tuple[int, ...]) -> Slot | None:
    axes = _PERMUTATIONS.get(len(shape)) if path[-1] == "kernel" else None
    slot = Slot(key, tuple(torch_shape), axes)
    if len(slot.expected) != len(shape) or slot.torch_shape[2:] not in ((), (1, 1), slot.expected[2:]):
        return None
    ours = slot.expected if axes is None else tuple(slot.expected[a] for a in axes)
    return slot if ours == tuple(shape) else None


def plan(
    template: Mapping,
    shapes: Mapping[str, tuple[int, ...]],
    name: Callable[[Path], str],
    unused: Iterable[str] = (),
    what: str = "this network",
) -> dict[Path, Slot]:
    """Which PyTorch tensor fills which parameter of `template` (a nested dict of arrays or shapes).

    `shapes` are those of the PyTorch tensors; `name` gives the key of a parameter's path. Keys that match one of the
    patterns `unused` from their beginning may be left over. `InputError` lists everything that is missing, left
    over, wanted twice or of another shape.
    """
    slots, problems, takers = {}, [], {}
    for path, leaf in flatten_dict(template).items():
        key = name(path)
        if key in takers:
            problems.append(f"{key} is wanted by both {'/'.join(takers[key])} and {'/'.join(path)}")
            continue
        takers[key] = path
        if key not in shapes:
            problems.append(f"{key} is missing")
            continue
        slot = _slot(path, key, tuple(shapes[key]), tuple(leaf.shape))
        if slot is None:
            problems.append(
                f"{key} has the shape {tuple(shapes[key])}, which does not fit {tuple(leaf.shape)}"
            )
            continue
        slots[path] = slot
    left = sorted(set(shapes) - set(takers))
    unused = [re.compile(pattern) for pattern in unused]
    problems += [f"{key} is not used" for key in left if not any(p.match(key) for p in unused)]
    if problems:
        raise InputError(f"The weights do not fit {what}: {'; '.join(problems)}.")
    return slots


def fill(template: Mapping, state: Mapping[str, np.ndarray], name: Callable[[Path], str], unused=()) -> dict:
    """A nested dict like `template` with the values of `state`, in the template's dtypes; see `plan`."""
    state = {key: np.asarray(value) for key, value in state.items()}
    slots = plan(template, {key: value.shape for key, value in state.items()}, name, unused)
    leaves = flatten_dict(template)
    filled = {
        path: jax.numpy.asarray(slot.from_torch(state[slot.key]), leaves[path].dtype)
        for path, slot in slots.items()
    }
    return unflatten_dict(filled)
