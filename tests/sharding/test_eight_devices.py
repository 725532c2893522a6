"""On eight virtual devices: sharded equals single, nothing that is cut is ever gathered whole, caches are donated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CUT = ("data", "model", "space", "data+model", "data+space", "model+space", "data+model+space")


@pytest.fixture(scope="module")
def found():
    """What eight_devices.py found; its checks share one process, since compiling is what takes the time."""
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, HERE / "eight_devices.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_there_are_eight_devices_and_the_streams_move(found):
    assert found["devices"] == 8
    assert all(result["moves"] > 0.01 for result in found["meshes"].values())


@pytest.mark.parametrize("mesh", CUT)
def test_sharded_equals_single(found, mesh):
    assert found["meshes"][mesh]["apart"] < 1e-5


@pytest.mark.parametrize("mesh", CUT)
def test_nothing_that_is_cut_is_gathered_whole(found, mesh):
    assert found["meshes"][mesh]["gathered"] == []
    assert ("model" in mesh) == (found["meshes"][mesh]["params_cut"] > 0)


def test_gathering_whole_parameters_would_be_noticed(found):
    assert found["noticed"] > 0


@pytest.mark.parametrize("mesh", CUT)
def test_traffic_goes_along_the_axes_that_there_are(found, mesh):
    traffic = found["meshes"][mesh]["traffic"]
    axes = mesh.split("+")
    assert {axis for names in traffic for axis in names.split("+") if axis} <= set(axes)
    for axis in axes:
        assert any(axis in names.split("+") for names in traffic)


def test_only_one_bit_a_frame_crosses_the_axis_of_streams(found):
    assert found["meshes"]["data"]["traffic"]["data"] == {"count": 1, "bytes": 2}
    assert found["meshes"]["one"]["traffic"] == {}


@pytest.mark.parametrize("mesh, axis", [("model", "model"), ("space", "space"), ("data+space", "space")])
def test_the_cost_model_knows_what_is_sent(found, mesh, axis):
    counted, (often, received) = (
        found["meshes"][mesh]["usual"][axis],
        found["meshes"][mesh]["predicted"][axis],
    )
    # Pictures are floats here, and bytes in the model.
    assert received == pytest.approx(counted["bytes"], rel=0.15)
    assert often == pytest.approx(counted["count"], rel=0.15)


def test_caches_are_given_away(found):
    assert all(result["donated"] for result in found["meshes"].values())


def test_a_callers_explicit_mesh(found):
    foreign = found["foreign"]
    assert foreign["bare"] == "ShardingTypeError"
    assert foreign["apart"] < 1e-5 and foreign["spec"] == "batch"
