"""Low-rank adapters (LoRA, Hu et al. 2021) folded into the weights they adapt: W + scale alpha / r up down.

The layouts read are those of diffusers ("unet.X.lora.down.weight", "unet.X.processor.to_q_lora.down.weight"), peft
("base_model.model.X.lora_A.weight") and kohya ("lora_unet_X.lora_down.weight", as the LCM-LoRAs are published).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from semjax.checkpoints import files, networks
from semjax.errors import InputError
from semjax.models.clip import ClipTextConfig

# What stands before the names of a network's modules; a file may hold adapters for several networks.
_TEXT = r"(?:text_encoder\.|text_encoder_2\.|lora_te_|lora_te1_|lora_te2_)"
_UNET = r"(?:unet\.|lora_unet_)"
_ENDS = (
    (r"\.processor\.(to_q|to_k|to_v)_lora\.(down|up)\.weight$", r".\1 \2"),
    (r"\.processor\.to_out_lora\.(down|up)\.weight$", r".to_out.0 \1"),
    (r"\.(?:lora\.|lora_|lora_linear_layer\.)(down|up)\.weight$", r" \1"),
    (r"\.lora_A(?:\.default)?\.weight$", " down"),
    (r"\.lora_B(?:\.default)?\.weight$", " up"),
    (r"\.alpha$", " alpha"),
)


def fold_lora(
    cfg: Any,
    params: Mapping,
    source: str | Path | Mapping[str, np.ndarray],
    *,
    scale: float = 1.0,
    alpha: float | None = None,
) -> dict:
    """Parameters with the adapter `source` (file, folder or its tensors) folded in, in their own dtypes.

    scale: factor of the adapter. alpha: for files that do not say it; the adapter's rank without it (a factor of 1).
    Adapters for other networks in the same file (those of a text encoder, when `cfg` is a UNet's) are left alone.
    `InputError` lists every tensor that does not fit; DoRA and adapters of biases are refused.
    """
    tensors, notes = _read(source)
    leaves, targets = dict(flatten_dict(params)), _targets(cfg)
    modules, problems = _modules(cfg, tensors, targets)
    for name, parts in sorted(modules.items()):
        if not {"down", "up"} <= set(parts):
            problems.append(f"{name} has no {'up' if 'down' in parts else 'down'}")
            continue
        path, slot, row = targets[name]
        down, up = (np.asarray(tensors[parts[kind]], np.float32) for kind in ("down", "up"))
        rank, factor = down.shape[0], scale * _alpha(name, down.shape[0], tensors, parts, notes, alpha)
        shape = slot.torch_shape
        if up.shape[:2] != (shape[0], rank) or int(np.prod(down.shape)) != rank * int(np.prod(shape[1:])):
            problems.append(f"{name}: up {up.shape} and down {down.shape} do not make {shape}")
            continue
        delta = factor * (up.reshape(-1, rank) @ down.reshape(rank, -1))
        delta = slot.layout(delta.reshape(shape))
        leaf = leaves[path]
        if row is None:
            leaves[path] = (leaf.astype(jnp.float32) + delta).astype(leaf.dtype)
        else:
            leaves[path] = leaf.at[row].set((leaf[row].astype(jnp.float32) + delta).astype(leaf.dtype))
    if not modules and not problems:
        problems.append(f"it has nothing for {networks.by_config(cfg).name}")
    if problems:
        raise InputError(f"This adapter does not fit: {'; '.join(problems)}.")
    return unflatten_dict(leaves)


def _targets(cfg: Any) -> dict[str, tuple]:
    """PyTorch's name of each module with a kernel -> (path, slot, number of the layer in a scan or None)."""
    found = {}
    for path, slot in networks.slots(cfg).items():
        if path[-1] == "kernel":
            for i, key in enumerate(slot.keys):
                found[key.removesuffix(".weight")] = (path, slot, i if slot.stacked else None)
    return found


def _modules(cfg: Any, tensors: Mapping, targets: Mapping) -> tuple[dict[str, dict[str, str]], list[str]]:
    """({module: {"down", "up", "alpha": key}}, problems)."""
    text = type(cfg) is ClipTextConfig
    ours, others = (_TEXT, _UNET) if text else (_UNET, _TEXT)
    flat = {name.replace(".", "_"): name for name in targets}
    modules: dict[str, dict[str, str]] = {}
    problems = []
    for key in tensors:
        if re.match(others, key):
            continue
        name = re.sub(rf"^(?:base_model\.model\.)?{ours}?", "", key)
        if text:
            name = name.removeprefix("text_model.").removeprefix("text_model_")
        for pattern, kind in _ENDS:
            if re.search(pattern, name):
                name = re.sub(pattern, kind, name)
                break
        else:
            problems.append(f"{key} is of a kind that is not supported")
            continue
        module, kind = name.split(" ")
        module = flat.get(module, module)
        if text and module not in targets:
            module = f"text_model.{module}"
        if module not in targets:
            problems.append(f"{key} adapts a module that the network does not have")
            continue
        modules.setdefault(module, {})[kind] = key
    return modules, problems


def _alpha(
    name: str, rank: int, tensors: Mapping, parts: Mapping, notes: Mapping, alpha: float | None
) -> float:
    """The factor alpha / r of a module, from the file's tensor, its notes, or the caller."""
    root = False
    if "alpha" in parts:
        alpha = float(np.asarray(tensors[parts["alpha"]]))
    elif notes:
        patterns = notes.get("alpha_pattern") or {}
        fits = [value for key, value in patterns.items() if re.search(rf"(^|\.){re.escape(key)}$", name)]
        alpha, root = fits[0] if fits else notes.get("lora_alpha", alpha), notes.get("use_rslora", False)
    if alpha is None:
        return 1.0
    return alpha / (rank**0.5 if root else rank)


def _read(source: str | Path | Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], dict]:
    """(tensors by key, what peft has noted on them)."""
    if isinstance(source, Mapping):
        return source, {}
    from safetensors import safe_open

    path = Path(source)
    found = files.find(path)
    notes: dict = {}
    with safe_open(found.files[0], framework="np") as opened:
        text = (opened.metadata() or {}).get("lora_adapter_metadata")
    config = (path if path.is_dir() else path.parent) / "adapter_config.json"
    if text is None and config.is_file():
        text = config.read_text()
    if text is not None:
        try:
            notes = {key.removeprefix("unet."): value for key, value in json.loads(text).items()}
        except (ValueError, AttributeError) as error:
            raise InputError(f"The notes of {path} on its adapter are not JSON: {error}.") from error
    return {key: found.read(key) for key in found.tensors}, notes
