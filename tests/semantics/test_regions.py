"""Label maps without weights: regions found, followed, born, joined, restarted; the promises of the docstrings."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_shapes import best_overlap, clip

from semjax.errors import InputError
from semjax.semantics import RegionConfig, RegionState, find_each, find_regions, regions_init, segment
from semjax.semantics.reweighting import weighted_median

RED, BLUE, GREY = (200, 40, 40), (50, 70, 200), (150, 150, 150)
TWO = (("disc", RED, 16, (30, 40), (2, 0.5)), ("box", BLUE, 12, (110, 60), (-1, 0)))


def test_shapes_keep_one_label_with_a_close_outline():
    video, truth = clip(shapes=TWO)
    found = segment(video)
    assert found.shape == truth.shape and found.dtype == np.uint8
    assert best_overlap(found, truth, 1) > 0.85
    assert best_overlap(found, truth, 2) > 0.85
    assert best_overlap(found, truth, 0) > 0.95


def test_background_is_zero_and_every_frame_has_few_labels():
    video, truth = clip(shapes=TWO)
    found = segment(video, RegionConfig(max_regions=4))
    assert all(len(np.unique(frame)) <= 4 for frame in found)
    assert (found[truth == 0] == 0).mean() > 0.9


def test_shapes_are_followed_while_the_camera_pans():
    video, truth = clip(shapes=TWO, pan=2.0)
    found = segment(video)
    assert best_overlap(found, truth, 1) > 0.8
    assert best_overlap(found, truth, 2) > 0.8


def test_a_thing_of_the_background_s_colour_stands_out_once_it_moves():
    ground = (110, 120, 110)
    video, truth = clip(frames=30, shapes=[("disc", ground, 20, (40, 48), (2, 0))], ground=ground)
    found = segment(video)
    assert best_overlap(found[:1], truth[:1], 1) < 0.5  # nothing to tell it by in a single picture
    assert best_overlap(found[-10:], truth[-10:], 1) > 0.6


def test_what_enters_becomes_a_new_region_with_a_new_label():
    video, truth = clip(frames=30, shapes=[("disc", RED, 14, (-40, 48), (4, 0))])
    found = segment(video)
    assert best_overlap(found[20:], truth[20:], 1) > 0.8
    newcomer = np.bincount(found[25][truth[25] == 1]).argmax()
    assert newcomer not in np.unique(found[:5])


def test_labels_are_not_given_twice_across_a_cut():
    first, _ = clip(frames=8, shapes=TWO)
    second, truth = clip(frames=8, shapes=[("box", GREY, 20, (70, 50), (1, 0))], ground=(60, 60, 150), seed=3)
    found = segment(np.concatenate([first, second]))
    assert set(np.unique(found[:8])) & set(np.unique(found[8:])) == {0}
    assert best_overlap(found[8:], truth, 1) > 0.85


def test_outlines_of_a_still_picture_hold_still():
    video, _ = clip(frames=1, shapes=TWO)
    found = segment(np.repeat(video, 12, axis=0))
    changed = (found[2:] != found[1:-1]).mean(axis=(1, 2))
    assert changed.max() < 0.005


def test_pieces_are_not_smaller_than_asked():
    import cv2

    video, _ = clip(shapes=(*TWO, ("disc", GREY, 2, (80, 20), (0, 0))))
    cfg = RegionConfig(min_area=0.005)
    for frame in segment(video, cfg):
        for label in np.unique(frame):
            _, _, stats, _ = cv2.connectedComponentsWithStats(
                (frame == label).astype(np.uint8), connectivity=4
            )
            # an old piece may shrink to half the size before it goes, and the drawing rounds its corners
            assert stats[1:, cv2.CC_STAT_AREA].min() >= 0.4 * cfg.min_area * frame.size


@settings(deadline=None, max_examples=5)
@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_labels_do_not_depend_on_how_the_clip_is_cut_into_calls(cuts):
    video, _ = clip(frames=12, size=(48, 64), shapes=[("disc", RED, 9, (20, 24), (2, 0))])
    whole = segment(video)
    state, pieces = regions_init(RegionConfig()), []
    edges = [0, *sorted(cuts), len(video)]
    for start, stop in itertools.pairwise(edges):
        labels, state = find_regions(video[start:stop], state, RegionConfig())
        pieces.append(labels)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_frames_one_by_one_give_the_same_labels():
    video, _ = clip(6, shapes=(("disc", (200, 60, 50), 16, (40, 40), (3, 1)),))
    pairs = list(find_each(iter(video), RegionConfig()))
    np.testing.assert_array_equal([frame for frame, _ in pairs], video)
    np.testing.assert_array_equal([labels for _, labels in pairs], segment(video))
    with pytest.raises(InputError, match="keep the clip's size"):
        list(find_each([video[0], video[1, :-2]], RegionConfig()))


def test_the_state_does_not_grow_with_the_clip():
    video, _ = clip(frames=40, size=(48, 64), shapes=[("disc", RED, 9, (10, 24), (1, 0))])
    cfg = RegionConfig()
    _, early = find_regions(video[:8], regions_init(cfg), cfg)
    _, late = find_regions(video[8:], early, cfg)
    assert _bytes(late) <= _bytes(early) * cfg.max_regions / len(early.ids)


def _bytes(state: RegionState) -> int:
    arrays = (getattr(state, f.name) for f in dataclasses.fields(state))
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


def test_more_than_255_regions_pass_in_a_long_clip():
    rng = np.random.default_rng(0)
    scenes = [
        np.kron(rng.integers(0, 256, (3, 4, 3)), np.ones((12, 12, 1))).astype(np.uint8) for _ in range(90)
    ]
    found = segment(np.stack(scenes))
    assert all(len(np.unique(frame)) <= 8 and 0 in frame for frame in found)
    assert found.max() > 200


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 30), (2, 30, 1), (3, 5, 3), (2, 17, 33), (1, 64, 64)])
def test_any_size_and_pure_noise_give_label_maps(shape):
    video = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = segment(video)
    assert found.shape == shape and all(len(np.unique(f)) <= 8 for f in found)


def test_a_flat_picture_is_all_background():
    assert not segment(np.full((3, 40, 60, 3), 90, np.uint8)).any()


def test_no_frames_give_no_labels():
    labels, state = find_regions(
        np.zeros((0, 8, 8, 3), np.uint8), regions_init(RegionConfig()), RegionConfig()
    )
    assert labels.shape == (0, 8, 8) and state == RegionState()


@pytest.mark.parametrize(
    "setting", [{"max_regions": 1}, {"max_regions": 33}, {"min_area": 0}, {"smoothness": -1}, {"contrast": 2}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        RegionConfig(**setting)


def test_frames_of_another_kind_are_refused():
    cfg = RegionConfig()
    with pytest.raises(InputError, match="uint8"):
        find_regions(np.zeros((1, 8, 8, 3)), regions_init(cfg), cfg)
    with pytest.raises(InputError, match="uint8"):
        find_regions(np.zeros((1, 8, 8), np.uint8), regions_init(cfg), cfg)
    _, state = find_regions(np.zeros((1, 8, 8, 3), np.uint8), regions_init(cfg), cfg)
    with pytest.raises(InputError, match="size"):
        find_regions(np.zeros((1, 9, 8, 3), np.uint8), state, cfg)
    with pytest.raises(InputError, match="RegionConfig"):
        regions_init(None)


@pytest.mark.parametrize("smoothness", [0, 2])
def test_smoothness_may_be_off_or_strong(smoothness):
    video, truth = clip(frames=8, shapes=TWO)
    assert best_overlap(segment(video, RegionConfig(smoothness=smoothness)), truth, 1) > 0.7


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 3)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_weighted_median_is_the_least_value_with_half_of_the_weight(pairs):
    values, weight = (np.array(column, float) for column in zip(*pairs))
    reached = [v for v in values if weight[values <= v].sum() >= weight.sum() / 2]
    assert weighted_median(values, weight) == min(reached)
