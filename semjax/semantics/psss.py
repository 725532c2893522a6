"""PSSS, the probability-based semantic similarity score of LGVSC (arXiv 2606.12899), as functions of logits.

A multimodal model is asked whether two pictures show the same scene and its next-token distribution is read:
score = P(No) - P(Yes), from -1 (the same) to 1 (different). The published release takes one spelling of each answer
and the softmax over the whole vocabulary, although a fifth of the mass lies on other spellings; `psss` gathers all
spellings and normalises over the two answers, which makes the score tanh(log-odds / 2): a bias common to both cancels
exactly.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from semjax.errors import InputError

Ids = Sequence[int] | Int[Array, " n"]


def log_odds(logits: Float[Array, "*batch V"], yes_ids: Ids, no_ids: Ids) -> Float[Array, "*batch"]:
    """log P(No) - log P(Yes), each summed over all of its spellings; natural logarithm, any real number.

    Works under jit with the ids static. Raises InputError for empty, shared or impossible ids.
    """
    yes, no = _ids(yes_ids, no_ids, logits.shape[-1])
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    mass = [jax.nn.logsumexp(logits[..., ids], axis=-1) for ids in (no, yes)]
    return mass[0] - mass[1]


def psss(logits: Float[Array, "*batch V"], yes_ids: Ids, no_ids: Ids) -> Float[Array, "*batch"]:
    """P(No) - P(Yes) in (-1, 1) given that the answer is one of the two; high where the pictures differ.

    Equation for S_rel of arXiv 2606.12899 with both probabilities over all spellings and normalised to sum 1.
    Raises InputError as `log_odds`.
    """
    return jnp.tanh(log_odds(logits, yes_ids, no_ids) / 2)


def psss_single(logits: Float[Array, "*batch V"], yes_id: int, no_id: int) -> Float[Array, "*batch"]:
    """P(No) - P(Yes) as the published release computes it: one token each, softmax over the whole vocabulary.

    For comparison. Raises InputError as `log_odds`.
    """
    _ids([yes_id], [no_id], logits.shape[-1])
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    share = jax.nn.softmax(logits, axis=-1)
    return share[..., no_id] - share[..., yes_id]


def psss_absolute(logits: Float[Array, "*batch V"], yes_ids: Ids, no_ids: Ids) -> Float[Array, "*batch"]:
    """P(Yes) in [0, 1) over the whole vocabulary, all spellings: S_abs of arXiv 2606.12899.

    Raises InputError as `log_odds`.
    """
    yes, _ = _ids(yes_ids, no_ids, logits.shape[-1])
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.exp(jax.nn.logsumexp(logits[..., yes], -1) - jax.nn.logsumexp(logits, -1))


def answer_ids(encode: Callable[[str], Sequence[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(yes_ids, no_ids): the first token of every spelling of the two answers.

    `encode(text)` gives the token ids without special tokens, as
    `functools.partial(tokenizer.encode, add_special_tokens=False)` of a transformers tokenizer does. Spellings are
    lower case, capitalised and upper case, each also after a space or a line break. A first token that both answers
    share says nothing and is left out, and so is one that is only white space. Raises InputError when an answer is
    left without a token.
    """
    found = []
    for word in ("yes", "no"):
        forms = [lead + form for form in (word, word.title(), word.upper()) for lead in ("", " ", "\n")]
        blanks = {ids[0] for ids in map(encode, (" ", "\n")) if len(ids)}
        found.append({int(ids[0]) for ids in map(encode, forms) if len(ids)} - {int(b) for b in blanks})
    yes, no = found[0] - found[1], found[1] - found[0]
    if not yes or not no:
        raise InputError(
            "this tokenizer writes yes and no with the same first tokens; PSSS cannot tell them apart"
        )
    return tuple(sorted(yes)), tuple(sorted(no))


def _ids(yes_ids: Ids, no_ids: Ids, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    yes, no = (np.unique(np.asarray(ids, np.int64)) for ids in (yes_ids, no_ids))
    if not len(yes) or not len(no) or np.intersect1d(yes, no).size:
        raise InputError(f"yes and no need token ids of their own each, not {yes.tolist()} and {no.tolist()}")
    if min(yes[0], no[0]) < 0 or max(yes[-1], no[-1]) >= vocabulary:
        raise InputError(f"the token ids {yes.tolist()} and {no.tolist()} must lie in 0..{vocabulary - 1}")
    return yes, no
