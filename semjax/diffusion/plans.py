"""Samplers as tables: every step of DDIM, Euler, LCM and flow matching is linear in what it takes.

    x_0  = x0_from_x * x + x0_from_out * out          what the network's output says the clean picture is
    next = next_from_x * x + next_from_x0 * x_0 + next_from_noise * noise

so one step function serves them all, whatever happens to x_0 in between. The rows are computed in double precision
on the host, from static settings alone.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from semjax.diffusion.schedules import Schedule, alphas_cumprod, shifted
from semjax.errors import InputError

METHODS = ("ddim", "euler", "lcm", "flow")
SPACINGS = ("leading", "trailing", "linspace")


@dataclasses.dataclass(frozen=True)
class SamplerConfig:
    """How to sample. Names and defaults follow the reference implementations in diffusers.

    method: "ddim" (Song et al. 2021), "euler" (Karras et al. 2022, in the variance-exploding frame), "lcm" (Luo et
    al. 2023) or "flow" (Euler steps along a flow schedule). steps: how many. spacing: which times (Lin et al. 2024,
    table 2); flow knows "trailing", 1 .. 1/steps, and "linspace", down to the schedule's smallest sigma; LCM has its
    own. offset: added to "leading" times. eta: DDIM's share of fresh noise. final_one: DDIM's last step ends at the
    clean picture rather than at time 0. original_steps: the LCM training grid. renoise: flow steps keep the clean
    estimate and draw new noise instead of going straight on. begin: share of the steps to leave out at the start,
    when sampling starts from a noised picture.
    """

    method: str = "ddim"
    steps: int = 20
    schedule: Schedule = Schedule()
    spacing: str = "trailing"
    offset: int = 1
    eta: float = 0.0
    final_one: bool = False
    original_steps: int = 50
    renoise: bool = False
    begin: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS or self.spacing not in SPACINGS:
            raise InputError(f"a sampler is one of {METHODS} with times {SPACINGS}, not {self}")
        if (self.method == "flow") != (self.schedule.kind == "flow"):
            raise InputError(f"the method {self.method!r} cannot follow a {self.schedule.kind} schedule")
        if not 1 <= self.steps <= self.schedule.steps or not 0 <= self.eta <= 1 or not 0 <= self.begin < 1:
            raise InputError(
                f"impossible sampler {self}: 1 to {self.schedule.steps} steps, eta 0 to 1, begin 0 to below 1"
            )
        if self.method == "lcm" and not self.steps <= self.original_steps <= self.schedule.steps:
            raise InputError(
                f"LCM takes at most original_steps={self.original_steps} steps, not {self.steps}"
            )


class Plan(NamedTuple):
    """A sampler's table, float32 [n] each.

    time: what the network is told. scale: its input is scale * x. signal, sigma: at this row x is
    signal * x_0 + sigma * noise. The others: see the module.
    """

    time: np.ndarray
    scale: np.ndarray
    signal: np.ndarray
    sigma: np.ndarray
    x0_from_x: np.ndarray
    x0_from_out: np.ndarray
    next_from_x: np.ndarray
    next_from_x0: np.ndarray
    next_from_noise: np.ndarray


@functools.cache
def plan(cfg: SamplerConfig) -> Plan:
    """The table of a sampler."""
    rows = {"ddim": _ddim, "euler": _euler, "lcm": _lcm, "flow": _flow}[cfg.method](cfg)
    first = min(round(cfg.begin * cfg.steps), cfg.steps - 1)
    return Plan(*(np.broadcast_to(r, rows.time.shape).astype(np.float32)[first:] for r in rows))


def _times(cfg: SamplerConfig) -> np.ndarray:
    """Times of the discrete schedules, falling."""
    total, steps = cfg.schedule.steps, cfg.steps
    if cfg.spacing == "linspace":
        times = np.linspace(0, total - 1, steps)[::-1]
        return times if cfg.method == "euler" else times.round()
    if cfg.spacing == "leading":
        return (np.arange(steps) * (total // steps))[::-1].astype(float) + cfg.offset
    return np.round(np.arange(total, 0, -total / steps)) - 1


def _x0_rows(prediction: str, signal, sigma):
    """(from x, from out) for x = signal x_0 + sigma noise with signal^2 + sigma^2 = 1."""
    return {
        "epsilon": (1 / signal, -sigma / signal),
        "v_prediction": (signal, -sigma),
        "sample": (np.zeros_like(signal), np.ones_like(signal)),
    }[prediction]


def _ddim(cfg: SamplerConfig) -> Plan:
    times = _times(cfg).astype(int)
    kept = alphas_cumprod(cfg.schedule)
    now = kept[times]
    before = times - cfg.schedule.steps // cfg.steps
    last = 1.0 if cfg.final_one else kept[0]
    then = np.where(before >= 0, kept[np.maximum(before, 0)], last)
    spread = cfg.eta * np.sqrt((1 - then) / (1 - now) * (1 - now / then))
    signal, sigma = np.sqrt(now), np.sqrt(1 - now)
    along = np.sqrt(np.maximum(1 - then - spread**2, 0)) / sigma
    a, b = _x0_rows(cfg.schedule.prediction, signal, sigma)
    return Plan(times, 1.0, signal, sigma, a, b, along, np.sqrt(then) - along * signal, spread)


def _euler(cfg: SamplerConfig) -> Plan:
    times = _times(cfg)
    kept = alphas_cumprod(cfg.schedule)
    sigmas = np.interp(times, np.arange(len(kept)), np.sqrt((1 - kept) / kept))
    ratio = np.append(sigmas[1:], 0) / sigmas
    root = np.sqrt(sigmas**2 + 1)
    a, b = {
        "epsilon": (1.0, -sigmas),
        "v_prediction": (1 / root**2, -sigmas / root),
        "sample": (0.0, 1.0),
    }[cfg.schedule.prediction]
    return Plan(times, 1 / root, 1.0, sigmas, a, b, ratio, 1 - ratio, 0.0)


def _lcm(cfg: SamplerConfig) -> Plan:
    grid = (np.arange(1, cfg.original_steps + 1) * (cfg.schedule.steps // cfg.original_steps) - 1)[::-1]
    times = grid[np.linspace(0, len(grid), cfg.steps, endpoint=False).astype(int)]
    kept = alphas_cumprod(cfg.schedule)
    signal, sigma = np.sqrt(kept[times]), np.sqrt(1 - kept[times])
    a, b = _x0_rows(cfg.schedule.prediction, signal, sigma)
    # The boundary condition of consistency models, with the reference's sigma_data 0.5 and time scale 10.
    scaled = times * 10.0
    skip, out = 0.25 / (scaled**2 + 0.25), scaled / np.sqrt(scaled**2 + 0.25)
    # The last step returns the estimate itself; the others noise it to the next time.
    keep, spread = np.append(signal[1:], 1.0), np.append(sigma[1:], 0.0)
    return Plan(times, 1.0, signal, sigma, a, b, keep * skip, keep * out, spread)


def _flow(cfg: SamplerConfig) -> Plan:
    schedule = cfg.schedule
    if cfg.spacing == "linspace":
        least = shifted(1 / schedule.steps, schedule.shift)
        sigmas = np.linspace(1, least, cfg.steps)
    elif cfg.spacing == "trailing":
        sigmas = 1 - np.arange(cfg.steps) / cfg.steps
    else:
        raise InputError("flow times are spaced 'trailing' or 'linspace', not 'leading'")
    sigmas = shifted(sigmas, schedule.shift)
    then = np.append(sigmas[1:], 0)
    a, b = (1.0, -sigmas) if schedule.prediction == "flow" else (0.0, 1.0)
    if cfg.renoise:
        return Plan(sigmas * schedule.steps, 1.0, 1 - sigmas, sigmas, a, b, 0.0, 1 - then, then)
    ratio = then / sigmas
    return Plan(sigmas * schedule.steps, 1.0, 1 - sigmas, sigmas, a, b, ratio, 1 - ratio, 0.0)
