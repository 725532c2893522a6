"""systems: the rooms composed, from video to stream and from stream to video.

encode, decode       clip -> Stream -> clip, for arrays
load_generator       what paints at the receiver
causal               the system of arXiv 2602.13837
sources, receiver    the same for files of any length, a few frames at a time
"""

import importlib

_NAMES = {
    "encode": "verbs",
    "decode": "verbs",
    "load_generator": "generators",
    "receive": "receiver",
}
_MODULES = ("causal", "generators", "receiver", "sources")

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str):
    if name in _NAMES:
        value = getattr(importlib.import_module(f"semjax.systems.{_NAMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"semjax.systems.{name}")
    else:
        raise AttributeError(f"module 'semjax.systems' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
