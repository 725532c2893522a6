import dataclasses
import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import semjax as sj
from semjax import stream as sm
from semjax import tokens
from semjax.errors import InputError, RateError, StreamError
from semjax.systems import mirage, records, stretches
from semjax.systems.generators import Painter
from semjax.types import Caption, FrameStatus


@pytest.fixture(scope="module")
def sent(disc):
    stream = sj.encode(
        disc[0], labels=disc[1], captions=[Caption(0, 11, "a ball rolls")], fps=12, cfg=mirage.SenderConfig()
    )
    return sm.unpack(sm.pack(stream))


def painted(stream):
    return list(mirage.receive(stream, Painter(), jax.random.key(0)))


def test_the_chain_gives_back_what_it_means(disc, sent):
    frames, labels = disc
    assert sent.system == "mirage" and set(sent.spans) == {"caption", "keyframe"}
    assert len(sm.pack(sent)) <= mirage.LEAST
    (got,) = painted(sent)
    assert got.frames.shape == frames.shape
    union = ((got.conditions.labels == 1) | (labels == 1)).sum()
    assert ((got.conditions.labels == 1) & (labels == 1)).sum() / union > 0.6
    colour = [p[labels == 1].mean(0) for p in (got.frames.astype(float), frames.astype(float))]
    assert np.abs(colour[0] - colour[1]).max() < 25
    assert (got.conditions.contour_status != FrameStatus.MISSING).all()
    assert [c.text for c in got.conditions.captions] == ["a ball rolls"]
    np.testing.assert_array_equal(got.frames, sj.decode(sent))


def test_no_picture_crosses(sent):
    """Every record of the keyframe layer is a token code; nothing in it is read by the coder of stills."""
    bodies = [body for _, body in records.keyframe_records(sent)]
    assert bodies and all(body[0] == records.TOKENS and not records.is_still(body) for body in bodies)
    pictures, bad = records.read_keyframes(sent.units["keyframe"][0], 0, 12, sent.info)
    assert (pictures, bad) == ([], 0)


def test_groups_survive_their_bytes():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 18, 32, 3)).astype(np.uint8)
    labels = np.zeros((3, 18, 32), np.uint8)
    labels[:, 4:9, 5:15], labels[1:, 10:16, 20:30] = 7, 200
    layouts, owners = tokens.cluster(pictures, labels, 9)
    assert set(owners) == {0, 7, 200} and layouts.max() == len(owners) - 1
    for token, owner in enumerate(owners):
        assert (labels[layouts == token] == owner).all()
    unit, decoded = tokens.encode_layouts(layouts, 0.0)
    np.testing.assert_array_equal(decoded, layouts)
    group = tokens.Group(
        (5, 900), layouts, dict(enumerate(owners)), tokens.describe_regions(pictures, layouts)
    )
    back = tokens.decode_group(tokens.encode_group(group, unit))
    assert back.gaps == (5, 900) and back.places == [0, 5, 905]
    assert back.labels == {t: owners[t] for t in map(int, np.unique(layouts))}
    np.testing.assert_array_equal(back.layouts, layouts)
    assert back.features.keys() == group.features.keys()
    for key, codes in group.features.items():
        np.testing.assert_array_equal(back.features[key], codes)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))
def test_latents_survive_their_bytes(seed, count, height, width, channels):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-9, 10, (count, height, width, channels))
    group = tokens.Group((3,) * (count - 1), codes=codes.copy(), step=5, weights=b"abcd")
    back = tokens.decode_group(tokens.encode_group(group))
    np.testing.assert_array_equal(back.codes, codes)
    assert (back.step, back.weights, back.gaps) == (5, b"abcd", group.gaps)


def test_quantised_features_are_near():
    rng = np.random.default_rng(0)
    values = np.stack(
        [rng.uniform(0, 247, 50), *rng.uniform(50, 200, (2, 50)), *rng.uniform(-50, 50, (2, 50))], -1
    )
    apart = np.abs(tokens.restore(tokens.quantise(values)) - values)
    assert (apart <= [f.step / 2 + 1e-4 for f in tokens.FEATURES]).all()


