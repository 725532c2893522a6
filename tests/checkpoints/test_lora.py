"""Adapters in the layouts that are published, folded as diffusers fuses them."""

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from semjax import checkpoints
from semjax.errors import InputError

UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
# What the LCM-LoRA of Stable Diffusion 1.5 adapts.
TARGETS = [
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "proj_in",
    "proj_out",
    "ff.net.0.proj",
    "ff.net.2",
    "conv1",
    "conv2",
]
TARGETS += ["conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj"]
RANK, ALPHA = 2, 5


def numbers(state):
    return {key: value.detach().numpy() for key, value in state.items()}


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """(config, parameters, adapter in peft's layout, its file, parameters fused by diffusers at scale 0.5)."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("lora")
    module = diffusers.UNet2DConditionModel(**UNET)
    cfg_folder = folder / "unet"
    module.save_pretrained(cfg_folder)
    cfg, params = checkpoints.load(cfg_folder)
    module.add_adapter(
        peft.LoraConfig(r=RANK, lora_alpha=ALPHA, init_lora_weights=False, target_modules=TARGETS)
    )
    adapter = numbers(peft.get_peft_model_state_dict(module))
    module.save_lora_adapter(folder / "adapter")
    module.fuse_lora(lora_scale=0.5)
    module.unload_lora()
    return cfg, params, adapter, folder / "adapter", checkpoints.from_torch(cfg, numbers(module.state_dict()))


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, other)


def renamed(adapter, layout):
    """The adapter in another published layout."""
    out = {}
    for key, value in adapter.items():
        module, end = key.rsplit(".lora_", 1)
        kind = {"A.weight": "down", "B.weight": "up"}[end]
        attention = module.rsplit(".", 1)[-1] in ("to_q", "to_k", "to_v") or module.endswith("to_out.0")
        if layout == "peft":
            out[f"base_model.model.{module}.lora_{end}"] = value
        elif layout == "diffusers":
            out[f"unet.{module}.lora.{kind}.weight"] = value
        elif layout == "processor" and attention:
            root, last = module.removesuffix(".0").rsplit(".", 1)
            out[f"unet.{root}.processor.{last}_lora.{kind}.weight"] = value
        elif layout == "processor":
            out[f"unet.{module}.lora.{kind}.weight"] = value
        elif layout == "kohya":
            name = "lora_unet_" + module.replace(".", "_")
            out[f"{name}.lora_{kind}.weight"] = value
            out[f"{name}.alpha"] = np.float32(ALPHA)
    if layout in ("diffusers", "processor"):  # a text encoder's adapter in the same file is not the UNet's
        out["text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora.down.weight"] = np.zeros((2, 8))
    return out


@pytest.mark.parametrize("layout", ["peft", "diffusers", "processor", "kohya"])
def test_layouts(adapted, tmp_path, layout):
    cfg, params, adapter, _, fused = adapted
    state = renamed(adapter, layout)
    alpha = None if layout == "kohya" else ALPHA
    close(checkpoints.fold_lora(cfg, params, state, scale=0.5, alpha=alpha), fused)
    save_file(
        {key: np.asarray(value, np.float32) for key, value in state.items()}, tmp_path / "a.safetensors"
    )
    close(checkpoints.fold_lora(cfg, params, tmp_path / "a.safetensors", scale=0.5, alpha=alpha), fused)
    assert any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(fused)))


def test_a_saved_adapter_says_its_alpha(adapted):
    cfg, params, _, folder, fused = adapted
    close(checkpoints.fold_lora(cfg, params, folder, scale=0.5), fused)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    folded = checkpoints.fold_lora(cfg, half, folder)
    assert {leaf.dtype for leaf in jax.tree.leaves(folded)} == {jnp.dtype(jnp.bfloat16)}


def test_everything_wrong_is_in_one_error(adapted):
    cfg, params, adapter, folder, _ = adapted
    state = load_file(next(folder.glob("*.safetensors")))
    assert set(state) == set(adapter)
    key = "mid_block.attentions.0.proj_in.lora_B.weight"
    del state[key]
    state["conv_out.lora_A.weight"] = np.zeros((2, 9), np.float32)
    state["conv_out.lora_B.weight"] = np.zeros((4, 2), np.float32)
    state["elsewhere.lora_A.weight"] = np.zeros((2, 2), np.float32)
    state["conv_in.lora_magnitude_vector"] = np.zeros(8, np.float32)
    with pytest.raises(InputError) as caught:
        checkpoints.fold_lora(cfg, params, state)
    for part in (
        "mid_block.attentions.0.proj_in has no up",
        "conv_out: up (4, 2) and down (2, 9) do not make (4, 8, 3, 3)",
        "elsewhere.lora_A.weight adapts a module that the network does not have",
        "conv_in.lora_magnitude_vector is of a kind that is not supported",
    ):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="nothing for UNet2DConditionModel"):
        checkpoints.fold_lora(cfg, params, {"lora_te_x.alpha": np.float32(1)})


def test_text_encoders(tmp_path):
    """The layers are a scan in our network and a list in transformers'."""
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=50
    )
    module = transformers.CLIPTextModel(config)
    module.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    draw = np.random.default_rng(0)
    down, up = draw.standard_normal((2, 16), np.float32), draw.standard_normal((24, 2), np.float32)
    for key in (
        "lora_te_text_model_encoder_layers_1_mlp_fc1.lora_{}.weight",
        "text_encoder.text_model.encoder.layers.1.mlp.fc1.lora.{}.weight",
    ):
        folded = checkpoints.fold_lora(cfg, params, {key.format("down"): down, key.format("up"): up})
        state, before = checkpoints.to_torch(cfg, folded), checkpoints.to_torch(cfg, params)
        name = "encoder.layers.1.mlp.fc1.weight"
        np.testing.assert_allclose(state.pop(name), before.pop(name) + up @ down, atol=1e-5)
        for rest, value in before.items():
            np.testing.assert_array_equal(state[rest], value)
