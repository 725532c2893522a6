"""SegFormer against transformers' at small random configs, through the files that transformers writes."""

import numpy as np
import parity
import pytest
import torch
import transformers
from safetensors import safe_open

from semjax import checkpoints
from semjax.errors import InputError
from semjax.models import segformer

SMALL = {
    "depths": (1, 2, 1, 1),
    "hidden_sizes": (8, 16, 24, 32),
    "num_attention_heads": (1, 2, 3, 4),
    "decoder_hidden_size": 16,
    "num_labels": 7,
}
OTHER = SMALL | {"sr_ratios": (4, 2, 1, 1), "mlp_ratios": (2, 3, 4, 2), "hidden_act": "relu", "num_labels": 3}


def reference(settings):
    torch.manual_seed(0)
    module = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(**settings))
    module = parity.lively(module)
    draw = torch.Generator().manual_seed(1)
    norm = module.decode_head.batch_norm  # a fresh one has moments 0 and 1, which hide mistakes
    norm.running_mean.copy_(0.2 * torch.randn(norm.running_mean.shape, generator=draw))
    norm.running_var.copy_(0.5 + torch.rand(norm.running_var.shape, generator=draw))
    return module


@pytest.mark.parametrize(("settings", "size"), [(SMALL, (64, 96)), (OTHER, (72, 52))])
def test_segformer_is_that_of_transformers(tmp_path, settings, size):
    module = reference(settings)
    module.save_pretrained(tmp_path / "theirs")
    with safe_open(tmp_path / "theirs" / "model.safetensors", "np") as file:
        assert any(".encoder.block.0.0.attention.self.query" in key for key in file.keys())  # noqa: SIM118
    cfg, params = checkpoints.load(tmp_path / "theirs")
    assert cfg.num_labels == settings["num_labels"] == len(cfg.labels)
    net = checkpoints.network(cfg)
    pixels = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module(parity.channels_first(pixels)).logits
    got = parity.run(lambda p: net.apply({"params": p}, pixels), params)
    assert parity.error(got, parity.channels_last(expected)) < 1e-4

    state = {key: value.numpy() for key, value in module.state_dict().items()}
    back = checkpoints.to_torch(cfg, checkpoints.from_torch(cfg, state))
    assert set(back) == set(state)
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, err_msg=key)

    checkpoints.convert(tmp_path / "theirs", tmp_path / "ours")
    checkpoints.export(tmp_path / "ours", tmp_path / "back")
    again = transformers.SegformerForSemanticSegmentation.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        assert torch.equal(again(parity.channels_first(pixels)).logits, expected)


def test_weights_that_do_not_fit_are_named():
    module = reference(SMALL)
    cfg = segformer.SegformerConfig.from_transformers(module.config.to_dict())
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    odd = "segformer.stages.1.blocks.1.mlp.dwconv.dwconv.weight"
    state["more"], state[odd] = state.pop("decode_head.batch_norm.running_var"), state[odd][:-1]
    with pytest.raises(InputError) as error:
        checkpoints.from_torch(cfg, state)
    for part in ("running_var is missing", f"{odd} has the shape", "more is not used"):
        assert part in str(error.value)
    with pytest.raises(InputError, match="one entry per stage"):
        segformer.SegformerConfig(depths=(1, 2))
    with pytest.raises(InputError, match="reshape_last_stage=False"):
        segformer.SegformerConfig.from_transformers({"reshape_last_stage": False})


def test_normalise_is_that_of_the_image_processor():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3), np.uint8)
    processor = transformers.SegformerImageProcessorPil(do_resize=False)
    expected = processor(list(pictures), return_tensors="np")["pixel_values"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(segformer.normalise(pictures / 127.5 - 1), expected, atol=1e-5)
