"""Procedural scenes: determinism, exact labels, motion that moves the labels, every family, captions."""

import dataclasses
import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from semjax import scenes
from semjax.errors import InputError
from semjax.scenes import families, geometry, look, noise, shapes, state

# Compiled once for all tests that render with the same settings.
render = jax.jit(scenes.render, static_argnames="cfg")
sample_scene = jax.jit(scenes.sample_scene, static_argnames="cfg")
ROOM = scenes.SceneConfig(frames=16, height=64, width=96, themes=("playroom",))


@pytest.fixture(scope="module")
def clip():
    return scenes.make_clip(3, ROOM)


def test_a_clip_has_the_promised_shapes_and_ranges(clip):
    t, h, w, n = ROOM.frames, ROOM.height, ROOM.width, ROOM.max_objects
    assert clip.frames.shape == (t, h, w, 3) and clip.frames.dtype == np.uint8
    assert clip.labels.shape == (t, h, w) and clip.labels.dtype == np.uint8
    assert clip.labels.max() <= n and (clip.labels > 0).any()
    assert clip.motion.centre.shape == (t, n, 2) and clip.motion.angle.shape == (t, n)
    # Not flat and not blown out: a picture uses a good part of the range.
    assert clip.frames.std() > 20 and 20 < clip.frames.mean() < 235


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(clip):
    again = scenes.make_clip(3, dataclasses.replace(ROOM))
    np.testing.assert_array_equal(again.frames, clip.frames)
    np.testing.assert_array_equal(again.labels, clip.labels)
    assert again.captions == clip.captions
    assert (scenes.make_clip(4, ROOM).frames != clip.frames).any()


def test_labels_and_frames_agree_with_one_frame_rendered_alone(clip):
    one_theme = dataclasses.replace(ROOM)
    frame = jax.jit(scenes.render_frame, static_argnames="cfg")(clip.scene, 7, one_theme)
    np.testing.assert_array_equal(np.asarray(frame.labels), clip.labels[7])
    difference = np.abs(np.round(np.asarray(frame.image) * 255) - clip.frames[7])
    assert difference.max() <= 1  # another compilation may round one level away


def test_no_label_without_an_object(clip):
    there = set(np.flatnonzero(clip.scene.things.family) + 1)
    assert set(np.unique(clip.labels)) - {0} <= there
    # Where an object is reported absent, none of its pixels is.
    for k in range(ROOM.max_objects):
        absent = ~clip.motion.present[:, k]
        assert not (clip.labels[absent] == k + 1).any()


PAIR = scenes.SceneConfig(frames=6, height=160, width=208, max_objects=2, themes=("playroom",))


def _stage(first, second, **tracks):
    """A room with two given families (0 for none) on given tracks [T, 2]; nothing else about it matters."""
    scene = sample_scene(jax.random.key(5), PAIR)
    family = jnp.array([families.NAMES.index(first), families.NAMES.index(second)])
    things = scene.things._replace(family=family, shape=scene.things.shape.at[:, 0].set(0.9))
    spread = {k: jnp.broadcast_to(jnp.asarray(v, jnp.float32), (PAIR.frames, 2)) for k, v in tracks.items()}
    return scene._replace(things=things, tracks=scene.tracks._replace(**spread))


@pytest.fixture(scope="module")
def mug():
    """A mug (it has a handle, so that turning and mirroring show) that moves, turns and is squashed."""
    t = jnp.arange(PAIR.frames, dtype=jnp.float32)[:, None]
    scene = _stage(
        "pottery", "nothing", x=-0.3 + 0.09 * t, y=1.6 - 0.05 * t, z=5.0, size=0.9, angle=0.17 * t,
        squash=1 - 0.02 * t,
    )  # fmt: skip
    _, labels, motion = jax.tree.map(np.asarray, render(scene, PAIR))
    return scene, PAIR, labels, motion, np.asarray(jax.jit(scenes.flow, static_argnames="cfg")(scene, PAIR))


