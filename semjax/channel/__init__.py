"""The link: what happens between the sender's packets and the receiver's.

packet_loss                 which packets a network loses that drops each with one probability
bursty_loss, GilbertElliott the same for losses that come in bursts
"""

from semjax.channel.loss import GilbertElliott, bursty_loss, packet_loss

__all__ = ["GilbertElliott", "bursty_loss", "packet_loss"]
