"""Meshes of devices, and the processes that hold them."""

import dataclasses
import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from semjax.errors import InputError

AXES = ("data", "model", "space")  # streams; heads and channels; rows of the picture
HEARTBEAT = 60  # seconds of silence after which a process counts as dead; compiling may silence one for ten


@dataclasses.dataclass(frozen=True)
class MeshShape:
    """How many devices each axis has; one of them may be -1, for all that the others leave.

    data: groups of streams. model: parts of the heads and channels. space: parts of the picture, in rows.
    """

    data: int = -1
    model: int = 1
    space: int = 1

    def __post_init__(self):
        sizes = dataclasses.astuple(self)
        if any(size < 1 and size != -1 for size in sizes) or sizes.count(-1) > 1:
            raise InputError(f"mesh axes have 1 or more devices, and one of them may be -1; got {self}")

    @classmethod
    def parse(cls, text: str) -> "MeshShape":
        """From text such as "data=-1,model=2,space=1"; axes that are not named have one device, `data` the rest."""
        sizes: dict[str, int] = {}
        for part in filter(None, text.replace(" ", "").split(",")):
            axis, _, size = part.partition("=")
            if axis not in AXES or axis in sizes or not size.removeprefix("-").isdigit():
                raise InputError(
                    f"a mesh is written as data=-1,model=1,space=1, every axis at most once; got {text!r}"
                )
            sizes[axis] = int(size)
        if -1 in sizes.values():
            sizes.setdefault("data", 1)
        return cls(**sizes)

    def fit(self, devices: int) -> "MeshShape":
        """The shape on so many devices. Raises InputError when it needs more, or -1 does not come out even."""
        sizes = dataclasses.astuple(self)
        known = math.prod(size for size in sizes if size > 0)
        if -1 not in sizes:
            if known > devices:
                raise InputError(f"the mesh {self} needs {known} devices; there are {devices}")
            return self
        if devices % known:
            raise InputError(
                f"{devices} devices do not split into groups of {known}, which the mesh {self} asks for; "
                f"choose sizes whose product divides {devices}"
            )
        return MeshShape(*(devices // known if size == -1 else size for size in sizes))

    def __str__(self) -> str:
        return ",".join(f"{axis}={size}" for axis, size in dataclasses.asdict(self).items())


def make_mesh(shape: MeshShape | str = MeshShape(), devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with the axes data, model and space, all of them Auto: the compiler places what no rule speaks of.

    devices: all of every process by default. A shape that leaves devices over takes the first; with several processes
    that is an InputError, since some of them would have nothing to do.
    """
    shape = MeshShape.parse(shape) if isinstance(shape, str) else shape
    devices = list(jax.devices() if devices is None else devices)
    shape = shape.fit(len(devices))
    sizes = dataclasses.astuple(shape)
    count = math.prod(sizes)
    if count < len(devices) and jax.process_count() > 1:
        raise InputError(
            f"the mesh {shape} uses {count} of {len(devices)} devices; several processes use all"
        )
    # jax.make_mesh gives Explicit axes unless told otherwise; it orders TPUs along their links.
    return jax.make_mesh(sizes, AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices[:count])


def owners(mesh: Mesh) -> list[int]:
    """For each row of the axis `data` the process that writes its videos: the lowest that holds a device of it."""
    grid = np.asarray(mesh.devices).reshape(mesh.shape["data"], -1)
    return [min(device.process_index for device in row) for row in grid]


def held_rows(mesh: Mesh, process: int) -> list[int]:
    """The rows of the axis `data` of which a process holds a device: it needs their inputs."""
    grid = np.asarray(mesh.devices).reshape(mesh.shape["data"], -1)
    return [i for i, row in enumerate(grid) if any(device.process_index == process for device in row)]


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    cluster: bool = False,
    heartbeat: int = HEARTBEAT,
) -> None:
    """Join the other processes through `jax.distributed`; does nothing for a process alone.

    Must come before anything that asks for devices. coordinator: "host:port" of process 0, with the number of
    processes and this one's; cluster: TPU pods, Slurm and the other clusters that JAX knows need none of the three.
    heartbeat: seconds after which a silent process counts as dead, which ends the others with an error.
    """
    given = (coordinator, processes, process)
    if all(value is None for value in given) and not cluster:
        return
    if any(value is None for value in given) and any(value is not None for value in given):
        raise InputError("outside of clusters give all of coordinator (host:port), processes and process")
    if processes is not None and not 0 <= process < processes:
        raise InputError(f"process must be 0 to {processes - 1}, not {process}")
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        heartbeat_timeout_seconds=heartbeat,
        shutdown_timeout_seconds=heartbeat,
    )


def on_cluster() -> bool:
    """Whether this looks like one of several processes that JAX can join by itself: a step of Slurm with several tasks,
    or a host of TPUs, alone or in a slice. Looks at the surroundings and asks for no devices."""
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return True
    wanted = "tpu" in os.environ.get("JAX_PLATFORMS", "tpu")
    chips = [*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*")]
    return wanted and bool(chips) and importlib.util.find_spec("libtpu") is not None
