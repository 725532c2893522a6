"""When packets arrive over a link with a rate, a delay and a finite queue."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from semjax.channel import checks
from semjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class LinkRate:
    """A link that serves packets in order.

    bits_per_second  what it carries, above 0
    delay            seconds from the last bit in to the last bit out
    queue_bits       a packet is dropped when more than so many bits would wait with it; None: never
    deadline         a packet that arrives later than so many seconds after it was sent counts as lost; None: never
    """

    bits_per_second: float
    delay: float = 0.0
    queue_bits: float | None = None
    deadline: float | None = None

    def __post_init__(self):
        if checks.number(self.bits_per_second, "bits_per_second", low=0.0) == 0:
            raise InputError("bits_per_second must be above 0")
        checks.number(self.delay, "delay", low=0.0)
        for name in ("queue_bits", "deadline"):
            if getattr(self, name) is not None:
                checks.number(getattr(self, name), name, low=0.0)


class Arrivals(NamedTuple):
    """When each packet arrives (seconds; infinity if dropped) and whether it is lost to the receiver."""

    times: Float[Array, " n"]
    lost: Bool[Array, " n"]


def deliver(sizes: Int[Array, " n"], sent: Float[Array, " n"], link: LinkRate) -> Arrivals:
    """Send packets of `sizes` bits at the times `sent` (seconds, not falling) over `link`.

    jit- and vmap-able with `link` static. Raises InputError for arrays of different shape or, where the values are
    known, negative sizes and times that fall.
    """
    sizes, sent = jnp.asarray(sizes, jnp.float32), jnp.asarray(sent, jnp.float32)
    if sizes.ndim != 1 or sizes.shape != sent.shape:
        raise InputError(
            f"sizes and send times must be two lists of one length, got {sizes.shape} and {sent.shape}"
        )
    if not isinstance(sizes, jax.core.Tracer) and not bool(jnp.all(sizes >= 0)):
        raise InputError("packet sizes must not be negative")
    if not isinstance(sent, jax.core.Tracer) and not bool(jnp.all(jnp.diff(sent) >= 0)):
        raise InputError("send times must not fall")

    def step(carry, packet):
        idle, before = carry  # seconds of work left in the queue, at the time `before`
        size, now = packet
        waiting = jnp.maximum(idle - (now - before), 0.0)
        dropped = False
        if link.queue_bits is not None:
            dropped = waiting * link.bits_per_second + size > link.queue_bits
        work = jnp.where(dropped, waiting, waiting + size / link.bits_per_second)
        took = jnp.where(dropped, jnp.inf, work + link.delay)
        return (work, now), took

    start = (jnp.float32(0.0), sent[0] if sent.size else jnp.float32(0.0))
    _, took = jax.lax.scan(step, start, (sizes, sent))
    limit = jnp.inf if link.deadline is None else link.deadline
    return Arrivals(sent + took, (took > limit) | jnp.isinf(took))
