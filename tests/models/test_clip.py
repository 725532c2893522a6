"""CLIP against transformers' at small random configs, through the files that transformers writes."""

import json

import numpy as np
import parity
import pytest
import torch
import transformers

from semjax import checkpoints
from semjax.errors import InputError
from semjax.models.clip import ClipTextConfig, normalise

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 99,
    "max_position_embeddings": 20,
    "bos_token_id": 97,
    "eos_token_id": 98,
    "pad_token_id": 1,
}
VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 28,
    "patch_size": 7,
}


def tokens():
    """Numbers that end at different places, with the end token and the padding after it."""
    ids = np.random.default_rng(0).integers(3, 90, (3, 11))
    for row, end in enumerate((4, 10, 7)):
        ids[row, end] = 98
        ids[row, end + 1 :] = 1
    return ids, (np.arange(11) <= np.array([[4], [10], [7]])).astype(np.int32)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (transformers.CLIPTextModel, {}),
        (transformers.CLIPTextModel, {"hidden_act": "gelu", "eos_token_id": 2}),  # as in Stable Diffusion 2
        (transformers.CLIPTextModelWithProjection, {"projection_dim": 20, "layer_norm_eps": 1e-4}),
    ],
)
def test_text_encoder_is_that_of_transformers(tmp_path, kind, more):
    reference = parity.lively(kind(transformers.CLIPTextConfig(**TEXT | more)))
    reference.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    net = checkpoints.network(cfg)
    ids, mask = tokens()
    with torch.no_grad():
        expected = reference(torch.tensor(ids), output_hidden_states=True)
        masked = reference(torch.tensor(ids), attention_mask=torch.tensor(mask))
    got, got_masked = parity.run(
        lambda p: (net.apply({"params": p}, ids), net.apply({"params": p}, ids, mask)), params
    )
    assert parity.error(got.last_hidden_state, expected.last_hidden_state) < 1e-4
    pooled = expected.text_embeds if "projection_dim" in more else expected.pooler_output
    assert parity.error(got.pooled, pooled) < 1e-4
    assert parity.error(got.hidden_states, torch.stack(expected.hidden_states)) < 1e-4
    seen = mask.astype(bool)
    assert parity.error(got_masked.last_hidden_state[seen], masked.last_hidden_state[seen]) < 1e-4
    assert not np.allclose(got_masked.last_hidden_state, got.last_hidden_state)


def test_clip_is_that_of_transformers(tmp_path):
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16)
    reference = parity.lively(transformers.CLIPModel(config))
    reference.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    net = checkpoints.network(cfg)
    ids, mask = tokens()
    pixels = np.random.default_rng(1).standard_normal((2, 28, 28, 3)).astype(np.float32)
    with torch.no_grad():
        expected = reference(torch.tensor(ids), parity.channels_first(pixels), torch.tensor(mask))
        image = reference.get_image_features(parity.channels_first(pixels)).pooler_output
    got, alone = parity.run(
        lambda p: (
            net.apply({"params": p}, ids, pixels, mask),
            net.apply({"params": p}, pixels, method="encode_image"),
        ),
        params,
    )
    assert parity.error(got.image_embeds, expected.image_embeds) < 1e-4
    assert parity.error(got.text_embeds, expected.text_embeds) < 1e-4
    assert parity.error(got.logits_per_image, expected.logits_per_image) < 1e-4
    assert parity.error(alone, image) < 1e-4
    state = checkpoints.to_torch(cfg, params)
    for key, value in reference.state_dict().items():
        np.testing.assert_array_equal(state.pop(key), value.numpy(), err_msg=key)
    assert not state


def test_files_and_configs_of_older_transformers(tmp_path):
    """A prefix on every key, a buffer of positions, and a config with the text tower's settings twice."""
    reference = transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT))
    reference.save_pretrained(tmp_path)
    cfg, _ = checkpoints.load(tmp_path)
    state = {key: value.numpy() for key, value in reference.state_dict().items()}
    old = {f"text_model.{key}": value for key, value in state.items()}
    old["text_model.embeddings.position_ids"] = np.arange(20)[None]
    back = checkpoints.to_torch(cfg, checkpoints.from_torch(cfg, old))
    assert set(back) == set(state)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings |= {"add_cross_attention": False, "torch_dtype": "float32"}
    assert ClipTextConfig.from_transformers(settings) == cfg
    with pytest.raises(InputError, match="model_type='t5'"):
        ClipTextConfig.from_transformers(settings | {"model_type": "t5"})
    with pytest.raises(InputError, match="does not split"):
        ClipTextConfig(num_attention_heads=7)


def test_normalise_is_that_of_the_image_processor():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), np.uint8)
    processor = transformers.CLIPImageProcessorPil(do_resize=False, do_center_crop=False)
    expected = processor(list(pictures), return_tensors="np")["pixel_values"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(normalise(pictures / 127.5 - 1), expected, atol=1e-5)
