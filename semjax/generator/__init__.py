"""The causal video generator: a diffusion backbone with adapters, one step function for streams and clips.

preset, PRESETS, ModelConfig     the shapes behind a set of weights: tiny, sd15, sd21, turbo
GeneratorConfig                  how it is run: steps, window, sampler, consistency, adapters on and off
FrameConditions, nothing         what is known of a frame; each part may be absent
from_bytes                       the same from bytes, on the device
tokens                           captions as numbers
init_params, param_shapes, count  random weights; what there is to train
init_cache                       an empty memory
generate_frame, generate         the next frame; a scan of it
init_flight, generate_pipelined  every step on another frame, in one batch
save, load, settings, fingerprint  weights as one file, how they are best run, and their hash

Loaded on first use.
"""

import importlib

_NAMES = {
    "preset": "presets",
    "PRESETS": "presets",
    "ModelConfig": "config",
    "GeneratorConfig": "config",
    "FrameConditions": "conditions",
    "nothing": "conditions",
    "from_bytes": "conditions",
    "tokens": "text",
    "init_params": "parameters",
    "param_shapes": "parameters",
    "count": "parameters",
    "init_cache": "temporal",
    "generate_frame": "streaming",
    "generate": "streaming",
    "init_flight": "pipelined",
    "generate_pipelined": "pipelined",
    "save": "weights",
    "load": "weights",
    "settings": "weights",
    "fingerprint": "weights",
}

__all__ = [*_NAMES]


def __getattr__(name: str):
    if name not in _NAMES:
        raise AttributeError(f"module 'semjax.generator' has no attribute {name!r}")
    return getattr(importlib.import_module(f"semjax.generator.{_NAMES[name]}"), name)


def __dir__():
    return sorted(__all__)
