"""Converted weights on disk: a folder with the parameters (Orbax), the network's config and where they came from.

OUT/semjax.json     {"network", "config", "provenance"}
OUT/params/         an Orbax checkpoint of the nested dict of parameters
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from semjax.checkpoints import networks
from semjax.checkpoints.weights import DtypePolicy, Shardings, _sharding, dtype_of
from semjax.errors import InputError

RECORD = "semjax.json"
_VERSION = 1


def save(
    folder: str | Path, settings: Mapping[str, Any], params: Mapping, provenance: Mapping | None = None
) -> None:
    """Write parameters, with the config (as PyTorch projects write it) of their network.

    provenance: anything JSON can hold on where they come from. `InputError` when `folder` holds something else than
    an earlier conversion, which is replaced.
    """
    import orbax.checkpoint as ocp

    folder = Path(folder).absolute()
    if folder.exists() and any(folder.iterdir()) and not (folder / RECORD).exists():
        raise InputError(f"{folder} holds something else: give a folder that is new or empty.")
    network = networks.by_settings(settings)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "params", ignore_errors=True)
    with _checkpointer(jax.tree.leaves(params)) as checkpointer:
        checkpointer.save(folder / "params", args=ocp.args.PyTreeSave(dict(params)))
    record = {
        "version": _VERSION,
        "network": network.name,
        "config": dict(settings),
        "provenance": dict(provenance or {}),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def record(folder: str | Path) -> dict[str, Any]:
    """What `semjax.json` of a converted folder says. `InputError` when it is none of ours."""
    path = Path(folder) / RECORD
    try:
        found = json.loads(path.read_text())
        if found["version"] > _VERSION:
            raise InputError(f"{path} is of version {found['version']}: it takes a newer semjax to read it.")
        return {"network": found["network"], "config": found["config"], "provenance": found["provenance"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not the record of a converted network: {error}.") from error


def restore(folder: str | Path, *, dtype: DtypePolicy = None, sharding: Shardings = None) -> tuple[Any, dict]:
    """(config, parameters) of a converted folder; `dtype` and `sharding` as for `semjax.checkpoints.load`."""
    import orbax.checkpoint as ocp

    folder = Path(folder).absolute()
    settings = record(folder)["config"]
    cfg = networks.by_settings(settings).read(settings)
    leaves = jax.tree.leaves(networks.template(cfg))
    with _checkpointer(leaves) as checkpointer:
        stored = checkpointer.metadata(folder / "params").item_metadata.tree
        own = jax.sharding.SingleDeviceSharding(jax.devices()[0])

        def target(path, leaf):
            names = tuple(entry.key for entry in path)
            where = _sharding(sharding, names, tuple(leaf.shape)) or own
            to = dtype_of(dtype, "/".join(names), leaf.dtype)
            return jax.ShapeDtypeStruct(tuple(leaf.shape), to, sharding=where)

        wanted = jax.tree_util.tree_map_with_path(target, stored)
        _compare(networks.template(cfg), wanted, folder)
        args = ocp.checkpoint_utils.construct_restore_args(wanted)
        args = ocp.args.PyTreeRestore(item=wanted, restore_args=args)
        return cfg, checkpointer.restore(folder / "params", args=args)


def _checkpointer(leaves: list):
    """Orbax with one large tensor on its way to the disk at a time, so that weights are in memory about once."""
    import orbax.checkpoint as ocp

    largest = max(int(np.prod(leaf.shape)) for leaf in leaves) * np.dtype("float32").itemsize
    share = max(1.01 * largest, 1 << 26) / 1e9
    handler = ocp.PyTreeCheckpointHandler(save_concurrent_gb=share, save_device_host_concurrent_gb=share)
    return ocp.Checkpointer(handler)


def _compare(template: Mapping, found: Mapping, folder: Path) -> None:
    ours, theirs = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (template, found)
    )
    odd = [key for key in sorted(set(ours) | set(theirs)) if ours.get(key) != theirs.get(key)]
    if odd:
        raise InputError(f"{folder} does not hold the parameters of its config: {', '.join(odd)} differ.")
