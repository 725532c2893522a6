"""Captions from a vision-language model that sees four frames of a segment (as many as LGVSC's captioner)."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from semjax.errors import InputError
from semjax.semantics import vision_language as vl
from semjax.semantics.captions import LONGEST
from semjax.types import Caption

_SHOWN = 4
_ASK = (
    "\nThese are frames of one video in order. Say in one or two plain sentences who or what is there, where, how it "
    "moves, and what changes.<|im_end|>\n<|im_start|>assistant\n"
)


@dataclasses.dataclass(frozen=True)
class NarrationConfig:
    """segment: frames that one caption covers; words: most tokens that are generated for one."""

    segment: int = 48
    words: int = 96

    def __post_init__(self):
        if self.segment < 1 or self.words < 1:
            raise InputError(f"segment and words must be at least 1, not {self.segment} and {self.words}")


def captions(clip: vl.Clip, cfg: NarrationConfig = NarrationConfig()) -> list[Caption]:
    """One caption per stretch of `cfg.segment` frames, at most 300 bytes of UTF-8 each."""
    frames = len(clip.video)
    stretches = [(start, min(start + cfg.segment, frames)) for start in range(0, frames, cfg.segment)]
    return [Caption(start, stop - 1, caption(clip, start, stop, cfg)) for start, stop in stretches]


def caption(clip: vl.Clip, start: int, stop: int, cfg: NarrationConfig = NarrationConfig()) -> str:
    """One or two sentences on the frames `start` to `stop` (which is not included)."""
    if not 0 <= start < stop <= len(clip.video):
        raise InputError(f"frames {start} to {stop} are not a stretch of a clip of {len(clip.video)} frames")
    shown = start + (stop - start) * (2 * np.arange(_SHOWN) + 1) // (2 * _SHOWN)
    vlm = clip.vlm
    parts: list[str | int] = ["<|im_start|>user\n"]
    for number in range(_SHOWN):
        parts += [f"Frame{number + 1}: ", 1, "\n"]
    ids = vlm.prompt([*parts, _ASK], clip.size)
    features = clip.features(shown.tolist())
    logits, cache = vl.begin(vlm.net, vlm.params, jnp.asarray([ids]), features, len(ids) + cfg.words)
    text, _ = vl.write(vlm.net, vlm.params, logits, cache, cfg.words, vlm.end)
    return fitted(vlm.tokenizer.decode(np.asarray(text[0]).tolist(), skip_special_tokens=True))


def fitted(text: str, most: int = LONGEST) -> str:
    """A model's answer as a caption: one line of at most `most` bytes, whole sentences if there is one, else words."""
    text = " ".join(text.split())
    if len(text.encode()) > most:
        text = text.encode()[:most].decode(errors="ignore")
        end = max(text.rfind(mark) for mark in (". ", "! ", "? "))
        text = text[: end + 1] if end > 0 else text.rsplit(" ", 1)[0]
    return text or "A scene."
