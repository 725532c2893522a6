"""Units: coding order, low latency, what is inside a payload, and payloads of the past.

`python tests/texture/test_texture_units.py` writes the golden payloads that are not there yet.
"""

import hashlib
import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from texture_clips import moving, psnr

from semjax import texture
from semjax._varint import read_varint
from semjax.errors import RateError, StreamError
from semjax.texture import TextureConfig, between, motion, rate, sparing, tables, unit
from semjax.texture.deblock import deblock
from semjax.texture.frames import plan_unit
from semjax.texture.pixels import to_rgb
from semjax.texture.rate import AheadEncoder, Landing

DATA = Path(__file__).parent.parent / "data" / "texture"


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 300), st.sampled_from([8, 16, 32, 64]), st.booleans())
def test_every_frame_is_planned_once_and_only_refers_to_coded_ones(count, group, lookahead):
    done = set()
    for plan in plan_unit(count, group, lookahead):
        assert plan.frame not in done
        refs = {r for r in (plan.first, plan.second) if r >= 0}
        assert refs <= done and (plan.klass == 0) == (not refs)
        if not lookahead:
            assert all(r < plan.frame for r in refs)
        done.add(plan.frame)
    assert done == set(range(count))


def test_heads_come_back():
    for lookahead in (True, False):
        for group in (8, 16, 32, 64):
            head = unit.Head(256, 4096, lookahead, 7, group, 200, makes=lookahead)
            assert unit.read_head(unit.write_head(head)) == (head, 6)
    with pytest.raises(StreamError, match="version 1 expected, got 02"):
        unit.read_head(b"\x02" + b"\0" * 8)
    with pytest.raises(StreamError, match="version 1 expected, got 89"):
        unit.read_head(b"\x89" + b"\0" * 8)  # low latency, and frames made from later ones


def low_latency_frames(payload, count):
    """The bytes of each frame of a low-latency unit."""
    _, pos = unit.read_head(payload)
    out = []
    for _ in range(count):
        size, start = read_varint(payload, pos, len(payload), "frame")
        out.append(payload[pos : start + size])
        pos = start + size
    assert pos == len(payload)
    return out


@pytest.mark.parametrize(
    "cfg", [TextureConfig(step=40, lookahead=False), TextureConfig(psnr=27, lookahead=False)]
)
def test_low_latency_frames_do_not_depend_on_the_future(cfg):
    tiny = moving(10, 18, 32, 4)
    other = tiny.copy()
    other[6:] = moving(4, 18, 32, 9)
    (a,), (b,) = (texture.encode_units(v, cfg, 10) for v in (tiny, other))
    a, b = low_latency_frames(a, 10), low_latency_frames(b, 10)
    assert a[:6] == b[:6] and a[6:] != b[6:]


def test_low_latency_meets_the_rate_from_below_and_pays_as_it_goes():
    tiny = moving(64, 36, 64, 3)
    units = texture.encode_units(tiny, TextureConfig(bytes_per_frame=12, lookahead=False), 64)
    assert 0.9 * 12 * 64 <= sum(map(len, units)) <= 12 * 64
    sizes = [len(f) for f in low_latency_frames(units[0], 64)]
    assert sizes[0] <= 10 * 12 and max(sizes[1:]) <= 6 * 12
    out, _ = texture.decode_units(units, frames=64, height=36, width=64, span=64)
    assert psnr(out, tiny) > 19
    with pytest.raises(RateError, match="at least"):
        texture.encode_units(tiny, TextureConfig(bytes_per_frame=1, lookahead=False), 64)


@pytest.mark.parametrize("rate, seed", [(3.0, 0), (4.0, 4), (6.0, 2)])
def test_low_latency_meets_low_rates_where_little_is_left_for_the_last_frames(rate, seed):
    tiny = moving(56, 36, 64, seed)
    (payload,) = texture.encode_units(tiny, TextureConfig(bytes_per_frame=rate, lookahead=False), 56)
    assert 0.75 * rate * 56 <= len(payload) <= rate * 56


def test_low_latency_quality_is_met_in_every_frame():
    tiny = moving(12, 36, 64, 1)
    data = texture.encode(tiny, TextureConfig(psnr=28, lookahead=False))
    assert all(psnr(a, b) >= 28 for a, b in zip(texture.decode(data), tiny))


def test_a_truncated_low_latency_unit_holds_its_last_frame():
    tiny = moving(12, 18, 32)
    cfg = TextureConfig(step=30, lookahead=False)
    (payload,) = texture.encode_units(tiny, cfg, 12)
    whole, _ = texture.decode_units([payload], frames=12, height=18, width=32, span=12)
    keep = len(payload) - len(b"".join(low_latency_frames(payload, 12)[5:]))
    out, status = texture.decode_units([payload[:keep]], frames=12, height=18, width=32, span=12)
    assert (out[:5] == whole[:5]).all() and (out[5:] == whole[4]).all()
    assert list(status) == [0] * 5 + [1] * 7