def _iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_the_reported_similarity_carries_a_rigid_mask_from_frame_to_frame(mug):
    _, cfg, labels, motion, _ = mug
    rows, cols = np.mgrid[: cfg.height, : cfg.width]

    def own(t):
        """The object's own coordinates of every pixel at frame t, by the formula in `Motion`."""
        p = np.stack([cols + 0.5, rows + 0.5], -1) - motion.centre[t, 0]
        p = p / motion.scale[t, 0] * [1, -1]
        c, s = np.cos(motion.angle[t, 0]), np.sin(motion.angle[t, 0])
        return motion.flip[t, 0] * (c * p[..., 0] + s * p[..., 1]), c * p[..., 1] - s * p[..., 0]

    for t in range(cfg.frames - 1):
        # Look up, for every pixel of frame t + 1, the pixel of frame t with the same own coordinates.
        a, b = own(t + 1)
        a = a * motion.flip[t, 0]
        c, s = np.cos(motion.angle[t, 0]), np.sin(motion.angle[t, 0])
        p = np.stack([c * a - s * b, -(s * a + c * b)], -1) * motion.scale[t, 0] + motion.centre[t, 0]
        source = np.clip(np.floor(p).astype(int), 0, [cfg.width - 1, cfg.height - 1])
        carried = labels[t][source[..., 1], source[..., 0]] == 1
        assert _iou(carried, labels[t + 1] == 1) > 0.97
        # Standing still would be noticeably worse, so the test can fail.
        assert _iou(labels[t] == 1, labels[t + 1] == 1) < 0.95


def test_the_dense_flow_carries_the_mask_too_and_the_wall_moves_with_the_camera(mug):
    _, cfg, labels, _, flow = mug
    assert flow.shape == (cfg.frames, cfg.height, cfg.width, 2) and np.isfinite(flow).all()
    assert (flow[-1] == 0).all() or np.abs(flow[-1]).max() < 1e-3
    rows, cols = np.mgrid[: cfg.height, : cfg.width]
    for t in range(cfg.frames - 1):
        at = labels[t] == 1
        to = np.round(np.stack([cols, rows], -1) + flow[t]).astype(int)[at]
        inside = (to >= 0).all(-1) & (to < [cfg.width, cfg.height]).all(-1)
        landed = labels[t + 1][to[inside, 1], to[inside, 0]] == 1
        assert landed.mean() > 0.97
    # Background flow comes from the camera alone: smooth, and nothing like the object's.
    background = labels[0] == 0
    assert np.abs(flow[0][background]).max() < np.abs(flow[0][~background]).max()


def test_own_coordinates_and_back_is_the_identity_even_for_a_waving_fish(mug):
    scene = mug[0]
    fish = jnp.int32(families.NAMES.index("fish"))
    things = geometry.pick(scene.things, 0)._replace(family=fish, face=-1.0)
    one = geometry.pick(scene.tracks, (3, 0))._replace(wave=1.3)
    x, y = jnp.meshgrid(jnp.linspace(-1.5, 1.5, 9), jnp.linspace(0.5, 2.5, 9))
    back = geometry.from_own(*geometry.to_own(x, y, one, things), one, things)
    np.testing.assert_allclose(back[0], x, atol=2e-5)
    np.testing.assert_allclose(back[1], y, atol=2e-5)


def test_nearer_objects_hide_farther_ones():
    near, far = [4.0, 6.0], [6.0, 4.0]
    scene = _stage("ball", "ball", x=0, y=1.3, z=[near] * 3 + [far] * 3, size=0.5, angle=0, squash=1)
    _, labels, motion = jax.tree.map(np.asarray, render(scene, PAIR))
    for t, front in ((0, 1), (5, 2)):
        column, row = motion.centre[t, front - 1].astype(int)
        assert labels[t, row, column] == front
        assert (labels[t] == front).sum() > (labels[t] == 3 - front).sum()


