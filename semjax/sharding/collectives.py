"""What a compiled program sends between devices, read from its text: kind, mesh axes, how often, how much."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

import numpy as np
from jax.sharding import Mesh

from semjax.errors import NotAvailableError

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128}
_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_OP = re.compile(rf"^\s*(?:ROOT )?%?[\w.\-]+ = (.+?) ({'|'.join(KINDS)})(-start)?\(")
_CALL = re.compile(r"(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count[":{ ]+n[": ]+"?(\d+)')
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One kind of traffic of a program's run.

    axes: mesh axes among whose devices it goes ("" when it stays on one). shape: of the result on a device, with its
    dtype. count: how often in a run, loops counted. bytes: that a device receives in all, with the ring algorithms:
    (n - 1) / n of what is gathered, twice that of what is reduced, all of what is permuted.
    """

    kind: str
    axes: str
    shape: str
    count: int
    bytes: int


def traffic(text: str, mesh: Mesh, *, rare: bool = True) -> list[Collective]:
    """The collectives of a compiled program (`compiled.as_text()`) over `mesh`, the largest traffic first.

    Loops whose number of rounds the compiler does not know count once. All branches of a condition count, or without
    `rare` the one with the fewest collectives: what a frame without a keyframe sends.
    """
    bodies = _computations(text)
    places = {device.id: at for at, device in np.ndenumerate(mesh.devices)}
    # Programs number their devices in the order of the mesh.
    grid = [places[device.id] for device in mesh.devices.flat]
    found: dict[tuple[str, str, str], list[int]] = collections.defaultdict(lambda: [0, 0])
    entry = next(name for name in bodies if name.startswith("ENTRY "))
    for line, times in _walk(bodies, entry, 1, rare):
        match = _OP.match(line)
        groups = _groups(line, mesh.size)
        axes = _axes(groups, grid, mesh.axis_names)
        kind, shape = match[2], _result(match[1], match[2], bool(match[3]))
        size = max((len(group) for group in groups), default=1)
        total = found[kind, axes, shape]
        total[0] += times
        total[1] += times * round(_received(kind, size) * _bytes(shape))
    moved = [Collective(*key, *counted) for key, counted in found.items()]
    return sorted(moved, key=lambda c: (-c.bytes, c.kind, c.axes, c.shape))


def by_axis(found: list[Collective]) -> dict[str, dict[str, int]]:
    """Counts and bytes by mesh axes."""
    total: dict[str, dict[str, int]] = {}
    for item in found:
        entry = total.setdefault(item.axes, {"count": 0, "bytes": 0})
        entry["count"] += item.count
        entry["bytes"] += item.bytes
    return total


def _computations(text: str) -> dict[str, list[str]]:
    """Lines of each computation, the entry's under a name that says so."""
    bodies: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            lines = bodies.setdefault(("ENTRY " if line.startswith("ENTRY") else "") + head[1], [])
        else:
            lines.append(line)
    return bodies


def _walk(bodies: dict[str, list[str]], name: str, times: int, rare: bool) -> Iterator[tuple[str, int]]:
    """The lines with collectives that a computation and those it calls run, and how often."""
    for line in bodies[name]:
        if _OP.match(line):
            yield line, times
            continue
        called = [other for other in _CALL.findall(line) if other in bodies]
        branches = [other for found in _BRANCHES.findall(line) for other in re.findall(r"[\w.\-]+", found)]
        if " conditional(" in line and not branches:
            called, branches = [], called
        if branches and not rare:
            branches = [min(branches, key=lambda branch: len(list(_walk(bodies, branch, 1, rare))))]
        trips = _TRIPS.search(line)
        rounds = int(trips[1]) if trips and " while(" in line else 1
        for other in called + branches:
            yield from _walk(bodies, other, times * rounds, rare)


