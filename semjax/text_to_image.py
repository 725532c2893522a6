"""From a text to a picture with a Stable Diffusion pipeline, the whole of it in one jitted function.

    cfg, params = load("some/diffusers/folder")              # or what `semjax convert` has made of it
    ids = tokenize("some/diffusers/folder", ["a red mug on a table", ""])       # the second is the empty text
    noise = jax.random.normal(jax.random.key(0), (1, 64, 64, 4))
    pictures = generate(params, ids[:1], ids[1:], noise, jax.random.key(1), cfg=cfg)        # [1, 512, 512, 3]

The loop over the steps is a scan inside, so that the network is compiled once whatever their number.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from semjax import checkpoints
from semjax.diffusion import SamplerConfig, Schedule, plan, sample, start
from semjax.errors import InputError
from semjax.models.attention import AttentionFn, attend
from semjax.models.autoencoder_kl import AutoencoderKL, KlConfig
from semjax.models.autoencoder_tiny import AutoencoderTiny, TinyConfig
from semjax.models.clip import ClipText, ClipTextConfig
from semjax.models.unet import UNet2DCondition, UNetConfig

# Schedulers of published pipelines -> our method for the same process; PNDM's is that of DDIM.
_METHODS = {
    "DDIMScheduler": "ddim",
    "PNDMScheduler": "ddim",
    "EulerDiscreteScheduler": "euler",
    "LCMScheduler": "lcm",
}
_PARTS = ("text_encoder", "unet", "vae")


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """The networks of a pipeline and how to sample. `guidance` 1 leaves out the second text (Ho, Salimans 2022)."""

    text: ClipTextConfig
    unet: UNetConfig
    vae: KlConfig | TinyConfig
    sampler: SamplerConfig = SamplerConfig()
    guidance: float = 7.5


def load(
    folder: str | Path, *, steps: int = 20, guidance: float = 7.5, **options
) -> tuple[PipelineConfig, dict[str, dict]]:
    """(config, parameters by part) of a pipeline in `folder`: text_encoder, unet, vae and scheduler.

    options: those of `semjax.checkpoints.load`. `InputError` when a part is missing or is not supported.
    """
    folder = checkpoints.local(folder)
    loaded = {part: checkpoints.load(folder / part, **options) for part in _PARTS}
    path = folder / "scheduler" / "scheduler_config.json"
    settings = json.loads(path.read_text()) if path.is_file() else {}
    text, unet, vae = (loaded[part][0] for part in _PARTS)
    cfg = PipelineConfig(text, unet, vae, sampler_config(settings, steps), guidance)
    return cfg, {part: params for part, (_, params) in loaded.items()}


def sampler_config(settings: Mapping[str, Any], steps: int) -> SamplerConfig:
    """How to sample, from a diffusers `scheduler_config.json`. `InputError` on schedulers that are not ours."""
    name = settings.get("_class_name", "DDIMScheduler")
    if name not in _METHODS:
        raise InputError(f"There is no sampler for {name}, only for {', '.join(_METHODS)}.")
    odd = [
        f"{key}={settings[key]!r}"
        for key in (
            "clip_sample",
            "thresholding",
            "rescale_betas_zero_snr",
            "use_karras_sigmas",
            "trained_betas",
        )
        if settings.get(key) and not (key == "clip_sample" and name == "PNDMScheduler")
    ]
    if odd:
        raise InputError(f"These settings of {name} are not supported: {', '.join(odd)}.")
    schedule = Schedule(
        settings.get("beta_schedule", "linear"),
        settings.get("prediction_type", "epsilon"),
        settings.get("num_train_timesteps", 1000),
        settings.get("beta_start", 0.0001),
        settings.get("beta_end", 0.02),
    )
    default = "linspace" if name == "EulerDiscreteScheduler" else "leading"
    return SamplerConfig(
        _METHODS[name],
        steps,
        schedule,
        settings.get("timestep_spacing", default),
        settings.get("steps_offset", 0),
        final_one=settings.get("set_alpha_to_one", name == "DDIMScheduler"),
    )


def tokenize(folder: str | Path, texts: list[str]) -> Int[np.ndarray, "B 77"]:
    """The token numbers of texts, cut or filled to the text encoder's length; the tokenizer is in `folder`.

    Takes the package transformers, which is imported here.
    """
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(Path(folder) / "tokenizer")
    return tokenizer(texts, padding="max_length", truncation=True, max_length=77, return_tensors="np")[
        "input_ids"
    ]


@functools.partial(jax.jit, static_argnames=("cfg", "attention", "dtype"))
def generate(
    params: Mapping[str, dict],
    ids: Int[Array, "B L"],
    other_ids: Int[Array, "B L"],
    noise: Float[Array, "B h w C"],
    key: jax.Array,
    *,
    cfg: PipelineConfig,
    attention: AttentionFn = attend,
    dtype: jnp.dtype = jnp.float32,
) -> Float[Array, "B H W 3"]:
    """Pictures in [-1, 1] of texts, away from `other_ids` by the config's guidance.

    noise: standard normal; its height and width set those of the pictures, by the autoencoder's factor (8).
    key: for samplers that draw noise on the way. dtype: what the networks compute in; the steps are float32.
    """
    if cfg.unet.time_cond_proj_dim is not None:
        raise InputError("A UNet with an embedded guidance scale (time_cond_proj_dim) is not supported here.")
    guided = cfg.guidance != 1
    unet = UNet2DCondition(cfg.unet, None, attention, dtype)
    tokens = jnp.concatenate([other_ids, ids]) if guided else ids
    text = ClipText(cfg.text, attention, dtype).apply({"params": params["text_encoder"]}, tokens)

    def denoise(x, time):
        x = jnp.concatenate([x, x]) if guided else x
        out = unet.apply({"params": params["unet"]}, x, time, text.last_hidden_state).astype(jnp.float32)
        if guided:
            away, towards = jnp.split(out, 2)
            out = away + cfg.guidance * (towards - away)
        return out, ()

    rows = plan(cfg.sampler)
    latents, _ = sample(denoise, rows, start(rows, noise), key)
    latents = latents / cfg.vae.scaling_factor + (cfg.vae.shift_factor or 0)
    if isinstance(cfg.vae, TinyConfig):
        vae = AutoencoderTiny(cfg.vae, dtype)
    else:
        vae = AutoencoderKL(cfg.vae, attention, dtype)
    pictures = vae.apply({"params": params["vae"]}, latents, method="decode")
    return jnp.clip(pictures.astype(jnp.float32), -1, 1)
