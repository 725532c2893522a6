"""texture: tiny frames <-> symbols, at about ten bytes a frame.

    TextureConfig    what is asked for: width, rate or quality, mode
    shrink           frames -> tiny frames (area filter)
    encode, decode   clip -> bytes -> tiny frames
    best_size        the width (of WIDTHS) and group (of GROUPS) that show most for so many bytes
    encode_units, decode_units, min_bytes    the same in units that travel and decode alone
    units_size       size of the tiny frames in such units

Loaded on first use, so that importing this package costs nothing.
"""

import importlib

_NAMES = {
    "TextureConfig": "config",
    "shrink": "pixels",
    "encode": "codec",
    "decode": "codec",
    "encode_units": "codec",
    "decode_units": "codec",
    "min_bytes": "codec",
    "units_size": "codec",
    "best_size": "sizing",
    "WIDTHS": "sizing",
    "GROUPS": "config",
}

__all__ = [*_NAMES]


def __getattr__(name: str):
    if name not in _NAMES:
        raise AttributeError(f"module 'semjax.texture' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"semjax.texture.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
