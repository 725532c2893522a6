"""Training at a minuscule size: examples through the real coders, stages, and a run that is killed."""

import json
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from semjax import generator, metrics
from semjax.errors import InputError
from semjax.training import ablation
from semjax.training import examples as ex
from semjax.training.data import DataConfig, Examples
from semjax.training.loop import LoopConfig, run_stage
from semjax.training.losses import (
    activity_loss,
    clip_loss,
    matching_loss,
    picture_loss,
    structure_loss,
)
from semjax.training.recipes import RECIPES, recipe
from semjax.training.stages import StageConfig
from semjax.training.state import OptimConfig, load_parts, save_parts

MODEL = generator.preset("minuscule")
# Compiling takes longer than training here.
QUICK = LoopConfig(save_every=2, log_every=1, compiler=(("xla_backend_optimization_level", 0),))
OPTIM = OptimConfig(steps=4, warmup=1, rate=1e-3)
SMALL = ex.ExampleConfig(side=32, frames=4, codings=1, bitrate=(12_000.0, 24_000.0), found=0.0, keyframes=1.0)


def moving_disc(count, side):
    y, x = np.mgrid[:side, :side]
    labels = np.stack([((x - 8 - 2 * t) ** 2 + (y - side / 2) ** 2 < 40) for t in range(count)]).astype(
        np.uint8
    )
    ground = np.stack([4 * x, 3 * y, 128 + 0 * x], -1)
    return np.where(labels[..., None], (200, 60, 40), ground).astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six examples of a disc that moves, coded at random rates."""
    path = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    for i in range(6):
        ex.write_example(path, f"disc-{i}", ex.degrade(*moving_disc(4, 32), "a red disc", rng, SMALL))
    return path


def test_examples_are_what_a_receiver_gets(folder):
    example = ex.read_example(sorted(folder.glob("*.npz"))[0])
    frames, labels = moving_disc(4, 32)
    np.testing.assert_array_equal(example.frames, frames)
    assert example.painted.shape == frames.shape and example.tiny.shape[2] <= 32
    assert 0 <= example.keyframe < 4 and example.caption == "a red disc"
    assert (example.labels == labels).mean() > 0.9
    error = example.painted.astype(float) - frames
    assert 0 < np.mean(error**2) < 2000, "coded, and recognisable"


def test_examples_from_a_clip_folder(tmp_path):
    from PIL import Image

    from semjax import video

    frames, labels = moving_disc(6, 48)
    (tmp_path / "disc/frames").mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame[:40]).save(tmp_path / f"disc/frames/{i:03d}.png")
    video.write_labels(tmp_path / "disc/labels", labels[:, :40])
    (tmp_path / "disc/caption.txt").write_text("a disc\n")
    ex.write_examples(tmp_path / "out", 2, 5, SMALL, tmp_path / "disc")
    files = sorted((tmp_path / "out").glob("*.npz"))
    first = ex.read_example(files[0])
    assert len(files) == 2 and first.frames.shape == (4, 32, 32, 3) and first.caption == "a disc"
    assert set(np.unique(first.labels)) == {0, 1}
    red = first.frames[..., 0] > 180
    assert (red == (first.labels == 1)).mean() > 0.9, "maps and frames are cut alike"
    before = [f.stat().st_mtime_ns for f in files]
    ex.write_examples(tmp_path / "out", 2, 5, SMALL, tmp_path / "disc")
    assert [f.stat().st_mtime_ns for f in files] == before, "what is there is kept"
    with pytest.raises(InputError, match="has 6 frames"):
        next(ex.folder_examples(tmp_path / "disc", 0, ex.ExampleConfig(frames=9)))


def test_batches_depend_on_seed_and_step_alone(folder):
    cfg = DataConfig(batch=3, frames=2, crop=16)
    a, b = (Examples(folder, cfg, MODEL, 7) for _ in range(2))
    ahead = list(a.ahead(2, 5))
    for step, batch in zip((2, 3, 4), ahead):
        jax.tree.map(np.testing.assert_array_equal, batch, b.batch(step))
    assert ahead[0].frames.shape == (3, 2, 16, 16, 3)
    assert not np.array_equal(ahead[0].frames, ahead[1].frames)
    with pytest.raises(InputError, match="too few"):
        Examples(folder, DataConfig(frames=9, crop=16), MODEL, 0).batch(0)
    with pytest.raises(InputError, match="no examples"):
        Examples(folder / "none", cfg, MODEL, 0)


@pytest.fixture(scope="module")
def start():
    return generator.init_params(jax.random.key(0), MODEL)


def run(params, folder, out, stage, *, steps=4, loop=QUICK, **data):
    cfg = StageConfig(stage, MODEL, joint=True, window=2)
    shape = DataConfig(**{"batch": 2, "crop": 16} | data)
    return run_stage(params, folder, out, stage=cfg, data=shape, optim=OPTIM, loop=loop)


def leaves(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_a_killed_run_goes_on_to_the_same_state(folder, start, tmp_path, monkeypatch):
    whole = run(start, folder, tmp_path / "whole", "adapters")

    class Killed(BaseException):
        pass

    # The kill comes in the middle of step 4, after the checkpoint of step 2 and a step that was not saved.
    batch = Examples.batch

    def dies(self, step):
        if step == 3:
            raise Killed
        return batch(self, step)

    monkeypatch.setattr(Examples, "batch", dies)
    with pytest.raises(Killed):
        run(start, folder, tmp_path / "killed", "adapters")
    monkeypatch.setattr(Examples, "batch", batch)
    resumed = run(start, folder, tmp_path / "killed", "adapters")
    for name, value in leaves(whole).items():
        np.testing.assert_array_equal(leaves(resumed)[name], value, err_msg=name)
    lines = [json.loads(x) for x in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in lines] == [1, 2, 3, 4] and all(np.isfinite(x["loss"]) for x in lines)
    assert lines[0]["clips_per_second"] > 0
    with pytest.raises(InputError, match="of another run"):
        other = StageConfig("backbone", MODEL)
        run_stage(
            start, folder, tmp_path / "whole", stage=other, data=DataConfig(2, 1, 16), optim=OPTIM, loop=QUICK
        )


def changed(before, after):
    before, after = leaves(before), leaves(after)
    return {name.split("'")[1] for name in before if not np.array_equal(before[name], after[name])}


@pytest.mark.slow
def test_every_stage_trains_what_it_says(folder, start, tmp_path):
    params = run(start, folder, tmp_path / "b", "backbone")
    assert changed(start, params) == {"unet", "text"}
    params = run(params, folder, tmp_path / "a", "adapters")
    taught = run(params, folder, tmp_path / "t", "temporal-teacher", frames=3)
    assert changed(params, taught) == {"temporal"} and "teacher" in taught
    jax.tree.map(np.testing.assert_array_equal, taught["teacher"], taught["temporal"])
    student = run(taught, folder, tmp_path / "d", "distill", frames=3)
    assert changed(taught, student) == {"temporal"}, "all else stays frozen"
    jax.tree.map(np.testing.assert_array_equal, taught["teacher"], student["teacher"])
    lines = [json.loads(x) for x in (tmp_path / "d/log.jsonl").read_text().splitlines()]
    assert all(np.isfinite([x["loss"], x["critic"], x["matching"], x["pixels"]]).all() for x in lines)


@pytest.mark.slow
def test_training_learns(folder, start, tmp_path):
    """On six examples the loss falls well below that of the painted pictures, where an anchored model begins."""
    loop = LoopConfig(save_every=0, log_every=1, compiler=QUICK.compiler)
    cfg = StageConfig("adapters", MODEL, joint=True)
    optim = OptimConfig(rate=3e-3, steps=300, warmup=10)
    data = DataConfig(4, 1, 32, drop=(0.0, 0.0, 0.0))  # a withheld picture is a loss of its own kind
    run_stage(start, folder, tmp_path, stage=cfg, data=data, optim=optim, loop=loop)
    losses = [json.loads(x)["loss"] for x in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-30:]) < 0.7 * np.mean(losses[:10])


def test_distribution_matching_points_from_the_critic_to_the_teacher():
    made = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 1))
    critic, teacher = made + 0.5, made - 0.25
    gradient = jax.grad(matching_loss)(made, critic, teacher)
    assert (np.asarray(gradient) > 0).all(), "descending moves the clip down, to the teacher"
    np.testing.assert_array_equal(jax.grad(matching_loss)(made, critic, critic), 0 * gradient)
    same = picture_loss(made[:, 0], made[:, 0])
    assert float(same) < float(picture_loss(made[:, 0], made[:, 0] + 0.1))


def test_structure_is_what_brightness_leaves_alone():
    y, x = np.mgrid[:16, :20]
    wave = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)[None].astype(np.float32) / 2
    assert float(structure_loss(wave, wave + 0.2)) < 1e-6
    assert 0.9 < float(structure_loss(wave, 0 * wave)) < 1 < float(structure_loss(wave, -wave)) <= 2
    assert 0 < float(structure_loss(wave, 0.5 * wave)) < 0.3
    assert float(structure_loss(wave[:, :7], -wave[:, :7])) == 0, "no square of 8 pixels"
    cell, other = wave[0, :8, :8, 0], wave[0, :8, :8, 1]
    a, b = cell - cell.mean(), other - other.mean()
    steady = 0.06**2
    want = 1 - (2 * np.mean(a * b) + steady) / (np.mean(a**2) + np.mean(b**2) + steady)
    got = structure_loss(*(np.repeat(c[None, ..., None], 3, -1) for c in (cell, other)))
    assert float(got) == pytest.approx(want, rel=1e-4)


def test_activity_asks_for_steps_of_the_right_size_whatever_their_sign():
    rng = np.random.default_rng(3)
    noise = np.repeat(rng.uniform(-1, 1, (2, 16, 16, 1)).repeat(2, 1).repeat(2, 2), 3, -1).astype(np.float32)
    assert float(activity_loss(noise, noise)) == 0
    assert float(activity_loss(noise, 0.3 - noise)) < 1e-6 < float(activity_loss(noise, 0.9 * noise))
    assert 0.8 < float(activity_loss(noise, 0 * noise)) <= 1
    assert float(activity_loss(noise[:, :15], 0 * noise[:, :15])) == 0, "fewer than 16 rows"

    # Against HaarPSI: a single edge, blurred by more and more, is as unlike in the same order.
    edge = np.zeros((3, 64, 64, 3), np.float32)
    for i, ramp in enumerate((1, 6, 12)):
        edge[i] = np.clip((np.arange(64) - 31.5) / ramp, -0.5, 0.5)[None, :, None]
    losses = [float(activity_loss(edge[i : i + 1], edge[:1])) for i in (1, 2)]
    as_bytes = np.uint8(np.round(edge * 127.5 + 127.5))
    scores = [float(metrics.haarpsi(as_bytes[i : i + 1], as_bytes[:1])) for i in (1, 2)]
    assert 0.01 < losses[0] < losses[1] and scores[0] > scores[1]


def test_errors_that_change_from_picture_to_picture_count_for_more():
    rng = np.random.default_rng(4)
    clip = rng.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    steady, unsteady = clip + 0.1, clip + 0.1 * np.array([1, -1, 1, -1], np.float32)[:, None, None, None]
    assert np.isclose(float(clip_loss(steady, clip, 4)), float(picture_loss(steady, clip)) + 1e-3, atol=1e-5)
    more = float(clip_loss(unsteady, clip, 4)) - float(picture_loss(unsteady, clip))
    assert np.isclose(more, 0.2, atol=1e-3)
    assert np.isclose(
        float(clip_loss(unsteady, clip, 2)) - float(clip_loss(unsteady, clip, 1)), 0.2, atol=1e-3
    )
    assert float(clip_loss(clip, clip, 1)) == float(picture_loss(clip, clip))


def test_parts_come_back(start, tmp_path):
    save_parts(tmp_path / "p.safetensors", start["control"])
    jax.tree.map(np.testing.assert_array_equal, load_parts(tmp_path / "p.safetensors"), start["control"])


def test_a_run_that_starts_from_weights_carries_their_history(start, tmp_path):
    told = json.dumps({"stage": "adapters", "steps": 7}) + "\n"
    file = generator.save(tmp_path / "weights", start, MODEL, history=told)
    train = runpy.run_path(str(Path(__file__).parents[2] / "scripts/train.py"))
    args = train["RunCommand"](tmp_path, out=tmp_path, start=file)
    train["inherit"](args)
    (tmp_path / "history.jsonl").open("a").write("more\n")
    train["inherit"](args)
    assert (tmp_path / "history.jsonl").read_text() == told + "more\n"


def test_recipes_name_their_stages_and_bad_ones_are_refused():
    for name in RECIPES:
        stages = [r.stage.stage for r in recipe(name)]
        assert stages[-1] == "distill" and "adapters" in stages
    with pytest.raises(InputError, match="no recipe"):
        recipe("huge")
    with pytest.raises(InputError, match="no autoencoder"):
        StageConfig("vae", MODEL)
    with pytest.raises(InputError, match="no stage"):
        StageConfig("all", MODEL)


@pytest.mark.slow
def test_an_ablation_has_a_line_for_every_variant(folder, start, tmp_path, monkeypatch):
    """And an untrained generator, whatever is switched off, paints what `none` does but for rounding."""
    monkeypatch.setattr(
        ablation, "VARIANTS", {"as it is run": {}, "1 step": {"steps": 1}, "2 steps": {"steps": 2}}
    )
    monkeypatch.setattr(ablation, "is_held_back", lambda file: file.name < "disc-2")
    cfg = generator.GeneratorConfig(MODEL, consistency=0.0)
    table = ablation.ablation({**start, "teacher": start["temporal"]}, cfg, folder, source="disc")
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in table.splitlines()[2:]}
    assert list(rows) == ["the clips themselves", "none", "as it is run", "1 step", "teacher"]
    psnr = {name: float(cells[0]) for name, cells in rows.items() if cells[0].strip()}
    assert len(psnr) == 4 and all(value == pytest.approx(psnr["none"], abs=0.1) for value in psnr.values())
    with pytest.raises(InputError, match="held back"):
        ablation.ablation(start, cfg, folder, source="scene")
