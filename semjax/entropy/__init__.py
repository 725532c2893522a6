"""entropy: symbols <-> bits.

    encode_text, decode_text    one or two sentences <-> bytes
    quantise                    weights -> integer tables
    rans           rANS in JAX: whole messages, or a stack (last in, first out)
    adaptive       multi-symbol models that learn while they code, in JAX
    rans_host      the same bytes from NumPy arrays on the host
    tables         integer frequency tables
    priors         learned priors for training: bits as a differentiable function
    prior_tables   the same as integer tables, and how to code with them
    binary         range coder, adaptive bit models, mixing (numba; what the layers' kernels are made of)

Loaded on first use, so that importing this package costs nothing.
"""

import importlib

_NAMES = {
    "encode_text": "semjax.entropy.text",
    "decode_text": "semjax.entropy.text",
    "quantise": "semjax.entropy.tables",
}
_MODULES = ("adaptive", "binary", "logistic", "prior_tables", "priors", "rans", "rans_host", "tables", "text")

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name: str):
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"semjax.entropy.{name}")
    else:
        raise AttributeError(f"module 'semjax.entropy' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
