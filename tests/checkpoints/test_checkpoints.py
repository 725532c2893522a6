"""Loading, converting and writing back what PyTorch projects have saved."""

import json
import shutil
import sys
from pathlib import Path

import diffusers
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from jax.sharding import NamedSharding, PartitionSpec
from safetensors.numpy import save_file

from semjax import checkpoints
from semjax.checkpoints import files, weights
from semjax.errors import InputError
from semjax.models import _strict

UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    """A folder as diffusers saves it, and its state dict."""
    torch.manual_seed(0)
    module = diffusers.UNet2DConditionModel(**UNET)
    folder = tmp_path_factory.mktemp("unet")
    module.save_pretrained(folder)
    return folder, {key: value.numpy() for key, value in module.state_dict().items()}


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_states_equal(one, other):
    assert set(one) == set(other)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_there_and_back(unet, tmp_path):
    folder, state = unet
    cfg, params = checkpoints.load(folder)
    assert_states_equal(checkpoints.to_torch(cfg, params), state)
    same(params, checkpoints.from_torch(cfg, state))

    done = checkpoints.convert(folder, tmp_path / "ours")
    assert done == {"UNet2DConditionModel": "converted"}
    again, stored = checkpoints.load(tmp_path / "ours")
    assert again == cfg
    same(stored, params)
    record = json.loads((tmp_path / "ours" / "semjax.json").read_text())
    assert record["network"] == "UNet2DConditionModel"
    assert record["provenance"]["source"] == str(folder)
    assert len(record["provenance"]["sha256"][FILE]) == 64

    checkpoints.export(tmp_path / "ours", tmp_path / "theirs")
    module = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / "theirs")
    assert_states_equal({key: value.numpy() for key, value in module.state_dict().items()}, state)


def test_one_file_and_shards(unet, tmp_path):
    folder, _ = unet
    _, params = checkpoints.load(folder)
    same(checkpoints.load(folder / FILE)[1], params)

    shutil.copy(folder / FILE, tmp_path / "alone.safetensors")
    with pytest.raises(InputError, match="a network needs its config"):
        checkpoints.load(tmp_path / "alone.safetensors")
    same(checkpoints.load(tmp_path / "alone.safetensors", config=folder / "config.json")[1], params)

    sharded = tmp_path / "sharded"
    module = diffusers.UNet2DConditionModel.from_pretrained(folder)
    module.save_pretrained(sharded, max_shard_size="20KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    same(checkpoints.load(sharded)[1], params)
    first = min(sharded.glob("*.safetensors"))
    first.unlink()
    with pytest.raises(InputError, match=first.name):
        checkpoints.load(sharded)


def test_everything_wrong_is_in_one_error(unet, tmp_path):
    folder, state = unet
    bad = copy(folder, tmp_path)
    state = dict(state)
    del state["conv_in.bias"]
    state["conv_out.bias"] = np.zeros(7, np.float32)
    state["more.weight"] = np.zeros(1, np.float32)
    save_file(state, bad / FILE)
    with pytest.raises(InputError) as caught:
        checkpoints.load(bad)
    for part in (
        "conv_in.bias is missing",
        "conv_out.bias has the shape (7,), which does not fit (4,)",
        "more.weight is not used",
    ):
        assert part in str(caught.value)
    cfg, params = checkpoints.load(folder)
    with pytest.raises(InputError, match=r"conv_in/bias is missing.*extra is not used"):
        checkpoints.to_torch(cfg, params | {"conv_in": {"kernel": params["conv_in"]["kernel"]}, "extra": 1.0})


@pytest.mark.parametrize(("name", "kind"), [("fp16", np.float16), ("bf16", ml_dtypes.bfloat16)])
def test_dtypes(unet, tmp_path, name, kind):
    folder, state = unet
    other = copy(folder, tmp_path)
    (other / FILE).unlink()
    save_file(
        {key: value.astype(kind) for key, value in state.items()},
        other / f"diffusion_pytorch_model.{name}.safetensors",
    )
    cfg, params = checkpoints.load(other)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(kind)}
    assert_states_equal(
        checkpoints.to_torch(cfg, params), {key: value.astype(kind) for key, value in state.items()}
    )

    _, params = checkpoints.load(other, dtype=[("*norm*", "float32"), ("conv_in/*", "bfloat16")])
    assert params["conv_norm_out"]["scale"].dtype == jnp.float32
    assert params["conv_in"]["kernel"].dtype == jnp.bfloat16
    assert params["conv_out"]["kernel"].dtype == jnp.dtype(kind)
    checkpoints.convert(other, tmp_path / "ours", dtype="float32")
    _, stored = checkpoints.load(tmp_path / "ours", dtype=[("conv_in/*", "float16")])
    assert stored["conv_out"]["kernel"].dtype == jnp.float32
    assert stored["conv_in"]["kernel"].dtype == jnp.float16
    np.testing.assert_array_equal(
        stored["conv_out"]["kernel"], state["conv_out.weight"].astype(kind).transpose(2, 3, 1, 0)
    )
    with pytest.raises(InputError, match="not a dtype"):
        checkpoints.load(other, dtype="float33")


def test_variants(unet, tmp_path):
    folder, state = unet
    other = copy(folder, tmp_path)
    for name in ("fp16", "non_ema"):
        save_file(
            {k: v.astype(np.float16) for k, v in state.items()},
            other / f"diffusion_pytorch_model.{name}.safetensors",
        )
    assert checkpoints.load(other)[1]["conv_in"]["bias"].dtype == jnp.float32
    assert checkpoints.load(other, variant="fp16")[1]["conv_in"]["bias"].dtype == jnp.float16
    (other / FILE).unlink()
    with pytest.raises(InputError, match=r"fp16, non_ema.*variant"):
        checkpoints.load(other)


