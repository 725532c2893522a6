"""Whole trajectories against the schedulers of diffusers, with a fixed function in the network's place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import diffusion
from semjax.diffusion import SamplerConfig, Schedule
from semjax.errors import InputError

torch = pytest.importorskip("torch")
schedulers = pytest.importorskip("diffusers.schedulers")

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (2, 5, 4, 3)


def fake_network(x, time, lib):
    """Bounded, smooth, and different at every time and place."""
    return lib.sin(1.7 * x + 0.01 * time) + 0.3 * x


def reference(scheduler, steps, noise, draws, monkeypatch):
    """The reference's trajectory with given noise draws: (all x after the first, network times)."""
    module = type(scheduler).__module__
    waiting = iter(draws)
    monkeypatch.setattr(f"{module}.randn_tensor", lambda *a, **k: torch.from_numpy(next(waiting)))
    scheduler.set_timesteps(steps)
    x = torch.from_numpy(noise) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    states, times = [], []
    for t in scheduler.timesteps:
        given = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        out = fake_network(given, float(t), torch)
        x = scheduler.step(out, t, x, return_dict=False)[0]
        states.append(x.numpy())
        times.append(float(t))
    return states, times


def ours(cfg, noise, draws):
    rows = diffusion.plan(cfg)
    x, states = diffusion.start(rows, jnp.asarray(noise)), []
    for i in range(cfg.steps):
        row = jax.tree.map(lambda r, i=i: r[i], rows)
        x, _ = diffusion.step(row, x, fake_network(row.scale * x, row.time, jnp), draws[i])
        states.append(np.asarray(x))
    return states, list(map(float, rows.time))


