"""Render clips of tumbling and falling YCB objects, with label maps and captions, to train on.

    pip install pybullet==3.2.7
    python scripts/render_ycb.py MESHES --out CLIPS --count 80 --workers 2
    python scripts/train.py examples DATA --clips CLIPS/*

MESHES holds a folder for each object with `textured.obj`, its texture, `collision.stl` and `meta.json` (mass_kg), as in
the YCB Object and Model Set (Calli et al. 2015, CC BY 4.0: name it where you show or ship what was learned from it).
Floors, light and cameras are drawn at random. pybullet's CPU renderer makes four 512x512 frames a second and core.
"""

import dataclasses
import json
import math
import multiprocessing
import sys
import tempfile
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from semjax._progress import progress
from semjax.errors import InputError

_SIDE = 256  # pixels of the pictures; rendered at twice that
_SUBSTEPS = 8  # of 1/240 s between two frames
_FLOOR = """mtllib floor.mtl
usemtl floor
v -2.2 -2.2 0
v 2.2 -2.2 0
v 2.2 2.2 0
v -2.2 2.2 0
vt 0 0
vt 4 0
vt 4 4
vt 0 4
f 1/1 2/2 3/3
f 1/1 3/3 4/4
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """meshes: folder of objects. count: clips. frames: of each. start: number of the first clip, its seed."""

    meshes: tyro.conf.Positional[Path]
    out: Path = Path("ycb_clips")
    count: int = 80
    frames: int = 24
    start: int = 0
    workers: int = 2


def render(meshes: Path, folder: Path, frames: int, seed: int) -> None:
    """One clip as frames/*.png, labels/*.png and caption.txt; a folder that has its caption is complete."""
    import pybullet as bullet

    if (folder / "caption.txt").exists():
        return
    rng = np.random.default_rng(seed)
    client = bullet.connect(bullet.DIRECT)
    bullet.setTimeStep(1 / 240)
    falling = bool(rng.random() < 0.5)
    names = sorted(path.parent.name for path in meshes.glob("*/textured.obj"))
    chosen = [str(n) for n in rng.choice(names, min(len(names), int(rng.integers(1, 6))), replace=False)]
    with tempfile.TemporaryDirectory() as scratch:
        add_floor(bullet, Path(scratch), rng)
        radius = 0.0 if len(chosen) == 1 else 0.13 if falling else 0.16
        bodies = [
            add_object(bullet, meshes / name, i, len(chosen), radius, falling, rng)
            for i, name in enumerate(chosen)
        ]
        for path in (folder / "frames", folder / "labels"):
            path.mkdir(parents=True, exist_ok=True)
        camera = Camera.draw(rng, len(chosen))
        for t in range(frames):
            picture, labels = look(bullet, bodies, camera, t, frames)
            Image.fromarray(picture).save(folder / "frames" / f"{t:04d}.png")
            Image.fromarray(labels).save(folder / "labels" / f"{t:04d}.png")
            for _ in range(_SUBSTEPS):
                bullet.stepSimulation()
    bullet.disconnect(client)
    words = " and ".join(name.split("_", 1)[-1].replace("_", " ") for name in chosen)
    (folder / "caption.txt").write_text(f"{words} {'falling' if falling else 'tumbling'} over a floor\n")


def add_floor(bullet, scratch: Path, rng) -> None:
    """A textured floor: noise of a few sizes between two colours, sometimes with tiles."""
    (scratch / "floor.obj").write_text(_FLOOR)
    (scratch / "floor.mtl").write_text("newmtl floor\nKd 1 1 1\nmap_Kd floor.png\n")
    field = np.zeros((256, 256), np.float32)
    for cells, weight in ((4, 0.3), (16, 0.3), (64, 0.25), (256, 0.15)):
        part = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        field += weight * rng.random() * np.asarray(part.resize((256, 256), Image.Resampling.BICUBIC))
    if rng.random() < 0.5:
        tile = int(rng.choice([16, 32, 64]))
        rows, columns = np.indices(field.shape) // tile
        field += rng.random() * 0.5 * ((rows + columns) % 2)
    dark, light = np.sort(rng.random((2, 3)), axis=0)
    # Most floors are greyish or brownish.
    dull = rng.random() ** 0.5
    dark, light = (side + dull * (side.mean() * np.array([1.08, 1.0, 0.92]) - side) for side in (dark, light))
    colour = dark + (light - dark) * np.clip(field, 0, 1)[..., None]
    Image.fromarray((colour * 255).astype(np.uint8)).save(scratch / "floor.png")
    shape = bullet.createVisualShape(
        bullet.GEOM_MESH, fileName=str(scratch / "floor.obj"), specularColor=[0] * 3
    )
    solid = bullet.createCollisionShape(
        bullet.GEOM_BOX, halfExtents=[2.2, 2.2, 0.01], collisionFramePosition=[0, 0, -0.01]
    )
    bullet.createMultiBody(0, solid, shape)