def test_damaged_codes_are_refused_or_painted(sent, disc):
    rng = np.random.default_rng(0)
    ((_, body),) = records.keyframe_records(sent)
    refused = 0
    for _ in range(200):
        bad = bytearray(body)
        for at in rng.integers(0, len(bad), 2):
            bad[at] = int(rng.integers(256))
        bad = bytes(bad[: int(rng.integers(0, len(bad) + 1))])
        try:
            tokens.decode_group(bad)
        except StreamError:
            refused += 1
    assert refused > 20
    with pytest.raises(StreamError, match="version 9"):
        tokens.decode_group(bytes([2, 9]) + body[2:])
    units = {**sent.units, "keyframe": {0: b"\0\0" + bytes(bad)}}
    assert sj.decode(dataclasses.replace(sent, units=units)).shape == disc[0].shape


def test_layers_may_be_missing(disc, sent):
    for dropped in (["caption"], ["keyframe"], ["caption", "keyframe"]):
        got = sj.decode(sm.unpack(sm.pack(sent.without(*dropped))))
        assert got.shape == disc[0].shape
    assert (got == 128).all()


@pytest.mark.parametrize("shape", [(1, 31, 17), (2, 9, 200), (110, 24, 24)])
def test_any_size_and_length(shape):
    rng = np.random.default_rng(1)
    clip = np.kron(rng.integers(0, 256, (shape[0], 3, 3, 3)), np.ones((1, 70, 70, 1)))
    clip = clip[:, : shape[1], : shape[2]].astype(np.uint8)
    stream = sm.unpack(sm.pack(sj.encode(clip, captions=[], fps=30, cfg=mirage.SenderConfig())))
    assert "caption" not in stream.spans
    assert sj.decode(stream).shape == (*shape, 3)


def test_things_move_between_keyframes(disc):
    """With two keyframes the ball is half-way in the middle of the clip."""
    maps = disc[1]
    stretch = stretches.RegionStretch(0, disc[0], maps)
    group = tokens.decode_group(stretch.code(4, 2))
    assert group.places == [0, 11]
    _, labels = tokens.paint_group(group, [0, 5.5, 11], 48, 64)
    middles = [np.nonzero(m)[1].mean() for m in labels]
    assert middles[0] < 22 and 28 < middles[1] < 36 and middles[2] > 42


def test_the_search_uses_its_bytes(disc):
    """A budget that finer plans fit into is not left half unused, and more bytes never give a worse painting."""
    stretch, errors = stretches.RegionStretch(0, *disc), []
    body = functools.lru_cache(maxsize=None)(stretch.code)
    error = functools.lru_cache(maxsize=None)(lambda *plan: stretch.error(body(*plan)))
    for room in (0, 60, 150, 400):
        plan = stretches.best_plan(stretch, body, error, room)
        assert len(body(*plan)) - len(body(0, 1)) <= room
        errors.append(error(*plan))
        tried = [(level, count) for level in (0, 2, 4, 7) for count in (1, 3, 9)]
        fits = [p for p in tried if len(body(*p)) - len(body(0, 1)) <= room]
        assert errors[-1] <= 1.1 * min(error(*p) for p in fits)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]


def test_rates_are_met_or_refused(disc):
    frames, labels = disc
    sizes = []
    for bitrate in (2000, 8000):
        cfg = mirage.SenderConfig(bitrate=bitrate)
        sizes.append(8 * len(sm.pack(sj.encode(frames, labels=labels, fps=12, cfg=cfg))))
        assert sizes[-1] <= bitrate
    assert sizes[0] < sizes[1]
    with pytest.raises(RateError, match="least possible is") as refused:
        sj.encode(frames, labels=labels, fps=12, cfg=mirage.SenderConfig(bitrate=10))
    least = float(str(refused.value).split()[-2])
    sj.encode(frames, labels=labels, fps=12, cfg=mirage.SenderConfig(bitrate=least))
    with pytest.raises(InputError):
        mirage.SenderConfig(bitrate=0)
    with pytest.raises(InputError):
        mirage.SenderConfig(max_regions=1)
