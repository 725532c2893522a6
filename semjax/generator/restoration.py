"""Restoration Adapter: the backbone attends to itself with queries from the degraded picture.

At every self-attention of the backbone the features of the degraded picture are the queries of a second attention
whose keys and values are the backbone's own, from its frozen projections:

    added = softmax(q~ k^T / sqrt(d)) v W_o,    q~ = features of the degraded picture W_q,    W_o zero at first

so that structure comes from what was received and content from the backbone (the reading of arXiv 2509.06904 and
2602.13837 in the project's notes). The queries are computed once a frame and serve all denoising steps.
"""

from jaxtyping import Array, Float

from semjax.generator.config import ModelConfig, places
from semjax.generator.layers import Params, dense, dense_shapes
from semjax.models.attention import attend


def restoration_shapes(model: ModelConfig) -> Params:
    """Shapes of the query and output projections for every self-attention of the backbone."""
    return {
        place.name: {part: dense_shapes(place.channels, place.channels) for part in ("query", "out")}
        for place in places(model.unet)
        if place.attends
    }


def restoration_queries(params: Params, hidden: dict[str, Float[Array, "B N C"]]) -> dict[str, Array]:
    """The queries of every place from the backbone's features of the degraded picture."""
    return {place: dense(params[place]["query"], x) for place, x in hidden.items()}


def restore(
    params: Params,
    place: str,
    queries: Float[Array, "B N C"],
    keys: Float[Array, "B N heads d"],
    values: Float[Array, "B N heads d"],
) -> Float[Array, "B N C"]:
    """What is added to the backbone's self-attention at `place`."""
    seen = attend(queries.astype(keys.dtype).reshape(keys.shape), keys, values)
    return dense(params[place]["out"], seen.reshape(queries.shape))
