"""PyTorch checkpoints on disk: safetensors, sharded or not, tensor by tensor; pickles only on request."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semjax.checkpoints import known
from semjax.errors import InputError

_STEMS = ("diffusion_pytorch_model", "model", "pytorch_lora_weights", "adapter_model")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Where a tensor is: its file, shape, and dtype as safetensors names it ("F32", "BF16", ...)."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


class Safetensors:
    """The tensors of one or several safetensors files, read one at a time."""

    def __init__(self, files: list[Path]):
        self.files = files
        self.tensors: dict[str, Tensor] = {}
        twice = []
        for file in files:
            for key, tensor in _header(file).items():
                if key in self.tensors:
                    twice.append(f"{key} ({self.tensors[key].file.name}, {file.name})")
                self.tensors[key] = tensor
        if twice:
            raise InputError(f"These tensors are in two files: {'; '.join(twice)}.")

    def read(self, key: str, index: tuple[slice, ...] | None = None) -> np.ndarray:
        """The tensor `key`, or only the part at `index`."""
        from safetensors import safe_open

        # A file is open for one tensor at a time: the pages that a longer mapping has touched stay in memory.
        with safe_open(self.tensors[key].file, framework="np") as file:
            return file.get_slice(key)[index] if index else file.get_tensor(key)


class Pickled:
    """The tensors of pickled checkpoints, all in memory, as PyTorch's loader with `weights_only` gives them."""

    def __init__(self, files: list[Path]):
        self.files = files
        self.tensors: dict[str, Tensor] = {}
        self._state: dict[str, np.ndarray] = {}
        for file in files:
            for key, value in _unpickle(file).items():
                self._state[key] = value
                name = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}
                self.tensors[key] = Tensor(file, value.shape, name.get(value.dtype.name, value.dtype.name))

    def read(self, key: str, index: tuple[slice, ...] | None = None) -> np.ndarray:
        """The tensor `key`, or only the part at `index`."""
        return self._state[key][index] if index else self._state[key]


def _header(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as opened:
            found = {}
            for key in opened.keys():  # noqa: SIM118  safe_open is no dict
                part = opened.get_slice(key)
                found[key] = Tensor(file, tuple(part.get_shape()), part.get_dtype())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is not a safetensors file that can be read: {error}.") from error
    odd = [f"{key} ({tensor.dtype})" for key, tensor in found.items() if tensor.dtype not in _DTYPES]
    if odd:
        raise InputError(f"{file} has tensors of a type that is not supported: {', '.join(odd)}.")
    return found


def _unpickle(file: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{file} is a pickled checkpoint: reading it takes PyTorch, which is not installed."
        ) from error
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # its unpickler raises many kinds
        raise InputError(
            f"{file} holds more than tensors, or is damaged: PyTorch refuses it with weights_only."
        ) from error
    state = state.get("state_dict", state)
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{file} is not a dict of tensors.")
    import ml_dtypes

    def array(value):
        if value.dtype == torch.bfloat16:
            return value.contiguous().view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return value.numpy()

    return {key: array(value) for key, value in state.items()}


def find(source: Path, variant: str | None = None, allow_pickle: bool = False) -> Safetensors | Pickled:
    """The weights in a folder, or in one file. `InputError` when there are none, or only pickled ones.

    `variant` is diffusers' name for a second set of files ("fp16": model.fp16.safetensors); without it the plain
    ones, or those of the only variant there is.
    """
    if source.is_file():
        if source.name.endswith(".index.json"):
            return Safetensors(_shards(source))
        if source.suffix == ".safetensors":
            return Safetensors([source])
        return _pickled([source], allow_pickle)
    if not source.is_dir():
        raise InputError(f"There is neither a file nor a folder {source}.")
    sets = {}
    for name in sorted(path.name for path in source.iterdir()):
        for stem in _STEMS:
            for end in (".safetensors", ".safetensors.index.json"):
                if name.startswith(f"{stem}.") and name.endswith(end):
                    # diffusers writes "model.safetensors.index.fp16.json" too, transformers the name below
                    label = name[len(stem) : -len(end)].strip(".") or None
                    sets.setdefault(label, source / name)
            if name.startswith(f"{stem}.safetensors.index.") and name.endswith(".json"):
                label = name[len(f"{stem}.safetensors.index.") : -len("json")].strip(".") or None
                sets[label] = source / name
    if variant not in sets and variant is None and len(sets) == 1:
        variant = next(iter(sets))
    if variant in sets:
        return find(sets[variant])
    if sets:
        raise InputError(
            f"{source} has the weights {', '.join(str(key) for key in sets)}: say which by variant=..., got {variant}."
        )
    pickles = [path for path in sorted(source.iterdir()) if path.suffix in _PICKLES]
    if pickles:
        return _pickled(pickles, allow_pickle)
    raise InputError(
        f"{source} has no weights: expected {' or '.join(f'{s}.safetensors' for s in _STEMS[:2])}, or their index."
    )


def _pickled(files: list[Path], allow_pickle: bool) -> Pickled:
    if not allow_pickle:
        raise InputError(
            f"{', '.join(file.name for file in files)}: pickled checkpoints can run any program when they are "
            "opened. Convert them to safetensors where you trust them, or pass --allow-pickle (allow_pickle=True), "
            "which loads tensors alone and needs PyTorch."
        )
    return Pickled(files)


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is not an index of safetensors files: {error}.") from error
    odd = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    missing = [name for name in names if name not in odd and not (index.parent / name).is_file()]
    if odd or missing:
        raise InputError(f"{index} lists files that are not beside it: {', '.join(map(str, odd + missing))}.")
    return [index.parent / name for name in names]


def settings(
    source: Path,
    config: str | Path | Mapping[str, Any] | None = None,
    tensors: "Safetensors | Pickled | None" = None,
) -> dict[str, Any]:
    """The config of a folder or file: the dict or JSON file `config`, or `config.json` beside the weights.

    Without either, that of the published network whose `tensors` these are. `InputError` when there is none.
    """
    if isinstance(config, Mapping):
        return dict(config)
    path = Path(config) if config else (source if source.is_dir() else source.parent) / "config.json"
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file():
        shapes = {} if tensors is None else {key: tensor.shape for key, tensor in tensors.tensors.items()}
        name = None if config else known.recognise(shapes)
        if name is not None:
            return dict(known.KNOWN[name].settings)
        raise InputError(
            f"There is no {path}: a network needs its config; pass the file with --config (config=...)."
        )
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a config: expected one JSON object.")
    return found


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
