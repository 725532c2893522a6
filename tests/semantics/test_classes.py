"""Label maps from SegFormer, and scores brought to rest."""

import cv2
import numpy as np
import pytest
import torch
import transformers
from moving_shapes import clip

from semjax import checkpoints, semantics
from semjax.errors import InputError
from semjax.semantics import classes, steady


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(our model, transformers') with random weights and three named classes."""
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 24, 32), num_attention_heads=(1, 2, 3, 4), decoder_hidden_size=16,
        id2label={0: "wall", 1: "floor", 2: "cat"},
    )  # fmt: skip
    module = transformers.SegformerForSemanticSegmentation(config).eval()
    torch.nn.init.normal_(module.decode_head.classifier.weight)  # so that every class wins somewhere
    module.decode_head.classifier.weight.data -= module.decode_head.classifier.weight.data.mean(
        1, keepdim=True
    )
    folder = tmp_path_factory.mktemp("segformer")
    module.save_pretrained(folder / "theirs")
    checkpoints.convert(folder / "theirs", folder / "ours")
    return classes.load(folder / "ours"), module


def test_label_maps_are_those_of_transformers_when_each_frame_stands_alone(model):
    ours, module = model
    video, _ = clip(frames=3, size=(48, 64))
    cfg = classes.ClassConfig(size=(64, 96), batch=2, share=0)
    found = classes.segment(video, ours, cfg)
    processor = transformers.SegformerImageProcessorPil(size={"height": 64, "width": 96})
    with torch.no_grad():
        out = module(**processor(list(video), return_tensors="pt"))
    expected = processor.post_process_semantic_segmentation(out, target_sizes=[(48, 64)] * 3)
    assert (found != np.stack(expected)).mean() < 1e-3  # ties
    assert len(np.unique(found)) > 1
    assert ours.names == {0: "wall", 1: "floor", 2: "cat"}
    state, pieces = steady.SteadyState(), []
    cfg = classes.ClassConfig(size=(64, 96), batch=2)
    for part in (video[:1], video[1:]):
        labels, state = classes.find_classes(part, state, ours, cfg)
        pieces.append(labels)
    np.testing.assert_array_equal(np.concatenate(pieces), classes.segment(video, ours, cfg))


def noisy_scores(truth, seed=0):
    """What a network that hesitates would say: blunt outlines and another error in every frame."""
    draw = np.random.default_rng(seed)
    found = []
    for frame in truth:
        planes = [cv2.GaussianBlur((frame == k).astype(np.float32), (0, 0), 2) for k in range(3)]
        noise = [
            cv2.GaussianBlur(draw.standard_normal(frame.shape).astype(np.float32), (0, 0), 3) for _ in planes
        ]
        found.append(np.log(np.stack(planes, -1) + 0.05) + 4 * np.stack(noise, -1))
    return found


def test_resting_scores_flicker_less_and_are_nearer_to_the_truth():
    shapes = (("disc", (200, 40, 40), 16, (30, 40), (2, 0.5)), ("box", (50, 70, 200), 12, (110, 60), (-1, 0)))
    video, truth = clip(frames=14, shapes=shapes)
    state, rested, raw = steady.SteadyState(), [], []
    for frame, scores in zip(video, noisy_scores(truth)):
        calm, state = steady.steady(scores, frame, state)
        rested.append(calm.argmax(-1))
        raw.append(scores.argmax(-1))
    rested, raw = np.stack(rested), np.stack(raw)

    def flips(labels):
        return ((labels[1:] != labels[:-1]) & (truth[1:] == truth[:-1])).mean()

    assert flips(rested) < 0.65 * flips(raw)
    assert (rested[4:] != truth[4:]).mean() < 0.8 * (raw[4:] != truth[4:]).mean()


def test_a_cut_starts_afresh_and_bad_input_is_refused():
    video, truth = clip(frames=2, size=(48, 64))
    other = 255 - np.roll(video, 20, axis=2) // [1, 3, 4]
    scores = noisy_scores(truth)
    _, state = steady.steady(scores[0], video[0])
    calm, _ = steady.steady(scores[1], other[1].astype(np.uint8), state)
    np.testing.assert_array_equal(calm, scores[1].astype(np.float32))
    with pytest.raises(InputError, match="keep their shape"):
        steady.steady(scores[1][:9], video[1], state)
    with pytest.raises(InputError, match="share"):
        steady.steady(scores[0], video[0], share=1)


def test_what_is_missing_is_said(tmp_path, model):
    with pytest.raises(
        InputError, match=r"semjax convert nvidia/segformer-b0-finetuned-ade-512-512 --out .*nowhere"
    ):
        classes.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="uint8"):
        classes.segment(np.zeros((1, 8, 8, 3)), model[0])
    with pytest.raises(InputError, match="size must be"):
        classes.ClassConfig(size=(16, 64))
    assert semantics.classes is classes
