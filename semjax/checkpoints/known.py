"""Configs of published networks: for files that come without one, and for what must always convert.

Settings are those of the `config.json` beside the published weights, less what changes nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from semjax.checkpoints import rules

_SD = {
    "_class_name": "UNet2DConditionModel",
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_SD2 = _SD | {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
    "upcast_attention": True,
}
_CONTROL = {key: value for key, value in _SD.items() if key != "up_block_types"}
_VAE = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
_MOTION = {
    "_class_name": "MotionAdapter",
    "block_out_channels": (320, 640, 1280, 1280),
    "motion_layers_per_block": 2,
    "motion_num_attention_heads": 8,
    "motion_norm_num_groups": 32,
    "motion_max_seq_length": 32,
}
_CLIP_L = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "eos_token_id": 2,
}
_CLIP_H = _CLIP_L | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
_SEGFORMERS = {  # depths, widths, width of the head
    "b0": ((2, 2, 2, 2), (32, 64, 160, 256), 256),
    "b1": ((2, 2, 2, 2), (64, 128, 320, 512), 256),
    "b2": ((3, 4, 6, 3), (64, 128, 320, 512), 768),
    "b3": ((3, 4, 18, 3), (64, 128, 320, 512), 768),
    "b4": ((3, 8, 27, 3), (64, 128, 320, 512), 768),
    "b5": ((3, 6, 40, 3), (64, 128, 320, 512), 768),
}
_CLASSES = {"ade": 150, "cityscapes": 19}
_INTERNVLS = {  # width, its feed-forward layers', layers, heads, heads of keys and values of InternVL3's Qwen2.5
    "1b": (896, 4864, 24, 14, 2),
    "2b": (1536, 8960, 28, 12, 2),
    "8b": (3584, 18944, 28, 28, 4),
}


@dataclasses.dataclass(frozen=True)
class Known:
    """A published network: its config, and the shapes of tensors that tell it from the others."""

    settings: Mapping[str, Any]
    probe: Mapping[str, tuple[int, ...]]


def _segformer(size: str, classes: str) -> Known:
    depths, widths, head = _SEGFORMERS[size]
    settings = {
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
        "depths": depths,
        "hidden_sizes": widths,
        "decoder_hidden_size": head,
        "num_labels": _CLASSES[classes],
    }
    probe = {"decode_head.classifier.weight": (_CLASSES[classes], head, 1, 1)}
    for stage, depth in enumerate(depths):  # every block, so that the deepest that fits has most
        for block in range(depth):
            probe[f"segformer.stages.{stage}.blocks.{block}.layernorm_before.bias"] = (widths[stage],)
    return Known(settings, probe)


def _internvl(size: str) -> Known:
    width, wide, layers, heads, pairs = _INTERNVLS[size]
    settings = {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "tie_word_embeddings": False,
        "vision_config": {"model_type": "internvl_vision", "attention_bias": True},
        "text_config": {
            "model_type": "qwen2",
            "vocab_size": 151674,
            "hidden_size": width,
            "intermediate_size": wide,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": pairs,
            "rope_theta": 1000000.0,
        },
    }
    probe = {
        "lm_head.weight": (151674, width),
        f"model.language_model.layers.{layers - 1}.mlp.down_proj.weight": (width, wide),
    }
    return Known(settings, probe)


_QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
_LAST = "encoder.layers.{}.mlp.fc1.weight"
KNOWN = {
    "sd15-unet": Known(_SD, {_QUERY: (320, 768), "conv_out.weight": (4, 320, 3, 3)}),
    "sd21-unet": Known(_SD2, {_QUERY: (320, 1024), "conv_out.weight": (4, 320, 3, 3)}),  # SD-Turbo, too
    "sd-vae": Known(_VAE, {"decoder.conv_in.weight": (512, 4, 3, 3), "quant_conv.weight": (8, 8, 1, 1)}),
    "taesd": Known({"_class_name": "AutoencoderTiny"}, {"decoder.layers.0.weight": (64, 4, 3, 3)}),
    "taesd3": Known(
        {"_class_name": "AutoencoderTiny", "latent_channels": 16, "scaling_factor": 1.0},
        {"decoder.layers.0.weight": (64, 16, 3, 3)},
    ),
    "clip-l-text": Known(_CLIP_L, {_LAST.format(11): (3072, 768), "final_layer_norm.bias": (768,)}),
    "clip-h-text": Known(_CLIP_H, {_LAST.format(22): (4096, 1024), "final_layer_norm.bias": (1024,)}),
    "clip-b32": Known(
        {"architectures": ["CLIPModel"], "model_type": "clip", "text_config": {}, "vision_config": {}},
        {"vision_model.embeddings.patch_embedding.weight": (768, 3, 32, 32)},
    ),
    "clip-l14": Known(
        {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": 768,
            "text_config": {
                key: _CLIP_L[key] for key in _CLIP_L if key not in ("architectures", "model_type")
            },
            "vision_config": {
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "patch_size": 14,
            },
        },
        {"vision_model.embeddings.patch_embedding.weight": (1024, 3, 14, 14)},
    ),
    "sd15-controlnet": Known(
        _CONTROL | {"_class_name": "ControlNetModel"},  # segmentation, tile and the others
        {_QUERY: (320, 768), "controlnet_mid_block.weight": (1280, 1280, 1, 1)},
    ),
    "animatediff-v1.5-2": Known(
        _MOTION | {"use_motion_mid_block": True},
        {
            "down_blocks.0.motion_modules.0.proj_in.weight": (320, 320),
            "mid_block.motion_modules.0.proj_in.weight": (1280, 1280),
        },
    ),
    "animatediff-v1.5-3": Known(
        _MOTION | {"use_motion_mid_block": False},
        {"down_blocks.0.motion_modules.0.proj_in.weight": (320, 320)},
    ),
    **{f"segformer-{size}-{name}": _segformer(size, name) for size in _SEGFORMERS for name in _CLASSES},
    **{f"internvl3-{size}": _internvl(size) for size in _INTERNVLS},
}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The name of the published network whose tensors these are, as far as the probes tell; None for others."""
    if all(key.startswith("text_model.") for key in shapes):  # transformers before 5
        shapes = {key.removeprefix("text_model."): shape for key, shape in shapes.items()}
    for table, sign in ((rules.SEGFORMER, "segformer.encoder."), (rules.INTERNVL, "language_model.")):
        if any(key.startswith(sign) for key in shapes):  # as published, before transformers 5
            shapes = {key: shapes[old] for key, old in table.today(shapes).items()}
    fits = {
        name: len(known.probe)
        for name, known in KNOWN.items()
        if all(shapes.get(key) == shape for key, shape in known.probe.items())
    }
    return max(fits, key=fits.__getitem__) if fits else None
