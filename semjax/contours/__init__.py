"""contours: label maps <-> bytes.

    encode, decode               a clip of label maps <-> bytes that stand alone
    encode_units, decode_units   the same in units of the stream, losses concealed
    ContourConfig                the settings
    trace, fill                  mask <-> closed contours, exact inverses
    simplify, quantise, predict  the stages of the paper's codec
    pad, signed_distance, soft_masks, label_maps, simplify_padded
                                 contours as padded arrays in JAX: jitted, batched, differentiable

Loaded on first use, so that importing this package costs nothing.
"""

import importlib

_NAMES = {
    "ContourConfig": "config",
    "encode": "units",
    "decode": "units",
    "encode_units": "units",
    "decode_units": "units",
    "trace": "polygons",
    "fill": "polygons",
    "simplify": "polygons",
    "quantise": "polygons",
    "predict": "polygons",
    "pad": "raster",
    "signed_distance": "raster",
    "soft_masks": "raster",
    "label_maps": "raster",
    "simplify_padded": "raster",
}

__all__ = [*_NAMES]


def __getattr__(name: str):
    if name not in _NAMES:
        raise AttributeError(f"module 'semjax.contours' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"semjax.contours.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
