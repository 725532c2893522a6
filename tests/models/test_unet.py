"""The UNet against diffusers' at small random configs, its hooks, and what its config refuses."""

import diffusers
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import torch

from semjax.checkpoints.rules import UNET
from semjax.errors import InputError
from semjax.models.unet import UNet2DCondition, UNetConfig

SMALL = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}
# name: (settings beside SMALL, height, width)
CONFIGS = {
    "sd15": ({}, 8, 8),
    "sd21": (
        {
            "use_linear_projection": True,
            "attention_head_dim": (2, 4),
            "layers_per_block": 2,
            "upcast_attention": True,
        },
        9,
        14,
    ),
    "labels": (
        {
            "num_class_embeds": 5,
            "resnet_time_scale_shift": "scale_shift",
            "act_fn": "gelu",
            "mid_block_scale_factor": 2.0,
            "center_input_sample": True,
            "only_cross_attention": (True, False),
        },
        9,
        11,
    ),
    "lcm": (
        {
            "class_embed_type": "timestep",
            "time_cond_proj_dim": 16,
            "transformer_layers_per_block": 2,
            "downsample_padding": 0,
        },
        8,
        8,
    ),
    "projection": (
        {
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": 12,
            "class_embeddings_concat": True,
        },
        8,
        8,
    ),
    "fourier": (
        {
            "class_embed_type": "simple_projection",
            "projection_class_embeddings_input_dim": 12,
            "time_embedding_type": "fourier",
            "encoder_hid_dim": 20,
            "flip_sin_to_cos": False,
            "freq_shift": 1,
        },
        8,
        8,
    ),
    "identity": (
        {
            "class_embed_type": "identity",
            "conv_in_kernel": 5,
            "conv_out_kernel": 1,
            "mid_block_type": "UNetMidBlock2D",
            "timestep_post_act": "silu",
            "time_embedding_act_fn": "mish",
            "time_embedding_dim": 48,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        },
        8,
        8,
    ),
    "xl": (
        {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 60,
            "mid_block_type": None,
            "attention_head_dim": 5,  # 16 channels do not split into 5 heads: the transformer is narrower
            "block_out_channels": (16, 24, 32),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": (1, 2, 1),
            "transformer_layers_per_block": (1, 2, 3),
            "cross_attention_dim": (24, 24, 24),
        },
        15,
        10,
    ),
}
DEFAULT = ("sd15", "sd21", "labels")


def inputs(settings, height, width, seed=0):
    """(sample, timesteps, text, our keywords, diffusers' keywords)."""
    draw = np.random.default_rng(seed)

    def normal(*shape):
        return draw.standard_normal(shape).astype(np.float32)

    ours, theirs = {}, {}
    kind = settings.get("class_embed_type")
    if settings.get("num_class_embeds") or kind == "timestep":
        ours["class_labels"] = np.array([1, 4])
    elif kind:
        ours["class_labels"] = normal(2, settings["time_embedding_dim"] if kind == "identity" else 12)
    if settings.get("time_cond_proj_dim"):
        ours["timestep_cond"] = normal(2, settings["time_cond_proj_dim"])
    theirs = {key: torch.tensor(value) for key, value in ours.items()}
    if settings.get("addition_embed_type"):
        ours["added"] = {"text_embeds": normal(2, 12), "time_ids": normal(2, 6)}
        theirs["added_cond_kwargs"] = {key: torch.tensor(value) for key, value in ours["added"].items()}
    text = normal(2, 7, settings.get("encoder_hid_dim", 24))
    return normal(2, height, width, 4), np.array([3, 700]), text, ours, theirs


@pytest.mark.parametrize(
    "name", [n if n in DEFAULT else pytest.param(n, marks=pytest.mark.slow) for n in CONFIGS]
)
def test_unet_is_that_of_diffusers(name):
    more, height, width = CONFIGS[name]
    settings = SMALL | more
    reference = parity.lively(diffusers.UNet2DConditionModel(**settings))
    net = UNet2DCondition(UNetConfig.from_diffusers(dict(reference.config)))
    x, t, text, ours, theirs = inputs(settings, height, width)
    params = parity.from_module(reference, net, UNET, x, t, text, **ours)
    mask = np.array([[1, 1, 1, 1, 0, 0, 0], [1] * 7])
    with torch.no_grad():
        expected = reference(
            parity.channels_first(x),
            torch.tensor(t),
            torch.tensor(text),
            encoder_attention_mask=None if name == "sd15" else torch.tensor(mask),
            **theirs,
        ).sample
    if name != "sd15":
        ours["text_mask"] = mask
    got = parity.run(lambda p: net.apply({"params": p}, x, t, text, **ours), params)
    assert parity.error(got, parity.channels_last(expected)) < 1e-4


