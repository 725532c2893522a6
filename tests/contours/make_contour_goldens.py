"""Write tests/data/contours: streams that every later version has to decode to the same maps.

python tests/contours/make_contour_goldens.py        only for a new stream version; files that exist stay
"""

import hashlib
import json
from pathlib import Path

import contour_shapes as shapes
import numpy as np

from semjax.contours import ContourConfig, decode, encode

DATA = Path(__file__).parents[1] / "data" / "contours"
SETTINGS = {
    "paper": (shapes.moving(9, 40, 56), ContourConfig(profile="paper", tolerance=1, period=4)),
    "best": (shapes.moving(20, 72, 96), ContourConfig(tolerance=1.5, period=12)),
    "best-low-latency": (shapes.moving(9, 72, 96, 3), ContourConfig(tolerance=1, lookahead=1)),
    "best-lossless": (shapes.moving(4, 40, 56, 2), ContourConfig(tolerance=0)),
    "best-noise": (shapes.oddities()["noise"][None], ContourConfig(tolerance=0)),
    "fine-thin": (shapes.thin(5, 72, 96), ContourConfig(target_miou=0.95, weights=((0, 0.0),))),
    "fine-lossless": (shapes.moving(4, 40, 56, 2), ContourConfig(tolerance=0)),
}


def main():
    """Encode every setting and note the check sums of stream and maps."""
    DATA.mkdir(parents=True, exist_ok=True)
    notes = DATA / "goldens.json"
    sums = json.loads(notes.read_text()) if notes.exists() else {}
    for name, (clip, cfg) in SETTINGS.items():
        if name in sums:
            continue
        data = encode(clip, cfg, span=16)
        maps = decode(data)
        (DATA / f"{name}.sjc").write_bytes(data)
        sums[name] = {
            "stream": hashlib.sha256(data).hexdigest(),
            "maps": hashlib.sha256(np.ascontiguousarray(maps)).hexdigest(),
            "shape": list(maps.shape),
        }
    notes.write_text(json.dumps(sums, indent=1) + "\n")


if __name__ == "__main__":
    main()
