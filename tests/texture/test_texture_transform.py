"""The integer transform: exact where it must be, safe from rounding ties."""

import numpy as np

from semjax.texture import transform, unit
from semjax.texture.pixels import to_planes, to_rgb


def test_no_basis_entry_is_near_a_rounding_tie():
    for n in range(1, 129):
        k, i = np.arange(n)[:, None], np.arange(n)[None, :]
        scale = np.where(k == 0, np.sqrt(1.0 / n), np.sqrt(2.0 / n))
        exact = scale * np.cos(np.pi * k * (2 * i + 1) / (2 * n)) * (1 << transform.BASIS_BITS)
        away = np.abs(exact - np.floor(exact) - 0.5)
        assert away.min() > 1e-7, n


def test_inverse_undoes_forward():
    x = np.random.default_rng(0).integers(-4000, 4000, (7, 36, 50))
    y = x
    for axis in range(3):
        y = transform.forward(y, axis, 12)
    y = np.rint(y).astype(np.int64)
    for axis in (2, 1, 0):
        y = transform.inverse(y, axis, 12)
    assert np.abs(y - x).max() <= 12  # coefficients rounded to integers, basis to 2^-13


def test_planes_come_back_for_smooth_colour():
    y, x = np.mgrid[:37, :51]
    frame = np.stack([3 * x + 40, 4 * y + 30, 2 * x + y + 10], -1).astype(np.uint8)[None]
    assert np.abs(to_rgb(to_planes(frame)).astype(int) - frame).max() <= 3


def test_steps_grow_by_a_24th_of_an_octave():
    table = np.array([unit.step_size(i) for i in range(256)])
    assert table[0] == 16 and table[24] == 32 and (np.diff(table) >= 0).all()
    assert np.abs(table / (16 * 2 ** (np.arange(256) / 24)) - 1).max() < 0.06
