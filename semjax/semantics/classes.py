"""Label maps of named classes from SegFormer, steady over time, in place of the regions that need no weights.

model = classes.load("segformer-b0-ade")                          # a folder that `semjax convert` wrote
labels = classes.segment(video, model)                            # uint8 [T, H, W], classes of the checkpoint
text = semjax.semantics.caption(video, labels, names=model.names)
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from semjax.errors import InputError
from semjax.models.segformer import Segformer, normalise
from semjax.semantics.steady import SteadyState, steady

_FETCH = "semjax convert nvidia/segformer-b0-finetuned-ade-512-512 --out {}"


@dataclasses.dataclass(frozen=True)
class ClassModel:
    """SegFormer and its parameters."""

    net: Segformer
    params: Any

    @property
    def names(self) -> dict[int, str]:
        """What the labels are called, as far as the checkpoint says."""
        return dict(enumerate(self.net.cfg.labels))


@dataclasses.dataclass(frozen=True)
class ClassConfig:
    """How frames become label maps.

    size: (height, width) that frames are scaled to for the network; 512 x 512 is what the ADE20K checkpoints' processor
    does. batch: frames at a time. share: weight of the frames before (see `steady`); 0 takes each frame by itself.
    """

    size: tuple[int, int] = (512, 512)
    batch: int = 4
    share: float = 0.7

    def __post_init__(self):
        if min(self.size) < 32 or self.batch < 1 or not 0 <= self.share < 1:
            raise InputError(
                f"size must be at least 32 x 32, batch at least 1 and share in [0, 1), not {self.size}, {self.batch}, "
                f"{self.share}"
            )


def load(folder: str | Path, *, dtype: Any = "float32") -> ClassModel:
    """The model in a folder that `semjax convert` wrote, or that transformers did.

    Raises InputError that names the command that fetches and converts a model where there is none.
    """
    from semjax import checkpoints

    if not Path(folder).is_dir():
        raise InputError(
            f"There is no SegFormer at {folder}. Fetch and convert one with `{_FETCH.format(folder)}` (add "
            "--allow-pickle where the hub has pytorch_model.bin alone), or use semjax.semantics.segment, which needs "
            "no weights."
        )
    cfg, params = checkpoints.load(folder, dtype=dtype)
    net = checkpoints.network(cfg, dtype=jnp.dtype(dtype))
    if not isinstance(net, Segformer):
        raise InputError(
            f"{folder} holds {type(net).__name__}, but label maps need SegFormer: `{_FETCH.format('DIR')}`"
        )
    if cfg.num_labels > 256:
        raise InputError(
            f"label maps hold 256 labels, but the network in {folder} knows {cfg.num_labels} classes"
        )
    return ClassModel(net, params)


@functools.partial(jax.jit, static_argnums=0)
def scores(net: Segformer, params: Any, pictures: UInt8[Array, "B h w 3"]) -> Float[Array, "B k l K"]:
    """Log-probabilities of the classes, for every fourth pixel both ways."""
    logits = net.apply({"params": params}, normalise(pictures.astype(jnp.float32) / 127.5 - 1))
    return jax.nn.log_softmax(logits.astype(jnp.float32))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _drawn(logits: Float[Array, "k l K"], height: int, width: int) -> UInt8[Array, "H W"]:
    large = jax.image.resize(logits, (height, width, logits.shape[-1]), "bilinear", antialias=False)
    return jnp.argmax(large, -1).astype(jnp.uint8)


def find_classes(
    frames: UInt8[np.ndarray, "n H W 3"],
    state: SteadyState,
    model: ClassModel,
    cfg: ClassConfig = ClassConfig(),
) -> tuple[UInt8[np.ndarray, "n H W"], SteadyState]:
    """Label maps of the next frames of a clip and the state for more (begin with `SteadyState()`).

    With cfg.share = 0 they are transformers' `post_process_semantic_segmentation`. Causal; a frame's labels do not
    depend on how the clip was cut into calls. Raises InputError for anything but uint8 [n, H, W, 3].
    """
    from PIL import Image

    if getattr(frames, "dtype", None) != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise InputError(f"frames must be uint8 [n, H, W, 3], not {np.shape(frames)}")
    labels = np.empty(frames.shape[:3], np.uint8)
    for start in range(0, len(frames), cfg.batch):
        some = frames[start : start + cfg.batch]
        sized = [
            np.asarray(Image.fromarray(f).resize(cfg.size[::-1], Image.Resampling.BILINEAR)) for f in some
        ]
        full = np.stack(sized + sized[-1:] * (cfg.batch - len(some)))  # one shape, one program
        for i, found in enumerate(np.asarray(scores(model.net, model.params, full))[: len(some)]):
            found, state = steady(found, some[i], state, share=cfg.share)
            labels[start + i] = _drawn(found, *frames.shape[1:3])
    return labels, state


def segment(
    video: UInt8[np.ndarray, "T H W 3"], model: ClassModel, cfg: ClassConfig = ClassConfig()
) -> UInt8[np.ndarray, "T H W"]:
    """Label maps of a whole clip (see `find_classes`)."""
    return find_classes(video, SteadyState(), model, cfg)[0]