def test_motion_is_worth_more_than_repeating_the_picture():
    still = moving(1, 36, 64, 2)[0]
    pan = np.stack([np.roll(still, 2 * t, axis=1) for t in range(16)])
    assert len(texture.encode(pan, TextureConfig(step=40))) < 3 * len(
        texture.encode(pan[:1], TextureConfig(step=40))
    )


def test_what_moves_evenly_is_made_and_what_does_not_is_coded():
    texture_of = moving(1, 36, 128, 2)[0]
    pan = np.stack([texture_of[:, 2 * t : 2 * t + 64] for t in range(17)])
    (payload,) = texture.encode_units(pan, TextureConfig(step=30), 17)
    assert unit.read_head(payload)[0].makes
    shown, _ = unit.decode_unit(payload, 17)
    inner = slice(None), slice(8, -8)  # what comes in at the sides nobody can know
    ends = psnr(shown[0], pan[0])
    assert min(psnr(a[inner], b[inner]) for a, b in zip(shown, pan)) > ends - 4
    coded = pan.copy()
    coded[1::2] = coded[1::2, ::-1, ::-1]
    (payload,) = texture.encode_units(coded, TextureConfig(step=30), 17)
    shown, _ = unit.decode_unit(payload, 17)
    assert min(psnr(a, b) for a, b in zip(shown, coded)) > 28, "frames out of line are sent"


def test_a_frame_whose_error_jumps_is_made_where_steadiness_counts():
    light = np.repeat([2000, 1990, 2000], 24 * 32).astype(np.int32).reshape(3, 24, 32)
    shown = light + np.int32([10, -17, 10])[:, None, None]  # made from its neighbours the middle is off by 20

    def made(steady):
        bits = prices = [1.0] * 3
        return sparing.frames_to_make([light], [shown], plan_unit(3, 8, True), bits, prices, steady)

    assert made(0.0) == frozenset() and made(1.0) == {1}


@pytest.mark.parametrize("odd", [False, True])
def test_a_first_guess_far_too_coarse_does_not_decide_what_is_made(monkeypatch, odd):
    clip = moving(24, 48, 96, 1).astype(float)
    clip += np.random.default_rng(1).normal(0, 12, clip.shape)
    if odd:
        clip[1::2] += 20
    clip = np.clip(clip, 0, 255).astype(np.uint8)
    cfg = TextureConfig(bytes_per_frame=40, tune="ssim")

    def quality():
        (payload,) = texture.encode_units(clip, cfg, 24)
        assert len(payload) <= 24 * 40
        return psnr(unit.decode_unit(payload, 24)[0], clip)

    usual, guess = quality(), rate.guess_knob
    monkeypatch.setattr(rate, "guess_knob", lambda *given: guess(*given) + 50)
    assert quality() > usual - 1


@pytest.mark.parametrize("calmer, taken", [(0.95, False), (0.85, True)])
def test_made_frames_are_chosen_again_where_that_comes_out_clearly_better(monkeypatch, calmer, taken):
    tiny = moving(24, 24, 32)
    cfg = TextureConfig(bytes_per_frame=14, tune="ssim")
    found = []

    def unrest(encoder, coded):
        found.append([unit.payload for unit in coded])
        return calmer if encoder._steady == rate._CALMER else 1.0

    monkeypatch.setattr(rate.AheadEncoder, "unrest", unrest)
    monkeypatch.setattr(rate, "_CALMER", 1e6)  # where no change is forgiven hardly anything is made
    payloads = rate.encode_for_bytes(tiny, cfg, 24, 0)
    again, first = found
    assert again != first and payloads == (again if taken else first)
    assert sum(map(len, payloads)) <= 14 * 24


def test_unrest_counts_errors_and_four_times_what_changes_in_them():
    tiny = moving(8, 24, 32)
    encoder = rate.AheadEncoder(tiny, TextureConfig(tune="ssim"), 8)
    coded = encoder.code(150.0)
    off = (coded[0].planes[0] - encoder.planes[0][0]).astype(float)
    wanted = np.square(off).sum() + 4 * np.square(np.diff(off, axis=0)).sum()
    assert encoder.unrest(coded) == pytest.approx(wanted, rel=1e-4)


