"""Do captions say the same: BLEU and ROUGE-L, through the packages that papers use.

Both take (references, hypotheses) as lists of sentences of one length, pool them, and need `semjax[metrics]`.
"""

from collections.abc import Sequence

from semjax.errors import InputError
from semjax.metrics._inputs import optional


def bleu(references: Sequence[str] | Sequence[Sequence[str]], hypotheses: Sequence[str]) -> float:
    """Corpus BLEU-4, Papineni et al. 2002, as sacrebleu defines it (13a tokens, exponential smoothing).

    Range [0, 100], higher is better, 100 for copies of four words or more. A reference may be a list of sentences
    of which each counts; all lists have one length then.
    """
    sacrebleu = optional("sacrebleu")
    several = _check(references, hypotheses)
    if len({len(r) for r in several}) > 1:
        raise InputError("Every hypothesis needs the same number of reference sentences.")
    return float(sacrebleu.corpus_bleu(list(hypotheses), [list(r) for r in zip(*several)]).score)


def rouge_l(references: Sequence[str] | Sequence[Sequence[str]], hypotheses: Sequence[str]) -> float:
    """ROUGE-L F-measure, Lin 2004, as rouge-score computes it without stemming. Range [0, 1], higher is better.

    Best of several references, mean over pairs; 1 for copies.
    """
    scorer = optional("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=False)
    several = _check(references, hypotheses)
    best = [scorer.score_multi(list(r), h)["rougeL"].fmeasure for r, h in zip(several, hypotheses)]
    return float(sum(best) / len(best))


def _check(references, hypotheses) -> list[list[str]]:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise InputError("Give lists of sentences, also for a single pair.")
    if len(references) != len(hypotheses) or not len(references):
        raise InputError(
            f"There are {len(references)} references and {len(hypotheses)} hypotheses; give as many of each."
        )
    return [[r] if isinstance(r, str) else list(r) for r in references]
