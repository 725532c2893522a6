"""A tiny InternVL with a tokenizer of its own, in the form that transformers writes both."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]
SIDE = 28  # pixels of a tile: two patches of 14 a side, one token


def tokenizer():
    """Bytes and a few words, as Qwen2's tokenizer but small."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator(
        ["yes no Yes No", "the picture shows a red car", "a car and a dog move"] * 9, trainer
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>")


def save(folder, tokens=None):
    """Write model and tokenizer to a folder; returns the PyTorch module."""
    tokens = tokens or tokenizer()
    torch.manual_seed(0)
    config = transformers.InternVLConfig(
        vision_config={
            "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": (SIDE, SIDE), "patch_size": (14, 14), "initializer_range": 0.2,
        },
        text_config={
            "model_type": "qwen2", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": len(tokens), "initializer_range": 0.3,
        },
        image_token_id=tokens.convert_tokens_to_ids("<IMG_CONTEXT>"), tie_word_embeddings=False,
    )  # fmt: skip
    module = transformers.InternVLForConditionalGeneration(config).eval()
    with torch.no_grad():
        module.lm_head.weight.normal_(0, 0.1)
        module.lm_head.weight[config.image_token_id] = 0  # never the likeliest: answers hold no pictures
    module.save_pretrained(folder)
    tokens.save_pretrained(folder)
    return module
