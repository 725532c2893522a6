"""The stages of training: what each trains, and what it minimises.

vae                the autoencoder of models that have one
backbone           the denoiser and its text encoder, frame by frame, without adapters
adapters           Semantic Control and Restoration Adapter, frame by frame (and the backbone with them where
                   there was no trained one to begin with)
temporal-teacher   a bidirectional Temporal Adapter, on clips
distill            the causal Temporal Adapter, on its own rolled-out cache, in few steps; everything else frozen
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from semjax import diffusion
from semjax.errors import InputError
from semjax.generator import pictures
from semjax.generator.conditions import FrameConditions
from semjax.generator.config import GeneratorConfig, ModelConfig
from semjax.generator.network import ClipTime, MotionTime, Scene, denoise_clip, denoise_step, prepare
from semjax.generator.temporal import begin_frame, end_frame, init_cache, write
from semjax.training.data import Batch
from semjax.training.losses import clip_loss, matching_loss, picture_loss

Params = dict[str, Any]
STAGES = ("vae", "backbone", "adapters", "temporal-teacher", "distill")


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """A stage on a model.

    joint: train the backbone together with the adapters. steps: of the student. window: of its cache, and how far
    it looks back. pixels: weight of the distance to the true clip beside distribution matching.
    """

    stage: str
    model: ModelConfig
    joint: bool = False
    steps: int = 2
    window: int = 4
    pixels: float = 1.0

    def __post_init__(self):
        if self.stage not in STAGES:
            raise InputError(f"there is no stage {self.stage!r}; one of {', '.join(STAGES)}")
        if self.stage == "vae" and self.model.autoencoder is None:
            raise InputError(
                f"the preset {self.model.name!r} works on pixels and has no autoencoder to train"
            )

    def run(self) -> GeneratorConfig:
        """How the generator is run in this stage: without the pull to the tiny frame, which hides what is wrong."""
        adapted = self.stage not in ("vae", "backbone")
        return GeneratorConfig(
            self.model, self.steps, self.window, consistency=0.0, control=adapted, restoration=adapted
        )

    def trains(self) -> tuple[str, ...]:
        """The parts of the parameter tree that change."""
        adapters = ("control", "restoration")
        return {
            "vae": ("picture",),
            "backbone": ("unet", "text"),
            "adapters": (*adapters, "unet", "text") if self.joint else adapters,
            "temporal-teacher": ("teacher",),
            "distill": ("temporal",),
        }[self.stage]


Loss = Callable[[Params, Params, Batch, Array, StageConfig], tuple[Array, dict[str, Array]]]


def as_picture(x: Array) -> Array:
    """uint8 -> float in [-1, 1]."""
    return x.astype(jnp.float32) / 127.5 - 1


def conditions(batch: Batch) -> FrameConditions:
    """The conditions of all frames of a batch, [B * T, ...]."""
    clips, frames, height, width = batch.labels.shape
    has = jnp.repeat(batch.has, frames, 0)
    flat = clips * frames
    none = jnp.zeros(flat)
    return FrameConditions(
        labels=batch.labels.reshape(flat, height, width).astype(jnp.int32),
        has_labels=has[:, 0],
        degraded=as_picture(batch.painted).reshape(flat, height, width, 3),
        has_degraded=has[:, 1],
        tiny=jnp.zeros((flat, 1, 1, 3)),
        has_tiny=none,
        keyframe=jnp.zeros((flat, 1, 1, 3)),
        has_keyframe=none,
        text=jnp.repeat(batch.text, frames, 0),
        cut=none,
    )


def _flat(batch: Batch) -> Array:
    return as_picture(batch.frames).reshape(-1, *batch.frames.shape[2:])


def _prior(model: ModelConfig, scene: Scene, noise: Array) -> Array:
    """What the noising process leads to: see `ModelConfig.anchored`."""
    return scene.degraded + model.noise * noise if model.anchored else noise


def _times(key: Array, model: ModelConfig, count: int) -> Array:
    """Times to train at. Few-step sampling begins at the last one, so anchored models see it half of the time."""
    pick, which = jax.random.split(key)
    steps = model.schedule.steps
    if model.schedule.kind != "flow":
        return jax.random.randint(pick, (count,), 0, steps).astype(jnp.float32)
    last = jax.random.bernoulli(which, 0.5 if model.anchored else 0.05, (count,))
    return jnp.where(last, 1.0, jax.random.uniform(pick, (count,))) * steps


def _everything(params: Params, part: str, model: ModelConfig, frames: int) -> ClipTime | MotionTime:
    """Every frame of a clip sees all others, with the Temporal Adapter `part`: AnimateDiff's for a teacher that has
    been given its motion modules."""
    if part == "teacher" and model.motion is not None:
        return MotionTime(params["motion"], model, frames)
    return ClipTime(params[part], model, frames, jnp.ones((frames, frames), bool))


def _denoising(params, cfg: StageConfig, scene, x0, key, frames, look, size):
    """Loss of the prediction at random times, the same for all frames of a clip, and the clean estimate."""
    model, clips = cfg.model, len(x0) // frames
    when, noise = jax.random.split(key)
    time = jnp.repeat(_times(when, model, clips), frames)
    drawn = _prior(model, scene, jax.random.normal(noise, x0.shape))
    x = diffusion.noised(model.schedule, x0, drawn, time)
    out = denoise_clip(params, cfg.run(), scene, x, time, look)
    if model.autoencoder is None:
        found, wanted = (pictures.decode(params, model, y, size) for y in (out, x0))
        return clip_loss(found, wanted, frames), out
    wanted = diffusion.target(model.schedule, x0, drawn, time)
    return jnp.mean((out - wanted) ** 2), out


def frame_loss(train: Params, frozen: Params, batch: Batch, key: Array, cfg: StageConfig):
    """Stages `backbone` and `adapters`: denoise single frames."""
    params, truth = {**frozen, **train}, _flat(batch)
    scene = prepare(params, conditions(batch), cfg.run())
    x0 = jax.lax.stop_gradient(pictures.encode(params, cfg.model, truth))
    loss, _ = _denoising(params, cfg, scene, x0, key, batch.frames.shape[1], None, truth.shape[1:3])
    return loss, {}


def autoencoder_loss(train: Params, frozen: Params, batch: Batch, key: Array, cfg: StageConfig):
    """Stage `vae`: pictures through the autoencoder and back. Its latents are kept small."""
    del key
    params, truth = {**frozen, **train}, _flat(batch)
    latents = pictures.encode(params, cfg.model, truth)
    found = pictures.decode(params, cfg.model, latents, truth.shape[1:3])
    return picture_loss(found, truth) + 1e-3 * jnp.mean(latents**2), {}


def teacher_loss(train: Params, frozen: Params, batch: Batch, key: Array, cfg: StageConfig):
    """Stage `temporal-teacher`: denoise clips, every frame seeing all others."""
    params, truth = {**frozen, "temporal": train["teacher"]}, _flat(batch)
    frames = batch.frames.shape[1]
    scene = jax.lax.stop_gradient(prepare(params, conditions(batch), cfg.run()))
    x0 = pictures.encode(params, cfg.model, truth)
    look = _everything(params, "temporal", cfg.model, frames)
    loss, _ = _denoising(params, cfg, scene, x0, key, frames, look, truth.shape[1:3])
    return loss, {}


def roll_out(params: Params, cfg: StageConfig, scene: Scene, clips: int, frames: int, key: Array) -> Array:
    """Clips made frame after frame on the student's own cache: latents [B * T, h, w, C].

    As at the receiver, but only the last step of each frame is differentiated, and not through the cache
    (self-forcing, Huang et al. 2025).
    """
    run, model = cfg.run(), cfg.model
    rows = diffusion.plan(run.sampling())
    shape = (clips, *scene.degraded.shape[1:])
    blank = init_cache(run, shape[1] * model.factor, shape[2] * model.factor, clips)

    def by_frame(x):
        return jnp.moveaxis(x.reshape(clips, frames, *x.shape[1:]), 1, 0)

    def one(cache, given, key):
        lasting, passing = jax.random.split(key)
        cache = begin_frame(cache, jnp.zeros(clips), jax.random.normal(lasting, shape))
        fresh = jax.random.normal(passing, shape)
        kept = run.shared_noise
        prior = _prior(model, given, kept**0.5 * cache.noise + (1 - kept) ** 0.5 * fresh)
        x = diffusion.start(rows, prior)
        for i in range(run.steps):
            row = jax.tree.map(lambda r, i=i: jnp.float32(r[i]), rows)
            x = jax.lax.stop_gradient(x)
            out, seen = denoise_step(params, run, given, cache, row.scale * x, row.time)
            x, _ = diffusion.step(row, x, out, prior)
        cache = write(cache, jax.lax.stop_gradient(seen), jnp.ones(clips))
        return x, end_frame(cache)

    made, _ = diffusion.rollout(one, blank, jax.tree.map(by_frame, scene), key)
    return jnp.moveaxis(made, 0, 1).reshape(scene.degraded.shape)


def student_loss(train: Params, frozen: Params, batch: Batch, key: Array, cfg: StageConfig):
    """Stage `distill`: distribution matching of the causal student's clips to the bidirectional teacher, the critic
    standing for the student's own distribution (NiFi's and CausVid's recipe; see the project's notes).

    frozen holds "teacher" and "critic" beside the generator's parts. Returns what the critic learns from, too.
    """
    params, truth = {**frozen, **train}, _flat(batch)
    clips, frames = batch.frames.shape[:2]
    model, size = cfg.model, truth.shape[1:3]
    rolling, when, noise = jax.random.split(key, 3)
    scene = jax.lax.stop_gradient(prepare(params, conditions(batch), cfg.run()))
    made = roll_out(params, cfg, scene, clips, frames, rolling)
    time = jnp.repeat(_times(when, model, clips), frames)
    drawn = _prior(model, scene, jax.random.normal(noise, made.shape))
    x = jax.lax.stop_gradient(diffusion.noised(model.schedule, made, drawn, time))

    def estimate(part):
        look = _everything(params, part, model, frames)
        out = denoise_clip(params, cfg.run(), scene, x, time, look)
        return jax.lax.stop_gradient(diffusion.clean(model.schedule, x, out, time))

    matching = matching_loss(made, estimate("critic"), estimate("teacher"))
    found = pictures.decode(params, model, made, size)
    pixels = clip_loss(found, truth, frames)
    return matching + cfg.pixels * pixels, {"matching": matching, "pixels": pixels, "made": made}


def critic_loss(
    critic: Params, frozen: Params, batch: Batch, made: Array, key: Array, cfg: StageConfig
) -> Array:
    """The critic's own task: denoise what the student makes."""
    params = {**frozen, "temporal": critic}
    frames = batch.frames.shape[1]
    scene = jax.lax.stop_gradient(prepare(params, conditions(batch), cfg.run()))
    look = _everything(params, "temporal", cfg.model, frames)
    return _denoising(params, cfg, scene, made, key, frames, look, batch.frames.shape[2:4])[0]


LOSSES: dict[str, Loss] = {
    "vae": autoencoder_loss,
    "backbone": frame_loss,
    "adapters": frame_loss,
    "temporal-teacher": teacher_loss,
    "distill": student_loss,
}
