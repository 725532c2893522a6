"""The cost model without any compiling: arithmetic against XLA's count, scaling, rooflines, programs' texts."""

import dataclasses

import jax
import numpy as np
import pytest

from semjax import generator, sharding
from semjax.errors import NotAvailableError
from semjax.sharding import DEVICES, cost
from semjax.sharding.collectives import _axes, _groups, traffic
from semjax.sharding.step import blank_conditions

SIZE, TINY = (256, 256), (16, 16)
CEILING = {"efficiency": 1.0, "streaming": 1.0, "latency": 0.0}
ALONE = {"data": 1, "model": 1, "space": 1}


@pytest.fixture(scope="module")
def cfg():
    return generator.GeneratorConfig(generator.preset("tiny"), steps=1, temporal=False)


@pytest.fixture(scope="module")
def done(cfg):
    return cost.work(cfg, SIZE, TINY)


def test_arithmetic_is_what_xla_counts(cfg, done):
    """One step and no keyframe, since XLA counts loops once and all branches."""
    params = generator.param_shapes(cfg.model)
    cache = jax.eval_shape(lambda: generator.init_cache(cfg, *SIZE))
    given = jax.eval_shape(lambda: blank_conditions(cfg.model, SIZE, TINY, 1))

    def frame(params, cache, given, key):
        return generator.generate_frame(params, cache, generator.from_bytes(given), key, cfg=cfg)

    counted = jax.jit(frame).lower(params, cache, given, jax.random.key(0)).cost_analysis()["flops"]
    # Theirs leaves out what convolutions do in the padding, and counts what lies between products.
    assert done.flops == pytest.approx(counted, rel=0.05)


def test_steps_and_streams_cost_what_they_should(cfg, done):
    two = cost.work(dataclasses.replace(cfg, steps=2), SIZE, TINY)
    three = cost.work(dataclasses.replace(cfg, steps=3), SIZE, TINY)
    assert three.flops - two.flops == pytest.approx(two.flops - done.flops)
    assert two.flops < 2 * done.flops  # queries, control and text are made once a frame
    assert done.of(4).flops == pytest.approx(4 * done.flops)
    weights = sum(p.weights * p.times for p in done.products)
    assert weights < sum(p.weights * p.times for p in done.of(4).products) * 1.0001
    assert done.parameters == 4 * generator.count(generator.param_shapes(cfg.model))


def test_predictions_keep_to_the_roofline(cfg, done):
    settings = {"size": SIZE, "tiny": TINY}
    for device in DEVICES.values():
        ceiling = cost.predict(cfg, device, ALONE, **settings, **CEILING)
        weights = sum(p.weights * p.times for p in done.products)
        assert ceiling.step >= max(done.flops / device.tflops / 1e12, weights / device.bandwidth / 1e9)
        assert ceiling.send == 0 and ceiling.step < cost.predict(cfg, device, ALONE, **settings).step
        eight = cost.predict(cfg, device, ALONE, **settings, batch=8)
        assert ceiling.step < eight.step < 8 * cost.predict(cfg, device, ALONE, **settings).step
        rows = cost.predict(cfg, device, {**ALONE, "space": 4}, **settings)
        assert rows.send > 0 and rows.compute < cost.predict(cfg, device, ALONE, **settings).compute


