"""Weights: PyTorch checkpoints of the networks in `semjax.models`, strictly read, and converted ones on disk.

    cfg, params = semjax.checkpoints.load("some/diffusers/folder/unet")        # or what `convert` has written
    net = semjax.checkpoints.network(cfg)
    noise = net.apply({"params": params}, latents, timesteps, text_states)

load          folder, safetensors file, hub name or converted folder -> (config, parameters)
convert       the same, or a whole pipeline -> folders that need neither PyTorch nor its projects
save          parameters -> such a folder
export        such a folder, or parameters -> a folder that diffusers and transformers read
from_torch    PyTorch state dict -> parameters, every key used exactly once; to_torch is its inverse
fold_lora     parameters with a low-rank adapter folded in
network       config -> the Flax Linen module
rules         the tables of names
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn

from semjax.checkpoints import files, networks, store, weights
from semjax.checkpoints.lora import fold_lora
from semjax.checkpoints.store import save
from semjax.checkpoints.weights import DtypePolicy, Shardings, from_torch, to_torch
from semjax.errors import InputError
from semjax.version import __version__

__all__ = ["convert", "export", "fold_lora", "from_torch", "load", "network", "save", "to_torch"]

_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model"]
_TEXT = (".json", ".txt", ".model")  # tokenizers and schedulers: small files that go along with a pipeline
_TOKENIZER = re.compile(
    r"(tokenizer.*|vocab|merges|special_tokens_map|added_tokens|chat_template)\.(json|txt|model|jinja)"
)


def network(cfg: Any, **attributes) -> nn.Module:
    """The Linen module of a config, with its attributes (`dtype`, `attention`, `hooks`) where given."""
    return networks.by_config(cfg).build(cfg, **attributes)


def load(
    source: str | Path,
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    variant: str | None = None,
    dtype: DtypePolicy = None,
    sharding: Shardings = None,
    allow_pickle: bool = False,
) -> tuple[Any, dict]:
    """(config, parameters) of a network.

    source: a folder of diffusers or transformers, one safetensors file (or an index of several), a folder that
    `convert` wrote, or the name of a model on the hub ("org/name", or "org/name/unet" for a part of a pipeline).
    config: a dict or JSON file where no `config.json` is beside the weights; the published networks in `known` are
    recognised without. variant: which of several sets of
    weights, as diffusers names them ("fp16").
    dtype: one for all parameters, or pairs (pattern of the path, dtype), or None for that of the file.
    sharding: one for all, a nested dict of them, or a function of (path, shape); only the local part is read.
    `InputError` lists everything that is wrong with the weights. Pickled checkpoints are refused unless
    `allow_pickle` is given and PyTorch is installed.
    """
    source = local(source)
    if (source / store.RECORD).is_file():
        return store.restore(source, dtype=dtype, sharding=sharding)
    tensors = files.find(source, variant, allow_pickle)
    settings = files.settings(source, config, tensors)
    cfg = networks.by_settings(settings).read(settings)
    return cfg, weights.read(cfg, tensors, dtype=dtype, sharding=sharding)


def convert(
    source: str | Path,
    out: str | Path,
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    variant: str | None = None,
    dtype: DtypePolicy = None,
    allow_pickle: bool = False,
) -> dict[str, str]:
    """Write a network, or every network of a pipeline, as a folder that `load` reads; source and options as there.

    Of a pipeline each network becomes a folder of its name in `out`; tokenizers and schedulers are copied, as is a
    tokenizer that lies beside a single network. Returns
    what became of each part: "converted", "copied" or why it was left out.
    """
    given, source = str(source), local(source)
    if (source / "model_index.json").is_file():
        return _pipeline(source, Path(out), given, variant, dtype, allow_pickle)
    tensors = files.find(source, variant, allow_pickle)
    settings = files.settings(source, config, tensors)
    cfg = networks.by_settings(settings).read(settings)
    provenance = {
        "source": given,
        "sha256": {file.name: files.digest(file) for file in tensors.files},
        "dtypes": sorted({tensor.dtype for tensor in tensors.tensors.values()}),
        "semjax": __version__,
    }
    save(out, settings, weights.read(cfg, tensors, dtype=dtype), provenance)
    for path in source.iterdir() if source.is_dir() else ():
        if _TOKENIZER.fullmatch(path.name):
            (Path(out) / path.name).write_bytes(path.read_bytes())
    return {networks.class_name(settings): "converted"}


def _pipeline(
    source: Path, out: Path, given: str, variant: str | None, dtype: DtypePolicy, allow_pickle: bool
) -> dict[str, str]:
    index, done = files.settings(source, source / "model_index.json"), {}
    for name, entry in sorted(index.items()):
        folder = source / name
        if name.startswith("_") or not isinstance(entry, list) or not folder.is_dir():
            continue
        if entry[-1] in networks.NETWORKS:
            options = {"variant": variant, "dtype": dtype, "allow_pickle": allow_pickle}
            convert(folder, out / name, **options)
            done[name] = "converted"
        elif any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir()):
            done[name] = f"left out: {entry[-1]} is not a network of semjax"
        else:
            (out / name).mkdir(parents=True, exist_ok=True)
            for path in folder.iterdir():
                if path.suffix in _TEXT:
                    (out / name / path.name).write_bytes(path.read_bytes())
            done[name] = "copied"
    if "converted" not in done.values():
        raise InputError(f"{given} is a pipeline without a network that can be converted: {index}.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "model_index.json").write_bytes((source / "model_index.json").read_bytes())
    return done


def export(source: str | Path, out: str | Path) -> None:
    """Write a converted folder back as safetensors and `config.json`, as diffusers and transformers read them."""
    import json

    from safetensors.numpy import save_file

    settings = store.record(source)["config"]
    cfg, params = store.restore(source)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    stem = "diffusion_pytorch_model" if "_class_name" in settings else "model"
    save_file(to_torch(cfg, params), out / f"{stem}.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def local(source: str | Path) -> Path:
    """`source` as a path on this machine; the name of a model on the hub is downloaded. `InputError` if it fails."""
    path = Path(source)
    if path.exists():
        return path
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:/([\w./-]+))?", str(source))
    if not found:
        raise InputError(
            f"There is no file or folder {source}, and it is not the name of a model on the hub."
        )
    name, part = found.groups()
    try:
        from huggingface_hub import snapshot_download

        patterns = [f"{part}/{pattern}" for pattern in _PATTERNS] if part else _PATTERNS
        folder = Path(snapshot_download(name, allow_patterns=patterns))
    except ImportError as error:
        raise InputError(
            f"There is no {source} here, and models of the hub take the package huggingface_hub, "
            "which is not installed."
        ) from error
    except Exception as error:  # many kinds: no network, no such model, no permission
        raise InputError(
            f"There is no {source} here, and the hub did not give it: {_first_line(error)}"
        ) from error
    return folder / part if part else folder
