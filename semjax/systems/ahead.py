"""Compiling two rooms at once on the first run after an installation.

Numba compiles one function at a time and keeps the result on disk. The sender needs the contour kernels first and the
texture kernels, which take longest, last; a second process compiles those meanwhile.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from semjax import texture

_CODE = """
import numpy as np
from semjax import texture
y, x = np.mgrid[:36, :64]
clip = np.stack([np.stack([(3 * x + 2 * t) % 256, (5 * y + t) % 256, x + y], -1) for t in range(8)])
tiny = clip.astype(np.uint8)
texture.min_bytes(tiny, texture.TextureConfig(), 8)
units = texture.encode_units(tiny, texture.TextureConfig(bytes_per_frame=20), 8)
texture.decode_units(units, frames=8, height=36, width=64, span=8)
"""


def compile_texture() -> Callable[[], object]:
    """Start compiling the texture room if that has not been done yet; the function returned waits for the end.

    When the other process fails, nothing is lost: this one compiles what it needs.
    """
    room = Path(texture.__file__).parent
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")  # where Numba then keeps a folder for each of ours
    caches = Path(elsewhere).glob(f"{room.name}_*") if elsewhere else [room / "__pycache__"]
    if any(True for cache in caches for _ in cache.glob("*.nbi")):
        return lambda: None
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Level 1 compiles a seventh faster, and the kernels, all integers and branches, run no slower for it.
    swift = {**os.environ, "NUMBA_OPT": "1"}
    return subprocess.Popen([sys.executable, "-c", _CODE], env=swift, **quiet).wait
