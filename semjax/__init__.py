"""semjax: semantic video communication in JAX.

Everything is loaded on first use, so `import semjax` costs no more than jax and numpy.

Verbs
    read_video, write_video     clips <-> files                     (semjax.video)
    read_labels, write_labels   label maps <-> folders of PNGs      (semjax.video)
    sample_clip                 the bundled sample                  (semjax.video)
    encode, decode              clip -> Stream -> clip              (semjax.systems)
    load_generator              what paints at the receiver         (semjax.systems)

Rooms
    contours    label map <-> few symbols        texture     tiny frames <-> symbols
    entropy     symbols <-> bits                 stream      the container
    channel     what happens on the link         semantics   pixels -> meaning
    painting    meaning -> pixels, no network    metrics     how good is it
    scenes      procedural scenes                systems     causal, mirage, lgvsc
    models      Linen networks                   checkpoints PyTorch weights -> JAX, on disk
    diffusion   samplers, causal rollout         generator   the causal diffusion receiver
    training    losses, data, loops              text_to_image   Stable Diffusion in one jitted function
    sharding    meshes, rules, cost at scale
"""

import importlib

import jax as _jax  # noqa: F401  loaded here so that later lazy imports cost what they say
import numpy as _numpy  # noqa: F401

from semjax.version import __version__

_VERBS = {
    "read_video": "semjax.video",
    "write_video": "semjax.video",
    "read_labels": "semjax.video",
    "write_labels": "semjax.video",
    "sample_clip": "semjax.video",
    "encode": "semjax.systems",
    "decode": "semjax.systems",
    "load_generator": "semjax.systems",
    "Stream": "semjax.stream",
    "SemjaxError": "semjax.errors",
}
_ROOMS = (
    "channel", "checkpoints", "contours", "diffusion", "entropy", "errors", "generator", "jobs", "metrics", "models",
    "painting", "report", "scenes", "semantics", "sharding", "stills", "stream", "systems", "text_to_image", "texture",
    "tokens", "training", "types", "video", "world",
)  # fmt: skip

__all__ = ["__version__", *_VERBS, *_ROOMS]


def __getattr__(name: str):
    if name in _VERBS:
        value = getattr(importlib.import_module(_VERBS[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"semjax.{name}")
    else:
        raise AttributeError(f"module 'semjax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
