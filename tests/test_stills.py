import numpy as np
import pytest

from semjax import stills
from semjax.errors import InputError, RateError, StreamError


def picture(height=97, width=131):
    y, x = np.mgrid[:height, :width]
    return np.stack([128 + 90 * np.sin(x / 9), 100 + 80 * np.cos(y / 7), (x + y) % 200], -1).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_more_bytes_show_more():
    image = picture()
    quality = []
    for limit in (250, 900, 4000, 20000):
        payload = stills.encode_still(image, limit)
        assert len(payload) <= limit
        got = stills.decode_still(payload, *image.shape[:2])
        assert got.shape == image.shape and got.dtype == np.uint8
        quality.append(psnr(got, image))
    assert quality == sorted(quality) and quality[-1] > 30


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (33, 17)])
def test_odd_sizes(size):
    image = np.full((*size, 3), 120, np.uint8)
    got = stills.decode_still(stills.encode_still(image, 2000), *size)
    assert np.abs(got.astype(int) - 120).max() <= 4


def test_limits():
    with pytest.raises(RateError, match="at least"):
        stills.encode_still(picture(), 20)
    with pytest.raises(InputError):
        stills.encode_still(picture().astype(np.float32), 2000)


def test_damage_is_an_error():
    payload = stills.encode_still(picture(), 1500)
    with pytest.raises(StreamError):
        stills.decode_still(payload, 96, 131)  # another size
    for bad in (b"", payload[:1], b"\x07" + payload[1:], payload[:1] + b"\x00" + payload[2:], payload[:20]):
        with pytest.raises(StreamError):
            stills.decode_still(bad, 97, 131)
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(payload)
        for at in rng.integers(2, len(payload), 5):
            broken[at] ^= int(rng.integers(1, 256))
        try:
            got = stills.decode_still(bytes(broken), 97, 131)
        except StreamError:
            continue
        assert got.shape == (97, 131, 3)
