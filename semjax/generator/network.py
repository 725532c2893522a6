"""The backbone with its adapters: one evaluation, in each of the ways in which it is used."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from semjax.generator import pictures, text
from semjax.generator.conditions import FrameConditions
from semjax.generator.config import GeneratorConfig, ModelConfig, places
from semjax.generator.control import control_features, inject, palette
from semjax.generator.layers import Params
from semjax.generator.restoration import restoration_queries, restore
from semjax.generator.temporal import Cache, keys_values, look
from semjax.models.controlnet import ControlNet
from semjax.models.motion import MotionModules
from semjax.models.unet import UNet2DCondition


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scene:
    """What is computed once a frame and serves all its denoising steps.

    degraded: latents [B, h, w, C] of the degraded picture. text, mask: states [B, L, D] and which count [B, L].
    control: features by level. queries: the Restoration Adapter's, by place. Either is empty when switched off.
    shown: the label map in colours, for models with a ControlNet; else empty.
    """

    degraded: Float[Array, "B h w C"]
    text: Float[Array, "B L D"]
    mask: Float[Array, "B L"]
    control: tuple[Array, ...]
    queries: dict[str, Array]
    shown: Float[Array, "B H W 3"] | tuple[()] = ()


class _Hooks:
    """What happens inside the backbone at its layers and self-attentions. `seen`: keys and values of this frame."""

    def __init__(self, params: Params, cfg: GeneratorConfig, control, queries=None, time=None):
        self.params, self.cfg, self.control = params, cfg, control
        self.queries, self.time = queries, time
        self.levels = {place.name: place.level for place in places(cfg.model.unet)}
        self.hidden: dict[str, Array] = {}
        self.seen: dict[str, tuple[Array, Array]] = {}

    def layer(self, place: str, x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        """Semantic Control, then the Temporal Adapter."""
        if self.control:
            x = inject(self.params["control"], place, x, self.control[self.levels[place]])
        return x if self.time is None else self.time(place, x, self)

    def attend(self, place: str, hidden, key, value) -> Float[Array, "B N C"] | None:
        """The Restoration Adapter; without queries the features are kept to make some of."""
        if not self.queries:
            self.hidden[place] = hidden
            return None
        return restore(self.params["restoration"], place, self.queries[place], key, value)


class MotionTime:
    """AnimateDiff's motion modules among the frames of a clip, given as [B * T, ...]."""

    def __init__(self, params: Params, model: ModelConfig, frames: int):
        self.params, self.modules = params, MotionModules(model.motion, frames, dtype=jnp.dtype(model.dtype))

    def __call__(self, place: str, x: Array, hooks: _Hooks) -> Array:
        """The pictures after the module at `place`."""
        return self.modules.apply({"params": self.params}, place, x, method="layer")


class StepTime:
    """Temporal attention of one frame to those in a cache, and to itself."""

    def __init__(self, params: Params, model: ModelConfig, cache: Cache):
        self.params, self.model, self.cache = params, model, cache
        apart = cache.frames - cache.count[:, None]
        here = jnp.zeros_like(cache.count)[:, None]
        self.apart = jnp.concatenate([apart, here], 1)[:, None]
        known = (cache.frames >= 0) & (apart > -cache.frames.shape[1])
        self.known = jnp.concatenate([known, here == 0], 1)[:, None]

    def __call__(self, place: str, x: Array, hooks: _Hooks) -> Array:
        """x with what was seen of the cached frames added."""
        own = self.params[place]
        hooks.seen[place] = keys_values(own, x)
        keys, values = (
            jnp.concatenate([ring[place].astype(x.dtype), new[:, None]], 1)
            for ring, new in zip((self.cache.keys, self.cache.values), hooks.seen[place])
        )
        return x + look(own, self.model, x[:, None], keys, values, self.apart, self.known)[:, 0]


