"""What the generator is told about a frame, in arrays of fixed shapes."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FrameConditions:
    """Conditions of one frame for each of B streams; each may be absent, which its flag of 0 says.

    labels: decoded label maps. degraded: pictures in [-1, 1] painted from what arrived (semjax.painting), or any
    enlarged tiny frame. tiny: the received tiny frame, to which the result is held. keyframe: a received picture of
    this very frame. text: token numbers (semjax.generator.tokens), all 0 without a caption. cut: 1 when nothing
    before this frame has to do with it. A clip has one more axis, T, in front of every field. On the way to a device
    labels and pictures may be bytes (a quarter of the traffic), which `from_bytes` makes into numbers there.
    """

    labels: Int[Array, "B H W"]
    has_labels: Float[Array, " B"]
    degraded: Float[Array, "B H W 3"]
    has_degraded: Float[Array, " B"]
    tiny: Float[Array, "B h w 3"]
    has_tiny: Float[Array, " B"]
    keyframe: Float[Array, "B H W 3"]
    has_keyframe: Float[Array, " B"]
    text: Int[Array, "B L"]
    cut: Float[Array, " B"]


def nothing(batch: int, size: tuple[int, int], tiny: tuple[int, int], text_tokens: int) -> FrameConditions:
    """Conditions that say nothing, to fill in with `dataclasses.replace`."""
    picture, none = jnp.zeros((batch, *size, 3)), jnp.zeros(batch)
    return FrameConditions(
        labels=jnp.zeros((batch, *size), jnp.int32),
        has_labels=none,
        degraded=picture,
        has_degraded=none,
        tiny=jnp.zeros((batch, *tiny, 3)),
        has_tiny=none,
        keyframe=picture,
        has_keyframe=none,
        text=jnp.zeros((batch, text_tokens), jnp.int32),
        cut=none,
    )


def from_bytes(given: FrameConditions) -> FrameConditions:
    """Conditions whose labels and pictures (0 to 255) are uint8 as those that the generator takes."""

    def signed(x):
        return x.astype(jnp.float32) / 127.5 - 1

    return dataclasses.replace(
        given,
        labels=given.labels.astype(jnp.int32),
        degraded=signed(given.degraded),
        tiny=signed(given.tiny),
        keyframe=signed(given.keyframe),
    )
