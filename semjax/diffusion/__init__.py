"""Diffusion without any network: schedules, steps, sampling loops, causal rollout. A denoiser is a function.

Schedule, noised, target, clean     a noising process: forward, what a network learns of it, and back
SamplerConfig, plan, Plan           a sampler as a table of numbers, one row a step
step, sample, start                 one step; all of them in one `lax.scan`
grid_weights, project               pull a picture towards what is known of it at low resolution
rollout                             frames one after another, each seeing only those before it
"""

from semjax.diffusion.plans import METHODS, Plan, SamplerConfig, plan
from semjax.diffusion.projection import grid_weights, project
from semjax.diffusion.sampling import rollout, sample, start, step
from semjax.diffusion.schedules import PREDICTIONS, Schedule, clean, noised, target

__all__ = [
    "METHODS",
    "PREDICTIONS",
    "Plan",
    "SamplerConfig",
    "Schedule",
    "clean",
    "grid_weights",
    "noised",
    "plan",
    "project",
    "rollout",
    "sample",
    "start",
    "step",
    "target",
]
