import dataclasses
from fractions import Fraction

import jax
import numpy as np
import pytest

import semjax as sj
from semjax import stream as sm
from semjax.errors import InputError, RateError
from semjax.systems import causal, rate, records, sources
from semjax.systems.receiver import conditions
from semjax.types import LAYERS, Caption, ClipInfo, FrameStatus


def bit_rate(stream):
    return 8 * len(sm.pack(stream)) / stream.info.seconds


def test_the_chain_gives_back_a_clip(disc):
    frames, labels = disc
    stream = sj.encode(frames, labels=labels, captions=[Caption(0, 11, "a striped ball rolls")], fps=12)
    assert stream.info == ClipInfo(12, 64, 48, Fraction(12))
    again = sm.unpack(sm.pack(stream))
    got = sj.decode(again, sj.load_generator("none"), jax.random.key(0))
    assert got.shape == frames.shape and got.dtype == np.uint8
    assert 10 * np.log10(255**2 / np.mean((got.astype(float) - frames) ** 2)) > 18
    (given,) = conditions(again)
    assert (given.contour_status == FrameStatus.RECEIVED).all()
    union = ((given.labels == 1) | (labels == 1)).sum()
    assert ((given.labels == 1) & (labels == 1)).sum() / union > 0.8
    assert [c.text for c in given.captions] == ["a striped ball rolls"]


def test_same_input_same_bytes_same_pixels(disc):
    streams = [sm.pack(sj.encode(disc[0], labels=disc[1])) for _ in range(2)]
    assert streams[0] == streams[1]
    clips = [sj.decode(sm.unpack(s)) for s in streams]
    np.testing.assert_array_equal(*clips)


def test_rates_are_met_or_refused(disc):
    frames, labels = disc
    with pytest.raises(RateError, match="least possible is") as refused:
        sj.encode(frames, labels=labels, fps=12, cfg=causal.SenderConfig(bitrate=50))
    least = float(str(refused.value).split()[-2])
    sizes = []
    for wanted in (least, 1.3 * least, 4000, 20000, 100000):
        got = bit_rate(sj.encode(frames, labels=labels, fps=12, cfg=causal.SenderConfig(bitrate=wanted)))
        assert 0.9 * wanted <= got <= 1.1 * wanted
        sizes.append(got)
    assert sizes == sorted(sizes)
    with pytest.raises(RateError, match="most possible is"):
        sj.encode(frames, labels=labels, fps=12, cfg=causal.SenderConfig(bitrate=1e8))


@pytest.mark.parametrize("shape", [(1, 31, 17), (3, 9, 200), (40, 24, 24)])
def test_any_size(shape):
    rng = np.random.default_rng(1)
    clip = np.kron(rng.integers(0, 256, (shape[0], 4, 4, 3)), np.ones((1, 60, 60, 1)))[
        :, : shape[1], : shape[2]
    ]
    stream = sm.unpack(sm.pack(sj.encode(clip.astype(np.uint8), fps=30)))
    assert sj.decode(stream).shape == (*shape, 3)


def test_layers_may_be_missing(disc):
    frames, labels = disc
    stream = sj.encode(frames, labels=labels, cfg=causal.SenderConfig(bitrate=120000, texture_width=32))
    assert all(stream.units[layer] for layer in ("contour", "texture", "keyframe", "caption"))
    for dropped in (["contour"], ["texture"], ["keyframe"], ["contour", "texture"], [*LAYERS]):
        got = sj.decode(sm.unpack(sm.pack(stream.without(*dropped))))
        assert got.shape == frames.shape


def test_lost_units_are_concealed(disc):
    frames, labels = disc
    stream = sj.encode(
        frames, labels=labels, cfg=causal.SenderConfig(bitrate=20000, period=4, texture_period=4)
    )
    units = {k: dict(v) for k, v in stream.units.items()}
    del units["contour"][1], units["texture"][2]
    steps = list(conditions(dataclasses.replace(stream, units=units, partial=True)))
    assert [s.first for s in steps] == [0, 4, 8]
    assert (steps[1].contour_status == FrameStatus.CONCEALED).all()
    np.testing.assert_array_equal(steps[1].labels[0], steps[0].labels[-1])
    assert (steps[2].contour_status == FrameStatus.RECEIVED).all()
    assert (steps[2].texture_status == FrameStatus.CONCEALED).all()


