"""Weights as one safetensors file whose header says what they are; bfloat16 halves its size."""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from semjax.errors import InputError
from semjax.generator.config import ModelConfig
from semjax.generator.parameters import param_shapes
from semjax.generator.presets import preset

FILE = "generator.safetensors"


def save(
    path: str | Path,
    params: Any,
    model: ModelConfig,
    *,
    dtype: str = "bfloat16",
    run: Mapping[str, Any] | None = None,
    **notes: str,
) -> Path:
    """Write weights into the folder `path` and return the file.

    run: fields of GeneratorConfig with which these weights are best run (see `settings`). notes: kept in the file's
    header, too (seed, command, data).
    """
    from safetensors.flax import save_file

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    flat = {name: jnp.asarray(value).astype(dtype) for name, value in _flat(params).items()}
    partial = folder / f".{FILE}.partial"
    head = {"preset": model.name, "shapes": _shapes(model), "run": json.dumps(dict(run or {}))}
    save_file(flat, partial, head | notes)
    partial.replace(folder / FILE)
    return folder / FILE


def load(path: str | Path, *, parts: Collection[str] | None = None) -> tuple[ModelConfig, Any]:
    """The model and its parameters (float32) from a folder or file that `save` wrote.

    parts: the subtrees of `parameters.PARTS` to read; None: all. Raises InputError when the file cannot be read, or
    lists every parameter that is missing, left over or of another shape than the preset's.
    """
    from safetensors import safe_open

    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        with safe_open(file, "flax") as data:
            head = data.metadata() or {}
            names = [n for n in data.keys() if parts is None or n.split("/")[0] in parts]  # noqa: SIM118 (no mapping)
            flat = {name: data.get_tensor(name) for name in names}
    except Exception as error:  # the library raises several kinds of its own
        raise InputError(f"the generator weights {file} cannot be read: {error}") from error
    model = preset(head.get("preset", ""))
    if head.get("shapes") != _shapes(model):
        raise InputError(f"the weights {file} are of another version of the preset {model.name!r}")
    wanted = param_shapes(model)
    wanted = wanted if parts is None else {part: wanted[part] for part in parts}
    problems = _differences(flat, _flat(wanted))
    if problems:
        raise InputError(f"the weights {file} do not fit the preset {model.name!r}: {'; '.join(problems)}")
    values = [flat[name].astype(jnp.float32) for name in _flat(wanted)]
    return model, jax.tree.unflatten(jax.tree.structure(wanted), values)


def settings(path: str | Path) -> dict[str, Any]:
    """The fields of GeneratorConfig that whoever made a file of weights (see `save`) found best for them."""
    from safetensors import safe_open

    file = Path(path)
    with safe_open(file / FILE if file.is_dir() else file, "numpy") as data:
        return json.loads((data.metadata() or {}).get("run", "{}"))


def fingerprint(params: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all parameters, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(_flat(params).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _flat(params: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {"/".join(str(key.key) for key in path): value for path, value in leaves}


def _shapes(model: ModelConfig) -> str:
    return hashlib.sha256(json.dumps(dataclasses.asdict(model), sort_keys=True).encode()).hexdigest()[:16]


def _differences(found: dict, wanted: dict) -> list[str]:
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not known" for name in found if name not in wanted]
    problems += [
        f"{name} has shape {found[name].shape}, not {value.shape}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    return problems
