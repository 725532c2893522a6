"""PSSS by a vision-language model: a scorer of frame pairs as `structural.scorer` makes one, from InternVL's answers.

`direct` asks once and reads the distribution of the next token: no word is generated, the keyframe's part of the prompt
is read once and each frame is seen once. `two-round` is the procedure of LGVSC (arXiv 2606.12899): the model first
describes both pictures, then compares its descriptions; nothing is kept from pair to pair. The wording is ours.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from semjax.errors import InputError
from semjax.semantics import vision_language as vl
from semjax.semantics.keyframes import Scorer
from semjax.semantics.psss import answer_ids, psss, psss_single
from semjax.semantics.tiles import tiles

FOCUS = {
    "general": "the setting, which people and things are there, where they are and what they do",
    "main object": "only the main person or thing: its action, pose and movement; leave the background out",
    "background": "only the setting, the light and what stands still; leave people and things in front out",
}
_TURN = "<|im_end|>\n<|im_start|>"
_DIRECT = (
    "<|im_start|>user\nTwo pictures of one video follow. Compare {focus}.\nPicture 1: ",
    "\nPicture 2: ",
    f"\nDo both show the same? Answer yes or no.{_TURN}assistant\n",
)
_DESCRIBE = (
    "<|im_start|>user\nPicture 1: ",
    "\nPicture 2: ",
    "\nDescribe each picture by itself and in detail, with attention to {focus}. Write two paragraphs that begin with "
    f'"Picture 1:" and "Picture 2:".{_TURN}assistant\n',
)
_COMPARE = (
    f"{_TURN}user\nCompare the two descriptions: did things move, appear or vanish, and how much did it change? With "
    f"attention to {{focus}}: do they describe the same scene? Answer only yes or no.{_TURN}assistant\n"
)


@dataclasses.dataclass(frozen=True)
class JudgeConfig:
    """How the model is asked.

    mode: "direct" or "two-round". focus: one of FOCUS or words of your own that end "Compare ...".
    single: the published difference of one token's probabilities ("No", "Yes") in place of that over all spellings.
    ahead: candidates that are scored in one batch, `stride` frames apart, on the guess that they will be asked for.
    words: most tokens of a description (two-round; the release has 1024). tiles: most tiles of a picture there.
    """

    mode: str = "direct"
    focus: str = "general"
    single: bool = False
    ahead: int = 1
    stride: int = 1
    words: int = 1024
    tiles: int = 12

    def __post_init__(self):
        if self.mode not in ("direct", "two-round"):
            raise InputError(f'mode is "direct" or "two-round", not {self.mode!r}')
        if min(self.ahead, self.stride, self.words, self.tiles) < 1:
            raise InputError("ahead, stride, words and tiles must be at least 1")
        if not self.focus.strip():
            raise InputError("focus needs words: what shall be compared?")


def scorer(clip: vl.Clip, cfg: JudgeConfig = JudgeConfig()) -> Scorer:
    """A scorer of pairs (i, j) of a clip's frames for `select` and `skem_step`: PSSS in (-1, 1)."""
    if cfg.mode == "two-round":
        return lambda i, j: two_rounds(clip, i, j, cfg)
    known: dict[tuple[int, int], float] = {}

    def score(i: int, j: int) -> float:
        if (i, j) not in known:
            known.clear()
            ahead = range(j, min(j + cfg.ahead * cfg.stride, len(clip.video)), cfg.stride)
            known.update(zip([(i, k) for k in ahead], direct(clip, i, ahead, cfg).tolist()))
        return known[i, j]

    return score


def direct(
    clip: vl.Clip, keyframe: int, frames: Sequence[int], cfg: JudgeConfig = JudgeConfig()
) -> Float[np.ndarray, " n"]:
    """PSSS of frames against one keyframe, in one batch and one forward pass. The last rows of a batch that is not
    full are computed for nothing, so that there is one program."""
    vlm, frames = clip.vlm, list(frames)
    end = _texts(_DIRECT, cfg)[-1]
    suffix = vlm.prompt([1, end], clip.size)
    size = max(cfg.ahead, 1)
    cache = _beginning(clip, keyframe, cfg, len(suffix))
    found = []
    for start in range(0, len(frames), size):
        batch = frames[start : start + size]
        features = clip.features(batch + batch[-1:] * (size - len(batch)))
        logits = vl.judge(vlm.net, vlm.params, cache, jnp.asarray(suffix), clip.placed(features))
        found.append(_score(vlm, logits, cfg)[: len(batch)])
    return np.concatenate(found)


def _beginning(clip: vl.Clip, keyframe: int, cfg: JudgeConfig, more: int):
    """What the model has read up to the second picture, kept with the clip until the keyframe changes."""
    kept = getattr(clip, "beginning", None)
    if kept is None or kept[0] != (keyframe, cfg.focus):
        start, middle, _ = _texts(_DIRECT, cfg)
        ids = clip.vlm.prompt([start, 1, middle], clip.size)
        features = clip.features([keyframe])
        _, cache = vl.begin(clip.vlm.net, clip.vlm.params, jnp.asarray([ids]), features, len(ids) + more)
        clip.beginning = ((keyframe, cfg.focus), cache)
    return clip.beginning[1]


def two_rounds(clip: vl.Clip, i: int, j: int, cfg: JudgeConfig) -> float:
    """PSSS as LGVSC computes it: describe both pictures, compare the descriptions, read the answer's first token.

    Pictures are cut into tiles as the model's processor does it. What was read in the first round is kept for the
    second, which changes nothing in the result; the release reads it again.
    """
    vlm = clip.vlm
    parts = [tiles(clip.video[frame], vlm.side, cfg.tiles) for frame in (i, j)]
    start, middle, end = _texts(_DESCRIBE, cfg)
    ids = vlm.prompt([start, len(parts[0]), middle, len(parts[1]), end])
    compare = vlm.prompt([_texts((_COMPARE,), cfg)[0]])
    features = vl.look(vlm.net, vlm.params, np.concatenate(parts))
    room = len(ids) + cfg.words + len(compare) + 1
    logits, cache = vl.begin(vlm.net, vlm.params, jnp.asarray([ids]), features, room)
    text, cache = vl.write(vlm.net, vlm.params, logits, cache, cfg.words, vlm.end)
    # Without an end the last word has not been read yet.
    rest = jnp.concatenate([text[:, -1:], jnp.asarray([compare])], 1)
    real = jnp.ones(rest.shape, bool).at[:, 0].set(text[:, -1] != vlm.end)
    logits, _ = vl.go_on(vlm.net, vlm.params, cache, rest, real)
    return float(_score(vlm, logits, cfg)[0])


def _texts(parts: Sequence[str], cfg: JudgeConfig) -> list[str]:
    return [part.replace("{focus}", FOCUS.get(cfg.focus, cfg.focus)) for part in parts]


def _score(vlm: vl.Vlm, logits, cfg: JudgeConfig) -> np.ndarray:
    if cfg.single:
        yes, no = (vlm.encode(word)[0] for word in ("Yes", "No"))
        return np.asarray(psss_single(logits, yes, no))
    return np.asarray(psss(logits, *_answers(vlm.tokenizer)))


@functools.lru_cache(maxsize=4)
def _answers(tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return answer_ids(functools.partial(tokenizer.encode, add_special_tokens=False))
