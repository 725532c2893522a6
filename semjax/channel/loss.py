"""Networks that drop packets: independent loss and the bursty Gilbert-Elliott chain."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from semjax.channel import checks
from semjax.errors import InputError


def packet_loss(key: jax.Array, n: int, p: float) -> Bool[Array, " n"]:
    """Which of `n` packets a network loses that drops each with probability `p`, independently.

    True = lost. `key` is a typed JAX key. Under jit or vmap `n` must be static and `p` may be traced
    (a traced `p` cannot be checked; values outside [0, 1] act as the nearest end).
    Raises InputError for a probability outside [0, 1], a negative count or an untyped key.
    """
    checks.typed_key(key)
    n = checks.count(n, "the number of packets")
    if not isinstance(p, jax.core.Tracer):
        p = checks.probability(_scalar(p), "the loss probability")
    return jax.random.uniform(key, (n,)) < p


@dataclasses.dataclass(frozen=True)
class GilbertElliott:
    """A bursty network: a two-state Markov chain, one step a packet (Gilbert 1960, Elliott 1963).

    worsen      probability of good -> bad from one packet to the next
    recover     probability of bad -> good; the mean stay in the bad state is 1 / recover packets
    loss_good   probability that a packet sent in the good state is lost
    loss_bad    the same for the bad state
    Raises InputError for a value outside [0, 1] or a chain that can do neither step.
    """

    worsen: float
    recover: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            checks.probability(getattr(self, field.name), field.name)
        if self.worsen == 0 and self.recover == 0:
            raise InputError("worsen and recover cannot both be 0: the chain would never leave a state")

    @classmethod
    def from_rate(cls, rate: float, burst: float) -> "GilbertElliott":
        """The chain with mean loss `rate` (0 <= rate < 1) in bursts of `burst` (>= 1) packets on average.

        Raises InputError when no chain has both: with bursts of b packets the rate is at most b / (b + 1).
        """
        rate = checks.probability(rate, "the mean loss rate")
        burst = checks.number(burst, "the mean burst length", low=1.0)
        limit = burst / (burst + 1)
        if rate > limit:
            raise InputError(
                f"a mean loss of {rate:g} is not possible in bursts of {burst:g} packets: at most {limit:.3g}"
            )
        recover = 1.0 / burst
        return cls(worsen=rate * recover / (1.0 - rate), recover=recover)

    @property
    def bad_share(self) -> float:
        """Long-run share of packets sent in the bad state."""
        return self.worsen / (self.worsen + self.recover)

    @property
    def rate(self) -> float:
        """Long-run share of lost packets."""
        return self.bad_share * self.loss_bad + (1.0 - self.bad_share) * self.loss_good


@functools.partial(jax.jit, static_argnames=("n", "chain"))
def bursty_loss(key: jax.Array, n: int, chain: GilbertElliott) -> Bool[Array, " n"]:
    """Which of `n` packets the bursty network `chain` loses; True = lost.

    The first packet meets the chain in its long-run distribution, so a short clip suffers the same mean loss
    as a long one. Raises InputError for a negative count or an untyped key.
    """
    checks.typed_key(key)
    n = checks.count(n, "the number of packets")
    first_key, step_key, loss_key = jax.random.split(key, 3)
    start = jax.random.uniform(first_key) < chain.bad_share

    def step(bad, draw):
        return jnp.where(bad, draw >= chain.recover, draw < chain.worsen), bad

    _, bad = jax.lax.scan(step, start, jax.random.uniform(step_key, (n,)))
    return jax.random.uniform(loss_key, (n,)) < jnp.where(bad, chain.loss_bad, chain.loss_good)


def _scalar(p):
    """A NumPy or JAX scalar as a Python number; everything else unchanged, for the check to judge."""
    return p.item() if getattr(p, "shape", None) == () and hasattr(p, "item") else p