def _groups(line: str, devices: int) -> list[list[int]]:
    """Which devices a collective joins: listed, or as a reshaped and transposed count; pairs for permutations."""
    pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", line)
    if pairs:
        return [
            [int(n) for n in pair.split(",")]
            for pair in re.findall(r"\{([\d,]+)", "{" + pairs[1].lstrip("{"))
        ]
    listed = re.search(r"replica_groups=\{(\{.*?\})\}", line)
    if listed:
        return [[int(n) for n in group.split(",")] for group in re.findall(r"\{([\d,]+)\}", listed[1])]
    counted = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line)
    if counted:
        shape, dims = ([int(n) for n in part.split(",")] for part in counted.groups()[:2])
        numbers = np.arange(math.prod(dims)).reshape(dims)
        if counted[3]:
            numbers = numbers.transpose([int(n) for n in counted[3].split(",")])
        return numbers.reshape(shape).tolist()
    named = re.search(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\((.*?)\))? \{([^}]*)\}", line)
    if named:
        groups = _named_groups(dict(re.findall(r"'(\w+)'=(\d+)", named[1])), named[3])
        order = _order(named[2], line)
        return groups if order is None else [[order[i] for i in group] for group in groups]
    if re.search(r"replica_groups=(?!\{\})", line):
        raise NotAvailableError(
            f"groups of devices in a spelling that is not known yet: {line.strip()[:200]}"
        )
    return [list(range(devices))]


def _order(text: str | None, line: str) -> list[int] | None:
    """Devices in the order of a named mesh: None for 0, 1, ...; a reshaped and transposed count; or a list."""
    if text is None:
        return None
    if re.fullmatch(r"[\d, ]+", text):
        return [int(n) for n in text.split(",")]
    turned = re.fullmatch(
        r"\[([\d,]+)\](?:<=\[[\d,]+\])?T\(([\d,]+)\)", text + (")" if text[-1] != ")" else "")
    )
    if not turned:
        raise NotAvailableError(
            f"an order of devices in a spelling that is not known yet: {line.strip()[:200]}"
        )
    dims, turn = ([int(n) for n in part.split(",")] for part in turned.groups())
    return np.arange(math.prod(dims)).reshape(dims).transpose(turn).ravel().tolist()


def _named_groups(sizes: dict[str, str], chosen: str) -> list[list[int]]:
    """Groups along named axes of a mesh in row-major order: 'a', or 'b':(2)4, 4 after a first cut in 2."""
    parts = re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", chosen)
    shape, together = [], []
    for name, size in sizes.items():
        own = [(int(a or 1), int(b or size)) for found, a, b in parts if found == name]
        before, taken = own[0] if own else (int(size), 1)
        shape += [before, taken, int(size) // (before * taken)]
        together.append(len(shape) - 2)
    numbers = np.arange(math.prod(shape)).reshape(shape)
    apart = [i for i in range(len(shape)) if i not in together]
    count = math.prod(shape[i] for i in together)
    return numbers.transpose([*apart, *together]).reshape(-1, count).tolist()


def _axes(groups: list[list[int]], grid: list[tuple[int, ...]], names: tuple[str, ...]) -> str:
    moved = set()
    for group in groups:
        for i, name in enumerate(names):
            if len({grid[number][i] for number in group}) > 1:
                moved.add(name)
    return "+".join(name for name in names if name in moved)


def _result(shape: str, kind: str, started: bool) -> str:
    """The arrays that come out; an asynchronous start also lists what goes in, first."""
    arrays = [f"{dtype}[{dims}]" for dtype, dims in _ARRAY.findall(shape) if dtype != "u32" or dims]
    if started and len(arrays) > 1 and kind != "all-reduce":
        arrays = arrays[len(arrays) // 2 :] if kind != "collective-permute" else arrays[1:2]
    return " ".join(arrays)


def _bytes(shape: str) -> int:
    total = 0
    for dtype, dims in _ARRAY.findall(shape):
        bits = _BITS.get(dtype) or int(re.sub(r"\D", "", dtype) or 8)
        total += bits // 8 * math.prod(int(n) for n in dims.split(",") if n)
    return total


def _received(kind: str, size: int) -> float:
    """Bytes that a device receives for each byte of its result, with `size` devices in a group."""
    share = (size - 1) / size
    return {
        "all-gather": share,
        "all-reduce": 2 * share,
        "reduce-scatter": size - 1.0,
        "all-to-all": share,
        "collective-permute": 1.0,
    }[kind]