class ClipTime:
    """Temporal attention among the frames of a clip, given as [B * T, ...].

    seen: [T, T] bool, which frame (row) may look at which (column).
    """

    def __init__(self, params: Params, model: ModelConfig, frames: int, seen: Array):
        self.params, self.model, self.frames = params, model, frames
        number = jnp.arange(frames)
        self.apart, self.known = (number[None] - number[:, None])[None], jnp.asarray(seen)[None]

    def __call__(self, place: str, x: Array, hooks: _Hooks) -> Array:
        """x with what was seen of the other frames added."""
        own, clip = self.params[place], x.reshape(-1, self.frames, *x.shape[1:])
        keys, values = keys_values(own, clip)
        return x + look(own, self.model, clip, keys, values, self.apart, self.known).reshape(x.shape)


def backbone_output(
    params: Params, cfg: GeneratorConfig, x: Array, time, scene: Scene, hooks: _Hooks
) -> Float[Array, "B h w C"]:
    """What the schedule's prediction is: the backbone's output, or for anchored models the clean latents."""
    model = cfg.model
    dtype = jnp.dtype(model.dtype)
    net = UNet2DCondition(model.unet, hooks=hooks, dtype=dtype)
    more = {}
    if model.controlnet is not None and cfg.control:
        side = ControlNet(model.controlnet, dtype=dtype)
        found = side.apply({"params": params["controlnet"]}, x, time, scene.text, scene.shown)
        more = {"down_residuals": found[0], "mid_residual": found[1]}
    out = net.apply({"params": params["unet"]}, x, time, scene.text, text_mask=scene.mask, **more)
    out = out.astype(jnp.float32)
    return scene.degraded + model.residual * out if model.anchored else out


def prepare(params: Params, given: FrameConditions, cfg: GeneratorConfig) -> Scene:
    """Everything about a frame that its denoising steps share."""
    model = cfg.model
    there = given.has_degraded[:, None, None, None]
    degraded = pictures.encode(params, model, there * given.degraded)
    states = text.text_states(params, model, given.text)
    mask = text.text_mask(model, given.text)
    features = ()
    if cfg.control:
        features = tuple(control_features(params["control"], model, given.labels, given.has_labels, degraded))
    shown = ()
    if model.controlnet is not None:
        shown = palette(given.labels) * given.has_labels[:, None, None, None]
        fill = ((0, 0), *((0, -side % model.factor) for side in shown.shape[1:3]), (0, 0))
        shown = jnp.pad(shown, fill)
    scene = Scene(degraded, states, mask, features, {}, shown)
    if not cfg.restoration or not params["restoration"]:
        return scene
    hooks = _Hooks(params, cfg, features)
    backbone_output(params, cfg, degraded, 0, scene, hooks)
    # What training changes here are the queries' projections; through the features it would cost a second pass back.
    hidden = jax.lax.stop_gradient(hooks.hidden)
    queries = restoration_queries(params["restoration"], hidden)
    return dataclasses.replace(scene, queries={p: there[:, 0] * q for p, q in queries.items()})


def denoise_step(
    params: Params, cfg: GeneratorConfig, scene: Scene, cache: Cache, x: Array, time: Array
) -> tuple[Array, dict[str, tuple[Array, Array]]]:
    """One evaluation for the next frame of a stream: (prediction, this frame's keys and values by place)."""
    look_back = StepTime(params["temporal"], cfg.model, cache) if cfg.temporal else None
    hooks = _Hooks(params, cfg, scene.control, scene.queries, look_back)
    out = backbone_output(params, cfg, x, time, scene, hooks)
    dtype = jnp.dtype(cfg.model.dtype)
    return out, jax.tree.map(lambda y: y.astype(dtype), hooks.seen)


def denoise_clip(
    params: Params,
    cfg: GeneratorConfig,
    scene: Scene,
    x: Float[Array, "BT h w C"],
    time: Float[Array, " BT"],
    look: ClipTime | MotionTime | None = None,
) -> Float[Array, "BT h w C"]:
    """One evaluation for all frames of clips at once, as in training; without `look` each for itself."""
    return backbone_output(
        params, cfg, x, time, scene, _Hooks(params, cfg, scene.control, scene.queries, look)
    )
