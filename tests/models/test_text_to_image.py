"""A whole picture in one jitted function against diffusers' pipeline, and compiled for other platforms."""

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import torch
import transformers

from semjax import checkpoints, text_to_image
from semjax.errors import InputError

UNET = {
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
    "norm_num_groups": 8,
    "sample_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 50,
    "max_position_embeddings": 9,
    "eos_token_id": 2,
}
VAE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
    "sample_size": 16,
}
SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def save(folder, tiny):
    """A pipeline of small random networks, saved by diffusers; the pipeline and its text encoder."""
    torch.manual_seed(0)
    vae = (
        diffusers.AutoencoderTiny(
            encoder_block_out_channels=(8,) * 2,
            decoder_block_out_channels=(8,) * 2,
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        )
        if tiny
        else diffusers.AutoencoderKL(**VAE)
    )
    parts = {
        "vae": parity.lively(vae),
        "text_encoder": parity.lively(transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT))),
        "unet": parity.lively(diffusers.UNet2DConditionModel(**UNET)),
        "scheduler": diffusers.EulerDiscreteScheduler(
            **{key: SCHEDULER[key] for key in ("beta_schedule", "beta_start", "beta_end")},
            timestep_spacing="trailing",
        )
        if tiny
        else diffusers.DDIMScheduler(**SCHEDULER),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    none = {"tokenizer": None, "safety_checker": None, "feature_extractor": None}
    return diffusers.StableDiffusionPipeline(**parts, **none, requires_safety_checker=False)


@pytest.mark.parametrize(
    ("tiny", "guidance"), [(False, 5.0), pytest.param(True, 1.0, marks=pytest.mark.slow)]
)
def test_pictures_are_those_of_diffusers(tmp_path, tiny, guidance):
    pipeline = save(tmp_path, tiny)
    pipeline.set_progress_bar_config(disable=True)
    draw = np.random.default_rng(0)
    ids, other = draw.integers(3, 50, (2, 2, 9))
    noise = draw.standard_normal((2, 8, 12, 4)).astype(np.float32)
    with torch.no_grad():
        embeds, negative = (pipeline.text_encoder(torch.tensor(x)).last_hidden_state for x in (ids, other))
        expected = pipeline(
            prompt_embeds=embeds,
            negative_prompt_embeds=negative,
            latents=parity.channels_first(noise),
            height=16,
            width=24,
            num_inference_steps=4,
            guidance_scale=guidance,
            output_type="pt",
        ).images
    cfg, params = text_to_image.load(tmp_path, steps=4, guidance=guidance)
    assert cfg.sampler.method == ("euler" if tiny else "ddim")
    with jax.default_matmul_precision("highest"):
        got = text_to_image.generate(params, ids, other, noise, jax.random.key(0), cfg=cfg)
        again = text_to_image.generate(params, other, ids, noise, jax.random.key(1), cfg=cfg)
    assert text_to_image.generate._cache_size() == 1  # compiled once
    text_to_image.generate.clear_cache()
    assert parity.error((got + 1) / 2, expected.permute(0, 2, 3, 1)) < 1e-3
    assert not np.allclose(got, again)


def test_schedulers_that_are_refused():
    with pytest.raises(InputError, match="HeunDiscreteScheduler"):
        text_to_image.sampler_config({"_class_name": "HeunDiscreteScheduler"}, 4)
    with pytest.raises(InputError, match="clip_sample=True"):
        text_to_image.sampler_config({"_class_name": "DDIMScheduler", "clip_sample": True}, 4)


@pytest.mark.slow
def test_it_exports_for_all_platforms(tmp_path):
    """One file that runs on CPUs, GPUs and TPUs, with a batch of any size."""
    save(tmp_path, False)
    cfg, params = text_to_image.load(tmp_path, steps=2)
    (batch,) = jax.export.symbolic_shape("b")
    ids = jax.ShapeDtypeStruct((batch, 9), jnp.int32)
    noise = jax.ShapeDtypeStruct((batch, 8, 8, 4), jnp.float32)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), params)

    def run(params, ids, other, noise, key):
        return text_to_image.generate(params, ids, other, noise, jax.random.wrap_key_data(key), cfg=cfg)

    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    exported = jax.export.export(jax.jit(run), platforms=("cpu", "cuda", "tpu"))(shapes, ids, ids, noise, key)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert len(checkpoints.to_torch(cfg.unet, params["unet"])) > 50
