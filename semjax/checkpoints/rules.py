"""Rule tables: the PyTorch key of every parameter of our networks.

Our paths are PyTorch's with "_" before the number of a list's entry, so that a table is short: `lists` names those
lists, `names` says what else differs, `old` brings keys of older files to today's and `unused` names buffers that
PyTorch saves without needing them.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping

from semjax.errors import InputError

_LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}


@dataclasses.dataclass(frozen=True)
class Rules:
    """The table of one family of networks; patterns are regular expressions.

    lists: names of PyTorch lists. names: (our path, PyTorch's), both joined by dots, tried in order before the lists.
    old: (pattern, replacement) for keys of older files. unused: keys that may be left over. stacked: parts of our
    paths that are scans over layers, whose parameters have a first axis of layers.
    """

    lists: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    old: tuple[tuple[str, str | Callable[[re.Match], str]], ...] = ()
    unused: tuple[str, ...] = ()
    stacked: tuple[str, ...] = ()

    @functools.cached_property
    def _entry(self) -> re.Pattern:
        return re.compile(rf"(^|\.)({'|'.join(self.lists)})_(\d+)(?:_|(?=\.)|$)")

    def key(self, path: tuple[str, ...]) -> str:
        """PyTorch's key of the parameter at `path`."""
        *where, leaf = path
        key = ".".join([*where, _LEAVES.get(leaf, leaf)])
        for pattern, replacement in self.names:
            key = re.sub(pattern, replacement, key)
        if not self.lists:
            return key
        while (found := self._entry.search(key)) is not None:
            more = key[found.end() :].lstrip(".")
            key = f"{key[: found.start()]}{found[1]}{found[2]}.{found[3]}.{more}"
        return key

    def today(self, keys: Iterable[str]) -> Mapping[str, str]:
        """Today's name -> the name in the file, for each key of a file. `InputError` where two become one."""
        named, twice = {}, []
        for key in keys:
            new = key
            for pattern, replacement in self.old:
                new = re.sub(pattern, replacement, new)
            if new in named:
                twice.append(f"{key} and {named[new]} are both {new}")
            named[new] = key
        if twice:
            raise InputError(f"The file has tensors twice, under an old and a new name: {'; '.join(twice)}.")
        return named


_BLOCKS = ("down_blocks", "up_blocks", "resnets", "attentions", "downsamplers", "upsamplers")
_TRANSFORMER = ("transformer_blocks", "to_out", "net")

UNET = Rules(
    lists=_BLOCKS + _TRANSFORMER,
    names=(
        (r"^conditioning\.", ""),
        (r"^class_embedding$", "class_embedding.weight"),
        (r"^time_proj\.frequencies$", "time_proj.weight"),
    ),
)

AUTOENCODER_TINY = Rules(lists=("layers", "conv"))

AUTOENCODER_KL = Rules(
    lists=(*_BLOCKS, "to_out"),
    names=((r"\bmid_block_", "mid_block."),),
    old=(  # diffusers before 0.17
        (r"(mid_block\.attentions\.0)\.query\b", r"\1.to_q"),
        (r"(mid_block\.attentions\.0)\.key\b", r"\1.to_k"),
        (r"(mid_block\.attentions\.0)\.value\b", r"\1.to_v"),
        (r"(mid_block\.attentions\.0)\.proj_attn\b", r"\1.to_out.0"),
    ),
)

_CLIP = {
    "lists": ("layers",),
    "stacked": ("encoder_layers",),
    "unused": (r"(text_model\.|vision_model\.)?embeddings\.position_ids$",),
}
_CLIP_NAMES = (
    (r"\bencoder_layers", "encoder.layers"),
    (r"\bself_attn_", "self_attn."),
    (r"\bmlp_", "mlp."),
    (r"\bembeddings_", "embeddings."),
)
CLIP = Rules(names=_CLIP_NAMES, **_CLIP)

# transformers 5 writes the text encoder without the prefix that earlier files have.
CLIP_TEXT = Rules(names=(*_CLIP_NAMES, (r"^text_model\.", "")), old=((r"^text_model\.", ""),), **_CLIP)

CONTROLNET = dataclasses.replace(UNET, lists=(*UNET.lists, "blocks", "controlnet_down_blocks"))

_PLACES = (
    (r"^(down|up)_(\d+)_(\d+)\b", r"\1_blocks.\2.motion_modules.\3"),
    (r"^mid_(\d+)\b", r"mid_block.motion_modules.\1"),
)
_POSITIONS = (r".*\.motion_modules\.\d+\.transformer_blocks\.\d+\.pos_embed\.pe$",)
MOTION = Rules(lists=_TRANSFORMER, names=_PLACES, unused=_POSITIONS)
UNET_MOTION = dataclasses.replace(
    UNET,
    names=((r"^unet\.", ""), (r"^motion\.", ""), *UNET.names, *_PLACES),
    unused=_POSITIONS,
)

# The encoder alone: poolers and the heads of pre-training may be left over.
BERT = Rules(
    lists=("layer",),
    names=(
        (r"\bencoder_layer_", "encoder.layer_"),
        (r"\bembeddings_", "embeddings."),
        (r"\battention_(self|output)_", r"attention.\1."),
        (r"\b(intermediate|output)_", r"\1."),
    ),
    old=(
        (r"^(bert|roberta)\.", ""),
        (r"\bLayerNorm\.gamma$", "LayerNorm.weight"),
        (r"\bLayerNorm\.beta$", "LayerNorm.bias"),
    ),
    unused=(r"embeddings\.position_ids$", r"pooler\.", r"cls\.", r"lm_head\."),
    stacked=("encoder_layer",),
)

# Published files name stages, blocks and their parts otherwise than transformers 5.
SEGFORMER = Rules(
    lists=("stages", "blocks", "linear_projections"),
    names=((r"\bdwconv_dwconv\b", "dwconv.dwconv"),),
    old=(
        (r"\bencoder\.patch_embeddings\.(\d+)\.", r"stages.\1.patch_embeddings."),
        (r"\bencoder\.block\.(\d+)\.", r"stages.\1.blocks."),
        (r"\bencoder\.layer_norm\.(\d+)\.", r"stages.\1.layer_norm."),
        (r"\battention\.self\.(query|key|value)\b", lambda found: f"attention.{found[1][0]}_proj"),
        (r"\battention\.self\.sr\b", "attention.sequence_reduction.sequence_reduction"),
        (r"\battention\.self\.layer_norm\b", "attention.sequence_reduction.layer_norm"),
        (r"\battention\.output\.dense\b", "attention.o_proj"),
        (r"\bmlp\.dense([12])\b", r"mlp.fc\1"),
        (r"\blayer_norm_1\b", "layernorm_before"),
        (r"\blayer_norm_2\b", "layernorm_after"),
        (r"^decode_head\.linear_c\b", "decode_head.linear_projections"),
    ),
    unused=(r"decode_head\.batch_norm\.num_batches_tracked$",),
)

# Older files put the language model's head and body elsewhere than transformers 5.
INTERNVL = Rules(
    lists=("layer", "layers"),
    names=(
        (r"^(vision_tower|multi_modal_projector|language_model)\b", r"model.\1"),
        (r"\bembeddings_patch_embeddings_", "embeddings.patch_embeddings."),
        (r"\bembeddings_", "embeddings."),
        (r"\bencoder_layer_", "encoder.layer_"),
        (r"\bmlp_", "mlp."),
    ),
    old=(
        (r"^language_model\.lm_head\.", "lm_head."),
        (r"^(model\.)?language_model\.model\.", "model.language_model."),
        (r"^(vision_tower|multi_modal_projector|language_model)\.", r"model.\1."),
    ),
    stacked=("encoder_layer", "layers"),
)
