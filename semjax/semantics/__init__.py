"""Pixels to meaning: label maps, tracks, captions, keyframe choice. Without any weights, but for the last part.

Label maps
    RegionConfig, RegionState       settings and what is remembered between frames
    regions_init, find_regions      streaming: frames in, label maps out
    find_each                       the same, frame by frame
    segment                         a whole clip at once
Tracks
    Track, Camera, TrackState       what labels and the camera did over a segment
    tracks_init, tracks_update      streaming: frames and label maps in
    next_segment, seen              begin a new segment; the tracks of the running one
Captions
    CaptionConfig, caption, captions, describe, sentence
    colour_name                     a colour in a word
Keyframes
    CutConfig, CutState, cut_step, change_score, thumbnail
    skim, scene_cuts, skim_with_cuts
    SkemConfig, skem                keyframes where the meaning changed, from pixels and label maps
    SkemState, skem_step, select    the same for any scorer of frame pairs, frame by frame or at once
    threshold_for, cascade, remembered
    view, measures, probability, scorer     the structural scorer: PSSS without weights
PSSS
    psss, log_odds, psss_single, psss_absolute      from the logits of a multimodal model
    answer_ids                      the tokens of yes and no
With weights (modules, loaded when they are first asked for)
    vision_language                 InternVL and a clip that it looks at: load, watch
    judge                           PSSS from it, with the interface of the structural scorer
    narration                       captions from it
    classes                         label maps of named classes from SegFormer
"""

import importlib

from semjax.semantics.captions import CaptionConfig, caption, captions, describe, sentence
from semjax.semantics.change import CutConfig, CutState, change_score, cut_step, thumbnail
from semjax.semantics.keyframes import (
    SkemConfig,
    SkemState,
    cascade,
    remembered,
    select,
    skem_step,
    threshold_for,
)
from semjax.semantics.palette import colour_name
from semjax.semantics.psss import answer_ids, log_odds, psss, psss_absolute, psss_single
from semjax.semantics.region_state import RegionConfig, RegionState
from semjax.semantics.regions import find_each, find_regions, regions_init, segment
from semjax.semantics.selection import scene_cuts, skim, skim_with_cuts
from semjax.semantics.structural import measures, probability, scorer, skem, view
from semjax.semantics.tracks import Camera, Track, TrackState, next_segment, seen, tracks_init, tracks_update

__all__ = [
    "Camera",
    "CaptionConfig",
    "CutConfig",
    "CutState",
    "RegionConfig",
    "RegionState",
    "SkemConfig",
    "SkemState",
    "Track",
    "TrackState",
    "answer_ids",
    "caption",
    "captions",
    "cascade",
    "change_score",
    "colour_name",
    "cut_step",
    "describe",
    "find_each",
    "find_regions",
    "log_odds",
    "measures",
    "next_segment",
    "probability",
    "psss",
    "psss_absolute",
    "psss_single",
    "regions_init",
    "remembered",
    "scene_cuts",
    "scorer",
    "seen",
    "segment",
    "select",
    "sentence",
    "skem",
    "skem_step",
    "skim",
    "skim_with_cuts",
    "threshold_for",
    "thumbnail",
    "tracks_init",
    "tracks_update",
    "view",
]

_WITH_WEIGHTS = ("classes", "judge", "narration", "vision_language")  # these load the networks


def __getattr__(name: str):
    if name not in _WITH_WEIGHTS:
        raise AttributeError(f"module 'semjax.semantics' has no attribute {name!r}")
    return importlib.import_module(f"semjax.semantics.{name}")


def __dir__():
    return sorted([*__all__, *_WITH_WEIGHTS])
