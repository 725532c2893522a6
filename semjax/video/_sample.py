"""The clip that comes with the package."""

import dataclasses
import importlib.resources
import pathlib

from semjax.errors import NotAvailableError


@dataclasses.dataclass(frozen=True)
class SampleClip:
    """Where the bundled clip lies: a video file, a folder of label maps, a JSON file of captions."""

    video_path: pathlib.Path
    labels_path: pathlib.Path
    captions_path: pathlib.Path


def sample_clip() -> SampleClip:
    """Paths of the bundled sample clip; `NotAvailableError` when this installation comes without it."""
    # Package data of a regular installation are files; semjax is not meant to run from inside a zip archive.
    folder = pathlib.Path(str(importlib.resources.files("semjax.assets") / "sample"))
    sample = SampleClip(folder / "video.mp4", folder / "labels", folder / "captions.json")
    missing = [p.name for p in dataclasses.astuple(sample) if not p.exists()]
    if missing:
        raise NotAvailableError(
            f"The bundled sample lacks {', '.join(missing)} in {folder}; "
            "reinstall semjax or name a clip of your own."
        )
    return sample
