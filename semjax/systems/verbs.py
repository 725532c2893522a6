"""encode and decode for arrays: the two verbs of `import semjax`."""

from collections.abc import Sequence
from fractions import Fraction

import jax
import numpy as np
from jaxtyping import UInt8

from semjax.stream import Stream
from semjax.systems import causal
from semjax.systems.generators import Generator, load_generator
from semjax.systems.receiver import receive
from semjax.systems.senders import SenderConfig, sender_of
from semjax.systems.sources import frames_from_array, labels_from_array
from semjax.types import Caption


def encode(
    video: UInt8[np.ndarray, "T H W 3"],
    *,
    labels: UInt8[np.ndarray, "T H W"] | None = None,
    captions: Sequence[Caption] | None = None,
    fps: Fraction | float = 25,
    cfg: SenderConfig = causal.SenderConfig(),
) -> Stream:
    """A clip as a stream of its meaning; `semjax.stream.pack` makes bytes of it.

    cfg says which system: a SenderConfig of semjax.systems.causal, mirage or lgvsc.
    Without `labels` regions are found, without `captions` a sentence is made from them.
    Raises InputError for arrays that do not fit and RateError when cfg.bitrate cannot be met.
    """
    frames = frames_from_array(video, fps)
    maps = None if labels is None else labels_from_array(labels, frames.info)
    sender = sender_of(cfg)
    return sender.coder(frames, sender.understand(frames, maps, captions, cfg), cfg)(cfg.bitrate)


def decode(
    stream: Stream, generator: Generator | None = None, key: jax.Array | None = None
) -> UInt8[np.ndarray, "T H W 3"]:
    """Paint a stream's clip: uint8 [T, H, W, 3]. Without a generator it is painted without a network."""
    generator = load_generator("none") if generator is None else generator
    key = jax.random.key(0) if key is None else key
    return np.concatenate([part.frames for part in receive(stream, generator, key)])
