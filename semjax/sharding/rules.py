"""Which array lives where: rules over the paths of a tree, checked in full before anything is placed.

A rule is a regular expression that has to match a leaf's whole path ("unet/mid_block/resnets_0/conv1/kernel"), and
for each dimension the mesh axis along which it is cut. Leaves without a rule are whole on every device.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semjax.errors import InputError

Axes = tuple[str | tuple[str, ...] | None, ...]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Leaves whose path matches `pattern` are cut along the mesh axes `axes`, one entry a dimension; dimensions
    after the last are whole. why: a word for `explain`."""

    pattern: str
    axes: Axes
    why: str = ""

    def __post_init__(self):
        used = [axis for entry in self.axes for axis in _tuple(entry)]
        if len(set(used)) != len(used):
            raise InputError(f"the rule {self.pattern!r} uses a mesh axis twice: {self.axes}")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InputError(f"the rule {self.pattern!r} is no regular expression: {error}") from error


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What the rules say of one leaf."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    axes: Axes
    rule: Rule | None


def resolve(tree: Any, rules: Sequence[Rule], mesh: Mesh | Mapping[str, int]) -> list[Leaf]:
    """The leaves of a tree (of arrays or shapes) in its order, each with its rule.

    Raises one InputError that lists everything wrong: rules that match nothing, leaves that two rules place
    differently, mesh axes that do not exist, more axes than dimensions, sizes that do not divide.
    """
    sizes = dict(mesh.shape) if isinstance(mesh, Mesh) else dict(mesh)
    problems, unused, found = [], set(rules), []
    for rule in rules:
        unknown = {axis for entry in rule.axes for axis in _tuple(entry)} - set(sizes)
        if unknown:
            problems.append(
                f"the rule {rule.pattern!r} names axes that the mesh {sizes} lacks: {sorted(unknown)}"
            )
    if problems:
        raise InputError("; ".join(problems))
    for keys, value in jax.tree_util.tree_leaves_with_path(tree):
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        matching = [rule for rule in rules if re.fullmatch(rule.pattern, path)]
        unused -= set(matching)
        if len({rule.axes for rule in matching}) > 1:
            told = " and ".join(f"{rule.pattern!r} {rule.axes}" for rule in matching)
            problems.append(f"{path} is placed by more than one rule: {told}")
        rule = matching[0] if matching else None
        leaf = Leaf(path, tuple(value.shape), value.dtype, rule.axes if rule else (), rule)
        problems += _misfits(leaf, sizes)
        found.append(leaf)
    problems += [f"the rule {rule.pattern!r} matches nothing" for rule in rules if rule in unused]
    if problems:
        raise InputError(f"the sharding rules do not fit: {'; '.join(problems)}")
    return found


def place(tree: Any, rules: Sequence[Rule], mesh: Mesh) -> Any:
    """A tree of `NamedSharding`s, for `in_shardings`, `device_put` or `put`. Raises InputError as `resolve` does."""
    leaves = resolve(tree, rules, mesh)
    named = [NamedSharding(mesh, PartitionSpec(*leaf.axes)) for leaf in leaves]
    return jax.tree.unflatten(jax.tree.structure(tree), named)


def put(tree: Any, shardings: Any) -> Any:
    """Host arrays as global ones: every process gives all of each, and sends its devices their parts alone."""

    def one(value, sharding):
        host = np.asarray(value)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(one, tree, shardings)


def explain(tree: Any, rules: Sequence[Rule], mesh: Mesh | Mapping[str, int] | None = None) -> str:
    """A table of who lives where: path, shape, axes, MB on each device, and the rule that says so.

    Without a mesh, axes have one device each: the table then tells which rule holds for which leaf.
    """
    if mesh is None:
        mesh = {axis: 1 for rule in rules for entry in rule.axes for axis in _tuple(entry)}
    sizes = dict(mesh.shape) if isinstance(mesh, Mesh) else dict(mesh)
    leaves = resolve(tree, rules, sizes)
    rows, here, everywhere = [], 0.0, 0.0
    for leaf in leaves:
        whole = math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize / 1e6
        share = whole / math.prod(_ways(entry, sizes) for entry in leaf.axes)
        here, everywhere = here + share, everywhere + whole
        where = ", ".join("+".join(_tuple(entry)) or "whole" for entry in leaf.axes) or "whole"
        rule = f"{leaf.rule.pattern} ({leaf.rule.why})" if leaf.rule else "no rule: on every device"
        rows.append((leaf.path, "x".join(map(str, leaf.shape)) or "1", where, f"{share:.3f}", rule))
    head = ("path", "shape", "cut along", "MB each", "by")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(4)]
    lines = ["  ".join((*(cell.ljust(w) for cell, w in zip(row, widths)), row[4])) for row in (head, *rows)]
    mesh_text = ",".join(f"{axis}={size}" for axis, size in sizes.items())
    lines.append(f"{here:.3f} MB on each device of {mesh_text}; {everywhere:.3f} MB in all")
    return "\n".join(lines)


def renamed(rules: Sequence[Rule], names: Mapping[str, str]) -> tuple[Rule, ...]:
    """The rules for a mesh whose axes have other names; axes that are not in `names` are cut no more."""

    def entry(old):
        kept = tuple(names[axis] for axis in _tuple(old) if axis in names)
        return kept[0] if len(kept) == 1 else kept or None

    return tuple(dataclasses.replace(rule, axes=tuple(map(entry, rule.axes))) for rule in rules)


def _tuple(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else entry


def _ways(entry: str | tuple[str, ...] | None, sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[axis] for axis in _tuple(entry))


def _misfits(leaf: Leaf, sizes: Mapping[str, int]) -> list[str]:
    if len(leaf.axes) > len(leaf.shape):
        return [f"{leaf.path} has {len(leaf.shape)} dimensions, its rule {leaf.axes} more"]
    return [
        f"{leaf.path} has {size} along dimension {i}, which {'+'.join(_tuple(entry))} cannot cut into "
        f"{_ways(entry, sizes)} equal parts"
        for i, (size, entry) in enumerate(zip(leaf.shape, leaf.axes))
        if size % _ways(entry, sizes)
    ]
