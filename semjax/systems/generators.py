"""What paints at the receiver, by name.

A generator has `name` and `step(conditions, state, key) -> (frames uint8 [n, H, W, 3], state)`; the state of a
clip's first call is None. `none` paints without a network, `tiny` and folders of weights with diffusion.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from semjax import assets, painting
from semjax.errors import InputError
from semjax.types import Conditions, FrameStatus


@dataclasses.dataclass(frozen=True)
class Received:
    """Frames as painted, uint8 [n, H, W, 3], and what they were painted from."""

    frames: np.ndarray
    conditions: Conditions


class Generator(Protocol):
    """Turns what arrived into pixels, a few frames at a time and strictly forward."""

    name: str

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames, uint8 [n, H, W, 3], and the state for the call after this one."""


@dataclasses.dataclass(frozen=True)
class Painter:
    """Generator `none`: semjax.painting, which draws no random numbers (the key is not used)."""

    cfg: painting.PaintConfig = painting.PaintConfig()
    name: str = "none"

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames; see `Generator.step`."""
        del key
        known = conditions.contour_status != FrameStatus.MISSING
        return painting.paint(
            conditions.labels * known[:, None, None],
            conditions.tiny,
            {k.frame - conditions.first: k.image for k in conditions.keyframes},
            state,
            texture_status=conditions.texture_status,
            cfg=self.cfg,
        )


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """The causal diffusion generator (semjax.generator) over what `none` paints.

    cfg: a semjax.generator.GeneratorConfig. params: its model's. tokenizer: of models with a CLIP text encoder.
    """

    name: str
    cfg: Any
    params: Any = dataclasses.field(repr=False)
    painter: Painter = Painter()
    tokenizer: Callable | None = None

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames; see `Generator.step`. Each frame's key is folded with its place in this call."""
        from semjax.generator import init_cache

        count, height, width = conditions.labels.shape
        told, cache = state or (None, init_cache(self.cfg, height, width))
        given, told = self.tell(conditions, told)
        out, advance = np.empty((count, height, width, 3), np.uint8), _frame_step(self.cfg)
        for i in range(count):
            one = jax.tree.map(lambda x, i=i: x[i], given)
            picture, cache = advance(self.params, cache, one, jax.random.fold_in(key, i))
            out[i] = np.rint((np.asarray(picture[0]) + 1) * 127.5)
        return out, (told, cache)

    def tell(self, conditions: Conditions, state: Any) -> tuple[Any, Any]:
        """A few frames' conditions as bytes for `semjax.generator.from_bytes`, [n, 1, ...], and the state of painter
        and search for cuts; the state of a clip's first call is None. Draws no random numbers."""
        painted, cuts = state or (None, None)
        frames, painted = self.painter.step(conditions, painted, jax.random.key(0))
        given, cuts = _told(conditions, frames, cuts, self.cfg.model, self.tokenizer)
        return given, (painted, cuts)


@functools.cache
def _frame_step(cfg) -> Callable:
    """The generator's step function, compiled once for a configuration and size; its cache is reused in place."""
    from semjax.generator import from_bytes, generate_frame

    def advance(params, cache, given, key):
        return generate_frame(params, cache, from_bytes(given), key, cfg=cfg)

    return jax.jit(advance, donate_argnums=1)


def _told(conditions: Conditions, painted: np.ndarray, cuts, model, tokenizer):
    """A few frames' conditions as bytes, [n, 1, ...], and the state of the search for cuts."""
    from semjax import generator
    from semjax.semantics import CutConfig, CutState, cut_step

    count = len(conditions.labels)
    cuts, at_cut = cuts or CutState(), np.zeros((count, 1), np.float32)
    for i, frame in enumerate(painted):
        at_cut[i], cuts = cut_step(frame, cuts, CutConfig())
    tiny = np.zeros((count, 1, 1, 3), np.uint8) if conditions.tiny is None else conditions.tiny
    pictures, has_picture = np.zeros_like(painted), np.zeros((count, 1), np.float32)
    for keyframe in conditions.keyframes:
        place = keyframe.frame - conditions.first
        pictures[place], has_picture[place] = keyframe.image, 1
    words = [""] * count
    # The caption of the shortest stretch says most about a frame.
    for caption in sorted(conditions.captions, key=lambda c: c.first - c.last):
        for i in range(
            max(0, caption.first - conditions.first), min(count, caption.last - conditions.first + 1)
        ):
            words[i] = caption.text

    def here(status):
        return (status[:, None] != FrameStatus.MISSING).astype(np.float32)

    given = generator.FrameConditions(
        labels=conditions.labels[:, None],
        has_labels=here(conditions.contour_status),
        degraded=painted[:, None],
        has_degraded=np.ones((count, 1), np.float32),
        tiny=tiny[:, None],
        has_tiny=here(conditions.texture_status) * (conditions.tiny is not None),
        keyframe=pictures[:, None],
        has_keyframe=has_picture,
        text=generator.tokens(model, words, tokenizer)[:, None],
        cut=at_cut,
    )
    return given, cuts


BUNDLED = Path(assets.__file__).parent / "generator"  # weights of `tiny`


def suited(name: str | Path, system: str) -> str | Path:
    """The generator that `auto` stands for: `tiny` for the system whose streams it was trained on, else `none`.
    Other names are themselves."""
    if name != "auto":
        return name
    return "tiny" if system == "causal" else "none"


def load_generator(name: str | Path = "none", **options: Any) -> Generator:
    """The generator of that name: `none` (no network), `tiny` (the bundled weights), or a folder of weights.

    options: fields of semjax.generator.GeneratorConfig, such as steps=4 or window=8, for generators that have them,
    in place of those that the weights come with.
    The name that a diffusion generator reports ends in the first digits of the hash of its weights. Raises InputError
    for weights that cannot be read.
    """
    if name == "none":
        return Painter()
    path = BUNDLED if name == "tiny" else Path(name)
    if not path.exists():
        raise InputError(f"there is no generator {str(name)!r}: use none, tiny or a folder of weights")
    from semjax import generator

    model, params = generator.load(path)
    label = f"{model.name}@{generator.fingerprint(params)}"
    return Diffusion(label, generator.GeneratorConfig(model, **generator.settings(path) | options), params)
