"""The training loop: one stage from the parameters before it to those after it, however often it is killed."""

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from semjax._progress import progress
from semjax.training.data import Batch, DataConfig, Examples
from semjax.training.stages import LOSSES, StageConfig, critic_loss
from semjax.training.state import Checkpoints, OptimConfig, average, join, new_state, optimiser, part

State = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How a stage is run.

    seed: of data and noise. save_every, log_every, sample_every: steps from one to the next (0: never).
    seconds: stop after so long, None: only at the last step; the learning rate follows the steps all the same.
    critic_rounds: critic updates to each of the student's. compiler: (name, value) options for XLA, such as
    ("xla_backend_optimization_level", 0), which halves the time to compile on a CPU.
    """

    seed: int = 0
    save_every: int = 200
    log_every: int = 10
    sample_every: int = 0
    seconds: float | None = None
    critic_rounds: int = 1
    compiler: tuple[tuple[str, str | int | bool], ...] = ()


def train_step(
    state: State,
    frozen: dict,
    batch: Batch,
    key: jax.Array,
    *,
    stage: StageConfig,
    optim: OptimConfig,
    rounds: int,
    shapes: "Shapes",
) -> tuple[State, dict[str, jax.Array]]:
    """One update of a state (and of the critic, where there is one) and what there is to log.

    shapes: of the tree that state["train"] is the vector of.
    """
    key = jax.random.fold_in(key, state["step"])
    if "critic" in state:
        frozen = {**frozen, "critic": part(state["critic"], frozen["teacher"])}

    # Differentiated as a tree: the gradient of slicing a vector would be one vector of full length for every slice.
    value = jax.value_and_grad(LOSSES[stage.stage], has_aux=True)
    (loss, more), tree = value(part(state["train"], shapes.tree), frozen, batch, key, stage)
    gradient = join(tree)
    train, memory = _update(state["train"], state["optimiser"], gradient, optim)
    log = {"loss": loss, "gradient": jnp.linalg.norm(gradient)}
    new = {
        **state,
        "step": state["step"] + 1,
        "train": train,
        "ema": average(state["ema"], train, state["step"], optim),
        "optimiser": memory,
    }
    if "critic" in state:
        made = jax.lax.stop_gradient(more.pop("made"))

        def follow(critic, i):
            tree, draw = part(critic[0], frozen["teacher"]), jax.random.fold_in(key, i)
            loss, tree = jax.value_and_grad(critic_loss)(tree, frozen, batch, made, draw, stage)
            return _update(*critic, join(tree), optim), loss

        critic = (state["critic"], state["critic_optimiser"])
        (new["critic"], new["critic_optimiser"]), values = jax.lax.scan(follow, critic, jnp.arange(rounds))
        log["critic"] = values[-1]
    return new, log | more


def _update(vector, memory, gradient, optim: OptimConfig):
    change, memory = optimiser(optim).update(gradient, memory, vector)
    return optax.apply_updates(vector, change), memory


@functools.cache
def compiled(compiler: tuple[tuple[str, str | int | bool], ...] = ()) -> Callable:
    """`train_step` under jit, its state donated; `compiler`: options for XLA."""
    return jax.jit(
        train_step,
        static_argnames=("stage", "optim", "rounds", "shapes"),
        donate_argnames="state",
        compiler_options=dict(compiler) or None,
    )


class Shapes:
    """A tree of shapes that can be a static argument: equal when the shapes are."""

    def __init__(self, tree: dict):
        self.tree = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32), tree)
        leaves, structure = jax.tree.flatten(self.tree)
        self._all = (structure, tuple(leaf.shape for leaf in leaves))

    def __eq__(self, other):
        return isinstance(other, Shapes) and self._all == other._all

    def __hash__(self):
        return hash(self._all)


def run_stage(
    params: dict,
    examples: Path,
    out: Path,
    *,
    stage: StageConfig,
    data: DataConfig,
    optim: OptimConfig = OptimConfig(),
    loop: LoopConfig = LoopConfig(),
    sample: Callable[[dict, Path], None] | None = None,
) -> dict:
    """Train one stage and return all parameters, those that it trained as their moving average.

    Goes on from the newest checkpoint in `out`, if there is one; logs a line of JSON every `log_every` steps to
    out/log.jsonl and calls sample(parameters, out/"step.png") every `sample_every` steps. The batch is split over
    all devices; its size must be a multiple of their number.
    """
    out.mkdir(parents=True, exist_ok=True)
    if optim.bf16:
        stage = dataclasses.replace(stage, model=dataclasses.replace(stage.model, dtype="bfloat16"))
    train, frozen = _split(params, stage)
    state = new_state(train, params["teacher"] if stage.stage == "distill" else None, optim)
    checkpoints = Checkpoints(out / "checkpoints")
    state = checkpoints.latest(state) or state
    whole, split = _placements()
    state, frozen = jax.device_put((state, frozen), whole)
    source = Examples(examples, data, stage.model, loop.seed)
    update = compiled(loop.compiler)
    options = {"stage": stage, "optim": optim, "rounds": loop.critic_rounds, "shapes": Shapes(train)}
    first, began, key = int(state["step"]), time.monotonic(), jax.random.key(loop.seed)
    with open(out / "log.jsonl", "a") as log:
        steps = progress(source.ahead(first, optim.steps), optim.steps - first, stage.stage)
        for done, batch in enumerate(steps, 1):
            state, report = update(state, frozen, jax.device_put(batch, split), key, **options)
            step = first + done
            over = loop.seconds is not None and time.monotonic() - began > loop.seconds
            if loop.log_every and (step % loop.log_every == 0 or over):
                _log(log, step, report, done * data.batch, began)
            if loop.save_every and (step % loop.save_every == 0 or over):
                checkpoints.save(state)
            if sample and loop.sample_every and step % loop.sample_every == 0:
                sample(_joined(params, state, train, stage), out / f"{step:07d}.png")
            if over:
                break
    checkpoints.save(state)
    checkpoints.close()
    return _joined(params, state, train, stage)


def _split(params: dict, stage: StageConfig) -> tuple[dict, dict]:
    """What a stage trains and what it leaves alone; a teacher begins as a copy of the Temporal Adapter."""
    params = {"teacher": params["temporal"], **params}
    train = {name: params[name] for name in stage.trains()}
    return train, {name: value for name, value in params.items() if name not in train}


def _joined(params: dict, state: State, train: dict, stage: StageConfig) -> dict:
    """The parameters with the averages of those that were trained. A student begins where its teacher ended."""
    found = {**params, **jax.device_get(part(state["ema"], train))}
    if stage.stage == "temporal-teacher":
        found["temporal"] = found["teacher"]
    return found


def _placements() -> tuple[NamedSharding, NamedSharding]:
    """(on every device, split over the devices)."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))


def _log(file, step: int, report: dict[str, jax.Array], examples: int, began: float) -> None:
    values = {name: float(np.asarray(jnp.mean(value))) for name, value in report.items()}
    seconds = time.monotonic() - began
    line = {
        "step": step,
        **values,
        "seconds": round(seconds, 2),
        "clips_per_second": round(examples / seconds, 3),
    }
    file.write(json.dumps(line) + "\n")
    file.flush()
