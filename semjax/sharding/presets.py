"""The rules of a generator for a mesh: made by its config and the sizes of the axes, and plain data then.

model   Megatron's scheme (Shoeybi et al. 2019), for convolutions as for matrices: the first map of a pair is cut by
its
        outputs (heads, channels), the second by its inputs, so that one sum over the axis ends each pair
space   rows of latents and pictures, cut by the arrays that come in; the compiler exchanges rows at the seams of
        convolutions, sums the moments of norms, and gathers the keys and values of self-attention
data    streams; nothing but one bit (does any stream have a keyframe?) crosses it
"""

from collections.abc import Mapping

from jax.sharding import Mesh

from semjax.generator.config import GeneratorConfig, ModelConfig, latent_size, level_size, places
from semjax.sharding.rules import Rule


def parameter_rules(model: ModelConfig, mesh: Mesh | Mapping[str, int]) -> tuple[Rule, ...]:
    """Where the parameters of `model` live on a mesh of this shape; none when the axis `model` has one device.

    Attentions whose heads the axis cannot share out equally, and blocks whose channels or groups it cannot, stay
    whole. So do convolutions when `space` cuts their rows: asked to cut rows and output channels of one convolution
    along two axes, XLA's partitioner makes a wrong program (jax 0.10.2; tests/sharding compares every combination).
    """
    ways, rows = _sizes(mesh)["model"], _sizes(mesh)["space"]
    if ways == 1:
        return ()
    rules: list[Rule] = []
    for block, place, widths, heads, attends in _blocks(model):
        prefix = f"unet/{block}"
        if rows == 1 and widths % ways == 0 and model.unet.norm_num_groups % ways == 0:
            rules += _resnets(prefix)
        if attends and heads % ways == 0:
            rules += _attention(prefix) + _restoration(place)
        if attends and 4 * widths % ways == 0:
            rules += _feed_forward(prefix)
    return tuple(rules)


def cache_rules(
    cfg: GeneratorConfig, height: int, width: int, mesh: Mesh | Mapping[str, int]
) -> tuple[Rule, ...]:
    """Where `semjax.generator.init_cache`'s arrays live: streams along data, rows along space at the levels of the
    backbone whose rows the axis divides, whole at the coarser ones."""
    ways, size = _sizes(mesh)["space"], latent_size(cfg.model, height, width)
    rules = [Rule("frames|count", ("data",), "streams")]
    rows = ("data", "space") if ways > 1 and size[0] % ways == 0 else ("data",)
    rules.append(Rule("noise", rows, "streams, rows"))
    for place in places(cfg.model.unet) if cfg.temporal else ():
        cut = ways > 1 and level_size(size, place.level)[0] % ways == 0
        axes = ("data", None, "space") if cut else ("data",)
        rules.append(Rule(f"(keys|values)/{place.name}", axes, "streams, rows" if cut else "streams"))
    return tuple(rules)


def condition_rules(height: int, mesh: Mesh | Mapping[str, int], model: ModelConfig) -> tuple[Rule, ...]:
    """Where `FrameConditions` live: streams along data, pictures' rows along space where latents divide.

    Label maps are whole along space: the distance to contours needs all rows, and takes less time than sending them.
    """
    ways = _sizes(mesh)["space"]
    rows = ways > 1 and height % (model.factor * ways) == 0
    return (
        Rule("degraded|keyframe", ("data", "space") if rows else ("data",), "streams, rows"),
        Rule("labels|tiny|text|cut|has_.*", ("data",), "streams"),
    )


def _sizes(mesh: Mesh | Mapping[str, int]) -> dict[str, int]:
    return dict(mesh.shape) if isinstance(mesh, Mesh) else dict(mesh)


def _blocks(model: ModelConfig):
    """(name in the backbone, name of its places, channels, heads, whether it attends) of every block."""
    unet = model.unet
    heads, widths, count = (
        unet.blocks("attention_head_dim"),
        unet.block_out_channels,
        len(unet.block_out_channels),
    )
    for i, kind in enumerate(unet.down_block_types):
        yield f"down_blocks_{i}", f"down_{i}_\\d+", widths[i], heads[i], kind.startswith("CrossAttn")
    if unet.mid_block_type is not None:
        yield "mid_block", "mid_0", widths[-1], heads[-1], unet.mid_block_type == "UNetMidBlock2DCrossAttn"
    for i, kind in enumerate(unet.up_block_types):
        j = count - 1 - i
        yield f"up_blocks_{i}", f"up_{i}_\\d+", widths[j], heads[j], kind.startswith("CrossAttn")


def _resnets(prefix: str) -> list[Rule]:
    resnet = f"{prefix}/resnets_\\d+"
    return [
        Rule(f"{resnet}/conv1/kernel", (None, None, None, "model"), "channels out"),
        Rule(f"{resnet}/time_emb_proj/kernel", (None, "model"), "channels out"),
        Rule(f"{resnet}/(conv1|time_emb_proj|norm2)/(bias|scale)", ("model",), "channels out"),
        Rule(f"{resnet}/conv2/kernel", (None, None, "model"), "channels in"),
    ]


def _attention(prefix: str) -> list[Rule]:
    attention = f"{prefix}/attentions_\\d+/transformer_blocks_\\d+/attn[12]"
    return [
        Rule(f"{attention}/to_[qkv]/kernel", (None, "model"), "heads"),
        Rule(f"{attention}/to_out_0/kernel", ("model",), "heads"),
    ]


def _feed_forward(prefix: str) -> list[Rule]:
    layer = f"{prefix}/attentions_\\d+/transformer_blocks_\\d+/ff"
    return [
        Rule(f"{layer}/net_0_proj/kernel", (None, "model"), "channels out"),
        Rule(f"{layer}/net_0_proj/bias", ("model",), "channels out"),
        Rule(f"{layer}/net_2/kernel", ("model",), "channels in"),
    ]


def _restoration(place: str) -> list[Rule]:
    """Its queries meet the backbone's keys, head by head."""
    return [
        Rule(f"restoration/{place}/query/kernel", (None, "model"), "heads"),
        Rule(f"restoration/{place}/query/bias", ("model",), "heads"),
        Rule(f"restoration/{place}/out/kernel", ("model",), "heads"),
    ]
