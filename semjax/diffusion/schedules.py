"""Noising processes: x_t = signal(t) x_0 + sigma(t) noise, and what a network can be taught to predict of it."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from semjax.errors import InputError

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow")
KINDS = ("linear", "scaled_linear", "flow")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A noising process and the quantity its network predicts.

    kind: "linear" or "scaled_linear" betas from `first` to `last` over `steps` discrete times 0 .. steps - 1
    (Ho et al. 2020; Rombach et al. 2022), or "flow": straight lines from data to noise, times 0 .. steps with
    sigma = time / steps (Lipman et al. 2023), moved towards noise by `shift` (Esser et al. 2024, section 5.3.2).
    prediction: "epsilon" (the noise), "v_prediction" (Salimans and Ho 2022), "sample" (the clean picture),
    "flow" (noise minus clean picture). The defaults are those of Stable Diffusion 1.5.
    """

    kind: str = "scaled_linear"
    prediction: str = "epsilon"
    steps: int = 1000
    first: float = 0.00085
    last: float = 0.012
    shift: float = 1.0

    def __post_init__(self):
        if self.kind not in KINDS or self.prediction not in PREDICTIONS:
            raise InputError(
                f"a schedule is one of {KINDS} with a prediction of {PREDICTIONS}, "
                f"not {self.kind!r} with {self.prediction!r}"
            )
        if (self.prediction == "flow") != (self.kind == "flow") and self.prediction != "sample":
            raise InputError(
                f"a {self.kind} schedule cannot be learned as {self.prediction!r}; use 'sample', or 'flow' with flow"
            )
        if self.steps < 1 or not 0 < self.first <= self.last < 1 or self.shift <= 0:
            raise InputError(f"impossible schedule {self}: steps >= 1, 0 < first <= last < 1, shift > 0")


@functools.cache
def alphas_cumprod(schedule: Schedule) -> Float[np.ndarray, " steps"]:
    """Products of 1 - beta, as the reference computes them; raises InputError for flow schedules."""
    if schedule.kind == "linear":
        betas = np.linspace(schedule.first, schedule.last, schedule.steps, dtype=np.float32)
    elif schedule.kind == "scaled_linear":
        root = np.linspace(schedule.first**0.5, schedule.last**0.5, schedule.steps, dtype=np.float32)
        betas = root**2
    else:
        raise InputError("a flow schedule has no betas")
    # Rounded to float32 where the reference rounds: at small times 1 minus this keeps few digits.
    return np.cumprod(1 - betas, dtype=np.float64).astype(np.float32).astype(np.float64)


def shifted(sigma, shift: float):
    """Sigmas moved towards noise: s sigma / (1 + (s - 1) sigma)."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def levels(schedule: Schedule, time: Float[Array, " B"]) -> tuple[Float[Array, " B"], Float[Array, " B"]]:
    """(signal, sigma) at times 0 .. steps; discrete schedules take the nearest of theirs."""
    if schedule.kind == "flow":
        sigma = jnp.asarray(time, jnp.float32) / schedule.steps
        return 1 - sigma, sigma
    index = jnp.clip(jnp.round(time).astype(jnp.int32), 0, schedule.steps - 1)
    kept = jnp.asarray(alphas_cumprod(schedule), jnp.float32)[index]
    return jnp.sqrt(kept), jnp.sqrt(1 - kept)


def _levels_like(schedule, time, x):
    signal, sigma = levels(schedule, jnp.broadcast_to(time, x.shape[:1]))
    shape = (-1,) + (1,) * (x.ndim - 1)
    return signal.reshape(shape), sigma.reshape(shape)


def noised(
    schedule: Schedule, x0: Float[Array, "B ..."], noise: Float[Array, "B ..."], time: Float[Array, " B"]
) -> Float[Array, "B ..."]:
    """x_t of clean pictures. With "flow" `noise` may be anything that the lines should lead to."""
    signal, sigma = _levels_like(schedule, time, x0)
    return signal * x0 + sigma * noise


def target(
    schedule: Schedule, x0: Float[Array, "B ..."], noise: Float[Array, "B ..."], time: Float[Array, " B"]
) -> Float[Array, "B ..."]:
    """What the network should put out at `time`."""
    signal, sigma = _levels_like(schedule, time, x0)
    return {
        "epsilon": lambda: noise,
        "v_prediction": lambda: signal * noise - sigma * x0,
        "sample": lambda: x0,
        "flow": lambda: noise - x0,
    }[schedule.prediction]()


def clean(
    schedule: Schedule, x: Float[Array, "B ..."], out: Float[Array, "B ..."], time: Float[Array, " B"]
) -> Float[Array, "B ..."]:
    """The clean picture that an output stands for, given x_t."""
    signal, sigma = _levels_like(schedule, time, x)
    return {
        "epsilon": lambda: (x - sigma * out) / signal,
        "v_prediction": lambda: signal * x - sigma * out,
        "sample": lambda: out,
        "flow": lambda: x - sigma * out,
    }[schedule.prediction]()