def test_viewers_are_as_many_as_keep_up(cfg):
    device, settings = DEVICES["v5e"], {"size": SIZE, "tiny": TINY}
    served, found = cost.viewers(cfg, device, ALONE, 25.0, **settings)
    assert found.step <= 1 / 25 and served == found.streams
    more = cost.predict(cfg, device, ALONE, batch=served + max(2, served // 8), **settings)
    assert more.step > 1 / 25
    assert cost.viewers(cfg, device, ALONE, 1e6, **settings) == (0, None)
    groups = cost.viewers(cfg, device, {**ALONE, "data": 3}, 25.0, **settings)[0]
    assert groups == 3 * served
    small = dataclasses.replace(device, memory=0.001)
    assert cost.viewers(cfg, small, ALONE, 25.0, **settings) == (0, None)


def test_every_device_says_where_its_numbers_stand():
    for name, device in DEVICES.items():
        assert device.name == name and device.source.startswith("https://")
        assert 100 < device.tflops < 10_000 and 500 < device.bandwidth < 10_000 and 0 < device.ring <= 1


PROGRAM = """HloModule jit_f
%body (p: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %ar = f32[4,8]{1,0} all-reduce(%x), channel_id=1, replica_groups=[4,2]<=[8], to_apply=%add
}
%rare (p: f32[8]) -> f32[8] {
  %ag = f32[8]{0} all-gather(%p), channel_id=2, replica_groups={{0,4},{1,5},{2,6},{3,7}}, dimensions={0}
}
%usual (p: f32[8]) -> f32[8] {
  ROOT %q = f32[8]{0} copy(%p)
}
ENTRY %main (a: f32[4,8]) -> f32[4,8] {
  %w = (s32[], f32[4,8]) while(%t), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %k = f32[8]{0} conditional(%i, %a, %b), branch_computations={%usual, %rare}
  %cp = bf16[2,6]{1,0} collective-permute(%y), channel_id=3, source_target_pairs={{0,2},{1,3},{4,6},{5,7}}
  ROOT %r = f32[4,8]{1,0} get-tuple-element(%w), index=1
}
"""


class Mesh:
    """As much of a mesh as reading a program takes: 2 x 2 x 2 numbered devices."""

    axis_names, size = ("data", "model", "space"), 8
    devices = np.array([type("Device", (), {"id": i})() for i in range(8)], object).reshape(2, 2, 2)


def test_programs_are_read_with_loops_branches_and_groups():
    found = {item.kind: item for item in traffic(PROGRAM, Mesh())}
    reduced, gathered, permuted = (found[k] for k in ("all-reduce", "all-gather", "collective-permute"))
    assert (reduced.axes, reduced.count, reduced.bytes) == ("space", 3, 3 * 4 * 8 * 4)  # 2 (n - 1) / n of it
    assert (gathered.axes, gathered.count, gathered.bytes) == ("data", 1, 16)
    assert (permuted.axes, permuted.count, permuted.bytes) == ("model", 1, 24)
    assert {item.kind for item in traffic(PROGRAM, Mesh(), rare=False)} == {
        "all-reduce",
        "collective-permute",
    }
    assert sharding.by_axis(list(found.values()))["space"] == {"count": 3, "bytes": 384}


def test_groups_in_all_their_spellings():
    assert _groups("replica_groups=[2,4]<=[4,2]T(1,0)", 8) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert _groups("replica_groups={{0,1},{2,3}}", 4) == [[0, 1], [2, 3]]
    assert _groups("no groups: all", 3) == [[0, 1, 2]]
    mesh = "replica_groups=mesh['a'=4,'b'=2,'c'=1] "
    assert _groups(mesh + "{'b'}", 8) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert _groups(mesh + "{'a'}", 8) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert _groups(mesh + "{'a':(2)2}", 8) == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert _groups(mesh + "{'a','b'}", 8) == [list(range(8))]
    turned = "replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) "
    assert _groups(turned + "{'b'}", 4) == [[0, 2], [1, 3]]
    assert _groups("replica_groups=mesh['a'=2,'b'=2], device_ids=(3,1,2,0) {'b'}", 4) == [[3, 1], [2, 0]]
    with pytest.raises(NotAvailableError, match="not known yet"):
        _groups("replica_groups=@@", 8)
    grid = [tuple(map(int, np.unravel_index(i, (2, 2, 2)))) for i in range(8)]
    assert _axes([[0, 3], [4, 7]], grid, Mesh.axis_names) == "model+space"
