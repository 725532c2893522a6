"""Run by test_eight_devices.py in a process of its own with eight virtual devices; prints one JSON object.

Every mesh makes the same few frames of the same eight slots: a keyframe and a cut fall on some, a stream ends in one
and another begins. What is compared are the pictures as floats and every array of the cache.
"""

import concurrent.futures
import dataclasses
import functools
import itertools
import json
import sys

import jax
import numpy as np
import sharding_cases
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from semjax import generator, sharding
from semjax.sharding import cost
from semjax.sharding.rules import resolve

SIZE, TINY, BATCH, FRAMES = (32, 16), (8, 4), 8, 3
MESHES = {
    "one": "data=1",
    "data": "data=8",
    "model": "data=1,model=2",
    "space": "data=1,space=4",
    "data+model": "data=4,model=2",
    "data+space": "data=4,space=2",
    "model+space": "data=1,model=2,space=2",
    "data+model+space": "data=2,model=2,space=2",
}
CFG = generator.GeneratorConfig(sharding_cases.MODEL, steps=2, window=2, consistency=0.5)
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def given(frame):
    """Conditions of a frame as bytes."""
    rng = np.random.default_rng(frame)
    some = lambda *s: rng.integers(0, 256, (BATCH, *s)).astype(np.uint8)  # noqa: E731
    slots, ones = np.arange(BATCH), np.ones(BATCH, np.float32)
    return generator.FrameConditions(
        labels=some(*SIZE) % 4,
        has_labels=ones,
        degraded=some(*SIZE, 3),
        has_degraded=ones,
        tiny=some(*TINY, 3),
        has_tiny=(slots != 3).astype(np.float32),
        keyframe=some(*SIZE, 3),
        has_keyframe=((slots == 5) & (frame == 1)).astype(np.float32),
        text=rng.integers(0, 50, (BATCH, CFG.model.text_tokens)).astype(np.int32),
        cut=((slots == 2) & (frame == 1)).astype(np.float32),
    )


def turn(frame):
    """Slot 6 begins another stream at frame 2."""
    begins = (np.arange(BATCH) == 6) & (frame == 2)
    numbers = np.where(begins, 0, frame).astype(np.int32)
    restart = (numbers == 0).astype(np.int32)
    return sharding.Turn(restart, 0 * numbers, numbers)


def outcome(step, like, mesh):
    """Pictures of every frame and the last cache, on the host, and how many programs were compiled meanwhile."""
    cache, params = sharding.first_cache(CFG, like), sharding.put_params(sharding_cases.weights(), like)
    key, at = sharding.put_key(jax.random.key(1), mesh), jax.tree.map(lambda s: s.sharding, like)
    pictures = []
    for frame in range(FRAMES):
        held = jax.tree.leaves(cache)
        picture, cache = step(
            params, cache, sharding.put(given(frame), at.given), sharding.put(turn(frame), at.turn), key
        )
        pictures.append(np.asarray(picture))
    return np.stack(pictures), jax.tree.map(np.asarray, cache), all(array.is_deleted() for array in held)