def test_damaged_payloads_end_in_frames(disc):
    """Whatever stands in a unit (a damaged one may pass its check) the receiver paints every frame."""
    frames, labels = disc
    stream = sj.encode(frames, labels=labels, cfg=causal.SenderConfig(bitrate=120000, texture_width=32))
    rng = np.random.default_rng(0)
    for trial in range(40):
        units = {k: dict(v) for k, v in stream.units.items()}
        layer = LAYERS[trial % 4]
        payload = bytearray(units[layer][0])
        for at in rng.integers(0, len(payload), 3):
            payload[at] = int(rng.integers(256))
        units[layer][0] = bytes(payload[: int(rng.integers(1, len(payload) + 1))])
        steps = list(conditions(dataclasses.replace(stream, units=units)))
        assert sum(len(s.labels) for s in steps) == len(frames)


def test_records():
    entries = [(0, b"abc"), (5, b""), (7, b"x" * 300)]
    assert records.read_records(records.write_records(entries[:1] + entries[2:]), 8) == [
        entries[0],
        entries[2],
    ]
    info = ClipInfo(200, 8, 8, Fraction(25))
    captions = [Caption(0, 99, "first part"), Caption(100, 199, "second part"), Caption(130, 140, "between")]
    units = records.caption_units(captions, info, 64)
    listed = [units.get(u) for u in range(4)]
    assert records.read_captions(listed, info, 64) == (captions, 0)
    listed[0] = b"\xff\xff\xff\xff\xff\xff"
    got, bad = records.read_captions(listed, info, 64)
    assert bad == 1 and got == captions[1:]


def test_bad_arguments(disc):
    frames, labels = disc
    with pytest.raises(InputError, match="label maps uint8"):
        sj.encode(frames, labels=labels[:5])
    with pytest.raises(InputError, match="label maps uint8"):
        sj.encode(frames, labels=labels.astype(np.int32))
    with pytest.raises(InputError, match="a clip is uint8"):
        sj.encode(frames[:0])
    with pytest.raises(InputError, match="a clip is uint8"):
        sj.encode(frames[..., :2])
    with pytest.raises(InputError, match="frame rate"):
        sj.encode(frames, fps=-1)
    for setting in (
        {"bitrate": -5},
        {"period": 0},
        {"texture_width": 5},
        {"texture_period": 0},
        {"max_regions": 1},
        {"tolerance": -1},
    ):
        with pytest.raises(InputError):
            causal.SenderConfig(**setting)
    with pytest.raises(InputError, match="there is no generator"):
        sj.load_generator("huge")


def test_units_are_as_few_as_asked_and_of_about_one_length(disc):
    frames, labels = disc
    analysis = causal.understand(
        sources.frames_from_array(frames, 12),
        sources.labels_from_array(labels, ClipInfo(12, 64, 48, Fraction(12))),
        (),
        causal.SenderConfig(period=9),
    )
    assert [len(maps) for maps in analysis.labels()] == [6, 6]
    np.testing.assert_array_equal(np.concatenate(list(analysis.labels())), labels)


def test_texture_units_are_as_long_as_allowed(disc):
    frames, labels = disc
    for period, count in ((128, 1), (7, 2), (4, 3)):
        cfg = causal.SenderConfig(bitrate=20000, texture_period=period)
        assert len(sj.encode(frames, labels=labels, cfg=cfg).units["texture"]) == count


def test_outlines_get_a_smaller_share_as_there_are_more_bytes():
    shares = [rate._contour_share(b) for b in (0.1, 4, 7.5, 20, 60, 1000)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (rate.CONTOUR_SHARES[1], rate.CONTOUR_SHARES[0])


@pytest.mark.parametrize("limit", [1, 60, 120, 200, 400, 100_000])
def test_contours_take_about_the_bytes_they_are_given(disc, limit):
    frames, labels = (maps.repeat(3, axis=1).repeat(3, axis=2) for maps in disc)
    analysis = causal.understand(
        sources.frames_from_array(frames, 12),
        sources.labels_from_array(labels, ClipInfo(12, 192, 144, Fraction(12))),
        (),
        causal.SenderConfig(),
    )
    coder = rate.Coder(analysis, "causal", lambda numbers: [], texture_span=12)
    tolerance = rate._finest_within(coder, None, limit)
    coarsest, finest = rate._tolerances(coder, None)
    size = coder.contour_estimate(tolerance)
    assert size <= rate.NEAR[1] * limit or tolerance == coarsest
    assert size >= 0.6 * limit or tolerance < 1.2 * finest
    assert rate._finest_within(coder, 3.0, limit) == 3.0
