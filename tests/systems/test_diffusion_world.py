"""A diffusion generator as LGVSC's world model: segments of every length, their overlap, one compilation."""

import jax
import numpy as np
import pytest

import semjax as sj
from semjax import generator, world
from semjax import stream as sm
from semjax.systems import generators, lgvsc, sources, worlds
from semjax.types import Caption

HEIGHT, WIDTH = 16, 24


@pytest.fixture(scope="module")
def painter():
    """A minuscule generator whose adapters all do a little, on its own compiled step."""
    model, rng = generator.preset("minuscule"), np.random.default_rng(0)
    params = generator.init_params(jax.random.key(0), model)
    params = jax.tree.map(lambda x: x + 0.1 * rng.standard_normal(x.shape, np.float32), params)
    return generators.Diffusion("minuscule", generator.GeneratorConfig(model, steps=1, window=3), params)


def picture(seed):
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (4, 6, 3)), np.ones((4, 4, 1))).astype(np.uint8)


def lit(by):
    """The first picture of `segment` in another light: much the same scene, so that no cut is seen."""
    return np.clip(picture(0).astype(int) + by, 0, 255).astype(np.uint8)


def segment(first, frames, **more):
    settings = {"start": picture(0), "end": picture(1), "caption": "a wall", "score": 1.5, **more}
    return world.Segment(first, frames, HEIGHT, WIDTH, **settings)


def compiled(painter):
    return generators._frame_step(painter.cfg)._cache_size()


def test_segments_of_every_length_have_exactly_their_frames(painter):
    model, state, first = worlds.world_of(painter), None, 0
    assert isinstance(model, worlds.DiffusionWorld) and model.name == "minuscule"
    for frames in (*range(1, 20), 40):
        made = []
        for at in range(0, frames, 7):
            count = min(7, frames - at)
            part, state = model.step(segment(first, frames), at, count, state, jax.random.key(first + at))
            made.append(part)
        made = np.concatenate(made)
        assert made.shape == (frames, HEIGHT, WIDTH, 3) and made.dtype == np.uint8
        first += frames
    assert compiled(painter) == 1


def test_the_overlap_reaches_into_the_segment_before(painter):
    """What a segment looks like depends on the frames made before it, and no more so behind a cut."""
    model, key = worlds.world_of(painter), jax.random.key(7)

    def second(start, cut):
        one = segment(0, 4, start=lit(start), end=picture(0), cut=cut)
        _, state = model.step(one, 0, 4, None, jax.random.key(1))
        return model.step(segment(4, 5), 0, 5, state, key)[0]

    assert (second(-20, False) != second(20, False)).any()
    np.testing.assert_array_equal(second(-20, True), second(20, True))
    alone, _ = model.step(segment(4, 5), 0, 5, None, key)
    np.testing.assert_array_equal(second(20, True), alone)


def test_a_clip_may_be_entered_in_the_middle(painter):
    """Without a state the overlap is made from the frames that the segment names."""
    model, key = worlds.world_of(painter), jax.random.key(7)
    before = [np.stack([lit(by), lit(by // 2)]) for by in (-20, 20)]
    shown = [model.step(segment(9, 3, before=b), 0, 3, None, key)[0] for b in (None, *before)]
    assert all((a != b).any() for a, b in ((shown[0], shown[1]), (shown[1], shown[2])))
    assert compiled(painter) == 1


def test_words_and_motion_reach_the_generator(painter):
    model, key = worlds.world_of(painter), jax.random.key(7)
    one = model.step(segment(0, 3), 0, 3, None, key)[0]
    for other in ({"caption": "a river"}, {"score": 20.0}):
        assert (model.step(segment(0, 3, **other), 0, 3, None, key)[0] != one).any()
    assert worlds.prompt(segment(0, 3)) == "a wall motion score: 1.5."


@pytest.mark.parametrize("gap", [1, 2, 5, 16, 17])
def test_clips_cut_into_segments_of_any_length_keep_their_frames(painter, gap):
    frames = 2 * gap + 2
    clip = np.stack([np.roll(picture(5), t, 1) for t in range(frames)])
    cfg = lgvsc.SenderConfig(selection="skim", keyframes=3)
    source = sources.frames_from_array(clip, 24)
    stream = lgvsc.coder(source, lgvsc.understand(source, None, [Caption(0, frames - 1, "a wall")], cfg), cfg)
    stream = sm.unpack(sm.pack(stream(100_000)))
    found = [(s.first, s.frames) for s in lgvsc.segments(stream)]
    assert [first for first, _ in found] == list(np.cumsum([0, *(n for _, n in found)])[:-1])
    made = sj.decode(stream, painter, jax.random.key(3))
    assert made.shape == clip.shape
    np.testing.assert_array_equal(made, sj.decode(stream, painter, jax.random.key(3)))
    # Keyframes may be lost, all of them included.
    assert sj.decode(stream.without("keyframe"), painter).shape == clip.shape
    assert compiled(painter) == 1


def test_when_the_time_is_up_the_rest_is_interpolated(painter):
    """A receiver's policy of seconds holds inside segments as well."""
    from semjax.systems.policies import ReceiverPolicy
    from semjax.systems.showing import hurried

    late = worlds.world_of(hurried(painter, ReceiverPolicy(seconds=0), clock=lambda: 0.0))
    plain, _ = world.Interpolator().step(segment(0, 6), 0, 6, None, None)
    np.testing.assert_array_equal(late.step(segment(0, 6), 0, 6, None, jax.random.key(0))[0], plain)
    parts, state = [], None
    for at in (0, 4):
        part, state = late.step(segment(0, 6), at, min(4, 6 - at), state, jax.random.key(0))
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), plain)
