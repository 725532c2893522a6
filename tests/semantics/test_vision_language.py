"""PSSS and captions by a tiny InternVL with random weights."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_vlm
import torch
import transformers

from semjax import checkpoints, semantics
from semjax.errors import InputError
from semjax.semantics import judge, narration, tiles, vision_language
from semjax.semantics.judge import JudgeConfig
from semjax.semantics.keyframes import SkemConfig, select


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A converted model, and the PyTorch module that it comes from."""
    where = tmp_path_factory.mktemp("vlm")
    module = small_vlm.save(where / "theirs")
    checkpoints.convert(where / "theirs", where / "ours")
    return where / "ours", module


@pytest.fixture(scope="module")
def vlm(folder):
    return vision_language.load(folder[0], dtype="float32")


@pytest.fixture(scope="module")
def video():
    """Eight frames of 32x48 of which the fifth begins another scene."""
    draw = np.random.default_rng(0)
    scenes = draw.integers(0, 256, (2, 32, 48, 3), np.uint8)
    frames = [scenes[int(t >= 5)] // 2 + draw.integers(0, 100, (32, 48, 3), np.uint8) for t in range(8)]
    return np.stack(frames)


def pixels(parts):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return torch.tensor((parts / 255 - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("size", "most"), [((40, 64), 12), ((288, 512), 12), ((50, 20), 6), ((30, 30), 4), ((9, 70), 1)]
)
def test_tiles_are_those_of_the_processor(size, most):
    side = small_vlm.SIDE
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    processor = transformers.GotOcr2ImageProcessorPil(
        size={"height": side, "width": side}, crop_to_patches=True, max_patches=most, do_rescale=False,
        do_normalize=False,
    )  # fmt: skip
    expected = processor([frame], return_tensors="np")
    got = tiles.tiles(frame, side, most)
    assert len(got) == expected["num_patches"][0]
    np.testing.assert_array_equal(got, expected["pixel_values"].transpose(0, 2, 3, 1))


def asked(module, vlm, parts, ids):
    """transformers' logits of the next token after a prompt with pictures."""
    with torch.no_grad():
        return module(input_ids=torch.tensor([ids]), pixel_values=pixels(parts)).logits[0, -1].numpy()


def score_of(vlm, logits):
    ids = semantics.answer_ids(functools.partial(vlm.tokenizer.encode, add_special_tokens=False))
    return float(semantics.psss(logits, *ids))


def test_direct_scores_are_those_of_one_whole_prompt_and_nothing_is_computed_twice(folder, vlm, video):
    clip = vision_language.watch(vlm, video)
    score = judge.scorer(clip, JudgeConfig(ahead=3))
    got = [score(2, j) for j in range(3, 8)]
    assert clip.looked == 6  # each of the frames 2 to 7 once
    expected = []
    for j in range(3, 8):
        texts = judge._texts(judge._DIRECT, JudgeConfig())
        ids = vlm.prompt([texts[0], 1, texts[1], 1, texts[2]])
        parts = np.concatenate([tiles.tiles(video[t], small_vlm.SIDE, 1) for t in (2, j)])
        expected.append(score_of(vlm, asked(folder[1], vlm, parts, ids)))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.ptp(expected) > 5e-3  # the pictures count
    one_by_one = judge.scorer(vision_language.watch(vlm, video))
    np.testing.assert_allclose([one_by_one(2, j) for j in range(3, 8)], got, atol=1e-5)
    other = judge.scorer(clip, JudgeConfig(ahead=3, focus="background"))
    assert abs(other(2, 3) - got[0]) > 1e-4


def test_two_rounds_are_those_of_transformers_from_scratch(folder, vlm, video):
    """Describe, compare, each time reading everything again, as the published release does."""
    module, cfg = folder[1], JudgeConfig(mode="two-round", words=12, tiles=2)
    clip = vision_language.watch(vlm, video)
    got = judge.scorer(clip, cfg)(1, 6)
    parts = [tiles.tiles(video[t], small_vlm.SIDE, 2) for t in (1, 6)]
    assert [len(part) for part in parts] == [3, 3]
    texts = judge._texts(judge._DESCRIBE, cfg)
    ids = vlm.prompt([texts[0], 3, texts[1], 3, texts[2]])
    with torch.no_grad():
        words = module.generate(
            input_ids=torch.tensor([ids]), pixel_values=pixels(np.concatenate(parts)), max_new_tokens=12,
            do_sample=False, eos_token_id=vlm.end, pad_token_id=0,
        )[0, len(ids) :].tolist()  # fmt: skip
    words = [word for word in words if word != vlm.end]
    ids = ids + words + vlm.prompt([judge._texts((judge._COMPARE,), cfg)[0]])
    logits = asked(module, vlm, np.concatenate(parts), ids)
    np.testing.assert_allclose(got, score_of(vlm, logits), atol=1e-4)
    single = judge.scorer(clip, JudgeConfig(mode="two-round", words=12, tiles=2, single=True))(1, 6)
    yes, no = (vlm.encode(word)[0] for word in ("Yes", "No"))
    np.testing.assert_allclose(single, semantics.psss_single(logits, yes, no), atol=1e-5)


def test_selection_and_captions_share_what_was_seen(vlm, video):
    clip = vision_language.watch(vlm, video, size=(28, 56))
    score = judge.scorer(clip, JudgeConfig(ahead=4))
    values = [score(0, j) for j in range(1, 8)]
    threshold = (max(values) + min(values)) / 2
    keys = select(8, score, SkemConfig(threshold=threshold))
    assert keys[0] == 0 and keys[-1] == 7 and len(keys) > 2
    seen = clip.looked
    texts = narration.captions(clip, narration.NarrationConfig(segment=5, words=8))
    assert clip.looked == seen == 8
    assert [(text.first, text.last) for text in texts] == [(0, 4), (5, 7)]
    assert all(0 < len(text.text.encode()) <= 300 for text in texts)


def test_a_clip_is_seen_in_its_own_shape(vlm):
    assert tiles.shape_of(288, 512, 9 * 448**2 // 16, 28) == (252, 448)
    assert tiles.shape_of(512, 512, 9 * 448**2 // 16, 28) == (336, 336)
    assert tiles.shape_of(10, 4000, 336**2, 28) == (28, 144 * 28)
    for height, width in ((480, 640), (640, 480), (720, 1280), (100, 100), (3, 5)):
        size = tiles.shape_of(height, width, 336**2, 28)
        assert size[0] * size[1] <= 336**2 and 0.85 < size[0] / size[1] / (height / width) < 1.18
    video = np.random.default_rng(0).integers(0, 256, (3, 30, 90, 3), np.uint8)
    clip = vision_language.watch(vlm, video, size=(28, 84))
    assert clip.features([0, 1]).shape[1] == 3 == vlm.net.cfg.tokens((28, 84))
    scores = judge.direct(clip, 0, [1, 2])
    assert (np.abs(scores) < 1).all() and scores[0] != scores[1]


def test_answers_become_captions():
    assert narration.fitted(" A  dog\nruns. ") == "A dog runs."
    assert narration.fitted("A dog runs. It jumps over a fence.", 20) == "A dog runs."
    assert narration.fitted("aé" * 20 + " word", 21) == "aé" * 7
    assert narration.fitted("one two three", 9) == "one two"
    assert narration.fitted("  ") == "A scene."


def test_what_does_not_fit_is_said(folder, vlm, video, tmp_path):
    with pytest.raises(InputError, match=r"semjax convert OpenGVLab/InternVL3-1B-hf --out .*nowhere"):
        vision_language.load(tmp_path / "nowhere")
    bare = tmp_path / "bare"
    small_vlm.save(bare)
    for path in bare.glob("*token*"):
        path.unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        vision_language.load(bare)
    with pytest.raises(InputError, match="not InternVL's tokenizer"):
        vision_language.Vlm(vlm.net, vlm.params, transformers.PreTrainedTokenizerFast(
            tokenizer_object=small_vlm.Tokenizer(small_vlm.models.BPE())))  # fmt: skip
    with pytest.raises(InputError, match="multiples of 28"):
        vision_language.watch(vlm, video, size=(28, 30))
    with pytest.raises(InputError, match="a clip is uint8"):
        vision_language.watch(vlm, video[0])
    with pytest.raises(InputError, match="two-round"):
        JudgeConfig(mode="three")
    with pytest.raises(InputError, match="are not a stretch"):
        narration.caption(vision_language.watch(vlm, video), 5, 9)


def test_pairs_are_shared_by_eight_devices(folder, vlm, video):
    """The same scores when frames and pairs are spread over devices."""
    code = f"""
import numpy as np, jax
from jax.sharding import NamedSharding, PartitionSpec
from semjax.semantics import judge, vision_language
mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
everywhere, rows = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
vlm = vision_language.load({str(folder[0])!r}, dtype="float32", sharding=everywhere)
clip = vision_language.watch(vlm, np.load({str(folder[0] / "video.npy")!r}), sharding=rows)
placed = clip.placed(np.zeros((8, 2)))
assert len(placed.sharding.device_set) == 8 and placed.addressable_shards[0].data.shape == (1, 2)
print(*judge.direct(clip, 0, list(range(8)), judge.JudgeConfig(ahead=8)))
"""
    np.save(folder[0] / "video.npy", video)
    flags = "--xla_force_host_platform_device_count=8"
    env = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(judge.__file__).parents[2])}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | env
    )
    assert out.returncode == 0, out.stderr[-2000:]
    alone = judge.direct(vision_language.watch(vlm, video), 0, range(8), JudgeConfig(ahead=8))
    np.testing.assert_allclose([float(x) for x in out.stdout.split()], alone, atol=1e-4)
