"""InternVL against transformers' at small random configs, through the files that transformers writes."""

import functools

import jax
import numpy as np
import parity
import pytest
import torch
import transformers

from semjax import checkpoints
from semjax.errors import InputError
from semjax.models import internvl
from semjax.models.qwen2 import empty_cache

IMAGE = 96
VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "attention_bias": True,
    "image_size": (56, 56),
    "patch_size": (14, 14),
    "initializer_range": 0.2,
}
TEXT = {
    "model_type": "qwen2",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 99,
    "initializer_range": 0.3,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
}
NAMES = {
    "as published": ({}, {}, {"tie_word_embeddings": False}),
    "tied": ({"use_qk_norm": True, "norm_type": "rms_norm", "attention_bias": False}, {"num_key_value_heads": 1},
             {"tie_word_embeddings": True}),
    "an earlier layer": ({"use_mean_pooling": False, "hidden_act": "gelu_pytorch_tanh"}, {"num_key_value_heads": 4},
                         {"tie_word_embeddings": False, "vision_feature_layer": -2}),
}  # fmt: skip


def reference(vision, text, more):
    torch.manual_seed(0)
    text = TEXT | text | {"tie_word_embeddings": more["tie_word_embeddings"]}
    config = transformers.InternVLConfig(
        vision_config=VISION | vision, text_config=text, image_token_id=IMAGE, image_seq_length=4, **more
    )
    module = transformers.InternVLForConditionalGeneration(config)
    with torch.no_grad():  # the initial zeros of these hide mistakes, and small heads leave ties
        embeddings = module.model.vision_tower.embeddings
        embeddings.position_embeddings.normal_()
        embeddings.cls_token.normal_()
        module.lm_head.weight.normal_()
    return parity.lively(module)


def prompt():
    """Two rows with two pictures of four tokens each, the second one padded on the left, as transformers pads."""
    ids = np.random.default_rng(0).integers(0, 95, (2, 17))
    for start in (3, 10):
        ids[:, start : start + 4] = IMAGE
    real = np.ones((2, 17), bool)
    real[1, :3] = False
    pixels = np.random.default_rng(1).standard_normal((4, 56, 56, 3)).astype(np.float32)
    return ids, real, pixels


@pytest.fixture(scope="module", params=NAMES)
def pair(request, tmp_path_factory):
    """(PyTorch's module, our network, its parameters) through PyTorch's files."""
    module = reference(*NAMES[request.param])
    folder = tmp_path_factory.mktemp("internvl")
    module.save_pretrained(folder)
    cfg, params = checkpoints.load(folder)
    return module, checkpoints.network(cfg), params


def test_logits_and_32_greedy_tokens_are_those_of_transformers(pair):
    module, net, params = pair
    ids, real, pixels = prompt()
    inputs = {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(real.astype(int)),
        "pixel_values": parity.channels_first(pixels),
    }
    with torch.no_grad():
        expected = module(**inputs).logits
        tokens = module.generate(**inputs, max_new_tokens=32, do_sample=False, pad_token_id=0)

    def ours(params):
        bound = net.bind({"params": params})
        embeds = bound.embed(ids, bound.features(pixels))
        cache = empty_cache(net.cfg.text, 2, 60)
        # In two parts, of which the second reads the first from the cache.
        first, cache = bound.read(embeds[:, :9], cache, real[:, :9])
        second, cache = bound.read(embeds[:, 9:], cache, real[:, 9:])
        logits = bound.head(jax.numpy.concatenate([first, second], 1))
        generated, _ = internvl.greedy(bound, logits[:, -1], cache, 32)
        return net.apply({"params": params}, ids, pixels, real), logits, generated

    whole, parts, generated = parity.run(ours, params)
    assert parity.error(np.asarray(whole)[real], expected.numpy()[real]) < 1e-4
    assert parity.error(np.asarray(parts)[real], expected.numpy()[real]) < 1e-4
    assert tokens.shape == (2, 17 + 32)
    assert len(set(tokens[:, 17:].flatten().tolist())) > 8  # or else nothing is shown
    np.testing.assert_array_equal(generated, tokens[:, 17:])


