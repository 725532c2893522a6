import contour_shapes as shapes
import numpy as np
import pytest

from semjax.contours import ContourConfig, decode, decode_units, encode, encode_units
from semjax.errors import InputError, StreamError
from semjax.types import FrameStatus

PROFILES = ("paper", "best")


@pytest.fixture(scope="module", params=PROFILES)
def coded(request):
    clip = shapes.moving(10, 40, 56)
    cfg = ContourConfig(profile=request.param, period=4)
    units = list(encode_units((clip[t : t + 4] for t in range(0, 10, 4)), cfg))
    return clip, cfg, units


def _decode(units, frames=10):
    out = list(decode_units(units, frames=frames, height=40, width=56, span=4))
    return np.concatenate([a for a, _ in out]), np.concatenate([s for _, s in out])


def test_units_stand_alone(coded):
    clip, _, units = coded
    labels, status = _decode(units)
    assert labels.shape == clip.shape and not status.any()
    for u in range(3):
        alone, state = _decode([unit if i == u else None for i, unit in enumerate(units)])
        assert np.array_equal(alone[4 * u : 4 * u + 4], labels[4 * u : 4 * u + 4])
        assert (state[: 4 * u] == FrameStatus.MISSING).all() and not alone[: 4 * u].any()
        assert (state[4 * u + 4 :] == FrameStatus.CONCEALED).all()
        if u < 2:
            assert np.array_equal(alone[-1], labels[4 * u + 3])


def test_encode_equals_its_units(coded):
    clip, cfg, units = coded
    assert np.array_equal(decode(encode(clip, cfg, span=4)), _decode(units)[0])


def test_damage_never_escapes(coded):
    _, _, units = coded
    rng = np.random.default_rng(5)
    for _ in range(150):
        unit = bytearray(units[rng.integers(3)])
        kind = rng.integers(3)
        if kind == 0:
            unit[rng.integers(len(unit))] ^= 1 << rng.integers(8)
        elif kind == 1:
            unit = unit[: rng.integers(1, len(unit))]
        else:
            unit = bytearray(rng.integers(0, 256, rng.integers(1, 80)).astype(np.uint8).tobytes())
        labels, status = _decode([units[0], bytes(unit)], frames=8)
        assert labels.shape == (8, 40, 56) and not status[:4].any()


def test_file_damage_is_an_error(coded):
    clip, cfg, _ = coded
    data = encode(clip, cfg, span=4)
    for i in range(len(data)):
        broken = bytearray(data)
        broken[i] ^= 64
        with pytest.raises(StreamError):
            decode(bytes(broken))
    for cut in range(0, len(data), 7):
        with pytest.raises(StreamError):
            decode(data[:cut])


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.zeros((2, 8, 8), np.int32), "uint8"),
        (np.zeros((8, 8), np.uint8), r"\[T, H, W\]"),
        (np.zeros((0, 8, 8), np.uint8), "no frames"),
        (np.zeros((1, 8, 5000), np.uint8), "1 to 4096"),
    ],
)
def test_bad_label_maps(labels, says):
    with pytest.raises(InputError, match=says):
        encode(labels)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"profile": "fast"}, "profile"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"symbols": 4}, "symbols"),
        ({"period": 0}, "period"),
        ({"motion": "affine"}, "motion"),
        ({"refresh": 2}, "refresh"),
    ],
)
def test_bad_settings(bad, says):
    with pytest.raises(InputError, match=says):
        ContourConfig(**bad)
