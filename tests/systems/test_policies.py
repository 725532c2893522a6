import dataclasses
import json

import jax
import numpy as np
import pytest

import semjax as sj
from semjax import stream as sm
from semjax.errors import InputError
from semjax.systems import mirage, policies, records, showing, sources
from semjax.systems.generators import Diffusion, Painter, Received
from semjax.systems.painters import nothing_known
from semjax.systems.policies import NetworkPolicy, ReceiverPolicy, SenderPolicy
from semjax.systems.redaction import FLAT, let_out, redact
from semjax.types import LAYERS, Caption, FrameStatus


def seen(disc, policy, captions=None):
    """What a policy leaves of the disc: frames, label maps, captions."""
    frames = sources.frames_from_array(disc[0], 12)
    maps = sources.labels_from_array(disc[1], frames.info)
    frames, maps, words = redact(frames, maps, captions, policy)
    return (*(np.concatenate(list(s.read(5))) for s in (frames, maps)), words)


def test_a_silhouette_has_one_colour_and_keeps_its_outline(disc):
    frames, maps, words = seen(disc, SenderPolicy(silhouettes=(1,)), [Caption(0, 11, "a red ball")])
    inside = disc[1] == 1
    assert (frames[inside] == FLAT).all() and words is None
    np.testing.assert_array_equal(maps, disc[1])
    far = ~inside & (np.abs(frames.astype(int) - disc[0]).max(-1) == 0)
    assert far.mean() > 0.5


def test_nothing_of_a_withheld_thing_depends_on_it(disc):
    """Two discs of different colours: what may leave is the same, pixel for pixel, and so are the streams."""
    other = disc[0].copy()
    other[disc[1] == 1] = [10, 200, 30]
    for policy in (SenderPolicy(withheld=(1,)), SenderPolicy(silhouettes=(1,))):
        pairs = zip(seen(disc, policy)[:2], seen((other, disc[1]), policy)[:2])
        for one, two in pairs:
            np.testing.assert_array_equal(one, two)
    assert not seen(disc, SenderPolicy(withheld=(1,)))[1].any()


def test_boxes_and_detail(disc):
    frames, maps, _ = seen(disc, SenderPolicy(boxes=((0.25, 0.25, 0.75, 0.75),)))
    assert (frames[:, 12:36, 16:48] == FLAT).all() and not maps[:, 12:36, 16:48].any()
    np.testing.assert_array_equal(frames[:, :12], disc[0][:, :12])
    blurred, _, _ = seen(disc, SenderPolicy(detail=8))
    assert (
        np.abs(np.diff(blurred.astype(int), axis=2)).mean()
        < np.abs(np.diff(disc[0].astype(int), axis=2)).mean() / 2
    )


def test_words(disc):
    told = [Caption(0, 11, "a red ball")]
    assert seen(disc, SenderPolicy(), told)[2] == told
    assert seen(disc, SenderPolicy(words="none"), told)[2] == ()
    assert seen(disc, SenderPolicy(words="a scene"), told)[2] == (Caption(0, 11, "a scene"),)


def test_policies_that_forbid_everything_say_so(disc):
    with pytest.raises(InputError, match="no layer leave"):
        seen(disc, SenderPolicy(layers=()))
    frames = sources.frames_from_array(disc[0], 12)
    with pytest.raises(InputError, match="give the label maps"):
        redact(frames, None, None, SenderPolicy(silhouettes=(1,)))
    everything = SenderPolicy(withheld=(1,), boxes=((0, 0, 1, 1),), words="none")
    grey, maps, _ = seen(disc, everything)
    assert (grey == FLAT).all() and not maps.any()
    stream = sj.encode(grey, labels=maps, captions=[], fps=12, cfg=mirage.SenderConfig())
    assert np.abs(sj.decode(stream).astype(int) - 128).max() < 12


def test_layers_that_may_not_leave_do_not(disc):
    stream = sj.encode(disc[0], labels=disc[1], fps=12)
    left = let_out(stream, SenderPolicy(layers=("contour", "caption")))
    assert set(left.spans) == {"contour", "caption"} and sj.decode(left).shape == disc[0].shape
    assert let_out(stream, SenderPolicy()) == stream


@pytest.mark.parametrize("system", ["causal", "mirage", "lgvsc"])
def test_the_notice_travels(disc, system):
    module = getattr(sj.systems, system)
    policy = SenderPolicy(silhouettes=(1,))
    frames, maps, _ = seen(disc, policy)
    stream = sj.encode(frames, labels=maps, captions=[], fps=12, cfg=module.SenderConfig(bitrate=12_000))
    back = sm.unpack(sm.pack(let_out(stream, policy)))
    assert [json.loads(text) for text in records.notices(back)] == [{"silhouettes": [1]}]
    np.testing.assert_array_equal(sj.decode(back), sj.decode(stream))


