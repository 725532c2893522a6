"""A vision-language model as a judge of frame pairs and a writer of captions: InternVL in `semjax.models.internvl`.

    vlm = vision_language.load("internvl3-1b")                        # a folder that `semjax convert` wrote
    clip = vision_language.watch(vlm, video)
    keys = select(len(video), judge.scorer(clip))                     # PSSS, in place of the structural scorer
    texts = narration.captions(clip)

What the model sees of a frame is computed once for all scores and captions of a clip, and what it read of the prompt up
to the second picture is kept for as long as the keyframe stays.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from semjax.errors import InputError
from semjax.models.internvl import InternVl, greedy, normalise
from semjax.models.qwen2 import Cache, empty_cache
from semjax.semantics.tiles import scaled, shape_of

Pixels = UInt8[np.ndarray, "n side side 3"]
_TOKENS = ("<img>", "</img>", "<IMG_CONTEXT>", "<|im_start|>", "<|im_end|>")
_FETCH = "semjax convert OpenGVLab/InternVL3-1B-hf --out {}"
KEPT = 512  # frames of a clip whose features are kept, the oldest go first


@dataclasses.dataclass(frozen=True)
class Vlm:
    """A network, its parameters, and the tokenizer of transformers that belongs to it."""

    net: InternVl
    params: Any
    tokenizer: Any

    def __post_init__(self):
        known = self.tokenizer.get_vocab()
        missing = [token for token in _TOKENS if token not in known]
        if missing:
            raise InputError(f"this is not InternVL's tokenizer: it has no {', '.join(missing)}")
        if known["<IMG_CONTEXT>"] != self.net.cfg.image_token_id:
            raise InputError(
                f"the tokenizer writes a picture as token {known['<IMG_CONTEXT>']}, the network reads "
                f"{self.net.cfg.image_token_id}: they belong to different models"
            )

    @property
    def side(self) -> int:
        """Pixels of a tile's side in the model's training."""
        return self.net.cfg.vision.image_size[0]

    @property
    def end(self) -> int:
        """The token that ends a turn."""
        return self.tokenizer.get_vocab()["<|im_end|>"]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, markers of the chat included."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt(self, parts: Sequence[str | int], size: tuple[int, int] | None = None) -> list[int]:
        """Tokens of texts and pictures; a number stands for a picture of so many tiles of `size`, see `Clip`."""
        count = self.net.cfg.tokens(size)
        found: list[int] = []
        for part in parts:
            text = part if isinstance(part, str) else f"<img>{'<IMG_CONTEXT>' * (part * count)}</img>"
            found += self.encode(text)
        return found


def load(folder: str | Path, *, dtype: Any = "bfloat16", sharding: Any = None) -> Vlm:
    """The model in a folder that `semjax convert` wrote, or that transformers did.

    dtype: of the parameters and of what is computed from them; sharding: of the parameters, see `checkpoints.load`.
    Raises InputError that names the command that fetches and converts a model where there is none.
    """
    from semjax import checkpoints

    if not Path(folder).is_dir():
        raise InputError(
            f"There is no vision-language model at {folder}. Fetch and convert one with "
            f"`{_FETCH.format(folder)}` (1.9 GB; -2B-hf and -8B-hf are the larger ones), or score with "
            "semjax.semantics.scorer, which needs no weights."
        )
    cfg, params = checkpoints.load(folder, dtype=dtype, sharding=sharding)
    net = checkpoints.network(cfg, dtype=jnp.dtype(dtype))
    if not isinstance(net, InternVl):
        raise InputError(
            f"{folder} holds {type(net).__name__}, but PSSS needs InternVL: `{_FETCH.format('DIR')}`"
        )
    if not any((Path(folder) / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise InputError(
            f"{folder} has no tokenizer. `{_FETCH.format(folder)}` brings it along with the weights."
        )
    from transformers import AutoTokenizer

    return Vlm(net, params, AutoTokenizer.from_pretrained(str(folder)))


# The steps, each one program for all frames and pairs.


@functools.partial(jax.jit, static_argnums=0)
def look(net: InternVl, params: Any, pictures: UInt8[Array, "n side side 3"]) -> Float[Array, "n N D"]:
    """Features of tiles."""
    pixels = normalise(pictures.astype(jnp.float32) / 127.5 - 1)
    return net.apply({"params": params}, pixels, method="features")


@functools.partial(jax.jit, static_argnums=(0, 4))
def begin(
    net: InternVl, params: Any, ids: Int[Array, "B L"], features: Float[Array, "n N D"], room: int
) -> tuple[Float[Array, "B V"], Cache]:
    """Read the beginning of a prompt: logits of what comes next, and a cache with `room` tokens of space in all."""
    bound = net.bind({"params": params})
    cache = empty_cache(net.cfg.text, ids.shape[0], room, net.dtype)
    states, cache = bound.read(bound.embed(ids, features), cache)
    return bound.head(states[:, -1]), cache


@functools.partial(jax.jit, static_argnums=0)
def judge(
    net: InternVl, params: Any, cache: Cache, ids: Int[Array, " L"], features: Float[Array, "B N D"]
) -> Float[Array, "B V"]:
    """Logits after the same beginning (a cache of one row) and then, in each row, another picture in `ids`."""
    bound, many = net.bind({"params": params}), features.shape[0]
    wide = [jnp.broadcast_to(leaf, (leaf.shape[0], many, *leaf.shape[2:])) for leaf in cache[:2]]
    rest = [jnp.broadcast_to(leaf, (many, *leaf.shape[1:])) for leaf in (cache.real, cache.read)]
    cache = Cache(*wide, rest[0], cache.filled, rest[1])
    states, _ = bound.read(bound.embed(jnp.broadcast_to(ids, (many, len(ids))), features), cache)
    return bound.head(states[:, -1])


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def write(
    net: InternVl, params: Any, logits: Float[Array, "B V"], cache: Cache, steps: int, stop: int
) -> tuple[Int[Array, "B steps"], Cache]:
    """The likeliest text, up to the token `stop`."""
    return greedy(net.bind({"params": params}), logits, cache, steps, (stop,))


@functools.partial(jax.jit, static_argnums=0)
def go_on(
    net: InternVl, params: Any, cache: Cache, ids: Int[Array, "B L"], real: Array
) -> tuple[Float[Array, "B V"], Cache]:
    """Read more text: logits of what comes next, and the cache."""
    bound = net.bind({"params": params})
    states, cache = bound.read(ids, cache, real)
    return bound.head(states[:, -1]), cache


class Clip:
    """A clip and what the model has seen of it: features of a frame are computed once.

    size: height and width in pixels that the model sees frames at, each as one tile.
    """

    def __init__(self, vlm: Vlm, video: UInt8[np.ndarray, "T H W 3"], size: tuple[int, int], sharding: Any):
        self.vlm, self.video, self.size, self.sharding = vlm, video, size, sharding
        self.beginning: tuple | None = None  # see `semjax.semantics.judge`
        self.looked = 0  # frames that went through the vision transformer
        self._features: dict[int, jax.Array] = {}

    def features(self, frames: Sequence[int]) -> Float[Array, "n N D"]:
        """Features of frames, each as one tile, those that are new in one batch."""
        new = [frame for frame in dict.fromkeys(frames) if frame not in self._features]
        if new:
            pictures = np.stack([scaled(self.video[frame], *self.size) for frame in new])
            found = look(self.vlm.net, self.vlm.params, self.placed(pictures))
            self._features.update(zip(new, found))
            self.looked += len(new)
        wanted = jnp.stack([self._features[frame] for frame in frames])
        while len(self._features) > KEPT:
            del self._features[next(iter(self._features))]
        return wanted

    def placed(self, batch: Any) -> jax.Array:
        """A batch on the devices of the clip's sharding, where they can share it evenly."""
        shards = 1 if self.sharding is None else self.sharding.mesh.size
        return (
            jnp.asarray(batch) if len(batch) % shards or shards == 1 else jax.device_put(batch, self.sharding)
        )