def apart(one, other):
    """The largest difference over the arrays of two trees, each relative to its own largest value."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other))
    return max(float(np.abs(a.astype(float) - b).max() / max(np.abs(a).max(), 1)) for a, b in pairs)


def gathered(found, tree, rules, mesh):
    """All-gathers whose result is a leaf of `tree` that the rules cut, whole along one of its cut dimensions."""
    forbidden = {}
    for leaf in resolve(tree, rules, mesh):
        ways = [np.prod([mesh.shape[a] for a in np.atleast_1d(e) if a]) if e else 1 for e in leaf.axes]
        ways += [1] * (len(leaf.shape) - len(ways))
        here = tuple(int(n // w) for n, w in zip(leaf.shape, ways))
        for shape in itertools.product(*zip(here, leaf.shape)):
            if shape != here and len(shape) > 1:
                forbidden[",".join(map(str, shape))] = leaf.path
    return [
        f"{forbidden[dims]} ({item.shape} along {item.axes})"
        for item in found
        if item.kind == "all-gather"
        for dims in [item.shape.split("[")[1].split("]")[0]]
        if dims in forbidden
    ]


def rules_of(mesh):
    return (
        (sharding_cases.weights(), sharding.parameter_rules(CFG.model, mesh)),
        (generator.init_cache(CFG, *SIZE, BATCH), sharding.cache_rules(CFG, *SIZE, mesh)),
    )


def predicted(mesh):
    """Counts and bytes by axis as the cost model has them, without compiling."""
    done = cost.work(CFG, SIZE, TINY).of(BATCH // mesh.shape["data"])
    return cost.traffic_of(done, CFG, mesh.shape).by_axis


def whole_parameters_are_noticed(mesh):
    """A program that does what is forbidden, so that looking for it is known to find it."""
    tree, rules = rules_of(mesh)[0]
    cut = sharding.place(tree, rules, mesh)
    whole = jax.tree.map(lambda s: NamedSharding(mesh, P()), cut)
    text = jax.jit(lambda x: x, in_shardings=(cut,), out_shardings=whole).lower(tree).compile().as_text()
    return len(gathered(sharding.traffic(text, mesh), tree, rules, mesh))


def on_a_foreign_mesh():
    """The generator's step from a mesh of Explicit axes with other names: what goes wrong bare, and the difference."""
    cfg = dataclasses.replace(CFG, control=False, restoration=False, temporal=False, steps=1)
    mesh = jax.make_mesh(
        (2, 2), ("batch", "tp"), axis_types=(AxisType.Explicit,) * 2, devices=jax.devices()[:4]
    )
    names, sizes = {"data": "batch", "model": "tp"}, {"data": 2, "model": 2, "space": 1}
    params = sharding_cases.weights()
    rules = sharding.renamed(sharding.parameter_rules(cfg.model, sizes), names)
    cache, now = generator.init_cache(cfg, *SIZE, BATCH), generator.from_bytes(given(0))
    own = sharding.renamed(sharding.cache_rules(cfg, *SIZE, sizes), names)
    step = functools.partial(generator.generate_frame, cfg=cfg)
    picture, after = jax.jit(step, compiler_options=QUICK)(params, cache, now, jax.random.key(0))
    cut = jax.device_put(params, sharding.place(params, rules, mesh))
    where = sharding.place(cache, own, mesh)
    along = NamedSharding(mesh, P("batch"))
    args = (cut, jax.device_put(cache, where), jax.device_put(now, along), jax.random.key(0))
    with jax.set_mesh(mesh):
        try:
            jax.jit(step).lower(*args)
            bare = ""
        except Exception as error:
            bare = type(error).__name__
        wrapped = sharding.on_explicit_mesh(step, (along, where))
        out, later = jax.jit(wrapped, compiler_options=QUICK)(*args)
    spec = str(jax.typeof(out).sharding.spec[0])
    return {"bare": bare, "apart": apart((picture, after), (out, later)), "spec": spec}


def main(chosen):
    meshes = {name: sharding.make_mesh(MESHES[name]) for name in chosen}
    like = {name: sharding.placed(CFG, mesh, SIZE, TINY, BATCH) for name, mesh in meshes.items()}
    make = lambda name: sharding.compile_step(CFG, meshes[name], like[name], floats=True, options=QUICK)  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        steps = dict(zip(chosen, pool.map(make, chosen)))
    results, reference = {}, None
    for name, mesh in meshes.items():
        pictures, cache, donated = outcome(steps[name], like[name], mesh)
        reference = reference or (pictures, cache)
        found = sharding.traffic(steps[name].as_text(), mesh)
        results[name] = {
            "apart": apart(reference, (pictures, cache)),
            "donated": donated,
            "moves": float(np.abs(np.diff(pictures, axis=0)).mean()),
            "gathered": [
                line for tree, rules in rules_of(mesh) for line in gathered(found, tree, rules, mesh)
            ],
            "traffic": sharding.by_axis(found),
            "usual": sharding.by_axis(sharding.traffic(steps[name].as_text(), mesh, rare=False)),
            "predicted": predicted(mesh),
            "params_cut": len(sharding.parameter_rules(CFG.model, mesh)),
        }
    json.dump(
        {
            "devices": jax.device_count(),
            "meshes": results,
            "noticed": whole_parameters_are_noticed(sharding.make_mesh(MESHES["model"])),
            "foreign": on_a_foreign_mesh(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1:] or [*MESHES])