def test_policies_compose():
    a = SenderPolicy(silhouettes=(1, 2), detail=200, layers=("contour", "caption"))
    b = SenderPolicy(withheld=(2,), boxes=((0, 0, 0.5, 1),), detail=100, words="none")
    both = a | b
    assert both == SenderPolicy((1,), (2,), ((0, 0, 0.5, 1),), 100, "none", ("caption", "contour")) or (
        both == SenderPolicy((1,), (2,), ((0, 0, 0.5, 1),), 100, "none", ("contour", "caption"))
    )
    assert NetworkPolicy(2000) | NetworkPolicy(3000, 100) == NetworkPolicy(2000, 100)
    one = ReceiverPolicy("at night", ((1, (255, 0, 0)),), steps=4)
    assert one | ReceiverPolicy("painted", ((1, (0, 0, 9)),), 320, 2) == ReceiverPolicy(
        "at night, painted", ((1, (0, 0, 9)),), 320, 2
    )
    for policy in (a, b, one, NetworkPolicy()):
        assert policy | type(policy)() == policy and hash(policy)


def test_policies_travel_as_json():
    some = (
        SenderPolicy(silhouettes=(3,), boxes=((0.0, 0.0, 0.5, 0.5),)),
        NetworkPolicy(900.0),
        ReceiverPolicy("x"),
    )
    assert policies.from_json(policies.to_json(*some)) == {p.place: p for p in some}
    assert policies.from_json("{}") == {}
    for bad in ("", "[1]", '{"judge": {}}', '{"sender": {"colour": 1}}', '{"sender": {"silhouettes": 5}}',
                '{"network": {"bitrate": "fast"}}', '{"receiver": {"looks": [[1, 2]]}}'):  # fmt: skip
        with pytest.raises(InputError):
            policies.from_json(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SenderPolicy(silhouettes=(0,)),
        lambda: SenderPolicy(boxes=((0.5, 0, 0.5, 1),)),
        lambda: SenderPolicy(layers=("sound",)),
        lambda: SenderPolicy(detail=0),
        lambda: NetworkPolicy(bitrate=0),
        lambda: NetworkPolicy(order=("contour",)),
        lambda: ReceiverPolicy(looks=((1, (0, 0, 300)),)),
        lambda: ReceiverPolicy(steps=0),
        lambda: ReceiverPolicy(seconds=-1),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_replaced_looks(disc):
    told = dataclasses.replace(
        nothing_known(0, 12, 48, 64), labels=disc[1], contour_status=np.zeros(12, np.uint8)
    )
    policy = ReceiverPolicy(looks=((1, (30, 60, 220)),))
    (part,) = showing.shown(iter([Received(disc[0], told)]), policy)
    inside = disc[1] == 1
    blue = part.frames[inside].astype(int)
    assert (blue[:, 2] > blue[:, 0]).mean() > 0.9
    assert part.frames[inside].std() > 10, "shading is kept"
    np.testing.assert_array_equal(part.frames[:, :8, :8], disc[0][:, :8, :8])
    blind = dataclasses.replace(told, contour_status=np.full(12, FrameStatus.MISSING, np.uint8))
    (part,) = showing.shown(iter([Received(disc[0], blind)]), policy)
    assert part.frames is disc[0]


def test_style_reaches_the_captions(disc):
    stream = sj.encode(
        disc[0], labels=disc[1], captions=[Caption(0, 11, "A ball.")], fps=12, cfg=mirage.SenderConfig()
    )
    for given, text in ((stream, "A ball, at night"), (stream.without("caption"), "at night")):
        (part,) = mirage.receive(
            showing.styled(given, ReceiverPolicy(style="at night")), Painter(), jax.random.key(0)
        )
        assert [c.text for c in part.conditions.captions] == [text]
    assert showing.styled(stream, ReceiverPolicy()) is stream


def test_time_runs_out():
    """A diffusion generator that may not start any more leaves the frames as painted without it."""

    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Clock()
    slow = Diffusion("slow", cfg=None, params=None)
    policy = ReceiverPolicy(seconds=5)
    generator = showing.hurried(slow, policy, clock)
    clock.now = 5.0
    told = dataclasses.replace(nothing_known(0, 2, 24, 32), contour_status=np.zeros(2, np.uint8))
    frames, state = generator.step(told, None, jax.random.key(0))
    np.testing.assert_array_equal(frames, Painter().step(told, None, None)[0])
    generator.step(told, state, jax.random.key(0))
    assert showing.hurried(Painter(), policy) == Painter()


def test_sizes():
    assert showing.size_of(512, 288, ReceiverPolicy()) == (512, 288)
    assert showing.size_of(512, 288, ReceiverPolicy(width=201)) == (200, 112)
    assert showing.size_of(512, 288, ReceiverPolicy(width=900)) == (512, 288)
    frames = np.zeros((2, 36, 64, 3), np.uint8)
    assert showing.resized(frames, (32, 18)).shape == (2, 18, 32, 3)
    assert showing.resized(frames, (64, 36)) is frames


def test_all_layers_are_known():
    assert set(NetworkPolicy().order) == set(LAYERS) == set(SenderPolicy().layers)
