"""Reading and writing clips, label maps and captions; the bundled sample clip.

Clips
    open_video      file or folder of pictures -> VideoReader, streaming, constant memory
    read_video      the same, as one array uint8 [T, H, W, 3]
    probe           size, exact frame count and rate of a clip
    VideoWriter     frames or chunks -> file or folder of pictures, renamed into place when complete
    write_video     the same for an array or an iterable
Label maps
    open_labels     folder of 8-bit PNGs -> LabelReader, streaming
    read_labels     the same, as one array uint8 [T, H, W]
    write_labels    label maps -> folder of PNGs
    check_labels    do these label maps belong to this clip?
Words and the sample
    read_captions   JSON or text -> list of Caption
    sample_clip     paths of the bundled clip, its label maps and captions
"""

from semjax.video._captions import read_captions
from semjax.video._labels import LabelReader, check_labels, open_labels, read_labels, write_labels
from semjax.video._reader import VideoReader, open_video, probe, read_video
from semjax.video._sample import SampleClip, sample_clip
from semjax.video._writer import VideoWriter, write_video

__all__ = [
    "LabelReader",
    "SampleClip",
    "VideoReader",
    "VideoWriter",
    "check_labels",
    "open_labels",
    "open_video",
    "probe",
    "read_captions",
    "read_labels",
    "read_video",
    "sample_clip",
    "write_labels",
    "write_video",
]