def test_pictures_of_another_size_get_resampled_positions(pair):
    module, net, params = pair
    pixels = np.random.default_rng(2).standard_normal((1, 84, 84, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module.get_image_features(parity.channels_first(pixels), return_dict=True).pooler_output
    got = parity.run(functools.partial(net.apply, method="features"), {"params": params}, pixels)
    assert got.shape[1] == net.cfg.tokens((84, 84))
    assert parity.error(got, expected) < 1e-4


def test_pictures_of_another_shape_are_read_row_by_row(pair):
    """transformers' parts, put together for a grid of patches that is not square."""
    module, net, params = pair
    pixels = np.random.default_rng(3).standard_normal((2, 56, 112, 3)).astype(np.float32)
    inner = getattr(module, "model", module)
    with torch.no_grad():
        out = inner.vision_tower(parity.channels_first(pixels), output_hidden_states=True)
        layer = net.cfg.vision_feature_layer
        seen = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
        seen = seen[:, 1:].reshape(2, 4, 8, -1)
        joined = torch.stack([seen[:, a::2, b::2] for a in (0, 1) for b in (0, 1)], 3)  # [2, 2, 4, 4, C]
        own = inner.pixel_shuffle(seen[:, :, :4], 0.5)  # of a square: which of the four comes where
        order = [
            next(k for k in range(4) if torch.equal(own[:, :, :, part], joined[:, :, :2, k]))
            for part in (slice(i * seen.shape[-1], (i + 1) * seen.shape[-1]) for i in range(4))
        ]
        expected = inner.multi_modal_projector(joined[:, :, :, order].reshape(2, 8, -1))
    got = parity.run(functools.partial(net.apply, method="features"), {"params": params}, pixels)
    assert got.shape[1] == net.cfg.tokens((56, 112)) == 8
    assert parity.error(got, expected) < 1e-4
    with pytest.raises(InputError, match="cannot be joined"):
        net.cfg.tokens((56, 42))


def test_there_and_back(pair, tmp_path):
    module, net, params = pair
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    if net.cfg.text.tie_word_embeddings:
        np.testing.assert_array_equal(
            state.pop("lm_head.weight"), state["model.language_model.embed_tokens.weight"]
        )
    back = checkpoints.to_torch(net.cfg, params)
    assert set(back) == set(state)
    for key, value in state.items():
        np.testing.assert_array_equal(back[key], value, err_msg=key)
    odd = "model.language_model.layers.2.mlp.up_proj.weight"
    broken = state | {"more": state[odd], odd: state[odd][:-1]}
    del broken["model.multi_modal_projector.linear_1.bias"]
    with pytest.raises(InputError) as error:
        checkpoints.from_torch(net.cfg, broken)
    for part in (f"{odd} has the shape", "linear_1.bias is missing", "more is not used"):
        assert part in str(error.value)


@pytest.mark.parametrize("pair", ["as published"], indirect=True)
def test_greedy_stops_each_row_at_its_own_end(pair):
    """Rows that have ended repeat their last token and read nothing more; the others go on as if alone."""
    _, net, params = pair
    ids = np.random.default_rng(0).integers(0, 95, (3, 5))

    @functools.partial(jax.jit, static_argnums=2)
    def tokens(params, ids, stop):
        bound = net.bind({"params": params})
        states, cache = bound.read(ids, empty_cache(net.cfg.text, ids.shape[0], 40))
        return internvl.greedy(bound, bound.head(states[:, -1]), cache, 12, stop)

    free = np.asarray(tokens(params, ids, ())[0])
    late = [token for token in free[0] if token != free[0, 0] and (free[1:] != token).all()]
    held, cache = tokens(params, ids, (int(late[0]),))
    end = int(np.flatnonzero(free[0] == late[0])[0])
    np.testing.assert_array_equal(held[0], np.where(np.arange(12) < end, free[0], late[0]))
    np.testing.assert_array_equal(held[1:], free[1:])
    assert cache.read.tolist() == [5 + end, 16, 16]
    assert cache.filled == 16


def test_configs_that_are_not_supported_are_named():
    with pytest.raises(InputError, match="model_type='llama'"):
        internvl.InternVlConfig.from_transformers({"text_config": TEXT | {"model_type": "llama"}})
    with pytest.raises(InputError, match="use_mask_token=True"):
        internvl.InternVlConfig.from_transformers({"vision_config": {"use_mask_token": True}})
    with pytest.raises(InputError, match="rope_type='yarn'"):
        internvl.Qwen2Config.from_transformers({"rope_scaling": {"type": "yarn"}})
    with pytest.raises(InputError, match="does not split"):
        internvl.Qwen2Config(num_attention_heads=7, num_key_value_heads=2)