def test_pickles_are_refused(unet, tmp_path, monkeypatch):
    folder, state = unet
    other = copy(folder, tmp_path)
    (other / FILE).unlink()
    target = other / "diffusion_pytorch_model.bin"
    torch.save({key: torch.tensor(value) for key, value in state.items()}, target)
    for source in (other, target):
        with pytest.raises(InputError, match="--allow-pickle"):
            checkpoints.load(source)
        same(checkpoints.load(source, allow_pickle=True)[1], checkpoints.load(folder)[1])

    class Harm:
        def __reduce__(self):
            return (print, ("harm",))

    torch.save({"harm": Harm()}, target)
    with pytest.raises(InputError, match="holds more than tensors"):
        checkpoints.load(other, allow_pickle=True)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="PyTorch, which is not installed"):
        checkpoints.load(other, allow_pickle=True)


def test_sharded_loading_reads_what_it_needs(unet, tmp_path):
    folder, _ = unet
    mesh = jax.make_mesh((1,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))

    def rule(path, shape):
        return NamedSharding(
            mesh, PartitionSpec(*([None] * (len(shape) - 1)), "model") if shape else PartitionSpec()
        )

    _, plain = checkpoints.load(folder)
    _, sharded = checkpoints.load(folder, sharding=rule)
    same(sharded, plain)
    assert sharded["conv_in"]["kernel"].sharding.spec == PartitionSpec(None, None, None, "model")
    checkpoints.convert(folder, tmp_path / "ours")
    _, restored = checkpoints.load(tmp_path / "ours", sharding=rule)
    same(restored, plain)
    assert restored["conv_in"]["kernel"].sharding.spec == PartitionSpec(None, None, None, "model")


def test_parts_of_tensors(unet):
    """A part of a parameter is that part of the whole, read from PyTorch's axes; scans over layers too."""
    folder, state = unet
    tensors = files.find(folder)
    read = []

    def part(key, index):
        read.append(tensors.read(key, index))
        return read[-1]

    slot = _strict.Slot(("conv_in.weight",), (8, 4, 3, 3), (2, 3, 1, 0))
    index = (slice(0, 2), slice(None), slice(1, 3), slice(4, 8))
    got = weights._part(slot, index, part)
    np.testing.assert_array_equal(got, state["conv_in.weight"].transpose(2, 3, 1, 0)[index])
    assert read[0].size == got.size
    keys = ("time_embedding.linear_2.weight", "mid_block.resnets.0.time_emb_proj.weight")
    slot = _strict.Slot(keys, (32, 32), (1, 0), stacked=True)
    got = weights._part(slot, (slice(0, 1), slice(None), slice(3, 5)), part)
    np.testing.assert_array_equal(got, state[keys[0]].T[None, :, 3:5])
    assert len(read) == 2


def test_damaged_and_foreign_files(unet, tmp_path):
    folder, _ = unet
    other = copy(folder, tmp_path)
    data = (other / FILE).read_bytes()
    for cut in (data[:5], data[:1000], data[:-10], b"\xff" * 100):
        (other / FILE).write_bytes(cut)
        with pytest.raises(InputError, match="not a safetensors file"):
            checkpoints.load(other)
    (other / FILE).write_bytes(data)
    (other / "config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        checkpoints.load(other)
    (other / "config.json").write_text('{"_class_name": "Other"}')
    with pytest.raises(InputError, match=r"'Other'; those that can be converted"):
        checkpoints.load(other)
    with pytest.raises(InputError, match=r"There is no file or folder"):
        checkpoints.load(tmp_path / "nothing here")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(InputError, match="has no weights"):
        checkpoints.load(tmp_path / "empty")
    with pytest.raises(InputError, match="holds something else"):
        checkpoints.convert(folder, tmp_path / "empty")


def test_a_whole_pipeline(unet, tmp_path):
    folder, _ = unet
    pipeline = tmp_path / "pipeline"
    shutil.copytree(folder, pipeline / "unet")
    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
    ).save_pretrained(pipeline / "vae")
    diffusers.DDIMScheduler().save_pretrained(pipeline / "scheduler")
    (pipeline / "safety_checker").mkdir()
    save_file({"a": np.zeros(1)}, pipeline / "safety_checker" / "model.safetensors")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
    }
    (pipeline / "model_index.json").write_text(json.dumps(index))
    done = checkpoints.convert(pipeline, tmp_path / "ours")
    assert done == {
        "unet": "converted",
        "vae": "converted",
        "scheduler": "copied",
        "safety_checker": "left out: StableDiffusionSafetyChecker is not a network of semjax",
    }
    assert json.loads((tmp_path / "ours" / "scheduler" / "scheduler_config.json").read_text())
    for part in ("unet", "vae"):
        same(checkpoints.load(tmp_path / "ours" / part)[1], checkpoints.load(pipeline / part)[1])


def test_names_of_older_files():
    cfg_module = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    from semjax.models.autoencoder_kl import KlConfig

    cfg = KlConfig.from_diffusers(dict(cfg_module.config))
    state = {key: value.numpy() for key, value in cfg_module.state_dict().items()}
    old = {}
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for key, value in state.items():
        new = key
        for today, before in names.items():
            if f"attentions.0.{today}." in key:
                new = key.replace(today, before)
                value = value[:, :, None, None] if value.ndim == 2 else value
        old[new] = value
    assert set(old) != set(state)
    same(checkpoints.from_torch(cfg, old), checkpoints.from_torch(cfg, state))
    with pytest.raises(InputError, match="under an old and a new name"):
        checkpoints.from_torch(cfg, state | old)