@pytest.fixture(scope="module")
def portraits():
    """Every family drawn by itself on a small grid: {name: Look of NumPy arrays}."""
    x, y = jnp.meshgrid(jnp.linspace(-1.5, 1.5, 40), jnp.linspace(1.5, -1.5, 40))

    def draw(shape, phase):
        params = look.Params(jnp.full((4, 3), 0.4), shape, jnp.uint32(7), phase, 0.4, 0.5)
        return [f.draw(x, y, 3 / 40, params) for f in families.FAMILIES]

    draw = jax.jit(draw)
    shapes_ = jax.random.uniform(jax.random.key(1), (3, 8)).at[:, 0].set(jnp.array([0.1, 0.5, 0.9]))
    runs = [state.host(draw(s, 2.0 * k)) for k, s in enumerate(shapes_)]
    return {name: [run[k] for run in runs] for k, name in enumerate(families.NAMES)}


@pytest.mark.parametrize("name", families.NAMES[1:])
def test_every_family_draws_something_finite_inside_its_circle(portraits, name):
    for art in portraits[name]:
        assert all(np.isfinite(a).all() for a in art)
        inside = art.sdf < 0
        assert 0.03 < inside.mean() < 0.8
        assert not inside[0].any()  # nothing reaches the rim of the grid's upper side
        assert (art.rgb[inside] >= -1e-3).all() and (art.alpha[inside] > 0.3).all()


def test_there_are_many_families_and_each_can_occur():
    assert len(families.NAMES) - 1 >= 20
    occurs = (families.GROUND + families.AIR).sum(0) > 0
    assert occurs[1:].all() and not occurs[0]
    assert families.possible(("sky",)) == sorted(
        families.NAMES.index(n) for n in ("airship", "bird", "kite", "balloon")
    )


def test_scenes_can_be_vmapped():
    cfg = scenes.SceneConfig(frames=2, height=24, width=32, max_objects=2, themes=("reef",))
    keys = jax.random.split(jax.random.key(2), 2)
    batch = jax.jit(jax.vmap(lambda key: scenes.sample_scene(key, cfg)))(keys)
    frames, labels, motion = jax.jit(jax.vmap(lambda s: scenes.render(s, cfg)))(batch)
    assert frames.shape == (2, 2, 24, 32, 3) and labels.shape == (2, 2, 24, 32)
    assert motion.centre.shape == (2, 2, 2, 2)
    single, single_labels, _ = render(jax.tree.map(lambda a: a[1], batch), cfg)
    np.testing.assert_array_equal(np.asarray(labels[1]), np.asarray(single_labels))
    # Another compilation may round one level away.
    assert np.abs(np.asarray(frames[1], int) - np.asarray(single, int)).max() <= 1


def test_sampling_varies_themes_and_keeps_objects_in_view():
    cfg = scenes.SceneConfig(frames=25, height=90, width=160)
    many = jax.jit(jax.vmap(lambda k: (lambda s: (s, scenes.motion(s, cfg)))(scenes.sample_scene(k, cfg))))
    scene, motion = state.host(many(jax.random.split(jax.random.key(0), 200)))
    assert set(scene.theme) == set(range(len(scenes.THEMES)))
    counts = (scene.things.family > 0).sum(1)
    assert counts.min() >= 4 and counts.max() == cfg.max_objects
    # Every scene shows something all the time, and most objects can be seen at some time.
    centre, there = motion.centre, scene.things.family > 0
    seen = ((centre >= 0) & (centre < [cfg.width, cfg.height])).all(-1) & there[:, None]
    assert (seen.sum(2).min(1) >= 1).all()
    assert seen.any(1).sum() / there.sum() > 0.8
    # Some come, some go.
    arrive, depart = ~seen[:, 0] & seen[:, -1], seen[:, 0] & ~seen[:, -1]
    assert arrive.sum() > 10 and depart.sum() > 10


