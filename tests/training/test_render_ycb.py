"""The script that renders clips of scanned objects, on a coloured cube."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pybullet", reason="no wheel for this Python")
SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts/render_ycb.py"))
CORNERS = [(x, y, z) for x in (-0.05, 0.05) for y in (-0.05, 0.05) for z in (-0.05, 0.05)]
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    """A folder with one object: a red cube of 10 cm."""
    folder = tmp_path_factory.mktemp("meshes") / "001_red_cube"
    folder.mkdir()
    triangles = [t for a, b, c, d in SIDES for t in ((a, b, c), (a, c, d))]
    lines = ["mtllib textured.mtl", "usemtl cube", "vt 0.5 0.5"]
    lines += [f"v {x} {y} {z}" for x, y, z in CORNERS]
    lines += ["f " + " ".join(f"{i + 1}/1" for i in t) for t in triangles]
    (folder / "textured.obj").write_text("\n".join(lines) + "\n")
    (folder / "textured.mtl").write_text("newmtl cube\nKd 1 1 1\nmap_Kd texture_map.png\n")
    Image.new("RGB", (8, 8), (220, 20, 20)).save(folder / "texture_map.png")
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")])
    facets = np.zeros(len(triangles), record)
    facets["corners"] = [[CORNERS[i] for i in t] for t in triangles]
    size = np.uint32(len(triangles)).tobytes()
    (folder / "collision.stl").write_bytes(bytes(80) + size + facets.tobytes())
    (folder / "meta.json").write_text(json.dumps({"mass_kg": 0.4}))
    return folder.parent


def test_a_clip_has_pictures_and_maps_that_agree(meshes, tmp_path):
    SCRIPT["render"](meshes, tmp_path / "clip", 3, 5)
    pictures, maps = (
        np.stack([np.asarray(Image.open(f)) for f in sorted((tmp_path / "clip" / part).glob("*.png"))])
        for part in ("frames", "labels")
    )
    assert pictures.shape == (3, 256, 256, 3) and maps.shape == (3, 256, 256)
    assert set(np.unique(maps)) == {0, 1} and 0.005 < maps.mean() < 0.5
    inside = pictures[maps == 1].astype(float)
    assert (inside[:, 0] > 2 * inside[:, 1]).mean() > 0.95, "the cube is red where its label is"
    assert (tmp_path / "clip/caption.txt").read_text().startswith("red cube")
    assert not np.array_equal(maps[0], maps[2]), "it moves"
    before = (tmp_path / "clip/frames/0000.png").stat().st_mtime_ns
    SCRIPT["render"](meshes, tmp_path / "clip", 3, 5)
    assert (tmp_path / "clip/frames/0000.png").stat().st_mtime_ns == before, "what is there is kept"


def test_the_same_seed_is_the_same_clip(meshes, tmp_path):
    for name in ("a", "b"):
        SCRIPT["render"](meshes, tmp_path / name, 1, 7)
    SCRIPT["render"](meshes, tmp_path / "c", 1, 8)
    a, b, c = (Image.open(tmp_path / n / "frames/0000.png").tobytes() for n in "abc")
    assert a == b != c


def test_a_folder_without_objects_is_refused(tmp_path):
    from semjax.errors import InputError

    with pytest.raises(InputError, match="holds no objects"):
        SCRIPT["main"](SCRIPT["Command"](tmp_path))
