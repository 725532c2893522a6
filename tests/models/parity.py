"""Helpers of the parity tests: PyTorch modules with weights that make every layer count, and comparisons."""

import jax
import numpy as np
import torch

from semjax.models import _strict


def lively(module, seed=0):
    """`module` in eval mode; biases and norms random too, since their initial zeros and ones hide mistakes."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            if value.ndim < 2:
                value.add_(0.1 * torch.randn(value.shape, generator=draw))
    return module.eval()


def from_module(module, net, rules, *args, **kwargs):
    """Our parameters with the values of a PyTorch module."""
    template = jax.eval_shape(lambda: net.init(jax.random.key(0), *args, **kwargs))["params"]
    state = {key: value.numpy() for key, value in module.state_dict().items()}
    return _strict.fill(template, state, rules.key, rules.unused)


def channels_last(x):
    """A PyTorch picture [B, C, h, w] as a NumPy array [B, h, w, C]."""
    return x.detach().permute(0, 2, 3, 1).numpy()


def channels_first(x):
    """The inverse of `channels_last`."""
    return torch.tensor(np.asarray(x)).permute(0, 3, 1, 2)


def error(ours, reference):
    """Greatest difference relative to the greatest value."""
    reference = np.asarray(reference)
    assert ours.shape == reference.shape, (ours.shape, reference.shape)
    return float(np.abs(np.asarray(ours) - reference).max() / np.abs(reference).max())


def run(f, *args):
    """`f(*args)` compiled quickly (no optimisation) at full float32 precision."""
    with jax.default_matmul_precision("highest"):
        lowered = jax.jit(f).lower(*args)
    return lowered.compile(compiler_options={"xla_backend_optimization_level": 0})(*args)


def random_params(net, *args, seed=0, **kwargs):
    """Parameters of `net` without running its initialisers, which takes a compilation for each of them."""
    template = jax.eval_shape(lambda: net.init(jax.random.key(0), *args, **kwargs))["params"]
    draw = np.random.default_rng(seed)

    def leaf(slot):
        scale = max(int(np.prod(slot.shape[:-1])), 1) ** -0.5
        return (scale * draw.standard_normal(slot.shape)).astype(slot.dtype)

    return jax.tree.map(leaf, template)