def test_captions_name_what_is_there(clip):
    whole, *segments = clip.captions
    assert (whole.first, whole.last) == (0, ROOM.frames - 1) and "playroom" in whole.text
    assert segments[0].first == 0 and segments[-1].last == ROOM.frames - 1
    assert all(a.last + 1 == b.first for a, b in itertools.pairwise(segments))
    words = scenes.nouns(clip.scene)
    kinds = {families.NAMES[f] for f in clip.scene.things.family if f}
    for k, noun in enumerate(words):
        visible = ((clip.labels == k + 1).sum((1, 2)) > 0.01 * clip.labels[0].size).any()
        if visible:
            assert noun.split(" with ")[0].split()[-1] in whole.text
    assert kinds and whole.text.endswith(".")


def test_captions_need_no_labels(clip):
    captions = scenes.describe(clip.scene, ROOM)
    assert len(captions) == len(clip.captions) and captions[0].text.endswith(".")


@pytest.mark.parametrize(
    "bad",
    [
        {"frames": 0}, {"height": 4}, {"width": 2.5}, {"max_objects": 300}, {"fps": 0}, {"themes": ()},
        {"themes": ("moon",)}, {"supersample": 0},
    ],
)  # fmt: skip
def test_bad_settings_are_refused_in_one_sentence(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        scenes.SceneConfig(**bad)


def test_bad_arguments_are_refused(clip):
    with pytest.raises(InputError, match="seed"):
        scenes.make_clip(1.5)
    with pytest.raises(InputError, match="SceneConfig"):
        scenes.sample_scene(jax.random.key(0), {"frames": 3})
    with pytest.raises(InputError, match="sampled with"):
        scenes.render_frame(clip.scene, 0, dataclasses.replace(ROOM, frames=5))


def test_noise_is_bounded_and_fades_below_the_pixel():
    x, y = jnp.meshgrid(jnp.linspace(-9, 9, 80), jnp.linspace(-9, 9, 80))
    fine, coarse = noise.fbm(x, y, 3, 0.0, octaves=5), noise.fbm(x, y, 3, 4.0, octaves=5)
    assert 0.1 < float(jnp.std(fine)) < 0.5 and float(jnp.abs(fine).max()) < 1.2
    assert float(jnp.std(coarse)) < 0.1 * float(jnp.std(fine))
    near, ident, second = noise.cells(x, y, 3)
    assert bool((near <= second).all()) and float(ident.min()) >= 0 and float(ident.max()) < 1


@hypothesis.given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.2, 1.5), st.floats(0.2, 1.5))
@hypothesis.settings(deadline=None, max_examples=40)
def test_distances_have_the_right_sign(x, y, a, b):
    hypothesis.assume(abs((x / a) ** 2 + (y / b) ** 2 - 1) > 1e-2)
    assert (float(shapes.ellipse(x, y, a, b)) < 0) == ((x / a) ** 2 + (y / b) ** 2 < 1)
    hypothesis.assume(abs(abs(x) - a) > 1e-2 and abs(abs(y) - b) > 1e-2)
    assert (float(shapes.box(x, y, a, b)) < 0) == (abs(x) < a and abs(y) < b)


@pytest.mark.slow
def test_supersampling_smooths_the_picture_and_leaves_the_labels():
    cfg = scenes.SceneConfig(frames=2, height=48, width=64, themes=("sky",))
    plain = scenes.make_clip(1, cfg)
    fine = scenes.make_clip(1, dataclasses.replace(cfg, supersample=2))
    np.testing.assert_array_equal(fine.labels, plain.labels)
    assert 0 < np.abs(fine.frames.astype(int) - plain.frames).mean() < 6


@pytest.mark.slow
@pytest.mark.parametrize("theme", scenes.THEMES)
def test_every_theme_makes_a_picture(theme):
    cfg = scenes.SceneConfig(frames=2, height=54, width=96, themes=(theme,))
    for seed in (0, 1):
        clip = scenes.make_clip(seed, cfg)
        assert clip.frames.std() > 12 and (clip.labels > 0).mean() > 0.01
