"""The autoencoders against diffusers' at small random configs."""

import diffusers
import numpy as np
import parity
import pytest
import torch

from semjax.checkpoints.rules import AUTOENCODER_KL, AUTOENCODER_TINY
from semjax.errors import InputError
from semjax.models.autoencoder_kl import AutoencoderKL, KlConfig
from semjax.models.autoencoder_tiny import AutoencoderTiny, TinyConfig

TINY = {
    "taesd": {},
    "taesd3": {"latent_channels": 16},
    "other": {
        "num_encoder_blocks": (1, 2),
        "num_decoder_blocks": (2, 1),
        "act_fn": "gelu",
        "upsampling_scaling_factor": 3,
    },
}


def pictures(height, width, channels=3):
    return np.random.default_rng(0).uniform(-1, 1, (2, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("name", TINY)
def test_tiny_autoencoder_is_that_of_diffusers(name):
    settings = {**TINY[name]}
    stages = len(settings.get("num_encoder_blocks", (1, 3, 3, 3)))
    for part in ("encoder", "decoder"):
        settings[f"{part}_block_out_channels"] = (8,) * stages
    reference = parity.lively(diffusers.AutoencoderTiny(**settings))
    net = AutoencoderTiny(TinyConfig.from_diffusers(dict(reference.config)))
    x = pictures(24, 40)
    params = parity.from_module(reference, net, AUTOENCODER_TINY, x)
    with torch.no_grad():
        latents = reference.encode(parity.channels_first(x)).latents
        decoded = reference.decode(latents).sample

    def both(params):
        latents = net.apply({"params": params}, x, method="encode")
        return latents, net.apply({"params": params}, latents, method="decode")

    for ours, theirs in zip(parity.run(both, params), (latents, decoded)):
        assert parity.error(ours, parity.channels_last(theirs)) < 1e-4


KL = {
    "sd": {"block_out_channels": (16, 32), "layers_per_block": 2},
    "other": {
        "block_out_channels": (8, 8, 16),
        "latent_channels": 5,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "mid_block_add_attention": False,
        "act_fn": "gelu",
    },
}


@pytest.mark.parametrize("name", ["sd", pytest.param("other", marks=pytest.mark.slow)])
def test_autoencoder_is_that_of_diffusers(name):
    settings = {"norm_num_groups": 4, **KL[name]}
    count = len(settings["block_out_channels"])
    kinds = {
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
    }
    reference = parity.lively(diffusers.AutoencoderKL(**settings, **kinds))
    net = AutoencoderKL(KlConfig.from_diffusers(dict(reference.config)))
    x = pictures(13, 18)
    params = parity.from_module(reference, net, AUTOENCODER_KL, x)
    with torch.no_grad():
        latents = reference.encode(parity.channels_first(x)).latent_dist
        decoded = reference.decode(latents.mean).sample

    def both(params):
        mean, log_variance = net.apply({"params": params}, x, method="encode")
        return mean, log_variance, net.apply({"params": params}, mean, method="decode")

    for ours, theirs in zip(parity.run(both, params), (latents.mean, latents.logvar, decoded)):
        assert parity.error(ours, parity.channels_last(theirs)) < 1e-4


def test_configs_that_are_refused():
    with pytest.raises(InputError, match="upsample_fn='bilinear' is not supported"):
        TinyConfig.from_diffusers({"upsample_fn": "bilinear"})
    with pytest.raises(InputError, match="must be equal"):
        TinyConfig(encoder_block_out_channels=(8, 8, 8, 16))
    with pytest.raises(InputError, match="AttnDownEncoderBlock2D"):
        KlConfig(down_block_types=("AttnDownEncoderBlock2D",))
