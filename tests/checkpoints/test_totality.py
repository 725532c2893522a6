"""Every key and shape of the published networks maps to one parameter, without any weights."""

import subprocess
import sys

import diffusers
import jax
import numpy as np
import pytest
import torch
import transformers

from semjax.checkpoints import files, networks
from semjax.checkpoints.known import KNOWN, recognise
from semjax.errors import InputError
from semjax.models import _strict

# Numbers of parameters of the published weights.
SIZES = {
    "sd15-unet": 859_520_964,
    "sd21-unet": 865_910_724,
    "sd-vae": 83_653_863,
    "taesd": 2_445_063,
    "clip-l-text": 123_060_480,
    "clip-h-text": 340_387_840,
    "clip-b32": 151_277_313,
    "clip-l14": 427_616_513,
    "sd15-controlnet": 361_279_120,
    "internvl3-1b": 938_193_024,
}
DEFAULT = (
    *("sd15-unet", "taesd", "taesd3", "clip-l-text", "animatediff-v1.5-2"),
    *("segformer-b0-ade", "segformer-b5-cityscapes", "internvl3-1b", "internvl3-8b"),
)


def reference(settings):
    """The PyTorch module of a config, without memory for its parameters."""
    name = networks.class_name(settings)
    with torch.device("meta"):
        if "_class_name" in settings:
            return getattr(diffusers, name).from_config(dict(settings))
        kind = getattr(transformers, name)
        return kind(kind.config_class(**{k: v for k, v in settings.items() if k != "architectures"}))


@pytest.mark.parametrize(
    "name", [n if n in DEFAULT else pytest.param(n, marks=pytest.mark.slow) for n in KNOWN]
)
def test_published_networks_map_completely(name):
    settings = KNOWN[name].settings
    module = reference(settings)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    network = networks.by_settings(settings)
    cfg = network.read(settings)
    wanted = networks.slots(cfg)
    _strict.check(wanted, shapes, network.rules.unused)
    assert {key for slot in wanted.values() for key in slot.keys} | set(network.buffers(cfg)) == set(shapes)
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(networks.template(cfg)))
    moments = [
        value for key, value in module.named_buffers() if "running_" in key
    ]  # of SegFormer's batch norm
    assert count == sum(value.numel() for value in [*module.parameters(), *moments])
    if name in SIZES:
        assert count == SIZES[name]
    assert recognise(shapes) == name
    with pytest.raises(InputError, match="is missing"):
        _strict.check(wanted, {key: shapes[key] for key in list(shapes)[1:]}, network.rules.unused)


def test_a_file_without_a_config_is_recognised(tmp_path):
    module = diffusers.AutoencoderTiny(latent_channels=16)
    module.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    settings = files.settings(tmp_path, None, files.find(tmp_path))
    assert settings["latent_channels"] == 16


def test_files_under_published_names_are_recognised(tmp_path):
    """transformers writes SegFormer and InternVL under the names that the published files have."""
    with torch.device("meta"):
        module = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(num_labels=150))
    module = module.to_empty(device="cpu")
    module.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    settings = files.settings(tmp_path, None, files.find(tmp_path))
    assert settings["num_labels"] == 150 and settings["hidden_sizes"] == (32, 64, 160, 256)
    shapes = {"language_model.lm_head.weight": (151674, 896)}
    shapes["language_model.model.layers.23.mlp.down_proj.weight"] = (896, 4864)
    assert recognise(shapes) == "internvl3-1b"


def test_nothing_of_pytorch_is_loaded():
    """Networks, converter and sampling come without PyTorch, its projects, or a checkpoint library."""
    code = (
        "import sys, semjax.checkpoints, semjax.text_to_image; "
        "print([m for m in ('torch', 'diffusers', 'transformers', 'orbax', 'flax.nnx') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
