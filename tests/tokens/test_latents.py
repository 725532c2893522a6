"""Mirage's tokens of a learned code, from the encoder among a generator's weights to its painting at the receiver."""

import dataclasses
import json
import sys

import box_weights
import cv2
import jax
import numpy as np
import pytest

import semjax as sj
from semjax import cli, generator, tokens, video
from semjax import stream as sm
from semjax.errors import InputError, RateError
from semjax.models.autoencoder_kl import KlConfig
from semjax.systems import latents, mirage, records
from semjax.systems.generators import Diffusion
from semjax.tokens import latents as code
from semjax.types import Caption, FrameStatus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights with an autoencoder that works; the backbone is as it is drawn."""
    model, path = generator.preset("minuscule-latent"), tmp_path_factory.mktemp("weights")
    generator.save(path, box_weights.box_params(model), model, dtype="float32")
    return path


@pytest.fixture(scope="module")
def painter(folder):
    return sj.load_generator(folder, steps=1)


@pytest.fixture(scope="module")
def coder(folder):
    return tokens.Autoencoder.load(folder)


@pytest.fixture(scope="module")
def sent(disc, folder):
    cfg = mirage.SenderConfig(weights=str(folder))
    stream = sj.encode(disc[0], captions=[Caption(0, 11, "a ball rolls")], fps=12, cfg=cfg)
    return sm.unpack(sm.pack(stream))


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_keyframes_are_latents_and_come_back_within_a_step(disc, sent, coder):
    ((first, group),) = mirage.groups(sent)
    assert first == 0 and tokens.is_latent(group) and group.weights == coder.weights
    assert len(sm.pack(sent)) <= mirage.LEAST
    assert not any(records.is_still(body) for _, body in records.keyframe_records(sent))
    shown = latents.Shown(group, coder, 48, 64)
    rows, columns = group.codes.shape[1:3]
    for k, place in enumerate(group.places):
        wanted = coder.encode(disc[0][place], (columns, rows))
        assert (
            np.abs(shown.latents(k) - wanted).max() <= group.step / 32 + 0.02
        )  # 0.02: pictures come from a small copy
    assert psnr(shown.picture(0), disc[0][0]) > 15


def test_codes_are_the_same_after_their_bytes(disc, coder):
    z = np.stack([coder.encode(disc[0][t], (8, 6)) for t in (0, 7)])
    for step in (2, 8, 24):
        codes = tokens.quantise_latents(z, step)
        group = tokens.Group((7,), codes=codes.copy(), step=step, weights=coder.weights)
        back = tokens.decode_group(tokens.encode_group(group))
        np.testing.assert_array_equal(back.codes, codes)
        clipped = np.clip(z, -15 * step / 16, 15 * step / 16)
        assert np.abs(tokens.restore_latents(back.codes, back.step) - clipped).max() <= step / 32 + 1e-6
    assert tokens.quantise_latents(np.array([1e9, -1e9]), 1).tolist() == [15, -15]


def test_bytes_land_where_asked_and_more_show_more(disc, folder, coder):
    sizes, quality = [], []
    for budget in (70, 130, 260, 520):
        cfg = mirage.SenderConfig(bitrate=8 * budget, weights=str(folder))
        stream = sj.encode(disc[0], captions=[], fps=12, cfg=cfg)
        sizes.append(len(sm.pack(stream)))
        assert 0.6 * budget < sizes[-1] <= budget
        ((_, group),) = mirage.groups(stream)
        error = latents.LatentStretch(0, disc[0], coder, (64, 48)).error
        quality.append(-error(tokens.encode_group(group)))
    assert quality == sorted(quality) and quality[-1] > quality[0]
    with pytest.raises(RateError, match="least possible"):
        sj.encode(disc[0], fps=12, cfg=mirage.SenderConfig(bitrate=80, weights=str(folder)))


def test_the_generator_is_told_clean_keyframes(disc, sent, painter, coder):
    """Where a keyframe stands the conditions have its picture; what is painted there is near it, and all is
    repeatable."""
    (got,) = mirage.receive(sent, painter, jax.random.key(0))
    ((_, group),) = mirage.groups(sent)
    assert [k.frame for k in got.conditions.keyframes] == group.places
    shown = latents.Shown(group, coder, 48, 64)
    for k, keyframe in enumerate(got.conditions.keyframes):
        np.testing.assert_array_equal(keyframe.image, shown.picture(k))
    assert (got.conditions.contour_status == FrameStatus.MISSING).all()
    assert [c.text for c in got.conditions.captions] == ["a ball rolls"]
    # The drawn backbone is anchored: it adds nothing to the picture it starts from but what its autoencoder loses.
    assert psnr(got.frames[0], shown.picture(0)) > 20 and psnr(got.frames, disc[0]) > 14
    np.testing.assert_array_equal(got.frames, sj.decode(sent, painter))


def test_other_weights_are_refused_by_name(sent, painter, coder):
    needed = coder.weights.hex()
    with pytest.raises(InputError, match=f"autoencoder {needed}, and the generator 'none' has none"):
        sj.decode(sent)
    other = dataclasses.replace(
        painter,
        params=box_weights.box_params(painter.cfg.model)
        | {"picture": jax.tree.map(lambda x: x + 1, painter.params["picture"])},
    )
    own = latents.receiver_coder(other).weights.hex()
    with pytest.raises(InputError, match=f"autoencoder {needed}, .* has {own}"):
        sj.decode(sent, other)
    plain = generator.preset("minuscule")
    pixels = Diffusion("minuscule", generator.GeneratorConfig(plain), {"picture": {}})
    with pytest.raises(InputError, match="'minuscule' has none"):
        sj.decode(sent, pixels)


def test_lost_groups_are_concealed(disc, folder, painter):
    """Of two groups one arrives: its frames are shown, the others are grey before it or stand still behind it."""
    clip = np.concatenate([disc[0], 255 - disc[0]])
    cfg = mirage.SenderConfig(bitrate=4000, weights=str(folder))
    stream = sj.encode(clip, captions=[], fps=12, cfg=cfg)
    assert [first for first, _ in mirage.groups(stream)] == [0, 12]
    both = records.read_records(stream.units["keyframe"][0], 24)
    for gone, kept in ((0, 1), (1, 0)):
        unit = records.write_records([both[kept]])
        some = dataclasses.replace(stream, units={**stream.units, "keyframe": {0: unit}})
        (got,) = mirage.receive(some, painter, jax.random.key(0))
        assert got.frames.shape == clip.shape
        assert all((k.frame >= 12) == bool(kept) for k in got.conditions.keyframes)
        if gone == 0:
            assert np.abs(got.frames[:12].astype(float) - 128).mean() < 12
        else:
            assert np.abs(got.frames[13:].astype(float) - got.frames[12]).mean() < 8
    nothing = dataclasses.replace(stream, units={"keyframe": {}})
    assert sj.decode(nothing).shape == clip.shape


def test_groups_of_other_weights_among_own_ones_are_passed_over(sent, painter):
    ((_, group),) = mirage.groups(sent)
    foreign = dataclasses.replace(group, weights=b"else")
    bodies = [(0, tokens.encode_group(group)), (6, tokens.encode_group(foreign))]
    mixed = dataclasses.replace(sent, units={"keyframe": records.keyframe_units(bodies, 12)})
    np.testing.assert_array_equal(sj.decode(mixed, painter), sj.decode(sent.without("caption"), painter))


def test_grids_finer_than_the_clip_are_damage(sent, painter, coder):
    """They are passed over like a lost group: nothing larger than the clip is decoded."""
    codes = np.zeros((1, 120, 130, 4), np.int64)
    huge = tokens.encode_group(tokens.Group((), codes=codes, step=4, weights=coder.weights))
    units = {"keyframe": records.keyframe_units([(0, huge)], 12)}
    painters = list(mirage.groups(dataclasses.replace(sent, units=units)))
    assert len(painters) == 1 and latents.readable(painters, coder, "minuscule-latent", sent.info) == []


def test_settings_that_cannot_be(disc, folder, tmp_path):
    with pytest.raises(InputError, match="--weights"):
        mirage.SenderConfig(kind="latents")
    with pytest.raises(InputError, match="auto, regions, latents"):
        mirage.SenderConfig(kind="pixels")
    plain = generator.preset("minuscule")
    generator.save(tmp_path, generator.init_params(jax.random.key(0), plain), plain)
    with pytest.raises(InputError, match="has no autoencoder"):
        sj.encode(disc[0], cfg=mirage.SenderConfig(kind="latents", weights=str(tmp_path)))
    assert mirage.SenderConfig(weights=str(tmp_path)).autoencoder() is None
    assert mirage.SenderConfig(kind="regions", weights=str(folder)).autoencoder() is None
    with pytest.raises(InputError, match="cannot be read"):
        sj.encode(disc[0], cfg=mirage.SenderConfig(weights=str(tmp_path / "nowhere")))


def test_grids_and_channels(coder):
    assert coder.grid(64, 48, 8) == (8, 6) and coder.grid(64, 48, 99) == (16, 12)
    assert coder.grid(3, 200, 8) == (1, 50) and coder.grid(2, 2, 4) == (1, 1)
    with pytest.raises(InputError, match="4 channels, not 3"):
        coder.decode(np.zeros((2, 2, 3), np.float32))


def test_presets_have_latents_or_say_that_they_have_none():
    """Stable Diffusion's sizes, traced without weights: small pictures to latents an eighth as large and back."""
    model = generator.preset("sd15")
    params = {"picture": generator.param_shapes(model)["picture"]}
    there, back = code._jitted(model)
    small = jax.ShapeDtypeStruct((72, 128, 3), np.uint8)
    found = jax.eval_shape(there, params, small)
    assert found.shape == (9, 16, 4) and found.dtype == np.float32
    assert jax.eval_shape(back, params, found) == small
    assert tokens.Autoencoder.of(generator.preset("tiny"), {}) is None


