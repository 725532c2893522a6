"""BERT and RoBERTa against transformers' at small random configs, and BERTScore from them."""

import jax
import numpy as np
import parity
import pytest
import torch
import transformers

from semjax import checkpoints, metrics
from semjax.errors import InputError
from semjax.models.bert import BertConfig

SMALL = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}


def sentences():
    """Token numbers of two pairs of sentences, padded with 1."""
    ids = np.random.default_rng(0).integers(5, 61, (4, 12))
    ids[1, 9:] = ids[3, 6:] = 1
    return ids, (ids != 1).astype(np.int32)


@pytest.mark.parametrize(
    ("kind", "config", "more"),
    [
        ("RobertaModel", transformers.RobertaConfig, {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
        ("RobertaForMaskedLM", transformers.RobertaConfig, {"num_attention_heads": 4, "hidden_act": "relu"}),
        ("BertModel", transformers.BertConfig, {"pad_token_id": 1}),
        ("BertForPreTraining", transformers.BertConfig, {"num_hidden_layers": 1}),
    ],
)
def test_token_vectors_are_those_of_transformers(tmp_path, kind, config, more):
    reference = parity.lively(getattr(transformers, kind)(config(**SMALL | more)))
    reference.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    net = checkpoints.network(cfg)
    ids, mask = sentences()
    body = getattr(reference, getattr(reference, "base_model_prefix", ""), reference)
    with torch.no_grad():
        expected = body(torch.tensor(ids), torch.tensor(mask), output_hidden_states=True)
    got = parity.run(lambda p: net.apply({"params": p}, ids, mask), params)
    seen = mask.astype(bool)
    assert parity.error(got.last_hidden_state[seen], expected.last_hidden_state[seen]) < 1e-4
    for ours, theirs in zip(got.hidden_states, expected.hidden_states, strict=True):
        assert parity.error(ours[seen], theirs[seen]) < 1e-4
    state = checkpoints.to_torch(cfg, params)
    theirs = body.state_dict()
    assert not set(state) - set(theirs) and all(
        "pooler" in key or "ids" in key for key in set(theirs) - set(state)
    )
    for key, value in state.items():
        np.testing.assert_array_equal(value, theirs[key].numpy(), err_msg=key)


def test_bert_score_by_hand(tmp_path):
    """The published algorithm, sentence by sentence in NumPy, on one layer's vectors."""
    reference = parity.lively(transformers.RobertaModel(transformers.RobertaConfig(**SMALL)))
    reference.save_pretrained(tmp_path)
    cfg, params = checkpoints.load(tmp_path)
    ids, mask = sentences()
    vectors = np.asarray(
        parity.run(lambda p: checkpoints.network(cfg).apply({"params": p}, ids, mask), params)[1][2]
    )
    a, b, u, v = vectors[:2], vectors[2:], mask[:2], mask[2:]
    precisions, recalls = [], []
    for k in range(2):
        x, y = a[k][u[k] > 0], b[k][v[k] > 0]
        cosine = (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T
        recalls.append(cosine.max(1).mean())
        precisions.append(cosine.max(0).mean())
    score = metrics.bert_score(a, b, u, v)
    assert abs(score.precision - np.mean(precisions)) < 1e-5 and abs(score.recall - np.mean(recalls)) < 1e-5
    assert abs(metrics.bert_score(a, a, u, u).f1 - 1) < 1e-5


def test_other_encoders_are_refused():
    for odd in ({"model_type": "gpt2"}, {"is_decoder": True}, {"position_embedding_type": "relative_key"}):
        with pytest.raises(InputError, match=next(iter(odd))):
            BertConfig.from_transformers({"model_type": "bert", **SMALL, **odd})
    with pytest.raises(InputError, match="at most 18"):
        cfg = BertConfig.from_transformers({"model_type": "roberta", **SMALL})
        checkpoints.network(cfg).init(jax.random.key(0), np.zeros((1, 19), int))
