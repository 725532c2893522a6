"""Captions from files: one sentence for a clip, or sentences for ranges of frames."""

import json
import os
import pathlib

from semjax.errors import InputError
from semjax.types import Caption


def read_captions(
    path: str | os.PathLike, frames: int, *, clip: str | os.PathLike | None = None
) -> list[Caption]:
    """Captions of a clip of `frames` frames: the sentence for the whole clip first, then its segments.

    The file is one of
      - text: one sentence for the whole clip;
      - JSON `{"caption": str, "segments": [{"first": int, "last": int, "caption": str}, ...]}`; either key
        alone will do; frame ranges are inclusive, ascending, without overlap;
      - JSON `{name: {...as above...}, ...}` for several clips. `clip` picks one: a name, or the clip's path,
        any part of which may be the name (`camel` in `clips/camel/video.mp4`); later and longer parts first.
    Other keys are left alone. `InputError` says what is wrong and where.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The caption file {path} cannot be read ({error}); expected UTF-8 text or JSON."
        ) from error
    if path.suffix.lower() != ".json" and not text.lstrip().startswith("{"):
        return [Caption(0, frames - 1, _sentence(text, f"{path}"))]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The caption file {path} is not valid JSON ({error}).") from error
    if not isinstance(data, dict):
        raise InputError(f"The caption file {path} must hold a JSON object, got {type(data).__name__}.")
    if "caption" not in data and "segments" not in data:
        data = _pick(data, clip, path)
    found = []
    if "caption" in data:
        found.append(Caption(0, frames - 1, _sentence(data["caption"], f'"caption" in {path}')))
    found += _segments(data.get("segments", []), frames, path)
    if not found:
        raise InputError(f'The caption file {path} has neither "caption" nor "segments" for this clip.')
    return found


def _pick(data: dict, clip: str | os.PathLike | None, path: pathlib.Path) -> dict:
    """The entry of one clip in a file of several."""
    names = []
    if clip is not None:
        parts = pathlib.PurePosixPath(pathlib.PurePath(clip).as_posix().strip("/")).parts
        for end in range(len(parts), 0, -1):  # clips/camel/video.mp4 may be called camel: folders count too
            for first in range(end):
                tail = "/".join(parts[first:end])
                names += [tail, tail.rpartition(".")[0]]
    name = next((n for n in names if n in data), None)
    if name is None and len(data) == 1:
        name = next(iter(data))
    if name is None:
        shown = ", ".join(list(data)[:8]) + (", ..." if len(data) > 8 else "")
        asked = f"none fits {clip}" if clip is not None else "no clip was named"
        raise InputError(f"The caption file {path} has captions for {shown or 'no clip'}, but {asked}.")
    if not isinstance(data[name], dict):
        raise InputError(f'The entry "{name}" of {path} must be a JSON object with "caption" or "segments".')
    return data[name]


def _segments(items, frames: int, path: pathlib.Path) -> list[Caption]:
    if not isinstance(items, list):
        raise InputError(f'"segments" in {path} must be a list, got {type(items).__name__}.')
    found = []
    for i, item in enumerate(items):
        where = f"segment {i} in {path}"
        if not isinstance(item, dict) or not {"first", "last", "caption"} <= item.keys():
            raise InputError(f'The {where} must have "first", "last" and "caption".')
        first, last = item["first"], item["last"]
        if type(first) is not int or type(last) is not int or not 0 <= first <= last < frames:
            raise InputError(
                f"The {where} covers frames {first!r} to {last!r}; "
                f"the clip has frames 0 to {frames - 1} (inclusive)."
            )
        if found and first <= found[-1].last:
            raise InputError(
                f"The {where} starts at frame {first}, but the one before ends at {found[-1].last}."
            )
        found.append(Caption(first, last, _sentence(item["caption"], where)))
    return found


def _sentence(text, where: str) -> str:
    """One line of text; runs of white space become one space."""
    if not isinstance(text, str):
        raise InputError(f"The caption of {where} must be text, got {type(text).__name__}.")
    text = " ".join(text.split())
    if not text:
        raise InputError(f"The caption of {where} is empty; write a sentence or leave the file out.")
    return text