def add_object(bullet, folder: Path, number: int, count: int, radius: float, falling: bool, rng) -> int:
    """An object on its place of a circle, turning at random; the body's number."""
    mass = json.loads((folder / "meta.json").read_text())["mass_kg"]
    shape = bullet.createVisualShape(
        bullet.GEOM_MESH, fileName=str(folder / "textured.obj"), specularColor=[0] * 3
    )
    solid = -1
    if falling:
        solid = bullet.createCollisionShape(bullet.GEOM_MESH, fileName=str(folder / "collision.stl"))
    angle = 2 * math.pi * (number / count + 0.05 * rng.random())
    height = 0.22 + 0.12 * number if falling else 0.16 + 0.03 * rng.standard_normal()
    turn = rng.standard_normal(4)
    body = bullet.createMultiBody(
        mass,
        solid,
        shape,
        [radius * math.cos(angle), radius * math.sin(angle), height],
        list(turn / np.linalg.norm(turn)),
    )
    spin = rng.standard_normal(3)
    spin *= rng.uniform(2, 5) / np.linalg.norm(spin)
    bullet.resetBaseVelocity(body, [0, 0, 0], list(spin))
    if falling:
        bullet.setGravity(0, 0, -9.81)
        bullet.changeDynamics(body, -1, lateralFriction=0.7, restitution=0.15)
    else:
        bullet.changeDynamics(body, -1, linearDamping=0, angularDamping=0)
    return body


@dataclasses.dataclass(frozen=True)
class Camera:
    """metres and degrees; yaw and turn (over the clip) in radians. light: direction it comes from."""

    distance: float
    pitch: float
    yaw: float
    turn: float
    ambient: float
    light: tuple[float, float, float]

    @classmethod
    def draw(cls, rng, count: int) -> "Camera":
        """One at random, around the recipe of the YCB clips."""
        near = (0.45, 0.65) if count == 1 else (0.7, 1.0)
        light = (rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.8, 2))
        return cls(
            float(rng.uniform(*near)),
            float(rng.uniform(35, 60)),
            float(rng.uniform(0, 2 * math.pi)),
            float(rng.uniform(-0.8, 0.8)),
            float(rng.uniform(0.45, 0.65)),
            tuple(float(x) for x in light),
        )


def look(bullet, bodies: list[int], camera: Camera, t: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 [256, 256, 3] and label map uint8 [256, 256] of a moment."""
    yaw, pitch = camera.yaw + camera.turn * t / frames, math.radians(camera.pitch)
    flat = camera.distance * math.cos(pitch)
    eye = [flat * math.cos(yaw), flat * math.sin(yaw), camera.distance * math.sin(pitch) + 0.08]
    _, _, pixels, _, owners = bullet.getCameraImage(
        2 * _SIDE,
        2 * _SIDE,
        bullet.computeViewMatrix(eye, [0, 0, 0.08], [0, 0, 1]),
        bullet.computeProjectionMatrixFOV(45, 1, 0.05, 4),
        lightDirection=camera.light,
        shadow=1,
        lightAmbientCoeff=camera.ambient,
        lightDiffuseCoeff=0.5,
        lightSpecularCoeff=0,
        renderer=bullet.ER_TINY_RENDERER,
    )
    picture = np.asarray(pixels, np.float32).reshape(_SIDE, 2, _SIDE, 2, 4)[..., :3].mean((1, 3))
    table = np.zeros(max(bodies) + 2, np.uint8)
    table[bodies] = np.arange(1, len(bodies) + 1)
    owners = np.asarray(owners).reshape(2 * _SIDE, 2 * _SIDE)[::2, ::2]
    return np.rint(picture).astype(np.uint8), table[owners]  # -1, nothing, is the table's last entry


def main(args: Command) -> None:
    if not any(args.meshes.glob("*/textured.obj")):
        raise InputError(f"{args.meshes} holds no objects (NAME/textured.obj)")
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        numbers = range(args.start, args.start + args.count)
        jobs = [
            pool.apply_async(render, (args.meshes, args.out / f"ycb_{n:04d}", args.frames, n))
            for n in numbers
        ]
        for job in progress(jobs, len(jobs), "clips"):
            job.get()


if __name__ == "__main__":
    try:
        main(tyro.cli(Command, description=__doc__))
    except InputError as error:
        sys.exit(f"{error}")