@pytest.mark.parametrize("shape", [(1, 31, 17), (2, 9, 200), (40, 24, 24)])
def test_any_size_and_length(shape, folder):
    rng = np.random.default_rng(1)
    clip = np.kron(rng.integers(0, 256, (shape[0], 3, 3, 3)), np.ones((1, 70, 70, 1)))
    clip = clip[:, : shape[1], : shape[2]].astype(np.uint8)
    cfg = mirage.SenderConfig(weights=str(folder), bitrate=240_000 / shape[0])
    stream = sm.unpack(sm.pack(sj.encode(clip, captions=[], fps=30, cfg=cfg)))
    made = tokens.Autoencoder.load(folder)
    painters = [(f, mirage._Painter(g, stream.info, made)) for f, g in mirage.groups(stream)]
    frames, _ = mirage._painted(painters, 0, shape[0], stream.info)
    assert frames.shape == (*shape, 3)


def test_the_codes_of_a_drawn_autoencoder_kl_come_nearer_with_bytes():
    """No training: what codes give is compared with what the same network makes of latents that were not quantised."""
    model = dataclasses.replace(
        generator.preset("minuscule-latent"),
        autoencoder=KlConfig(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 8),
            norm_num_groups=4,
            scaling_factor=1.0,
        ),
    )
    coder = tokens.Autoencoder.of(model, generator.init_params(jax.random.key(3), model))
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (64, 48))
    exact = coder.encode(picture, (16, 12))
    best, sizes, errors = coder.decode(exact).astype(float), [], []
    for step in (32, 16, 8, 4):
        codes = tokens.quantise_latents(exact, step)
        body = tokens.encode_group(tokens.Group((), codes=codes[None], step=step, weights=coder.weights))
        back = tokens.decode_group(body)
        sizes.append(len(body))
        errors.append(np.mean((coder.decode(tokens.restore_latents(back.codes[0], step)) - best) ** 2))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 20 and np.abs(exact).max() < 15 * 4 / 16  # nothing is clipped


