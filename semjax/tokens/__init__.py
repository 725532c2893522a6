"""Keyframes as short codes of semantic tokens (docs/mirage.md): regions with a few quantised features, or latents.

Group                           what a code holds: keyframes of one stretch of a clip
cluster, describe_regions       pictures and label maps -> tokens
encode_group, decode_group      Group <-> bytes, integers only
quantise, restore               finite scalar quantisation of a region's features
Autoencoder                     of a generator's weights: small pictures to latents and back
quantise_latents, restore_latents  finite scalar quantisation of those
paint_group                     the stretch's frames without a network
"""

from semjax.tokens.code import Group, decode_group, encode_group, encode_layouts, is_latent
from semjax.tokens.latents import Autoencoder, quantise_latents, restore_latents
from semjax.tokens.painting import paint_group
from semjax.tokens.regions import FEATURES, cluster, describe_regions, quantise, restore

__all__ = [
    "FEATURES",
    "Autoencoder",
    "Group",
    "cluster",
    "decode_group",
    "describe_regions",
    "encode_group",
    "encode_layouts",
    "is_latent",
    "paint_group",
    "quantise",
    "quantise_latents",
    "restore",
    "restore_latents",
]