def watch(
    vlm: Vlm,
    video: UInt8[np.ndarray, "T H W 3"],
    *,
    size: tuple[int, int] | None = None,
    sharding: jax.sharding.NamedSharding | None = None,
) -> Clip:
    """A clip for `judge.scorer` and `narration.captions`, which share what the model sees of its frames.

    size: height and width in pixels that frames are scaled to. None: the clip's own shape in 9/16 of the pixels of the
    training's square, where a pair costs a twentieth of the published procedure's. Of 448 x 448 that is 252 x 448 for
    clips of 16:9, undistorted and as wide as the training's pictures, and 336 x 336 for square ones.
    sharding: how batches of frames and pairs are spread over devices (their first axis), e.g.
    NamedSharding(jax.make_mesh((8,), ("data",)), PartitionSpec("data")); the parameters must lie on all of them.
    Raises InputError for anything but uint8 [T, H, W, 3] and for a size that is not whole pairs of patches.
    """
    if getattr(video, "dtype", None) != np.uint8 or video.ndim != 4 or video.shape[3] != 3:
        raise InputError(f"a clip is uint8 [T, H, W, 3], not {np.shape(video)}")
    step = int(vlm.net.cfg.vision.patch_size[0] / vlm.net.cfg.downsample_ratio)
    size = size or shape_of(*video.shape[1:3], 9 * vlm.side**2 // 16, step)
    if len(size) != 2 or any(n < step or n % step for n in size):
        raise InputError(f"height and width must be multiples of {step} pixels, not {size}")
    return Clip(vlm, video, tuple(size), sharding)
