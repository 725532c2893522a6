"""ControlNet and motion modules against diffusers' at small random configs."""

import diffusers
import jax
import numpy as np
import parity
import pytest
import torch

from semjax import checkpoints
from semjax.errors import InputError
from semjax.models.controlnet import ControlNetConfig
from semjax.models.motion import MotionUNetConfig, UNetMotion

SMALL = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "norm_num_groups": 8,
}
DOWN = ("CrossAttnDownBlock2D", "DownBlock2D")
CONTROL = {
    "seg": {"attention_head_dim": 4},
    "other": {
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "controlnet_conditioning_channel_order": "bgr",
        "conditioning_channels": 4,
        "class_embed_type": "timestep",
        "act_fn": "gelu",
        "global_pool_conditions": True,
        "mid_block_type": "UNetMidBlock2D",
    },
}


def lively_zeros(module):
    """The output convolutions of a ControlNet begin as zeros, which would hide everything before them."""
    with torch.no_grad():
        for value in module.parameters():
            if not value.any():
                value.add_(0.2 * torch.randn(value.shape))
    return module


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("seg", False),
        pytest.param("seg", True, marks=pytest.mark.slow),
        pytest.param("other", False, marks=pytest.mark.slow),
    ],
)
def test_controlnet_is_that_of_diffusers(tmp_path, name, guess):
    torch.manual_seed(0)
    settings = SMALL | CONTROL[name]
    embedding = (4, 8, 12)
    reference = diffusers.ControlNetModel(
        **settings, down_block_types=DOWN, conditioning_embedding_out_channels=embedding
    )
    reference = parity.lively(lively_zeros(reference))
    reference.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    net = checkpoints.network(cfg)
    draw = np.random.default_rng(0)
    x, text = (draw.standard_normal(shape).astype(np.float32) for shape in ((2, 6, 9, 4), (2, 5, 24)))
    pictures = draw.uniform(0, 1, (2, 24, 36, settings.get("conditioning_channels", 3))).astype(np.float32)
    t, labels = (
        np.array([3, 700]),
        {"class_labels": np.array([5, 9])} if "class_embed_type" in settings else {},
    )
    with torch.no_grad():
        down, mid = reference(
            parity.channels_first(x),
            torch.tensor(t),
            torch.tensor(text),
            parity.channels_first(pictures),
            conditioning_scale=0.7,
            guess_mode=guess,
            return_dict=False,
            **{key: torch.tensor(value) for key, value in labels.items()},
        )

    def run(params):
        return net.apply({"params": params}, x, t, text, pictures, scale=0.7, guess_mode=guess, **labels)

    ours, middle = parity.run(run, params)
    assert len(ours) == len(down)
    for one, other in zip((*ours, middle), (*down, mid)):
        assert parity.error(one, parity.channels_last(other)) < 1e-4
    with pytest.raises(InputError, match="4 times as high and wide"):
        jax.eval_shape(lambda: net.apply({"params": params}, x, t, text, pictures[:, ::2], **labels))


def test_controlnet_configs_that_are_refused():
    with pytest.raises(InputError, match="channel_order='grb'"):
        ControlNetConfig.from_diffusers({"controlnet_conditioning_channel_order": "grb"})
    with pytest.raises(InputError, match="encoder_hid_dim"):
        ControlNetConfig.from_diffusers({"encoder_hid_dim": 5})


MOTION = {
    "v2": ({"motion_num_attention_heads": 4, "motion_max_seq_length": 6}, {}),
    "v3": (
        {
            "motion_num_attention_heads": (2, 4),
            "motion_max_seq_length": 5,
            "use_motion_mid_block": False,
            "motion_transformer_layers_per_block": (1, 2),
        },
        {"use_linear_projection": True, "time_cond_proj_dim": 8},
    ),
}


@pytest.mark.parametrize("name", ["v2", pytest.param("v3", marks=pytest.mark.slow)])
def test_motion_modules_are_those_of_diffusers(tmp_path, name):
    """A UNet and an adapter, each from its own folder, are together diffusers' UNetMotionModel."""
    torch.manual_seed(0)
    adapter, more = MOTION[name]
    kinds = {"down_block_types": DOWN, "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
    unet = parity.lively(diffusers.UNet2DConditionModel(**SMALL | more, **kinds, attention_head_dim=4))
    motion = diffusers.MotionAdapter(
        block_out_channels=SMALL["block_out_channels"],
        motion_layers_per_block=1,
        motion_norm_num_groups=8,
        **adapter,
    )
    motion = parity.lively(lively_zeros(motion))
    reference = diffusers.UNetMotionModel.from_unet2d(unet, motion).eval()
    for module, folder in ((unet, "unet"), (motion, "motion"), (reference, "both")):
        module.save_pretrained(tmp_path / folder)
    (unet_cfg, unet_params), (motion_cfg, motion_params), (both_cfg, both_params) = (
        checkpoints.load(tmp_path / folder) for folder in ("unet", "motion", "both")
    )
    cfg = MotionUNetConfig(unet_cfg, motion_cfg)
    params = {"unet": unet_params, "motion": motion_params}
    jax.tree.map(np.testing.assert_array_equal, params, both_params)
    assert both_cfg.motion.places() == motion_cfg.places()

    draw = np.random.default_rng(0)
    x, text = (draw.standard_normal(shape).astype(np.float32) for shape in ((2, 4, 6, 5, 4), (2, 3, 24)))
    t = np.array([3, 700])
    with torch.no_grad():
        expected = reference(
            torch.tensor(x).permute(0, 4, 1, 2, 3),
            torch.tensor(t),
            torch.tensor(text).repeat_interleave(4, 0),
        ).sample
    net = UNetMotion(cfg)
    got = parity.run(lambda p: net.apply({"params": p}, x, t, text), params)
    assert parity.error(got, expected.permute(0, 2, 3, 4, 1)) < 1e-4

    for cfg, params, module in ((motion_cfg, motion_params, motion), (both_cfg, both_params, reference)):
        state = checkpoints.to_torch(cfg, params)
        for key, value in module.state_dict().items():
            np.testing.assert_allclose(state.pop(key), value.numpy(), atol=2e-6, err_msg=key)
        assert not state
    with pytest.raises(InputError, match="positions for"):
        jax.eval_shape(lambda: net.apply({"params": params}, np.zeros((1, 9, 6, 5, 4)), 0, text[:1]))


def test_motion_configs_that_are_refused():
    with pytest.raises(InputError, match="mid_block_layers=2"):
        MotionUNetConfig.from_diffusers({"mid_block_layers": 2})
