"""Which networks there are: by the class name that PyTorch projects write, and by our config."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from semjax.checkpoints import rules
from semjax.errors import InputError
from semjax.models import _strict
from semjax.models.autoencoder_kl import AutoencoderKL, KlConfig
from semjax.models.autoencoder_tiny import AutoencoderTiny, TinyConfig
from semjax.models.bert import Bert, BertConfig
from semjax.models.clip import Clip, ClipConfig, ClipText, ClipTextConfig
from semjax.models.controlnet import ControlNet, ControlNetConfig
from semjax.models.internvl import InternVl, InternVlConfig
from semjax.models.internvl import example as internvl_example
from semjax.models.layers import interleaved_sinusoids
from semjax.models.motion import MotionConfig, MotionModules, MotionUNetConfig, UNetMotion
from semjax.models.segformer import Segformer, SegformerConfig
from semjax.models.unet import UNet2DCondition, UNetConfig


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: how to read its config, build it, call it on something small, and name its tensors."""

    name: str
    fits: Callable[[Any], bool]
    read: Callable[[Mapping[str, Any]], Any]
    build: Callable[[Any], nn.Module]
    example: Callable[[Any], tuple[tuple, dict]]
    rules: rules.Rules
    buffers: Callable[[Any], dict[str, np.ndarray]] = lambda cfg: {}  # what PyTorch saves besides parameters


def _picture(cfg) -> tuple[tuple, dict]:
    return (jnp.zeros((1, 64, 64, cfg.in_channels)),), {}


def _unet(cfg: UNetConfig) -> tuple[tuple, dict]:
    width = cfg.cross_attention_dim
    text = cfg.encoder_hid_dim or (max(width) if isinstance(width, tuple) else width)
    more: dict = {}
    if cfg.class_embed_type == "timestep" or (cfg.class_embed_type is None and cfg.num_class_embeds):
        more["class_labels"] = jnp.zeros((1,), int)
    elif cfg.class_embed_type == "identity":
        more["class_labels"] = jnp.zeros((1, cfg.time_width))
    elif cfg.class_embed_type:
        more["class_labels"] = jnp.zeros((1, cfg.projection_class_embeddings_input_dim))
    if cfg.addition_embed_type:
        pooled = cfg.projection_class_embeddings_input_dim - 6 * cfg.addition_time_embed_dim
        more["added"] = {"text_embeds": jnp.zeros((1, pooled)), "time_ids": jnp.zeros((1, 6))}
    size = 2 ** len(cfg.block_out_channels)
    sample = jnp.zeros((1, size, size, cfg.in_channels))
    return (sample, 0, jnp.zeros((1, 4, text))), more


def _tokens(cfg: ClipTextConfig | BertConfig) -> tuple[tuple, dict]:
    return (jnp.zeros((1, 2), int),), {}


def _clip(cfg: ClipConfig) -> tuple[tuple, dict]:
    size = cfg.vision.image_size
    return (jnp.zeros((1, 2), int), jnp.zeros((1, size, size, cfg.vision.num_channels))), {}


def _internvl(cfg: InternVlConfig) -> tuple[tuple, dict]:
    return internvl_example(cfg), {}


def _segformer(cfg: SegformerConfig) -> tuple[tuple, dict]:
    return (jnp.zeros((1, 64, 64, cfg.num_channels)),), {}


def _batches_seen(cfg: SegformerConfig) -> dict[str, np.ndarray]:
    return {"decode_head.batch_norm.num_batches_tracked": np.zeros((), np.int64)}


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda cfg: type(cfg) is kind


def _is_clip_text(projection: bool) -> Callable[[Any], bool]:
    return lambda cfg: type(cfg) is ClipTextConfig and (cfg.projection_dim is not None) == projection


_read_text = ClipTextConfig.from_transformers
_read_projected_text = functools.partial(_read_text, projection=True)


def _controlnet(cfg: ControlNetConfig) -> tuple[tuple, dict]:
    (sample, time, text), more = _unet(cfg.unet)
    factor = 2 ** (len(cfg.conditioning_embedding_out_channels) - 1)
    size = factor * sample.shape[1]
    return (sample, time, text, jnp.zeros((1, size, size, cfg.conditioning_channels))), more


def _motion(cfg: MotionConfig) -> tuple[tuple, dict]:
    return (), {}


