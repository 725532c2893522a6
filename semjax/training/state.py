"""The state of a training run, its optimiser, and its checkpoints."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from semjax.errors import InputError

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and a cosine end.

    rate: peak learning rate. warmup: steps to reach it. steps: of the whole stage. decay: weight decay.
    clip: largest norm of a gradient. ema: share of the average that stays at each step. bf16: compute in bfloat16;
    the weights that are trained stay float32.
    """

    rate: float = 3e-4
    warmup: int = 100
    steps: int = 1000
    decay: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999
    bf16: bool = False


def optimiser(cfg: OptimConfig) -> optax.GradientTransformation:
    """The optimiser of a stage."""
    warmup = min(cfg.warmup, max(1, cfg.steps // 10))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, cfg.rate, warmup, max(cfg.steps, warmup + 1), 0.05 * cfg.rate
    )
    return optax.chain(optax.clip_by_global_norm(cfg.clip), optax.adamw(rate, weight_decay=cfg.decay))


def average(ema: jax.Array, train: jax.Array, step: jax.Array, cfg: OptimConfig) -> jax.Array:
    """The moving average of the weights, a plain mean while it is young."""
    keep = jnp.minimum(cfg.ema, (1 + step) / (10 + step))
    return keep * ema + (1 - keep) * train


def new_state(train: Params, critic: Params | None, cfg: OptimConfig) -> dict[str, Any]:
    """The state at step 0: weights, their average, the optimiser, and the critic's where there is one.

    Weights are held as one vector (see `join`): an optimiser over hundreds of small arrays takes minutes to compile
    and most of its time to start kernels.
    """

    def begin(tree):
        vector = join(tree)
        return vector, optimiser(cfg).init(vector)

    vector, memory = begin(train)
    state = {"step": jnp.int32(0), "train": vector, "ema": jnp.array(vector), "optimiser": memory}
    if critic is not None:
        state["critic"], state["critic_optimiser"] = begin(critic)
    return state


def join(tree: Params) -> jax.Array:
    """All numbers of a parameter tree as one vector, float32."""
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])


def part(vector: jax.Array, like: Params) -> Params:
    """The tree of a vector; `like` has its shapes."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves]).tolist()
    pieces = [vector[end - leaf.size : end].reshape(leaf.shape) for leaf, end in zip(leaves, ends)]
    return jax.tree.unflatten(structure, pieces)


class Checkpoints:
    """The latest states of a run in a folder, each written beside the others and then renamed (Orbax)."""

    def __init__(self, folder: Path, keep: int = 2):
        import orbax.checkpoint as ocp

        self._ocp, self.note = ocp, Path(folder) / "shapes.txt"
        # Written before training goes on: a save in the background could meet the run that takes over after a kill.
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=True, enable_async_checkpointing=False
        )
        self.manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    def save(self, state: dict[str, Any]) -> None:
        """Write a state, unless its step is there already."""
        step = int(state["step"])
        if step not in self.manager.all_steps():
            partial = self.note.with_suffix(".partial")
            partial.write_text(_described(state))
            partial.replace(self.note)
            self.manager.save(step, args=self._ocp.args.StandardSave(state))

    def latest(self, like: dict[str, Any]) -> dict[str, Any] | None:
        """The newest state, in the shapes of `like`; None when there is none.

        Raises InputError when it belongs to a run of another kind.
        """
        step = self.manager.latest_step()
        if step is None:
            return None
        # Asked before Orbax is: it reports a state of other shapes from several threads at once.
        if self.note.read_text() != _described(like):
            raise InputError(f"the checkpoints in {self.note.parent} are of another run; give another folder")
        return self.manager.restore(step, args=self._ocp.args.StandardRestore(like))

    def close(self) -> None:
        """End the manager; everything is written."""
        self.manager.close()


def _described(state: dict[str, Any]) -> str:
    """Names, shapes and types of a state, one a line."""
    found, _ = jax.tree_util.tree_flatten_with_path(state)
    return "".join(f"{jax.tree_util.keystr(path)} {x.shape} {x.dtype}\n" for path, x in found)


def save_parts(path: Path, params: Params) -> None:
    """Parameter parts that a stage leaves to the next, float32, as one file that appears all at once."""
    from safetensors.numpy import save_file

    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    flat = {"/".join(str(k.key) for k in keys): np.ascontiguousarray(value) for keys, value in leaves}
    partial = path.with_name(f".{path.name}.partial")
    save_file(flat, partial)
    partial.replace(path)


def load_parts(path: Path) -> Params:
    """What `save_parts` wrote. Raises InputError when it cannot be read."""
    from safetensors.numpy import load_file

    try:
        flat = load_file(path)
    except Exception as error:  # the library raises several kinds of its own
        raise InputError(f"{path} cannot be read: {error}") from error
    params: Params = {}
    for name, value in flat.items():
        *way, last = name.split("/")
        place = params
        for part in way:
            place = place.setdefault(part, {})
        place[last] = jnp.asarray(value)
    return params