class Gain(nn.Module):
    """Hooks with parameters of their own: a gain at each layer, a share of the values at each self-attention."""

    def setup(self):
        self.gain = self.param("gain", nn.initializers.constant(0.5), ())

    def layer(self, place, x):
        return x * self.gain

    def attend(self, place, hidden, key, value):
        return hidden * self.gain + value.reshape(hidden.shape).mean(1, keepdims=True)


class Recorder:
    """Hooks that change nothing and write down where they were asked, and with what shapes."""

    def __init__(self):
        self.layers, self.attentions = {}, {}

    def layer(self, place, x):
        self.layers[place] = x.shape
        return x

    def attend(self, place, hidden, key, value):
        assert key.shape == value.shape and key.shape[:2] == hidden.shape[:2]
        self.attentions[place] = hidden.shape
        return jnp.zeros_like(hidden)


def test_hooks_see_every_layer_and_attention():
    cfg = UNetConfig(**SMALL | {"transformer_layers_per_block": (2, 1)})
    hooks = Recorder()
    x, text = jnp.zeros((2, 8, 6, 4)), jnp.zeros((2, 7, 24))
    jax.eval_shape(lambda: UNet2DCondition(cfg, hooks).init(jax.random.key(0), x, 0, text))
    assert hooks.layers == {
        "down_0_0": (2, 8, 6, 16),
        "down_1_0": (2, 4, 3, 32),
        "mid_0": (2, 4, 3, 32),
        "up_0_0": (2, 4, 3, 32),
        "up_0_1": (2, 4, 3, 32),
        "up_1_0": (2, 8, 6, 16),
        "up_1_1": (2, 8, 6, 16),
    }
    assert hooks.attentions == {
        "down_0_0": (2, 48, 16),
        "down_0_0_1": (2, 48, 16),
        "mid_0": (2, 12, 32),
        "up_1_0": (2, 48, 16),
        "up_1_0_1": (2, 48, 16),
        "up_1_1": (2, 48, 16),
        "up_1_1_1": (2, 48, 16),
    }


def test_hooks_change_what_they_say():
    cfg = UNetConfig(**SMALL)
    x, text = jnp.ones((1, 4, 4, 4)), jnp.ones((1, 2, 24))
    own = parity.random_params(UNet2DCondition(cfg), x, 0, text)
    assert jax.tree.map(
        jnp.shape, parity.random_params(UNet2DCondition(cfg, Gain()), x, 0, text)["hooks"]
    ) == {"gain": ()}

    def run(params):
        def with_hooks(hooks, params):
            return UNet2DCondition(cfg, hooks).apply({"params": params}, x, 0, text)

        plain, quiet = with_hooks(None, params), with_hooks(Recorder(), params)
        return plain, quiet, with_hooks(Gain(), params | {"hooks": {"gain": jnp.float32(0.5)}})

    plain, quiet, loud = parity.run(run, own)
    np.testing.assert_allclose(plain, quiet, atol=1e-6)
    assert float(jnp.abs(loud - plain).max()) > 1e-3


def test_residuals_are_those_of_a_controlnet():
    reference = parity.lively(diffusers.UNet2DConditionModel(**SMALL))
    net = UNet2DCondition(UNetConfig.from_diffusers(dict(reference.config)))
    x, t, text, _, _ = inputs(SMALL, 8, 8)
    params = parity.from_module(reference, net, UNET, x, t, text)
    draw = np.random.default_rng(1)
    shapes = [(2, 8, 8, 16), (2, 8, 8, 16), (2, 4, 4, 16), (2, 4, 4, 32)]
    down = [draw.standard_normal(shape).astype(np.float32) for shape in shapes]
    mid = draw.standard_normal((2, 4, 4, 32)).astype(np.float32)
    with torch.no_grad():
        expected = reference(
            parity.channels_first(x),
            torch.tensor(t),
            torch.tensor(text),
            down_block_additional_residuals=tuple(map(parity.channels_first, down)),
            mid_block_additional_residual=parity.channels_first(mid),
        ).sample
    got = jax.jit(lambda p: net.apply({"params": p}, x, t, text, down_residuals=down, mid_residual=mid))(
        params
    )
    assert parity.error(got, parity.channels_last(expected)) < 1e-4
    with pytest.raises(InputError, match="4 arrays, got 3"):
        jax.eval_shape(lambda: net.apply({"params": params}, x, t, text, down_residuals=down[:3]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"down_block_types": ("KDownBlock2D", "DownBlock2D")}, "KDownBlock2D"),
        ({"attention_head_dim": (4, 4, 4)}, "3 entries, expected 2"),
        ({"dual_cross_attention": True, "attention_type": "gated"}, "dual_cross_attention.*attention_type"),
        ({"num_attention_heads": 4}, "num_attention_heads"),
        ({"norm_num_groups": None}, "norm_num_groups"),
        ({"act_fn": "swoosh"}, "swoosh"),
        ({"unheard_of": 3}, "unheard_of=3 is not known"),
    ],
)
def test_configs_that_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        UNetConfig.from_diffusers(SMALL | settings)