def _unet_motion(cfg: MotionUNetConfig) -> tuple[tuple, dict]:
    (sample, time, text), _ = _unet(cfg.unet)
    return (sample[:, None], time, text), {}


def _positions(cfg: MotionConfig) -> dict[str, np.ndarray]:
    found = {}
    for place, (channels, heads, depth) in cfg.places().items():
        for i in range(depth):
            width = channels // heads * heads
            key = rules.MOTION.key((place, f"transformer_blocks_{i}", "pos_embed", "pe"))
            found[key] = np.asarray(interleaved_sinusoids(cfg.motion_max_seq_length, width))[None]
    return found


_BERTS = ("BertModel", "BertForMaskedLM", "BertForPreTraining", "RobertaModel", "RobertaForMaskedLM")
_ALL = (
    ("UNet2DConditionModel", _is(UNetConfig), UNetConfig.from_diffusers, UNet2DCondition, _unet, rules.UNET),
    ("AutoencoderKL", _is(KlConfig), KlConfig.from_diffusers, AutoencoderKL, _picture, rules.AUTOENCODER_KL),
    ("AutoencoderTiny", _is(TinyConfig), TinyConfig.from_diffusers, AutoencoderTiny, _picture, rules.AUTOENCODER_TINY),
    ("CLIPTextModel", _is_clip_text(False), _read_text, ClipText, _tokens, rules.CLIP_TEXT),
    ("CLIPTextModelWithProjection", _is_clip_text(True), _read_projected_text, ClipText, _tokens, rules.CLIP),
    ("ControlNetModel", _is(ControlNetConfig), ControlNetConfig.from_diffusers, ControlNet, _controlnet,
     rules.CONTROLNET),
    ("MotionAdapter", _is(MotionConfig), MotionConfig.from_diffusers, MotionModules, _motion, rules.MOTION, _positions),
    ("UNetMotionModel", _is(MotionUNetConfig), MotionUNetConfig.from_diffusers, UNetMotion, _unet_motion,
     rules.UNET_MOTION, lambda cfg: _positions(cfg.motion)),
    ("CLIPModel", _is(ClipConfig), ClipConfig.from_transformers, Clip, _clip, rules.CLIP),
    *((name, _is(BertConfig), BertConfig.from_transformers, Bert, _tokens, rules.BERT) for name in _BERTS),
    ("SegformerForSemanticSegmentation", _is(SegformerConfig), SegformerConfig.from_transformers, Segformer,
     _segformer, rules.SEGFORMER, _batches_seen),
    ("InternVLForConditionalGeneration", _is(InternVlConfig), InternVlConfig.from_transformers, InternVl, _internvl,
     rules.INTERNVL),
)  # fmt: skip
NETWORKS = {entry[0]: Network(*entry) for entry in _ALL}


def class_name(settings: Mapping[str, Any]) -> str | None:
    """The class that a `config.json` names: `_class_name` (diffusers) or the first of `architectures`."""
    return settings.get("_class_name") or next(iter(settings.get("architectures") or ()), None)


def by_settings(settings: Mapping[str, Any]) -> Network:
    """The network of a `config.json`. `InputError` when it is not one of ours."""
    name = class_name(settings)
    if name not in NETWORKS:
        raise InputError(
            f"The config names the network {name!r}; those that can be converted are {', '.join(NETWORKS)}."
        )
    return NETWORKS[name]


def by_config(cfg: Any) -> Network:
    """The network of one of our configs. `InputError` when it has none."""
    for network in NETWORKS.values():
        if network.fits(cfg):
            return network
    raise InputError(f"{type(cfg).__name__} is not the config of a network that can be converted.")


@functools.lru_cache(maxsize=16)
def template(cfg: Any) -> dict:
    """Shapes and dtypes (float32) of the parameters of the network with this config, without computing any."""
    network = by_config(cfg)
    args, kwargs = network.example(cfg)
    return jax.eval_shape(lambda: network.build(cfg).init(jax.random.key(0), *args, **kwargs))["params"]


def slots(cfg: Any) -> dict[_strict.Path, _strict.Slot]:
    """Which PyTorch tensors fill which parameter of the network with this config."""
    table = by_config(cfg).rules
    return _strict.slots(template(cfg), table.key, table.stacked)
