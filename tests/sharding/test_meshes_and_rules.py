"""Meshes and rules without devices: parsing, fitting, collisions, what cannot be cut, who lives where."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import generator, sharding
from semjax.errors import InputError
from semjax.sharding import MeshShape, Rule, meshes
from semjax.sharding.rules import resolve

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    "text, devices, fits",
    [
        ("", 8, (8, 1, 1)),
        ("data=-1,model=2,space=2", 8, (2, 2, 2)),
        ("model=2", 8, (4, 2, 1)),
        ("data=2, space=-1", 8, (2, 1, 4)),
        ("model=-1", 4, (1, 4, 1)),
        ("data=2,model=1,space=1", 8, (2, 1, 1)),
    ],
)
def test_mesh_shapes_are_read_and_fit(text, devices, fits):
    assert MeshShape.parse(text).fit(devices) == MeshShape(*fits)
    assert MeshShape.parse(str(MeshShape(*fits))) == MeshShape(*fits)


@pytest.mark.parametrize(
    "text", ["data", "data=x", "rows=2", "data=2,data=2", "data=0", "model=-2", "data=-1,model=-1"]
)
def test_senseless_mesh_shapes_are_refused(text):
    with pytest.raises(InputError, match="mesh"):
        MeshShape.parse(text)


def test_meshes_that_do_not_fit_say_so():
    with pytest.raises(InputError, match="8 devices do not split into groups of 3"):
        MeshShape(-1, 3, 1).fit(8)
    with pytest.raises(InputError, match="needs 16 devices; there are 8"):
        MeshShape(4, 2, 2).fit(8)


def test_a_mesh_has_auto_axes_and_takes_the_first_devices():
    mesh = sharding.make_mesh("data=1,model=1,space=1")
    assert mesh.axis_names == ("data", "model", "space") and mesh.size == 1
    assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


def test_processes_are_joined_when_told_or_on_a_cluster(monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **more: joined.append((args, more)))
    sharding.start()
    assert joined == []
    sharding.start("host:99", 4, 2, heartbeat=7)
    sharding.start(cluster=True)
    assert [args for args, _ in joined] == [("host:99", 4, 2), (None, None, None)]
    assert joined[0][1]["heartbeat_timeout_seconds"] == 7
    with pytest.raises(InputError, match="give all of coordinator"):
        sharding.start("host:99")
    with pytest.raises(InputError, match="process must be 0 to 1, not 2"):
        sharding.start("host:99", 2, 2)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not meshes.on_cluster()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    assert meshes.on_cluster()


TREE = {"a": {"kernel": jnp.zeros((6, 4)), "bias": jnp.zeros(4)}, "b": {"kernel": jnp.zeros((4, 6))}}
SIZES = {"data": 2, "model": 2, "space": 1}


def test_rules_place_leaves_by_path_and_leave_the_rest_whole():
    rules = (Rule(".*/kernel", ("model", None)), Rule("a/bias", ("model",)))
    found = {leaf.path: leaf.axes for leaf in resolve(TREE, rules, SIZES)}
    assert found == {"a/bias": ("model",), "a/kernel": ("model", None), "b/kernel": ("model", None)}
    assert resolve(TREE, (), SIZES)[0].axes == ()


@pytest.mark.parametrize(
    "rules, told",
    [
        (
            [Rule("a/kernel", ("model",)), Rule("a/.*el", (None, "model"))],
            "a/kernel is placed by more than one rule",
        ),
        ([Rule("c/.*", ("model",))], "'c/.*' matches nothing"),
        ([Rule("a/kern", ("model",))], "matches nothing"),  # the whole path has to match
        ([Rule("a/kernel", ("rows",))], "lacks: \\['rows'\\]"),
        ([Rule("a/bias", (None, "model"))], "has 1 dimensions"),
        (
            [Rule("b/kernel", (None, ("data", "model")))],
            "has 6 along dimension 1, which data\\+model cannot cut into 4",
        ),
    ],
)
def test_rules_that_do_not_fit_are_refused(rules, told):
    with pytest.raises(InputError, match=told):
        resolve(TREE, rules, SIZES)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(InputError) as caught:
        resolve(
            TREE, [Rule("c", ("model",)), Rule("b/kernel", (("data", "model"), ("space"), None, None))], SIZES
        )
    assert "matches nothing" in str(caught.value) and "its rule" in str(caught.value)


def test_a_rule_may_not_use_an_axis_twice_or_be_no_expression():
    with pytest.raises(InputError, match="twice"):
        Rule("a", ("model", "model"))
    with pytest.raises(InputError, match="no regular expression"):
        Rule("a(", ())


def test_explain_tells_who_lives_where():
    table = sharding.explain(TREE, (Rule("a/kernel", ("model",), "heads"),), SIZES).splitlines()
    row = next(line for line in table if line.startswith("a/kernel"))
    assert "6x4" in row and "model" in row and "(heads)" in row
    assert "no rule: on every device" in next(line for line in table if line.startswith("b/kernel"))
    whole, here = 4 * (24 + 4 + 24), 4 * (12 + 4 + 24)
    assert table[-1].startswith(f"{here / 1e6:.3f} MB") and f"{whole / 1e6:.3f} MB in all" in table[-1]
    assert "a/kernel" in sharding.explain(TREE, (Rule("a/kernel", ("model",)),))


def test_rules_for_other_names_of_axes():
    rules = (Rule("x", ("data", None, ("model", "space"))),)
    assert sharding.renamed(rules, {"data": "batch", "model": "tp"})[0].axes == ("batch", None, "tp")
    assert sharding.renamed(rules, {"model": "tp", "space": "rows"})[0].axes == (None, None, ("tp", "rows"))


@pytest.mark.parametrize("preset", ["minuscule", "tiny", "sd15", "sd21", "turbo"])
@pytest.mark.parametrize("ways", [1, 2, 4, 8])
def test_every_preset_has_rules_that_fit_for_every_number_of_devices(preset, ways):
    model = generator.preset(preset)
    shapes = generator.param_shapes(model)
    for space in (1, 2):
        mesh = {"data": 1, "model": ways, "space": space}
        leaves = resolve(shapes, sharding.parameter_rules(model, mesh), mesh)
        cut = [leaf.path for leaf in leaves if "model" in leaf.axes]
        assert bool(cut) == (ways > 1 and (preset != "minuscule" or ways <= 4 or space > 1 or bool(cut)))
        kernels = [path for path in cut if path.startswith("unet/") and "conv" in path]
        assert not (kernels and space > 1)  # XLA's partitioner gets these wrong
    heads = [leaf for leaf in leaves if leaf.path.endswith("attn1/to_q/kernel")]
    for leaf in heads:  # heads are shared out whole or not at all
        level = model.unet.block_out_channels.index(leaf.shape[1])
        count = model.unet.blocks("attention_head_dim")[level]
        assert ("model" in leaf.axes) <= (count % ways == 0)


def test_caches_are_cut_by_streams_and_by_rows_where_they_divide():
    cfg = generator.GeneratorConfig(generator.preset("minuscule"), window=3)
    cache = jax.eval_shape(lambda: generator.init_cache(cfg, 24, 32, 4))  # latents of 6 and 3 rows
    mesh = {"data": 2, "model": 1, "space": 2}
    found = {leaf.path: leaf.axes for leaf in resolve(cache, sharding.cache_rules(cfg, 24, 32, mesh), mesh)}
    assert found["keys/down_0_0"] == ("data", None, "space") and found["values/mid_0"] == ("data",)
    assert found["noise"] == ("data", "space") and found["frames"] == ("data",)
    without = generator.GeneratorConfig(cfg.model, temporal=False)
    bare = jax.eval_shape(lambda: generator.init_cache(without, 24, 32, 4))
    assert len(resolve(bare, sharding.cache_rules(without, 24, 32, mesh), mesh)) == 3


@pytest.fixture
def work():
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("sampling.work")
    sys.path.remove(str(SCRIPTS))


def test_timelines_fill_all_slots_and_are_as_long_as_they_must(work):
    rng = np.random.default_rng(0)
    found = [work.Job(str(i), Path(), Path(), int(n)) for i, n in enumerate(rng.integers(1, 30, 23))]
    plan = work.timeline(found, [2, 0, 1, 3])
    placed = [job for slot in plan.slots for job in slot]
    assert sorted(placed, key=lambda job: job.name) == sorted(found, key=lambda job: job.name)
    lengths = [sum(job.frames for job in slot) for slot in plan.slots]
    assert plan.steps == max(lengths) and max(lengths) - min(lengths) <= max(job.frames for job in found)
    assert work.timeline(found[:1], [2, 0, 1, 3]).slots == ((), (), (found[0],), ())


def test_few_streams_go_to_many_hosts(work):
    assert work.spread([0, 0, 1, 1], 1) == [0, 2, 1, 3]
    assert sorted(work.spread([0, 1, 1], 2)) == list(range(6))
    assert work.spread([0, 1], 2)[:2] == [0, 2]
