"""Pixels to meaning, without any weights: label maps, tracks, captions, keyframe choice.

Label maps
    RegionConfig, RegionState       settings and what is remembered between frames
    regions_init, find_regions      streaming: frames in, label maps out
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
"""

from semjax.semantics.captions import CaptionConfig, caption, captions, describe, sentence
from semjax.semantics.change import CutConfig, CutState, change_score, cut_step, thumbnail
from semjax.semantics.palette import colour_name
from semjax.semantics.region_state import RegionConfig, RegionState
from semjax.semantics.regions import find_regions, regions_init, segment
from semjax.semantics.selection import scene_cuts, skim, skim_with_cuts
from semjax.semantics.tracks import Camera, Track, TrackState, next_segment, seen, tracks_init, tracks_update

__all__ = [
    "Camera",
    "CaptionConfig",
    "CutConfig",
    "CutState",
    "RegionConfig",
    "RegionState",
    "Track",
    "TrackState",
    "caption",
    "captions",
    "change_score",
    "colour_name",
    "cut_step",
    "describe",
    "find_regions",
    "next_segment",
    "regions_init",
    "scene_cuts",
    "seen",
    "segment",
    "sentence",
    "skim",
    "skim_with_cuts",
    "thumbnail",
    "tracks_init",
    "tracks_update",
]