def test_joint_motion_is_found_and_frames_are_made_along_it():
    big = np.zeros((3, 40, 200), np.int32)
    y, x = np.mgrid[:40, :200]
    big[0] = 900 * np.sin(x / 9 + np.sin(y / 7)) + 500 * np.cos(y / 5 - x / 31)

    def planes(x):
        return tuple(
            np.ascontiguousarray(p[: 40 // k, x // k : (x + 64) // k]) for p, k in zip(big, (1, 2, 2))
        )

    first, second = (motion.pad_planes(planes(x)) for x in (20, 28))
    found = between.find_motion(motion.quarters(first[0]), motion.quarters(second[0]), 40, 64)
    assert (found[1:-1, 2:-2] == (0, -32)).all(), "8 samples to the left, in quarters"
    made = list(between.make_frames(first, second, found, 4, (40, 64)))
    assert len(made) == 3
    for part, frame in enumerate(made, 1):
        assert np.abs(frame[0] - planes(20 + 2 * part)[0])[:, 16:-16].max() == 0


def test_shipped_tables_are_integers_that_the_kernels_can_use():
    models = tables.trained()
    bits, weights, *_ = models.levels
    assert bits.dtype == np.uint32 and bits.size == tables.INPUTS * tables.TABLE
    assert weights.dtype == np.int32 and weights.shape == (tables.SETS, tables.INPUTS)
    for counts in (bits & 1023, models.motion & 1023, models.blocks & 1023):
        assert counts.max() <= 255
    assert models.motion.size == tables.MOTION and models.blocks.size == tables.BLOCKS
    models.motion[:] = 0
    assert tables.trained().motion.any(), "callers get their own copy"


@pytest.mark.parametrize("rate", [4.0, 25.0])
def test_the_encoder_knows_what_the_decoder_will_show(rate):
    """Also where steps change within a unit and its tail was coded more than once."""
    tiny = moving(40, 36, 64, 6)
    encoder = AheadEncoder(tiny, TextureConfig(), 25)
    plain = encoder.code(170.0)
    size, spent = sum(len(u.payload) for u in plain), sum(b for u in plain for b in u.bits)
    bits, saved = encoder.spare(plain)
    assert saved == pytest.approx((spent - sum(bits)) / 8) and saved > 0
    landing = Landing(bits, encoder.depths, rate * 40, size - spent / 8, 0.99 * rate * 40, rate * 40)
    steered = encoder.code(170.0, landing)
    assert size != sum(len(u.payload) for u in steered)
    for u, frames in zip(steered, (25, 15)):
        out, arrived = unit.decode_unit(u.payload, frames)
        assert arrived == frames and (out == to_rgb(u.planes)).all()


def test_edges_are_smoothed_where_the_quantiser_may_have_made_them():
    cuts = np.array([0, 8, 16])
    flat = tuple(np.zeros(s, np.int32) for s in ((16, 16), (8, 8), (8, 8)))
    steps = tuple(np.where(np.arange(len(p)) < len(p) // 2, 0, 80).astype(np.int32) + p for p in flat)
    split, modes = np.zeros((2, 2), np.int64), np.zeros((4, 4), np.int64)
    quiet = deblock(steps, flat, cuts, cuts, split, modes, 400)
    assert all((a == b).all() for a, b in zip(quiet, steps)), "nothing was coded, nothing is smoothed"
    levels = tuple(p + 1 for p in flat)
    smooth = deblock(steps, levels, cuts, cuts, split, modes, 400)
    assert list(smooth[0][3, 6:10]) == [0, 20, 60, 80] and list(smooth[1][3, 2:6]) == [0, 20, 60, 80]
    kept = deblock(steps, levels, cuts, cuts, split, modes, 100)
    assert all((a == b).all() for a, b in zip(kept, steps)), "a large step is the picture's own"


@pytest.mark.parametrize("name", ["ahead", "low", "third", "made"])
def test_golden_payloads_decode_for_ever(name):
    want = json.loads((DATA / "golden.json").read_text())[name]
    data = (DATA / f"{name}.bin").read_bytes()
    assert hashlib.sha256(data).hexdigest() == want["payload"]
    out = texture.decode(data)
    assert list(out.shape) == want["shape"]
    assert hashlib.sha256(out.tobytes()).hexdigest() == want["frames"]


def _write_goldens():
    jobs = {
        "ahead": (moving(24, 36, 64, 1), TextureConfig(bytes_per_frame=20)),
        "low": (moving(10, 27, 40, 2), TextureConfig(step=35, lookahead=False)),
        "third": (moving(11, 33, 17, 3), TextureConfig(step=25, frame_divisor=3)),
        "made": (moving(40, 36, 50, 4), TextureConfig(bytes_per_frame=12, group=32, tune="ssim")),
    }
    facts = json.loads((DATA / "golden.json").read_text())
    for name in jobs.keys() - facts.keys():
        tiny, cfg = jobs[name]
        data = texture.encode(tiny, cfg)
        (DATA / f"{name}.bin").write_bytes(data)
        out = texture.decode(data)
        digest = hashlib.sha256(out.tobytes()).hexdigest()
        facts[name] = {
            "payload": hashlib.sha256(data).hexdigest(),
            "shape": list(out.shape),
            "frames": digest,
        }
    (DATA / "golden.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    _write_goldens()
