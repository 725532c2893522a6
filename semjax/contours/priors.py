"""What the grid coder knows before the first frame: shipped tables, learned once, integers."""

import functools
import importlib.resources

import numpy as np

from semjax.contours import gridmodel as gm
from semjax.contours import gridnet
from semjax.entropy import binary as eb

ASSET = "contour_tables.npz"
FINE_ASSET = "contour_tables_fine.npz"  # of units of cells of one pixel
RATES_ASSET = "contour_tables_rate.npz"  # the encoder's only
FINE_RATES_ASSET = "contour_tables_fine_rate.npz"


def blank() -> dict[str, np.ndarray]:
    """Tables that know nothing: the start of training."""
    inputs = gm.N_CONTEXTS + 2

    def mixer(sets):
        weights = eb.new_mixer(sets, inputs, 0.15)
        weights[:, gm.N_CONTEXTS] = 30000
        weights[:, -1] = 0
        return weights

    return {
        "mix1": mixer(gm.N_SETS1),
        "mix2": mixer(gm.N_SETS2),
        "apm": eb.new_apm(gm.N_APM),
        "flags": np.full(4, (1 << 32) - (1 << 20), np.uint32),
        "hidden": np.zeros((2, gm.N_FEATURES + 1, gm.N_HIDDEN), np.int32),
        "middle": np.zeros((2, gm.N_HIDDEN + 1, gm.N_MIDDLE), np.int32),
        "out": np.zeros((2, gm.N_MIDDLE + 1), np.int32),
    }


@functools.cache
def load(fine: bool = False) -> dict[str, np.ndarray]:
    """The shipped tables; the arrays are not to be changed. fine: for units of cells of one pixel."""
    with (
        importlib.resources.files("semjax.assets").joinpath(FINE_ASSET if fine else ASSET).open("rb") as file
    ):
        return dict(np.load(file))


def networks(tables: dict[str, np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    """The two networks of some tables, of lossy and of lossless maps, as `gridmodel.code_map` takes them.

    Tables for cells of one pixel have one network for both.
    """
    layers = [tables[name].astype(np.int32) for name in ("hidden", "middle", "out")]
    picked = [[np.ascontiguousarray(layer[min(k, len(layer) - 1)]) for layer in layers] for k in range(2)]
    return [gridnet.grouped(one, single=k == 1) for k, one in enumerate(picked)]
