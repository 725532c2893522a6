"""What paints at the receiver, by name.

A generator has `name` and `step(conditions, state, key) -> (frames uint8 [n, H, W, 3], state)`; the state of a
clip's first call is None. `none` paints without a network.
"""

import dataclasses
from typing import Any, Protocol

import jax
import numpy as np

from semjax import painting
from semjax.errors import NotAvailableError
from semjax.types import Conditions, FrameStatus


class Generator(Protocol):
    """Turns what arrived into pixels, a few frames at a time and strictly forward."""

    name: str

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames, uint8 [n, H, W, 3], and the state for the call after this one."""


@dataclasses.dataclass(frozen=True)
class Painter:
    """Generator `none`: semjax.painting, which draws no random numbers (the key is not used)."""

    cfg: painting.PaintConfig = painting.PaintConfig()
    name: str = "none"

    def step(self, conditions: Conditions, state: Any, key: jax.Array) -> tuple[np.ndarray, Any]:
        """The next frames; see `Generator.step`."""
        del key
        known = conditions.contour_status != FrameStatus.MISSING
        return painting.paint(
            conditions.labels * known[:, None, None],
            conditions.tiny,
            {k.frame - conditions.first: k.image for k in conditions.keyframes},
            state,
            texture_status=conditions.texture_status,
            cfg=self.cfg,
        )


def load_generator(name: str = "none") -> Generator:
    """The generator of that name: `none` (no network).

    Raises NotAvailableError for `tiny` and for folders of weights, which this version does not have.
    """
    if name == "none":
        return Painter()
    raise NotAvailableError(
        f"the generator {name!r} is not available in this version, which paints without a network; "
        "use --generator none"
    )
