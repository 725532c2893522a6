"""How each preset is trained: stages in order, with their data, optimiser and length."""

import dataclasses

from semjax.errors import InputError
from semjax.generator.presets import preset
from semjax.training.data import DataConfig
from semjax.training.stages import StageConfig
from semjax.training.state import OptimConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One stage of a preset. asked: it is only done when asked for by name."""

    stage: StageConfig
    data: DataConfig
    optim: OptimConfig
    asked: bool = False


def tiny() -> tuple[Recipe, ...]:
    """From nothing, in two hours on two CPU cores. The backbone learns together with the adapters: there is no earlier
    knowledge to keep frozen; its own stage, without them, is there for those who want to see what they add."""
    model = preset("tiny")
    frames = DataConfig(batch=8, frames=1, crop=128, hold=1000)
    pairs = DataConfig(batch=4, frames=2, crop=128, hold=1000)
    clips = DataConfig(batch=2, frames=6, crop=128, hold=1000)
    backbone = StageConfig("backbone", model)
    return (
        Recipe(backbone, frames, OptimConfig(rate=7e-4, steps=3_000), asked=True),
        Recipe(StageConfig("adapters", model, joint=True), pairs, OptimConfig(rate=7e-4, steps=9_000)),
        Recipe(StageConfig("temporal-teacher", model), clips, OptimConfig(rate=5e-4, steps=700)),
        Recipe(StageConfig("distill", model, steps=1), clips, OptimConfig(rate=2e-4, steps=200)),
    )


def sd15() -> tuple[Recipe, ...]:
    """On a converted Stable Diffusion 1.5: only the adapters learn, and the Temporal Adapter alone is distilled."""
    model = preset("sd15")
    frames = DataConfig(batch=8, frames=1, crop=256)
    clips = DataConfig(batch=2, frames=6, crop=256)
    return (
        Recipe(
            StageConfig("vae", model), frames, OptimConfig(rate=1e-4, steps=10_000, bf16=True), asked=True
        ),
        Recipe(StageConfig("adapters", model), frames, OptimConfig(rate=1e-4, steps=20_000, bf16=True)),
        Recipe(
            StageConfig("temporal-teacher", model), clips, OptimConfig(rate=1e-4, steps=10_000, bf16=True)
        ),
        Recipe(StageConfig("distill", model), clips, OptimConfig(rate=5e-5, steps=5_000, bf16=True)),
    )


def minuscule() -> tuple[Recipe, ...]:
    """Every stage that a model without autoencoder has, for tests."""
    model = preset("minuscule")
    optim = OptimConfig(rate=1e-3, steps=4, warmup=1)
    frames, clips = DataConfig(batch=2, frames=1, crop=16), DataConfig(batch=1, frames=3, crop=16)
    return tuple(
        Recipe(StageConfig(name, model, joint=name == "adapters"), data, optim)
        for name, data in (
            ("backbone", frames),
            ("adapters", frames),
            ("temporal-teacher", clips),
            ("distill", clips),
        )
    )


RECIPES = {"tiny": tiny, "sd15": sd15, "minuscule": minuscule}


def recipe(name: str) -> tuple[Recipe, ...]:
    """The stages of a preset. Raises InputError for presets that are not trained here."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe to train {name!r}; one of {', '.join(RECIPES)}")
    return RECIPES[name]()
