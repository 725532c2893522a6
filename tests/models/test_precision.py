"""Networks compute in the dtype they are told, whatever that of their parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from semjax import checkpoints
from semjax.checkpoints import networks
from semjax.models.autoencoder_kl import KlConfig
from semjax.models.autoencoder_tiny import AutoencoderTiny, TinyConfig
from semjax.models.clip import ClipTextConfig
from semjax.models.controlnet import ControlNetConfig
from semjax.models.motion import MotionConfig, MotionUNetConfig
from semjax.models.unet import UNetConfig

UNET = UNetConfig(
    block_out_channels=(8, 16),
    layers_per_block=1,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    cross_attention_dim=12,
    attention_head_dim=2,
    norm_num_groups=4,
    time_cond_proj_dim=6,
)
MOTION = MotionConfig((8, 16), 1, motion_num_attention_heads=2, motion_norm_num_groups=4)
CONFIGS = [
    UNET,
    ControlNetConfig(UNET),
    MotionUNetConfig(UNET, MOTION),
    KlConfig(block_out_channels=(8,), norm_num_groups=4),
    TinyConfig(3, 3, (8,) * 4, (8,) * 4),
    ClipTextConfig(16, 24, 2, 2, vocab_size=50),
]


@pytest.mark.parametrize("cfg", CONFIGS, ids=lambda cfg: type(cfg).__name__)
def test_outputs_have_the_dtype_of_the_network(cfg):
    args, kwargs = networks.by_config(cfg).example(cfg)
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), networks.template(cfg))
    for dtype in (jnp.bfloat16, jnp.float32):
        net = checkpoints.network(cfg, dtype=dtype)
        out = jax.eval_shape(lambda params, net=net: net.apply({"params": params}, *args, **kwargs), params)
        assert {leaf.dtype for leaf in jax.tree.leaves(out)} == {jnp.dtype(dtype)}


def test_half_precision_is_near():
    cfg = TinyConfig(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    params = parity.random_params(AutoencoderTiny(cfg), x)

    def encode(params, dtype):
        return AutoencoderTiny(cfg, dtype).apply({"params": params}, x, method="encode").astype(jnp.float32)

    exact = parity.run(lambda p: encode(p, jnp.float32), params)
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    rough = parity.run(lambda p: encode(p, jnp.bfloat16), half)
    assert 1e-5 < parity.error(rough, exact) < 0.05
