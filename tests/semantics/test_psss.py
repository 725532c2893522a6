"""PSSS from logits: the definition, its invariance, the published form, spellings of the answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semjax import semantics
from semjax.errors import InputError


def test_score_is_the_difference_of_the_two_answers():
    p = jnp.array([[0.1, 0.2, 0.3, 0.05, 0.15, 0.2], [0.5, 0.02, 0.1, 0.2, 0.1, 0.08]])
    yes, no = [0, 3], [1, 2]
    expected = [(0.5 - 0.15) / 0.65, (0.12 - 0.7) / 0.82]
    assert np.allclose(semantics.psss(jnp.log(p), yes, no), expected, atol=1e-6)
    assert np.allclose(semantics.log_odds(jnp.log(p), yes, no), np.log([0.5 / 0.15, 0.12 / 0.7]), atol=1e-6)
    assert np.allclose(semantics.psss_single(jnp.log(p), 0, 1), [0.1, -0.48], atol=1e-6)
    assert np.allclose(semantics.psss_absolute(jnp.log(p), yes, no), [0.15, 0.7], atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(-20, 20))
def test_a_bias_common_to_both_answers_cancels(seed, bias, elsewhere):
    logits = np.random.default_rng(seed).normal(0, 4, 50).astype(np.float32)
    yes, no = [3, 8, 11], [4, 30]
    score = float(semantics.psss(jnp.asarray(logits), yes, no))
    assert -1 <= score <= 1
    moved = logits + elsewhere
    moved[[*yes, *no]] += bias
    assert semantics.psss(jnp.asarray(moved), yes, no) == pytest.approx(score, abs=1e-4)
    assert semantics.psss(jnp.asarray(logits), no, yes) == pytest.approx(-score, abs=1e-6)


def test_works_under_jit_vmap_and_half_precision():
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 3, (2, 3, 40)), jnp.bfloat16)
    score = jax.jit(lambda x: semantics.psss(x, (1, 2), (3,)))(logits)
    assert score.shape == (2, 3) and score.dtype == jnp.float32
    one = jax.vmap(jax.vmap(lambda x: semantics.psss(x, (1, 2), (3,))))(logits)
    assert np.allclose(score, one, atol=1e-6)
    # Far apart the score saturates; its gradient stays a number.
    assert np.isfinite(jax.grad(lambda x: semantics.psss(x, (0,), (1,)))(jnp.array([500.0, -500.0]))).all()


def test_answers_are_found_in_any_tokenizer():
    words = ["Yes", "yes", "YES", " Yes", " yes", "No", "no", "NO", " No", " ", "\n"]

    def encode(text):  # longest match, as a byte-pair vocabulary with these words would have it
        ids = []
        while text:
            word = max((w for w in words if text.startswith(w)), key=len, default=text[0])
            ids.append(words.index(word) if word in words else 100 + ord(word))
            text = text[len(word) :]
        return ids

    yes, no = semantics.answer_ids(encode)
    # " YES", " no" and " NO" begin with a lone space, which is no answer
    assert {words[i] for i in yes} == {"Yes", "yes", "YES", " Yes", " yes"}
    assert {words[i] for i in no} == {"No", "no", "NO", " No"}
    with pytest.raises(InputError, match="same first tokens"):
        semantics.answer_ids(lambda text: [7])


@pytest.mark.parametrize("yes, no", [([], [1]), ([1], [1, 2]), ([1], [40]), ([-1], [2])])
def test_impossible_ids_are_refused(yes, no):
    with pytest.raises(InputError, match="ids"):
        semantics.psss(jnp.zeros(40), yes, no)