def test_from_the_command_line(disc, folder, tmp_path, monkeypatch, capsys):
    def run(*args):
        monkeypatch.setattr(sys, "argv", ["semjax", *map(str, args)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    video.write_video(tmp_path / "disc.mp4", disc[0][:4], 12)
    made = [tmp_path / "disc.mp4", "--system", "mirage", "--bitrate", 6000]
    assert run("transmit", *made, "--generator", folder, "--steps", 1, "--out", tmp_path / "a") == (0, "")
    assert run("encode", *made, "--weights", folder, "--out", tmp_path / "b.smj") == (0, "")
    assert (tmp_path / "b.smj").read_bytes() == (tmp_path / "a" / "stream.smj").read_bytes()
    decoded = run(
        "decode", tmp_path / "b.smj", "--generator", folder, "--steps", 1, "--out", tmp_path / "b.mp4"
    )
    assert decoded == (0, "")
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "a" / "reconstruction.mp4").read_bytes()
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["settings"]["weights"] == str(folder) and report["quality"]["miou"] is None
    status, said = run("decode", tmp_path / "b.smj", "--out", tmp_path / "c.mp4")
    assert status == 2 and "codes of the autoencoder" in said and not (tmp_path / "c.mp4").exists()
    status, said = run("encode", *made, "--tokens", "latents", "--out", tmp_path / "c.smj")
    assert status == 2 and "--weights" in said
    status, said = run("encode", made[0], "--tokens", "regions", "--out", tmp_path / "c.smj")
    assert status == 2 and "for the system mirage" in said
