import hashlib
import json
from pathlib import Path

import pytest

from semjax.contours import decode

DATA = Path(__file__).parents[1] / "data" / "contours"
SUMS = json.loads((DATA / "goldens.json").read_text())


@pytest.mark.parametrize("name", SUMS)
def test_old_streams_decode_for_ever(name):
    data = (DATA / f"{name}.sjc").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SUMS[name]["stream"]
    maps = decode(data)
    assert list(maps.shape) == SUMS[name]["shape"]
    assert hashlib.sha256(maps).hexdigest() == SUMS[name]["maps"]