LEADING = {"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}
DDIM, EULER = schedulers.DDIMScheduler, schedulers.EulerDiscreteScheduler
CASES = [
    ("ddim", {"spacing": "leading"}, DDIM, LEADING),
    ("ddim", {"eta": 0.7, "spacing": "leading"}, DDIM, LEADING),
    ("ddim", {"final_one": True}, DDIM, {"timestep_spacing": "trailing", "set_alpha_to_one": True}),
    ("ddim", {"spacing": "linspace"}, DDIM, {"timestep_spacing": "linspace", "set_alpha_to_one": False}),
    ("euler", {}, EULER, {"timestep_spacing": "trailing"}),
    ("euler", {"spacing": "linspace"}, EULER, {"timestep_spacing": "linspace"}),
    ("lcm", {}, schedulers.LCMScheduler, {}),
]


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(("method", "options", "peer", "peer_options"), CASES)
def test_discrete_trajectories(method, options, peer, peer_options, prediction, steps, monkeypatch):
    rng = np.random.default_rng(steps)
    noise, draws = rng.standard_normal(SHAPE, np.float32), rng.standard_normal((steps, *SHAPE), np.float32)
    clip = {} if method == "euler" else {"clip_sample": False}
    scheduler = peer(**BETAS, **clip, prediction_type=prediction, **peer_options)
    if options.get("eta"):
        step = scheduler.step
        scheduler.step = lambda *a, **k: step(*a, eta=options["eta"], **k)
    expected, times = reference(scheduler, steps, noise, draws, monkeypatch)
    cfg = SamplerConfig(method, steps, Schedule(prediction=prediction), **options)
    got, our_times = ours(cfg, noise, draws)
    np.testing.assert_allclose(our_times, times, rtol=1e-6)
    for a, b in zip(got, expected):
        assert np.abs(a - b).max() <= 1e-5 * max(1, np.abs(b).max())


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("renoise", [False, True])
def test_flow_trajectories(steps, shift, renoise, monkeypatch):
    rng = np.random.default_rng(steps)
    noise, draws = rng.standard_normal(SHAPE, np.float32), rng.standard_normal((steps, *SHAPE), np.float32)
    peer = schedulers.FlowMatchEulerDiscreteScheduler(shift=shift, stochastic_sampling=renoise)
    expected, times = reference(peer, steps, noise, draws, monkeypatch)
    schedule = Schedule("flow", "flow", shift=shift)
    got, our_times = ours(SamplerConfig("flow", steps, schedule, "linspace", renoise=renoise), noise, draws)
    np.testing.assert_allclose(our_times, times, rtol=1e-5)
    for a, b in zip(got, expected):
        assert np.abs(a - b).max() <= 1e-5 * max(1, np.abs(b).max())


def test_scan_is_the_steps_and_returns_the_last_extra():
    cfg = SamplerConfig("lcm", 3)
    rows = diffusion.plan(cfg)
    x, key = jax.random.normal(jax.random.key(1), SHAPE), jax.random.key(2)
    got, extra = diffusion.sample(lambda x, t: (fake_network(x, t, jnp), {"time": t}), rows, x, key)
    draws = [jax.random.normal(jax.random.fold_in(key, i), SHAPE) for i in range(3)]
    want, _ = ours(cfg, np.asarray(x), draws)
    np.testing.assert_allclose(got, want[-1], rtol=1e-4, atol=1e-5)
    assert float(extra["time"]) == rows.time[-1]


@pytest.mark.parametrize(("kind", "prediction"), [("scaled_linear", "epsilon"), ("linear", "v_prediction"),
                                                  ("flow", "flow"), ("flow", "sample")])  # fmt: skip
def test_target_and_clean_are_inverse(kind, prediction):
    schedule = Schedule(kind, prediction, first=0.0001, last=0.02)
    x0, noise = jax.random.normal(jax.random.key(0), (2, *SHAPE))
    time = jnp.array([20.0, 700.0])
    x = diffusion.noised(schedule, x0, noise, time)
    out = diffusion.target(schedule, x0, noise, time)
    np.testing.assert_allclose(diffusion.clean(schedule, x, out, time), x0, atol=2e-4)


def test_perfect_network_reaches_the_picture():
    x0 = jax.random.normal(jax.random.key(3), SHAPE)
    for method, schedule in (("euler", Schedule(prediction="sample")), ("flow", Schedule("flow", "sample"))):
        rows = diffusion.plan(SamplerConfig(method, 3, schedule))
        x = diffusion.start(rows, jax.random.normal(jax.random.key(4), SHAPE))
        got, _ = diffusion.sample(lambda x, t: (x0, ()), rows, x, jax.random.key(5))
        np.testing.assert_allclose(got, x0, atol=1e-5)


def test_begin_leaves_out_the_noisiest_steps():
    full = diffusion.plan(SamplerConfig("ddim", 8))
    part = diffusion.plan(SamplerConfig("ddim", 8, begin=0.5))
    for whole, half in zip(full, part):
        np.testing.assert_array_equal(whole[4:], half)


@pytest.mark.parametrize("size", [(48, 64, 12, 9), (30, 40, 7, 11), (16, 16, 16, 16)])
def test_projection(size):
    height, width, h, w = size
    x = jax.random.normal(jax.random.key(0), (1, height, width, 3))
    known = jax.random.normal(jax.random.key(1), (1, h, w, 3))
    down_y, down_x = diffusion.grid_weights(h, height)[0], diffusion.grid_weights(w, width)[0]
    shrink = lambda p: jnp.einsum("ay,byxc,dx->badc", down_y, p, down_x)  # noqa: E731
    once = diffusion.project(x, known)
    np.testing.assert_allclose(shrink(once), known, atol=1e-4)
    np.testing.assert_allclose(diffusion.project(once, known), once, atol=1e-4)
    half = diffusion.project(x, known, 0.5)
    np.testing.assert_allclose(shrink(half), (shrink(x) + known) / 2, atol=1e-4)
    np.testing.assert_array_equal(diffusion.project(x, known, 0.0), x)


def test_rollout_in_parts_is_the_same():
    def one(state, given, key):
        state = 0.9 * state + given + 0.1 * jax.random.normal(key)
        return state * 2, state

    inputs, key = jnp.arange(7.0), jax.random.key(0)
    frames, end = diffusion.rollout(one, jnp.float32(0), inputs, key)
    a, middle = diffusion.rollout(one, jnp.float32(0), inputs[:3], key)
    b, last = diffusion.rollout(one, middle, inputs[3:], key, first=3)
    np.testing.assert_allclose(jnp.concatenate([a, b]), frames, atol=1e-6)
    np.testing.assert_allclose(last, end, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Schedule("cosine"),
        lambda: Schedule("flow", "epsilon"),
        lambda: SamplerConfig("ddim", 0),
        lambda: SamplerConfig("flow", 4),
        lambda: SamplerConfig("lcm", 51),
        lambda: SamplerConfig("euler", begin=1.0),
        lambda: diffusion.plan(SamplerConfig("flow", 4, Schedule("flow", "flow"), "leading")),
    ],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
